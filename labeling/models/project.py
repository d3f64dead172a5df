import uuid

from django.db import models

from ..vocabulary import Phase


class Project(models.Model):
    """A question put to raters, its task type, and the fields of its items.

    `payload_schema`: {"fields": [{"name", "kind": text|image|number, "title", "required"}], …}.
    `settings`: cohorts and overlap offered by default, audit share, delta_min and the like, each read through
    `labeling.project_settings`.
    """

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    slug = models.SlugField(max_length=60, unique=True)
    name = models.CharField(max_length=120)
    task_type = models.CharField(max_length=40)
    question = models.CharField(max_length=300)
    payload_schema = models.JSONField(default=dict, blank=True)
    settings = models.JSONField(default=dict, blank=True)
    time_zone = models.CharField(max_length=60, default="UTC")
    phase = models.CharField(max_length=12, choices=Phase, default=Phase.POC)
    simulated = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)
    archived_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["name", "id"]
        constraints = [
            models.CheckConstraint(condition=models.Q(phase__in=Phase.values), name="project_phase_is_known"),
            models.CheckConstraint(condition=~models.Q(question=""), name="project_asks_a_question"),
        ]

    def __str__(self) -> str:
        return self.name
