"""Addresses of the bench, of discussions, of voting, and of the report on items that do not show enough."""

from django.urls import path

from .views import bench, bench_calls, bench_votes, discussions, input_report

PROJECT = "projects/<slug:slug>/"
CASE = f"{PROJECT}bench/<uuid:uuid>/"

urlpatterns = [
    path(f"{PROJECT}bench/", bench.bench, name="bench"),
    path(CASE, bench.bench_case, name="bench_case"),
    path(f"{CASE}parts", bench_calls.bench_parts, name="bench_parts"),
    path(f"{CASE}hold", bench_calls.bench_hold, name="bench_hold"),
    path(f"{CASE}extend", bench_calls.bench_extend, name="bench_extend"),
    path(f"{CASE}release", bench_calls.bench_release, name="bench_release"),
    path(f"{CASE}rule", bench_calls.bench_rule, name="bench_rule"),
    path(f"{CASE}discuss", bench_calls.bench_discuss, name="bench_discuss"),
    path(f"{PROJECT}bench/votes/<uuid:uuid>/", bench_votes.bench_vote, name="bench_vote"),
    path(f"{PROJECT}input/", input_report.input_report_page, name="input_report"),
    path(f"{PROJECT}input/csv/", input_report.input_report_csv, name="input_report_csv"),
    path(f"{PROJECT}discussions/<uuid:uuid>/", discussions.discussion_say, name="discussion_say"),
]
