from django.db import models
from django.db.models import Q


class Slice(models.Model):
    """A named subset of a project's items by tag or metadata; membership is derived, an item may be in many.

    `filter` is what `labeling.selection` reads: tags, metadata values and ranges.
    """

    project = models.ForeignKey("labeling.Project", on_delete=models.PROTECT, related_name="slices")
    key = models.SlugField(max_length=60)
    name = models.CharField(max_length=80)
    filter = models.JSONField(default=dict)

    class Meta:
        ordering = ["project_id", "name"]
        constraints = [
            models.UniqueConstraint(fields=["project", "key"], name="slice_keys_are_unique_in_a_project"),
            models.CheckConstraint(condition=~Q(key="") & ~Q(name=""), name="a_slice_has_key_and_name"),
        ]

    def __str__(self) -> str:
        return self.name
