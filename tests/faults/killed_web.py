"""A rater labels through real web processes that are killed with -9 under their hands. A program of its own.

`python -m tests.faults.killed_web '{"items": 12}'` with DATABASE_URL set starts `manage.py serve` as people run it (web
processes and worker), and prints one JSON line: how the requests ended, and each promise that was not kept.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

import django

ROOT = Path(__file__).resolve().parents[2]
READY_WITHIN = 180
CSRF = "c" * 32


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Site:
    """`manage.py serve` in a session of its own."""

    def __init__(self, sabotage: str) -> None:
        self.port = free_port()
        self.environment = {
            **os.environ,
            "PORT": str(self.port),
            "DJANGO_SETTINGS_MODULE": "tests.faults.web_settings",
            "FAULT_SABOTAGE": sabotage,
        }
        self.start()

    def start(self) -> None:
        log = (Path(os.environ["DATA_DIR"]) / "serve.log").open("ab")
        command = [sys.executable, "manage.py", "serve", "--no-demo"]
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=self.environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
        self.wait()

    def wait(self) -> None:
        until = time.monotonic() + READY_WITHIN
        while time.monotonic() < until:
            if self.process.poll() is not None:
                raise RuntimeError("serve ended by itself")
            try:
                if self.ask("GET", "/healthz")[0] == 200:
                    return
            except OSError:
                time.sleep(0.1)
        raise RuntimeError("serve does not answer")

    def ask(
        self, method: str, path: str, body: Any = None, cookies: str = "", **headers: str
    ) -> tuple[int, dict[str, Any]]:
        """Status and JSON; OSError when the connection ended without a reply."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            sent = json.dumps(body) if body is not None else None
            kind = {"Content-Type": "application/json"} if body is not None else {}
            connection.request(method, path, sent, {"Cookie": cookies, **kind, **headers})
            try:
                reply = connection.getresponse()
                raw = reply.read()
            except http.client.HTTPException as error:
                raise ConnectionResetError(str(error)) from error
        finally:
            connection.close()
        try:
            return reply.status, json.loads(raw)
        except ValueError:
            return reply.status, {}

    def web_processes(self) -> list[int]:
        """Ids of gunicorn's children: those that answer requests."""
        found = subprocess.run(
            ["ps", "-eo", "pid=,ppid=,args="], capture_output=True, text=True, check=True
        ).stdout.splitlines()
        rows = [(int(pid), int(parent), args) for pid, parent, args in (line.split(None, 2) for line in found)]
        masters = {pid for pid, parent, args in rows if parent == self.process.pid and "gunicorn" in args}
        return [pid for pid, parent, _ in rows if parent in masters]

    def kill_web(self) -> int:
        """kill -9 every web process; returns how many there were. gunicorn starts new ones."""
        victims = self.web_processes()
        for pid in victims:
            os.kill(pid, signal.SIGKILL)
        return len(victims)

    def kill_all(self) -> None:
        """kill -9 everything, as when the machine goes down; then start it again."""
        children = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout.split(
            "\n"
        )
        pairs = [tuple(int(part) for part in line.split()) for line in children if line.strip()]
        doomed, grown = {self.process.pid}, True
        while grown:
            more = {pid for pid, parent in pairs if parent in doomed} - doomed
            doomed |= more
            grown = bool(more)
        for pid in doomed:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.process.wait()
        self.start()

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()


class Rater:
    """A desk's calls, sent again and again until they are answered, as desk.js does."""

    def __init__(self, site: Site, cookie: str, base: str) -> None:
        self.site, self.base = site, base
        self.cookies = f"sessionid={cookie}; csrftoken={CSRF}"
        self.endings: Counter[str] = Counter()

    def call(self, what: str, body: dict[str, Any], die: str = "") -> tuple[int, dict[str, Any]]:
        """The reply; the first try dies at the given point and must bring none."""
        headers = {"X-CSRFToken": CSRF}
        if die:
            try:
                status, _ = self.site.ask("POST", self.base + what, body, self.cookies, **headers, **{"X-Die": die})
            except OSError:
                self.endings[f"{what} died {die}"] += 1
            else:
                self.endings[f"{what} answered {status} instead of dying {die}"] += 1
        until = time.monotonic() + 120
        while True:
            try:
                status, reply = self.site.ask("POST", self.base + what, body, self.cookies, **headers)
            except OSError:  # no web process is up this moment
                if time.monotonic() > until:
                    raise
                time.sleep(0.05)
                continue
            self.endings[f"{what} {status}"] += 1
            return status, reply


def answer(place: dict[str, Any], value: str) -> dict[str, Any]:
    return {
        "assignment": place["assignment"], "token": place["token"], "idempotency_key": uuid.uuid4().hex,
        "value": value, "second_value": None, "outcome": "labeled", "reason": "", "borderline": False, "comment": "",
        "seconds": 1.0, "shown_next": None,
    }  # fmt: skip


def prepare(items: int) -> tuple[Any, str]:
    from django.conf import settings
    from django.core.management import call_command
    from django.test import Client

    from tests.worlds import World

    call_command("migrate", verbosity=0)
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    world = World.build(items=items)
    batch = world.open_batch(quotas={"generalist": 1})
    client = Client()
    client.force_login(world.people["gene"])
    return batch, client.cookies[settings.SESSION_COOKIE_NAME].value


def story(plan: dict[str, Any]) -> dict[str, Any]:
    from django.db import connections

    from labeling.ledger import verify
    from labeling.models import Annotation, Assignment
    from tests.faults.deadly import POINTS

    batch, cookie = prepare(plan["items"])
    connections.close_all()
    site = Site(plan.get("sabotage", ""))
    rater = Rater(site, cookie, f"/batches/{batch.uuid}/desk/")
    acknowledged: dict[str, str] = {}
    problems: list[str] = []

    def recorded(place: dict[str, Any]) -> int:
        return Annotation.objects.filter(assignment__uuid=place["assignment"]).count()

    def send(place: dict[str, Any], number: int, die: str = "", wanted: tuple[int, ...] = (200, 201)) -> None:
        body = answer(place, ("defect", "no_defect")[number % 2])
        status, _reply = rater.call("submit", body, die)
        if status in (200, 201):
            acknowledged[place["assignment"]] = body["value"]
        if status not in wanted:
            problems.append(f"submit that died {die or 'nowhere'} was answered {status}, expected {wanted}")
        if recorded(place) != 1:
            problems.append(f"{recorded(place)} annotations after a submit that died {die or 'nowhere'}")
        connections.close_all()

    def hand(die: str = "") -> list[dict[str, Any]]:
        status, reply = rater.call("claim", {}, die)
        if status != 200:
            problems.append(f"claim was answered {status}")
        return list(reply.get("hand") or [])

    try:
        # Between claim and submit: every web process, then everything.
        held = hand("inside")  # a first claim that dies before its commit leaves nothing behind, and comes again
        if site.kill_web() < 2:
            problems.append("there were not two web processes to kill")
        send(held[0], 0, wanted=(201,))
        if not plan.get("sabotage"):
            site.kill_all()
            send(held[1], 1, wanted=(201,))
        # A claim that dies behind its commit: asked again, the same places are in hand, and no other.
        before = {place["assignment"] for place in hand()}
        if {place["assignment"] for place in hand("after")} != before:
            problems.append("a claim that was asked again gave other places")
        # Each point of a submission, over and over.
        expected = {"": (201,), "before": (201,), "inside": (201,), "after": (200,)}
        number = 0
        while places := hand(("before", "after")[number % 2] if number % 5 == 4 else ""):
            die = ("", *POINTS)[number % 4]
            send(places[0], number, die, expected[die])
            if number % 6 == 5 and len(places) > 1:
                rater.call("skip", {k: places[1][k] for k in ("assignment", "token")}, POINTS[number % 3])
            number += 1
            if problems and plan.get("sabotage"):
                break
    finally:
        site.stop()
    died = [name for name in rater.endings if "instead of dying" in name]
    problems += died
    stands = {
        str(place): value
        for place, value in Annotation.objects.filter(revision=1).values_list("assignment__uuid", "value")
    }
    problems += [f"acknowledged and not there: {place}" for place in acknowledged if place not in stands]
    problems += [
        f"acknowledged otherwise: {place}" for place, value in acknowledged.items() if stands.get(place, value) != value
    ]
    problems += [f"ledger: {problem}" for problem in verify()]
    open_places = Assignment.objects.filter(batch=batch, status="claimed").count()
    if open_places:
        problems.append(f"{open_places} places still in hand")
    return {"endings": rater.endings, "acknowledged": len(acknowledged), "problems": problems}


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    print(json.dumps(story(json.loads(sys.argv[1]))))
