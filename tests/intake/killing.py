"""Imports killed with -9 at every kind of point, then run again. Run as a program on a database of its own.

Prints one JSON object: {point: what was wrong after the second run, or nothing}.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

ITEMS, LABELS = 23, 40


def prepare() -> None:
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)


def world_for(slug: str) -> Any:
    from tests.worlds import World

    return World.build(slug=slug, items=0, with_otto=False)


def write_files(folder: Path) -> tuple[Path, Path]:
    items, labels = folder / "items.jsonl", folder / "labels.csv"
    items.write_text(
        "".join(json.dumps({"id": f"n{n}", "text": f"row {n}", "tags": ["t"]}) + "\n" for n in range(ITEMS))
    )
    rows = [f"n{n % 7},w{n % 5},expert,{'ab'[n % 2]},a" for n in range(LABELS)]
    labels.write_text("item_id,rater_id,cohort,label,gold\n" + "\n".join(rows) + "\n")
    return items, labels


def die_after(module: Any, name: str, calls: int, *, before: bool = False) -> None:
    """Kill this process at the given call of a function, before it or after it."""
    real: Callable[..., Any] = getattr(module, name)
    left = [calls]

    def deadly(*args: Any, **kwargs: Any) -> Any:
        left[0] -= 1
        if before and left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        result = real(*args, **kwargs)
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(module, name, deadly)


def points() -> dict[str, Callable[[], None]]:
    """Where to kill, by name; each name begins with the kind of import."""
    from labeling import transitions
    from labeling.importing import checking, items, label_writing, labels, runs, writing

    writer = label_writing.LabelWriter
    return {
        "items while checking": lambda: die_after(checking.Judge, "sort_out", 2),
        "items before the turn": lambda: die_after(runs, "take_turn", 1, before=True),
        "items inside a chunk": lambda: die_after(writing, "insert_rows", 3),
        "items after a chunk": lambda: die_after(writing, "let_others_write", 2, before=True),
        "items before the end": lambda: die_after(runs, "finish_run", 1, before=True),
        "items inside the end": lambda: die_after(runs, "finish_run", 1),
        "items after the end": lambda: die_after(runs, "result_of", 1, before=True),
        "labels before the turn": lambda: die_after(runs, "take_turn", 1, before=True),
        "labels inside the turn": lambda: die_after(writer, "found", 1),
        "labels among the raters": lambda: die_after(writer, "_make_raters", 1),
        "labels after the raters": lambda: die_after(writer, "make_raters", 1),
        "labels inside a chunk": lambda: die_after(label_writing, "insert_rows", 6),
        "labels after a chunk": lambda: die_after(label_writing, "let_others_write", 2, before=True),
        "labels inside the end": lambda: die_after(transitions, "move", 4),
        "labels after the end": lambda: die_after(labels, "tell_settled", 1, before=True),
        "items control, never killed": lambda: die_after(items, "guess_mapping", 99),
        "items control, unfinished rows are shown": lambda: die_after(writing, "let_others_write", 2, before=True),
    }


def fork() -> int:
    """A child without its parent's database connection: two processes on one would end it for both."""
    from django.db import connections

    connections.close_all()
    return os.fork()


def run_command(kind: str, slug: str, path: Path) -> int:
    """The management command in a process of its own, killed wherever `points` said; returns its exit status."""
    from django.core.management import CommandError, call_command

    child = fork()
    if child == 0:
        try:
            call_command(f"import_{kind}", slug, str(path), stdout=open(os.devnull, "w"))  # noqa: SIM115
            os._exit(0)
        except CommandError as error:
            print(error, file=sys.stderr)
            os._exit(error.returncode)
        except BaseException as error:
            print(repr(error), file=sys.stderr)
            os._exit(70)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def killed_then_run_again(name: str, number: int, folder: Path) -> str:
    """What is wrong after the import was killed at the point and the same command run again; empty when nothing is."""
    from django.utils import timezone

    from labeling.importing import checking, label_writing, writing
    from labeling.models import Job

    kind = name.split()[0]
    slug = f"w{number}"
    world = world_for(slug)
    items_file, labels_file = write_files(folder)
    path = items_file
    if kind == "labels":
        assert run_command("items", slug, items_file) == 0
        path = labels_file
    writing.CHUNK = 10
    label_writing.LABELS_PER_CHUNK = 9
    checking.in_chunks.__defaults__ = (5,)
    child = fork()
    if child == 0:
        points()[name]()
        os._exit(run_with_kill(kind, slug, path))
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    expected = 0 if "never" in name else -signal.SIGKILL
    if status != expected:
        return f"the first run ended with {status}, not {expected}"
    if early := visible_of(world, kind, all_rows="are shown" in name):
        finished = "after the end" in name or "never" in name
        if not finished:
            return f"visible before the run was done: {early}"
    # Time goes by: the dead worker's lease runs out.
    Job.objects.filter(status="running").update(lease_until=timezone.now() - timedelta(seconds=1))
    if (status := run_command(kind, slug, path)) != 0:
        return f"the second run ended with {status}"
    return wrong_with(world, kind)


def remove_lock() -> None:
    """Control: a start neither locks its project nor is quick about it."""
    import time

    from django.db.models import QuerySet

    from labeling.importing import runs

    QuerySet.select_for_update = lambda self, **kwargs: self  # type: ignore[assignment,method-assign]
    enqueue = runs._enqueue

    def slowly(*args: Any) -> Any:
        time.sleep(2)
        return enqueue(*args)

    runs._enqueue = slowly


def two_at_once(kind: str, slug: str, folder: Path, *, locked: bool = True) -> str:
    """What is wrong after two people ran the same command at the same moment."""
    world = world_for(slug)
    items_file, labels_file = write_files(folder)
    if kind == "labels":
        assert run_command("items", slug, items_file) == 0
    path = items_file if kind == "items" else labels_file
    children = []
    for _ in range(2):
        child = fork()
        if child == 0:
            if not locked:
                remove_lock()
            os._exit(run_command(kind, slug, path))
        children.append(child)
    ends = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    return f"they ended with {ends}" if ends != [0, 0] else wrong_with(world, kind)


def run_with_kill(kind: str, slug: str, path: Path) -> int:
    from django.core.management import call_command

    call_command(f"import_{kind}", slug, str(path), stdout=open(os.devnull, "w"))  # noqa: SIM115
    return 0


def visible_of(world: Any, kind: str, *, all_rows: bool) -> int:
    from labeling.models import Batch, Item

    if all_rows:
        return Item.objects.filter(project=world.project).count()
    if kind == "items":
        return Item.objects.visible().filter(project=world.project).count()
    return Batch.objects.filter(project=world.project, status="closed").count()


def wrong_with(world: Any, kind: str) -> str:
    from labeling.models import Annotation, Batch, Event, Gold, ImportRun, Item, ItemTag, Membership

    runs = list(ImportRun.objects.filter(project=world.project, kind=kind).values_list("status", "rows_kept"))
    ends = Counter(Event.objects.filter(project=world.project, verb="import_done").values_list("subject_id", flat=True))
    facts: dict[str, tuple[Any, Any]] = {"ends told": (set(ends.values()), {1})}
    if kind == "items":
        facts |= {
            "runs": (runs, [("done", ITEMS)]),
            "items": (Item.objects.visible().filter(project=world.project).count(), ITEMS),
            "tags": (ItemTag.objects.filter(item__project=world.project).count(), ITEMS),
        }
    else:
        batches = Batch.objects.filter(project=world.project, import_run__isnull=False)
        # 40 labels over 35 pairs of 7 items and 5 raters: five repeats.
        facts |= {
            "runs": (runs, [("done", LABELS)]),
            "batches": (sorted(batches.values_list("kind", "status")), [("import", "closed"), ("retest", "closed")]),
            "labels": (
                {b.kind: Annotation.objects.filter(assignment__batch=b).count() for b in batches}, {"import": 35, "retest": 5},
            ),
            "gold": (Gold.objects.filter(item__project=world.project).count(), 7),
            "raters": (Membership.objects.filter(project=world.project).exclude(imported_id="").count(), 5),
        }  # fmt: skip
    return "; ".join(f"{name}: {is_!r} instead of {wanted!r}" for name, (is_, wanted) in facts.items() if is_ != wanted)


def main() -> None:
    prepare()
    names = list(points())
    with tempfile.TemporaryDirectory() as folder:
        found = {}
        for number, name in enumerate(names):
            found[name] = killed_then_run_again(name, number, Path(folder))
            print(name, "→", found[name] or "fine", file=sys.stderr)
        for kind in ("items", "labels"):
            found[f"{kind} by two at once"] = two_at_once(kind, f"two-{kind}", Path(folder))
            print(kind, "by two at once →", found[f"{kind} by two at once"] or "fine", file=sys.stderr)
        found["control: two at once without the lock"] = two_at_once("labels", "unlocked", Path(folder), locked=False)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
