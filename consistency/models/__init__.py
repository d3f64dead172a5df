"""One noun per file; everything is imported from here."""

from .adjudication import Adjudication, GuidelineMotive
from .agreement_run import AgreementEstimate, AgreementRun
from .disagreement import Disagreement, DiscussionMessage
from .resolution import Resolution, ResolutionRun
from .slice import Slice
from .sweep_mark import SweepMark

__all__ = [
    "Adjudication", "AgreementEstimate", "AgreementRun", "Disagreement", "DiscussionMessage", "GuidelineMotive",
    "Resolution", "ResolutionRun", "Slice", "SweepMark",
]  # fmt: skip
