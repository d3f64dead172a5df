"""The project's own settings, with one more address: the bare view that labels are measured against."""

from config.settings import *  # noqa: F403

ROOT_URLCONF = "benchmarks.server_urls"
