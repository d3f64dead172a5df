"""A full disk, told apart from every other trouble of a database or a file."""

from __future__ import annotations

import errno
import sqlite3

# Kept short: it stands on pages, in job rows and behind commands.
SENTENCE = "The server’s disk is full. What was saved is kept; make room there, then try again."
FULL = {errno.ENOSPC, errno.EDQUOT}
POSTGRES_DISK_FULL = "53100"


def disk_is_full(error: BaseException | None) -> bool:
    """Whether the error, or one that it came from, says that no room is left.

    >>> disk_is_full(OSError(errno.ENOSPC, "No space left on device")), disk_is_full(ValueError("other"))
    (True, False)
    """
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, OSError) and error.errno in FULL:
            return True
        if isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
            return True
        if getattr(error, "sqlstate", None) == POSTGRES_DISK_FULL:
            return True
        error = error.__cause__ or error.__context__
    return False
