"""What a label of a draft may hold, and the fingerprints that tell one editor about another's change."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from ..hashing import sha256_json
from ..models import GuidelineVersion, LabelDefinition
from ..queries.guideline_content import label_fields
from ..refusals import BadValue
from ..vocabulary import COLOUR_TOKENS, RESERVED_KEYS, Operator

HOTKEY = re.compile(r"[0-9a-z]")
# In the order in which the desk's keys are offered; digits first, they belong to the labels.
DIGITS = "1234567890"
LETTERS = "".join(letter for letter in "abcdefghijklmnopqrstuvwxyz" if letter not in RESERVED_KEYS)
BODY_LIMIT, TEXT_LIMIT, LINE_LIMIT = 100_000, 4000, 300
MOST_LABELS = 200
LARGEST_THRESHOLD = Decimal(10) ** 14


@dataclass(frozen=True)
class LabelFields:
    """A label as it is typed in. `include` and `exclude` hold one point a line.

    hotkey: one digit or letter, "" for none, None for the next free one. key: what answers store; made from the name
    where empty. The threshold is whole or absent.
    """

    name: str
    key: str = ""
    definition: str = ""
    include: str = ""
    exclude: str = ""
    hotkey: str | None = None
    colour_token: str = ""
    is_borderline: bool = False
    threshold_attribute: str = ""
    threshold_operator: str = ""
    threshold_value: Decimal | str | float | None = None
    threshold_unit: str = ""


def clean_text(raw: Any, name: str, limit: int, *, lines: bool = True) -> str:
    """The text without NUL, with plain line ends and no white space around; raises BadValue naming the field."""
    if not isinstance(raw, str):
        raise BadValue("bad_value", f"{name} must be text.", field=name)
    text = unicodedata.normalize("NFC", raw.replace("\x00", "").replace("\r\n", "\n").replace("\r", "\n")).strip()
    if not lines:
        text = " ".join(text.split())
    if len(text) > limit:
        raise BadValue(
            "too_long", f"This is {len(text):,} characters long; {limit:,} is the most.", field=name, limit=limit
        )
    return text


def key_from_name(name: str, taken: Iterable[str]) -> str:
    """A key made of the name's letters and digits, different from those taken.

    >>> key_from_name("No defect!", {"no_defect"})
    'no_defect_2'
    """
    plain = unicodedata.normalize("NFKC", name).casefold()
    base = "_".join(re.findall(r"\w+", plain))[:50].strip("_") or "label"
    used, key, number = set(taken), base, 1
    while key in used:
        number += 1
        key = f"{base}_{number}"
    return key


def suggest_hotkey(taken: Iterable[str]) -> str:
    """The next free key: digits from 1, then letters the desk does not use; "" when all are taken.

    Beside 1 alone it is 0: with two labels the keys are 1 and 0.
    """
    used = set(taken) - {""}
    if used == {"1"}:
        return "0"
    return next((key for key in DIGITS + LETTERS if key not in used), "")


def suggest_hotkeys(count: int) -> list[str]:
    """Keys for `count` labels in order; two labels get 1 and 0.

    >>> suggest_hotkeys(2), suggest_hotkeys(3)
    (['1', '0'], ['1', '2', '3'])
    """
    if count == 2:
        return ["1", "0"]
    keys = list(DIGITS + LETTERS)[:count]
    return keys + [""] * (count - len(keys))


def _clean_threshold(fields: LabelFields, wrong: dict[str, str]) -> dict[str, Any]:
    attribute = clean_text(fields.threshold_attribute, "threshold_attribute", 80, lines=False)
    operator, unit = (
        fields.threshold_operator or "",
        clean_text(fields.threshold_unit, "threshold_unit", 20, lines=False),
    )
    raw = fields.threshold_value
    given = raw is not None and str(raw).strip() != ""
    value: Decimal | None = None
    if given:
        try:
            value = Decimal(str(raw).strip().replace("−", "-").replace(",", "."))
            if not value.is_finite() or abs(value) >= LARGEST_THRESHOLD:
                raise InvalidOperation
            if value != value.quantize(Decimal("0.000001")):
                wrong["threshold_value"] = "At most six digits after the point."
            value = value.quantize(Decimal("0.000001"))
        except InvalidOperation:
            wrong["threshold_value"] = f"“{str(raw)[:40]}” is not a number such as 0.3."
    if operator and operator not in Operator.values:
        wrong["threshold_operator"] = f"Choose one of {' '.join(Operator.values)}."
    if attribute or operator or given or unit:
        if not attribute:
            wrong.setdefault("threshold_attribute", "Say what is measured, such as “length of the longest mark”.")
        if not operator:
            wrong.setdefault("threshold_operator", "Say > or ≥ (or < or ≤): people differ on the limit itself.")
        if not given:
            wrong.setdefault("threshold_value", "Say where the limit is, such as 0.3.")
    return {
        "threshold_attribute": attribute, "threshold_operator": operator, "threshold_value": value,
        "threshold_unit": unit,
    }  # fmt: skip


def _clean_hotkey(hotkey: str, others: list[LabelDefinition], wrong: dict[str, str]) -> str:
    if not hotkey:
        return ""
    if not HOTKEY.fullmatch(hotkey):
        wrong["hotkey"] = "A key is one digit or one lower-case letter."
    elif hotkey in RESERVED_KEYS:
        wrong["hotkey"] = f"The desk uses “{hotkey}” itself. Free letters are {' '.join(LETTERS)}."
    elif holder := next((other for other in others if other.hotkey == hotkey), None):
        wrong["hotkey"] = f"“{hotkey}” is the key of “{holder.name}” already."
    return hotkey


def clean_label(fields: LabelFields, others: list[LabelDefinition]) -> dict[str, Any]:
    """The label's columns, checked against the other labels of the draft.

    Raises BadValue with every wrong field at once: `data["errors"]` is {field: sentence}.
    """
    wrong: dict[str, str] = {}
    clean: dict[str, Any] = {}
    limits = {
        "name": (80, False), "key": (60, False), "definition": (TEXT_LIMIT, True), "include": (TEXT_LIMIT, True),
        "exclude": (TEXT_LIMIT, True),
    }  # fmt: skip
    for field, (limit, lines) in limits.items():
        try:
            clean[field] = clean_text(getattr(fields, field), field, limit, lines=lines)
        except BadValue as refusal:
            wrong[field], clean[field] = refusal.message, ""
    for field in ("include", "exclude"):
        clean[field] = "\n".join(line.strip() for line in clean[field].splitlines() if line.strip())
    taken = {other.key for other in others}
    if not clean["name"]:
        wrong.setdefault("name", "Give the label a name, such as “Defect”.")
    elif any(other.name.casefold() == clean["name"].casefold() for other in others):
        wrong["name"] = "Another label has this name. Raters would not tell them apart."
    clean["key"] = clean["key"] or key_from_name(clean["name"], taken)
    if clean["key"] in taken:
        wrong["key"] = f"Another label is stored as “{clean['key']}” already."
    elif not clean["key"].isprintable():
        wrong["key"] = "Use printable characters only."
    hotkey = fields.hotkey
    if hotkey is None:
        hotkey = "" if fields.is_borderline else suggest_hotkey(other.hotkey for other in others)
    clean["hotkey"] = _clean_hotkey(hotkey.strip(), others, wrong)
    clean["colour_token"] = fields.colour_token
    if fields.colour_token and fields.colour_token not in COLOUR_TOKENS:
        wrong["colour_token"] = f"Choose one of {', '.join(COLOUR_TOKENS)}."
    clean["is_borderline"] = bool(fields.is_borderline)
    if clean["is_borderline"] and (holder := next((other for other in others if other.is_borderline), None)):
        wrong["is_borderline"] = f"“{holder.name}” is the borderline label already; one is enough."
    clean |= _clean_threshold(fields, wrong)
    if wrong:
        first = next(iter(wrong))
        raise BadValue("bad_label", wrong[first], field=first, errors=wrong)
    return clean


# --- what an editor had seen ------------------------------------------------------------------------


def label_fingerprint(label: LabelDefinition) -> str:
    """Changes whenever a field of the label does; its examples do not count, they are edited one by one."""
    return sha256_json(label_fields(label))[:16]


def draft_fingerprint(version: GuidelineVersion) -> str:
    """Changes whenever the draft's instructions, reason or settings do."""
    return fingerprint_of(version.body, version.change_note, version.task_settings)


def fingerprint_of(body: str, change_note: str, task_settings: Mapping[str, Any]) -> str:
    return sha256_json([body, change_note, dict(task_settings)])[:16]
