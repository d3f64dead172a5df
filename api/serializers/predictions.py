"""Predictions as REST takes and shows them."""

from __future__ import annotations

from rest_framework import serializers

from .fields import Anything, Id, Input, Object, Output, Text, Whole


class PredictedIn(Input):
    """What the model says about one item, named by its `item` uuid or its `external_id`."""

    item = Id(required=False)
    external_id = Text(required=False, max_length=200)
    value = Anything(required=False, help_text="default: the likeliest label of `probabilities`")
    probabilities = Object(required=False, allow_null=True, help_text="{label: probability}, 1 together")


class PredictionsIn(Input):
    """Predictions of one model under one version."""

    model_name = Text(max_length=120)
    model_version = Text(max_length=60)
    guideline = Id(required=False, help_text="a published version; default: the newest")
    predictions = PredictedIn(many=True, allow_empty=False, max_length=1000)


class RefusedOut(Output):
    """A prediction that was not kept."""

    position = Whole(help_text="from 0, in the request")
    code = Text()
    reason = Text()


class StoredOut(Output):
    """What became of the predictions."""

    kept = Whole()
    unchanged = Whole(help_text="there already, the same")
    refused = RefusedOut(many=True)


class PredictionOut(Output):
    """What a model said about an item. No rater ever sees it."""

    item = Id()
    external_id = Text()
    model_name = Text()
    model_version = Text()
    guideline = Id()
    value = Anything()
    probabilities = Anything(allow_null=True)
    at = serializers.DateTimeField()
