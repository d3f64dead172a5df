"""URL names say the page, as in `labeling`; one module of addresses per room."""

from django.urls import URLPattern, URLResolver, include, path

app_name = "api"
ROOMS = ("tokens", "datasets", "rest")
urlpatterns: list[URLPattern | URLResolver] = [path("", include(f"api.urls_{room}")) for room in ROOMS]
