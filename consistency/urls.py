"""URL names say the page, as in `labeling`; one module of addresses per room."""

from django.urls import URLPattern, URLResolver, include, path

app_name = "consistency"
ROOMS = ("figures", "hlp", "bench", "loop", "overview")
urlpatterns: list[URLPattern | URLResolver] = [path("", include(f"consistency.urls_{room}")) for room in ROOMS]
