from django.db import models
from django.db.models import Q

from ..vocabulary import ModelMode


class Prediction(models.Model):
    """What a model says about an item. A model is never a member, and raters never see this."""

    item = models.ForeignKey("labeling.Item", on_delete=models.PROTECT, related_name="predictions")
    model_name = models.CharField(max_length=120)
    model_version = models.CharField(max_length=60)
    guideline_version = models.ForeignKey(
        "labeling.GuidelineVersion", on_delete=models.PROTECT, related_name="predictions"
    )
    value = models.JSONField()
    probabilities = models.JSONField(null=True, blank=True)
    at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["item", "model_name", "model_version", "guideline_version"],
                name="a_model_predicts_an_item_once",
            )
        ]


class ModelUse(models.Model):
    """How far a model takes part in a batch."""

    batch = models.ForeignKey("labeling.Batch", on_delete=models.PROTECT, related_name="model_uses")
    model_name = models.CharField(max_length=120)
    model_version = models.CharField(max_length=60)
    mode = models.CharField(max_length=8, choices=ModelMode)
    cut_offs = models.JSONField(null=True, blank=True)
    since = models.DateTimeField()

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(mode__in=ModelMode.values), name="model_mode_is_known")]
