"""Static files under hashed names, import statements of ES modules included."""

from whitenoise.storage import CompressedManifestStaticFilesStorage


class ManifestStorage(CompressedManifestStaticFilesStorage):
    support_js_module_import_aggregation = True
    # A file that a page names and that is not there must fail in collectstatic, not at a reader's desk.
    manifest_strict = True
