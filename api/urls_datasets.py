"""Addresses of dataset versions in the browser."""

from django.urls import path

from .views import datasets

urlpatterns = [
    path("projects/<slug:slug>/datasets/", datasets.datasets, name="datasets"),
    path("projects/<slug:slug>/datasets/new/", datasets.dataset_create, name="dataset_create"),
    path("projects/<slug:slug>/datasets/<uuid:uuid>/", datasets.dataset, name="dataset"),
    path("projects/<slug:slug>/datasets/<uuid:uuid>/rebuild/", datasets.dataset_rebuild, name="dataset_rebuild"),
    path("projects/<slug:slug>/datasets/<uuid:uuid>/content/", datasets.dataset_content, name="dataset_content"),
    path("projects/<slug:slug>/datasets/<uuid:uuid>/manifest.json", datasets.dataset_manifest, name="dataset_manifest"),
    path("projects/<slug:slug>/datasets/<uuid:uuid>/README.md", datasets.dataset_card, name="dataset_card"),
    path("projects/<slug:slug>/datasets/<uuid:uuid>/compare/", datasets.dataset_compare, name="dataset_compare"),
]
