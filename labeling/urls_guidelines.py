"""Addresses of definitions, of reading one, and of raters' questions. A project has one draft, so it needs no id."""

from django.urls import path

from .views import acknowledge, guidelines, questions
from .views import guideline_editor as editor

PROJECT = "projects/<slug:slug>/"
DRAFT = f"{PROJECT}definitions/draft/"

urlpatterns = [
    path(f"{PROJECT}definitions/", guidelines.guidelines, name="guidelines"),
    path(f"{PROJECT}definitions/start/", guidelines.guideline_start, name="guideline_start"),
    path(f"{PROJECT}definitions/<uuid:uuid>/", guidelines.guideline, name="guideline"),
    path(f"{PROJECT}definitions/<uuid:uuid>/differences/", guidelines.guideline_diff, name="guideline_diff"),
    path(DRAFT, editor.guideline_edit, name="guideline_edit"),
    path(f"{DRAFT}labels/new/", editor.guideline_label_new, name="guideline_label_new"),
    path(f"{DRAFT}labels/<uuid:uuid>/", editor.guideline_label, name="guideline_label"),
    path(f"{DRAFT}labels/<uuid:uuid>/remove/", editor.guideline_label_remove, name="guideline_label_remove"),
    path(f"{DRAFT}labels/<uuid:uuid>/move/", editor.guideline_label_move, name="guideline_label_move"),
    path(f"{DRAFT}labels/<uuid:uuid>/examples/", editor.guideline_examples, name="guideline_examples"),
    path(f"{DRAFT}examples/<uuid:uuid>/remove/", editor.guideline_example_remove, name="guideline_example_remove"),
    path(f"{DRAFT}preview/", editor.guideline_preview, name="guideline_preview"),
    path(f"{DRAFT}publish/", editor.guideline_publish, name="guideline_publish"),
    path(f"{DRAFT}discard/", editor.guideline_discard, name="guideline_discard"),
    path("batches/<uuid:uuid>/definition/", acknowledge.acknowledge, name="acknowledge"),
    path(f"{PROJECT}questions/", questions.questions, name="questions"),
    path(f"{PROJECT}questions/<uuid:uuid>/", questions.question_answer, name="question_answer"),
]
