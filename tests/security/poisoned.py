"""A world in which every text that somebody may write holds markup that tries to break out of where it is shown."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.utils import timezone

from labeling import dispatch, guidelines
from labeling.claiming import acknowledge_version, claim_next
from labeling.formats.images import inspect_image, store_image
from labeling.guidelines.fields import LabelFields
from labeling.hashing import sha256_json
from labeling.models import Batch, ImportRun, Item, ItemTag, Job, LabelDefinition, Membership, Project, User
from labeling.questions import answer_question
from labeling.selection import Selection
from labeling.submission import Answer, ask_question, skip_place, submit_annotation
from tests.intake.conftest import picture
from tests.worlds import World, run_jobs

# Leaves comments, attributes, titles, text areas, scripts and style sheets, then opens an element and fetches a picture.
BREAK_OUT = "-->\"'></title></textarea></script></style></select>"
SHORT = "\"'>"


def poison(field: str, *, short: bool = False) -> str:
    """Markup named after the field it was written into: `<poison-field>` in a page's source is an element, so a hole."""
    return f"{SHORT if short else BREAK_OUT}<poison-{field}><img src=x onerror=alert(1)>{{{{7*7}}}}"


def tag(field: str, *, short: bool = False) -> str:
    """For columns too small for all of it."""
    return f"{SHORT}<poison-{field}>"


# Each field must be seen, escaped, on some page: else the pages were not really looked at.
SHOWN = (
    "project-name", "question", "display-name", "payload", "external-id", "metadata-key", "metadata-value", "tag", "title",
    "body", "change-note", "label-name", "definition", "include", "exclude", "example-note", "example-payload",
    "attribute", "batch-name", "asked", "reply", "comment", "file-name", "finding", "job-error", "imported-rater",
)  # fmt: skip


def poisoned_world() -> World:
    """`World.build` with poison in it; the scenes of the address table build on it as on any other."""
    world = World.build()
    project = world.project
    Project.objects.filter(pk=project.pk).update(
        name=poison("project-name"), question=poison("question"),
        payload_schema={"fields": [{"name": "text", "kind": "text", "title": poison("title")}]},
    )  # fmt: skip
    project.refresh_from_db()
    for user in world.people.values():
        User.objects.filter(pk=user.pk).update(display_name=poison("display-name")[:140])
        user.refresh_from_db()
    world.version = _version(world)
    return world


def furnish(world: World) -> None:
    """Items, an open batch with answers, a draft, imports, a failed job: all with poison."""
    _batch(world, _items(world))
    _imports(world)


def _items(world: World) -> list[Item]:
    items = [
        Item(
            project=world.project, external_id=f"{poison('external-id')} {number}", payload=payload, payload_sha256=sha256_json(payload),
            metadata={f"{tag('metadata-key')} {number}": poison("metadata-value"), "camera": poison("metadata-value")},
        )
        for number in range(4) for payload in [{"text": f"{poison('payload')} {number}"}]
    ]  # fmt: skip
    data = picture(9)
    media = store_image(data, inspect_image(data, max_bytes=1 << 20), settings.MEDIA_ROOT)
    payload = {"text": "pictured", "screen": f"sha256:{media['sha256']}"}
    items.append(
        Item(
            project=world.project, external_id="pictured", payload=payload, payload_sha256=sha256_json(payload),
            media={"screen": media},
        )
    )  # fmt: skip
    Item.objects.bulk_create(items)
    made = list(Item.objects.filter(project=world.project).order_by("-pk")[:5])[::-1]
    for item in made:
        ItemTag.objects.create(item=item, tag=tag("tag"), by=world.people["olga"], at=timezone.now())
    return made


def _version(world: World) -> Any:
    """Version 2, published with poison in every field, so that its differences show it as well."""
    olga = world.seat("olga")
    draft = guidelines.start_draft(by=olga)
    picture_of = f"/items/{world.items[-1].uuid}/files/text/"
    body = (
        f"# {poison('body')}\n\n{poison('body')}\n\n[click](javascript:alert('poison')) ![{poison('body')}](https://elsewhere.example/a.png) "
        f"[x](data:text/html;base64,AAAA) ![{tag('body')}]({picture_of}) <script>alert('poison')</script>\n\n```{tag('body')}\n{poison('body')}\n```"
    )
    guidelines.save_draft(
        by=olga, version=draft, body=body, change_note=poison("change-note"),
        task_settings={"attribute": tag("attribute")},
    )  # fmt: skip
    for label in LabelDefinition.objects.filter(version=draft).select_related("version"):
        guidelines.edit_label(
            by=olga, label=label,
            fields=LabelFields(
                name=f"{tag('label-name')} {label.key}", definition=poison("definition"), include=poison("include"),
                exclude=poison("exclude"), hotkey=label.hotkey,
            ),
        )  # fmt: skip
        label.refresh_from_db()
        for polarity in ("positive", "negative", "borderline"):
            guidelines.add_example(
                by=olga, label=label, polarity=polarity, payload={"text": f"{poison('example-payload')} {polarity}"},
                note=poison("example-note"),
            )  # fmt: skip
    return guidelines.publish_version(by=olga, version=draft)


def _batch(world: World, items: list[Item]) -> None:
    """An open batch with answers, a skip, a question and its reply; and a draft."""
    batch = dispatch.create_batch(
        by=world.seat("olga"), name=poison("batch-name"), guideline_version=world.version, quotas={"generalist": 2},
        selection=Selection(order="as_listed", external_ids=tuple(item.external_id for item in items)), seed=7,
    )  # fmt: skip
    dispatch.open_batch(by=world.seat("olga"), batch=batch)
    run_jobs()
    batch = Batch.objects.select_related("project", "guideline_version").get(pk=batch.pk)
    gene = world.people["gene"]
    acknowledge_version(by=gene, batch=batch)
    places = claim_next(by=gene, batch=batch).places
    question = ask_question(by=gene, batch=batch, assignment=places[0].uuid, text=poison("asked"))
    answer_question(by=world.seat("sam"), question=question, text=poison("reply"))
    ask_question(by=gene, batch=batch, assignment=places[1].uuid, text=poison("asked"))
    for place, answer in (
        (places[0], Answer(value="defect", comment=poison("comment"))),
        (places[1], Answer(outcome="cannot_label", reason=poison("reason"), comment=poison("comment"))),
    ):
        submit_annotation(by=gene, batch=batch, assignment=place.uuid, token=place.claim_token or "", answer=answer)
    skip_place(
        by=gene, batch=batch, assignment=places[2].uuid, token=places[2].claim_token or "", reason=poison("skip-reason")
    )
    dispatch.create_batch(
        by=world.seat("olga"), name=f"{tag('batch-name')} draft", guideline_version=world.version, quotas={"expert": 1},
        selection=Selection(metadata={"camera": tag("metadata-value")}, tags=(tag("tag"),)),
    )  # fmt: skip


def _imports(world: World) -> None:
    """A refused import with findings, a rater who came with labels, and a failed job."""
    finding = {
        "row": 1, "field": poison("finding"), "value": poison("finding"), "reason": poison("finding"), "code": "bad_value",
    }  # fmt: skip
    listed = {"total": 1, "listed": [finding], "counts": [{"code": "bad_value", "count": 1}]}
    ImportRun.objects.create(
        project=world.project, kind="items", source=poison("file-name"), file_sha256="0" * 64, mapping_sha256="1" * 64,
        status="refused", rows_read=1, rows_refused=1, by=world.people["mel"], finished_at=timezone.now(),
        report={"errors": listed, "left_out": listed, "notes": [poison("finding")], "facts": {}},
    )  # fmt: skip
    rater = User.objects.create(username="imported-1", display_name=poison("imported-rater")[:140], is_active=False)
    Membership.objects.create(
        project=world.project, user=rater, role="rater", cohort="expert", active=False,
        imported_id=poison("imported-rater")[:100],
    )  # fmt: skip
    Job.objects.create(
        kind="open_batch", project=world.project, dedup_key="poison", by=world.people["mel"], status="failed",
        error=poison("job-error"), parameters={"batch": 0}, created_at=timezone.now(), finished_at=timezone.now(),
    )  # fmt: skip
