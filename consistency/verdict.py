"""What the answers to one item say together: equal, different, or not yet all there. Nothing here reads a database.

Equal labels with different borderline marks are no disagreement; a declared borderline label is a label like any
other. Some labeled and some "not enough information" is a disagreement of its own kind. Two cohorts that are each of
one mind, and of different ones, are never outvoted by headcount.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from labeling.hashing import sha256_json
from labeling.vocabulary import Outcome

from .statistics.distances import distance as distance_of
from .vocabulary import CANNOT, SEPARATOR, DisagreementKind, ResolutionMethod, value_key

CONFUSION_LIMIT = 400
# Part of each digest: other rules over the same answers are another question.
RULES = 1


@dataclass(frozen=True)
class Said:
    """One answer that counts: whose cohort, and what."""

    cohort: str
    outcome: str
    value: Any
    sha256: str
    borderline: bool = False

    @property
    def key(self) -> str:
        """What it is compared by: the label, whatever the borderline mark. A label is never the word for none."""
        return "-" if self.outcome == Outcome.CANNOT_LABEL else "=" + value_key(self.value)


@dataclass(frozen=True)
class Measure:
    """How far apart two answers are: the task's distance by slug, the version's settings, and what is tolerated."""

    slug: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    threshold: float = 0.0

    @classmethod
    def of(cls, slug: str, settings: Mapping[str, Any]) -> Measure:
        """From a version's settings: `threshold` is theirs, 0 where they name none."""
        try:
            threshold = float(settings.get("threshold") or 0.0)
        except (TypeError, ValueError):
            threshold = 0.0
        return cls(slug, settings, min(1.0, max(0.0, threshold)) if math.isfinite(threshold) else 0.0)

    @property
    def labels(self) -> int:
        return len(self.settings.get("labels", ()))

    def between(self, a: Said, b: Said) -> float:
        """0 to 1; a label and "not enough information" are as far apart as can be."""
        if a.key == b.key:
            return 0.0
        if Outcome.CANNOT_LABEL in (a.outcome, b.outcome):
            return 1.0
        settings = {"scale": self.settings.get("labels"), **self.settings}
        return min(1.0, max(0.0, _distance(self.slug)(a.value, b.value, **settings)))


@lru_cache(maxsize=64)
def _distance(slug: str) -> Any:
    return distance_of(slug).between


@dataclass(frozen=True)
class Verdict:
    """kind: of the disagreement, "" where there is none; method: how the item resolves without a person, "" where it
    does not. complete: every cohort has answered, so cohorts were compared with each other."""

    complete: bool
    raters: int
    input_sha256: str
    distribution: dict[str, Any]
    # {cohort, "" for all: {answer's key: count}}, not enough information included
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    kind: str = ""
    distance: float = 0.0
    entropy: float = 0.0
    confusion: str = ""
    cohorts_split: tuple[str, ...] = ()
    method: str = ""
    value: Any = None
    confidence: float | None = None


def digest(answers: Iterable[Said], measure: Measure) -> str:
    """Of all that decides: what each cohort said, and how differences are measured."""
    said = sorted([answer.cohort, answer.sha256] for answer in answers)
    return sha256_json({"rules": RULES, "said": said, "distance": measure.slug, "threshold": measure.threshold})


def distribution(answers: Iterable[Said]) -> dict[str, Any]:
    """{"labels": {key: count}, "cannot_label", "borderline", "cohorts": {cohort: {key: count}}}."""
    labels: Counter[str] = Counter()
    cohorts: dict[str, Counter[str]] = {}
    cannot = borderline = 0
    for answer in answers:
        mine = cohorts.setdefault(answer.cohort, Counter())
        if answer.outcome == Outcome.CANNOT_LABEL:
            cannot += 1
            continue
        labels[value_key(answer.value)] += 1
        mine[value_key(answer.value)] += 1
        borderline += answer.borderline
    return {
        "labels": dict(labels),
        "cannot_label": cannot,
        "borderline": borderline,
        "cohorts": {cohort: dict(counts) for cohort, counts in cohorts.items()},
    }


def judge(answers: list[Said], *, unfinished: frozenset[str], measure: Measure, audit: bool = False) -> Verdict:
    """What the answers say. `unfinished`: cohorts that are still answering; their answers wait.

    Until every cohort has answered, cohorts are looked at one by one and never against each other.
    """
    complete = not unfinished
    # Of an unfinished item the digest is over all answers too: whoever looks at it sees the same thing change.
    sha256 = digest(answers, measure)
    settled = [answer for answer in answers if answer.cohort not in unfinished]
    groups: dict[str, list[Said]] = {}
    for answer in settled:
        groups.setdefault(answer.cohort, []).append(answer)
    verdict: dict[str, Any] = {
        "complete": complete,
        "raters": len(settled),
        "input_sha256": sha256,
        "distribution": distribution(settled),
        "counts": {"": Counter(answer.key for answer in settled)}
        | {cohort: Counter(answer.key for answer in group) for cohort, group in groups.items()},
    }
    if complete:
        compared = [settled]
    else:
        compared = list(groups.values())
    verdict["distance"] = _mean_distance(compared, measure)
    verdict["entropy"] = _entropy(settled, measure)
    split = [cohort for cohort, group in groups.items() if _widest(group, measure) > measure.threshold]
    across = complete and _widest(settled, measure) > measure.threshold
    if not split and not across:
        verdict |= _resolved(settled) if complete else {}
        if complete and audit and settled:
            verdict |= {"kind": DisagreementKind.AUDIT}
        return Verdict(**verdict)
    differing = settled if across else [answer for cohort in split for answer in groups[cohort]]
    kind: str = DisagreementKind.LABELS
    if any(_mixes_outcomes(group) for group in ([settled] if across else [groups[cohort] for cohort in split])):
        kind = DisagreementKind.OUTCOME
    elif not split:
        kind = DisagreementKind.COHORTS
    return Verdict(
        **verdict,
        kind=kind,
        confusion=_confusion(differing),
        cohorts_split=tuple(sorted(split or groups)),
    )


def _resolved(answers: list[Said]) -> dict[str, Any]:
    """How equal answers resolve the item; nothing where they differ within the threshold: that is left to a vote."""
    if not answers:
        return {}
    if all(answer.outcome == Outcome.CANNOT_LABEL for answer in answers):
        return {"method": ResolutionMethod.NONE}
    if len({answer.key for answer in answers}) > 1:
        return {}
    method = ResolutionMethod.SINGLE if len(answers) == 1 else ResolutionMethod.UNANIMOUS
    return {"method": method, "value": answers[0].value, "confidence": 1.0}


def _mixes_outcomes(answers: list[Said]) -> bool:
    return len({answer.outcome for answer in answers}) > 1


def _distinct(answers: list[Said]) -> list[tuple[Said, int]]:
    counts = Counter(answer.key for answer in answers)
    first = {answer.key: answer for answer in reversed(answers)}
    return [(first[key], count) for key, count in sorted(counts.items())]


def _widest(answers: list[Said], measure: Measure) -> float:
    """The largest distance between two of the answers."""
    distinct = [answer for answer, _ in _distinct(answers)]
    return max((measure.between(a, b) for at, a in enumerate(distinct) for b in distinct[at + 1 :]), default=0.0)


def _mean_distance(groups: list[list[Said]], measure: Measure) -> float:
    """The mean distance between two raters of one group, over all pairs."""
    total, pairs = 0.0, 0
    for group in groups:
        distinct = _distinct(group)
        total += sum(n * m * measure.between(a, b) for at, (a, n) in enumerate(distinct) for b, m in distinct[at + 1 :])
        pairs += math.comb(len(group), 2)
    return min(1.0, total / pairs) if pairs else 0.0


def _entropy(answers: list[Said], measure: Measure) -> float:
    """Of the answers' shares, by the logarithm of how many answers there could be: 0 all equal, 1 evenly spread."""
    counts = [count for _, count in _distinct(answers)]
    if len(counts) < 2:
        return 0.0
    possible = measure.labels + any(answer.outcome == Outcome.CANNOT_LABEL for answer in answers)
    n = sum(counts)
    bits = -sum(count / n * math.log(count / n) for count in counts)
    return min(1.0, bits / math.log(max(possible, len(counts))))


def _confusion(answers: list[Said]) -> str:
    """The labels that were mixed up, sorted: the cluster."""
    names = {CANNOT if answer.outcome == Outcome.CANNOT_LABEL else value_key(answer.value) for answer in answers}
    joined = SEPARATOR.join(sorted(names))
    return joined if len(joined) <= CONFUSION_LIMIT else sha256_json(sorted(names))
