"""Addresses of people and projects: home, logging in, accounts, invites, members, project settings."""

from django.urls import path

from .views import account, auth, home, members, projects

urlpatterns = [
    path("", home.home, name="home"),
    path("log-in/", auth.log_in, name="log_in"),
    path("log-out/", auth.log_out, name="log_out"),
    path("reset/<str:signed>/", auth.reset_password, name="reset_password"),
    path("account/", account.account, name="account"),
    path("account/password/", account.change_password, name="change_password"),
    path("account/single-keys/", account.single_keys, name="single_keys"),
    path("join/<str:signed>/", account.invite_accept, name="invite_accept"),
    path("projects/new/", projects.project_create, name="project_create"),
    path("projects/<slug:slug>/", projects.project, name="project"),
    path("projects/<slug:slug>/edit/", projects.project_edit, name="project_edit"),
    path("projects/<slug:slug>/archive/", projects.project_archive, name="project_archive"),
    path("projects/<slug:slug>/members/", members.members, name="members"),
    path("projects/<slug:slug>/members/<uuid:uuid>/", members.member_edit, name="member_edit"),
    path("projects/<slug:slug>/members/<uuid:uuid>/reset-link/", members.member_reset_link, name="member_reset_link"),
    path("projects/<slug:slug>/members/<uuid:uuid>/set-aside/", members.member_set_aside, name="member_set_aside"),
    path("projects/<slug:slug>/invites/new/", members.invite_create, name="invite_create"),
    path("projects/<slug:slug>/invites/<uuid:uuid>/revoke/", members.invite_revoke, name="invite_revoke"),
]
