"""The words that rows may hold. One word per thing; the meaning of each stands in docs/words.md."""

from django.db.models import TextChoices


class Role(TextChoices):
    OWNER = "owner", "Owner"
    SME = "sme", "SME"
    ENGINEER = "engineer", "ML engineer"
    RATER = "rater", "Rater"


class Cohort(TextChoices):
    GENERALIST = "generalist", "Generalist"
    EXPERT = "expert", "Expert"
    TARGET_USER = "target_user", "Target user"


class Phase(TextChoices):
    POC = "poc", "Proof of concept"
    PRODUCTION = "production", "Production"


class VersionStatus(TextChoices):
    DRAFT = "draft", "Draft"
    PUBLISHED = "published", "Published"
    AS_IMPORTED = "as_imported", "As imported"


class Polarity(TextChoices):
    POSITIVE = "positive", "Example"
    NEGATIVE = "negative", "Counter-example"
    BORDERLINE = "borderline", "Borderline example"


class Operator(TextChoices):
    MORE = ">", "> more than"
    AT_LEAST = "≥", "≥ at least"
    LESS = "<", "< less than"
    AT_MOST = "≤", "≤ at most"


class MappingKind(TextChoices):
    MERGE = "merge", "Merge"
    NORMALISE = "normalise", "Normalise"


class ImportKind(TextChoices):
    ITEMS = "items", "Items"
    LABELS = "labels", "Labels"


class RunStatus(TextChoices):
    CHECKING = "checking", "Checking"
    WRITING = "writing", "Writing"
    DONE = "done", "Done"
    REFUSED = "refused", "Refused"
    DISCARDED = "discarded", "Discarded"


class BatchKind(TextChoices):
    LABEL = "label", "Label"
    RELABEL = "relabel", "Relabel"
    RETEST = "retest", "Retest"
    QUALIFICATION = "qualification", "Qualification"
    IMPORT = "import", "Import"


class BatchStatus(TextChoices):
    DRAFT = "draft", "Draft"
    OPENING = "opening", "Opening"
    OPEN = "open", "Open"
    CLOSED = "closed", "Closed"


class ItemRole(TextChoices):
    NORMAL = "normal", "Normal"
    GOLD = "gold", "Gold"
    AFFECTED = "affected", "Affected"
    CONTROL = "control", "Control"
    FRESH = "fresh", "Fresh"


class PlaceStatus(TextChoices):
    OPEN = "open", "Open"
    CLAIMED = "claimed", "In hand"
    SUBMITTED = "submitted", "Submitted"
    SKIPPED = "skipped", "Skipped"
    VOID = "void", "Void"


class PlaceOrigin(TextChoices):
    PLANNED = "planned", "Planned"
    REPLACEMENT = "replacement", "Replacement"
    EXTRA = "extra", "Extra"


class Outcome(TextChoices):
    LABELED = "labeled", "Labeled"
    CANNOT_LABEL = "cannot_label", "Not enough information"


class AnnotationOrigin(TextChoices):
    BROWSER = "browser", "Browser"
    API = "api", "API"
    IMPORT = "import", "Import"
    SIMULATED = "simulated", "Simulated"


class GoldOrigin(TextChoices):
    EXTERNAL = "external", "External"
    ADJUDICATED = "adjudicated", "Adjudicated"
    SINGLE_RATER = "single_rater", "Single rater"
    USER_DECLARED = "user_declared", "User declared"
    FEEDBACK = "feedback", "Feedback"


class JobStatus(TextChoices):
    QUEUED = "queued", "Waiting"
    RUNNING = "running", "Running"
    DONE = "done", "Done"
    FAILED = "failed", "Failed"


class ModelMode(TextChoices):
    SHADOW = "shadow", "Shadow"
    ASSIST = "assist", "Assistance"
    PARTIAL = "partial", "Partial"


# Keys the desk and the bench use themselves; a label may not take them.
RESERVED_KEYS = "bncqsudezrh"
# Label colours: tokens of the style sheet, told apart under colour blindness together with their position.
COLOUR_TOKENS = tuple(f"label-{number}" for number in range(1, 13))
