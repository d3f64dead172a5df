"""Pages that the code and its readers rely on say what the code does."""

from __future__ import annotations

import re
from pathlib import Path

from labeling.transitions import describe

HERE = Path(__file__).parent.parent
WORDS, STATISTICS = HERE / "docs" / "words.md", HERE / "docs" / "statistics.md"


def test_the_page_tells_every_move_of_a_status_and_no_other() -> None:
    table = WORDS.read_text().partition("## What may follow what")[2]
    told = {
        (noun, old, new.strip())
        for noun, old, news in re.findall(r"^\| (\w+) \| (\w+) \| ([\w, ]+) \|$", table, flags=re.MULTILINE)
        for new in news.split(",")
        if noun != "row"
    }
    assert told == set(describe())


def test_every_section_on_statistics_that_the_code_cites_is_there() -> None:
    sections = set(re.findall(r"^## (A\.\d+b?) ", STATISTICS.read_text(), flags=re.MULTILINE))
    cited = {
        section
        for path in (HERE / "consistency").rglob("*.py")
        for section in re.findall(r"docs/statistics\.md (A\.\d+b?)", path.read_text())
    }
    assert {"A.5", "A.6", "A.9"} <= cited
    assert cited <= sections
