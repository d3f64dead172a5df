"""What comparing writes of an item, given what is stored of it and what its answers say now. Nothing here reads a database."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from .verdict import Verdict
from .vocabulary import DisagreementStatus, ResolutionMethod

VOTED = (ResolutionMethod.MAJORITY, ResolutionMethod.DAWID_SKENE)
NOT_HELD: dict[str, Any] = {"holder": None, "hold_token": None, "hold_until": None}
# A case is brought up to date without moving: that is no event.
NOTED = "noted"


class KnownCase(NamedTuple):
    """What of a disagreement decides, under its columns' names."""

    status: str
    kind: str
    distance: float
    entropy: float
    confusion: str
    cohorts_split: list[str]
    complete: bool
    input_sha256: str


class Standing(NamedTuple):
    """What of a resolution in force decides."""

    method: str
    input_sha256: str


class Case(Protocol):
    """A disagreement, or what was read of it."""

    @property
    def status(self) -> str: ...
    @property
    def complete(self) -> bool: ...


class InForce(Protocol):
    """A resolution, or what was read of it."""

    @property
    def method(self) -> str: ...
    @property
    def input_sha256(self) -> str: ...


@dataclass(frozen=True)
class Step:
    """verb: found, noted, dismissed or reopened, "" where the case stays; method: of the next resolution, "" for none."""

    verb: str = ""
    columns: dict[str, Any] = field(default_factory=dict)
    method: str = ""

    def __bool__(self) -> bool:
        return bool(self.verb or self.method)


def step_of(case: Case | None, standing: InForce | None, verdict: Verdict, *, withdrawn: bool = False) -> Step:
    """The step from what is stored to what the answers say; a false one where nothing changes.

    Of a withdrawn item nobody is asked to decide: its case leaves the bench, and its resolution stays as it is.
    """
    if case is not None and case.status == DisagreementStatus.RULED:
        return Step()  # what a person decided stands; the owner may overrule it
    if withdrawn:
        if case is None or case.status == DisagreementStatus.DISMISSED:
            return Step()
        return Step("dismissed", {"complete": verdict.complete, "input_sha256": verdict.input_sha256, **NOT_HELD})
    if _released(case, standing, verdict):
        return Step()
    verb, columns = _case_step(case, verdict)
    return Step(verb, columns, _next_method(standing, verdict) if verdict.complete else "")


def _released(case: Case | None, standing: InForce | None, verdict: Verdict) -> bool:
    """Whether the owner let a vote decide over these very answers."""
    return (
        standing is not None
        and standing.method in VOTED
        and standing.input_sha256 == verdict.input_sha256
        and (case is None or case.status == DisagreementStatus.DISMISSED)
        and verdict.complete
    )


def _case_step(case: Case | None, verdict: Verdict) -> tuple[str, dict[str, Any]]:
    if case is None:
        return ("found", _columns(verdict)) if verdict.kind else ("", {})
    dismissed = case.status == DisagreementStatus.DISMISSED
    if not verdict.kind and not dismissed and case.complete and not verdict.complete:
        # Places were added: what is missing may bring the difference back, so the case waits where it is.
        return NOTED, {"complete": False}
    if not verdict.kind:
        if dismissed:
            return "", {}
        return "dismissed", {"complete": verdict.complete, "input_sha256": verdict.input_sha256, **NOT_HELD}
    columns = _columns(verdict)
    if dismissed:
        return "reopened", columns
    if any(getattr(case, name) != value for name, value in columns.items()):
        return NOTED, columns
    return "", {}


def _columns(verdict: Verdict) -> dict[str, Any]:
    return {
        "kind": verdict.kind,
        "distance": verdict.distance,
        "entropy": verdict.entropy,
        "confusion": verdict.confusion,
        "cohorts_split": list(verdict.cohorts_split),
        "complete": verdict.complete,
        "input_sha256": verdict.input_sha256,
    }


def _next_method(standing: InForce | None, verdict: Verdict) -> str:
    """How an item that every cohort has answered resolves next; "" where nothing changes."""
    method = verdict.method
    if not method:
        # Nobody's answer is in force while people differ, or while nobody's answer counts.
        if standing is None or standing.method == ResolutionMethod.NONE:
            return ""
        method = ResolutionMethod.NONE
    if standing is not None and (standing.method, standing.input_sha256) == (method, verdict.input_sha256):
        return ""
    return method
