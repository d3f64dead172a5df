"""How a rater is named where names are not told."""

from __future__ import annotations

import hashlib
from uuid import UUID


def pseudonym(member: UUID) -> str:
    """A name for a member that stays the same in every export of their project and says nothing about the person.

    Made from the membership's uuid, which no page shows to those who may not know names.

    >>> pseudonym(UUID(int=1))
    'rater-8ad2e5f6'
    """
    return f"rater-{hashlib.sha256(b'rater:' + member.bytes).hexdigest()[:8]}"
