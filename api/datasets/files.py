"""Where datasets lie: `DATA_DIR/datasets`, one file per version and its frozen list of items beside it."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings

from ..models import DatasetVersion


def folder() -> Path:
    """The folder of datasets; it is made when it is not there."""
    path = Path(settings.DATA_DIR) / "datasets"
    path.mkdir(parents=True, exist_ok=True)
    return path


def path_of(dataset: DatasetVersion) -> Path:
    """The file of a ready dataset."""
    return folder() / dataset.file


def members_of(dataset: DatasetVersion) -> Path:
    """The frozen items of a ready dataset: int64 row ids in order."""
    return path_of(dataset).with_suffix(".items")
