"""All addresses: pages of `labeling`, then those of the other apps."""

from django.urls import include, path

urlpatterns = [
    path("", include("labeling.urls")),
    path("", include("consistency.urls")),
    path("", include("api.urls")),
]

handler400 = "labeling.views.errors.bad_request"
handler403 = "labeling.views.errors.permission_denied"
handler404 = "labeling.views.errors.page_not_found"
handler500 = "labeling.views.errors.server_error"
