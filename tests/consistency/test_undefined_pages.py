"""Where there is nothing to measure every page of the loop opens, says why in words, and invents no number."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.test import Client

from consistency.comparing import compare_batch
from consistency.gains import look_now, measure_gain
from consistency.input_reporting import report_now
from consistency.measuring import measure_now
from consistency.relabeling import Sizes
from labeling.models import Batch, BatchItem
from tests.bench.helpers import no_audit
from tests.consistency.test_figure_pages import plain
from tests.loop.scenes import publish_next, relabel
from tests.worlds import World, run_jobs

pytestmark = pytest.mark.django_db
D, N = "defect", "no_defect"
NAMES = [f"n{i}" for i in range(1, 6)]
ALL_D: dict[str, Any] = dict.fromkeys(NAMES, D)
MIXED: dict[str, Any] = {**ALL_D, "n4": N, "n5": N}


@dataclass(frozen=True)
class Scene:
    """Who answers what, and the words each named page must have."""

    said: dict[str, dict[str, Any]]
    words: dict[str, str]
    quotas: dict[str, int] = field(default_factory=lambda: {"generalist": 2})


# An empty batch, one rater, one category, no gold, one cohort, a cohort that never comes; and nobody who could label.
SCENES = {
    "empty_batch": Scene(
        {},
        {
            "figures": "No labels to compare yet",
            "HLP": "No labels to compare yet",
            "overview": "nobody answered in the last days",
            "improve the input": "No answers yet",
            "queue": "No ",
            "relabel offer": "Nothing to label again",
            "before / after": "Nothing has been labeled again yet",
        },
    ),
    "one_rater": Scene(
        {"gene": MIXED},
        {
            "figures": "only one rater",
            "HLP": "rater",
            "overview": "cannot be measured yet",
            "before / after": "It cannot be said",
        },
    ),
    "one_category": Scene(
        {"gene": ALL_D, "gina": ALL_D},
        {
            "figures": "every rating is the same category",
            "overview": "cannot be measured yet",
            "before / after": "It cannot be said: before: every rating is the same category",
        },
    ),
    "no_gold_and_one_cohort": Scene(
        {"gene": ALL_D, "gina": MIXED},
        {
            "HLP": "No gold under this definition",
            "overview": "no gold",
            "queue": "3 disagreements",
            "figures": "Each cohort by itself",
        },
    ),
    "a_cohort_that_never_comes": Scene(
        {"gene": ALL_D, "gina": MIXED},
        {
            "figures": "Generalists agree on",
            "overview": "Experts are the ones to wait for: 10 places",
            "before / after": "Not decided; every item changed alike, so the gain has no interval.",
        },
        {"generalist": 2, "expert": 2},
    ),
    "nobody_could_label_anything": Scene(
        {"gene": dict.fromkeys(NAMES), "gina": dict.fromkeys(NAMES)},
        {
            "figures": "there are no ratings",
            "improve the input": "5 of 5 items did not show enough to somebody",
            "overview": "cannot be measured yet",
            "before / after": "Nothing can be compared: no item has labels both times.",
        },
    ),
}  # fmt: skip


def play(world: World, scene: Scene, batch: Batch) -> None:
    for who, answers in scene.said.items():
        world.say(batch, who, answers)
    compare_batch(batch=batch)
    measure_now(batch)
    report_now(batch)


def pages_of(world: World, scene: Scene) -> dict[str, str]:
    """{page: its text} after the scene was played once, and again under the next definition."""
    no_audit(world)
    before = world.open_batch("Before", quotas=scene.quotas)
    # One item is drawn for audit, so that the bench has a case that nobody disputes.
    BatchItem.objects.filter(batch=before, rank=0).update(audit=True)
    play(world, scene, before)
    version = publish_next(world, world.version)
    at = f"/projects/{world.project.slug}/"
    addresses = {
        "figures": f"{at}batches/{before.uuid}/figures/",
        "figures pooled": f"{at}batches/{before.uuid}/figures/?pooled=1",
        "agreement CSV": f"{at}batches/{before.uuid}/figures/agreement.csv",
        "HLP": f"{at}hlp/?batch={before.uuid}",
        "HLP, pairs": f"{at}hlp/?batch={before.uuid}&kind=raters",
        "HLP CSV": f"{at}batches/{before.uuid}/figures/hlp.csv",
        "overview": at,
        "batch": f"{at}batches/{before.uuid}/",
        "queue": f"{at}bench/?batch={before.uuid}",
        "vote": f"{at}bench/votes/{before.uuid}/",
        "improve the input": f"{at}input/?batch={before.uuid}",
        "improve the input CSV": f"{at}input/csv/?batch={before.uuid}",
        "slices": f"{at}slices/",
        "relabel offer": f"{at}definitions/{version.uuid}/relabel/?batch={before.uuid}",
        "version": f"{at}definitions/{version.uuid}/",
        "before / after": f"{at}before-after/",
    }
    client = Client()
    client.force_login(world.people["olga"])
    # First as it stands after one batch; then the pages that a second one adds to.
    texts = {name: read(client, name, address) for name, address in addresses.items() if name != "before / after"}
    if scene.said:
        after = relabel(world, before, version, Sizes(whole=True))
        play(world, scene, after)
        look_now(by=world.seat("olga"), child=after)
        run_jobs()
        measure_gain(after)
        addresses |= {
            "before / after CSV": f"{at}before-after/{after.uuid}/figures.csv",
            "versions CSV": f"{at}before-after/{after.uuid}/versions.csv",
            "overview of two": at,
            "version's story": f"{at}definitions/{version.uuid}/",
            "relabel figures": f"{at}batches/{after.uuid}/figures/",
            "relabel HLP": f"{at}hlp/?batch={after.uuid}",
        }
    return texts | {name: read(client, name, address) for name, address in addresses.items() if name not in texts}


def read(client: Client, name: str, address: str) -> str:
    answer: Any = client.get(address, follow=True)
    assert answer.status_code == 200, (name, answer.status_code)
    body = b"".join(answer.streaming_content) if answer.streaming else answer.content
    return plain(body.decode())


@pytest.mark.parametrize("name", SCENES)
def test_every_page_says_why_and_invents_nothing(world: World, name: str) -> None:
    texts = pages_of(world, SCENES[name])
    for page, text in texts.items():
        assert not re.search(r"\b(nan|NaN|None|inf|Infinity)\b", text), page
        assert "this was not measured" not in text.lower(), page
    for page, words in SCENES[name].words.items():
        assert words.lower() in texts[page].lower(), (page, texts[page][:3000])
