"""What an import found: every problem is counted, the first ones are listed with row, field, value and reason."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from ..formats.rows import BadRow, shorten

LISTED = 100


@dataclass(frozen=True)
class Finding:
    """One row's problem, or what was done with it."""

    row: int
    code: str
    reason: str
    field: str = ""
    value: str = ""

    @classmethod
    def of(cls, row: int, bad: BadRow) -> Finding:
        return cls(row, bad.code, bad.reason, bad.field, bad.value)

    def as_json(self) -> dict[str, Any]:
        return {"row": self.row, "code": self.code, "reason": self.reason, "field": self.field, "value": self.value}


@dataclass
class Findings:
    """Findings of one kind: counted by code and field, the first LISTED kept."""

    listed: list[Finding] = field(default_factory=list)
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, *findings: Finding) -> None:
        for finding in findings:
            self.counts[(finding.code, finding.field)] += 1
            if len(self.listed) < LISTED:
                self.listed.append(finding)

    def __len__(self) -> int:
        return self.counts.total()

    def as_json(self) -> dict[str, Any]:
        return {
            "listed": [finding.as_json() for finding in sorted(self.listed, key=lambda finding: finding.row)],
            "counts": [{"code": c, "field": f, "count": n} for (c, f), n in self.counts.most_common()],
            "total": len(self),
        }


@dataclass
class Report:
    """Everything an import says about a file.

    errors: problems that refuse rows; `refused` rows have at least one. unusable: the file as a whole is. left_out: rows that need no writing, and why.
    notes: sentences about the whole file. facts: counts and lists for the page.
    """

    read: int = 0
    kept: int = 0
    refused: int = 0
    unusable: bool = False
    errors: Findings = field(default_factory=Findings)
    left_out: Findings = field(default_factory=Findings)
    notes: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    def refuse(self, *problems: Finding) -> None:
        """A row that is refused, with all its problems."""
        self.refused += 1
        self.errors.add(*problems)

    def refuse_file(self, reason: str, code: str = "file") -> None:
        """The file as a whole is refused."""
        self.unusable = True
        self.errors.add(Finding(0, code, reason))

    def must_refuse(self, skip_refused: bool) -> bool:
        """Whether the run ends here: with `skip_refused` only when nothing of the file can be used."""
        if not self.unusable and self.read == 0:
            self.refuse_file("The file has no rows.", "no_rows")
        elif not self.unusable and skip_refused and self.refused and not self.kept and not self.left_out:
            self.refuse_file("Every row was refused.", "all_refused")
        return self.unusable or (bool(self.errors) and not skip_refused)

    def note(self, sentence: str) -> None:
        if sentence not in self.notes:
            self.notes.append(sentence)

    def as_json(self) -> dict[str, Any]:
        return {
            "errors": self.errors.as_json(), "left_out": self.left_out.as_json(), "notes": self.notes, "facts": self.facts,
        }  # fmt: skip


def finding(row: int, code: str, reason: str, field: str = "", value: Any = "") -> Finding:
    """A Finding with its value shortened for the report."""
    return Finding(row, code, reason, field, shorten(value))
