"""`python -m tests.services.seeded seed|tell`: fill this database with the demo; tell everything that is in it."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import django


def tell() -> dict[str, Any]:
    """{table: (rows, hash of all rows)}, and {file: hash} of the folders that belong to it."""
    from django.apps import apps

    from labeling.backup import _files, folders

    told: dict[str, Any] = {}
    for model in apps.get_models():
        digest = hashlib.sha256()
        count = 0
        for row in model._base_manager.order_by("pk").values_list().iterator():
            digest.update(repr(row).encode())
            count += 1
        told[model._meta.db_table] = [count, digest.hexdigest()]
    for name, folder in folders().items():
        for file in _files(folder):
            told[f"{name}/{file.relative_to(folder)}"] = hashlib.sha256(Path(file).read_bytes()).hexdigest()
    return told


if __name__ == "__main__":
    django.setup()
    if sys.argv[1] == "seed":
        from django.core.management import call_command

        from labeling.demo import seed_demo

        call_command("migrate", verbosity=0)
        seed_demo()
    print(json.dumps(tell()))
