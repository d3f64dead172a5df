"""People at work on the whole stack, as a program of its own: `manage.py stack`, then everything over HTTP.

`python -m tests.services.stack_story` with DATABASE_URL (PostgreSQL) and REDIS_URL set prints one JSON line: what was
seen, and each expectation that does not hold.
"""

from __future__ import annotations

import http.cookiejar
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from pathlib import Path
from typing import Any

import django

ROOT = Path(__file__).resolve().parents[2]
ITEMS = 12


class Browser:
    """A person's browser: cookies, forms with their token, JSON calls."""

    def __init__(self, base: str) -> None:
        self.base = base
        self.jar = http.cookiejar.CookieJar()
        self.opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.jar))

    def ask(self, path: str, data: bytes | None = None, **headers: str) -> tuple[int, str]:
        request = urllib.request.Request(self.base + path, data, {"Referer": self.base, **headers})
        try:
            with self.opener.open(request, timeout=60) as reply:
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    @property
    def token(self) -> str:
        return next((cookie.value or "" for cookie in self.jar if cookie.name == "csrftoken"), "")

    def post(self, path: str, **fields: str) -> tuple[int, str]:
        data = urllib.parse.urlencode({"csrfmiddlewaretoken": self.token, **fields}).encode()
        return self.ask(path, data)

    def call(self, path: str, body: Any) -> tuple[int, Any]:
        headers = {"Content-Type": "application/json", "X-CSRFToken": self.token, "Accept": "application/json"}
        status, text = self.ask(path, json.dumps(body).encode(), **headers)
        return status, json.loads(text)

    def log_in(self, name: str) -> int:
        from tests.worlds import PASSWORD

        self.ask("/log-in/")
        return self.post("/log-in/", username=name, password=PASSWORD)[0]


def processes(group: str) -> list[str]:
    """Command lines of living processes that have the word in their environment."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if group.encode() in (entry / "environ").read_bytes():
                    found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode())
            except OSError:
                continue
    return [line for line in found if line]


def resident(pid: int) -> float:
    """Memory of a process in MiB, shared pages counted in parts."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    return 0.0


def wait_for(condition: Any, seconds: float) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if condition():
            return True
        time.sleep(0.2)
    return False


def main() -> dict[str, Any]:
    from django.core.management import call_command
    from django.urls import reverse

    from labeling import dispatch, jobs
    from labeling.models import Annotation, Job
    from tests.services.conftest import free_port
    from tests.worlds import World

    call_command("migrate", verbosity=0)
    world = World.build(items=ITEMS)
    batch = dispatch.create_batch(
        by=world.seat("olga"), name="Stack", guideline_version=world.version, quotas={"generalist": 1}, seed=2
    )
    problems: list[str] = []
    seen: dict[str, Any] = {}

    def expect(what: str, found: Any, wanted: Any) -> None:
        if found != wanted:
            problems.append(f"{what}: {found}, expected {wanted}")

    mark = uuid.uuid4().hex
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    log = Path(os.environ["DATA_DIR"]) / "stack.log"
    with log.open("wb") as out:
        stack = subprocess.Popen(
            [sys.executable, "manage.py", "stack", "--no-demo"],
            cwd=ROOT,
            env={**os.environ, "PORT": str(port), "STACK_MARK": mark},
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        anyone = Browser(base)

        def well() -> bool:
            try:
                return anyone.ask("/readyz?strict")[0] == 200
            except OSError:
                return stack.poll() is not None

        expect("everything is well", wait_for(well, 120) and stack.poll() is None, True)
        lines = processes(mark)
        expect("web processes", sum("gunicorn" in line for line in lines), 3)  # the parent and two
        expect("workers", sum(" worker " in line for line in lines), 2)
        expect("beats", sum(" beat " in line for line in lines), 1)

        olga = Browser(base)
        expect("olga logs in", olga.log_in("olga"), 200)
        expect("olga opens the batch", olga.post(f"/projects/phones/batches/{batch.uuid}/open/")[0], 200)
        job = Job.objects.get(kind="open_batch")

        def done() -> bool:
            status, text = olga.ask(f"/jobs/{job.uuid}/")
            return status == 200 and json.loads(text)["status"] == "done"

        began = time.monotonic()
        expect("the job is done", wait_for(done, 60), True)
        seen["seconds until the job was done"] = round(time.monotonic() - began, 2)

        gene = Browser(base)
        expect("gene logs in", gene.log_in("gene"), 200)
        desk = f"/batches/{batch.uuid}/desk/"
        expect("gene reads the definition", gene.post(reverse("labeling:acknowledge", args=[batch.uuid]))[0], 200)
        labeled = 0
        status, reply = gene.call(f"{desk}claim", {})
        while status in (200, 201) and reply.get("hand") and labeled < ITEMS + 1:
            place = reply["hand"][0]
            status, reply = gene.call(
                f"{desk}submit",
                {
                    "assignment": place["assignment"], "token": place["token"], "idempotency_key": uuid.uuid4().hex,
                    "value": "defect", "second_value": None, "outcome": "labeled", "reason": "", "borderline": False,
                    "comment": "", "seconds": 1.0, "shown_next": None,
                },
            )  # fmt: skip
            labeled += status == 201
        expect("gene labels everything", labeled, ITEMS)
        expect("all is in the ledger", Annotation.objects.count(), ITEMS)
        expect(
            "figures are added up", 'view="labeling:desk_submit",status="2xx"} 12' in anyone.ask("/metrics")[1], True
        )
        web = [int(pid) for pid in subprocess.run(
            ["pgrep", "-f", f"gunicorn.*{port}"], capture_output=True, text=True, check=True).stdout.split()]  # fmt: skip
        seen["MiB of each web process"] = sorted(round(resident(pid), 1) for pid in web)
        expect("queue", jobs.take(), None)
    finally:
        if stack.poll() is None:
            stack.send_signal(signal.SIGINT)
        try:
            seen["exit status after Ctrl-C"] = stack.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(stack.pid, signal.SIGKILL)
            problems.append("Ctrl-C does not stop it")
    expect("nothing is left", processes(mark), [])
    expect("no signs are left", list((Path(os.environ["DATA_DIR"]) / "workers").iterdir()), [])
    if problems:
        seen["log"] = log.read_text()[-3000:]
    return {"seen": seen, "problems": problems}


if __name__ == "__main__":
    django.setup()
    print(json.dumps(main()))
