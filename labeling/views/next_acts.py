"""What comes next in a project, in words: for its overview, and for the first page of those who set it up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..access import can_use
from ..models import Membership
from ..queries.home import ProjectFacts
from ..vocabulary import BatchStatus, Cohort
from .navigation import Room, link


@dataclass(frozen=True)
class NextAct:
    """One thing to do: what stands, and a link that does it (empty when it is for others to do)."""

    title: str
    says: str
    url: str = ""
    act: str = ""
    done: bool = False
    urgent: bool = False


NUMBER_WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def count_of(number: int, one: str, many: str) -> str:
    """“1 label”, “1,204 labels”."""
    return f"{number:,} {one if number == 1 else many}"


def words_of(number: int, one: str, many: str) -> str:
    """“Two batches are …”: a count that starts a sentence."""
    counted = NUMBER_WORDS[number].capitalize() if number < len(NUMBER_WORDS) else f"{number:,}"
    return f"{counted} {one if number == 1 else many}"


def raters_in_words(raters: dict[str, int]) -> str:
    """“2 generalists, 1 expert”, in the cohorts' fixed order."""
    words = {
        Cohort.GENERALIST: ("generalist", "generalists"),
        Cohort.EXPERT: ("expert", "experts"),
        Cohort.TARGET_USER: ("target user", "target users"),
    }
    return ", ".join(count_of(raters[cohort], *words[cohort]) for cohort in Cohort if raters.get(cohort))


@dataclass(frozen=True)
class _Way:
    """A page and the right it takes."""

    right: str
    page: str
    act: str


def _step(title: str, says: str, member: Membership, way: _Way | None = None, *, done: bool = False) -> NextAct:
    """A step, with its link when the member may go there and the page exists."""
    url = link(way.page, member.project.slug) if way is not None and can_use(member, way.right) else ""
    return NextAct(title, says, url, way.act if way is not None and url else "", done)


IMPORT = _Way("import", "import_create", "Import items")
ITEMS = _Way("see_items", "items", "See items")
WRITE = _Way("define", "guideline_edit", "Write it")
DRAFT = _Way("define", "guideline_edit", "Go on with the draft")
DEFINITIONS = _Way("see_setup", "guidelines", "See definitions")
INVITE = _Way("manage_members", "invite_create", "Invite")
MEMBERS = _Way("manage_members", "members", "See members")
DISPATCH = _Way("dispatch", "batch_create", "Open a batch")
BATCHES = _Way("see_progress", "batches", "See batches")
DATASETS = _Way("export", "api:datasets", "See datasets")


def steps(facts: ProjectFacts, member: Membership) -> list[NextAct]:
    """The way from nothing to labels, in order: items, definition, raters, batches."""
    return [_items(facts, member), _definition(facts, member), _raters(facts, member), _batches(facts, member)]


def _items(facts: ProjectFacts, member: Membership) -> NextAct:
    if facts.has_items:
        return _step("Items", "There are items to label.", member, ITEMS, done=True)
    return _step("Items", "No items yet.", member, IMPORT)


def _definition(facts: ProjectFacts, member: Membership) -> NextAct:
    if facts.published is None:
        if facts.draft is None:
            return _step("Definition", "Nothing says yet what the labels mean.", member, WRITE)
        return _step("Definition", "The first draft waits to be published.", member, DRAFT)
    if facts.draft is None:
        return _step("Definition", f"v{facts.published} is in force.", member, DEFINITIONS, done=True)
    says = f"v{facts.published} is in force; the draft of v{facts.draft} waits to be published."
    return _step("Definition", says, member, DRAFT, done=True)


def _raters(facts: ProjectFacts, member: Membership) -> NextAct:
    if not facts.raters:
        return _step("Raters", "Nobody can label yet.", member, INVITE)
    words = raters_in_words(facts.raters)
    if sum(facts.raters.values()) == 1:
        return _step("Raters", f"{words}. Agreement needs two.", member, INVITE)
    return _step("Raters", f"{words}.", member, MEMBERS, done=True)


def _batches(facts: ProjectFacts, member: Membership) -> NextAct:
    running = facts.batches.get(BatchStatus.OPEN, 0) + facts.batches.get(BatchStatus.OPENING, 0)
    if running:
        says = f"{words_of(running, 'batch is', 'batches are')} open."
        return _step("Batches", says, member, BATCHES, done=True)
    if facts.batches.get(BatchStatus.DRAFT):
        return _step("Batches", "A batch is ready to be opened.", member, BATCHES)
    if facts.batches:
        way = DATASETS if can_use(member, DATASETS.right) else BATCHES
        return _step("Batches", "Every batch is closed; their labels can be exported.", member, way, done=True)
    if not (facts.has_items and facts.published is not None):
        return _step("Batches", "A batch needs items and a published definition.", member)
    return _step("Batches", "No batch yet.", member, DISPATCH)


def next_act(facts: ProjectFacts, member: Membership, rooms: Sequence[Room] = ()) -> NextAct:
    """The one thing to do next: what waits for the member in these rooms, the first step that is missing, then what runs."""
    waits = [room for room in rooms if room.count and room.entry.waiting and can_use(member, room.entry.right)]
    if waits:
        room = max(waits, key=lambda room: room.entry.waiting.urgent)  # type: ignore[union-attr]
        words = room.entry.waiting
        assert words is not None
        says = f"{words_of(room.count, words.one, words.many)}."
        return NextAct(room.title, says, room.url, words.act, urgent=True)
    way = steps(facts, member)
    missing = [step for step in way if not step.done]
    for step in missing:
        if step.url:
            return step
    if missing:
        return replace(missing[0], says=f"{missing[0].says} That is for others in the project to do.")
    if facts.draft is not None and can_use(member, DRAFT.right):
        return way[1]
    return way[-1]
