"""Addresses of the figures of a batch."""

from django.urls import path

from .views import figures

BATCH = "projects/<slug:slug>/batches/<uuid:uuid>/"

urlpatterns = [
    path(f"{BATCH}figures/", figures.figures, name="figures"),
    path(f"{BATCH}figures/<slug:kind>.csv", figures.batch_figures_csv, name="batch_figures_csv"),
]
