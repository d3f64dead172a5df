"""What differs between two versions of a definition, label by label and word by word."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from ..hashing import canonical_json
from ..models import GuidelineVersion, LabelDefinition, LabelExample, LabelMapping
from ..vocabulary import Polarity
from ..wording import threshold_of, word_rule
from .guideline_content import example_content, example_for_desk, labels_of, points, shown_fields

SAME, GONE, ADDED = "same", "gone", "added"
WORDS = re.compile(r"\s+|\d+(?:[.,]\d+)+|\w+|[^\w\s]")  # 0.3 is one word
LINE_ENDS = re.compile(r"\n+")
# When less than this of the shorter text's words is shared, one text stands for the other: a few words kept in
# between would read as noise.
ALIKE = 0.5
# Above this many words a passage is shown as replaced: comparing costs the square of it, and nobody reads it.
LONGEST_WORDWISE = 3000

Segment = tuple[str, str]


@dataclass(frozen=True)
class Row:
    """One field of one part of the definition in both versions.

    part: the label's name, or "Instructions" and the like. before, after: (same | gone | added, text) pieces;
    empty when the version says nothing there.
    """

    part: str
    field: str
    before: tuple[Segment, ...]
    after: tuple[Segment, ...]

    @property
    def changed(self) -> bool:
        return any(kind != SAME for kind, _ in self.before + self.after)


def _merge(segments: Iterable[Segment]) -> tuple[Segment, ...]:
    merged: list[Segment] = []
    for kind, text in segments:
        if not text:
            continue
        if merged and merged[-1][0] == kind:
            merged[-1] = (kind, merged[-1][1] + text)
        else:
            merged.append((kind, text))
    return tuple(merged)


def _bridge(segments: tuple[Segment, ...], kind: str) -> tuple[Segment, ...]:
    """Join marked pieces that only white space parts, so that a replaced phrase reads as one."""
    out: list[Segment] = []
    for index, (own, text) in enumerate(segments):
        between = own == SAME and text.isspace() and "\n" not in text and 0 < index < len(segments) - 1
        out.append((kind, text) if between else (own, text))
    return _merge(out)


def word_diff(before: str, after: str) -> tuple[tuple[Segment, ...], tuple[Segment, ...]]:
    """Both texts cut into pieces: what they share, what is gone from the first, what was added in the second.

    >>> word_diff("A visible scratch.", "A deep scratch.")[1]
    (('same', 'A '), ('added', 'deep'), ('same', ' scratch.'))
    """
    if before == after:
        same = ((SAME, before),) if before else ()
        return same, same
    old, new = WORDS.findall(before), WORDS.findall(after)
    if len(old) + len(new) > LONGEST_WORDWISE:
        return _line_diff(before, after)
    matcher = SequenceMatcher(None, old, new, autojunk=False)
    if _shared(matcher, old) < ALIKE * min(_count_words(old), _count_words(new)):
        return _replaced(old, new)
    left: list[Segment] = []
    right: list[Segment] = []
    for tag, i1, i2, j1, j2 in matcher.get_opcodes():
        kind_left, kind_right = (SAME, SAME) if tag == "equal" else (GONE, ADDED)
        left.append((kind_left, "".join(old[i1:i2])))
        right.append((kind_right, "".join(new[j1:j2])))
    return _bridge(_merge(left), GONE), _bridge(_merge(right), ADDED)


def _count_words(pieces: list[str]) -> int:
    return sum(piece[0].isalnum() for piece in pieces)


def _shared(matcher: SequenceMatcher[str], old: list[str]) -> int:
    return sum(_count_words(old[block.a : block.a + block.size]) for block in matcher.get_matching_blocks())


def _replaced(old: list[str], new: list[str]) -> tuple[tuple[Segment, ...], tuple[Segment, ...]]:
    """One text in place of the other; only a full stop at the end of both stays."""
    end = old[-1] if old and new and old[-1] == new[-1] and not old[-1][0].isalnum() else ""
    before, after = "".join(old), "".join(new)
    left, right = before.removesuffix(end), after.removesuffix(end)
    return _merge([(GONE, left), (SAME, end)]), _merge([(ADDED, right), (SAME, end)])


def _line_diff(before: str, after: str) -> tuple[tuple[Segment, ...], tuple[Segment, ...]]:
    """As `word_diff` for long texts: by lines, and by words inside passages that are short enough."""
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    left: list[Segment] = []
    right: list[Segment] = []
    for tag, i1, i2, j1, j2 in SequenceMatcher(None, old, new, autojunk=True).get_opcodes():
        gone, added = "".join(old[i1:i2]), "".join(new[j1:j2])
        if tag == "replace" and len(WORDS.findall(gone)) + len(WORDS.findall(added)) <= LONGEST_WORDWISE:
            inner_left, inner_right = word_diff(gone, added)
            left.extend(inner_left)
            right.extend(inner_right)
        else:
            kind_left, kind_right = (SAME, SAME) if tag == "equal" else (GONE, ADDED)
            left.append((kind_left, gone))
            right.append((kind_right, added))
    return _merge(left), _merge(right)


def _row(part: str, field: str, before: str, after: str) -> Row:
    return Row(part, field, *word_diff(before, after))


def _name_example(example: LabelExample, fields: list[dict[str, Any]]) -> str:
    """An example in a line. Never an item's id: raters read this, and ids may tell what the item is."""
    shown = example_for_desk(example, fields)
    text = " ".join(shown["text"].split())
    what = (f"{text[:80]} …" if len(text) > 80 else text) or ("a picture" if example.item is not None else "")
    note = f" ({example.note})" if example.note else ""
    return f"{Polarity(example.polarity).label}: {what}{note}"


def _example_rows(
    part: str, old: LabelDefinition | None, new: LabelDefinition | None, fields: list[dict[str, Any]]
) -> Row:
    """Examples are compared as wholes: one is there or it is not."""
    sides: list[dict[str, str]] = []
    for label in (old, new):
        examples = label.examples.all() if label is not None else ()
        sides.append({canonical_json(example_content(example)): _name_example(example, fields) for example in examples})
    before, after = sides
    left = [(SAME if key in after else GONE, text + "\n") for key, text in before.items()]
    right = [(SAME if key in before else ADDED, text + "\n") for key, text in after.items()]
    return Row(part, "Examples", _merge(left), _merge(right))


def _rule_text(label: LabelDefinition) -> str:
    rule = threshold_of(label)
    if rule is None:
        return ""
    words = word_rule(rule)
    return words if words.startswith(rule.attribute) else f"{rule.attribute}: {words}"


def _fields(label: LabelDefinition | None) -> dict[str, str]:
    if label is None:
        return dict.fromkeys(("Name", "Definition", "Rule", "Counts", "Does not count", "Key", "Kind", "Stored as"), "")
    return {
        "Name": label.name,
        "Definition": label.definition,
        "Rule": _rule_text(label),
        "Counts": "\n".join(points(label.include)),
        "Does not count": "\n".join(points(label.exclude)),
        "Key": label.hotkey,
        "Kind": "the borderline label" if label.is_borderline else "",
        "Stored as": label.key,
    }


def pair_labels(
    old: list[LabelDefinition], new: list[LabelDefinition], successors: dict[str, str]
) -> list[tuple[LabelDefinition | None, LabelDefinition | None]]:
    """Which label of the old version became which of the new: by key, then by mapping, then by name.

    In the order of the new version; labels that are gone come last.
    """
    by_key = {label.key: label for label in old}
    free = dict(by_key)
    matched: dict[str, LabelDefinition] = {}
    for label in new:
        if label.key in free:
            matched[label.key] = free.pop(label.key)
    for from_key, to_key in successors.items():
        if from_key in free and to_key not in matched and any(label.key == to_key for label in new):
            matched[to_key] = free.pop(from_key)
    for label in new:
        if label.key not in matched:
            namesake = next((it for it in free.values() if it.name.casefold() == label.name.casefold()), None)
            if namesake is not None:
                matched[label.key] = free.pop(namesake.key)
    pairs: list[tuple[LabelDefinition | None, LabelDefinition | None]] = [
        (matched.get(label.key), label) for label in new
    ]
    return pairs + [(label, None) for label in free.values()]


def _settings_text(settings: dict[str, Any]) -> str:
    return "\n".join(f"{name}: {value}" for name, value in sorted(settings.items()))


def _mapping_text(version: GuidelineVersion | None) -> str:
    if version is None:
        return ""
    rows = LabelMapping.objects.filter(guideline_version=version).order_by("from_key")
    return "\n".join(f"{row.from_key} reads as {row.to_key}" for row in rows)


def compare(old: GuidelineVersion | None, new: GuidelineVersion) -> list[Row]:
    """Every field that either version fills, label by label; `row.changed` tells which differ.

    Without `old` everything counts as added.
    """
    old_labels, new_labels = (labels_of(old) if old is not None else []), labels_of(new)
    successors = dict(
        LabelMapping.objects.filter(guideline_version=new).order_by("from_key").values_list("from_key", "to_key")
    )
    fields = shown_fields(new.project)
    rows = [_row("Instructions", "", old.body if old is not None else "", new.body)]
    for before, after in pair_labels(old_labels, new_labels, successors):
        name = after.name if after is not None else before.name if before is not None else ""
        was, now = _fields(before), _fields(after)
        rows += [_row(name, field, was[field], now[field]) for field in was]
        rows.append(_example_rows(name, before, after, fields))
    old_order, new_order = ", ".join(it.name for it in old_labels), ", ".join(it.name for it in new_labels)
    if old is not None and {it.key for it in old_labels} == {it.key for it in new_labels}:
        rows.append(_row("Order of the labels", "", old_order, new_order))
    rows.append(
        _row(
            "Settings",
            "",
            _settings_text(old.task_settings) if old is not None else "",
            _settings_text(new.task_settings),
        )
    )
    # Mappings say how the parent's labels read under this version; those of an older one are no part of the change.
    rows.append(_row("Earlier labels", "", "", _mapping_text(new)))
    return [row for row in rows if row.before or row.after]


def telling_rows(rows: Iterable[Row]) -> list[Row]:
    """The rows a reader needs: all that changed, and of each unchanged label its definition."""
    rows = list(rows)
    touched = {row.part for row in rows if row.changed}
    return [row for row in rows if row.changed or (row.part not in touched and row.field == "Definition")]


def count_changes(rows: Iterable[Row]) -> int:
    """How many fields differ."""
    return sum(row.changed for row in rows)


def _pieces(segments: tuple[Segment, ...]) -> SafeString:
    tags = {SAME: "{}", GONE: "<del>{}</del>", ADDED: "<ins>{}</ins>"}
    lines = [(kind, LINE_ENDS.sub("; ", text)) for kind, text in segments]
    if lines:
        lines[-1] = (lines[-1][0], lines[-1][1].removesuffix("; "))
    return format_html_join("", "{}", ((format_html(tags[kind], text),) for kind, text in lines))


def changes_as_html(rows: Iterable[Row]) -> SafeString:
    """The changed fields as a list for narrow places: what is gone, then what was added. Empty when nothing differs."""
    changed = [row for row in rows if row.changed and row.field != "Stored as"]
    if not changed:
        return SafeString("")
    items = format_html_join(
        "",
        "<li><strong>{}</strong>{} {} {}</li>",
        (
            (
                row.part,
                f", {row.field.lower()}:" if row.field else ":",
                _pieces(tuple(piece for piece in row.before if piece[0] == GONE)),
                _pieces(row.after),
            )
            for row in changed
        ),
    )
    return format_html('<ul class="plain diff">{}</ul>', items)
