"""Grouped ratings whose labels stay elsewhere: streamed in bounded memory, or counted by a database."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from .labels import as_label, numbers_of
from .patterns import (
    TOO_SMALL,
    Batch,
    Grouped,
    PairTable,
    PatternTable,
    TransitionCounter,
    Transitions,
    decode,
    group_words,
    weights_of_word,
    word_layout,
)


def stream(
    batches: Callable[[], Iterable[Batch]],
    *,
    categories: Sequence[Any],
    n_items: int,
    largest: int,
    n_raters: int | None = None,
    raters: Sequence[str] = (),
) -> Grouped:
    """Patterns, and with `n_raters` the transitions, of labels that do not fit in memory.

    Parameters
    ----------
    batches : callable
        Called once for the patterns and a second time for the transitions; each call yields batches
        (item, rater, value) of equally long integer arrays in any order: items dense in 0..n_items-1, raters dense in
        0..n_raters-1, values codes of `categories`. Without `n_raters` the rater array may be None.
        Each (item, rater) at most once: repeats must be taken out before.
    largest : int
        An upper bound of the ratings of one category on one item; a bound that is too small is an error, not a
        wrong answer.
    n_raters : int, optional
        None: patterns only (intervals over items only).

    Returns
    -------
    Grouped
        Memory: 8 bytes per item and code word, plus 4 per item, whatever the number of labels.

    Examples
    --------
    >>> one = (np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1]), np.array([0, 0, 0, 1]))
    >>> stream(lambda: [one], categories=["a", "b"], n_items=2, largest=2).patterns.multiplicity.tolist()
    [1, 1]
    """
    labels = tuple(as_label(c) for c in categories)
    k = len(labels)
    base, per_word = word_layout(k, largest)
    n_words = -(-k // per_word)
    words = [np.zeros(n_items, np.int64) for _ in range(n_words)]
    weights = [weights_of_word(base, per_word, w, k) for w in range(n_words)]
    labels_seen = 0
    for item, _, value in batches():
        if len(item) and (int(np.min(value)) < 0 or int(np.max(value)) >= k):
            raise ValueError(f"a value lies outside the {k} declared categories")
        if len(item) and (int(np.min(item)) < 0 or int(np.max(item)) >= n_items):
            raise ValueError(f"an item number lies outside 0..{n_items - 1}")
        labels_seen += len(item)
        for w in range(n_words):
            np.add.at(words[w], item, weights[w][value])
    counts, multiplicity, index = group_words(words, base, per_word, k)
    empty = counts.sum(axis=1) == 0
    if empty.any():  # an item number nobody rated is no item
        shift = np.where(empty, -1, np.cumsum(~empty) - 1).astype(np.int32)
        index = shift[index]
        counts, multiplicity = counts[~empty], multiplicity[~empty]
    patterns = PatternTable(counts, multiplicity, labels, numbers_of(labels), index)
    if patterns.n_ratings != labels_seen:
        raise ValueError(TOO_SMALL)
    transitions = None
    if n_raters is not None:
        counter = TransitionCounter(patterns, n_raters)
        for item, rater, value in batches():
            counter.add(item, rater, value)
        transitions = counter.result()
    return Grouped(
        patterns,
        transitions,
        None,
        tuple(raters),
        {"missing_labels": 0, "single_rating_items": patterns.single_rating_items, "repeats": 0},
    )


def from_rows(
    patterns: Iterable[Sequence[Any]],
    transitions: Iterable[Sequence[Any]] | None = None,
    pairs: Iterable[Sequence[Any]] | None = None,
    *,
    base: int,
    per_word: int,
    categories: Sequence[Any],
    raters: Sequence[str] = (),
    excluded: dict[str, int] | None = None,
    by_item: Callable[[], Iterable[Batch]] | None = None,
) -> Grouped:
    """Decode what a database's GROUP BYs returned.

    Parameters
    ----------
    patterns : rows (code_0, …, code_w-1, items)
    transitions : rows (rater, category, labels, code_0, …, code_w-1)
    pairs : rows (rater a, rater b, category a, category b, items)
    base, per_word : int
        How the codes were made: base ** position, so many categories per code word.
    categories : sequence
        In scale order, as the codes of the values count them.

    Returns
    -------
    Grouped
        Patterns in a fixed order, whatever the order of the rows.
    """
    labels = tuple(as_label(c) for c in categories)
    k = len(labels)
    n_words = -(-k // per_word)
    data = sorted(tuple(int(x) for x in row) for row in patterns)
    words = [np.array([r[w] for r in data], np.int64) for w in range(n_words)]
    counts = decode(words, base, per_word, k) if data else np.zeros((0, k), np.int32)
    table = PatternTable(counts, np.array([r[n_words] for r in data], np.int64), labels, numbers_of(labels))
    position = {r[:n_words]: p for p, r in enumerate(data)}
    moves = both = None
    if transitions is not None:
        rows = sorted(tuple(int(x) for x in row) for row in transitions)
        columns = np.array([r[:3] for r in rows], np.int64).reshape(-1, 3)
        where = np.array([position[r[3:]] for r in rows], np.int64)
        n_raters = max(len(raters), int(columns[:, 0].max(initial=-1)) + 1)
        moves = Transitions(columns[:, 0], where, columns[:, 1], columns[:, 2], n_raters)
    if pairs is not None and moves is not None:
        found = np.array(sorted(tuple(int(x) for x in row) for row in pairs), np.int64).reshape(-1, 5)
        both = PairTable(found[:, 0], found[:, 1], found[:, 2], found[:, 3], found[:, 4], moves.n_raters)
    left_out = {"missing_labels": 0, "single_rating_items": table.single_rating_items, "repeats": 0}
    return Grouped(table, moves, both, tuple(raters), left_out | (excluded or {}), by_item)
