"""Addresses of the desk and of a rater's own answers."""

from django.urls import path

from .views import answers, desk

urlpatterns = [
    path("batches/<uuid:uuid>/desk/", desk.desk, name="desk"),
    path("batches/<uuid:uuid>/desk/claim", desk.desk_claim, name="desk_claim"),
    path("batches/<uuid:uuid>/desk/submit", desk.desk_submit, name="desk_submit"),
    path("batches/<uuid:uuid>/desk/skip", desk.desk_skip, name="desk_skip"),
    path("batches/<uuid:uuid>/desk/undo", desk.desk_undo, name="desk_undo"),
    path("batches/<uuid:uuid>/desk/shown", desk.desk_shown, name="desk_shown"),
    path("batches/<uuid:uuid>/desk/heartbeat", desk.desk_heartbeat, name="desk_heartbeat"),
    path("batches/<uuid:uuid>/desk/ask", desk.desk_ask, name="desk_ask"),
    path("batches/<uuid:uuid>/answers/", answers.my_answers, name="my_answers"),
    path("answers/<uuid:uuid>/", answers.my_answer, name="my_answer"),
]
