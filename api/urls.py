"""URL names say the page, as in `labeling`; one module of addresses per room."""

from importlib.util import find_spec

from django.urls import URLPattern, URLResolver, include, path

app_name = "api"
ROOMS = ("tokens", "datasets", "rest")
urlpatterns: list[URLPattern | URLResolver] = [
    path("", include(f"api.urls_{room}")) for room in ROOMS if find_spec(f"api.urls_{room}") is not None
]
