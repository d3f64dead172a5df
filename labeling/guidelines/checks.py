"""What a draft still needs before it can be published, and what is worth a second look."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal

from .. import task_types
from ..markdown import refused_pictures
from ..models import GuidelineVersion, LabelDefinition
from ..queries.guideline_content import content_of, labels_of
from ..vocabulary import RESERVED_KEYS, Polarity
from ..wording import owners_of, quantity, threshold_of
from .fields import HOTKEY

SPELLED = (
    r"(?:milli|centi|kilo)?(?:metres?|meters?|grams?)|inch(?:es)?|pixels?|percent|(?:milli)?seconds?|minutes?|hours?|days?"
    r"|weeks?|months?|years?|degrees?|words?|characters?"
)
# Longer ones first: mm before m.
ABBREVIATED = (
    r"mmHg|mg/dl|km/h|mph|bpm|kHz|MHz|Hz|dB|[cmkµn]?m|px|ms|min|sec|[mk]?g|ml|°[CF]|[%‰°€$£]|EUR|USD|GBP|[shl]"
)
QUANTITY = re.compile(
    r"(?P<operator>[<>≤≥]=?\s*)?(?P<currency>[€$£]\s?)?(?<![\w.,])(?P<number>\d+(?:[.,]\d+)?)"
    rf"(?:\s?(?P<unit>{SPELLED}|{ABBREVIATED}))?(?!\w)"
)


@dataclass(frozen=True)
class Check:
    """One line of the list. `required` ones hold publishing up while they are open; the others are warnings.

    part: key of the label the line is about, "" for the whole definition.
    """

    code: str
    text: str
    done: bool
    required: bool = True
    part: str = ""

    @property
    def blocks(self) -> bool:
        return self.required and not self.done


def _names(labels: Iterable[LabelDefinition]) -> str:
    return ", ".join(f"“{label.name}”" for label in labels)


def bare_quantities(text: str, rule: tuple[Decimal, str] | None = None) -> list[str]:
    """Numbers with a unit that no > ≥ < ≤ stands before; those the label's own rule repeats are left out.

    >>> bare_quantities("Scratches of 0.3 mm count, > 2 cm do not; two marks are fine.")
    ['0.3 mm']
    """
    found = []
    for match in QUANTITY.finditer(text):
        unit = match["unit"] or (match["currency"] or "").strip()
        if match["operator"] or not unit:
            continue
        if rule is not None and Decimal(match["number"].replace(",", ".")) == rule[0] and unit == rule[1]:
            continue
        found.append(match[0].strip())
    return list(dict.fromkeys(found))


def _label_checks(labels: list[LabelDefinition]) -> Iterator[Check]:
    yield Check(
        "labels",
        "There are two labels or more" if len(labels) >= 2 else "A choice needs at least two labels.",
        len(labels) >= 2,
    )
    if not labels:
        return
    undefined = [label for label in labels if not label.definition.strip()]
    for label in undefined:
        yield Check("definition", f"“{label.name}” has no definition.", False, part=label.key)
    if not undefined:
        yield Check("definition", "Every label has a definition", True)
    without = []
    for label in labels:
        kinds = {example.polarity for example in label.examples.all()}
        # What shows a borderline label is a borderline case.
        wanted = {Polarity.POSITIVE, Polarity.BORDERLINE} if label.is_borderline else {Polarity.POSITIVE}
        if not kinds & wanted:
            without.append(label)
            yield Check("example", f"“{label.name}” has no example.", False, part=label.key)
        elif not label.is_borderline and not kinds & {Polarity.NEGATIVE, Polarity.BORDERLINE}:
            yield Check(
                "counter_example",
                f"“{label.name}” has neither a counter-example nor a borderline one. They show where it ends.",
                False,
                required=False,
                part=label.key,
            )
    if not without:
        yield Check("example", "Every label has an example", True)
    yield from _hotkey_checks(labels)
    if sum(label.is_borderline for label in labels) > 1:
        yield Check("borderline", "More than one label is the borderline label.", False)


def _hotkey_checks(labels: list[LabelDefinition]) -> Iterator[Check]:
    problems = False
    held: dict[str, LabelDefinition] = {}
    for label in labels:
        key = label.hotkey
        if not key:
            continue
        if key in held:
            problems = True
            yield Check("hotkey", f"“{held[key].name}” and “{label.name}” share the key {key}.", False, part=label.key)
        elif key in RESERVED_KEYS or not HOTKEY.fullmatch(key):
            problems = True
            yield Check("hotkey", f"The key {key} of “{label.name}” belongs to the desk.", False, part=label.key)
        held.setdefault(key, label)
    if not problems and held:
        yield Check("hotkey", f"Keys are different: {', '.join(held)}", True)
    if mute := [label for label in labels if not label.hotkey and not label.is_borderline]:
        yield Check("no_hotkey", f"No key for {_names(mute)}: raters need the mouse there.", False, required=False)


def _threshold_checks(version: GuidelineVersion, labels: list[LabelDefinition]) -> Iterator[Check]:
    rules = [rule for label in labels if (rule := threshold_of(label)) is not None]
    # The database holds a rule whole or not at all, so one that is there has its sign.
    if rules:
        yield Check("threshold", "Every deciding rule says >, ≥, < or ≤", True)
    said = set()
    for rule in rules:
        place = (rule.attribute.casefold(), rule.unit, rule.value)
        sharing = [other for other in rules if (other.attribute.casefold(), other.unit) == place[:2]]
        if place in said or len(sharing) < 2:
            continue
        said.add(place)
        owners = owners_of(rule.value, rule, labels)
        if len(owners) != 1:
            whose = f"both {_names(owners)}" if owners else "no label"
            yield Check(
                "boundary", f"Exactly {quantity(rule.value, rule.unit)} ({rule.attribute}) belongs to {whose}.",
                False, required=False,
            )  # fmt: skip
    for part, name, text, own in _free_texts(version, labels):
        for bare in bare_quantities(text, own):
            yield Check(
                "bare_quantity",
                f"{name} says “{bare}” without >, ≥, < or ≤. People differ on the limit itself: "
                "write the sign, or use the deciding rule.",
                False,
                required=False,
                part=part,
            )


def _free_texts(
    version: GuidelineVersion, labels: list[LabelDefinition]
) -> Iterator[tuple[str, str, str, tuple[Decimal, str] | None]]:
    yield "", "The instructions", version.body, None
    for label in labels:
        rule = threshold_of(label)
        text = "\n".join((label.definition, label.include, label.exclude))
        yield label.key, f"“{label.name}”", text, None if rule is None else (rule.value, rule.unit)


def _change_checks(version: GuidelineVersion, labels: list[LabelDefinition]) -> Iterator[Check]:
    if version.parent is None:
        return
    before, after = content_of(version.parent), content_of(version, labels)
    mappings = after.pop("mappings")
    before.pop("mappings")
    note = bool(after.pop("change_note").strip())
    before.pop("change_note")
    changed = before != after
    yield Check(
        "change_note",
        "The change has a reason" if note else f"Say what changes since {version.parent} and why; raters read it once.",
        note,
    )
    if not changed:
        yield Check("unchanged", f"Nothing differs from {version.parent} yet.", False, required=False)
    known = {label.key for label in labels} | {mapping["from"] for mapping in mappings}
    gone = [label for label in before["labels"] if label["key"] not in known]
    for label in gone:
        yield Check(
            "gone",
            f"“{label['name']}” of {version.parent} has no successor: answers given with it stay apart.",
            False,
            required=False,
        )


def _example_checks(labels: list[LabelDefinition]) -> Iterator[Check]:
    shows: dict[int, tuple[str, list[LabelDefinition]]] = {}
    for label in labels:
        for example in label.examples.all():
            if example.item is not None and example.polarity == Polarity.POSITIVE:
                shows.setdefault(example.item_id or 0, (example.item.external_id, []))[1].append(label)
    for external_id, shown in shows.values():
        if len(shown) > 1:
            yield Check(
                "contradiction", f"Item {external_id} is an example of {_names(shown)} at once.", False, required=False
            )


def check_draft(version: GuidelineVersion) -> list[Check]:
    """Every check of the draft, open ones first: required, then warnings, then what is done."""
    labels = labels_of(version)
    checks: list[Check] = []
    if task_types.get(version.project.task_type).has_labels:
        checks += _label_checks(labels)
    checks += _threshold_checks(version, labels)
    checks += _example_checks(labels)
    checks += _change_checks(version, labels)
    checks += [
        Check(
            "picture", f"The picture {source[:80]} is not shown: use pictures of this project's items.", False,
            required=False,
        )
        for source in refused_pictures(version.body)
    ]  # fmt: skip
    return sorted(checks, key=lambda check: (check.done, not check.required))
