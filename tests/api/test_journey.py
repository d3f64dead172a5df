"""A client that knows nothing but the OpenAPI document: it imports 200 items, labels them as three raters at once, rules on
what they disagree about, reads the figures, exports, verifies the hash, and resumes a cut download."""

from __future__ import annotations

import hashlib
import http.client
import json
import threading
import time
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest

from labeling.models import Membership, User
from labeling.vocabulary import Cohort, Role
from tests.api.client import key_for
from tests.worlds import World, make_user

ITEMS = 200
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


class Client:
    """One program: a connection, a token, and the document to find addresses in."""

    def __init__(self, server: str, key: str) -> None:
        self.address = urlsplit(server)
        self.key = key
        self.connection = http.client.HTTPConnection(self.address.hostname or "", self.address.port, timeout=60)
        status, body, _ = self.raw("GET", "/api/v1/schema/")
        assert status == 200
        self.paths: dict[str, Any] = json.loads(body)["paths"]

    def raw(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes, Any]:
        self.connection.request(method, path, body, {"Authorization": f"Bearer {self.key}", **headers})
        reply = self.connection.getresponse()
        return reply.status, reply.read(), reply.headers

    def find(self, method: str, summary: str) -> str:
        """The path of the operation with this summary."""
        return next(
            path for path, methods in self.paths.items() if methods.get(method.lower(), {}).get("summary") == summary
        )

    def do(self, method: str, summary: str, uuid: str = "", body: Any = None, **query: Any) -> tuple[int, Any]:
        path = self.find(method, summary).replace("{uuid}", uuid)
        raw = json.dumps(body or {}).encode() if method == "POST" else None
        asked = f"?{urlencode(query)}" if query else ""
        status, answer, _ = self.raw(method, path + asked, raw, **{"Content-Type": "application/json"})
        return status, json.loads(answer) if answer else None

    def every(self, summary: str, **query: Any) -> list[Any]:
        """All rows of a list."""
        status, page = self.do("GET", summary, **query)
        assert status == 200, page
        rows = page["results"]
        while page["next"]:
            parts = urlsplit(page["next"])
            status, raw, _ = self.raw("GET", f"{parts.path}?{parts.query}")
            assert status == 200
            page = json.loads(raw)
            rows += page["results"]
        return rows

    def until(self, summary: str, uuid: str, wanted: str, *, stop: tuple[str, ...] = ()) -> Any:
        """Ask again until the thing has the wanted status."""
        end = time.monotonic() + 120
        while time.monotonic() < end:
            status, row = self.do("GET", summary, uuid)
            assert status == 200, row
            if row["status"] == wanted:
                return row
            assert row["status"] not in stop, row
            time.sleep(0.1)
        raise AssertionError(f"{summary} {uuid} never was {wanted}")


def truth(text: str) -> str:
    number = int(text.split()[1].rstrip("."))
    return "defect" if number % 2 else "no_defect"


def label(client: Client, batch: str, wrong_every: int, done: list[int], errors: list[Any]) -> None:
    """One rater's program: claim, read the definition when asked to, answer until nothing is left."""
    try:
        count = 0
        status, place = client.do("POST", "Claim the next item", batch)
        if status == 409 and place["code"] == "version_unread":
            version = place["data"]["guideline"]
            status, whole = client.do("GET", "A version with its labels", version)
            assert {row["key"] for row in whole["labels"]} == {"defect", "no_defect"}
            assert client.do("POST", "Say that I have read a version", version)[0] == 200
            status, place = client.do("POST", "Claim the next item", batch)
        assert status == 200, place
        while place is not None:
            text = place["item"]["payload"]["text"]
            number = int(text.split()[1].rstrip("."))
            value = truth(text)
            if wrong_every and number % wrong_every == 0:
                value = "no_defect" if value == "defect" else "defect"
            answer = {"token": place["token"], "value": value, "seconds": 1.0, "next": True}
            status, told = client.do("POST", "Answer", place["uuid"], answer)
            assert status == 201, told
            count += 1
            place = told["next"]
            if place is None:
                assert told["empty"]["reason"] in ("done", "waiting"), told
        done.append(count)
    except Exception as error:
        errors.append(error)
        raise


def test_import_label_rule_measure_export(live_server: Any, settings: Any) -> None:
    world = World.build(items=0)
    greg: User = make_user("greg")
    Membership.objects.create(project=world.project, user=greg, role=Role.RATER, cohort=Cohort.GENERALIST)
    world.people["greg"] = greg
    programs = {
        who: Client(live_server.url, key_for(world, who)) for who in ("olga", "mel", "sam", "gene", "gina", "greg")
    }
    olga, mel, sam = programs["olga"], programs["mel"], programs["sam"]

    rows = "".join(
        json.dumps({"external_id": f"i{n}", "text": f"Screen {n}.", "camera": n % 3}) + "\n" for n in range(ITEMS)
    )
    status, raw, headers = mel.raw(
        "POST", mel.find("POST", "Import items"), rows.encode(), **{"Content-Type": "application/x-ndjson"}
    )
    assert status == 202, raw
    report = mel.until("An import and its row report", json.loads(raw)["uuid"], "done", stop=("refused",))
    assert report["rows_kept"] == ITEMS
    assert len(mel.every("Items", limit=77)) == ITEMS

    status, batch = olga.do(
        "POST", "Create a batch", body={"name": "First", "quotas": [{"cohort": "generalist", "raters": 3}]}
    )
    assert status == 201, batch
    assert olga.do("POST", "Open a batch", batch["uuid"])[0] == 202
    olga.until("A batch", batch["uuid"], "open")

    done: list[int] = []
    errors: list[Any] = []
    threads = [
        threading.Thread(target=label, args=(programs[who], batch["uuid"], wrong, done, errors))
        for who, wrong in (("gene", 0), ("gina", 10), ("greg", 0))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(300)
    assert errors == []
    assert sum(done) == 3 * ITEMS
    progress = olga.do("GET", "How far a batch is", batch["uuid"])[1]
    assert [(row["done"], row["open"], row["short_items"]) for row in progress["cohorts"]] == [(3 * ITEMS, 0, 0)]

    cases = [row for row in sam.every("Disagreements", batch=batch["uuid"], limit=7) if row["kind"] == "labels"]
    assert len(cases) == ITEMS // 10
    for case in cases:
        status, held = sam.do("POST", "Hold a case", case["uuid"])
        assert status == 200, held
        assert len(held["answers"]) == 3
        ruling = {
            "token": held["token"], "seen": held["input_sha256"], "cause": "rater_slip", "outcome": "adjudicate",
            "value": truth(held["payload"]["text"]), "rationale": "The number decides.",
        }  # fmt: skip
        status, told = sam.do("POST", "Rule on a held case", case["uuid"], ruling)
        assert status == 201, told
    assert len(sam.every("Rulings", batch=batch["uuid"])) == len(cases)

    for kind, name in (("Agreement in a batch", "krippendorff_alpha"), ("Human-level performance in a batch", "")):
        end = time.monotonic() + 120
        while (figures := mel.do("GET", kind, batch=batch["uuid"])) and figures[1]["run"] is None:
            assert figures[0] == 202
            assert time.monotonic() < end
        assert figures[0] == 200
        assert any(row["value"] is not None and row["items"] for row in figures[1]["estimates"])
        assert not name or name in {row["coefficient"] for row in figures[1]["estimates"]}

    resolved = mel.every("Resolutions", batch=batch["uuid"])
    methods = [row["method"] for row in resolved]
    assert (methods.count("unanimous"), methods.count("adjudicated")) == (ITEMS - len(cases), len(cases))

    status, dataset = mel.do(
        "POST", "Define a dataset version",
        body={"name": "Clean", "splits": {"method": "stratified", "shares": {"train": 0.6, "dev": 0.2, "test": 0.2}}},
    )  # fmt: skip
    assert status == 202, dataset
    dataset = mel.until("A dataset version", dataset["uuid"], "ready", stop=("failed",))
    assert dataset["rows"] == ITEMS
    content = mel.find("GET", "The content of a dataset version").replace("{uuid}", dataset["uuid"])
    status, whole, headers = mel.raw("GET", content)
    assert (status, len(whole)) == (200, dataset["bytes"])
    assert hashlib.sha256(whole).hexdigest() == dataset["sha256"] == headers["ETag"].strip('"')
    status, head, _ = mel.raw("GET", content, Range="bytes=0-99")
    assert (status, head) == (206, whole[:100])
    status, tail, _ = mel.raw("GET", content, **{"Range": "bytes=100-", "If-Range": headers["ETag"]})
    assert (status, head + tail) == (206, whole)
    exported = [json.loads(line) for line in whole.splitlines()]
    assert all(row["value"] == truth(row["payload"]["text"]) for row in exported)
    assert {name: sum(row["split"] == name for row in exported) for name in ("train", "dev", "test")} == {
        "train": 120, "dev": 40, "test": 40,
    }  # fmt: skip

    numbers: list[int] = []
    last, more = 0, True
    while more:
        page = mel.do("GET", "The feed of annotations", after=last, limit=250)[1]
        numbers += [row["number"] for row in page["results"]]
        last, more = page["last"], bool(page["next"])
    assert numbers == list(range(1, 3 * ITEMS + 1))
