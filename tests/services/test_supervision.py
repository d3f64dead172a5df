"""What `make run` and `make stack` do when one of their processes ends by itself."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from labeling import supervision
from labeling.supervision import Processes, StartError

COUNT = "import pathlib, sys; file = pathlib.Path(sys.argv[1]); file.open('a').write('x'); "


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Start programs under supervision; each writes an x into the file `lives` when it begins."""
    monkeypatch.setattr(signal, "signal", lambda *_: None)  # pytest keeps its own
    made: list[Processes] = []

    def begin(**programs: str) -> Processes:
        lives = str(tmp_path / "lives")
        commands = {name: (sys.executable, "-c", COUNT + code, lives) for name, code in programs.items()}
        made.append(Processes(commands, cwd=tmp_path, environment={}))
        return made[-1]

    yield begin
    for processes in made:
        processes.stop()


def test_a_killed_worker_is_started_again_and_the_web_goes_on(
    start: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    lives = tmp_path / "lives"
    die_once = "import os, time; os.kill(os.getpid(), 9) if file.stat().st_size < 3 else time.sleep(60)"
    processes = start(web="import time; time.sleep(60)", worker=die_once)
    web = processes.children["web"].process.pid

    def stop_when_it_lives() -> None:
        for _ in range(600):
            if lives.exists() and lives.stat().st_size >= 3:
                break
            threading.Event().wait(0.05)
        processes.stop_asked.set()

    threading.Thread(target=stop_when_it_lives).start()
    processes.watch(every=0.02)
    assert lives.stat().st_size >= 3
    assert "worker ended by signal 9; it is started again." in capfd.readouterr().err
    assert processes.children["web"].process.pid == web
    assert processes.ended() == []


def test_what_ends_each_time_is_given_up(start: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervision, "SHORT_LIVES_MOST", 3)
    processes = start(worker="sys.exit(4)")
    with pytest.raises(StartError, match="worker ended 3 times in a row"):
        processes.watch(every=0.02)
    assert (tmp_path / "lives").stat().st_size == 3


def test_long_lives_are_not_counted(start: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control of the counting: with every life long enough, ending often is no reason to give up."""
    monkeypatch.setattr(supervision, "SHORT_LIVES_MOST", 3)
    monkeypatch.setattr(supervision, "SHORT_LIFE_SECONDS", 0.0)
    processes = start(worker="sys.exit(4)")
    threading.Timer(3, processes.stop_asked.set).start()
    processes.watch(every=0.02)
    assert (tmp_path / "lives").stat().st_size > 3
