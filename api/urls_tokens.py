"""Addresses of the pages about tokens."""

from django.urls import path

from .views import tokens

urlpatterns = [
    path("projects/<slug:slug>/tokens/", tokens.tokens, name="tokens"),
    path("projects/<slug:slug>/tokens/new/", tokens.token_create, name="token_create"),
    path("projects/<slug:slug>/tokens/<uuid:uuid>/revoke/", tokens.token_revoke, name="token_revoke"),
]
