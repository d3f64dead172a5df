"""A project set aside: its pages stay, and nothing in it changes, by whichever address or act one comes."""

from __future__ import annotations

import ast
import pkgutil
from collections.abc import Iterator
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, reset_queries, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

import api
import consistency
import labeling
from labeling import access, claiming, dispatch, jobs, people, projects
from labeling.models import Batch, Job, Project
from labeling.refusals import Refusal
from tests.url_table import ROLES, Row, ask, table, url_of
from tests.worlds import World, make_user, run_jobs

pytestmark = pytest.mark.django_db

SET_ASIDE = "set aside"
# These change a person, or make a project; `project_archive` is the way in and out.
NO_PROJECT = {
    "log_in", "log_out", "account", "change_password", "single_keys", "reset_password", "project_create",
    "project_archive",
}  # fmt: skip


def actors(row: Row) -> list[str]:
    """Insiders who get through; otto and nobody in particular have no part in the project."""
    insiders = (role for role in ROLES if role not in ("anonymous", "otto"))
    return [role for role in insiders if row.expect[role] in (200, 201, 302)]


# Ending a program's access is never refused; counting what an offer would hold changes nothing.
NO_CHANGE = {("token_revoke", ""), ("relabel_offer", "?count")}
CHANGES = [
    row
    for row in table()
    if row.method != "get" and row.name not in NO_PROJECT and (row.name, row.query) not in NO_CHANGE and actors(row)
]


def set_aside(project: Project) -> None:
    Project.objects.filter(pk=project.pk).update(archived_at=timezone.now())


def statements(captured: CaptureQueriesContext) -> list[str]:
    """Rows of ours that were written, but for when somebody last logged in."""
    heads = ('INSERT INTO "', 'UPDATE "', 'DELETE FROM "')
    ours = ("labeling_", "consistency_", "api_")
    return [
        sql[:120]
        for sql in (query["sql"] for query in captured)
        for head in heads
        if sql.startswith(head) and sql[len(head) :].startswith(ours) and "last_login" not in sql
    ]


def trouble(world: World, row: Row) -> list[str]:
    """What the address writes, or does not say, once the project is set aside: one line per role that may use it."""
    lines = []
    with transaction.atomic():
        url, data = url_of(row, world), row.data(world)
        set_aside(world.project)
        for role in actors(row):
            reset_queries()  # the log has an end, and past it nothing would be seen
            with transaction.atomic(), CaptureQueriesContext(connection) as captured:
                answer = ask(world, row, role, url, data)
                words = answer.content.decode()
                if answer.status_code == 302:  # a refusal told on the page one comes back to
                    session = answer.client.session
                    words = str(session.get("_messages", ""))
                transaction.set_rollback(True)
            if changed := statements(captured):
                lines.append(f"{row} for {role} writes {changed}")
            if SET_ASIDE not in words:
                lines.append(f"{row} for {role} answers {answer.status_code} and does not say why")
        transaction.set_rollback(True)
    return lines


@pytest.mark.parametrize("row", CHANGES, ids=str)
def test_no_address_changes_anything_and_each_says_why(world: World, row: Row) -> None:
    assert trouble(world, row) == []


def test_without_the_one_check_every_address_goes_on_writing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: `refuse_archived` is the guard of all of them."""
    for module in (*_modules(), *_modules(consistency), *_modules(api)):
        if hasattr(module, "refuse_archived"):
            monkeypatch.setattr(module, "refuse_archived", lambda project: None)
    unnoticed = [str(row) for row in CHANGES if not trouble(world, row)]
    assert unnoticed == [], "\n".join(unnoticed)


# --- acts -----------------------------------------------------------------------------------------


def _modules(package: Any = labeling) -> Iterator[Any]:
    for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if ".migrations" not in found.name and ".management" not in found.name and ".demo" not in found.name:
            yield import_module(found.name)


def _calls(node: ast.AST) -> set[str]:
    called = (call.func for call in ast.walk(node) if isinstance(call, ast.Call))
    return {func.id if isinstance(func, ast.Name) else getattr(func, "attr", "") for func in called}


GUARDS = {"require", "refuse_archived", "lock_member"}
# An account's own settings, and the two acts that are the way in and out.
OTHERWISE = {
    "create_project", "archive_project", "restore_project", "change_password", "rename_self", "set_shortcuts",
    "create_founder",
}  # fmt: skip


def unguarded(sources: dict[str, str]) -> list[str]:
    """Acts (functions with a keyword-only `by`) that reach no guard; names are followed through all modules."""
    functions: dict[str, ast.FunctionDef] = {}
    acts: list[tuple[str, str]] = []
    for module, source in sources.items():
        for node in ast.parse(source).body:
            if isinstance(node, ast.FunctionDef):
                functions[node.name] = node
                if not node.name.startswith("_") and "by" in {argument.arg for argument in node.args.kwonlyargs}:
                    acts.append((module, node.name))

    def reaches(name: str, seen: set[str]) -> bool:
        if name in GUARDS:
            return True
        if name in seen or name not in functions:
            return False
        seen.add(name)
        return any(reaches(called, seen) for called in _calls(functions[name]))

    return sorted(f"{module}.{name}" for module, name in acts if name not in OTHERWISE and not reaches(name, set()))


def acts_sources() -> dict[str, str]:
    # `event` and `enqueue` carry the actor along; they are called by acts.
    kept = (module for module in _modules() if not module.__name__.endswith((".events", ".access")))
    return {
        module.__name__: Path(str(module.__file__)).read_text() for module in kept if ".views" not in module.__name__
    }


def test_every_act_asks_whether_the_project_takes_changes() -> None:
    assert set(unguarded(acts_sources())) <= {"labeling.jobs.enqueue"}


def test_an_act_that_does_not_ask_is_found() -> None:
    planted = "def wipe(*, by):\n    Item.objects.all().delete()\ndef tidy(*, by):\n    require(by, 'manage')\n"
    assert unguarded({"planted": planted}) == ["planted.wipe"]


# --- setting aside --------------------------------------------------------------------------------


def test_its_pages_stay_without_the_controls_that_change(world: World, client: Any) -> None:
    batch = world.open_batch()
    dispatch.close_batch(by=world.seat("olga"), batch=batch)
    run_jobs()
    projects.archive_project(by=world.seat("olga"))
    client.force_login(world.people["olga"])
    for name in ("", "items/", "definitions/", "batches/", "members/", "questions/", f"batches/{batch.uuid}/"):
        page = client.get(f"/projects/phones/{name}")
        assert page.status_code == 200, name
        assert SET_ASIDE in page.content.decode()
    assert "Open again" not in page.content.decode()
    exported = client.get(f"/projects/phones/batches/{batch.uuid}/export/")
    assert exported.status_code == 200
    projects.restore_project(by=world.seat("olga"))
    assert "Open again" in client.get(f"/projects/phones/batches/{batch.uuid}/").content.decode()


def test_not_while_a_rater_holds_an_item_nor_while_work_goes_on(world: World) -> None:
    batch = world.open_batch()
    claiming.claim_next(by=world.people["gene"], batch=batch)
    dispatch.close_batch(by=world.seat("olga"), batch=batch)
    run_jobs()
    with pytest.raises(Refusal) as held:
        projects.archive_project(by=world.seat("olga"))
    assert held.value.code == "in_hand"
    later = timezone.now() + timedelta(hours=1)
    job = Job.objects.create(kind="open_batch", project=world.project, dedup_key="x", created_at=timezone.now())
    with pytest.raises(Refusal) as busy:
        projects.archive_project(by=world.seat("olga"), at=later)
    assert busy.value.code == "job_running"
    job.delete()
    assert projects.archive_project(by=world.seat("olga"), at=later).archived_at == later


def test_what_was_loaded_before_does_not_open_a_batch_behind_the_owners_back(world: World) -> None:
    """The seat was read while the project was active; another owner sets it aside before the act."""
    seat = world.seat("olga")
    batch = dispatch.create_batch(by=seat, name="Late", guideline_version=world.version, quotas={"generalist": 1})
    set_aside(world.project)
    with pytest.raises(Refusal, match=SET_ASIDE):
        dispatch.open_batch(by=seat, batch=batch)
    assert Batch.objects.get(pk=batch.pk).status == "draft"


def test_nobody_joins_and_no_failed_job_starts_again(world: World) -> None:
    link = people.invite_link_part(people.invite_member(by=world.seat("olga"), role="rater", cohort="expert"))
    failed = Job.objects.create(
        kind="open_batch",
        project=world.project,
        dedup_key="y",
        status="failed",
        error="Full.",
        finished_at=timezone.now(),
        created_at=timezone.now(),
    )
    set_aside(world.project)
    with pytest.raises(Refusal, match=SET_ASIDE):
        people.accept_invite(signed=link, by=make_user("nora"))
    failed = Job.objects.select_related("project").get(pk=failed.pk)
    with pytest.raises(Refusal, match=SET_ASIDE):
        jobs.retry_job(by=world.people["olga"], job=failed)
    assert not access.project_for(world.people["olga"], "phones").may("dispatch")
