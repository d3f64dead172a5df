"""How gunicorn serves: `gunicorn -c python:config.gunicorn config.wsgi`. The address comes from PORT, or from --bind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gunicorn.glogging import Logger as GunicornLogger

from .environment import Environment
from .logs import JsonFormatter

_env = Environment()
bind = f"127.0.0.1:{_env.number('PORT', 8000)}"
worker_class = "gthread"
workers = _env.number("CONCORD_WEB_PROCESSES", 2, lowest=1)
threads = _env.number("CONCORD_WEB_THREADS", 8, lowest=1)
# An upload is read by the application as it arrives; a page that takes half a minute is stuck.
timeout = 120
graceful_timeout = 20
keepalive = 5
loglevel = "warning"
control_socket_disable = True
# Heartbeat files of the worker processes: memory, where there is some, so that a busy disk stops nobody.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None


class Logger(GunicornLogger):
    """gunicorn's own lines in the project's form. Access is not logged: `/metrics` counts it, slow requests are told."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        if _env.flag("CONCORD_LOG_JSON", True):
            for handler in self.error_log.handlers:
                handler.setFormatter(JsonFormatter())


logger_class = Logger
