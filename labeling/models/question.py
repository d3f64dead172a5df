import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q


class Question(models.Model):
    """A rater asks about an item; an SME answers. The answer never tells what others labeled."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    batch_item = models.ForeignKey("labeling.BatchItem", on_delete=models.PROTECT, related_name="questions")
    by = models.ForeignKey("labeling.Membership", on_delete=models.PROTECT, related_name="questions")
    text = models.TextField()
    at = models.DateTimeField()
    answer = models.TextField(blank=True)
    answered_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    answered_at = models.DateTimeField(null=True, blank=True)
    seen_at = models.DateTimeField(null=True, blank=True)  # the asker has read the answer

    class Meta:
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(condition=~Q(text=""), name="a_question_asks_something"),
            models.CheckConstraint(
                condition=Q(answer="", answered_at__isnull=True, answered_by__isnull=True)
                | (~Q(answer="") & Q(answered_at__isnull=False, answered_by__isnull=False)),
                name="an_answer_has_author_and_time",
            ),
        ]
