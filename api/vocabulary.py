"""The words that the dock's rows may hold; the meaning of each stands in docs/words.md."""

from django.db.models import TextChoices


class Scope(TextChoices):
    READ = "read", "Read"
    LABEL = "label", "Label"
    IMPORT = "import", "Import items and labels"
    EXPORT = "export", "Export datasets"
    ADJUDICATE = "adjudicate", "Rule on disagreements"
    MANAGE = "manage", "Manage the project"
    IDENTIFY = "raters:identify", "See who the raters are"


class DatasetStatus(TextChoices):
    BUILDING = "building", "Being built"
    READY = "ready", "Ready"
    FAILED = "failed", "Failed"


DATASET_MOVES: dict[str, set[str]] = {
    DatasetStatus.BUILDING: {DatasetStatus.READY, DatasetStatus.FAILED},
    DatasetStatus.READY: set(),
    DatasetStatus.FAILED: {DatasetStatus.BUILDING},
}


class DatasetFormat(TextChoices):
    JSONL = "jsonl", "JSON lines"
    CSV = "csv", "CSV"
    PARQUET = "parquet", "Parquet"
