"""The desk in Chromium: from the press of a key to the next item painted, and what is sent.

    python -m benchmarks.desk_page [--presses 60] [--pause 300]

A rater presses 1 or 0 some three times a second: once over loopback, once with a round trip of 150 ms put on every request.
Each press is timed inside the page: from the time the key event bears to a message that the browser handles after the frame
in which the item changed was painted. A screen shows a frame every 16.7 ms, so 8 ms of waiting for the next one are in the
median. The server is gunicorn on SQLite; the bytes are those on the wire, heads included, as Chromium counts them.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import platform
import subprocess
import sys
from typing import Any

from benchmarks.databases import own_database
from benchmarks.labels import ROOT, Server, percentiles, session_of

# Times a press twice: when the page's script is through with it and the next item stands in the document, and when a
# message is handled that was posted in the next frame, that is when this frame has been painted.
WATCH = """
window.presses = [];
addEventListener("keydown", (event) => {
  if (event.key !== "1" && event.key !== "0") return;
  const before = document.querySelector("#item")?.textContent;
  const after = (act) => {
    const channel = new MessageChannel();
    channel.port1.onmessage = act;
    channel.port2.postMessage(null);
  };
  let done = 0;
  after(() => (done = performance.now() - event.timeStamp));
  requestAnimationFrame(() => after(() => {
    const changed = document.querySelector("#item")?.textContent !== before;
    window.presses.push({ done, spent: performance.now() - event.timeStamp, changed });
  }));
}, { capture: true });
"""
ROUND_TRIPS = (0, 150)


def _sit(context: Any, address: str, presses: int, pause: int, round_trip: int) -> dict[str, Any]:
    page = context.new_page()
    page.add_init_script(WATCH)
    debugger = context.new_cdp_session(page)
    debugger.send("Network.enable")
    urls: dict[str, str] = {}
    sent: list[tuple[str, int]] = []
    debugger.on("Network.responseReceived", lambda event: urls.update({event["requestId"]: event["response"]["url"]}))
    debugger.on(
        "Network.loadingFinished",
        lambda event: sent.append((urls.get(event["requestId"], ""), int(event["encodedDataLength"]))),
    )
    if round_trip:
        debugger.send(
            "Network.emulateNetworkConditions",
            {"offline": False, "latency": round_trip, "downloadThroughput": -1, "uploadThroughput": -1},
        )
    bodies: list[int] = []
    page.on("response", lambda response: bodies.append(len(gzip.compress(response.body(), 6))))
    page.goto(address, wait_until="networkidle")
    first = {"requests": len(sent), "bytes": sum(size for _, size in sent), "gzip": sum(bodies)}
    sent.clear()
    bodies.clear()
    page.wait_for_timeout(500)
    for number in range(presses):
        page.keyboard.press("10"[number % 2])
        page.wait_for_timeout(pause)
    page.wait_for_timeout(1000 + 4 * round_trip)
    pressed = page.evaluate("window.presses")
    labels = [size for url, size in sent if url.endswith("/submit")]
    page.close()
    spent = [press["spent"] / 1000 for press in pressed if press["changed"]]
    return {
        "done": percentiles([press["done"] / 1000 for press in pressed if press["changed"]])["p95"],
        "body": sum(bodies) / max(1, len(bodies)), "round_trip": round_trip, "presses": presses, "painted": len(spent), **percentiles(spent), "first": first,
        "labels": len(labels), "bytes_per_item": sum(size for _, size in sent) / max(1, len(labels)),
        "requests_per_item": len(sent) / max(1, len(labels)),
    }  # fmt: skip


def measure(presses: int, pause: int) -> dict[str, Any]:
    import django
    from django.core.management import call_command

    django.setup()
    from playwright.sync_api import sync_playwright

    from benchmarks.seeding import long_batch
    from labeling.models import Item

    call_command("migrate", verbosity=0)
    call_command("collectstatic", "--noinput", verbosity=0)
    world, batch = long_batch(2000, len(ROUND_TRIPS))
    cells = []
    keys = [session_of(world.people[f"rater{number}"]) for number in range(len(ROUND_TRIPS))]
    payload = max(len(json.dumps(item)) for item in Item.objects.values_list("payload", flat=True)[:2000])
    server = Server(dict(os.environ))
    url = f"http://127.0.0.1:{server.port}"
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=os.environ.get("CONCORD_TEST_BROWSER") or "/usr/bin/chromium",
                args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
            )
            for key, round_trip in zip(keys, ROUND_TRIPS, strict=True):
                context = browser.new_context(viewport={"width": 1280, "height": 800})
                context.add_cookies([{"name": "sessionid", "value": key, "url": url}])
                cells.append(_sit(context, f"{url}/batches/{batch.uuid}/desk/", presses, pause, round_trip))
                context.close()
            browser.close()
    finally:
        server.stop()
    return {"cells": cells, "payload": payload}


def show(figures: dict[str, Any]) -> str:
    """The figures as tables."""
    lines = [
        f"{platform.machine()}, {os.cpu_count()} cores, Chromium headless, load {os.getloadavg()[0]:.1f} at the end.",
        "",
        "| round trip ms | presses | next item painted | script done p95 ms | painted p50 ms | p95 | p99 | bytes per item, body | with its head | requests per item |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for cell in figures["cells"]:
        lines.append(
            f"| {cell['round_trip']} | {cell['presses']} | {cell['painted']} | {cell['done']} | {cell['p50']} | {cell['p95']} | {cell['p99']} "
            f"| {cell['body']:.0f} | {cell['bytes_per_item']:.0f} | {cell['requests_per_item']:.2f} |"
        )
    first = figures["cells"][0]["first"]
    lines += [
        "",
        f"First page with an empty cache: {first['requests']} requests, {first['bytes']:,} bytes on the wire, {first['gzip']:,} when all "
        f"of it is compressed. An item's payload is {figures['payload']} bytes here.",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--presses", type=int, default=60)
    parser.add_argument("--pause", type=int, default=300, help="milliseconds between presses")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        print(json.dumps(measure(options.presses, options.pause)))
        return
    with own_database("sqlite", DJANGO_ALLOW_ASYNC_UNSAFE="1") as environment:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.desk_page", "--inside", "--presses", str(options.presses), "--pause", str(options.pause)],
            cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True,
        )  # fmt: skip
    print(show(json.loads(done.stdout.strip().splitlines()[-1])))


if __name__ == "__main__":
    main()
