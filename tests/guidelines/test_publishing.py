"""Stories of publishing: what holds it up, what it warns of, and what the seal covers."""

from __future__ import annotations

import pytest

from labeling import guidelines
from labeling.guidelines.checks import bare_quantities, check_draft
from labeling.guidelines.fields import LabelFields
from labeling.models import Event, GuidelineVersion, LabelDefinition
from labeling.queries.guideline_content import content_of, content_sha256
from labeling.refusals import Refusal
from tests.guidelines.test_editing import draft_in, fields_of, label_in
from tests.worlds import World

pytestmark = pytest.mark.django_db


def complete(world: World, draft: GuidelineVersion) -> GuidelineVersion:
    """Everything a draft needs: an example and a counter-example for each label, and a reason."""
    sam = world.seat("sam")
    for label in draft.labels.select_related("version"):
        guidelines.add_example(by=sam, label=label, polarity="positive", payload={"text": f"{label.name}, clearly"})
        guidelines.add_example(by=sam, label=label, polarity="negative", payload={"text": f"not {label.name}"})
    guidelines.save_draft(by=sam, version=draft, body=draft.body + "\n\nLook twice.", change_note="Look twice.")
    draft.refresh_from_db()
    return draft


def reasons_of(world: World, draft: GuidelineVersion) -> list[str]:
    with pytest.raises(Refusal) as refused:
        guidelines.publish_version(by=world.seat("sam"), version=draft)
    assert refused.value.code == "not_ready"
    draft.refresh_from_db()
    assert draft.status == "draft"
    return refused.value.data["reasons"]


def open_codes(draft: GuidelineVersion, *, required: bool) -> set[str]:
    return {check.code for check in check_draft(draft) if not check.done and check.required is required}


def test_a_complete_draft_is_published_numbered_and_hashed(world: World) -> None:
    draft = complete(world, draft_in(world))
    published = guidelines.publish_version(by=world.seat("sam"), version=draft)
    published.refresh_from_db()
    assert (published.number, published.status, published.published_by) == (2, "published", world.people["sam"])
    assert published.published_at is not None
    assert published.body_sha256 == content_sha256(published)
    assert len(published.body_sha256) == 64
    assert Event.objects.filter(verb="published").latest("pk").data["sha256"] == published.body_sha256
    with pytest.raises(Refusal) as refused:
        guidelines.publish_version(by=world.seat("olga"), version=draft)
    assert refused.value.code == "published"


def test_the_hash_covers_every_part_of_the_content(world: World) -> None:
    draft = complete(world, draft_in(world))
    sam, label = world.seat("sam"), label_in(draft)
    hashes = [content_sha256(draft)]

    def changed() -> bool:
        hashes.append(content_sha256(GuidelineVersion.objects.get(pk=draft.pk)))
        return hashes[-1] not in hashes[:-1]

    whole = {"attribute": "length", "operator": ">", "value": "0.3", "unit": "mm"}
    for change in (
        {"name": "Flaw"}, {"definition": "A mark."}, {"include": "pits"}, {"exclude": "dust"}, {"hotkey": "7"},
        {"colour_token": "label-9"}, {"is_borderline": True},
        {f"threshold_{name}": value for name, value in whole.items()}, {"threshold_operator": "≥"}, {"key": "flaw"},
    ):  # fmt: skip
        label = guidelines.edit_label(by=sam, label=label, fields=fields_of(label, **change))
        assert changed(), change
    example = guidelines.add_example(by=sam, label=label, polarity="borderline", item=world.items[0])
    assert changed()
    guidelines.remove_example(by=sam, example=example)
    assert not changed(), "as it was before"
    guidelines.move_label(by=sam, label=label, to=1)
    assert changed()
    for field in ("body", "change_note"):
        guidelines.save_draft(by=sam, version=draft, **{"body": "B", "change_note": "C", field: "other"})
        assert changed(), field
    guidelines.save_draft(by=sam, version=draft, body="B", change_note="C", task_settings={"attribute": "length"})
    assert changed()


def test_publishing_is_refused_with_every_reason(world: World) -> None:
    draft = draft_in(world)
    label = label_in(draft)
    guidelines.edit_label(by=world.seat("sam"), label=label, fields=fields_of(label, definition=""))
    reasons = reasons_of(world, draft)
    assert "“Defect” has no definition." in reasons
    assert "“Defect” has no example." in reasons
    assert "“No defect” has no example." in reasons
    assert any("Say what changes since v1 and why" in reason for reason in reasons)


def test_one_missing_example_holds_publishing_up(world: World) -> None:
    """The negative control of a complete draft: take one thing away and it is refused for that thing alone."""
    draft = complete(world, draft_in(world))
    guidelines.remove_example(by=world.seat("sam"), example=label_in(draft).examples.get(polarity="positive"))
    assert reasons_of(world, draft) == ["“Defect” has no example."]


def test_a_first_version_needs_labels_and_no_reason(world: World) -> None:
    from labeling.access import project_for

    otto = project_for(world.people["otto"], "phones-otto")
    draft = guidelines.start_draft(by=otto)
    with pytest.raises(Refusal) as refused:
        guidelines.publish_version(by=otto, version=draft)
    assert refused.value.data["reasons"] == ["A choice needs at least two labels."]
    for name in ("Yes", "No"):
        label = guidelines.add_label(by=otto, version=draft, fields=LabelFields(name=name, definition=f"It is {name}."))
        guidelines.add_example(by=otto, label=label, polarity="positive", payload={"text": name})
    assert guidelines.publish_version(by=otto, version=draft).number == 1


def test_a_reserved_key_that_came_in_another_way_is_refused(world: World) -> None:
    draft = complete(world, draft_in(world))
    LabelDefinition.objects.filter(version=draft, key="defect").update(hotkey="b")
    assert reasons_of(world, draft) == ["The key b of “Defect” belongs to the desk."]


def test_someone_changed_the_draft_after_one_looked(world: World) -> None:
    draft = complete(world, draft_in(world))
    seen = content_sha256(draft)
    guidelines.save_draft(by=world.seat("olga"), version=draft, body="Not this!", change_note="x")
    with pytest.raises(Refusal) as refused:
        guidelines.publish_version(by=world.seat("sam"), version=draft, seen=seen)
    assert refused.value.code == "changed_meanwhile"
    assert "Olga Owner" in refused.value.message


def test_warnings_are_kept_and_hold_nothing_up(world: World) -> None:
    draft = complete(world, draft_in(world))
    label = label_in(draft)
    guidelines.edit_label(
        by=world.seat("sam"), label=label, fields=fields_of(label, definition="A mark of 0.3 mm counts.")
    )
    assert open_codes(draft, required=False) == {"bare_quantity"}
    guidelines.publish_version(by=world.seat("sam"), version=draft)
    assert "says “0.3 mm” without" in Event.objects.filter(verb="published").latest("pk").data["warnings"][0]


def test_the_rule_itself_says_the_number(world: World) -> None:
    draft = complete(world, draft_in(world))
    label = label_in(draft)
    guidelines.edit_label(
        by=world.seat("sam"), label=label,
        fields=fields_of(
            label, definition="At least one mark is longer than 0.3 mm.", threshold_attribute="length",
            threshold_operator=">", threshold_value="0.3", threshold_unit="mm",
        ),
    )  # fmt: skip
    assert open_codes(draft, required=False) == set()


def test_two_rules_that_leave_the_limit_to_nobody_or_to_both(world: World) -> None:
    draft = complete(world, draft_in(world))
    for key, operator in (("defect", ">"), ("no_defect", "<")):
        label = label_in(draft, key)
        guidelines.edit_label(
            by=world.seat("sam"), label=label,
            fields=fields_of(
                label, threshold_attribute="length", threshold_operator=operator, threshold_value="0.3",
                threshold_unit="mm",
            ),
        )  # fmt: skip
    texts = [check.text for check in check_draft(draft) if check.code == "boundary"]
    assert texts == ["Exactly 0.3 mm (length) belongs to no label."]
    label = label_in(draft, "no_defect")
    label = guidelines.edit_label(by=world.seat("sam"), label=label, fields=fields_of(label, threshold_operator="≤"))
    assert not [check for check in check_draft(draft) if check.code == "boundary"]
    other = label_in(draft)
    guidelines.edit_label(by=world.seat("sam"), label=other, fields=fields_of(other, threshold_operator="≥"))
    assert [check.text for check in check_draft(draft) if check.code == "boundary"] == [
        "Exactly 0.3 mm (length) belongs to both “Defect”, “No defect”."
    ]


def test_a_label_that_goes_without_a_successor_is_a_warning(world: World) -> None:
    draft = complete(world, draft_in(world))
    guidelines.add_label(by=world.seat("sam"), version=draft, fields=LabelFields(name="Pit", definition="A pit."))
    guidelines.remove_label(by=world.seat("sam"), label=label_in(draft))
    assert "gone" in open_codes(draft, required=False)


def test_an_unchanged_draft_is_a_warning(world: World) -> None:
    assert "unchanged" in open_codes(draft_in(world), required=False)


@pytest.mark.parametrize(
    ("text", "bare"),
    [
        ("a mark of 0.3 mm", ["0.3 mm"]),
        ("longer than 0.3mm", ["0.3mm"]),
        ("> 0.3 mm, ≤0.5 mm, >= 2 cm", []),
        ("between 10 and 20 %", ["20 %"]),
        ("under 5 seconds or over 2 minutes", ["5 seconds", "2 minutes"]),
        ("costs €5 or more", ["€5"]),
        ("three raters, 2 people, version 3, item 0.3", []),
        ("0,3 mm or 0.3 mm", ["0,3 mm", "0.3 mm"]),
        ("1.5.2 m, x5mm, 5mmx", []),
        ("38 °C", ["38 °C"]),
    ],
)
def test_numbers_with_a_unit_and_no_sign(text: str, bare: list[str]) -> None:
    assert bare_quantities(text) == bare


def test_an_imported_payload_hashes_the_same_whatever_its_key_order(world: World) -> None:
    draft = draft_in(world)
    label = label_in(draft)
    guidelines.add_example(by=world.seat("sam"), label=label, polarity="positive", item=world.items[0])
    example = content_of(draft)["labels"][0]["examples"][0]
    assert example == {
        "polarity": "positive", "note": "", "item": "n1", "payload_sha256": world.items[0].payload_sha256,
    }  # fmt: skip
