from django.db import models


class AnnotationFeed(models.Model):
    """The order in which annotations are told to programs.

    Numbered after commit by one leased writer: a transaction that commits late gets a late number, so a reader who
    remembers the last number never misses it.
    """

    number = models.BigIntegerField(unique=True)
    annotation = models.OneToOneField("labeling.Annotation", on_delete=models.PROTECT, related_name="feed_entry")
    project = models.ForeignKey("labeling.Project", on_delete=models.PROTECT, related_name="+", db_index=False)

    class Meta:
        indexes = [models.Index(fields=["project", "number"], name="feed_by_project")]


class FeedCursor(models.Model):
    """The feed's one writer holds this row while it numbers; it also says how far nothing is left to number.

    Every annotation up to `settled_through` is numbered, or will never be there. `seen_through` becomes the next value
    once no transaction from before `mark` is at work any more; see `api.feed`.
    """

    last_number = models.BigIntegerField(default=0)
    settled_through = models.BigIntegerField(default=0)
    seen_through = models.BigIntegerField(default=0)
    mark = models.BigIntegerField(default=0)
    at = models.DateTimeField()

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(pk=1), name="the_feed_has_one_writer")]
