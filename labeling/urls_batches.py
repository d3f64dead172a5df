"""Addresses of batches and background jobs."""

from django.urls import path

from .views import batches, jobs

urlpatterns = [
    path("projects/<slug:slug>/batches/", batches.batches, name="batches"),
    path("projects/<slug:slug>/batches/new/", batches.batch_create, name="batch_create"),
    path("projects/<slug:slug>/batches/estimate/", batches.batch_estimate, name="batch_estimate"),
    path("projects/<slug:slug>/batches/<uuid:uuid>/", batches.batch, name="batch"),
    path("projects/<slug:slug>/batches/<uuid:uuid>/edit/", batches.batch_edit, name="batch_edit"),
    path("projects/<slug:slug>/batches/<uuid:uuid>/discard/", batches.batch_discard, name="batch_discard"),
    path("projects/<slug:slug>/batches/<uuid:uuid>/open/", batches.batch_open, name="batch_open"),
    path("projects/<slug:slug>/batches/<uuid:uuid>/close/", batches.batch_close, name="batch_close"),
    path("projects/<slug:slug>/batches/<uuid:uuid>/reopen/", batches.batch_reopen, name="batch_reopen"),
    path("projects/<slug:slug>/batches/<uuid:uuid>/add-items/", batches.batch_add_items, name="batch_add_items"),
    path("projects/<slug:slug>/batches/<uuid:uuid>/overlap/", batches.batch_raise_overlap, name="batch_raise_overlap"),
    path("projects/<slug:slug>/batches/<uuid:uuid>/export/", batches.batch_export, name="batch_export"),
    path("projects/<slug:slug>/jobs/", jobs.jobs, name="jobs"),
    path("jobs/<uuid:uuid>/", jobs.job, name="job"),
    path("jobs/<uuid:uuid>/retry/", jobs.job_retry, name="job_retry"),
]
