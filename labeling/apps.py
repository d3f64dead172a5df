from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate, pre_migrate


def _lift_seals(using: str, **kwargs: Any) -> None:
    from .db import seals

    seals.lift(using)


def _install_seals(using: str, **kwargs: Any) -> None:
    from .db import seals

    seals.install(using)


class LabelingConfig(AppConfig):
    name = "labeling"
    verbose_name = "Labeling"

    def ready(self) -> None:
        # Sent once per app; ours stands for all, and the last app's post_migrate comes after every table exists.
        pre_migrate.connect(_lift_seals, sender=self, dispatch_uid="lift_seals")
        post_migrate.connect(_install_seals, sender=self, dispatch_uid="install_seals")
        from . import handlers  # noqa: F401  (registers the job handlers)
