"""The contract of task types: whatever module the package holds, its values can be cleaned, compared and told."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import product
from typing import Any, get_args

import pytest
from django.core.exceptions import ValidationError
from hypothesis import given
from hypothesis import strategies as st

from consistency.statistics.distances import distance
from labeling import task_types
from labeling.task_types import TaskType
from labeling.task_types.base import Measurement
from labeling.task_types.single_choice import SingleChoice

EVERY = pytest.mark.parametrize("task_type", task_types.registry().values(), ids=lambda task_type: task_type.slug)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


def broken_promises(task_type: TaskType) -> Iterable[str]:
    """What the samples show to be wrong, in words; empty when the task type keeps the contract."""
    if type(task_type).__module__.rpartition(".")[2] != task_type.slug:
        yield "the module is called as the slug"
    if not task_type.title or not task_type.description:
        yield "people see a title and a description"
    if task_type.measurement not in get_args(Measurement):
        yield "measurement is a known one"
    values = []
    for raw, payload, settings, canonical in task_type.samples():
        task_type.check_payload(payload)
        value = task_type.clean(raw, payload, settings)
        values.append((value, settings))
        if value != canonical:
            yield f"{raw!r} becomes {canonical!r}"
        if json.loads(json.dumps(value)) != value:
            yield f"{value!r} comes back from JSON as it was"
        if task_type.clean(value, payload, settings) != value:
            yield f"cleaning {value!r} again changes nothing"
        compared = task_type.normalise(value, settings)
        if task_type.normalise(compared, settings) != compared:
            yield f"normalising {value!r} again changes nothing"
        if not task_type.describe(value).strip():
            yield f"{value!r} can be told in words"
    if len({json.dumps(value) for value, _ in values}) < 2:
        yield "the samples have two different values"
    between = distance(task_type.distance).between
    for (a, settings), (b, _) in product(values, repeat=2):
        gap = between(a, b, scale=settings.get("labels"))
        if not 0 <= gap <= 1 or gap != between(b, a, scale=settings.get("labels")) or (gap == 0) != (a == b):
            yield f"the distance of {a!r} and {b!r} is symmetric, in [0, 1], and 0 for equal values alone"
    bad = task_type.bad_samples()
    if not bad:
        yield "there are bad samples"
    for raw, payload, settings in bad:
        try:
            task_type.clean(raw, payload, settings)
        except ValidationError as error:
            if repr(raw) not in " ".join(error.messages):
                yield f"the refusal of {raw!r} names it"
        else:
            yield f"{raw!r} is refused"
    try:
        task_type.check_payload({})
    except ValidationError:
        pass
    else:
        yield "an empty payload is refused"


@EVERY
def test_a_task_type_keeps_the_contract(task_type: TaskType) -> None:
    assert list(broken_promises(task_type)) == []


@EVERY
@given(raw=ANYTHING)
def test_any_answer_is_a_canonical_value_or_refused(task_type: TaskType, raw: Any) -> None:
    _, payload, settings, _ = task_type.samples()[0]
    try:
        value = task_type.clean(raw, payload, settings)
    except ValidationError:
        return
    assert task_type.clean(value, payload, settings) == value


@pytest.mark.parametrize(
    ("name", "instead", "promise"),
    [
        ("clean", lambda self, data, payload, settings: data, "is refused"),
        ("clean", lambda self, data, payload, settings: f"{data}!", "again changes nothing"),
        ("describe", lambda self, value, names=None: " ", "in words"),
        ("normalise", lambda self, value, settings: value + "'", "normalising"),
        ("check_payload", lambda self, payload: None, "empty payload"),
        ("bad_samples", lambda self: [], "bad samples"),
        ("slug", "one_label", "called as the slug"),
        ("measurement", "vague", "known one"),
    ],
)
def test_the_contract_can_be_broken(monkeypatch: pytest.MonkeyPatch, name: str, instead: Any, promise: str) -> None:
    monkeypatch.setattr(SingleChoice, name, instead)
    assert any(promise in broken for broken in broken_promises(SingleChoice()))


def test_an_unknown_task_type_names_the_known() -> None:
    with pytest.raises(KeyError, match=r"Unknown task type 'span'\. Known are: .*single_choice"):
        task_types.get("span")
