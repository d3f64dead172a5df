import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q

from ..vocabulary import MappingKind, Operator, Polarity, VersionStatus


class GuidelineVersion(models.Model):
    """Numbered instructions of a project; sealed once `published_at` is set."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    project = models.ForeignKey("labeling.Project", on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    body = models.TextField(blank=True)
    task_settings = models.JSONField(default=dict, blank=True)
    status = models.CharField(max_length=12, choices=VersionStatus, default=VersionStatus.DRAFT)
    parent = models.ForeignKey("self", on_delete=models.PROTECT, null=True, blank=True, related_name="children")
    change_note = models.TextField(blank=True)
    body_sha256 = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    saved_at = models.DateTimeField(auto_now=True)
    saved_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    published_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    published_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["project_id", "number"]
        constraints = [
            models.UniqueConstraint(fields=["project", "number"], name="version_numbers_are_unique_in_a_project"),
            models.UniqueConstraint(
                fields=["project"], condition=Q(status=VersionStatus.DRAFT), name="one_draft_per_project"
            ),
            models.CheckConstraint(condition=Q(status__in=VersionStatus.values), name="version_status_is_known"),
            models.CheckConstraint(
                condition=~Q(status=VersionStatus.DRAFT) | Q(published_at__isnull=True), name="a_draft_is_not_published"
            ),
            models.CheckConstraint(
                condition=~Q(status=VersionStatus.PUBLISHED) | (Q(published_at__isnull=False) & ~Q(body_sha256="")),
                name="a_published_version_has_time_and_hash",
            ),
        ]

    def __str__(self) -> str:
        return f"v{self.number}"


class LabelDefinition(models.Model):
    """What one label means under one version."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    version = models.ForeignKey(GuidelineVersion, on_delete=models.CASCADE, related_name="labels")
    key = models.CharField(max_length=60)
    name = models.CharField(max_length=80)
    definition = models.TextField(blank=True)
    include = models.TextField(blank=True)  # one point a line
    exclude = models.TextField(blank=True)
    ordinal = models.PositiveSmallIntegerField(default=0)
    hotkey = models.CharField(max_length=1, blank=True)
    colour_token = models.CharField(max_length=12, blank=True)
    is_borderline = models.BooleanField(default=False)
    threshold_attribute = models.CharField(max_length=80, blank=True)
    threshold_operator = models.CharField(max_length=1, choices=Operator, blank=True)
    threshold_value = models.DecimalField(max_digits=20, decimal_places=6, null=True, blank=True)
    threshold_unit = models.CharField(max_length=20, blank=True)

    class Meta:
        ordering = ["version_id", "ordinal", "id"]
        constraints = [
            models.UniqueConstraint(fields=["version", "key"], name="label_keys_are_unique_in_a_version"),
            models.UniqueConstraint(
                fields=["version", "hotkey"], condition=~Q(hotkey=""), name="hotkeys_are_unique_in_a_version"
            ),
            models.CheckConstraint(condition=~Q(key="") & ~Q(name=""), name="a_label_has_key_and_name"),
            models.CheckConstraint(
                condition=Q(threshold_attribute="", threshold_operator="", threshold_value__isnull=True)
                | (~Q(threshold_attribute="") & ~Q(threshold_operator="") & Q(threshold_value__isnull=False)),
                name="a_threshold_is_whole_or_absent",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class LabelExample(models.Model):
    """An example, counter-example or borderline case of a label: an item of the project or a payload of its own."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    definition = models.ForeignKey(LabelDefinition, on_delete=models.CASCADE, related_name="examples")
    polarity = models.CharField(max_length=10, choices=Polarity)
    payload = models.JSONField(null=True, blank=True)
    item = models.ForeignKey("labeling.Item", on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    note = models.CharField(max_length=300, blank=True)
    ordinal = models.PositiveSmallIntegerField(default=0)

    class Meta:
        ordering = ["definition_id", "ordinal", "id"]
        constraints = [
            models.CheckConstraint(condition=Q(polarity__in=Polarity.values), name="example_polarity_is_known"),
            models.CheckConstraint(
                condition=Q(item__isnull=False, payload__isnull=True) | Q(item__isnull=True, payload__isnull=False),
                name="an_example_is_an_item_or_a_payload",
            ),
        ]


class LabelMapping(models.Model):
    """How a label of the parent version reads under this one: two merged, or a spelling normalised."""

    guideline_version = models.ForeignKey(GuidelineVersion, on_delete=models.CASCADE, related_name="mappings")
    kind = models.CharField(max_length=10, choices=MappingKind)
    from_key = models.CharField(max_length=60)
    to_key = models.CharField(max_length=60)
    adjudication_uuid = models.UUIDField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["guideline_version", "from_key"], name="a_label_maps_to_one_label"),
            models.CheckConstraint(condition=Q(kind__in=MappingKind.values), name="mapping_kind_is_known"),
        ]


class Acknowledgement(models.Model):
    """A member has read a version; without it they cannot claim under that version."""

    member = models.ForeignKey("labeling.Membership", on_delete=models.PROTECT, related_name="acknowledgements")
    guideline_version = models.ForeignKey(GuidelineVersion, on_delete=models.PROTECT, related_name="acknowledgements")
    at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["member", "guideline_version"], name="a_version_is_acknowledged_once")
        ]
