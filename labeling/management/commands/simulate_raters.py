"""`manage.py simulate_raters BATCH`: the demo's raters answer an open batch."""

from __future__ import annotations

import contextlib
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError
from django.db.models import Q

from labeling.demo.simulate import simulate_raters
from labeling.models import Batch
from labeling.refusals import Refusal


class Command(BaseCommand):
    help = "Let the demo's simulated raters answer an open batch through the real acts, each by their own convention."

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("batch", help="uuid or name of an open batch")
        parser.add_argument("--project", default="", help="slug of its project, where the name is not enough")
        parser.add_argument("--only", default="", help="usernames, separated by commas; all simulated raters otherwise")

    def handle(self, **options: Any) -> None:
        condition = Q(name=options["batch"])
        with contextlib.suppress(ValueError):
            condition |= Q(uuid=UUID(options["batch"]))
        batches = Batch.objects.select_related("project", "guideline_version").filter(condition)
        if options["project"]:
            batches = batches.filter(project__slug=options["project"])
        found = list(batches[:2])
        if not found:
            raise CommandError(f"There is no batch {options['batch']!r}.")
        if len(found) > 1:
            raise CommandError(f"Several projects have a batch {options['batch']!r}. Add --project SLUG.")
        only = [name.strip() for name in options["only"].split(",") if name.strip()]
        try:
            counts = simulate_raters(
                batch=found[0], only=only, tell=lambda name, count: self.stdout.write(f"  {name}: {count} answers")
            )
        except Refusal as refusal:
            raise CommandError(refusal.message) from None
        self.stdout.write(f"{sum(counts.values())} simulated answers in “{found[0].name}”.")
