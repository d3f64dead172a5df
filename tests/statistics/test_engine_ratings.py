"""RatingsTable: what it accepts, what it refuses and how it says so."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from consistency.statistics.ratings import RatingsError, RatingsTable, as_label

RECORDS = [
    ("i2", "gina", "yes"), ("i1", "gene", "no"), ("i1", "gina", "yes"), ("i2", "gene", None), ("i3", "ella", ""),
    ("i1", "ella", "no"), ("i2", "ella", "yes"),
]  # fmt: skip


def described(table: RatingsTable):
    return sorted(
        (table.items[i], table.raters[g], table.categories[v])
        for i, g, v in zip(table.item.tolist(), table.rater.tolist(), table.value.tolist(), strict=True)
    )


def test_records_frame_arrow_and_numpy_are_one_table():
    frame = pd.DataFrame(RECORDS, columns=["item_id", "rater_id", "label"])
    columns = [list(c) for c in zip(*RECORDS, strict=True)]
    made = [
        RatingsTable.from_records(RECORDS),
        RatingsTable.from_frame(frame),
        RatingsTable.from_frame(frame.astype({"rater_id": "category", "label": "category"})),
        RatingsTable.from_arrow(pa.Table.from_pandas(frame)),
        RatingsTable.from_columns(*columns),
        RatingsTable.from_columns(*[np.array(c, object) for c in columns]),
        RatingsTable.from_columns(*[pa.array(c) for c in columns]),
        RatingsTable.from_columns(*[pa.chunked_array([c[:3], c[3:]]).dictionary_encode() for c in columns]),
    ]
    for table in made:
        assert described(table) == described(made[0])
        assert table.raters == ("ella", "gene", "gina")
        assert table.categories == ("no", "yes")
        assert dict(table.excluded) == {"missing_labels": 2, "single_rating_items": 0, "repeats": 0}
        assert np.array_equal(table.counts().sum(axis=0), [2, 3])
    assert [e[0] for e in described(made[0])] == ["i1", "i1", "i1", "i2", "i2"]


def test_numbers_are_spelt_alike_however_they_come():
    as_text = RatingsTable.from_records([("1", "1", "2"), ("1", "2", "10")])
    as_numbers = RatingsTable.from_records([(1, 1, 2), (1, 2, 10.0)])
    as_floats = RatingsTable.from_frame(
        pd.DataFrame({"item_id": [1, 1, 2], "rater_id": [1, 2, 1], "label": [2.0, 10.0, np.nan]})
    )
    for table in (as_text, as_numbers, as_floats):
        assert table.categories == ("2", "10")
        assert table.numeric.tolist() == [2.0, 10.0]
    assert as_floats.excluded["missing_labels"] == 1
    assert [as_label(x) for x in (True, np.int64(3), 2.5, "x")] == ["true", "3", "2.5", "x"]


def test_scale_order():
    """By number when all are numbers, else as declared, else alphabetical."""
    rows = [("i", "a", "low"), ("i", "b", "high")]
    assert RatingsTable.from_records(rows, categories=["low", "high"]).categories == ("low", "high")
    assert RatingsTable.from_records(rows).categories == ("high", "low")
    declared = RatingsTable.from_records([("i", "a", 5), ("i", "b", 1)], categories=[5, 3, 1])
    assert declared.categories == ("1", "3", "5")
    assert declared.value.tolist() == [2, 0]
    assert RatingsTable.from_records([("i", "a", "1"), ("i", "b", "nan")]).numeric is None


def test_raters_sort_as_people_count():
    table = RatingsTable.from_records([("i", f"rater{g}", "x") for g in (10, 2, 1)])
    assert table.raters == ("rater1", "rater2", "rater10")


@pytest.mark.parametrize(
    ("rows", "categories", "words", "row"),
    [
        ([("i", "gene", "x"), ("i", "gina", "z")], ["x", "y"], "row 2: label 'z' is not one of the declared categories x, y", 1),
        ([("i", "gene", "x"), ("i", None, "x")], None, "row 2: the rater is missing", 1),
        ([("", "gene", "x")], None, "row 1: the item is missing", 0),
        ([("i", "gene")], None, "row 1: expected (item, rater, label[, session]), got 2 fields", 0),
        ([("i", "gene", "x")], ["x", "x"], "category 'x' is declared twice", None),
        ([("i", "gene", "x")], ["x", ""], "an empty text cannot be a category", None),
    ],
)  # fmt: skip
def test_refusals_name_row_and_value(rows, categories, words, row):
    with pytest.raises(RatingsError) as refused:
        RatingsTable.from_records(rows, categories=categories)
    assert str(refused.value) == words
    assert refused.value.row == row


def test_a_wrong_column_is_named_with_those_that_exist():
    frame = pd.DataFrame({"item_id": [1], "who": ["a"], "label": ["x"]})
    for make in (lambda: RatingsTable.from_frame(frame), lambda: RatingsTable.from_arrow(pa.Table.from_pandas(frame))):
        with pytest.raises(RatingsError, match=r"no column 'rater_id'; the columns are item_id, who, label"):
            make()
    with pytest.raises(RatingsError, match="the label column has 1 rows, the item column 2"):
        RatingsTable.from_columns([1, 2], [1, 2], ["x"])


def test_the_first_of_repeated_ratings_counts():
    rows = [("i", "gene", "x"), ("i", "gina", "x"), ("i", "gene", "y"), ("i", "gene", "z")]
    table = RatingsTable.from_records(rows)
    assert described(table) == [("i", "gene", "x"), ("i", "gina", "x")]
    assert table.excluded["repeats"] == 2
    item, rater, value, sequence = table.repeated()
    assert [table.categories[v] for v in value] == ["x", "y", "z"]
    assert sequence.tolist() == [0, 1, 2]
    assert set(rater.tolist()) == {0}
    assert set(item.tolist()) == {0}


@pytest.mark.parametrize("sessions", [(3, 1, 2), ("2024-03-01", "2023-12-31", "2024-01-05"), ("10", "2", "9")])
def test_sessions_order_repeats(sessions):
    """By number when all are numbers ("10" after "9"), else as text, so that ISO times sort right."""
    rows = [("i", "gene", "x", sessions[0]), ("i", "gene", "y", sessions[1]), ("i", "gene", "z", sessions[2])]
    table = RatingsTable.from_records(rows)
    assert described(table) == [("i", "gene", "y")]
    assert [table.categories[v] for v in table.repeated()[2]] == ["y", "z", "x"]


def test_a_missing_first_label_does_not_count_as_the_first():
    table = RatingsTable.from_records([("i", "gene", None, 1), ("i", "gene", "x", 2)])
    assert described(table) == [("i", "gene", "x")]
    assert len(table.repeats) == 0


def test_subsets_keep_categories_and_take_their_own_counts():
    rows = [*RECORDS, ("i1", "gene", "yes"), ("i3", "ghost", None)]
    table = RatingsTable.from_records(rows)
    assert table.excluded["repeats"] == 1
    assert table.excluded["missing_labels"] == 3
    without = table.without_raters(["gene"])
    assert without.raters == ("ella", "gina")
    assert without.categories == table.categories
    assert without.excluded["repeats"] == 0
    assert without.excluded["missing_labels"] == 1  # ella's; gene's and the ghost's are not in this table
    one = table.subset(items=np.array([name == "i1" for name in table.items]))
    assert one.items == ("i1",)
    assert one.excluded["repeats"] == 1
    assert table.subset(raters=[0, 1, 2], items=range(table.n_items)).n_ratings == table.n_ratings
    rows_only = table.subset(rows=[0])
    assert (rows_only.n_items, rows_only.n_raters, rows_only.n_ratings) == (1, 1, 1)
    with pytest.raises(RatingsError, match="no rater 'otto'"):
        table.without_raters(["otto"])
    with pytest.raises(ValueError, match=f"mask has 9 entries, not {table.n_items}"):
        table.subset(items=np.ones(9, bool))


def test_merging_categories():
    table = RatingsTable.from_records([("i", "a", "scratch"), ("i", "b", "dent"), ("j", "a", "ok"), ("j", "b", "ok")])
    merged = table.merge_categories({"scratch": "defect", "dent": "defect"})
    assert merged.categories == ("defect", "ok")
    assert described(merged)[0] == ("i", "a", "defect")
    with pytest.raises(RatingsError, match="no category 'rust'"):
        table.merge_categories({"rust": "defect"})


def test_empty_tables_work():
    table = RatingsTable.from_records([], categories=["x", "y"])
    assert (table.n_items, table.n_raters, table.n_ratings) == (0, 0, 0)
    assert table.counts().shape == (0, 2)
    assert table.patterns().n_patterns == 0
    assert table.transitions().count.sum() == 0
    assert table.repeated()[0].size == 0
    only_missing = RatingsTable.from_records([("i", "gene", None)])
    assert only_missing.excluded["missing_labels"] == 1
    assert only_missing.n_items == 0


def test_the_arrays_cannot_be_written():
    table = RatingsTable.from_records(RECORDS)
    with pytest.raises(ValueError, match="read-only"):
        table.value[0] = 1


def test_codes_outside_the_categories_are_refused():
    with pytest.raises(RatingsError, match="row 2: code 5 is not one of the 2 categories"):
        RatingsTable.from_codes([0, 0], [0, 1], [1, 5], categories=["a", "b"])
