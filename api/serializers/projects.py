"""Projects, members, definitions, batches as REST shows them."""

from __future__ import annotations

from rest_framework import serializers

from labeling.vocabulary import BatchKind, BatchStatus, Cohort, Phase, Polarity, Role, VersionStatus

from .fields import Anything, Flag, Id, Input, Object, Output, Text, Whole

When = serializers.DateTimeField


class PayloadField(Output):
    """A declared field of the items' payload."""

    name = Text()
    kind = Text()
    title = Text()
    required = Flag()
    shown = Flag(help_text="whether raters see it")


class ProjectOut(Output):
    """A project, and the caller's place in it."""

    slug = Text()
    uuid = Id()
    name = Text()
    question = Text()
    task_type = Text()
    phase = serializers.ChoiceField(Phase.choices)
    time_zone = Text()
    simulated = Flag()
    payload_fields = PayloadField(many=True)
    archived_at = When(allow_null=True)
    role = serializers.ChoiceField(Role.choices)
    cohort = serializers.ChoiceField(Cohort.choices, allow_null=True)


class MemberOut(Output):
    """A member under their pseudonym. `uuid` and `name` are null unless the token may know who raters are."""

    rater = Text(help_text="the pseudonym that stands wherever raters are named")
    role = serializers.ChoiceField(Role.choices)
    cohort = serializers.ChoiceField(Cohort.choices, allow_null=True)
    active = Flag()
    simulated = Flag()
    imported = Flag(help_text="came in with a file of labels; no person logs in as them")
    labels = Whole(help_text="places answered")
    uuid = Id(allow_null=True)
    name = Text(allow_null=True)


class LabelExampleOut(Output):
    """An example of a label, as raters see it."""

    polarity = serializers.ChoiceField(Polarity.choices)
    note = Text()
    text = Text()


class LabelOut(Output):
    """What one label means under a version."""

    key = Text(help_text="what an answer's `value` is")
    name = Text()
    definition = Text()
    include = serializers.ListField(child=Text())
    exclude = serializers.ListField(child=Text())
    hotkey = Text()
    is_borderline = Flag()
    threshold_text = Text()
    boundary_text = Text()
    examples = LabelExampleOut(many=True)


class GuidelineOut(Output):
    """A version of the definitions."""

    uuid = Id()
    number = Whole()
    status = serializers.ChoiceField(VersionStatus.choices)
    parent = Id(allow_null=True)
    change_note = Text()
    body_sha256 = Text(help_text="over the whole content; empty for a draft")
    published_at = When(allow_null=True)
    acknowledged = Flag(help_text="whether the caller has read it")


class GuidelineWhole(GuidelineOut):
    """A version with its text and labels."""

    body = Text(help_text="Markdown")
    task_settings = Object()
    labels = LabelOut(many=True)


class AcknowledgedOut(Output):
    """The caller has read this version."""

    guideline = Id()
    number = Whole()
    acknowledged = Flag()


class VersionRef(Output):
    """A version, named."""

    uuid = Id()
    number = Whole()


class QuotaOut(Output):
    """How many raters of a cohort each item gets."""

    cohort = serializers.ChoiceField(Cohort.choices)
    raters = Whole()
    max_raters = Whole(allow_null=True)


class BatchOut(Output):
    """A batch. `selection` and `seed` are null for raters."""

    uuid = Id()
    name = Text()
    kind = serializers.ChoiceField(BatchKind.choices)
    status = serializers.ChoiceField(BatchStatus.choices)
    guideline = VersionRef(source="guideline_version")
    quotas = QuotaOut(many=True)
    priority = Whole()
    lease_minutes = Whole()
    parent = Id(allow_null=True)
    created_at = When()
    opened_at = When(allow_null=True)
    closed_at = When(allow_null=True)
    seed = Whole(allow_null=True)
    selection = Anything(allow_null=True)


class QuotaIn(Input):
    """Overlap of one cohort."""

    cohort = serializers.ChoiceField(Cohort.choices)
    raters = Whole(min_value=1, max_value=50, help_text="raters per item")
    max_raters = Whole(
        min_value=1, max_value=1000, required=False, allow_null=True, help_text="after so many, a skip is not replaced"
    )


class SelectionIn(Input):
    """Which items a batch gets: all, or those that pass the filter; then all of them, or a sample."""

    mode = serializers.ChoiceField(("all", "random", "stratified"), required=False)
    size = Whole(min_value=1, max_value=100_000_000, required=False, allow_null=True)
    stratum = Text(required=False, allow_blank=True, max_length=200)
    metadata = Object(required=False)
    tags = serializers.ListField(child=Text(max_length=80), required=False, max_length=50)
    external_ids = serializers.ListField(child=Text(max_length=200), required=False, max_length=500)
    unlabeled = Flag(required=False)
    order = serializers.ChoiceField(("shuffled", "as_listed"), required=False)


class BatchIn(Input):
    """A new batch, in draft until it is opened."""

    name = Text(max_length=120)
    guideline = Id(required=False, help_text="a published version; default: the newest")
    quotas = QuotaIn(many=True, allow_empty=False, max_length=3)
    selection = SelectionIn(required=False)
    priority = Whole(min_value=-32768, max_value=32767, required=False)
    lease_minutes = Whole(min_value=1, max_value=1440, required=False)
    seed = Whole(min_value=0, max_value=2**31 - 1, required=False)


class CohortProgressOut(Output):
    """A cohort's places in a batch."""

    cohort = serializers.ChoiceField(Cohort.choices)
    raters = Whole()
    max_raters = Whole(allow_null=True)
    wanted = Whole(help_text="items × overlap")
    done = Whole()
    in_hand = Whole()
    open = Whole()
    skipped = Whole()
    void = Whole()
    short_items = Whole(help_text="finished with fewer answers than the overlap")


class RaterProgressOut(Output):
    """One rater's places in a batch."""

    rater = Text()
    cohort = serializers.ChoiceField(Cohort.choices, allow_null=True)
    done = Whole()
    in_hand = Whole()
    skipped = Whole()
    last_at = When(allow_null=True)


class ProgressOut(Output):
    """How far a batch is, counted now."""

    batch = Id()
    status = serializers.ChoiceField(BatchStatus.choices)
    items = Whole()
    cohorts = CohortProgressOut(many=True)
    raters = RaterProgressOut(many=True)


class OwnProgressOut(Output):
    """How far the caller is in a batch."""

    batch = Id()
    answered = Whole()
    in_hand = Whole()
    left = Whole(help_text="items that may still come, at most")
    today = Whole(help_text="answers since midnight in the project's time zone")
    daily_cap = Whole(allow_null=True)


class LabelsOut(Output):
    """The labels of a version, in order."""

    labels = LabelOut(many=True)
