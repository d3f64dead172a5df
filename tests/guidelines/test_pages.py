"""Stories of the definition's pages: writing, two people at once, publishing, reading it once."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from labeling import guidelines
from labeling.guidelines.fields import LabelFields
from labeling.models import Acknowledgement, GuidelineVersion, LabelDefinition, LabelExample
from labeling.queries.guideline_content import content_sha256
from tests.guidelines.test_editing import draft_in, label_in
from tests.guidelines.test_publishing import complete
from tests.worlds import World

pytestmark = pytest.mark.django_db


def browser(world: World, name: str) -> Client:
    client = Client()
    client.force_login(world.people[name])
    return client


def url(name: str, *args: Any) -> str:
    return reverse(f"labeling:{name}", args=args)


def form_of(page: Any) -> dict[str, Any]:
    """What the page's form holds, as a browser would send it."""
    form = page.context["form"]
    values = {field.name: field.value() for field in form}
    return {name: value for name, value in values.items() if value not in (None, False)}


def test_from_nothing_to_a_published_definition(world: World) -> None:
    """The owner of a new project writes the first definition, page by page."""
    otto, slug = browser(world, "otto"), "phones-otto"
    assert b"Nothing says yet what the labels mean" in otto.get(url("guidelines", slug)).content
    page = otto.post(url("guideline_start", slug), follow=True)
    assert page.redirect_chain[-1][0] == url("guideline_edit", slug)
    otto.post(url("guideline_edit", slug), {**form_of(page), "body": "Read the note **twice**."})
    for name in ("Urgent", "Can wait"):
        page = otto.get(url("guideline_label_new", slug))
        page = otto.post(
            url("guideline_label_new", slug),
            {**form_of(page), "name": name, "definition": f"It is {name}."},
            follow=True,
        )
        assert b"is added" in page.content
        label = LabelDefinition.objects.get(name=name)
        otto.post(
            url("guideline_examples", slug, label.uuid), {"polarity": "positive", "payload_text": f"{name}: now."}
        )
    page = otto.get(url("guideline_publish", slug))
    assert page.context["open_checks"] == 0
    page = otto.post(url("guideline_publish", slug), {"seen": page.context["seen"]}, follow=True)
    assert b"is published and sealed" in page.content
    assert b"<strong>twice</strong>" in page.content
    version = GuidelineVersion.objects.get(project__slug=slug)
    assert version.body_sha256 == content_sha256(version)
    assert version.body_sha256.encode() in page.content
    assert list(version.labels.values_list("hotkey", flat=True)) == ["1", "0"]


def test_two_people_write_and_the_second_sees_both_texts(world: World) -> None:
    draft_in(world)
    sam, olga, edit = browser(world, "sam"), browser(world, "olga"), url("guideline_edit", "phones")
    sams, olgas = form_of(sam.get(edit)), form_of(olga.get(edit))
    assert sam.post(edit, {**sams, "body": "Look through the loupe."}).status_code == 302
    page = olga.post(edit, {**olgas, "body": "Look from above."})
    assert page.status_code == 409
    text = page.content.decode()
    assert "Sam Ode changed this while you were writing" in text
    assert "Look from above." in text, "her text is still in the form"
    assert "loupe" in text, "his stands beside it"
    assert GuidelineVersion.objects.get(status="draft").body == "Look through the loupe."
    assert olga.post(edit, {**form_of(page), "body": "Look from above, through the loupe."}).status_code == 302
    assert GuidelineVersion.objects.get(status="draft").body == "Look from above, through the loupe."


def test_two_people_on_one_label(world: World) -> None:
    label = label_in(draft_in(world))
    sam, olga, edit = browser(world, "sam"), browser(world, "olga"), url("guideline_label", "phones", label.uuid)
    sams, olgas = form_of(sam.get(edit)), form_of(olga.get(edit))
    assert sam.post(edit, {**sams, "definition": "A deep mark."}).status_code == 302
    page = olga.post(edit, {**olgas, "definition": "A long mark.", "include": "pits"})
    assert page.status_code == 409
    assert "<del>deep</del>" in page.content.decode()
    assert "A long mark." in page.content.decode()
    assert olga.post(edit, form_of(page)).status_code == 302
    label.refresh_from_db()
    assert (label.definition, label.include) == ("A long mark.", "pits")


@pytest.mark.parametrize("what", ["published", "discarded"])
def test_what_one_wrote_is_shown_when_the_draft_went_away(world: World, what: str) -> None:
    draft = complete(world, draft_in(world))
    label = label_in(draft)
    sam = browser(world, "sam")
    typed = {
        url("guideline_edit", "phones"): {"body": "An hour of writing."},
        url("guideline_label", "phones", label.uuid): {"name": "Defect", "definition": "An hour of writing."},
        url("guideline_label_new", "phones"): {"name": "Pit", "definition": "An hour of writing."},
    }
    if what == "published":
        guidelines.publish_version(by=world.seat("olga"), version=draft)
    else:
        guidelines.discard_draft(by=world.seat("olga"), version=draft)
    for address, data in typed.items():
        page = sam.post(address, data)
        assert page.status_code == 409
        assert "An hour of writing." in page.content.decode()
        assert "Not saved, and not lost" in page.content.decode()


def test_wrong_fields_are_named_beside_them_and_the_text_stays(world: World) -> None:
    draft_in(world)
    page = browser(world, "sam").post(
        url("guideline_label_new", "phones"),
        {"name": "defect", "hotkey": "b", "definition": "A long text.", "threshold_value": "0.3"},
    )
    assert page.status_code == 422
    errors = page.context["form"].errors
    assert set(errors) == {"name", "hotkey", "threshold_attribute", "threshold_operator"}
    text = page.content.decode()
    assert "A long text." in text
    assert "The desk uses “b” itself" in text
    assert 'aria-invalid="true"' in text


def test_an_item_is_found_and_becomes_an_example(world: World) -> None:
    label = label_in(draft_in(world))
    (item,) = world.add_items(1, secret="only-the-line-knows")
    sam, pick = browser(world, "sam"), url("guideline_examples", "phones", label.uuid)
    page = sam.get(pick, {"search": item.external_id})
    assert [entry["item"] for entry in page.context["items"]] == [item]
    assert sam.get(pick, {"search": "Note number 6"}).context["items"][0]["item"] == item
    assert sam.get(pick, {"search": "no such words"}).context["items"] == []
    assert b"only-the-line-knows" not in page.content
    assert sam.post(pick, {"item": item.uuid, "polarity": "negative", "note": "0.2 mm"}).status_code == 302
    assert LabelExample.objects.get(definition=label).item == item
    page = sam.post(pick, {"item": item.uuid, "polarity": "negative"})
    assert page.status_code == 422
    assert "is an example of “Defect” already" in page.content.decode()
    page = sam.get(url("guideline_label", "phones", label.uuid))
    assert "0.2 mm" in page.content.decode()
    assert page.status_code == 200


def test_a_search_finds_letters_beyond_ascii(world: World) -> None:
    from labeling.hashing import sha256_json
    from labeling.models import Item

    payload = {"text": "Kratzer über dem Rand"}
    item = Item.objects.create(
        project=world.project, external_id="umlaut", payload=payload, payload_sha256=sha256_json(payload)
    )
    label = label_in(draft_in(world))
    page = browser(world, "sam").get(url("guideline_examples", "phones", label.uuid), {"search": "über"})
    assert [entry["item"] for entry in page.context["items"]] == [item]


def test_labels_are_moved_merged_and_removed(world: World) -> None:
    draft = draft_in(world)
    guidelines.add_label(by=world.seat("sam"), version=draft, fields=LabelFields(name="Pit", definition="A pit."))
    sam, label = browser(world, "sam"), label_in(draft)
    sam.post(url("guideline_label_move", "phones", label.uuid), {"direction": "later"})
    assert list(draft.labels.values_list("key", flat=True)) == ["no_defect", "defect", "pit"]
    sam.post(url("guideline_label_remove", "phones", label.uuid), {"merge_into": "pit"})
    assert draft.mappings.get().to_key == "pit"
    page = sam.get(url("guideline_edit", "phones"))
    assert "defect reads as pit" in page.content.decode()


def test_publishing_over_an_open_point_says_which(world: World) -> None:
    draft_in(world)
    page = browser(world, "sam").post(url("guideline_publish", "phones"))
    assert page.status_code == 409
    assert "“Defect” has no example." in page.content.decode()


def test_publishing_what_one_has_not_seen_is_refused(world: World) -> None:
    draft = complete(world, draft_in(world))
    sam = browser(world, "sam")
    seen = sam.get(url("guideline_publish", "phones")).context["seen"]
    guidelines.save_draft(by=world.seat("olga"), version=draft, body="Not this.", change_note="Why not.")
    page = sam.post(url("guideline_publish", "phones"), {"seen": seen})
    assert page.status_code == 409
    assert "Olga Owner changed the draft" in page.content.decode()
    assert GuidelineVersion.objects.get(pk=draft.pk).status == "draft"


def test_the_preview_shows_what_the_desk_shows(world: World) -> None:
    draft = complete(world, draft_in(world))
    guidelines.edit_label(
        by=world.seat("sam"), label=label_in(draft),
        fields=LabelFields(
            name="Defect", key="defect", hotkey="1", definition="A long mark.", threshold_attribute="length",
            threshold_operator=">", threshold_value="0.3", threshold_unit="mm", include="pits", exclude="dust",
        ),
    )  # fmt: skip
    page = browser(world, "mel").get(url("guideline_preview", "phones")).content.decode()
    for piece in ("longer than 0.3 mm (&gt; 0.3 mm)", "exactly 0.3 mm is No defect", "pits", "dust", "Note number"):
        assert piece in page


def test_a_rater_reads_a_version_once_and_goes_on_to_the_desk(world: World) -> None:
    batch = world.open_batch(read=False)
    gene = browser(world, "gene")
    read = url("acknowledge", batch.uuid)
    page = gene.get(read)
    assert "Please read this first" in page.content.decode()
    assert "What Defect means." in page.content.decode()
    answer = gene.post(read)
    assert (answer.status_code, answer["Location"]) == (302, url("desk", batch.uuid))
    assert gene.post(read).status_code == 302, "saying it twice changes nothing"
    assert Acknowledgement.objects.filter(member=world.member("gene")).count() == 1
    assert "You have read this version" in gene.get(read).content.decode()


def test_a_rater_who_knows_v1_reads_what_changed_and_why(world: World) -> None:
    world.open_batch("First")
    draft = complete(world, draft_in(world))
    second = guidelines.publish_version(by=world.seat("sam"), version=draft)
    batch = world.open_batch("Second", version=second, read=False)
    page = browser(world, "gene").get(url("acknowledge", batch.uuid))
    text = page.content.decode()
    assert page.context["before"] == world.version
    assert "Since v1, which you know" in text
    assert "Look twice." in text
    assert "<ins>" in text
    newcomer = browser(world, "gina")
    Acknowledgement.objects.filter(member=world.member("gina")).delete()
    assert newcomer.get(url("acknowledge", batch.uuid)).context["before"] is None


def test_a_draft_batch_is_not_read_by_raters(world: World) -> None:
    from labeling import dispatch

    batch = dispatch.create_batch(
        by=world.seat("olga"), name="Later", guideline_version=world.version, quotas={"generalist": 1}
    )
    assert browser(world, "gene").get(url("acknowledge", batch.uuid)).status_code == 404


def test_any_two_versions_side_by_side(world: World) -> None:
    for note in ("Second.", "Third."):
        draft = draft_in(world)
        if draft.number == 2:
            complete(world, draft)
        guidelines.save_draft(by=world.seat("sam"), version=draft, body=f"{note} text", change_note=note)
        guidelines.publish_version(by=world.seat("sam"), version=draft)
    versions = list(GuidelineVersion.objects.order_by("number"))
    gene = browser(world, "gene")
    for shown, against in ((versions[0], versions[2]), (versions[2], versions[0])):
        page = gene.get(url("guideline_diff", "phones", shown.uuid), {"against": against.uuid})
        assert (page.context["old"], page.context["new"]) == (versions[0], versions[2]), "the older one stands left"
    page = gene.get(url("guideline_diff", "phones", versions[2].uuid))
    assert page.context["old"] == versions[1]
    assert gene.get(url("guideline_diff", "phones", versions[2].uuid), {"against": "x"}).status_code == 404


def test_the_pages_cost_the_same_for_two_labels_and_for_forty(world: World) -> None:
    draft = complete(world, draft_in(world))
    sam, label = browser(world, "sam"), label_in(draft)
    addresses = [
        url("guideline_edit", "phones"), url("guideline_label", "phones", label.uuid), url("guideline_preview", "phones"),
        url("guideline_publish", "phones"), url("guideline_examples", "phones", label.uuid), url("guidelines", "phones"),
    ]  # fmt: skip

    def counts() -> list[int]:
        found = []
        for address in addresses:
            with CaptureQueriesContext(connection) as queries:
                assert sam.get(address).status_code == 200
            found.append(len(queries))
        return found

    few = counts()
    for number in range(38):
        added = guidelines.add_label(
            by=world.seat("sam"), version=draft, fields=LabelFields(name=f"Label {number}", definition="x")
        )
        guidelines.add_example(by=world.seat("sam"), label=added, polarity="positive", item=world.items[number % 5])
    world.add_items(60)
    assert counts() == few
