"""Schemathesis over the whole OpenAPI document, against Concord in this process.

No call may answer 5xx, or something that the document does not tell: a status, a content type, a field. Owner and rater
have a file each, so that two test workers share them. Both databases together take two minutes of a whole test run;
CONCORD_FUZZ_SECONDS says how long one token asks, CONCORD_FUZZ_SEED where it starts.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import schemathesis
from django.core.wsgi import get_wsgi_application
from django.db import connections, transaction
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema

from api.views.rest.schema import document
from tests.api import cases
from tests.api.client import key_for
from tests.worlds import World

SECONDS = int(os.environ.get("CONCORD_FUZZ_SECONDS", "30"))
SEED = int(os.environ.get("CONCORD_FUZZ_SEED", "1"))
CHECKS = ("not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance")
# field of a body or parameter of a query → what kind of row it names
NAMED = {
    "body.batch": "batches", "body.item": "items", "body.guideline": "guidelines", "body.other": "datasets",
    "body.token": "tokens", "body.seen": "hashes", "body.value": "labels", "query.batch": "batches",
    "body.cases[*].disagreement": "disagreements", "body.cases[*].seen": "hashes",
    "body.predictions[*].item": "items", "body.predictions[*].value": "labels",
    "query.item": "items", "query.disagreement": "disagreements", "query.project": "projects",
}  # fmt: skip


@dataclass
class Run:
    """What a run saw. `problems`: {(operation, check): the first failure and the call that shows it}."""

    asked: Counter[str] = field(default_factory=Counter)
    succeeded: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    problems: dict[tuple[str, str], str] = field(default_factory=dict)

    def note(self, recorder: Any) -> None:
        """Take over what one scenario recorded."""
        for number, exchange in recorder.interactions.items():
            operation = recorder.cases[number].value.operation.label
            self.asked[operation] += 1
            if exchange.response is not None:
                self.statuses[exchange.response.status_code] += 1
                self.succeeded[operation] += exchange.response.status_code < 300
        for number, checks in recorder.checks.items():
            for check in checks:
                if check.failure_info is not None:
                    failure = check.failure_info.failure
                    self.problems.setdefault(
                        (recorder.cases[number].value.operation.label, check.name),
                        f"{failure.title}: {failure.message}\n{check.failure_info.code_sample}",
                    )


def rows_of(world: World, who: str) -> dict[str, list[str]]:
    """One row of every kind, by the first part of its address; and what bodies need in order to be taken."""
    held = cases.held_by_gene(world)
    case = cases.held_by_sam(world) if who == "sam" else cases.a_disagreement(world)
    made = {
        "disagreements": [case.uuid],
        "datasets": [cases.a_dataset(world).uuid, cases.a_dataset(world, "Other").uuid],
        "questions": [cases.question(world)["uuid"]],
        "imports": [cases.an_import(world)["uuid"]],
        "jobs": [cases.a_failed_job(world)["uuid"]],
        "guidelines": [world.version.uuid],
        "items": [item.uuid for item in world.items],
        "batches": [cases.the_batch(world).uuid, cases.a_draft(world)["uuid"], case.batch.uuid],
        "projects": [world.project.slug],
        "assignments": [held.uuid],
        "tokens": [held.claim_token, case.hold_token],
        "hashes": [case.input_sha256],
        "labels": ["defect", "no_defect"],
    }
    return {name: [str(row) for row in rows if row is not None] for name, rows in made.items()}


def configuration(key: str, rows: dict[str, list[str]], seconds: int) -> SchemathesisConfig:
    """What schemathesis is told: the token, the time, the checks, and real rows for most names of rows."""
    known = {name: {"dictionary": kind, "probability": 0.9} for name, kind in NAMED.items()}
    addresses = [
        {
            "include-path-regex": f"^/api/v1/{kind}/",
            "parameters": {
                f"path.{'slug' if kind == 'projects' else 'uuid'}": {"dictionary": kind, "probability": 0.75}
            },
        }
        for kind in rows
        if kind not in ("tokens", "hashes", "labels")
    ]
    return SchemathesisConfig.from_dict(
        {
            "seed": SEED,
            "max-time": seconds,
            "headers": {"Authorization": f"Bearer {key}"},
            "generation": {"database": "none"},
            "cache": {"enabled": False},
            "continue-on-failure": True,
            # It takes the field `data` of our errors for one that bodies lack.
            "phases": {"fuzzing": {"error-feedback": {"enabled": False}}},
            "suppress-health-check": ["all"],
            "checks": {"enabled": False, **{name: {"enabled": True} for name in CHECKS}},
            "dictionaries": {name: {"values": values} for name, values in rows.items()},
            "parameters": known,
            "operations": addresses,
        }
    )


def strict(part: Any) -> Any:
    """The document without fields beyond those it names: Concord refuses such, and answers with none."""
    if isinstance(part, list):
        return [strict(inner) for inner in part]
    if not isinstance(part, dict):
        return part
    made = {name: strict(inner) for name, inner in part.items()}
    if part.get("type") == "object" and isinstance(part.get("properties"), dict):
        made.setdefault("additionalProperties", False)
    return made


def application() -> Callable[..., Any]:
    """Concord as a WSGI application that uses this thread's connection in whichever thread it is called."""
    connection, concord = connections["default"], get_wsgi_application()
    connection.inc_thread_sharing()

    def answer(environ: Any, start_response: Any) -> Any:
        connections["default"] = connection
        return concord(environ, start_response)

    return answer


def whole_document(seconds: int) -> Callable[[Run], bool]:
    """For `enough`: so many seconds have gone and, however slow the machine, every operation was asked."""
    until = time.monotonic() + seconds
    operations = {f"{method.upper()} {path}" for path, methods in document()["paths"].items() for method in methods}
    return lambda run: time.monotonic() > until and operations <= set(run.asked)


def ask_everything(
    world: World, who: str, *, enough: Callable[[Run], bool], most: int = SECONDS + 300, only: Iterable[str] = ()
) -> Run:
    """Ask with a token of `who` until it is `enough`, at most so many seconds. `only`: these addresses instead of all."""
    with transaction.atomic():
        rows = rows_of(world, who)
        key = key_for(world, who)
    asked = strict(document())
    if only:
        asked["paths"] = {path: asked["paths"][path] for path in only}
    schema = schemathesis.openapi.from_dict(asked, config=configuration(key, rows, most))
    schema.app = application()
    run, stream = Run(), from_schema(schema).execute()
    for event in stream:
        if isinstance(event, events.FatalError):
            raise event.exception
        if isinstance(event, events.NonFatalError):
            run.problems[(event.label, "error")] = event.info.message
        if isinstance(event, events.ScenarioFinished):
            run.note(event.recorder)
            if enough(run):
                stream.stop()
    return run
