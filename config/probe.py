"""`python -m config.probe [/PATH | worker | beat]`: is the process on this machine well? For health checks; 0 when it is.

A path is asked of the web process, with a Host header that ALLOWED_HOSTS lets in; a worker or beat is well when it gave
a sign of life. Without Django, so that it costs little.
"""

from __future__ import annotations

import re
import socket
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from .environment import Environment


def host(allowed: list[str]) -> str:
    """A name that these ALLOWED_HOSTS accept."""
    first = allowed[0] if allowed else "localhost"
    return "localhost" if first == "*" else first.lstrip(".")


def signs(role: str, folder: Path, *, within: float = 60.0) -> int:
    """How many processes of this machine gave a sign in so many seconds (see `labeling/workers.py`)."""
    name = re.sub(r"[^A-Za-z0-9-]", "_", socket.gethostname())
    now = time.time()
    return sum(now - file.stat().st_mtime <= within for file in (folder / "workers").glob(f"{name}-*.{role}"))


def main(what: str = "/healthz", *, seconds: float = 5.0) -> int:
    env = Environment()
    if not what.startswith("/"):
        found = signs(what, env.folder("DATA_DIR", Path(__file__).resolve().parent.parent / "data"))
        print(f"{what}: {found}")
        return 0 if found else 1
    path = what
    url = f"http://127.0.0.1:{env.number('PORT', 8000)}{path}"
    request = urllib.request.Request(url, headers={"Host": host(env.listing("ALLOWED_HOSTS"))})
    try:
        with urllib.request.urlopen(request, timeout=seconds) as reply:
            print(reply.status)
            return 0
    except urllib.error.HTTPError as error:
        print(error.code, error.read(2000).decode("utf-8", "replace"))
    except OSError as error:
        print(error)
    return 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2]))
