"""What a worker of the race programs changes in itself: smaller steps, slower, so that a killer can hit between two."""

from __future__ import annotations

import os
import signal
import time
from datetime import timedelta
from typing import Any

STEP = 100  # rows
PAUSE = 0.12


def register_poison() -> None:
    """A kind of job that ends whichever process works on it, as one that eats all memory does."""
    from labeling import jobs

    jobs.handles("test_poison")(lambda run: os.kill(os.getpid(), signal.SIGKILL))


def slow_down(sabotage: str = "") -> None:
    """Pause after each report. `sabotage`: `no_resuming` switches off what makes opening a batch repeatable, `poison`
    adds a job that kills its worker."""
    from api.datasets import comparing as diffs
    from consistency import comparing, voting
    from labeling import dispatch, jobs
    from labeling.importing import checking, clearing, label_writing, runs, writing

    if sabotage == "poison":
        register_poison()
        jobs.LEASE, jobs.HEARTBEAT_SECONDS = timedelta(seconds=2), 0.5
        return
    if sabotage == "no_resuming":
        dispatch.lay_out = lay_out_from_the_start
    report, tell_now_and_then = jobs.JobRun.report, runs.Progress.tell_now_and_then

    def slow_report(self: Any, *args: Any, **kwargs: Any) -> None:
        report(self, *args, **kwargs)
        time.sleep(PAUSE)

    def tell_steps(self: Any) -> None:
        if self.what == "writing" or self.done % (STEP * 3 // 32 * 32) == 0:
            self._next = 0.0
            tell_now_and_then(self)

    jobs.JobRun.report = slow_report  # type: ignore[method-assign]
    runs.Progress.tell_now_and_then = tell_steps  # type: ignore[method-assign]
    writing.CHUNK = label_writing.LABELS_PER_CHUNK = clearing._CHUNK = STEP
    checking.in_chunks.__defaults__ = (STEP,)
    comparing.ITEMS_PER_CHUNK = voting.ITEMS_PER_CHUNK = STEP // 2
    differences = diffs._differences

    def slow_differences(database: Any) -> Any:
        time.sleep(5 * PAUSE)
        return differences(database)

    diffs._differences = slow_differences


def lay_out_from_the_start(run: Any, batch: Any, ids: list[int], what: str) -> int:
    """`lay_out` as if nothing were there yet, whatever an attempt before has left."""
    from labeling.models import BatchItem

    for first in range(0, len(ids), STEP):
        chunk = enumerate(ids[first : first + STEP], start=first)
        BatchItem.objects.bulk_create(BatchItem(batch=batch, item_id=pk, rank=rank) for rank, pk in chunk)
        run.report(first + STEP, len(ids), what)
    return len(ids)
