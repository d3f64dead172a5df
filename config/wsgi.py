"""The web process's entry point."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

from django.core.wsgi import get_wsgi_application

from labeling.startup import require_secret_key

application = get_wsgi_application()
require_secret_key()
