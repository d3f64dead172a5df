"""URL names say the page: `labeling:desk` → `views/desk.py:desk` → `templates/labeling/desk.html`.

One module of addresses per room; all share the namespace.
"""

from django.urls import include, path

app_name = "labeling"
ROOMS = ("people", "intake", "guidelines", "batches", "desk", "operations")
urlpatterns = [path("", include(f"labeling.urls_{room}")) for room in ROOMS]
