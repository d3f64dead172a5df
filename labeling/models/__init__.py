"""One noun per file; everything is imported from here."""

from .annotation import Annotation
from .assignment import Assignment
from .batch import Batch, BatchItem, Quota
from .event import Event
from .exclusion import Exclusion
from .gold import Gold
from .guideline import Acknowledgement, GuidelineVersion, LabelDefinition, LabelExample, LabelMapping
from .import_run import ImportRun
from .item import Item, ItemTag
from .job import Job
from .membership import Invite, Membership
from .prediction import ModelUse, Prediction
from .project import Project
from .question import Question
from .user import User

__all__ = [
    "Acknowledgement", "Annotation", "Assignment", "Batch", "BatchItem", "Event", "Exclusion", "Gold",
    "GuidelineVersion", "ImportRun", "Invite", "Item", "ItemTag", "Job", "LabelDefinition", "LabelExample",
    "LabelMapping", "Membership", "ModelUse", "Prediction", "Project", "Question", "Quota", "User",
]  # fmt: skip
