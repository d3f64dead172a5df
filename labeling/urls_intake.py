"""Addresses of intake: items, their files, imports."""

from django.urls import path

from .views import imports, items

urlpatterns = [
    path("items/<uuid:uuid>/files/<str:field>/", items.item_file, name="item_file"),
    path("projects/<slug:slug>/items/", items.items, name="items"),
    path("projects/<slug:slug>/items/<uuid:uuid>/", items.item, name="item"),
    path("projects/<slug:slug>/items/<uuid:uuid>/withdraw/", items.item_withdraw, name="item_withdraw"),
    path("projects/<slug:slug>/imports/", imports.imports, name="imports"),
    path("projects/<slug:slug>/imports/new/", imports.import_create, name="import_create"),
    path("projects/<slug:slug>/imports/<uuid:uuid>/", imports.import_run, name="import_run"),
    path("projects/<slug:slug>/imports/<uuid:uuid>/start/", imports.import_start, name="import_start"),
    path("projects/<slug:slug>/imports/<uuid:uuid>/resume/", imports.import_resume, name="import_resume"),
    path("projects/<slug:slug>/imports/<uuid:uuid>/discard/", imports.import_discard, name="import_discard"),
    path("projects/<slug:slug>/imports/<uuid:uuid>/again/", imports.import_again, name="import_again"),
]
