"""What a rater's program sends and gets: claims, answers, questions."""

from __future__ import annotations

from rest_framework import serializers

from labeling.vocabulary import AnnotationOrigin, Cohort, Outcome

from .fields import Anything, Flag, Id, Input, Number, Object, Output, Text, Whole

When = serializers.DateTimeField


class ShownFile(Output):
    """A picture of an item."""

    url = Text()
    width = Whole(allow_null=True)
    height = Whole(allow_null=True)


class ShownItem(Output):
    """An item as a rater sees it: the shown fields of its payload. No metadata, no tags, no id of its origin."""

    uuid = Id()
    payload = Object()
    files = serializers.DictField(child=ShownFile(), help_text="pictures by payload field")


class PlaceOut(Output):
    """A place in the caller's hand. `token` must come with the answer; the place is theirs until `lease_until`."""

    uuid = Id(help_text="of the assignment")
    token = Id()
    batch = Id()
    guideline = Id()
    lease_until = When()
    shown_at = When(allow_null=True)
    item = ShownItem()


class EmptyOut(Output):
    """Why there is nothing to label."""

    reason = serializers.ChoiceField(("done", "cap", "waiting", "later", "unread", "closed", "opening"))
    title = Text()
    message = Text()
    opens_at = When(allow_null=True)


class ClaimIn(Input):
    """How many places to hold at once."""

    count = Whole(min_value=1, max_value=4, required=False, default=1)


class ClaimOut(PlaceOut):
    """The place to label now, and everything the caller holds in the batch, this one included."""

    hand = PlaceOut(many=True)


class HandOut(Output):
    """What the caller holds in the batch; `next` is the one to label now. `empty` says why there is none."""

    next = PlaceOut(allow_null=True)
    empty = EmptyOut(allow_null=True)
    hand = PlaceOut(many=True)


class SubmitIn(Input):
    """An answer. With outcome `labeled` it has a value, with `cannot_label` a reason."""

    token = Id(help_text="of the claim")
    outcome = serializers.ChoiceField(Outcome.choices, required=False, default=str(Outcome.LABELED))
    value = Anything(required=False, allow_null=True, default=None, help_text="for a single choice: the label's key")
    second_value = Anything(required=False, allow_null=True, default=None, help_text="the other label of a borderline")
    reason = Text(required=False, allow_blank=True, default="", max_length=4000, trim_whitespace=False)
    borderline = Flag(required=False, default=False)
    comment = Text(required=False, allow_blank=True, default="", max_length=4000, trim_whitespace=False)
    confidence = Number(required=False, allow_null=True, default=None, min_value=0, max_value=1)
    seconds = Number(required=False, allow_null=True, default=None, min_value=0, max_value=1e9)
    idempotency_key = Text(
        required=False, allow_blank=True, default="", max_length=64, help_text="of this answer: the same key again is a replay"
    )  # fmt: skip
    revises = Flag(required=False, default=False, help_text="changes an own earlier answer")
    next = Flag(required=False, default=False, help_text="also claim what comes next")
    count = Whole(min_value=1, max_value=4, required=False, default=1, help_text="places to hold then")


class SubmitOut(HandOut):
    """The recorded answer, and with `next` what comes then."""

    annotation = Id()
    revision = Whole()
    created = Flag(help_text="false when the same answer was recorded before")


class SkipIn(Input):
    """Pass an item on."""

    token = Id()
    reason = Text(required=False, allow_blank=True, default="", max_length=4000)
    next = Flag(required=False, default=False)
    count = Whole(min_value=1, max_value=4, required=False, default=1)


class TokenIn(Input):
    """The token of the claim."""

    token = Id()


class AskIn(Input):
    """A question about an item."""

    text = Text(max_length=4000)


class AnswerIn(Input):
    """The answer to a question."""

    text = Text(max_length=4000)


class QuestionOut(Output):
    """A rater's question and its answer."""

    uuid = Id()
    batch = Id()
    item = Id()
    rater = Text(help_text="who asked, by pseudonym")
    text = Text()
    at = When()
    answer = Text(help_text="empty until answered")
    answered_at = When(allow_null=True)


class OwnAnswerOut(Output):
    """One of the caller's own answers, as it stands."""

    assignment = Id()
    annotation = Id()
    revision = Whole()
    item = ShownItem()
    outcome = serializers.ChoiceField(Outcome.choices)
    value = Anything(allow_null=True)
    second_value = Anything(allow_null=True)
    borderline = Flag()
    reason = Text()
    comment = Text()
    confidence = Number(allow_null=True)
    at = When()
    editable = Flag()


class UndoOut(Output):
    """What undo brought back: after an answer it stands until it is revised; a skip is in the hand again."""

    place = Id(help_text="the assignment")
    token = Id()
    item = ShownItem()
    answer = OwnAnswerOut(allow_null=True)


class AnnotationOut(Output):
    """One entry of the ledger, by its number in the feed."""

    number = Whole()
    uuid = Id()
    assignment = Id()
    batch = Id()
    item = Id()
    external_id = Text()
    cohort = serializers.ChoiceField(Cohort.choices)
    rater = Text(help_text="pseudonym")
    rater_name = Text(allow_null=True, help_text="null unless the token may know who raters are")
    revision = Whole()
    guideline = Id()
    guideline_number = Whole()
    outcome = serializers.ChoiceField(Outcome.choices)
    value = Anything(allow_null=True)
    value_sha256 = Text()
    second_value = Anything(allow_null=True)
    borderline = Flag()
    reason = Text()
    comment = Text()
    confidence = Number(allow_null=True)
    seconds = Number(allow_null=True)
    origin = serializers.ChoiceField(AnnotationOrigin.choices)
    assisted_by = Text()
    blind = Flag()
    at = When()


class FeedOut(Output):
    """A stretch of the feed. Ask again with `after` = `last`: new annotations have higher numbers, never lower ones."""

    results = AnnotationOut(many=True)
    last = Whole(help_text="the number to go on after; what was asked when nothing followed")
    next = Text(allow_null=True, help_text="the address to go on at, when more is there already")
