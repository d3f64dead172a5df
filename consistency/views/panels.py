"""What this app says on the labeling app's pages."""

from __future__ import annotations

from labeling.views.navigation import Entry, Waiting, register_entry
from labeling.views.panels import register_home, register_panel

from ..queries.bench import count_waiting
from . import discussions, figures, loop, overview, revising


def register() -> None:
    """Called when the app loads."""
    register_panel("guideline", loop.story_of_version)
    register_panel("guideline", revising.show_motives)
    register_panel("guideline_draft", revising.show_motives)
    register_panel("guideline_publish", loop.offer_beside_publishing)
    register_panel("acknowledge", revising.motives_for_reader)
    register_panel("batch", loop.comparison_of_batch)
    register_panel("batch", figures.show_on_batch)
    register_panel("project", overview.show_on_project)
    register_panel("my_answers", overview.show_own)
    cases = Waiting(count_waiting, "case waits for a ruling", "cases wait for a ruling", "To the bench")
    register_entry(Entry("consistency:bench", "Bench", "adjudicate", cases), before="labeling:questions")
    register_entry(Entry("consistency:comparisons", "Before / after", "see_figures"), before="labeling:questions")
    register_entry(Entry("consistency:hlp", "HLP", "see_figures"), before="labeling:questions")
    register_panel("my_answers", discussions.show_discussed)
    register_panel("my_answer", discussions.show_discussion)
    register_home(discussions.show_waiting)
