"""Concord's one settings file. Every default runs with no service at all; the environment changes it.

DATABASE_URL, REDIS_URL, PORT, DATA_DIR, SECRET_KEY, DEBUG, ALLOWED_HOSTS and TASKS carry the usual
names; all others are CONCORD_* and listed in `config/environment.py`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dj_database_url
from django.core.exceptions import ImproperlyConfigured

from .environment import Environment

env = Environment()
BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = env.folder("DATA_DIR", BASE_DIR / "data")

DEBUG = env.flag("DEBUG", False)


def _secret_key() -> str:
    """The key from the environment or from DATA_DIR; empty when there is none.

    Offline commands need no key. Web and worker ask `labeling.startup.require_secret_key` and refuse to start.
    """
    if given := env.text("SECRET_KEY"):
        return given
    file = DATA_DIR / "secret_key"
    return file.read_text().strip() if file.is_file() else ""


SECRET_KEY = _secret_key()
ALLOWED_HOSTS = env.listing("ALLOWED_HOSTS", "127.0.0.1,localhost,[::1]")
CSRF_TRUSTED_ORIGINS = [
    f"https://{host}" for host in ALLOWED_HOSTS if host not in {"*", "127.0.0.1", "localhost", "[::1]"}
]
LOCAL_ONLY = not CSRF_TRUSTED_ORIGINS and "*" not in ALLOWED_HOSTS

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "django_htmx",
    "rest_framework",
    "drf_spectacular",
    "labeling",
    "consistency",
    "api",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "config.middleware.RequestLogMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "labeling.views.limits.BodyLimitMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "config.middleware.ContentPolicyMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "labeling.views.errors.RefusalMiddleware",
]

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"

TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": False,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
            "loaders": [
                (
                    "django.template.loaders.cached.Loader",
                    ["django.template.loaders.filesystem.Loader", "django.template.loaders.app_directories.Loader"],
                )
            ],
        },
    }
]

# --- database -------------------------------------------------------------------------------------
DATABASES: dict[str, Any] = {
    "default": dj_database_url.parse(
        env.text("DATABASE_URL") or f"sqlite:///{DATA_DIR / 'concord.sqlite3'}", conn_max_age=60
    )
}
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    DATABASES["default"]["ENGINE"] = "labeling.db.sqlite3"
    DATABASES["default"]["OPTIONS"] = {
        # A writer takes its lock at BEGIN, so it waits its turn instead of failing half-way with
        # "database is locked"; readers never wait (WAL). recursive_triggers: without it INSERT OR
        # REPLACE deletes a sealed row without firing its trigger.
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": (
            "PRAGMA journal_mode=WAL;PRAGMA synchronous=NORMAL;PRAGMA recursive_triggers=ON;"
            "PRAGMA temp_store=MEMORY;PRAGMA cache_size=-16000;"
        ),
    }
    # A file, never memory: several processes and threads must see the same test database.
    DATABASES["default"]["TEST"] = {"NAME": str(DATA_DIR / "test.sqlite3")}
else:
    DATABASES["default"]["OPTIONS"] = {
        # The statements of the desk (`labeling/db/compiled.py`) are planned once per connection.
        "prepare_threshold": 2 if env.flag("CONCORD_PREPARED_STATEMENTS", True) else None,
        **DATABASES["default"].get("OPTIONS", {}),
        "application_name": "concord",
    }
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- cache and background work --------------------------------------------------------------------
REDIS_URL = env.text("REDIS_URL")
CACHES: dict[str, Any] = {
    "default": (
        {"BACKEND": "config.cache.SteadyRedisCache", "LOCATION": REDIS_URL}
        if REDIS_URL
        else {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": "concord"}
    )
}
TASKS = env.choice("TASKS", "worker", ("inline", "worker", "celery"))
if TASKS == "celery" and not REDIS_URL:
    raise ImproperlyConfigured("TASKS=celery needs REDIS_URL=redis://HOST:6379/0.")
# Who carries a knock under TASKS=celery: called with a job's uuid. The apps do not know Celery.
JOB_MESSENGER = "config.celery.send_knock"

# --- people ---------------------------------------------------------------------------------------
AUTH_USER_MODEL = "labeling.User"
LOGIN_URL = "labeling:log_in"
LOGIN_REDIRECT_URL = "labeling:home"
LOGOUT_REDIRECT_URL = "labeling:log_in"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
SESSION_COOKIE_AGE = 60 * 60 * 24 * 14
LOGIN_ATTEMPTS = env.number("CONCORD_LOGIN_ATTEMPTS", 10, lowest=1)

# --- safety ---------------------------------------------------------------------------------------
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = not LOCAL_ONLY and not DEBUG
SECURE_HSTS_SECONDS = 0 if LOCAL_ONLY else 60 * 60 * 24 * 30
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = not LOCAL_ONLY
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
CSRF_FAILURE_VIEW = "labeling.views.errors.csrf_failure"
# Asked from inside, by address and without TLS. They show no one's data, or ask for a token of their own.
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^metrics$"]
METRICS_TOKEN = env.text("CONCORD_METRICS_TOKEN")
TRUST_PROXY = env.flag("CONCORD_TRUST_PROXY")
if TRUST_PROXY:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

# --- files ----------------------------------------------------------------------------------------
MEDIA_ROOT = DATA_DIR / "media"
STATIC_URL = "static/"
STATIC_ROOT = env.folder("CONCORD_STATIC_DIR", DATA_DIR / "static")
STATICFILES_DIRS = [BASE_DIR / "static"]
# Only what is vendored with its licence and hash is served; files inside installed packages are not.
STATICFILES_FINDERS = ["django.contrib.staticfiles.finders.FileSystemFinder"]
STORAGES: dict[str, Any] = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": (
            "django.contrib.staticfiles.storage.StaticFilesStorage"
            if env.flag("CONCORD_STATIC_PLAIN")
            else "config.static.ManifestStorage"
        )
    },
}
UPLOAD_MAX_BYTES = env.number("CONCORD_UPLOAD_MAX_MB", 512, lowest=1) * 1024 * 1024
IMAGE_MAX_BYTES = env.number("CONCORD_IMAGE_MAX_MB", 20, lowest=1) * 1024 * 1024
DATA_UPLOAD_MAX_MEMORY_SIZE = 5 * 1024 * 1024
DATA_UPLOAD_MAX_NUMBER_FIELDS = 5000
FILE_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024
FILE_UPLOAD_TEMP_DIR = None

# --- words and numbers ----------------------------------------------------------------------------
LANGUAGE_CODE = "en"
USE_I18N = False
USE_TZ = True
TIME_ZONE = "UTC"
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"

# --- REST -----------------------------------------------------------------------------------------
API_RATE = env.number("CONCORD_API_RATE", 6000, lowest=1)
REST_FRAMEWORK: dict[str, Any] = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "api.views.rest.auth.TokenAuthentication",
        "api.views.rest.auth.BrowserSession",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["api.views.rest.parsing.StrictJSONParser"],
    "DEFAULT_SCHEMA_CLASS": "api.views.rest.schema.EndpointSchema",
    "EXCEPTION_HANDLER": "api.views.rest.errors.answer_error",
    "URL_FORMAT_OVERRIDE": None,
}
SPECTACULAR_SETTINGS: dict[str, Any] = {
    "TITLE": "Concord",
    "DESCRIPTION": "Labels, agreement, rulings, datasets.",
    "VERSION": "1",
    "OAS_VERSION": "3.0.3",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "PREPROCESSING_HOOKS": ["api.views.rest.schema.only_version_1"],
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "api.views.rest.schema.finish",
    ],
    "COMPONENT_SPLIT_REQUEST": False,
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "SERVE_INCLUDE_SCHEMA": False,
    "SORT_OPERATIONS": False,
    "ENUM_NAME_OVERRIDES": {
        "BatchStatus": "labeling.vocabulary.BatchStatus",
        "VersionStatus": "labeling.vocabulary.VersionStatus",
        "JobStatus": "labeling.vocabulary.JobStatus",
        "RunStatus": "labeling.vocabulary.RunStatus",
        "BatchKind": "labeling.vocabulary.BatchKind",
        "ImportKind": "labeling.vocabulary.ImportKind",
        "Cohort": "labeling.vocabulary.Cohort",
        "Outcome": "labeling.vocabulary.Outcome",
        "DisagreementStatus": "consistency.vocabulary.DisagreementStatus",
        "DisagreementKind": "consistency.vocabulary.DisagreementKind",
        "RulingOutcome": "consistency.vocabulary.RulingOutcome",
        "RunKind": "consistency.vocabulary.RunKind",
    },
}

LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "json": {"()": "config.logs.JsonFormatter"},
        "plain": {"format": "%(levelname)s %(name)s %(message)s"},
    },
    "handlers": {
        "console": {
            "class": "logging.StreamHandler",
            "formatter": "json" if env.flag("CONCORD_LOG_JSON", True) else "plain",
        }
    },
    "root": {"handlers": ["console"], "level": "INFO"},
    "loggers": {
        "django": {"handlers": ["console"], "level": "INFO", "propagate": False},
        # A line for each message that is received would be two for each job.
        "celery": {"handlers": ["console"], "level": "WARNING", "propagate": False},
        "django.server": {"handlers": ["console"], "level": "WARNING", "propagate": False},
        # CSRF and permission refusals are documented answers, logged once with their request.
        "django.request": {"handlers": ["console"], "level": "ERROR", "propagate": False},
    },
}
SILENCED_SYSTEM_CHECKS: list[str] = []
if LOCAL_ONLY:
    # On a loopback address there is no TLS to insist on; `check --deploy` with a public ALLOWED_HOSTS sees them all.
    SILENCED_SYSTEM_CHECKS += ["security.W004", "security.W008", "security.W012", "security.W016", "security.W009"]
