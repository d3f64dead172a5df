"""`celery -A tests.races.celery_worker worker|beat`: the transport as it is, slowed down, with a sweep each second."""

import os
from datetime import timedelta

import django

django.setup()

from config.celery import app  # noqa: E402
from labeling import jobs  # noqa: E402
from tests.races.slowed import slow_down  # noqa: E402

app.conf.beat_schedule["sweep"]["schedule"] = 1.0
app.conf.beat_schedule["sweep"]["options"] = {"expires": 5}
app.conf.beat_max_loop_interval = 1
jobs.KNOCK_AGAIN_AFTER = timedelta(seconds=1)
slow_down(os.environ.get("RACE_SABOTAGE", ""))
