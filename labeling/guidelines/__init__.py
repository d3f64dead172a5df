"""Room 2, definitions: a draft is edited by several people at once, checked, and published as a sealed version."""

from .checks import Check, check_draft
from .editing import (
    LabelFields,
    add_example,
    add_label,
    edit_label,
    move_label,
    remove_example,
    remove_label,
    save_draft,
    start_draft,
)
from .publishing import discard_draft, publish_version

__all__ = [
    "Check",
    "LabelFields",
    "add_example",
    "add_label",
    "check_draft",
    "discard_draft",
    "edit_label",
    "move_label",
    "publish_version",
    "remove_example",
    "remove_label",
    "save_draft",
    "start_draft",
]
