from django.conf import settings
from django.db import models


class Event(models.Model):
    """Who did what to which row, when. Append-only. `implicit`: a consequence, not an act of its own."""

    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+", db_index=False
    )
    verb = models.CharField(max_length=40)
    project = models.ForeignKey(
        "labeling.Project", on_delete=models.PROTECT, null=True, related_name="events", db_index=False
    )
    subject_type = models.CharField(max_length=30)
    subject_id = models.BigIntegerField()
    data = models.JSONField(default=dict, blank=True)
    implicit = models.BooleanField(default=False)
    at = models.DateTimeField()

    class Meta:
        indexes = [
            models.Index(fields=["subject_type", "subject_id"], name="event_by_subject"),
            models.Index(fields=["project", "id"], name="event_by_project"),
        ]
