"""Dataset versions as REST takes and shows them."""

from __future__ import annotations

from rest_framework import serializers

from labeling.vocabulary import Cohort

from ..datasets.definition import LABELS, METHODS, SPLIT_METHODS, VERSIONS
from ..vocabulary import DatasetFormat, DatasetStatus
from .fields import Flag, Id, Input, Number, Object, Output, Text, Whole

When = serializers.DateTimeField


class SplitsIn(Input):
    """How items are parted."""

    method = serializers.ChoiceField(SPLIT_METHODS, required=False)
    shares = serializers.DictField(
        child=Number(min_value=0, max_value=1), required=False, help_text='{"train": 0.6, "dev": 0.2, "test": 0.2}'
    )
    seed = Whole(min_value=0, max_value=2**63 - 1, required=False)
    group_by = Text(required=False, allow_blank=True, max_length=200, help_text="a metadata field, for `grouped`")


class DatasetIn(Input):
    """A dataset to be built. The same definition over the same labels gives the same bytes."""

    name = Text(max_length=120)
    batch = Id(required=False, allow_null=True, help_text="read only this batch; default: the newest of each item")
    guideline_version = Whole(
        required=False, allow_null=True, min_value=1, max_value=10**8, help_text="by number; default: the newest"
    )
    versions = serializers.ChoiceField(VERSIONS, required=False)
    slice = Text(required=False, allow_blank=True, max_length=60)
    cohort = serializers.ChoiceField(Cohort.choices, required=False, allow_null=True)
    methods = serializers.ListField(child=serializers.ChoiceField(METHODS), required=False, max_length=20)
    labels = serializers.ChoiceField(LABELS, required=False)
    include_unresolved = Flag(required=False)
    splits = SplitsIn(required=False, allow_null=True)
    format = serializers.ChoiceField(DatasetFormat.choices, required=False)
    parent = Id(required=False, allow_null=True, help_text="the version this one follows")


class DatasetOut(Output):
    """A dataset version. Ready, it never changes: neither its bytes nor its manifest."""

    uuid = Id()
    number = Whole()
    name = Text()
    status = serializers.ChoiceField(DatasetStatus.choices)
    error = Text()
    format = serializers.ChoiceField(DatasetFormat.choices)
    definition = Object(help_text="what was asked for, as it was checked")
    parent = Id(allow_null=True)
    rows = Whole(allow_null=True)
    bytes = Whole(allow_null=True)
    sha256 = Text(help_text="of the content; its ETag. Empty until it is ready")
    created_at = When()
    ready_at = When(allow_null=True)
    notices = Whole(help_text="what became known since, such as withdrawn items")
    job = Id(allow_null=True, help_text="the job that builds it")
    url = Text()
    content = Text(help_text="the address of its bytes")


class NoticeOut(Output):
    """What became known after a dataset was built."""

    reason = Text()
    item = Id(allow_null=True)
    external_id = Text(allow_null=True)
    at = When()


class NoticesOut(Output):
    """All notices of a dataset version."""

    notices = NoticeOut(many=True)


class CompareIn(Input):
    """Another ready dataset version."""

    other = Id(help_text="the uuid of the dataset to compare with")
