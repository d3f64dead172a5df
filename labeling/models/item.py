import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q

from ..vocabulary import RunStatus


class ItemQuerySet(models.QuerySet["Item"]):
    def visible(self) -> "ItemQuerySet":
        """Items whose import is done (or that had none); withdrawn ones included."""
        return self.filter(Q(import_run__isnull=True) | Q(import_run__status=RunStatus.DONE))

    def available(self) -> "ItemQuerySet":
        """Visible and not withdrawn: what a batch may hold."""
        return self.visible().filter(withdrawn_at__isnull=True)


class Item(models.Model):
    """The thing labeled: `payload` is what raters and models see, `metadata` is never shown to raters."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    project = models.ForeignKey("labeling.Project", on_delete=models.PROTECT, related_name="items")
    external_id = models.CharField(max_length=200)
    payload = models.JSONField()
    metadata = models.JSONField(default=dict, blank=True)
    payload_sha256 = models.CharField(max_length=64)
    # {payload field: {"file": path below MEDIA_ROOT, "sha256", "type", "width", "height"}}; null without files
    media = models.JSONField(null=True, blank=True)
    import_run = models.ForeignKey(
        "labeling.ImportRun", on_delete=models.PROTECT, null=True, blank=True, related_name="items"
    )
    withdrawn_at = models.DateTimeField(null=True, blank=True)

    objects = ItemQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "external_id"], name="external_ids_are_unique_in_a_project"),
        ]
        indexes = [
            # read by imports: is this payload here already under another id?
            models.Index(fields=["project", "payload_sha256"], name="item_by_payload"),
            # the few that figures leave out
            models.Index(fields=["project"], condition=Q(withdrawn_at__isnull=False), name="item_withdrawn"),
        ]

    def __str__(self) -> str:
        return self.external_id


class ItemTag(models.Model):
    """A tag on an item; never shown to raters."""

    item = models.ForeignKey(Item, on_delete=models.CASCADE, related_name="tags")
    tag = models.CharField(max_length=80)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    at = models.DateTimeField(auto_now_add=True)
    removed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["item", "tag"], condition=Q(removed_at__isnull=True), name="an_item_has_a_tag_once"
            ),
            models.CheckConstraint(condition=~Q(tag=""), name="a_tag_is_not_empty"),
        ]
        indexes = [models.Index(fields=["tag", "item"], name="item_by_tag")]
