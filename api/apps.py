from django.apps import AppConfig


class ApiConfig(AppConfig):
    name = "api"
    verbose_name = "REST"

    def ready(self) -> None:
        from labeling import transitions
        from labeling.db import seals
        from labeling.views.navigation import Entry, register_entry

        from . import handlers  # noqa: F401  (registers the job handlers and sweeps)
        from .seals import SEALS
        from .vocabulary import DATASET_MOVES

        seals.register(*SEALS)
        transitions.register("datasetversion", DATASET_MOVES)
        register_entry(Entry("api:datasets", "Datasets", "export"), before="labeling:members")
