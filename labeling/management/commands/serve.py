"""`manage.py serve`: everything a single machine needs, in one command. `make run` calls it."""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from labeling.startup import has_secret_key
from labeling.supervision import Processes, StartError, port_is_free, web_command

ANSWER_WITHIN_SECONDS = 60


def ensure_secret_key(folder: Path) -> str:
    """The key in `folder/secret_key`, made (readable by its owner only) when there is none."""
    file = folder / "secret_key"
    try:
        # O_EXCL: two servers started at once must end up with one key.
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return file.read_text().strip()
    with os.fdopen(handle, "w") as out:
        key = secrets.token_urlsafe(50)
        out.write(key + "\n")
    return key


class Command(BaseCommand):
    help = "Migrate, seed the demo, and serve web and worker on 127.0.0.1 until Ctrl-C."
    requires_system_checks: list[str] = []
    worker_command = (sys.executable, "manage.py", "work")

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("--check", action="store_true", help="stop with 0 once the server has answered")
        parser.add_argument("--no-demo", action="store_true", help="do not seed the demo projects")

    def handle(self, **options: Any) -> None:
        try:
            port = int(os.environ.get("PORT") or 8000)
        except ValueError:
            raise CommandError(f"PORT={os.environ['PORT']!r} is not a number.") from None
        self.refuse_unready(options)
        settings.DATA_DIR.mkdir(parents=True, exist_ok=True)
        if not has_secret_key():
            settings.SECRET_KEY = ensure_secret_key(settings.DATA_DIR)
        if not port_is_free(port):
            raise CommandError(f"Port {port} is taken. Choose another: make {self.made_by} PORT={port + 1}")
        call_command("migrate", verbosity=0)
        call_command("collectstatic", verbosity=0, interactive=False)
        accounts = []
        if not options["no_demo"]:
            self.stdout.write("seeding the demo …")
            from labeling.demo import seed_demo

            accounts = seed_demo()
        self.serve(port, accounts, self.commands(port, options), check=options["check"])

    made_by = "run"

    def refuse_unready(self, options: dict[str, Any]) -> None:
        """Raise CommandError for settings that do not fit."""

    def commands(self, port: int, options: dict[str, Any]) -> dict[str, tuple[str, ...]]:
        """What is started, by name."""
        return {"web": tuple(web_command(port)), "worker": self.worker_command}

    def serve(
        self,
        port: int,
        accounts: list[tuple[str, str, str]],
        commands: dict[str, tuple[str, ...]],
        *,
        check: bool,
    ) -> None:
        environment = {**os.environ, "SECRET_KEY": settings.SECRET_KEY, "DATA_DIR": str(settings.DATA_DIR)}
        url = f"http://127.0.0.1:{port}/"
        processes = Processes(commands, cwd=settings.BASE_DIR, environment=environment)
        try:
            if not processes.wait_for_answer(f"{url}healthz", seconds=ANSWER_WITHIN_SECONDS):
                return
            self.stdout.write(self.style.SUCCESS(f"\nConcord answers at {url}"))
            if accounts:
                self.stdout.write("\nDemo accounts (simulated people and labels are marked as such):")
                for name, password, what in accounts:
                    self.stdout.write(f"  {name:<8} {password:<14} {what}")
            self.stdout.write("\nCtrl-C stops it.\n")
            if not check:
                processes.watch()
        except StartError as error:
            raise CommandError(str(error)) from None
        finally:
            processes.stop()
