import uuid

from django.db import models
from django.db.models import Q


class ApiToken(models.Model):
    """A program's key to one membership: it may do what its scopes say and its member may, and nothing else.

    Only the digest is stored; the key itself is shown once.
    """

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    membership = models.ForeignKey("labeling.Membership", on_delete=models.PROTECT, related_name="api_tokens")
    name = models.CharField(max_length=80)
    prefix = models.CharField(max_length=12)  # the key's beginning, so that its owner can tell keys apart
    digest = models.CharField(max_length=64, unique=True)
    scopes = models.JSONField(default=list)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(condition=~Q(name=""), name="a_token_has_a_name"),
            models.CheckConstraint(condition=~Q(digest=""), name="a_token_has_a_digest"),
        ]


class IdempotencyRecord(models.Model):
    """What a request with this key was answered, so that the same request again gets the same answer."""

    member = models.ForeignKey("labeling.Membership", on_delete=models.CASCADE, related_name="+")
    key = models.CharField(max_length=128)
    request_sha256 = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField(null=True, blank=True)  # null while the first request is being answered
    response = models.JSONField(null=True, blank=True)
    at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["member", "key"], name="a_key_is_used_once_per_member")]
        indexes = [models.Index(fields=["at"], name="idempotency_age")]
