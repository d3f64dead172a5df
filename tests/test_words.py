"""The page of words says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

from labeling.transitions import describe

WORDS = Path(__file__).parent.parent / "docs" / "words.md"


def test_the_page_tells_every_move_of_a_status_and_no_other() -> None:
    table = WORDS.read_text().partition("## What may follow what")[2]
    told = {
        (noun, old, new.strip())
        for noun, old, news in re.findall(r"^\| (\w+) \| (\w+) \| ([\w, ]+) \|$", table, flags=re.MULTILINE)
        for new in news.split(",")
        if noun != "row"
    }
    assert told == set(describe())
