from django.apps import AppConfig


class ConsistencyConfig(AppConfig):
    name = "consistency"
    verbose_name = "Consistency"

    def ready(self) -> None:
        from labeling import transitions
        from labeling.db import seals

        from .seals import SEALS
        from .views import panels
        from .vocabulary import DISAGREEMENT_MOVES

        seals.register(*SEALS)
        transitions.register("disagreement", DISAGREEMENT_MOVES)
        panels.register()

        from . import handlers  # noqa: F401  (registers job handlers, sweeps and receivers)
