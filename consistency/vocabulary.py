"""The words that consistency's rows may hold; the meaning of each stands in docs/words.md."""

from typing import Any

from django.db.models import TextChoices

from labeling.hashing import canonical_json

# How a disagreement names what was mixed up.
CANNOT = "cannot_label"
SEPARATOR = " | "


def value_key(value: Any) -> str:
    """A label as the key of a distribution: itself where it is text, else its canonical JSON.

    >>> value_key("defect"), value_key(3)
    ('defect', '3')
    """
    return value if isinstance(value, str) else canonical_json(value)


class DisagreementKind(TextChoices):
    LABELS = "labels", "Different labels"
    OUTCOME = "outcome", "Label or not enough information"
    COHORTS = "cohorts", "Cohorts differ"
    AUDIT = "audit", "Random audit"


class DisagreementStatus(TextChoices):
    OPEN = "open", "Open"
    HELD = "held", "Held"
    DISCUSSING = "discussing", "In discussion"
    RULED = "ruled", "Ruled"
    DISMISSED = "dismissed", "Dismissed"


# What may follow what. A ruling may be overruled, and reopened when its answers change before anyone ruled on them.
DISAGREEMENT_MOVES: dict[str, set[str]] = {
    DisagreementStatus.OPEN: {DisagreementStatus.HELD, DisagreementStatus.RULED, DisagreementStatus.DISMISSED},
    DisagreementStatus.HELD: {
        DisagreementStatus.OPEN, DisagreementStatus.DISCUSSING, DisagreementStatus.RULED, DisagreementStatus.DISMISSED,
    },
    DisagreementStatus.DISCUSSING: {DisagreementStatus.HELD, DisagreementStatus.RULED, DisagreementStatus.DISMISSED},
    DisagreementStatus.RULED: set(),
    DisagreementStatus.DISMISSED: {DisagreementStatus.OPEN},
}  # fmt: skip


class Cause(TextChoices):
    AMBIGUOUS_DEFINITION = "ambiguous_definition", "The definition is ambiguous"
    MISSING_LABEL = "missing_label", "A label is missing"
    RATER_SLIP = "rater_slip", "A slip"
    INSUFFICIENT_INPUT = "insufficient_input", "The item does not show enough"
    TRULY_BORDERLINE = "truly_borderline", "Truly borderline"
    LEGITIMATELY_SUBJECTIVE = "legitimately_subjective", "People may rightly differ"


class RulingOutcome(TextChoices):
    ADJUDICATE = "adjudicate", "Decide this item"
    REVISE = "revise", "Revise the definition"
    NORMALISE = "normalise", "Normalise spellings"
    MERGE = "merge", "Merge two labels"
    ADD_LABEL = "add_label", "Add a label"
    IMPROVE_INPUT = "improve_input", "Improve the input"
    KEEP_DISTRIBUTION = "keep_distribution", "Keep the distribution"


class ResolutionMethod(TextChoices):
    SINGLE = "single", "One rater"
    UNANIMOUS = "unanimous", "Unanimous"
    MAJORITY = "majority", "Majority"
    DAWID_SKENE = "dawid_skene", "Dawid–Skene"
    ADJUDICATED = "adjudicated", "Ruled"
    MAPPED = "mapped", "Mapped"
    AUTOMATIC = "automatic", "Automatic"
    NONE = "none", "None"


class RunKind(TextChoices):
    AGREEMENT = "agreement", "Agreement"
    HLP = "hlp", "Human-level performance"
    COMPARISON = "comparison", "Before and after"
    INPUT = "input", "Improve the input"


class Scope(TextChoices):
    BATCH = "batch", "All raters"
    COHORT = "cohort", "Cohort"
    COHORT_PAIR = "cohort_pair", "Between cohorts"
    LABEL = "label", "Label"
    SLICE = "slice", "Slice"
    RATER = "rater", "Rater"
    RATER_PAIR = "rater_pair", "Rater pair"
    ROLE = "role", "Item role"
    MODEL = "model", "Model"
