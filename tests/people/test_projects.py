"""Projects: founded with a draft of labels, described, and kept from changes that would move the ground under answers."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from labeling import dispatch, projects
from labeling.models import Event, GuidelineVersion, LabelDefinition, Membership, Project
from labeling.project_settings import audit_share, default_overlap
from labeling.projects import (
    ProjectForm,
    archive_project,
    create_project,
    edit_project,
    project_as_seen,
    restore_project,
)
from labeling.refusals import BadValue, NotAllowed, Refusal
from tests.worlds import World, run_jobs

pytestmark = pytest.mark.django_db
FIELDS = [{"name": "text", "kind": "text", "title": "Note", "required": True}]


def described(**more: Any) -> ProjectForm:
    return ProjectForm(
        **{
            "name": "Return notes",
            "question": "What is reported?",
            "fields": FIELDS,
            "overlap": {"generalist": 3},
            **more,
        }
    )


def posted(**more: str) -> dict[str, str]:
    return {
        "name": "Return notes", "question": "What is reported?", "task_type": "single_choice", "time_zone": "Europe/Berlin",
        "phase": "poc", "audit_percent": "5", "overlap_generalist": "3", "overlap_expert": "1", "overlap_target_user": "0",
        "labels": "Scratch\n\n Crack \nNothing\n",
        "fields-TOTAL_FORMS": "2", "fields-INITIAL_FORMS": "1",
        "fields-0-name": "note", "fields-0-title": "Note", "fields-0-kind": "text", "fields-0-required": "on",
        "fields-1-name": "photo", "fields-1-title": "", "fields-1-kind": "image", **more,
    }  # fmt: skip


def olga_client(world: World) -> Client:
    client = Client()
    client.force_login(world.people["olga"])
    return client


def test_olga_founds_a_project_in_the_browser(world: World) -> None:
    client = olga_client(world)
    answer = client.post(reverse("labeling:project_create"), posted())
    assert answer["Location"] == reverse("labeling:project", args=["return-notes"])
    project = Project.objects.get(slug="return-notes")
    assert project.payload_schema["fields"] == [
        {"name": "note", "kind": "text", "title": "Note", "required": True},
        {"name": "photo", "kind": "image", "title": "photo", "required": False},
    ]
    assert default_overlap(project) == {"generalist": 3, "expert": 1}
    assert audit_share(project) == 0.05
    assert Membership.objects.get(project=project).role == "owner"
    draft = GuidelineVersion.objects.get(project=project)
    assert (draft.number, draft.status) == (1, "draft")
    assert list(LabelDefinition.objects.filter(version=draft).values_list("key", "name", "hotkey")) == [
        ("scratch", "Scratch", "1"), ("crack", "Crack", "2"), ("nothing", "Nothing", "3"),
    ]  # fmt: skip
    page = client.get(answer["Location"]).content.decode()
    for words in (
        "No items yet.",
        "The first draft waits to be published.",
        "Nobody can label yet.",
        "A batch needs items",
    ):
        assert words in page


def test_what_was_typed_comes_back_with_the_error_beside_its_field(world: World) -> None:
    answer = olga_client(world).post(
        reverse("labeling:project_create"), posted(name="", **{"fields-1-name": "2nd photo"})
    )
    page = answer.content.decode()
    assert answer.status_code == 422
    assert 'value="2nd photo"' in page
    assert "This field is required." in page
    again = olga_client(world).post(reverse("labeling:project_create"), posted(**{"fields-1-name": "2nd photo"}))
    assert "Field 2: “2nd photo” cannot be a field" in again.content.decode()
    assert Project.objects.filter(name="Return notes").count() == 0


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"name": "  "}, "name"), ({"question": " "}, "question"), ({"task_type": "guess"}, "task_type"),
        ({"time_zone": "Mars/Olympus"}, "time_zone"), ({"phase": "beta"}, "phase"), ({"audit_share": 1.5}, "audit_share"),
        ({"fields": []}, "fields"), ({"fields": [*FIELDS, *FIELDS]}, "fields"),
        ({"fields": [{"name": "a b"}]}, "fields"), ({"fields": [{"name": "a", "kind": "film"}]}, "fields"),
        ({"fields": [{"name": f"f{number}"} for number in range(41)]}, "fields"),
        ({"overlap": {}}, "overlap_generalist"), ({"overlap": {"generalist": 51}}, "overlap_generalist"),
        ({"overlap": {"crowd": 1}}, "overlap"),
    ],
)  # fmt: skip
def test_a_wrong_description_names_its_field_and_writes_nothing(world: World, wrong: dict, field: str) -> None:
    before = Project.objects.count()
    with pytest.raises(BadValue) as refused:
        create_project(by=world.people["olga"], form=described(**wrong))
    assert refused.value.data["field"] == field
    assert Project.objects.count() == before


@pytest.mark.parametrize("labels", [["Only one"], ["Defect", "defect"], ["a" * 81, "b"], [f"l{n}" for n in range(101)]])
def test_wrong_labels_are_refused_by_name(world: World, labels: list[str]) -> None:
    with pytest.raises(BadValue) as refused:
        create_project(by=world.people["olga"], form=described(), labels=labels)
    assert refused.value.data["field"] == "labels"
    assert not Project.objects.filter(name="Return notes").exists()


def test_labels_in_any_script_and_more_than_ten(world: World) -> None:
    names = ["缺陷", "无缺陷", *[f"Label {number}" for number in range(10)]]
    project = create_project(by=world.people["olga"], form=described(), labels=names)
    labels = LabelDefinition.objects.filter(version__project=project)
    assert [label.name for label in labels] == names
    assert [label.key for label in labels][:3] == ["缺陷", "无缺陷", "label_0"]
    hotkeys = [label.hotkey for label in labels]
    assert hotkeys[:10] == [*"1234567890"]
    assert len(set(hotkeys)) == 12


def test_two_projects_of_one_name_have_two_addresses_and_new_is_kept_free(world: World) -> None:
    slugs = [
        create_project(by=world.people["olga"], form=described(name=name)).slug
        for name in ("Notes", "Notes", "New", "缺陷")
    ]
    assert slugs == ["notes", "notes-2", "new-2", "project"]


def test_raters_smes_and_engineers_found_no_projects(world: World) -> None:
    for name in ("gene", "sam", "mel"):
        with pytest.raises(NotAllowed):
            create_project(by=world.people[name], form=described())


def current(world: World, **more: Any) -> ProjectForm:
    world.project.refresh_from_db()
    fields = world.project.payload_schema["fields"]
    return described(**{"name": world.project.name, "question": world.project.question, "fields": fields, **more})


def test_olga_edits_and_the_event_says_what_changed(world: World) -> None:
    edit_project(by=world.seat("olga"), form=current(world, name="Screens", audit_share=0.2))
    world.project.refresh_from_db()
    assert world.project.name == "Screens"
    assert audit_share(world.project) == 0.2
    changed = Event.objects.get(verb="changed").data["changed"]
    assert changed["name"] == ["Phone screens", "Screens"]
    assert "question" not in changed
    count = Event.objects.count()
    edit_project(by=world.seat("olga"), form=current(world, audit_share=0.2))
    assert Event.objects.count() == count, "saving without a change writes nothing"


def test_settings_the_form_does_not_know_are_kept(world: World) -> None:
    world.project.settings = {"delta_min": 0.05}
    world.project.payload_schema = {"kind": "record", "fields": [{"name": "text", "kind": "text", "shown": False}]}
    world.project.save()
    edit_project(by=world.seat("olga"), form=current(world))
    world.project.refresh_from_db()
    assert world.project.settings["delta_min"] == 0.05
    assert world.project.payload_schema["kind"] == "record"
    assert world.project.payload_schema["fields"][0]["shown"] is False


def test_the_question_stays_while_a_batch_is_open(world: World) -> None:
    batch = world.open_batch()
    with pytest.raises(BadValue, match="two questions"):
        edit_project(by=world.seat("olga"), form=current(world, question="Is it broken?"))
    edit_project(by=world.seat("olga"), form=current(world, name="Another name is fine"))
    dispatch.close_batch(by=world.seat("olga"), batch=batch)
    run_jobs()
    edit_project(by=world.seat("olga"), form=current(world, question="Is it broken?"))


def test_fields_that_items_hold_keep_name_and_kind(world: World) -> None:
    for fields in ([{"name": "body"}], [{"name": "text", "kind": "image"}]):
        with pytest.raises(BadValue, match="Items hold “text” already"):
            edit_project(by=world.seat("olga"), form=current(world, fields=fields))
    edit_project(
        by=world.seat("olga"),
        form=current(world, fields=[{"name": "text", "title": "Report"}, {"name": "photo", "kind": "image"}]),
    )
    world.project.refresh_from_db()
    assert [field["title"] for field in world.project.payload_schema["fields"]] == ["Report", "photo"]
    edit_project(by=world.seat("olga"), form=current(world, fields=[{"name": "text", "title": "Report"}]))


def test_the_task_type_stays_once_a_definition_is_published(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    known = {**projects.task_types.registry(), "another": projects.task_types.get("single_choice")}
    monkeypatch.setattr(projects.task_types, "registry", lambda: known)
    with pytest.raises(BadValue) as refused:
        edit_project(by=world.seat("olga"), form=current(world, task_type="another"))
    assert refused.value.data["field"] == "task_type"
    empty = create_project(by=world.people["olga"], form=described())
    seat = projects.Seat(empty, Membership.objects.get(project=empty))
    assert edit_project(by=seat, form=described(task_type="another")).task_type == "another"


def test_two_owners_at_once_do_not_overwrite_each_other(world: World) -> None:
    seen = project_as_seen(world.project)
    edit_project(by=world.seat("olga"), form=current(world, name="First"), seen=seen)
    with pytest.raises(Refusal) as refused:
        edit_project(by=world.seat("olga"), form=current(world, name="Second"), seen=seen)
    assert refused.value.code == "changed_meanwhile"
    world.project.refresh_from_db()
    assert world.project.name == "First"


def test_the_edit_page_saves_what_it_showed(world: World) -> None:
    client = olga_client(world)
    url = reverse("labeling:project_edit", args=["phones"])
    page = client.get(url)
    form, rows = page.context["form"], page.context["fields"]
    data = {field.html_name: str(field.value() if field.value() is not None else "") for field in form}
    data |= {field.html_name: str(field.value() or "") for field in rows.management_form}
    for row in rows.forms:
        data |= {field.html_name: "on" if field.value() is True else str(field.value() or "") for field in row}
    before = project_as_seen(Project.objects.get(pk=world.project.pk))
    assert client.post(url, data)["Location"] == reverse("labeling:project", args=["phones"])
    assert client.post(url, {**data, "name": "Renamed"}).status_code in (302, 409)
    assert before == form["seen"].value()


def test_only_the_owner_edits(world: World) -> None:
    for name in ("sam", "mel", "gene"):
        with pytest.raises(NotAllowed):
            edit_project(by=world.seat(name), form=current(world))
        with pytest.raises(NotAllowed):
            archive_project(by=world.seat(name))
        with pytest.raises(NotAllowed):
            restore_project(by=world.seat(name))


def test_a_project_is_set_aside_and_brought_back(world: World) -> None:
    batch = world.open_batch()
    client = olga_client(world)
    url = reverse("labeling:project_archive", args=["phones"])
    assert "Close the open batches first" in client.post(url, follow=True).content.decode()
    dispatch.close_batch(by=world.seat("olga"), batch=batch)
    run_jobs()
    assert "set aside" in client.post(url, follow=True).content.decode()
    gene = Client()
    gene.force_login(world.people["gene"])
    assert "First look" not in gene.get(reverse("labeling:home")).content.decode()
    assert "set aside on" in client.get(reverse("labeling:home")).content.decode()
    client.post(url, {"restore": "1"})
    assert Project.objects.get(pk=world.project.pk).archived_at is None
