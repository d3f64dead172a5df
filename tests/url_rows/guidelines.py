"""Addresses of definitions, of reading one, and of questions."""

from __future__ import annotations

from typing import Any

from labeling import guidelines
from labeling.claiming import acknowledge_version, claim_next
from labeling.models import Acknowledgement, Batch, GuidelineVersion, LabelExample, Question
from labeling.queries.guideline_content import draft_of
from labeling.submission import ask_question
from tests.url_table import Row, by_role, everyone, slug
from tests.worlds import World


def writers(status: int = 200) -> dict[str, int]:
    """Owner and SME, who write definitions and answer questions."""
    return by_role(olga=status, sam=status, mel=403, gene=403)


def insiders(status: int = 200) -> dict[str, int]:
    return by_role(olga=status, sam=status, mel=status, gene=status)


def a_draft(world: World) -> GuidelineVersion:
    return draft_of(world.project) or guidelines.start_draft(by=world.seat("olga"))


def in_draft(world: World) -> dict[str, Any]:
    a_draft(world)
    return slug(world)


def a_label(world: World) -> dict[str, Any]:
    return {**slug(world), "uuid": a_draft(world).labels.get(key="defect").uuid}


def an_example(world: World) -> dict[str, Any]:
    label = a_draft(world).labels.select_related("version").get(key="defect")
    if (shown := LabelExample.objects.filter(definition=label).first()) is not None:
        return {**slug(world), "uuid": shown.uuid}
    example = guidelines.add_example(
        by=world.seat("olga"), label=label, polarity="positive", payload={"text": "a mark"}
    )
    return {**slug(world), "uuid": example.uuid}


def ready(world: World) -> dict[str, Any]:
    draft = a_draft(world)
    for label in draft.labels.select_related("version"):
        guidelines.add_example(by=world.seat("olga"), label=label, polarity="positive", payload={"text": label.name})
    guidelines.save_draft(by=world.seat("olga"), version=draft, body="Look twice.", change_note="Look twice.")
    return slug(world)


def published(world: World) -> dict[str, Any]:
    return {**slug(world), "uuid": world.version.uuid}


def unpublished(world: World) -> dict[str, Any]:
    return {**slug(world), "uuid": a_draft(world).uuid}


def a_batch(world: World) -> Batch:
    return Batch.objects.filter(project=world.project, name="Asked about").first() or world.open_batch("Asked about")


def unread(world: World) -> dict[str, Any]:
    batch = a_batch(world)
    Acknowledgement.objects.all().delete()
    return {"uuid": batch.uuid}


def _question(world: World) -> Question:
    if (asked := Question.objects.filter(answered_at__isnull=True).first()) is not None:
        return asked
    batch = a_batch(world)
    acknowledge_version(by=world.people["gene"], batch=batch)
    place = claim_next(by=world.people["gene"], batch=batch).places[0]
    return ask_question(by=world.people["gene"], batch=batch, assignment=place.uuid, text="Does the frame count?")


def a_question(world: World) -> dict[str, Any]:
    return {**slug(world), "uuid": _question(world).uuid}


ROWS = [
    Row("guidelines", insiders(), kwargs=slug),
    Row("guidelines", insiders(), kwargs=in_draft, query="?page=99"),
    Row("guideline_start", writers(302), kwargs=slug, method="post"),
    Row("guideline", insiders(), kwargs=published),
    # A draft is read as its preview; a rater does not see it.
    Row("guideline", by_role(olga=302, sam=302, mel=302, gene=403), kwargs=unpublished),
    Row("guideline_diff", insiders(), kwargs=published),
    Row("guideline_diff", insiders(404), kwargs=published, query="?against=nothing"),
    Row("guideline_diff", by_role(olga=200, sam=200, mel=200, gene=403), kwargs=unpublished),
    Row("guideline_edit", writers(), kwargs=in_draft),
    Row("guideline_edit", writers(302), kwargs=in_draft, method="post", data=lambda world: {"body": "Look."}),
    Row("guideline_edit", writers(409), kwargs=slug, method="post", data=lambda world: {"body": "Look."}),
    Row("guideline_label_new", writers(), kwargs=in_draft),
    Row("guideline_label_new", writers(404), kwargs=slug),
    Row("guideline_label_new", writers(422), kwargs=in_draft, method="post"),
    Row("guideline_label", writers(), kwargs=a_label),
    Row("guideline_label", writers(422), kwargs=a_label, method="post"),
    Row("guideline_label_remove", writers(302), kwargs=a_label, method="post"),
    Row("guideline_label_move", writers(302), kwargs=a_label, method="post", data=lambda world: {"direction": "later"}),
    Row("guideline_examples", writers(), kwargs=a_label),
    Row("guideline_examples", writers(), kwargs=a_label, query="?search=n1&page=99"),
    Row("guideline_examples", writers(422), kwargs=a_label, method="post"),
    Row("guideline_example_remove", writers(302), kwargs=an_example, method="post"),
    Row("guideline_preview", by_role(olga=200, sam=200, mel=200, gene=403), kwargs=in_draft),
    Row("guideline_publish", writers(), kwargs=in_draft),
    Row("guideline_publish", writers(409), kwargs=in_draft, method="post"),
    Row("guideline_publish", writers(302), kwargs=ready, method="post"),
    Row("guideline_discard", writers(302), kwargs=in_draft, method="post"),
    # Reading before labeling is for those who label.
    Row("acknowledge", by_role(olga=403, sam=403, mel=403, gene=200), kwargs=unread),
    Row("acknowledge", by_role(olga=403, sam=403, mel=403, gene=302), kwargs=unread, method="post"),
    Row("questions", writers(), kwargs=lambda world: {"slug": a_question(world)["slug"]}),
    Row("questions", writers(), kwargs=slug, query="?page=99"),
    Row("question_answer", writers(), kwargs=a_question),
    Row("question_answer", writers(422), kwargs=a_question, method="post"),
    Row("question_answer", writers(302), kwargs=a_question, method="post", data=lambda world: {"text": "The glass."}),
    Row("question_answer", everyone(404, anonymous=302, mel=403, gene=403), kwargs=published),
]
