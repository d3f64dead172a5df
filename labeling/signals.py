"""The project's one signal."""

from django.dispatch import Signal

# Sent after commit with `batch_item_id` and `cohort` when no place of that item and cohort is open or claimed,
# again after each revision of a settled item, and with cohort "" when its item was withdrawn. Receivers must be idempotent; a sweep finds what a lost signal missed.
# For many items at once (an import, a close, a rater set aside or back) it is sent once with `batch` and `by` and no item:
# receivers queue what they do about it.
item_settled = Signal()
