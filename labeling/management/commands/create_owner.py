"""`manage.py create_owner NAME`: the first person of a new server, who may found projects."""

import getpass
import sys
from typing import Any

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from labeling.models import User
from labeling.people import NewAccount, create_founder
from labeling.refusals import Refusal


class Command(BaseCommand):
    help = "Create an account that may found projects. Everyone else comes in by invite links."

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("name", help="the name to log in with")
        parser.add_argument("--display-name", default="", help="the name others see")
        parser.add_argument("--password-stdin", action="store_true", help="read the password from standard input")

    def handle(self, **options: Any) -> None:
        account = NewAccount(options["name"], self._password(options), options["display_name"])
        try:
            validate_password(account.password, User(username=account.username, display_name=account.display_name))
            create_founder(account=account)
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from None
        except Refusal as refusal:
            raise CommandError(refusal.message) from None
        self.stdout.write(f"{account.username} may log in and found projects.")

    def _password(self, options: dict[str, Any]) -> str:
        if options["password_stdin"]:
            return sys.stdin.readline().rstrip("\n")
        if not sys.stdin.isatty():
            raise CommandError("Nobody to ask for a password. Give it on standard input with --password-stdin.")
        first = getpass.getpass("Password: ")
        if first != getpass.getpass("The same again: "):
            raise CommandError("The two passwords differ. Nothing was created.")
        return first
