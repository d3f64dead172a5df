"""Addresses of the overview's files; the overview itself stands on the project's page."""

from django.urls import path

from .views import overview_files

urlpatterns = [
    path("projects/<slug:slug>/overview/<slug:table>.csv", overview_files.overview_csv, name="overview_csv"),
]
