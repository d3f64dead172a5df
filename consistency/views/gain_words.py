"""The sentences of a comparison: what a person reads before any figure. They never claim more than the interval does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from labeling.models import GuidelineVersion

from ..offline.numbers import SPACE, count, number, percent, plural
from ..queries.gains import Compared
from ..statistics.estimate import Estimate

SAMPLE_WORDS = {
    "whole": "the whole earlier batch",
    "random": "a random sample of the earlier batch",
    "fresh": "fresh items, never labeled before",
    "affected": "affected items",
    "control": "control items",
}
HINT_HEADLINES = {
    "stop": "Stop here",
    "go_on": "Worth going on",
    "not_decided": "Not decided",
    "target_reached": "Target reached",
    "rounds_used": "Rounds are used up",
}
NAMES = {
    "krippendorff_alpha": ("Krippendorff α", "headline"),
    "gwet_ac": ("Gwet AC1", "steadier when one label is rare"),
    "percent_agreement": ("HLP, rater against rater", "pairwise; the percent agreement of two people"),
    "leave_one_out": ("HLP, rater against the others", "leave-one-out, against the majority of the rest"),
    "against_gold": ("HLP, against a reference", ""),
    "specific_agreement": ("Label", "specific agreement"),
}
ORIGINS = {
    "external": ("the reference the items came with", "external"),
    "adjudicated": ("rulings", "on the random audit sample only"),
    "single_rater": ("one rater’s labels", "adopted as the reference"),
    "user_declared": ("what users declared", ""),
    "feedback": ("what was observed later", ""),
}
PERCENT = ("percent_agreement", "leave_one_out", "against_gold", "specific_agreement")


def signed(value: float | None, *, as_percent: bool = False) -> str:
    """+0.52 or, in points, +24.3."""
    if value is None:
        return "–"
    text = number(100 * value, 1) if as_percent else number(value)
    return text if text.startswith("−") or not any(c in "123456789" for c in text) else f"+{text}"


def signed_interval(estimate: Estimate, *, as_percent: bool = False) -> str:
    if estimate.low is None or estimate.high is None:
        return ""
    return f"[{signed(estimate.low, as_percent=as_percent)}, {signed(estimate.high, as_percent=as_percent)}]"


def figure(estimate: Estimate, *, as_percent: bool = False) -> str:
    return percent(estimate.value) if as_percent else number(estimate.value)


def find(
    rows: Sequence[Compared], sample: str, coefficient: str, *, cohort: str = "", part: str = ""
) -> Compared | None:
    """The line of a sample; for all labels and references together."""
    for row in rows:
        if (row.sample, row.coefficient, row.cohort, row.part) == (sample, coefficient, cohort, part) and not row.label:
            return row
    return None


def verdict_of(alpha: Compared | None, share: Compared | None) -> tuple[str, str]:
    """(yes | no | open | undefined, the figure it rests on): whether the interval of the difference excludes nothing.

    Beyond chance where that is defined, else the percentage: two batches on which everyone agreed have no alpha.
    """
    for row in (alpha, share):
        if row is not None and row.change.value is not None and row.change.low is not None:
            assert row.change.high is not None
            if row.change.low > 0:
                return "yes", row.coefficient
            return ("no" if row.change.high < 0 else "open"), row.coefficient
    return "undefined", ""


def lead(rows: Sequence[Compared], findings: Mapping[str, Any], old: GuidelineVersion, new: GuidelineVersion) -> str:
    """The plain sentences on top."""
    sample = str(findings.get("headline") or "")
    if not sample:
        return nothing_to_say(findings)
    alpha, share = find(rows, sample, "krippendorff_alpha"), find(rows, sample, "percent_agreement")
    said, rests_on = verdict_of(alpha, share)
    if findings.get("raters") == "different raters" and said == "undefined":
        return (
            "Other people labeled it the second time. That cannot separate the definition from the people: "
            "relabel with the same raters."
        )
    if said == "undefined":
        why = (alpha or share).change.undefined if (alpha or share) is not None else ""  # type: ignore[union-attr]
        return f"It cannot be said: {why or 'nothing varies between the items, so the change has no interval'}."
    assert share is not None
    hlp = ""
    if share.before.value is not None and share.after.value is not None:
        hlp = f" HLP, rater against rater, went from {percent(share.before.value)} to {percent(share.after.value)}."
    row = alpha if rests_on == "krippendorff_alpha" else share
    assert row is not None
    as_percent = rests_on != "krippendorff_alpha"
    what = "Agreement beyond chance (α)" if not as_percent else "Percent agreement"
    unit = f"{SPACE}points" if as_percent else ""
    change = f"{number(abs(row.change.value or 0) * (100 if as_percent else 1), 1 if as_percent else 2)}{unit}"
    interval = signed_interval(row.change, as_percent=as_percent)
    points = f"from {figure(row.before, as_percent=as_percent)} to {figure(row.after, as_percent=as_percent)}"
    if said == "yes":
        if (findings.get("distribution") or {}).get("collapsed"):
            return (
                f"Look first: agreement rose by {change} {interval}, {points}, but the labels collapsed towards one. "
                f"Everyone giving one answer agrees too.{hlp}"
            )
        same = old.pk == new.pk
        tail = " The definition is the same, so something else changed." if same else ""
        return f"Yes. {what} rose by {change} {interval}, {points}.{hlp}{tail}"
    if said == "no":
        return f"No: {what[0].lower() + what[1:]} fell by {change} {interval}, {points}.{hlp}"
    return (
        f"No gain can be told apart from chance. {what} went {points}; the change lies in {interval}, "
        f"which includes none at all.{hlp}"
    )


def nothing_to_say(findings: Mapping[str, Any]) -> str:
    samples = findings.get("samples") or {}
    if not findings.get("done"):
        return "Nothing can be compared yet: no item has been labeled again."
    if any(name in samples for name in ("affected", "control")):
        return (
            "Only items chosen by their answers were labeled again. Their figures move by themselves, so they tell "
            "nothing about the definition: add a random sample or fresh items."
        )
    return "Nothing can be compared: no item has labels both times."


def story(rows: Sequence[Compared], findings: Mapping[str, Any]) -> str:
    """The result in one line, for the version's page: “agreement rose by x [interval], HLP from a to b”."""
    sample = str(findings.get("headline") or "")
    alpha, share = find(rows, sample, "krippendorff_alpha"), find(rows, sample, "percent_agreement")
    said, rests_on = verdict_of(alpha, share)
    row = alpha if rests_on == "krippendorff_alpha" else share
    if row is None or said == "undefined" or share is None:
        return nothing_to_say(findings) if not sample else "The change has no interval yet."
    as_percent = rests_on != "krippendorff_alpha"
    size = number(abs(row.change.value or 0) * (100 if as_percent else 1), 1 if as_percent else 2)
    unit = f"{SPACE}points" if as_percent else ""
    interval = signed_interval(row.change, as_percent=as_percent)
    hlp = f"HLP from {percent(share.before.value)} to {percent(share.after.value)}"
    words = {"yes": "agreement rose by", "no": "agreement fell by", "open": "no gain told apart from chance: change of"}
    sign = signed(row.change.value, as_percent=as_percent) if said == "open" else size
    return f"{words[said]} {sign}{unit} {interval}, {hlp}"


def design_words(findings: Mapping[str, Any], sample: str) -> str:
    """Which items and which raters a sample compares."""
    told = (findings.get("samples") or {}).get(sample)
    if told is None:
        return ""
    raters = findings.get("raters")
    people = {
        "same raters": f"the same {plural(told['raters'], 'rater')}",
        "common raters": f"the {plural(told['raters'], 'rater')} of both times",
        "different raters": "different raters",
    }.get(str(raters), plural(told["raters"], "rater"))
    if told["paired"]:
        return f"the same {plural(told['items_after'], 'item')}, {people}, blind to their old answers"
    return (
        f"{plural(told['items_after'], 'fresh item')} against {plural(told['items_before'], 'earlier item')}, {people}"
    )


def hint_words(findings: Mapping[str, Any], parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The stop hint: a headline, the sentence of the rule, its reasoning, and what would decide."""
    hint = findings.get("hint")
    if not hint:
        return {"headline": "Cannot say", "sentence": nothing_to_say(findings), "reasons": []}
    smallest = number(float(parameters.get("delta_min", 0.05)))
    reasons = []
    if hint["lower"] is not None:
        level = 0.05 / parameters["looks"] if hint["peeked"] else 0.05
        reasons.append(
            f"One-sided bounds of the gain in α, {number(100 * (1 - level), 2 if hint['peeked'] else 0)}{SPACE}% each: "
            f"{signed(hint['lower'])} and {signed(hint['upper'])}. The smallest useful gain here is {smallest}."
        )
        if hint["verdict"] == "stop":
            reasons.append(f"Even the upper bound lies below {smallest}.")
        elif hint["verdict"] == "go_on":
            reasons.append(f"The lower bound is above 0 and the gain reaches {smallest}.")
        elif hint["verdict"] == "not_decided":
            reasons.append(f"{smallest} lies between the bounds, or 0 does.")
    if hint["items_needed"]:
        reasons.append(f"Now {count(hint['n'])}; about {plural(hint['items_needed'], 'item')} in all would decide.")
    if parameters.get("target") is not None:
        reasons.append(f"Target α: {number(float(parameters['target']))}.")
    rounds = findings.get("rounds", 0)
    reasons.append(f"Revision {rounds} of at most {parameters['most_rounds']}.")
    headline = HINT_HEADLINES[hint["verdict"]]
    sentence = hint["sentence"][0].upper() + hint["sentence"][1:]
    return {
        "headline": headline,
        "sentence": f"{sentence}." if sentence != headline else "",  # the rule's words may be the headline already
        "reasons": reasons,
        "verdict": hint["verdict"],
    }


def collapse_words(told: Mapping[str, Any] | None, names: Mapping[str, str]) -> tuple[str, str]:
    """(yes | no, a sentence) about whether the labels collapsed into one."""
    if not told:
        return "cannot say", "There are no labels to compare."
    most = told["l_infinity_label"]
    value = told["l_infinity"]["value"]
    moved = (
        f"the share of {names.get(most, most)} moves by {number(100 * value, 1)} points" if most else "nothing moved"
    )
    if told["collapsed"]:
        lost = ", ".join(names.get(label, label) for label in told["lost"])
        why = f"{lost} is hardly given any more" if lost else "most answers now are one label"
        return "yes", f"Agreement can rise because everyone starts to give one answer. Here {why}; {moved}."
    return (
        "no",
        f"Agreement can rise because everyone starts to give one answer. Here the labels stay in use and {moved}.",
    )


def flips_words(told: Mapping[str, Any] | None, names: Mapping[str, str]) -> str:
    if not told or not told["n"]:
        return "Nobody labeled the same items twice."
    if not told["changed"]:
        return "Nobody changed an answer."
    old, new, n = told["directions"][0]
    return (
        f"{count(told['changed'])} of {plural(told['n'], 'answer')} changed, most often from "
        f"{names.get(old, old)} to {names.get(new, new)} ({count(n)})."
    )


def fresh_words(row: Compared | None) -> str:
    if row is None:
        return "No fresh items were labeled."
    if row.change.value is None or row.change.low is None:
        return row.change.undefined or "The change has no interval."
    if row.change.low > 0:
        return "The rise also shows on items nobody had seen, so it is the definition, not memory."
    if (row.change.high or 0) < 0:
        return "On items nobody had seen, agreement is lower than before."
    return "On items nobody had seen, no change can be told apart from chance."


def control_words(told: Mapping[str, Any] | None) -> str:
    if not told or not told["n"]:
        return ""
    return "Nobody disputed these items before. What moves here is plain re-rating, and the new words’ side effects."
