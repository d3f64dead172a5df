"""Addresses of the loop: a change proposed, relabeling offered, before and after."""

from django.urls import path

from .views import gain_files, loop, relabel_offer, revising

PROJECT = "projects/<slug:slug>/"
ONE = f"{PROJECT}before-after/<uuid:uuid>/"

urlpatterns = [
    path(f"{PROJECT}definitions/propose/", revising.propose_change, name="propose_change"),
    path(f"{PROJECT}definitions/<uuid:uuid>/relabel/", relabel_offer.relabel_offer, name="relabel_offer"),
    path(f"{PROJECT}before-after/", loop.comparisons, name="comparisons"),
    path(f"{PROJECT}before-after/stop-rule/", loop.stop_rule, name="stop_rule"),
    path(ONE, loop.comparison, name="comparison"),
    path(f"{ONE}look/", loop.comparison_look, name="comparison_look"),
    path(f"{ONE}figures.csv", gain_files.comparison_csv, name="comparison_csv"),
    path(f"{ONE}versions.csv", gain_files.history_csv, name="history_csv"),
]
