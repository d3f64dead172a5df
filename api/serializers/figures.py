"""Agreement, HLP, disagreements, rulings and resolutions as REST shows them."""

from __future__ import annotations

from rest_framework import serializers

from consistency.adjudication import CLUSTER_MOST
from consistency.vocabulary import (
    Cause,
    DisagreementKind,
    DisagreementStatus,
    ResolutionMethod,
    RulingOutcome,
    RunKind,
)
from consistency.vocabulary import Scope as FigureScope
from labeling.vocabulary import Cohort, Outcome

from .fields import Anything, Flag, Id, Input, Number, Object, Output, Text, Whole

When = serializers.DateTimeField


class EstimateOut(Output):
    """One figure with its interval. `value` is null exactly when `undefined` says why."""

    scope = serializers.ChoiceField(FigureScope.choices, help_text="what the figure is about")
    about = Object(help_text="which cohort, label, slice, rater or item role; empty for the whole batch")
    coefficient = Text()
    level = Text()
    method = Text(help_text="how the interval was made: two_way, items, …")
    population = Text(help_text="whom the interval speaks about")
    reference_origin = Text(help_text="where the reference comes from; empty where there is none")
    value = Number(allow_null=True)
    low = Number(allow_null=True)
    high = Number(allow_null=True)
    se = Number(allow_null=True)
    se_items = Number(allow_null=True)
    se_raters = Number(allow_null=True)
    items = Whole()
    raters = Whole()
    ratings = Whole()
    excluded = Anything(help_text="what was left out, counted")
    undefined = Text(allow_null=True)


class FiguresOut(Output):
    """A batch's figures over one state of its labels. While `job` is not null, newer ones are being measured."""

    batch = Id()
    kind = serializers.ChoiceField(RunKind.choices)
    run = Id(allow_null=True, help_text="null before the batch was ever measured")
    measured_at = When(allow_null=True)
    checked_at = When(allow_null=True, help_text="when the labels were last found unchanged")
    code_version = Text(allow_null=True)
    parameters = Object()
    estimates = EstimateOut(many=True)
    findings = Object(help_text="what is said in words beside the figures")
    job = Id(allow_null=True)


class DisagreementOut(Output):
    """A settled item whose answers differ, or that was drawn for audit."""

    uuid = Id()
    batch = Id()
    item = Id()
    external_id = Text()
    kind = serializers.ChoiceField(DisagreementKind.choices)
    status = serializers.ChoiceField(DisagreementStatus.choices)
    complete = Flag(help_text="every cohort has answered; until then it is not ruled on")
    distance = Number(help_text="mean distance between two raters, 0 to 1")
    entropy = Number(help_text="of the answers, 0 to 1")
    confusion = Text(help_text="the labels that are mixed up, joined by “ | ”")
    cohorts_split = serializers.ListField(child=serializers.ChoiceField(Cohort.choices))
    input_sha256 = Text(help_text="digest of the answers: a ruling names it as `seen`")
    held = Flag()
    hold_until = When(allow_null=True)
    found_at = When()
    changed_at = When()


class SaidOut(Output):
    """An answer to the item; whose it is, the bench does not say."""

    cohort = serializers.ChoiceField(Cohort.choices)
    outcome = serializers.ChoiceField(Outcome.choices)
    value = Anything(allow_null=True)
    second_value = Anything(allow_null=True)
    borderline = Flag()
    reason = Text()
    comment = Text()
    confidence = Number(allow_null=True)


class RulingOut(Output):
    """A ruling; the highest revision is in force."""

    uuid = Id()
    disagreement = Id()
    batch = Id()
    item = Id()
    external_id = Text()
    revision = Whole()
    value = Anything(allow_null=True)
    distribution = Anything(allow_null=True)
    borderline = Flag()
    cause = serializers.ChoiceField(Cause.choices)
    outcome = serializers.ChoiceField(RulingOutcome.choices)
    rationale = Text()
    cluster = Id(allow_null=True)
    by = Text(help_text="pseudonym")
    at = When()


class CaseOut(DisagreementOut):
    """A disagreement with the answers that count, and the rulings on it."""

    payload = Object()
    answers = SaidOut(many=True)
    rulings = RulingOut(many=True)


class HoldOut(CaseOut):
    """The held case. `token` must come with the ruling, before `hold_until`."""

    token = Id()


class HoldTokenIn(Input):
    """The token of the hold."""

    token = Id()


class RulingFields(Input):
    """What is decided, and why."""

    cause = serializers.ChoiceField(Cause.choices)
    outcome = serializers.ChoiceField(RulingOutcome.choices)
    rationale = Text(max_length=4000, help_text="why; raters and the next SME read it")
    value = Anything(required=False, allow_null=True, default=None)
    distribution = serializers.DictField(
        child=Number(min_value=0, max_value=1), required=False, allow_null=True, default=None,
        help_text="{label: share}, 1 together; with keep_distribution the answers' own when left out",
    )  # fmt: skip
    borderline = Flag(required=False, default=False)


class RuleIn(RulingFields):
    """A ruling on a held case."""

    token = Id(help_text="of the hold")
    seen = Text(max_length=64, help_text="input_sha256 of the answers that were looked at")


class SeenCaseIn(Input):
    """A case that the ruling covers."""

    disagreement = Id()
    seen = Text(max_length=64, help_text="input_sha256 of the answers that were looked at")


class ClusterIn(RulingFields):
    """One ruling for several cases of the same confusion."""

    cases = SeenCaseIn(many=True, allow_empty=False, max_length=CLUSTER_MOST)


class LeftOut(Output):
    """A case that stays in the queue."""

    disagreement = Id()
    code = Text()
    message = Text()


class ClusterOut(Output):
    """What became of the cases."""

    cluster = Id()
    rulings = RulingOut(many=True)
    refused = LeftOut(many=True)


class OverruleIn(RulingFields):
    """A ruling in place of the one in force."""

    revision = Whole(min_value=1, max_value=32000, help_text="of the ruling that is replaced")


class DiscussIn(Input):
    """A question to the raters of a held case."""

    token = Id()
    text = Text(max_length=4000)


class MessageOut(Output):
    """A message in the thread of a case."""

    uuid = Id()
    disagreement = Id()
    text = Text()
    at = When()


class ResolutionOut(Output):
    """The value in force for an item of a batch, and how it was reached."""

    uuid = Id()
    batch = Id()
    item = Id()
    external_id = Text()
    guideline = Id()
    guideline_number = Whole()
    revision = Whole()
    value = Anything(allow_null=True)
    method = serializers.ChoiceField(ResolutionMethod.choices)
    confidence = Number(allow_null=True)
    distribution = Object()
    raters = Whole()
    ruling = Id(allow_null=True)
    at = When()


class VoteIn(Input):
    """Fill items by vote: the last resort, and each row says so."""

    method = serializers.ChoiceField((ResolutionMethod.MAJORITY.value, ResolutionMethod.DAWID_SKENE.value))
    cohort = serializers.ChoiceField(Cohort.choices, required=False, allow_null=True, default=None)
    release = Flag(required=False, default=False, help_text="open disagreements may be filled too")
