"""Read the environment once, strictly: an unknown CONCORD_* name is an error, not a silent default."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

# Every CONCORD_* name the project knows, with what it means. The tests' own names stand here too,
# so that a misspelt one fails as loudly as any other.
KNOWN = {
    "CONCORD_UPLOAD_MAX_MB": "largest file a browser or a client may upload, in megabytes (default 512)",
    "CONCORD_IMAGE_MAX_MB": "largest single image taken in by an import, in megabytes (default 20)",
    "CONCORD_LOGIN_ATTEMPTS": "failed logins per account and quarter of an hour before a pause (default 10)",
    "CONCORD_API_RATE": "REST requests per token and minute (default 6000)",
    "CONCORD_TRUST_PROXY": "1 behind a proxy that sets X-Forwarded-Proto",
    "CONCORD_METRICS_TOKEN": "who shows it as Bearer token may read /metrics; without it only this machine may",
    "CONCORD_WEB_PROCESSES": "web processes of one server (default 2)",
    "CONCORD_WEB_THREADS": "requests that one web process answers at the same time (default 8)",
    "CONCORD_PREPARED_STATEMENTS": "0 behind a PostgreSQL pooler that cannot keep prepared statements (default 1)",
    "CONCORD_LOG_JSON": "1 (default) for JSON log lines, 0 for plain ones",
    "CONCORD_STATIC_DIR": "where collected static files lie (default DATA_DIR/static)",
    "CONCORD_STATIC_PLAIN": "1 serves static files under their own names, without a manifest (tests)",
    "CONCORD_TEST_REQUIRE": "tests: services that must be there (postgres,redis,browser,realdata)",
    "CONCORD_TEST_POSTGRES": "tests: URL of the PostgreSQL server the race tests use",
    "CONCORD_TEST_REDIS": "tests: URL of the Redis database the tests use",
    "CONCORD_TEST_BROWSER": "tests: path of the Chromium program",
    "CONCORD_REAL_DATA": "tests: folder with real multi-rater labels",
    "CONCORD_FUZZ_SECONDS": "tests: how long every REST call is tried with one token (default 30)",
    "CONCORD_FUZZ_SEED": "tests: where the tries start (default 1)",
}

TRUE = {"1", "true", "yes", "on"}
FALSE = {"0", "false", "no", "off", ""}


class Environment:
    """Typed access to environment variables; each getter names the variable in its error."""

    def __init__(self, values: Mapping[str, str] | None = None) -> None:
        self.values = os.environ if values is None else values
        unknown = sorted(name for name in self.values if name.startswith("CONCORD_") and name not in KNOWN)
        if unknown:
            raise ImproperlyConfigured(f"Unknown setting {', '.join(unknown)}. Known are: {', '.join(sorted(KNOWN))}.")

    def text(self, name: str, default: str = "") -> str:
        return self.values.get(name, default)

    def flag(self, name: str, default: bool = False) -> bool:
        raw = self.values.get(name)
        if raw is None:
            return default
        if raw.lower() in TRUE:
            return True
        if raw.lower() in FALSE:
            return False
        raise ImproperlyConfigured(f"{name}={raw!r}: use 1 or 0.")

    def number(self, name: str, default: int, *, lowest: int = 0) -> int:
        raw = self.values.get(name)
        if raw is None or raw == "":
            return default
        try:
            value = int(raw)
        except ValueError:
            raise ImproperlyConfigured(f"{name}={raw!r}: use a whole number.") from None
        if value < lowest:
            raise ImproperlyConfigured(f"{name}={value}: use {lowest} or more.")
        return value

    def choice(self, name: str, default: str, choices: tuple[str, ...]) -> str:
        value = self.values.get(name) or default
        if value not in choices:
            raise ImproperlyConfigured(f"{name}={value!r}: use one of {', '.join(choices)}.")
        return value

    def folder(self, name: str, default: Path) -> Path:
        return Path(self.values.get(name) or default).expanduser().resolve()

    def listing(self, name: str, default: str = "") -> list[str]:
        return [part.strip() for part in self.values.get(name, default).split(",") if part.strip()]
