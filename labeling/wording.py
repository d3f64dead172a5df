"""A deciding rule in words: what raters read instead of a bare sign."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from .models import LabelDefinition
from .vocabulary import Operator

# (word in the attribute, how one says more of it, how one says less of it)
DIMENSIONS = (
    ("length", "longer", "shorter"),
    ("duration", "longer", "shorter"),
    ("width", "wider", "narrower"),
    ("height", "higher", "lower"),
    ("depth", "deeper", "shallower"),
    ("thickness", "thicker", "thinner"),
    ("weight", "heavier", "lighter"),
    ("age", "older", "younger"),
    ("size", "larger", "smaller"),
    ("area", "larger", "smaller"),
    ("diameter", "larger", "smaller"),
    ("speed", "faster", "slower"),
    ("temperature", "warmer", "colder"),
    ("distance", "farther", "nearer"),
)
SIGNS = {"%", "°", "‰", "°C", "°F"}


@dataclass(frozen=True)
class Threshold:
    """A deciding rule: `attribute` `operator` `value` `unit`, as in: length of the longest mark > 0.3 mm."""

    attribute: str
    operator: str
    value: Decimal
    unit: str = ""

    def holds(self, value: Decimal) -> bool:
        """Whether the rule is true of that value."""
        return {
            Operator.MORE: value > self.value,
            Operator.AT_LEAST: value >= self.value,
            Operator.LESS: value < self.value,
            Operator.AT_MOST: value <= self.value,
        }[Operator(self.operator)]


def threshold_of(label: LabelDefinition) -> Threshold | None:
    """The label's deciding rule, or None where it has none."""
    if label.threshold_value is None:
        return None
    return Threshold(
        label.threshold_attribute, label.threshold_operator, Decimal(label.threshold_value), label.threshold_unit
    )


def plain_number(value: Decimal) -> str:
    """The number without trailing zeros or an exponent.

    >>> plain_number(Decimal("0.300000")), plain_number(Decimal("1E+2"))
    ('0.3', '100')
    """
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def quantity(value: Decimal, unit: str) -> str:
    """Number and unit as one reads them.

    >>> quantity(Decimal("0.30"), "mm"), quantity(Decimal(40), "%"), quantity(Decimal(3), "")
    ('0.3 mm', '40 %', '3')
    """
    return f"{plain_number(value)} {unit}".strip()


def _dimension(attribute: str) -> tuple[str, str] | None:
    words = attribute.lower().replace("-", " ").split()
    for word, more, less in DIMENSIONS:
        if word in words:
            return more, less
    return None


def word_rule(rule: Threshold) -> str:
    """The rule in words with its sign, so that nobody has to guess on which side the limit itself lies.

    The attribute is named where the comparing word does not say it already.

    >>> word_rule(Threshold("length of the longest mark", ">", Decimal("0.3"), "mm"))
    'longer than 0.3 mm (> 0.3 mm)'
    >>> word_rule(Threshold("length", "≤", Decimal("0.3"), "mm"))
    '0.3 mm or shorter (≤ 0.3 mm)'
    >>> word_rule(Threshold("number of marks", "≥", Decimal(3)))
    'number of marks: 3 or more (≥ 3)'
    """
    amount = quantity(rule.value, rule.unit)
    dimension = _dimension(rule.attribute)
    more, less = dimension or ("more", "less")
    words = {
        Operator.MORE: f"{more} than {amount}",
        Operator.AT_LEAST: f"{amount} or {more}",
        Operator.LESS: f"{less} than {amount}",
        Operator.AT_MOST: f"{amount} or {less}",
    }[Operator(rule.operator)]
    named = "" if dimension else f"{rule.attribute}: "
    return f"{named}{words} ({rule.operator} {amount})"


def _same_scale(one: Threshold, other: Threshold) -> bool:
    return (one.attribute.casefold(), one.unit) == (other.attribute.casefold(), other.unit)


def owners_of(value: Decimal, rule: Threshold, labels: Iterable[LabelDefinition]) -> list[LabelDefinition]:
    """The labels whose rule, on the same attribute and unit as `rule`, holds for the value."""
    found = []
    for label in labels:
        other = threshold_of(label)
        if other is not None and _same_scale(rule, other) and other.holds(value):
            found.append(label)
    return found


def word_boundary(label: LabelDefinition, labels: Iterable[LabelDefinition]) -> str:
    """What exactly the limit itself is, in words; empty for a label without a rule.

    A label whose rule includes its limit owns it. Otherwise the label whose rule on the same attribute holds there
    does, or the only other label of the version.
    """
    rule = threshold_of(label)
    if rule is None:
        return ""
    labels = list(labels)
    exactly = f"exactly {quantity(rule.value, rule.unit)}"
    owners = owners_of(rule.value, rule, labels)
    if len(owners) > 1:
        return f"{exactly} is said to be {' and '.join(owner.name for owner in owners)}: one must give way"
    if owners:
        return f"{exactly} is {owners[0].name}"
    others = [other for other in labels if other.pk != label.pk and not other.is_borderline]
    if len(others) == 1 and threshold_of(others[0]) is None:
        return f"{exactly} is {others[0].name}"
    return f"{exactly} is not {label.name}"
