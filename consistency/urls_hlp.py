"""Addresses of human-level performance, references and slices."""

from django.urls import path

from .views import hlp, slices

PROJECT = "projects/<slug:slug>/"

urlpatterns = [
    path(f"{PROJECT}hlp/", hlp.hlp, name="hlp"),
    path(f"{PROJECT}batches/<uuid:uuid>/adopt-reference/", hlp.adopt_reference, name="adopt_reference"),
    path(f"{PROJECT}slices/", slices.slices, name="slices"),
    path(f"{PROJECT}slices/new/", slices.slice_create, name="slice_create"),
    path(f"{PROJECT}slices/<slug:key>/", slices.slice_edit, name="slice_edit"),
    path(f"{PROJECT}slices/<slug:key>/delete/", slices.slice_delete, name="slice_delete"),
]
