"""AC-1 as its people would do it, page by page: 66.7 %, a ruling, the definition with its sign, labeled again, 100 %."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from consistency.comparing import compare_batch
from consistency.models import Disagreement
from labeling.models import Acknowledgement, Batch, GuidelineVersion, LabelDefinition
from tests.guidelines.test_pages import form_of
from tests.loop.test_gain import AC1, D, N
from tests.worlds import World, run_jobs

pytestmark = pytest.mark.django_db


def person(world: World, name: str) -> Client:
    client = Client()
    client.force_login(world.people[name])
    return client


def url(name: str, *args: Any) -> str:
    return reverse(name, args=args)


def text_of(answer: Any) -> str:
    assert answer.status_code == 200, answer
    return re.sub(r"\s+", " ", answer.content.decode().replace("\u00a0", " "))


def rule(sam: Client, batch: Batch, item: str) -> str:
    """Sam rules on the item's case and sends the change on; the address of the draft's editor."""
    case = Disagreement.objects.get(batch=batch, batch_item__item__external_id=item)
    page = url("consistency:bench_case", "phones", case.uuid)
    assert "Defect against No defect" in text_of(sam.get(page))
    ruling = {
        "action": "rule", "value": N, "cause": "ambiguous_definition", "outcome": "revise", "seen": case.input_sha256,
        "rationale": "Nobody said from which length on a scratch counts.",
    }  # fmt: skip
    assert sam.post(page, ruling).status_code == 302
    made = case.adjudications.get()
    return str(sam.post(url("consistency:propose_change", "phones"), {"adjudication": str(made.uuid)})["Location"])


def write_the_rule(sam: Client, editor: str) -> None:
    """In the editor: the limit with its sign, examples, the reason; then published through its page."""
    page = sam.get(editor)
    assert "n2" in text_of(page), "the item that led to it stands beside the draft"
    assert sam.post(editor, {**form_of(page), "body": "Measure the longest scratch."}).status_code == 302
    for key, sign in ((D, ">"), (N, "≤")):
        label = LabelDefinition.objects.get(version__status="draft", key=key)
        address = url("labeling:guideline_label", "phones", label.uuid)
        page = sam.get(address)
        typed = {"threshold_attribute": "length", "threshold_value": "0.3", "threshold_unit": "mm"}
        without = sam.post(address, {**form_of(page), **typed})
        assert without.status_code == 422, "the form forces > or ≥"
        assert "threshold_operator" in without.context["form"].errors
        saved = sam.post(address, {**form_of(page), **typed, "threshold_operator": sign})
        assert saved.status_code == 302, saved.context["form"].errors
        for polarity in ("positive", "negative"):
            example = {"polarity": polarity, "payload_text": f"A scratch, {polarity} for {key}.", "note": "0.4 mm"}
            sam.post(url("labeling:guideline_examples", "phones", label.uuid), example)
    page = sam.get(url("labeling:guideline_publish", "phones"))
    assert page.context["open_checks"] == 0, text_of(page)
    done = sam.post(url("labeling:guideline_publish", "phones"), {"seen": page.context["seen"]}, follow=True)
    assert "is published and sealed" in text_of(done)


def test_from_two_thirds_to_all_through_the_pages(world: World) -> None:
    world.add_items(1)
    before = world.open_batch("Six screens")
    world.say(before, "gene", {item: truth for item, (_, truth, _) in AC1.items()})
    world.say(before, "gina", {item: inspector for item, (_, _, inspector) in AC1.items()})
    compare_batch(batch=before)
    sam, olga = person(world, "sam"), person(world, "olga")
    queue = text_of(sam.get(url("consistency:bench", "phones") + f"?batch={before.uuid}"))
    disputed = Disagreement.objects.filter(batch=before).values_list("batch_item__item__external_id", flat=True)
    assert set(disputed) == {"n2", "n6"}, "items 2 and 6 are in the SME's queue"
    assert "n2" in queue
    assert "n6" in queue
    rule(sam, before, "n6")
    write_the_rule(sam, rule(sam, before, "n2"))
    version = GuidelineVersion.objects.get(project=world.project, number=2)
    signs = version.labels.values_list("key", "threshold_attribute", "threshold_operator", "threshold_value")
    assert {(key, f"{what} {sign} {float(value):g}") for key, what, sign, value in signs} == {
        (D, "length > 0.3"), (N, "length ≤ 0.3"),
    }  # fmt: skip
    offer = url("consistency:relabel_offer", "phones", version.uuid)
    page = olga.get(offer)
    assert "labels on 6 items" in text_of(page)
    assert olga.post(offer, {**form_of(page), "act": "open"}).status_code == 302
    run_jobs()
    after = Batch.objects.select_related("project", "guideline_version", "parent").get(kind="relabel")
    for name in ("gene", "gina"):
        reader, address = person(world, name), url("labeling:acknowledge", after.uuid)
        assert "Nobody said from which length on a scratch counts." in text_of(reader.get(address))
        assert reader.post(address)["Location"] == url("labeling:desk", after.uuid)
        world.say(after, name, {item: D if mm > 0.3 else N for item, (mm, _, _) in AC1.items()})
    assert Acknowledgement.objects.filter(guideline_version=version).count() == 2
    address = url("consistency:comparison", "phones", after.uuid)
    assert "Being worked out" in text_of(olga.get(address))
    run_jobs()
    page = text_of(olga.get(address))
    assert "HLP, rater against rater, went from 66.7 % to 100.0 %" in page
    assert "the same 6 items, the same 2 raters, blind to their old answers" in page
    assert "2 of 12 answers" in page
    assert "33.3 %" in page, "positives 2 of 6"
    assert "+33.3" in page
