"""One noun per file; everything is imported from here."""

from .dataset import DatasetNotice, DatasetVersion
from .feed import AnnotationFeed, FeedCursor
from .token import ApiToken, IdempotencyRecord

__all__ = ["AnnotationFeed", "ApiToken", "DatasetNotice", "DatasetVersion", "FeedCursor", "IdempotencyRecord"]
