import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q

from labeling.vocabulary import GoldOrigin

from ..vocabulary import RunKind, Scope


class AgreementRun(models.Model):
    """Figures of one question over one state of the labels: the same question over the same labels is the same row.

    `question_sha256` is the digest of kind, batches and parameters; `input_sha256` of the labels that were read.
    `checked_at` is when the labels were last found unchanged: the figures' age. `findings` holds what is said in words
    beside the estimates (artefact, exclusions, stop hint).
    """

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    project = models.ForeignKey("labeling.Project", on_delete=models.PROTECT, related_name="agreement_runs")
    kind = models.CharField(max_length=10, choices=RunKind)
    # The batch the question is about; a comparison has a second one, and `batches` lists the uuids of all.
    batch = models.ForeignKey(
        "labeling.Batch", on_delete=models.PROTECT, null=True, blank=True, related_name="agreement_runs"
    )
    batches = models.JSONField(default=list)
    parameters = models.JSONField(default=dict, blank=True)
    question_sha256 = models.CharField(max_length=64)
    input_sha256 = models.CharField(max_length=64)
    code_version = models.CharField(max_length=60)
    seed = models.BigIntegerField(default=0)
    findings = models.JSONField(default=dict, blank=True)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    at = models.DateTimeField()
    checked_at = models.DateTimeField()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["question_sha256", "input_sha256", "code_version"], name="one_run_per_question_and_labels"
            ),
            models.CheckConstraint(condition=Q(kind__in=RunKind.values), name="run_kind_is_known"),
        ]
        indexes = [models.Index(fields=["question_sha256", "-id"], name="run_newest_per_question")]


class AgreementEstimate(models.Model):
    """One figure of a run. `scope_key` is sorted JSON: which cohort, label, slice, rater or role; it may combine them.

    `compared_run` set: the figure is a difference, this run minus that one.
    """

    run = models.ForeignKey(AgreementRun, on_delete=models.CASCADE, related_name="estimates", db_index=False)
    scope = models.CharField(max_length=11, choices=Scope)
    scope_key = models.CharField(max_length=500, default="{}")
    compared_run = models.ForeignKey(AgreementRun, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    coefficient = models.CharField(max_length=40)
    level = models.CharField(max_length=10, default="nominal")
    method = models.CharField(max_length=10, blank=True)
    population = models.CharField(max_length=200, blank=True)
    reference_origin = models.CharField(max_length=13, choices=GoldOrigin, blank=True)
    excluded = models.JSONField(default=dict, blank=True)
    value = models.FloatField(null=True, blank=True)
    low = models.FloatField(null=True, blank=True)
    high = models.FloatField(null=True, blank=True)
    se = models.FloatField(null=True, blank=True)
    se_items = models.FloatField(null=True, blank=True)
    se_raters = models.FloatField(null=True, blank=True)
    items = models.PositiveIntegerField(default=0)
    raters = models.PositiveIntegerField(default=0)
    ratings = models.PositiveBigIntegerField(default=0)
    undefined_reason = models.TextField(blank=True)
    notes = models.JSONField(default=list, blank=True)  # warnings a reader needs, in words

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["run", "scope", "scope_key", "coefficient", "reference_origin"],
                condition=Q(compared_run__isnull=True),
                name="one_figure_per_scope_and_coefficient",
            ),
            models.UniqueConstraint(
                fields=["run", "scope", "scope_key", "coefficient", "reference_origin", "compared_run"],
                condition=Q(compared_run__isnull=False),
                name="one_difference_per_scope_and_coefficient",
            ),
            models.CheckConstraint(condition=Q(scope__in=Scope.values), name="scope_is_known"),
            models.CheckConstraint(
                condition=(Q(value__isnull=True) & ~Q(undefined_reason=""))
                | (Q(value__isnull=False) & Q(undefined_reason="")),
                name="a_figure_has_a_value_or_a_reason",
            ),
        ]
