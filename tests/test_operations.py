"""Stories of whoever runs the server: alive, ready, and why not."""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.utils import timezone

from config import probe
from config.logs import JsonFormatter
from config.middleware import RequestLogMiddleware
from labeling import jobs, metrics, workers
from labeling.db import seals
from labeling.models import Job
from labeling.views import operations


def test_alive_without_a_database(client: Client) -> None:
    """No database mark: a query here would fail the test."""
    response = client.get("/healthz")
    assert (response.status_code, response.content) == (200, b"ok\n")
    assert client.post("/healthz").status_code == 405


@pytest.mark.django_db
def test_ready_when_everything_is_there(client: Client) -> None:
    response = client.get("/readyz")
    assert response.status_code == 200
    assert response.json() == {
        "ready": True,
        "degraded": False,
        "checks": {"database": "ok", "migrations": "ok", "seals": "ok", "cache": "ok"},
    }


@pytest.mark.django_db
def test_a_missing_seal_is_not_ready(client: Client) -> None:
    seals.lift()
    try:
        response = client.get("/readyz")
    finally:
        seals.install()
    assert response.status_code == 503
    assert response.json()["checks"]["seals"].startswith("missing: ")
    assert client.get("/readyz").status_code == 200


@pytest.mark.django_db
def test_a_waiting_migration_is_not_ready(client: Client) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'sessions'")
    response = client.get("/readyz")
    assert response.status_code == 503
    assert response.json()["checks"]["migrations"] == "not applied: 1"


@pytest.mark.django_db
def test_an_unreachable_database_is_told_without_its_address(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone() -> str:
        raise OperationalError("connection to server at 10.0.0.7 refused, user concord")

    monkeypatch.setitem(operations.CHECKS, "database", gone)
    response = client.get("/readyz")
    assert response.status_code == 503
    assert response.json() == {"ready": False, "degraded": False, "checks": {"database": "not reachable"}}


@pytest.mark.django_db
def test_a_cache_that_forgets_is_not_ready(client: Client, settings) -> None:
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}}
    assert client.get("/readyz").json()["checks"]["cache"] == "the cache does not keep values"


# --- ready, but not well --------------------------------------------------------------------------


@pytest.fixture
def nobody_at_work(settings: Any, tmp_path: Path) -> Path:
    """A server with TASKS=celery on whose data folder no worker has given a sign."""
    settings.TASKS, settings.DATA_DIR = "celery", tmp_path
    return tmp_path


@pytest.mark.django_db
def test_without_a_worker_people_go_on_labeling_and_the_operator_is_told(client: Client, nobody_at_work: Path) -> None:
    response = client.get("/readyz")
    assert response.status_code == 200, "a proxy must not take the pages away because a worker is missing"
    told = response.json()
    assert (told["ready"], told["degraded"]) == (True, True)
    assert told["checks"]["worker"] == "no worker was heard of for a minute; jobs wait"
    assert told["checks"]["beat"].startswith("beat was not heard of")
    assert client.get("/readyz?strict").status_code == 503


@pytest.mark.django_db
def test_signs_of_life_come_go_and_grow_old(client: Client, nobody_at_work: Path) -> None:
    sign, beat = workers.Sign(), workers.Sign("beat")
    sign.start()
    beat.touch()
    for _ in range(100):
        if sign.file.exists():
            break
        time.sleep(0.02)
    assert client.get("/readyz?strict").status_code == 200
    sign.end()
    assert client.get("/readyz").json()["checks"].get("worker", "").startswith("no worker")
    assert "beat" not in client.get("/readyz").json()["checks"]
    silent = time.time() - workers.SILENT_SECONDS - 5
    os.utime(beat.file, (silent, silent))
    assert "beat" in client.get("/readyz").json()["checks"], "killed -9, it leaves a file that says nothing any more"


def test_a_sign_that_cannot_be_given_stops_no_worker(settings: Any, tmp_path: Path) -> None:
    (tmp_path / "workers").write_text("a file stands where the folder should be")
    settings.DATA_DIR = tmp_path
    sign = workers.Sign()
    sign.touch()
    assert sign.failed
    assert workers.heard_of() == 0


# --- figures --------------------------------------------------------------------------------------


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> metrics.Requests:
    """Counts that begin at nothing, in a folder of their own."""
    fresh = metrics.Requests(tmp_path / "counts")
    monkeypatch.setattr(metrics, "_requests", fresh)
    monkeypatch.setattr(metrics, "_counted", (0.0, []))
    return fresh


def figure(page: str, name: str) -> float:
    found = re.search(rf"^{re.escape(name)} (\S+)$", page, re.MULTILINE)
    assert found, f"{name} is not in\n{page}"
    return float(found[1])


@pytest.mark.django_db
def test_requests_are_counted_by_address_and_status(client: Client, counted: metrics.Requests) -> None:
    for _ in range(3):
        client.get("/healthz")
    client.post("/healthz")
    for number in range(5):
        client.get(f"/no/such/page/{number}")
    page = client.get("/metrics").content.decode()
    assert figure(page, 'concord_requests_total{view="labeling:healthz",status="2xx"}') == 3
    assert figure(page, 'concord_requests_total{view="labeling:healthz",status="4xx"}') == 1
    assert figure(page, 'concord_requests_total{view="none",status="4xx"}') == 5, "paths of strangers make no rows"
    assert figure(page, 'concord_request_seconds_count{view="labeling:healthz"}') == 4
    assert figure(page, 'concord_request_seconds_bucket{view="labeling:healthz",le="+Inf"}') == 4


def test_buckets_add_up(counted: metrics.Requests) -> None:
    for seconds in (0.001, 0.005, 0.02, 3.0, 99.0):
        counted.count("labeling:home", 200, seconds)
    page = "\n".join(metrics._request_lines())
    name = 'concord_request_seconds_bucket{view="labeling:home",le="%s"}'
    found = [figure(page, name % bound) for bound in ("0.005", "0.01", "0.025", "2.5", "5", "10", "+Inf")]
    assert found == [2, 2, 3, 3, 4, 4, 5]
    assert figure(page, 'concord_request_seconds_sum{view="labeling:home"}') == pytest.approx(102.026)


def test_all_web_processes_are_added_up_and_a_new_one_goes_on_where_a_dead_one_was(tmp_path: Path) -> None:
    folder = tmp_path / "counts"
    first, second = metrics.Requests(folder), metrics.Requests(folder)
    for process in (first, first, second):
        process.count("labeling:home", 200, 0.01)
    row = metrics.addresses()["labeling:home"] * metrics.ROW
    assert first.total()[row + 1] == second.total()[row + 1] == 3
    first.close()  # its process ended
    third = metrics.Requests(folder)
    third.count("labeling:home", 200, 0.01)
    assert third.total()[row + 1] == 4
    assert len(list(folder.iterdir())) == 2, "files do not pile up"


def test_a_folder_that_is_somebody_elses_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "counts").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").mkdir()
    alone = metrics.Requests(tmp_path / "counts")
    alone.count("labeling:home", 200, 0.01)
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert sum(alone.total()) > 0


@pytest.mark.django_db
def test_jobs_and_their_age(client: Client, counted: metrics.Requests, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(jobs.HANDLERS, "count", lambda run: {})
    for key in ("a", "b", "later"):
        jobs.enqueue(kind="count", by=None, dedup_key=key)
    now = timezone.now()
    Job.objects.filter(dedup_key="a").update(created_at=now - timedelta(minutes=5))
    Job.objects.filter(dedup_key="later").update(created_at=now - timedelta(days=1), not_before=now + timedelta(days=1))
    page = metrics.page(now)
    assert figure(page, 'concord_jobs{status="queued"}') == 3
    assert figure(page, "concord_job_queue_age_seconds") == 300, "one that is not due yet does not wait"
    assert figure(page, 'concord_places{status="open"}') == 0
    assert figure(page, "concord_ledger_sealed") == 1
    Job.objects.all().delete()
    assert figure(metrics.page(now), 'concord_jobs{status="queued"}') == 3, "counted again after a while only"


@pytest.mark.django_db
def test_a_lifted_seal_and_a_missing_database_show(counted: metrics.Requests, monkeypatch: pytest.MonkeyPatch) -> None:
    seals.lift()
    try:
        assert figure(metrics.page(), "concord_ledger_sealed") == 0
    finally:
        seals.install()

    def gone(now: Any) -> Any:
        raise OperationalError("gone")

    monkeypatch.setattr(metrics, "_counted", (0.0, []))
    monkeypatch.setattr(metrics, "_job_lines", gone)
    page = metrics.page()
    assert figure(page, "concord_database_up") == 0
    assert "concord_jobs" not in page


@pytest.mark.django_db
def test_who_may_read_figures(client: Client, settings: Any, counted: metrics.Requests) -> None:
    assert client.get("/metrics").status_code == 200
    assert client.get("/metrics", REMOTE_ADDR="10.1.2.3").status_code == 404
    for header in ("X-Forwarded-For", "Forwarded", "X-Real-Ip", "Via"):
        assert client.get("/metrics", headers={header: "10.1.2.3"}).status_code == 404, "a proxy on this machine"
    settings.TRUST_PROXY = True
    assert client.get("/metrics").status_code == 404
    settings.METRICS_TOKEN = "figures"
    assert client.get("/metrics").status_code == 404
    assert client.get("/metrics", headers={"Authorization": "Bearer wrong"}).status_code == 404
    shown = {"Authorization": "Bearer figures", "X-Forwarded-For": "10.1.2.3"}
    assert client.get("/metrics", headers=shown, REMOTE_ADDR="10.1.2.3").status_code == 200


@pytest.mark.django_db
def test_every_line_is_one_that_prometheus_reads(client: Client, counted: metrics.Requests) -> None:
    client.get("/healthz")
    line = re.compile(r'^[a-z_]+(\{[a-z]+="[A-Za-z0-9_:+.-]*"(,[a-z]+="[A-Za-z0-9_:+.-]*")*\})? [0-9.e+-]+$')
    named: set[str] = set()
    for text in client.get("/metrics").content.decode().splitlines():
        if text.startswith("# TYPE "):
            name = text.split()[2]
            assert name not in named, "each figure is told once"
            named.add(name)
        elif not text.startswith("#"):
            assert line.match(text), text


# --- log lines ------------------------------------------------------------------------------------


def logged(request: HttpRequest, say: str = "something") -> tuple[HttpResponse, dict[str, Any]]:
    """Answer a request that logs a line meanwhile; the answer, and that line as it is written."""
    lines: list[str] = []

    def view(request: HttpRequest) -> HttpResponse:
        record = logging.LogRecord("concord", logging.INFO, __file__, 1, say, None, None)
        lines.append(JsonFormatter().format(record))
        return HttpResponse("ok")

    response = RequestLogMiddleware(view)(request)
    return response, json.loads(lines[0])


def test_each_line_written_during_a_request_has_its_id(rf: Any, counted: metrics.Requests) -> None:
    first, line = logged(rf.get("/"))
    assert line["request_id"] == first["X-Request-ID"]
    second, _ = logged(rf.get("/"))
    assert second["X-Request-ID"] != first["X-Request-ID"]
    outside = JsonFormatter().format(logging.LogRecord("concord", logging.INFO, "", 1, "later", None, None))
    assert "request_id" not in json.loads(outside)


def test_only_a_trusted_proxy_names_a_request(rf: Any, settings: Any, counted: metrics.Requests) -> None:
    def named(given: str) -> str:
        return str(logged(rf.get("/", headers={"X-Request-ID": given}))[0]["X-Request-ID"])

    assert named("from-the-proxy-1") != "from-the-proxy-1"
    settings.TRUST_PROXY = True
    assert named("from-the-proxy-1") == "from-the-proxy-1"
    for odd in ("short", "with space and more", "x" * 65, "newline\\nnewline"):
        assert named(odd) != odd


# --- health checks from inside --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("allowed", "host"),
    [
        ([], "localhost"),
        (["labels.example.com"], "labels.example.com"),
        ([".example.com"], "example.com"),
        (["*"], "localhost"),
    ],
)
def test_a_health_check_names_a_host_that_is_let_in(allowed: list[str], host: str) -> None:
    assert probe.host(allowed) == host


@pytest.mark.django_db
def test_health_checks_from_inside_are_not_sent_to_https(client: Client, settings: Any) -> None:
    settings.ALLOWED_HOSTS, settings.SECURE_SSL_REDIRECT = ["labels.example.com"], True
    for path in ("/healthz", "/readyz", "/metrics"):
        assert client.get(path, headers={"Host": "labels.example.com"}).status_code == 200
    assert client.get("/", headers={"Host": "labels.example.com"}).status_code == 301


def test_a_health_check_of_a_server_that_is_not_there_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "1")
    assert probe.main() == 1


# --- what a web process carries -------------------------------------------------------------------

HEAVY = ("pandas", "sklearn", "statsmodels", "scipy", "pyarrow", "matplotlib", "celery")


def imported(code: str) -> list[str]:
    """Which heavy packages a fresh process has loaded after the code."""
    environment = {**os.environ, "SECRET_KEY": "x", "TASKS": "worker", "PYTHONWARNINGS": "ignore"}
    program = f"{code}; import sys; print(*[name for name in {HEAVY!r} if name in sys.modules])"
    root = Path(__file__).resolve().parents[1]
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=root, env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout.split()


WEB = "import config.wsgi; from django.urls import get_resolver; get_resolver().url_patterns"


def test_a_web_process_starts_without_the_heavy_libraries() -> None:
    assert imported(WEB) == []
    assert imported(f"{WEB}; import pandas")[0] == "pandas", "the control: it would be seen"
