"""Stories of a draft: how it starts, how two people write in it, and what it refuses."""

from __future__ import annotations

import threading
from decimal import Decimal

import pytest
from django.db import connection

from labeling import guidelines
from labeling.access import project_for
from labeling.guidelines.fields import LabelFields, draft_fingerprint, label_fingerprint
from labeling.models import Event, GuidelineVersion, LabelDefinition, LabelMapping, Membership, Project
from labeling.refusals import BadValue, NotAllowed, NotSeen, Refusal
from tests.worlds import World

pytestmark = pytest.mark.django_db


def draft_in(world: World) -> GuidelineVersion:
    return guidelines.start_draft(by=world.seat("sam"))


def label_in(draft: GuidelineVersion, key: str = "defect") -> LabelDefinition:
    return draft.labels.select_related("version").get(key=key)


def fields_of(label: LabelDefinition, **changes) -> LabelFields:
    names = LabelFields.__dataclass_fields__
    return LabelFields(**{**{name: getattr(label, name) for name in names}, **changes})


def test_a_draft_starts_from_the_newest_published_version(world: World) -> None:
    draft = draft_in(world)
    assert (draft.number, draft.status, draft.parent, draft.body) == (2, "draft", world.version, world.version.body)
    assert list(draft.labels.values_list("key", "hotkey")) == [("defect", "1"), ("no_defect", "0")]
    assert draft.body_sha256 == ""
    assert draft.published_at is None
    guidelines.edit_label(by=world.seat("sam"), label=label_in(draft), fields=fields_of(label_in(draft), name="Mark"))
    assert LabelDefinition.objects.get(version=world.version, key="defect").name == "Defect", "a copy, not the same row"


def test_examples_are_copied_and_mappings_are_not(world: World) -> None:
    first = draft_in(world)
    for key in ("defect", "no_defect"):
        guidelines.add_example(
            by=world.seat("sam"), label=label_in(first, key), polarity="positive", item=world.items[0]
        )
    guidelines.edit_label(by=world.seat("sam"), label=label_in(first), fields=fields_of(label_in(first), key="flaw"))
    guidelines.save_draft(by=world.seat("sam"), version=first, body="x", change_note="Another word.")
    published = guidelines.publish_version(by=world.seat("sam"), version=first)
    assert published.mappings.get().from_key == "defect"
    second = guidelines.start_draft(by=world.seat("olga"))
    assert [example.item for label in second.labels.all() for example in label.examples.all()] == [world.items[0]] * 2
    assert not second.mappings.exists()
    assert second.change_note == ""


def test_a_second_draft_is_refused_and_says_where_the_first_is(world: World) -> None:
    draft = draft_in(world)
    with pytest.raises(Refusal) as refused:
        guidelines.start_draft(by=world.seat("olga"))
    assert refused.value.code == "draft_exists"
    assert refused.value.data["uuid"] == str(draft.uuid)
    assert "Sam Ode" in refused.value.message


@pytest.mark.django_db(transaction=True)
def test_two_people_starting_at_once_get_one_draft() -> None:
    world = World.build()
    seats = [world.seat("sam"), world.seat("olga")]
    barrier, outcomes = threading.Barrier(2), []

    def start(seat) -> None:
        try:
            barrier.wait(timeout=10)
            outcomes.append(guidelines.start_draft(by=seat).number)
        except Refusal as refusal:
            outcomes.append(refusal.code)
        finally:
            connection.close()

    threads = [threading.Thread(target=start, args=(seat,)) for seat in seats]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert sorted(map(str, outcomes)) == ["2", "draft_exists"]
    assert GuidelineVersion.objects.filter(project=world.project, status="draft").count() == 1
    assert GuidelineVersion.objects.get(status="draft").labels.count() == 2, "not half of a copy beside a whole one"


def test_a_new_project_starts_with_named_labels() -> None:
    world = World.build()
    seat = project_for(world.people["otto"], "phones-otto")
    draft = guidelines.start_draft(by=seat, labels=["Treats", "Does not treat"])
    assert list(draft.labels.values_list("key", "name", "hotkey", "colour_token")) == [
        ("treats", "Treats", "1", "label-1"),
        ("does_not_treat", "Does not treat", "0", "label-2"),
    ]
    assert draft.parent is None
    assert draft.number == 1


def test_labels_of_an_imported_version_are_a_start_without_a_parent(world: World) -> None:
    olga = world.people["olga"]
    other = Project.objects.create(slug="import", name="Import", task_type="single_choice", question="?")
    Membership.objects.create(project=other, user=olga, role="owner")
    imported = GuidelineVersion.objects.create(project=other, number=1, status="as_imported")
    LabelDefinition.objects.create(version=imported, key="1", name="1")
    draft = guidelines.start_draft(by=project_for(olga, "import"))
    assert (draft.number, draft.parent) == (2, None)
    assert draft.labels.get().key == "1"


def test_only_owner_and_sme_write_definitions(world: World) -> None:
    draft = draft_in(world)
    for name in ("gene", "mel"):
        with pytest.raises(NotAllowed):
            guidelines.save_draft(by=world.seat(name), version=draft, body="mine", change_note="")
        with pytest.raises(NotAllowed):
            guidelines.publish_version(by=world.seat(name), version=draft)
        with pytest.raises(NotAllowed):
            guidelines.start_draft(by=world.seat(name))
    with pytest.raises(NotSeen):
        guidelines.save_draft(
            by=project_for(world.people["otto"], "phones-otto"), version=draft, body="mine", change_note=""
        )


def test_two_people_write_the_instructions_and_the_second_is_told(world: World) -> None:
    draft = draft_in(world)
    seen = draft_fingerprint(draft)
    guidelines.save_draft(by=world.seat("sam"), version=draft, body="Sam's text", change_note="", seen=seen)
    with pytest.raises(Refusal) as refused:
        guidelines.save_draft(by=world.seat("olga"), version=draft, body="Olga's text", change_note="", seen=seen)
    assert refused.value.code == "changed_meanwhile"
    assert "Sam Ode" in refused.value.message
    assert refused.value.data["body"] == "Sam's text", "what stands now comes along, to bring the two together"
    draft.refresh_from_db()
    assert draft.body == "Sam's text"
    guidelines.save_draft(
        by=world.seat("olga"), version=draft, body="Both texts", change_note="", seen=refused.value.data["seen"]
    )
    draft.refresh_from_db()
    assert (draft.body, draft.saved_by) == ("Both texts", world.people["olga"])


def test_saving_without_what_one_has_seen_overwrites(world: World) -> None:
    """The negative control of the story above: it is the fingerprint that protects."""
    draft = draft_in(world)
    guidelines.save_draft(by=world.seat("sam"), version=draft, body="Sam's text", change_note="")
    guidelines.save_draft(by=world.seat("olga"), version=draft, body="Olga's text", change_note="", seen=None)
    draft.refresh_from_db()
    assert draft.body == "Olga's text"


def test_two_people_on_two_labels_do_not_disturb_each_other(world: World) -> None:
    draft = draft_in(world)
    one, other = label_in(draft, "defect"), label_in(draft, "no_defect")
    seen_one, seen_other = label_fingerprint(one), label_fingerprint(other)
    guidelines.edit_label(by=world.seat("sam"), label=one, fields=fields_of(one, definition="A mark."), seen=seen_one)
    guidelines.edit_label(
        by=world.seat("olga"), label=other, fields=fields_of(other, definition="None."), seen=seen_other
    )
    with pytest.raises(Refusal) as refused:
        guidelines.edit_label(by=world.seat("olga"), label=one, fields=fields_of(one, name="Flaw"), seen=seen_one)
    assert refused.value.code == "changed_meanwhile"
    assert label_in(draft).definition == "A mark."


def test_the_same_save_twice_is_no_conflict_and_no_event(world: World) -> None:
    draft = draft_in(world)
    label = label_in(draft)
    seen = label_fingerprint(label)
    for _ in range(2):
        guidelines.edit_label(by=world.seat("sam"), label=label, fields=fields_of(label, definition="New"), seen=seen)
    assert Event.objects.filter(verb="label_edited").count() == 1


def test_every_wrong_field_of_a_label_is_named_at_once(world: World) -> None:
    draft = draft_in(world)
    with pytest.raises(BadValue) as refused:
        guidelines.add_label(
            by=world.seat("sam"), version=draft,
            fields=LabelFields(name="defect", key="no_defect", hotkey="b", threshold_value="0.3", colour_token="red"),
        )  # fmt: skip
    errors = refused.value.data["errors"]
    assert set(errors) == {
        "name", "key", "hotkey", "threshold_attribute", "threshold_operator", "colour_token",
    }  # fmt: skip
    assert "> or ≥" in errors["threshold_operator"]
    assert draft.labels.count() == 2


@pytest.mark.parametrize("key", [*list("bncqsudezrh"), "B", "?", "ß", " 1x", "10"])
def test_a_key_of_the_desk_or_no_key_at_all_is_refused(world: World, key: str) -> None:
    draft = draft_in(world)
    with pytest.raises(BadValue) as refused:
        guidelines.add_label(by=world.seat("sam"), version=draft, fields=LabelFields(name="Pit", hotkey=key))
    assert "hotkey" in refused.value.data["errors"]


def test_a_double_key_names_the_label_that_holds_it(world: World) -> None:
    draft = draft_in(world)
    with pytest.raises(BadValue, match="“1” is the key of “Defect”"):
        guidelines.add_label(by=world.seat("sam"), version=draft, fields=LabelFields(name="Pit", hotkey="1"))


def test_a_free_key_is_given_where_none_is_named(world: World) -> None:
    draft = draft_in(world)
    label = guidelines.add_label(by=world.seat("sam"), version=draft, fields=LabelFields(name="Pit"))
    assert (label.hotkey, label.key, label.colour_token, label.ordinal) == ("2", "pit", "label-3", 2)


@pytest.mark.parametrize(
    ("raw", "stored"), [("0.3", "0.3"), ("0,3", "0.3"), ("−5", "-5"), (0.1, "0.1"), (" 12 ", "12")]
)
def test_a_threshold_is_read_as_people_write_numbers(world: World, raw, stored: str) -> None:
    draft = draft_in(world)
    label = guidelines.add_label(
        by=world.seat("sam"), version=draft,
        fields=LabelFields(
            name="Pit", threshold_attribute="depth", threshold_operator="≥", threshold_value=raw, threshold_unit="mm"
        ),
    )  # fmt: skip
    label.refresh_from_db()
    assert label.threshold_value == Decimal(stored)


@pytest.mark.parametrize("raw", ["much", "nan", "inf", "1e30", "0.1234567"])
def test_a_threshold_that_is_no_plain_number_is_refused(world: World, raw: str) -> None:
    with pytest.raises(BadValue) as refused:
        guidelines.add_label(
            by=world.seat("sam"), version=draft_in(world),
            fields=LabelFields(name="Pit", threshold_attribute="depth", threshold_operator="≥", threshold_value=raw),
        )  # fmt: skip
    assert "threshold_value" in refused.value.data["errors"]


def test_labels_change_places(world: World) -> None:
    draft = draft_in(world)
    pit = guidelines.add_label(by=world.seat("sam"), version=draft, fields=LabelFields(name="Pit"))
    guidelines.move_label(by=world.seat("sam"), label=pit, to=0)
    assert list(draft.labels.values_list("key", flat=True)) == ["pit", "defect", "no_defect"]
    guidelines.move_label(by=world.seat("sam"), label=pit, to=99)
    assert list(draft.labels.values_list("key", flat=True)) == ["defect", "no_defect", "pit"]


def test_a_renamed_key_keeps_its_past(world: World) -> None:
    draft = draft_in(world)
    label = label_in(draft)
    guidelines.edit_label(by=world.seat("sam"), label=label, fields=fields_of(label, key="flaw"))
    assert draft.mappings.values_list("kind", "from_key", "to_key").get() == ("normalise", "defect", "flaw")
    guidelines.edit_label(by=world.seat("sam"), label=label, fields=fields_of(label_in(draft, "flaw"), key="defect"))
    assert not draft.mappings.exists(), "named as before: nothing to map"


def test_a_removed_label_may_be_merged_into_another(world: World) -> None:
    draft = draft_in(world)
    guidelines.add_label(by=world.seat("sam"), version=draft, fields=LabelFields(name="Pit"))
    with pytest.raises(BadValue, match="no other label"):
        guidelines.remove_label(by=world.seat("sam"), label=label_in(draft), merge_into="dent")
    guidelines.remove_label(by=world.seat("sam"), label=label_in(draft), merge_into="pit")
    assert draft.mappings.values_list("kind", "from_key", "to_key").get() == ("merge", "defect", "pit")
    guidelines.remove_label(by=world.seat("sam"), label=label_in(draft, "pit"))
    assert not LabelMapping.objects.exists(), "its target is gone"


def test_an_example_is_an_item_of_the_project_or_own_words(world: World) -> None:
    draft, sam = draft_in(world), world.seat("sam")
    label = label_in(draft)
    guidelines.add_example(by=sam, label=label, polarity="positive", item=world.items[0], note="0.36 mm")
    guidelines.add_example(by=sam, label=label, polarity="negative", payload={"text": "a reflection"})
    assert [example.ordinal for example in label.examples.all()] == [0, 1]
    with pytest.raises(BadValue, match="n1 is an example of “Defect” already"):
        guidelines.add_example(by=sam, label=label, polarity="negative", item=world.items[0])
    with pytest.raises(BadValue, match="Choose an item, or write"):
        guidelines.add_example(by=sam, label=label, polarity="negative")
    with pytest.raises(BadValue, match="'camera' is no field that raters read"):
        guidelines.add_example(by=sam, label=label, polarity="negative", payload={"camera": "3"})
    with pytest.raises(BadValue, match="polarity must be one of"):
        guidelines.add_example(by=sam, label=label, polarity="neutral", payload={"text": "x"})
    with pytest.raises(BadValue, match="Write the example"):
        guidelines.add_example(by=sam, label=label, polarity="negative", payload={"text": "  "})


def test_another_projects_item_is_no_example(world: World) -> None:
    elsewhere = World.build(slug="tablets", with_otto=False)
    with pytest.raises(BadValue, match="no such item in this project"):
        guidelines.add_example(
            by=world.seat("sam"), label=label_in(draft_in(world)), polarity="positive", item=elsewhere.items[0]
        )


def test_a_published_version_refuses_every_act(world: World) -> None:
    sam, label = world.seat("sam"), label_in(world.version)
    for act in (
        lambda: guidelines.save_draft(by=sam, version=world.version, body="x", change_note=""),
        lambda: guidelines.add_label(by=sam, version=world.version, fields=LabelFields(name="Pit")),
        lambda: guidelines.edit_label(by=sam, label=label, fields=fields_of(label, name="Flaw")),
        lambda: guidelines.remove_label(by=sam, label=label),
        lambda: guidelines.move_label(by=sam, label=label, to=1),
        lambda: guidelines.add_example(by=sam, label=label, polarity="positive", payload={"text": "x"}),
        lambda: guidelines.discard_draft(by=sam, version=world.version),
        lambda: guidelines.publish_version(by=sam, version=world.version),
    ):
        with pytest.raises(Refusal) as refused:
            act()
        assert refused.value.code == "published"


def test_what_one_writes_in_a_discarded_draft_is_refused_kindly(world: World) -> None:
    draft = draft_in(world)
    label = label_in(draft)
    guidelines.add_example(by=world.seat("sam"), label=label, polarity="positive", item=world.items[0])
    guidelines.discard_draft(by=world.seat("olga"), version=draft)
    with pytest.raises(Refusal) as refused:
        guidelines.edit_label(by=world.seat("sam"), label=label, fields=fields_of(label, name="Flaw"))
    assert refused.value.code == "gone"
    assert "still on this page" in refused.value.message
    assert guidelines.start_draft(by=world.seat("sam")).number == 2, "the number is free again"
    assert Event.objects.filter(verb="draft_discarded").get().data["number"] == 2


def test_too_long_a_text_says_how_long(world: World) -> None:
    with pytest.raises(BadValue, match="100,001 characters long; 100,000 is the most"):
        guidelines.save_draft(by=world.seat("sam"), version=draft_in(world), body="x" * 100_001, change_note="")


def test_unknown_settings_are_named(world: World) -> None:
    draft = draft_in(world)
    with pytest.raises(BadValue, match="Unknown setting 'thresh'"):
        guidelines.save_draft(by=world.seat("sam"), version=draft, body="", change_note="", task_settings={"thresh": 1})
    with pytest.raises(BadValue, match="from 0 to below 1"):
        guidelines.save_draft(
            by=world.seat("sam"), version=draft, body="", change_note="", task_settings={"disagreement_threshold": 2}
        )
    saved = guidelines.save_draft(
        by=world.seat("sam"), version=draft, body="", change_note="", task_settings={"attribute": "length"}
    )
    assert saved.task_settings == {"attribute": "length"}
