"""From a ruling to the next definition: motives, mappings, and what raters read of it."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse

from consistency import revising
from consistency.models import GuidelineMotive
from consistency.queries.motives import motives_of, words_for_readers
from consistency.revising import propose_change
from labeling import guidelines
from labeling.models import Batch, BatchItem, GuidelineVersion, LabelMapping
from labeling.queries.guideline_content import draft_of
from labeling.queries.version_chain import VersionChain
from labeling.refusals import BadValue, NotAllowed, NotSeen, Refusal
from tests.loop.scenes import a_disagreement, a_ruling
from tests.worlds import World, publish_plainly


def disputed(world: World, count: int = 3) -> tuple[Batch, list[Any]]:
    batch = world.open_batch()
    items = BatchItem.objects.filter(batch=batch).select_related("batch__project").order_by("rank")[:count]
    return batch, [a_disagreement(item) for item in items]


@pytest.mark.django_db
def test_a_ruling_becomes_a_motive_of_the_draft() -> None:
    world = World.build()
    _, cases = disputed(world)
    ruling = a_ruling(cases[0], by=world.people["sam"])
    draft = propose_change(by=world.seat("sam"), adjudications=[ruling], disagreements=cases[1:])
    assert (draft.number, draft.parent_id) == (2, world.version.pk)
    assert draft.change_note == ruling.rationale, "a first reason to start from"
    assert GuidelineMotive.objects.filter(guideline_version=draft).count() == 3
    again = propose_change(by=world.seat("olga"), adjudications=[ruling], disagreements=cases)
    assert again.pk == draft.pk
    assert GuidelineMotive.objects.filter(guideline_version=draft).count() == 3, "the same again changes nothing"


@pytest.mark.django_db
def test_a_disagreement_that_has_a_ruling_is_named_by_it() -> None:
    world = World.build()
    _, cases = disputed(world)
    old = a_ruling(cases[0], by=world.people["sam"])
    new = a_ruling(cases[0], by=world.people["olga"], revision=2, rationale="Looked at again.")
    draft = propose_change(by=world.seat("sam"), disagreements=[cases[0]])
    assert [motive.adjudication for motive in draft.motives.all()] == [new] != [old]


@pytest.mark.django_db
def test_who_may_not_and_what_is_not_theirs() -> None:
    world = World.build()
    other = World.build(slug="elsewhere", with_otto=False)
    _, cases = disputed(world)
    with pytest.raises(NotAllowed):
        propose_change(by=world.seat("mel"), disagreements=cases)
    with pytest.raises(NotSeen):
        propose_change(by=other.seat("sam"), disagreements=cases)
    with pytest.raises(BadValue):
        propose_change(by=world.seat("sam"))
    assert draft_of(world.project) is None


@pytest.mark.django_db
def test_merging_writes_a_mapping_that_names_the_ruling() -> None:
    world = World.build()
    third = (("defect", "Defect", "1"), ("no_defect", "No defect", "0"), ("pit", "Pit", "2"))
    version = publish_plainly(world.project, 2, third)
    GuidelineVersion.objects.filter(pk=version.pk).update()
    _, cases = disputed(world)
    ruling = a_ruling(cases[0], by=world.people["sam"], outcome="merge")
    seat = world.seat("sam")
    draft = propose_change(by=seat, adjudications=[ruling], merge=("pit", "defect"))
    mapping = LabelMapping.objects.get(guideline_version=draft)
    assert (mapping.kind, mapping.from_key, mapping.to_key, mapping.adjudication_uuid) == (
        "merge", "pit", "defect", ruling.uuid,
    )  # fmt: skip
    propose_change(by=seat, adjudications=[ruling], merge=("pit", "defect"))  # proposed before: nothing to do
    with pytest.raises(BadValue):
        propose_change(by=seat, adjudications=[ruling], merge=("hole", "dent"))


@pytest.mark.django_db
def test_normalising_renames_a_label_or_lets_it_read_as_another() -> None:
    world = World.build()
    _, cases = disputed(world)
    draft = propose_change(by=world.seat("sam"), disagreements=cases, normalise=("no_defect", "clean"))
    assert set(draft.labels.values_list("key", flat=True)) == {"defect", "clean"}
    assert LabelMapping.objects.get(guideline_version=draft).kind == "normalise"


@pytest.mark.django_db
def test_labels_read_through_every_version_on_the_way() -> None:
    """v1 pit → v2 hole → v3 defect; a version outside the chain has no way here."""
    world = World.build()
    v1 = world.version
    v2 = GuidelineVersion.objects.create(project=world.project, number=2, parent=v1)
    LabelMapping.objects.create(guideline_version=v2, kind="normalise", from_key="pit", to_key="hole")
    v2.status = "as_imported"
    v2.save()
    v3 = GuidelineVersion.objects.create(project=world.project, number=3, parent=v2)
    LabelMapping.objects.create(guideline_version=v3, kind="merge", from_key="hole", to_key="defect")
    chain = VersionChain(v3)
    read = [
        (chain.reads(version, key).key, chain.reads(version, key).kind)
        for version, key in ((v1.pk, "pit"), (v2.pk, "hole"), (v2.pk, "pit"), (v3.pk, "hole"), (v1.pk, "defect"))
    ]
    # v2 had no label “pit” of its own: nothing maps it on
    assert read == [("defect", "merge"), ("defect", "merge"), ("pit", ""), ("hole", ""), ("defect", "")]
    assert not VersionChain(v1).holds(v3.pk)


@pytest.mark.django_db
def test_raters_read_why_and_nobody_is_named(client: Client) -> None:
    world = World.build()
    _, cases = disputed(world)
    for case in cases[:2]:
        a_ruling(case, by=world.people["sam"], rationale="From 0.3 mm on customer care counts it.")
    a_ruling(cases[2], by=world.people["sam"], outcome="adjudicate", cause="rater_slip", rationale="Gene slipped.")
    draft = propose_change(by=world.seat("sam"), disagreements=cases)
    words = words_for_readers(draft)
    assert (words.items, words.rationales) == (3, ("From 0.3 mm on customer care counts it.",))
    motives = motives_of(draft)
    assert (motives.total, motives.rulings, [len(items) for _, items in motives.groups]) == (3, 3, [2, 1])
    for label in draft.labels.select_related("version"):
        guidelines.add_example(by=world.seat("sam"), label=label, polarity="positive", payload={"text": label.name})
    guidelines.save_draft(
        by=world.seat("sam"), version=draft, body="Longer than 0.3 mm.", change_note="A limit, in mm."
    )
    version = guidelines.publish_version(by=world.seat("sam"), version=draft)
    batch = world.open_batch("Again", version=version, read=False)
    client.force_login(world.people["gene"])
    page = client.get(reverse("labeling:acknowledge", args=[batch.uuid])).content.decode()
    assert "From 0.3 mm on customer care counts it." in page
    assert "A limit, in mm." in page
    assert "Longer than 0.3 mm." in page
    for hidden in ("Gene slipped", "Sam Ode", "Gina", "n1"):
        assert hidden not in page.split('id="new"')[1].split("</section>")[0], hidden
    client.post(reverse("labeling:acknowledge", args=[batch.uuid]))
    assert "What changed and why" not in client.get(reverse("labeling:acknowledge", args=[batch.uuid])).content.decode()


@pytest.mark.django_db
def test_the_editor_shows_the_motives_beside(client: Client, django_assert_max_num_queries: Any) -> None:
    world = World.build()
    _, cases = disputed(world)
    a_ruling(cases[0], by=world.people["sam"])
    client.force_login(world.people["sam"])
    answer = client.post(
        reverse("consistency:propose_change", args=[world.project.slug]),
        {"disagreement": [str(case.uuid) for case in cases]},
    )
    assert answer.headers["Location"] == reverse("labeling:guideline_edit", args=[world.project.slug])
    page = client.get(answer.headers["Location"]).content.decode()
    assert "Why this change" in page
    assert "Nobody said from which length on a mark counts." in page
    assert "Not ruled yet" in page


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("guarded", [True, False])
def test_a_proposal_meets_publishing(monkeypatch: pytest.MonkeyPatch, guarded: bool) -> None:
    """The draft is published between the look and the lock: the merge goes into the next draft, never the sealed one.

    The control drops the second look: the act ends in a refusal and the proposal is lost.
    """
    world = World.build()
    _, cases = disputed(world)
    draft = guidelines.start_draft(by=world.seat("sam"))
    for label in draft.labels.select_related("version"):
        guidelines.add_example(by=world.seat("sam"), label=label, polarity="positive", payload={"text": label.name})
    guidelines.save_draft(by=world.seat("sam"), version=draft, body="Look twice.", change_note="Look twice.")
    lock, published = revising.lock_draft, []

    def publish() -> None:
        try:
            guidelines.publish_version(by=world.seat("olga"), version=draft)
        finally:
            connection.close()

    def meanwhile(by: Any, version: GuidelineVersion) -> GuidelineVersion:
        if not published:
            published.append(True)
            if connection.vendor == "postgresql":  # SQLite lets no other writer in while this one writes
                other = threading.Thread(target=publish)
                other.start()
                other.join(timeout=20)
            else:
                guidelines.publish_version(by=world.seat("olga"), version=draft)
        return lock(by, version)

    monkeypatch.setattr(revising, "lock_draft", meanwhile)
    if not guarded:
        monkeypatch.setattr(revising, "draft_of", lambda project: draft)
        with pytest.raises(Refusal):
            propose_change(by=world.seat("sam"), disagreements=cases)
        assert GuidelineMotive.objects.count() == 0
        return
    found = propose_change(by=world.seat("sam"), disagreements=cases)
    draft.refresh_from_db()
    assert draft.status == "published"
    assert (found.number, found.parent_id, found.status) == (3, draft.pk, "draft")
    assert {motive.guideline_version_id for motive in GuidelineMotive.objects.all()} == {found.pk}
