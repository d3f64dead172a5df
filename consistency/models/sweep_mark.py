from django.db import models


class SweepMark(models.Model):
    """How far a sweep has read a table that only grows. Set back, it reads again; nothing is lost."""

    name = models.CharField(max_length=40, unique=True)
    position = models.BigIntegerField(default=0)
