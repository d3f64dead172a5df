"""Consensus: one answer per item from several raters' labels, with ties kept for a person to decide."""

from .choose import METHODS, Candidate, Choice, Setting, choose, find_consensus, held_out_likelihood
from .dawid_skene import dawid_skene
from .majority import majority
from .one_coin import one_coin
from .result import Consensus, RaterQuality, Restarts, accuracy_against
from .votes import Votes

__all__ = [
    "METHODS",
    "Candidate",
    "Choice",
    "Consensus",
    "RaterQuality",
    "Restarts",
    "Setting",
    "Votes",
    "accuracy_against",
    "choose",
    "dawid_skene",
    "find_consensus",
    "held_out_likelihood",
    "majority",
    "one_coin",
]
