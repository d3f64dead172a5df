"""Items, imports, jobs and events as REST shows them."""

from __future__ import annotations

from rest_framework import serializers

from labeling.vocabulary import ImportKind, JobStatus, RunStatus

from .fields import Anything, Flag, Id, Input, Object, Output, Text, Whole

When = serializers.DateTimeField


class ItemOut(Output):
    """An item as it was imported."""

    uuid = Id()
    external_id = Text()
    payload = Object()
    payload_sha256 = Text()
    metadata = Object()
    tags = serializers.ListField(child=Text())
    files = serializers.DictField(child=Text(), help_text="addresses of pictures by payload field")
    withdrawn_at = When(allow_null=True)


class JobOut(Output):
    """Work in the background: ask again until it is done or failed."""

    uuid = Id()
    kind = Text()
    status = serializers.ChoiceField(JobStatus.choices)
    progress = Object(help_text="{done, total, what} while it runs")
    result = Anything(allow_null=True)
    error = Text()
    attempts = Whole()
    created_at = When()
    finished_at = When(allow_null=True)
    url = Text()


class FindingOut(Output):
    """What is to be said about a row."""

    row = Whole(help_text="as a person finds it in the file; of JSON the number of the object")
    code = Text()
    reason = Text()
    field = Text()
    value = Text()


class CountOut(Output):
    """How often something was found."""

    code = Text()
    field = Text()
    count = Whole()


class FindingsOut(Output):
    """All findings of a kind, counted; the first hundred in full."""

    total = Whole()
    counts = CountOut(many=True)
    listed = FindingOut(many=True)


class LabelsQuery(serializers.Serializer):
    """How a file of labels is read."""

    item = serializers.CharField(
        required=False, max_length=200, help_text="column of the item's id; default: by its usual names"
    )
    rater = serializers.CharField(required=False, max_length=200, help_text="column of who said it")
    label = serializers.CharField(required=False, max_length=200, help_text="column of what they said")
    cohort = serializers.CharField(required=False, max_length=200, help_text="column of their cohort")
    gold = serializers.CharField(required=False, max_length=200, help_text="column of a reference label")
    session = serializers.CharField(required=False, max_length=200, help_text="column of the session")
    timestamp = serializers.CharField(required=False, max_length=200, help_text="column of the time")
    cohorts = serializers.CharField(
        required=False, default="", max_length=2000,
        help_text="what the file's cohort names mean, as crowd=generalist,control=expert; or one cohort for all",
    )  # fmt: skip
    labels = serializers.CharField(
        required=False,
        default="",
        max_length=4000,
        help_text="the declared labels in order, as G,P,R,X; default: those found",
    )
    create_items = serializers.BooleanField(
        required=False, default=False, help_text="make items without content for ids the project does not have"
    )
    skip_refused = serializers.BooleanField(
        required=False, default=False, help_text="leave refused rows out instead of refusing everything"
    )
    name = serializers.CharField(required=False, max_length=200, help_text="what the import is called")


class ImportOut(Output):
    """One file read into the project, with the report on its rows."""

    uuid = Id()
    kind = serializers.ChoiceField(ImportKind.choices)
    status = serializers.ChoiceField(RunStatus.choices)
    source = Text()
    file_sha256 = Text()
    rows_read = Whole()
    rows_kept = Whole()
    rows_refused = Whole()
    rows_skipped = Whole(help_text="left out: there already, or twice")
    errors = FindingsOut()
    left_out = FindingsOut()
    notes = serializers.ListField(child=Text())
    at = When()
    finished_at = When(allow_null=True)
    job = Id(allow_null=True, help_text="the job that works on it")
    url = Text()


class EventOut(Output):
    """What happened."""

    id = Whole()
    verb = Text()
    subject = Text(help_text="the kind of thing it happened to")
    actor = Text(allow_null=True, help_text="pseudonym, or name when the token may know; null for Concord itself")
    implicit = Flag(help_text="a consequence, not an act of its own")
    data = Anything(allow_null=True, help_text="null where it could name people and the token may not know them")
    at = When()


class WithdrawIn(Input):
    """Why an item is taken out."""

    reason = Text(max_length=500)
