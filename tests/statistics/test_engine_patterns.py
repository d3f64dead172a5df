"""Patterns, transitions and pairs: in memory, streamed, merged, and from SQL: the same numbers."""

from __future__ import annotations

import sqlite3

import numpy as np
import pytest

from consistency.statistics.agreement import agree
from consistency.statistics.categories import per_category
from consistency.statistics.grouping import from_rows, stream
from consistency.statistics.pairs import pairs
from consistency.statistics.patterns import PatternTable, decode, word_layout
from consistency.statistics.ratings import RatingsTable
from labeling.db.patterns import PatternQueries, count_patterns, first_ratings, labels_by_item, largest_count

from .engine_tables import RAW_4_RATERS, psychiatric, simulated

WORLDS = {
    "psychiatric": psychiatric,
    "gaps": lambda: RatingsTable.from_matrix(RAW_4_RATERS),
    "many": lambda: simulated(300, 9, 4, seed=1, missing=0.5),
    "twenty categories": lambda: simulated(200, 6, 20, seed=2, missing=0.3),
    "a hundred categories": lambda: simulated(120, 5, 100, seed=3, missing=0.2),
    "two raters": lambda: simulated(50, 2, 3, seed=4),
}


def assert_equal_estimates(one, two):
    assert tuple(one) == tuple(two)
    for name in one:
        a, b = one[name].as_json(), two[name].as_json()
        for key in a:
            if isinstance(a[key], float):
                assert b[key] == pytest.approx(a[key], abs=1e-9, rel=1e-9), (name, key)
            elif key != "excluded":
                assert a[key] == b[key], (name, key)


@pytest.mark.parametrize("world", WORLDS)
def test_patterns_hold_every_item_and_label(world):
    table = WORLDS[world]()
    p, t = table.patterns(), table.transitions()
    assert np.array_equal(p.counts[p.index], table.counts())
    assert np.array_equal(np.bincount(p.index, minlength=p.n_patterns), p.multiplicity)
    assert len({tuple(row) for row in p.counts.tolist()}) == p.n_patterns
    assert t.count.sum() == table.n_ratings == p.n_ratings
    assert np.array_equal(
        t.by_category(table.n_categories),
        np.bincount(
            table.rater * table.n_categories + table.value, minlength=table.n_raters * table.n_categories
        ).reshape(table.n_raters, -1),
    )
    cells = t.by_cell(p)
    assert np.array_equal(np.asarray(cells.sum(axis=0)).ravel(), p.cells()[2])


def rows_of(table):
    return list(zip(table.item.tolist(), table.rater.tolist(), table.value.tolist(), strict=True))


def in_batches(table, size, seed=None):
    order = np.arange(table.n_ratings) if seed is None else np.random.default_rng(seed).permutation(table.n_ratings)
    return [
        (table.item[order[i : i + size]], table.rater[order[i : i + size]], table.value[order[i : i + size]])
        for i in range(0, table.n_ratings, size)
    ]


@pytest.mark.parametrize("world", WORLDS)
def test_streamed_in_any_order_is_the_same(world):
    table = WORLDS[world]()
    shuffled = in_batches(table, 97, seed=1)
    grouped = stream(
        lambda: shuffled, categories=table.categories, n_items=table.n_items, largest=9, n_raters=table.n_raters
    )
    mine, streamed = agree(table, level="ordinal"), agree(grouped, level="ordinal")
    for name in ("percent_agreement", "fleiss_kappa", "krippendorff_alpha", "gwet_ac", "brennan_prediger"):
        assert_equal_estimates({name: mine[name]}, {name: streamed[name]})
    assert streamed["conger_kappa"].value == pytest.approx(mine["conger_kappa"].value, abs=1e-12)
    assert streamed["conger_kappa"].low is None
    assert "not in memory" in " ".join(streamed["conger_kappa"].notes)


def test_a_stream_refuses_what_it_would_count_wrongly():
    table = psychiatric()
    options = {"categories": table.categories, "n_items": table.n_items, "n_raters": table.n_raters}
    batches = in_batches(table, 50)
    with pytest.raises(ValueError, match="too small"):
        stream(lambda: batches, largest=2, **options)
    with pytest.raises(ValueError, match="item number"):
        stream(lambda: batches, largest=6, **(options | {"n_items": 10}))
    with pytest.raises(ValueError, match="declared categories"):
        stream(lambda: batches, largest=6, **(options | {"categories": ["1", "2"]}))


def test_item_numbers_nobody_rated_are_no_items():
    one = (np.array([0, 0, 5, 5]), np.array([0, 1, 0, 1]), np.array([0, 0, 0, 1]))
    grouped = stream(lambda: [one], categories=["a", "b"], n_items=8, largest=2, n_raters=2)
    assert grouped.patterns.n_items == 2
    assert agree(grouped)["percent_agreement"].value == 0.5


@pytest.mark.parametrize("world", WORLDS)
def test_shards_of_items_merge_by_addition(world):
    table = WORLDS[world]()
    shard = np.arange(table.n_items) % 3
    parts = [table.subset(items=shard == s).patterns() for s in range(3)]
    merged = parts[0].merge(*parts[1:])
    assert_equal_estimates(agree(table.patterns()), agree(merged))


def test_shards_that_split_an_item_do_not_merge():
    """Negative control: adding tables that share items is a different table."""
    table = simulated(60, 4, 3, seed=5)
    halves = [table.subset(rows=np.arange(table.n_ratings) % 2 == s).patterns() for s in (0, 1)]
    merged = halves[0].merge(halves[1])
    assert merged.n_items != table.n_items
    with pytest.raises(ValueError, match="different categories"):
        halves[0].merge(PatternTable.from_counts([[1, 1]]))


@pytest.mark.parametrize(("k", "largest"), [(1, 1), (5, 6), (20, 4), (100, 3), (3, 10_000)])
def test_codes_decode_to_the_counts(k, largest):
    rng = np.random.default_rng(k)
    counts = rng.integers(0, largest + 1, (50, k))
    base, per_word = word_layout(k, largest)
    words = [
        (counts[:, w : w + per_word] * base ** np.arange(min(per_word, k - w), dtype=object)).sum(axis=1)
        for w in range(0, k, per_word)
    ]
    assert max(max(w) for w in words) < 2**62
    assert np.array_equal(decode([w.astype(np.int64) for w in words], base, per_word, k), counts)


# ---------------------------------------------------------------- SQL


def sqlite_cursor(table):
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE label (item INTEGER, rater INTEGER, value INTEGER)")
    connection.executemany("INSERT INTO label VALUES (?, ?, ?)", rows_of(table))
    return connection.cursor()


def postgres_cursor(table, url):
    import psycopg

    cursor = psycopg.connect(url).cursor()
    cursor.execute("CREATE TEMPORARY TABLE label (item integer, rater integer, value integer) ON COMMIT DROP")
    with cursor.copy("COPY label FROM STDIN") as copy:
        for row in rows_of(table):
            copy.write_row(row)
    return cursor


def duckdb_cursor(table):
    duckdb = pytest.importorskip("duckdb", reason="duckdb is optional")
    connection = duckdb.connect()
    connection.execute("CREATE TABLE label (item INTEGER, rater INTEGER, value INTEGER)")
    connection.executemany("INSERT INTO label VALUES (?, ?, ?)", [list(row) for row in rows_of(table)])
    return connection.cursor()


@pytest.fixture(params=["sqlite", "postgresql", "duckdb"])
def counting(request):
    """From a table of ratings to a cursor of a database that holds it as `label`."""
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_url")
        yield lambda table: postgres_cursor(table, url)
    else:
        yield {"sqlite": sqlite_cursor, "duckdb": duckdb_cursor}[request.param]


def grouped_by(cursor, table, source="label"):
    queries = PatternQueries(source, table.n_categories, largest_count(cursor, source))
    rows = count_patterns(cursor, queries)

    def by_item():
        for batch in labels_by_item(cursor, queries, rows=37):
            yield tuple(np.array(column) for column in zip(*batch, strict=True))

    return from_rows(
        rows.patterns,
        rows.transitions,
        rows.pairs,
        base=rows.base,
        per_word=rows.per_word,
        categories=table.categories,
        raters=table.raters,
        excluded=dict(table.excluded),
        by_item=by_item,
    )


@pytest.mark.parametrize("world", WORLDS)
def test_counted_in_the_database_every_coefficient_is_the_same(counting, world):
    table = WORLDS[world]()
    grouped = grouped_by(counting(table), table)
    options = {"level": "interval", "weights": "linear", "interval": "two_way"}
    assert_equal_estimates(agree(table, **options), agree(grouped, **options))
    mine, theirs = per_category(table), per_category(grouped)
    for label in table.categories:
        assert mine[label].count == theirs[label].count
        assert_equal_estimates({"kappa": mine[label].kappa}, {"kappa": theirs[label].kappa})
    one, two = pairs(table), pairs(grouped)
    assert np.array_equal(one.items, two.items)
    assert one.kappa == pytest.approx(two.kappa, abs=1e-12, nan_ok=True)
    assert one.kappa_se == pytest.approx(two.kappa_se, abs=1e-12, nan_ok=True)


def test_the_database_refuses_what_it_would_count_wrongly(counting):
    table = psychiatric()
    cursor = counting(table)
    with pytest.raises(ValueError, match="none of the 2 categories"):
        count_patterns(cursor, PatternQueries("label", 2, 6))
    cursor.execute("INSERT INTO label VALUES (0, 0, 1)")
    with pytest.raises(ValueError, match="more than once"):
        count_patterns(cursor, PatternQueries("label", 5, 6))


def test_first_ratings_and_null_values(counting):
    table = psychiatric()
    cursor = counting(table)
    cursor.execute("ALTER TABLE label ADD COLUMN id INTEGER")
    cursor.execute("UPDATE label SET id = 1")
    cursor.execute("INSERT INTO label VALUES (0, 0, 4, 2)")
    cursor.execute("INSERT INTO label VALUES (1, 0, NULL, 0)")
    assert_equal_estimates(agree(table), agree(grouped_by(cursor, table, first_ratings("label"))))


def test_a_largest_count_that_is_too_small_does_not_pass():
    """Negative control of the packing: codes that overflow into the next category are another table."""
    table = psychiatric()
    cursor = sqlite_cursor(table)
    rows = count_patterns(cursor, PatternQueries("label", 5, 3))
    with pytest.raises(ValueError, match="too small"):
        from_rows(rows.patterns, base=rows.base, per_word=rows.per_word, categories=table.categories)
