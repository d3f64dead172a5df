"""Log lines as JSON, with the request's id and no IP address."""

from __future__ import annotations

import json
import logging
from contextvars import ContextVar
from datetime import UTC, datetime

# Of the request that is being answered; on every line written meanwhile.
REQUEST_ID: ContextVar[str] = ContextVar("request_id", default="")
EXTRAS = ("method", "path", "status", "milliseconds", "user_id", "job", "kind")


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, and what the call passed of EXTRAS."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if request_id := getattr(record, "request_id", "") or REQUEST_ID.get():
            line["request_id"] = request_id
        line.update({name: getattr(record, name) for name in EXTRAS if hasattr(record, name)})
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)
