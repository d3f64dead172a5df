"""Consistency's ledgers: rulings, resolutions, runs and messages are written once."""

from labeling.db.seals import Seal

PUBLISHED = "(SELECT published_at FROM labeling_guidelineversion WHERE id = {row}.guideline_version_id) IS NOT NULL"

SEALS = (
    Seal("consistency_adjudication"),
    Seal("consistency_resolution"),
    Seal("consistency_resolutionrun"),
    Seal("consistency_discussionmessage"),
    # A motive may be added after publishing (a ruling that came late names the version that answered it), never taken away.
    Seal("consistency_guidelinemotive", update="", delete=PUBLISHED.format(row="OLD")),
)
