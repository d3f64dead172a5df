"""The project's settings with a middleware that ends its process where a request asks for it. For tests only."""

from config.settings import *  # noqa: F403
from config.settings import MIDDLEWARE

MIDDLEWARE = ["tests.faults.deadly.Deadly", *MIDDLEWARE]
