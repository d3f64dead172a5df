"""The dock's ledgers: a ready dataset, its notices and the feed's numbers never change."""

from labeling.db.seals import Seal

SEALS = (
    Seal("api_datasetversion", update="OLD.status = 'ready'", delete="OLD.status = 'ready'"),
    Seal("api_datasetnotice"),
    Seal("api_annotationfeed"),
)
