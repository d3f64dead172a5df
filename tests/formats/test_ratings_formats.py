"""Reading ratings: long form and yesterday's export of another tool, with errors that name the place."""

import io
import json
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from labeling.formats.ratings import Columns, RatingsFileError, read_ratings


def rows(file, *roles):
    """The rows as tuples of text, for comparing."""
    roles = roles or ("item", "rater", "label")
    return list(zip(*(file.table.column(role).to_pylist() for role in roles), strict=True))


def write(folder, name, text):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return str(path)


PHONES = "item_id,rater_id,cohort,label,gold\n007,gene,generalist,1,1\n007,ella,expert,1,1\n008,gene,generalist,,0\n"


# --- long form ------------------------------------------------------------------------------------


def test_csv_keeps_names_as_written_and_an_empty_label_as_missing(tmp_path):
    file = read_ratings(write(tmp_path, "phones.csv", PHONES))
    assert rows(file) == [("007", "gene", "1"), ("007", "ella", "1"), ("008", "gene", None)]
    assert rows(file, "cohort", "gold")[0] == ("generalist", "1")
    assert file.format == "csv"
    assert file.rows == 3
    assert not file.has("session")
    assert len(file.sha256) == 64


def test_csv_takes_na_and_null_as_labels_not_as_missing(tmp_path):
    file = read_ratings(write(tmp_path, "x.csv", "item_id,rater_id,label\n1,NA,null\n2,nan,N/A\n"))
    assert rows(file) == [("1", "NA", "null"), ("2", "nan", "N/A")]


def test_own_column_names_and_columns_that_are_not_needed(tmp_path):
    path = write(tmp_path, "x.csv", "url,worker,when,answer\na,w1,monday,yes\nb,w2,,no\n")
    file = read_ratings(path, columns=Columns(item="url", rater="worker", label="answer"))
    assert rows(file) == [("a", "w1", "yes"), ("b", "w2", "no")]


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("x.tsv", "item_id\trater_id\tlabel\na,b\tr\tyes\n", "tsv"),
        ("x.csv", "item_id;rater_id;label\na,b;r;yes\n", "csv"),
        ("x.txt", "item_id\trater_id\tlabel\na,b\tr\tyes\n", "tsv"),
        ("x.csv", '\ufeffitem_id,rater_id,label\n"a,b",r,yes\n', "csv"),
        ("x.csv", '"item_id","rater_id","label"\r\n"a,b","r","yes"\r\n', "csv"),
        ("x", '{"item_id": "a,b", "rater_id": "r", "label": "yes"}\n', "jsonl"),
    ],
)
def test_the_form_is_recognised_by_content(tmp_path, name, text, expected):
    file = read_ratings(write(tmp_path, name, text))
    assert file.format == expected
    assert rows(file) == [("a,b", "r", "yes")]


def test_standard_input(tmp_path):
    file = read_ratings("-", stdin=io.BytesIO(PHONES.encode()))
    assert file.source == "standard input"
    assert file.rows == 3


def test_a_text_over_two_lines_stays_one_label(tmp_path):
    file = read_ratings(write(tmp_path, "x.csv", 'item_id,rater_id,label\n1,r,"to be\nor not"\n2,r,x\n'))
    assert rows(file) == [("1", "r", "to be\nor not"), ("2", "r", "x")]


def test_jsonl_numbers_truth_and_absent_labels(tmp_path):
    lines = [
        {"item_id": 1, "rater_id": "gene", "label": True},
        {"item_id": 2, "rater_id": "gene", "label": 3.0},
        {"item_id": 3, "rater_id": "gene", "label": None},
        {"item_id": 4, "rater_id": "gene"},
    ]
    file = read_ratings(write(tmp_path, "x.jsonl", "\n".join(map(json.dumps, lines))))
    assert [label for *_, label in rows(file)] == ["true", "3", None, None]


def test_parquet_numbers_and_pandas_gaps(tmp_path):
    path = tmp_path / "x.parquet"
    table = pa.table(
        {
            "item_id": pa.array([1, 1, 2]),
            "rater_id": ["gene", "gina", "gene"],
            "label": pa.array([1.0, 2.0, float("nan")]),
            "gold": pa.array(["1", None, ""]).dictionary_encode(),
        }
    )
    pq.write_table(table, path)
    file = read_ratings(str(path))
    assert file.format == "parquet"
    assert rows(file, "item", "rater", "label", "gold") == [
        ("1", "gene", "1", "1"),
        ("1", "gina", "2", None),
        ("2", "gene", None, None),
    ]


# --- what is wrong, and where ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("x.csv", "", "x.csv: the file is empty"),
        ("x.csv", "\n\n", "x.csv: the file is empty"),
        ("x.csv", "item_id,rater_id,label\n", "there is no rating in it"),
        (
            "x.csv",
            "item_id,rater,label\na,b,c\n",
            "there is no column 'rater_id' for the rater; the columns are: item_id, rater",
        ),
        ("x.csv", "item_id,rater_id,label,label\na,b,c,d\n", "'label' stands 2 times"),
        ("x.csv", "item_id,rater_id,label\na,b,c\nd,e,f,g\n", "line 3: 4 fields where the header has 3"),
        ("x.csv", 'item_id,rater_id,label\na,b,"c\nc"\n\n,e,f\n', "line 5: the item (item_id) is empty"),
        ("x.csv", "item_id,rater_id,label\na,,c\n", "line 2: the rater (rater_id) is empty"),
        ("x.jsonl", '{"item_id": 1, "rater_id": 2, "label": 3}\n{"item_id": 1,\n', "line 2: not JSON"),
        ("x.jsonl", '{"item_id": 1, "rater_id": 2, "label": ["a"]}\n', "line 1: label is a list"),
        ("x.jsonl", '{"item_id": 1, "rater_id": 2, "label": "a"}\n[1]\n', "line 2: a JSON object"),
        (
            "x.jsonl",
            '{"item_id": 1, "rater_id": 2, "label": "a"}\n{"rater_id": 2, "label": "a"}\n',
            "line 2: there is no item_id",
        ),
        ("x.jsonl", '{"item_id": 1, "rater_id": 2, "answer": "a"}\n', "no line has a 'label'"),
        ("x.txt", "hello\nworld\n", "name its form with --format"),
        ("x.parquet", "PAR1 and then nothing", "not readable as Parquet"),
    ],
)
def test_errors_name_the_place(tmp_path, name, text, says):
    with pytest.raises(RatingsFileError) as error:
        read_ratings(write(tmp_path, name, text))
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_text_that_is_not_utf8_names_the_line(tmp_path):
    path = tmp_path / "latin.csv"
    path.write_bytes("item_id,rater_id,label\n1,r,ok\n2,r,mäßig\n".encode("latin-1"))
    with pytest.raises(RatingsFileError, match=r"latin\.csv, line 3: not UTF-8"):
        read_ratings(str(path))


def test_a_missing_file_an_unknown_format_and_a_column_that_was_asked_for(tmp_path):
    with pytest.raises(RatingsFileError, match="there is no such file"):
        read_ratings(str(tmp_path / "nowhere.csv"))
    path = write(tmp_path, "x.csv", PHONES)
    with pytest.raises(RatingsFileError, match="unknown format 'xlsx'"):
        read_ratings(path, format="xlsx")
    with pytest.raises(RatingsFileError, match=r"'session'.*--session"):
        read_ratings(path, columns=Columns(session="session"))
    assert not read_ratings(path).has("session"), "not asked for: an absent column is no error"


# --- Label Studio ---------------------------------------------------------------------------------


def annotation(number, by, *results, **more):
    return {
        "id": number,
        "completed_by": by,
        "result": list(results),
        "was_cancelled": False,
        "ground_truth": False,
        "created_at": f"2024-03-0{number % 9 + 1}T10:00:00.000000Z",
        "lead_time": 4.2,
        **more,
    }


def choice(name, *choices):
    return {
        "id": "x1",
        "type": "choices",
        "from_name": name,
        "to_name": "text",
        "origin": "manual",
        "value": {"choices": list(choices)},
    }


def stars(name, number):
    return {"id": "x2", "type": "rating", "from_name": name, "to_name": "text", "value": {"rating": number}}


LABEL_STUDIO = [
    {
        "id": 101,
        "data": {"text": "Great phone", "sku": "A-1"},
        "annotations": [
            annotation(2, {"id": 7, "email": "gene@example.org"}, choice("sentiment", "Positive"), stars("quality", 5)),
            annotation(1, 9, choice("sentiment", "Neutral")),
            annotation(3, 12, was_cancelled=True),
            annotation(4, 1, choice("sentiment", "Positive"), ground_truth=True),
        ],
        "predictions": [{"model_version": "m1", "result": [choice("sentiment", "Negative")]}],
    },
    {
        "id": 102,
        "data": {"text": "Meh", "sku": "A-2"},
        "annotations": [annotation(5, 9, choice("sentiment", "Positive", "Neutral"))],
    },
    {"id": 103, "data": {"text": "Not yet", "sku": "A-3"}, "annotations": []},
]


def test_label_studio_json(tmp_path):
    path = write(tmp_path, "project-83.json", json.dumps(LABEL_STUDIO))
    with pytest.raises(RatingsFileError, match=r"several questions \(sentiment, quality\); choose one with --label"):
        read_ratings(path)
    file = read_ratings(path, columns=Columns(label="sentiment"))
    assert file.format == "labelstudio"
    assert rows(file, "item", "rater", "label", "gold") == [
        ("101", "9", "Neutral", "Positive"),
        ("101", "gene@example.org", "Positive", "Positive"),
        ("101", "12", None, "Positive"),
        ("102", "9", "Neutral + Positive", None),
    ]
    assert any("ground truth" in note for note in file.notes)
    assert any("a + b" in note for note in file.notes)


def test_label_studio_ratings_and_an_item_from_the_data(tmp_path):
    path = write(tmp_path, "p.json", json.dumps(LABEL_STUDIO))
    file = read_ratings(path, columns=Columns(label="quality", item="sku"))
    assert ("A-1", "gene@example.org", "5") in rows(file)
    with pytest.raises(RatingsFileError, match=r"task 101.*no 'upc', asked for with --item"):
        read_ratings(path, columns=Columns(label="quality", item="upc"))


def test_label_studio_regions_have_no_single_label(tmp_path):
    box = {"type": "rectanglelabels", "from_name": "tag", "value": {"x": 1, "rectanglelabels": ["car"]}}
    path = write(tmp_path, "p.json", json.dumps([{"id": 1, "data": {}, "annotations": [annotation(1, 1, box)]}]))
    with pytest.raises(RatingsFileError, match=r"no answer of type choices.*rectanglelabels"):
        read_ratings(path)


def test_label_studio_json_min(tmp_path):
    records = [
        {
            "id": 1,
            "text": "a",
            "sentiment": "Positive",
            "annotator": 3,
            "annotation_id": 11,
            "created_at": "2024-01-01",
        },
        {
            "id": 1,
            "text": "a",
            "sentiment": {"choices": ["Negative", "Angry"]},
            "annotator": 4,
            "annotation_id": 12,
            "created_at": "2024-01-02",
        },
        {"id": 2, "text": "b", "annotator": 4, "annotation_id": 13, "created_at": "2024-01-03"},
    ]
    path = write(tmp_path, "min.json", json.dumps(records))
    file = read_ratings(path, columns=Columns(label="sentiment"))
    assert rows(file) == [("1", "3", "Positive"), ("1", "4", "Angry + Negative"), ("2", "4", None)]
    with pytest.raises(RatingsFileError, match="one of: sentiment, text"):
        read_ratings(path)


# --- doccano --------------------------------------------------------------------------------------

DOCCANO = {
    "admin.jsonl": '{"id":1,"text":"Great phone","label":["pos"]}\n{"id":2,"text":"Meh","label":[]}\n',
    "gina.jsonl": '{"id":1,"text":"Great phone","label":["neg"]}\n{"id":2,"text":"Meh","label":["pos","neg"]}\n',
}
DOCCANO_ROWS = [("1", "admin", "pos"), ("2", "admin", None), ("1", "gina", "neg"), ("2", "gina", "neg + pos")]


def test_doccano_zip_and_folder_have_one_file_per_user(tmp_path):
    folder = tmp_path / "export"
    folder.mkdir()
    with zipfile.ZipFile(tmp_path / "export.zip", "w") as archive:
        for name, text in DOCCANO.items():
            (folder / name).write_text(text)
            archive.writestr(name, text)
    for source in (folder, tmp_path / "export.zip"):
        file = read_ratings(str(source))
        assert file.format == "doccano"
        assert rows(file) == DOCCANO_ROWS


def test_doccano_single_files_new_and_old(tmp_path):
    one = read_ratings(write(tmp_path, "gina.jsonl", DOCCANO["gina.jsonl"]))
    assert one.format == "doccano"
    assert rows(one) == [("1", "gina", "neg"), ("2", "gina", "neg + pos")]
    old = {"id": 5, "text": "x", "annotations": [{"label": 3, "user": 1}, {"label": 4, "user": 2}], "meta": {}}
    file = read_ratings(write(tmp_path, "all.jsonl", json.dumps(old)))
    assert rows(file) == [("5", "1", "3"), ("5", "2", "4")]


def test_doccano_spans_are_refused_in_words(tmp_path):
    path = write(tmp_path, "ner.jsonl", '{"id":1,"text":"Ada in Oslo","label":[[0,3,"PER"]]}\n')
    with pytest.raises(RatingsFileError, match="line 1: its labels are spans"):
        read_ratings(path)


def test_a_zip_cannot_write_outside_its_own_folder(tmp_path):
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
        archive.writestr("../../evil.jsonl", DOCCANO["admin.jsonl"])
    file = read_ratings(str(tmp_path / "evil.zip"))
    assert rows(file) == [("1", "evil", "pos"), ("2", "evil", None)]
    assert not (tmp_path.parent / "evil.jsonl").exists()


# --- Prodigy --------------------------------------------------------------------------------------


def prodigy(who, answer, *, text="Great phone", input_hash=11, task_hash=21, **more):
    return {
        "text": text,
        "_input_hash": input_hash,
        "_task_hash": task_hash,
        "_is_binary": False,
        "_view_id": "choice",
        "answer": answer,
        "_timestamp": 1700000000,
        "_annotator_id": f"phones-{who}",
        "_session_id": f"phones-{who}",
        **more,
    }


OPTIONS = [{"id": "pos", "text": "positive"}, {"id": "neg", "text": "negative"}]


def test_prodigy_choice(tmp_path):
    records = [
        prodigy("gene", "accept", options=OPTIONS, accept=["pos"], config={"choice_style": "single"}),
        prodigy("gina", "accept", options=OPTIONS, accept=["neg"]),
        prodigy("tom", "ignore", options=OPTIONS, accept=[]),
        prodigy("ella", "reject", options=OPTIONS, accept=["pos"]),
        prodigy("sam", "accept", options=OPTIONS, accept=[], config={"choice_style": "multiple"}),
    ]
    file = read_ratings(write(tmp_path, "out.jsonl", "\n".join(map(json.dumps, records))))
    assert file.format == "prodigy"
    assert [r[1:] for r in rows(file)] == [
        ("phones-gene", "pos"),
        ("phones-gina", "neg"),
        ("phones-tom", None),
        ("phones-ella", None),
        ("phones-sam", "(none)"),
    ]
    assert {r[0] for r in rows(file)} == {"11"}
    assert any("Rejected choice" in note for note in file.notes)


def test_prodigy_yes_or_no_about_one_label(tmp_path):
    records = [
        prodigy("gene", "accept", label="SPAM", task_hash=31),
        prodigy("gina", "reject", label="SPAM", task_hash=31),
        prodigy("gene", "accept", label="AD", task_hash=32),
    ]
    file = read_ratings(write(tmp_path, "out.jsonl", "\n".join(map(json.dumps, records))))
    assert rows(file) == [
        ("31", "phones-gene", "accept"),
        ("31", "phones-gina", "reject"),
        ("32", "phones-gene", "accept"),
    ]


def test_prodigy_without_named_sessions_says_what_to_do(tmp_path):
    record = prodigy("x", "accept", options=OPTIONS, accept=["pos"])
    del record["_annotator_id"], record["_session_id"]
    with pytest.raises(RatingsFileError, match=r"\?session=name"):
        read_ratings(write(tmp_path, "out.jsonl", json.dumps(record)))


# --- Potato ---------------------------------------------------------------------------------------


def test_potato_one_folder_per_user_both_generations(tmp_path):
    one = tmp_path / "annotation_output"
    for user, label in (("gene", "neutral"), ("gina", "positive")):
        (one / user).mkdir(parents=True)
        line = {
            "id": "item_2",
            "displayed_text": "Numquam",
            "label_annotations": {"sentiment": {label: "true"}},
            "span_annotations": {},
            "behavioral_data": {"time_string": "Time spent: 0d 0h 0m 1s "},
        }
        (one / user / "annotated_instances.jsonl").write_text(json.dumps(line) + "\n")
    file = read_ratings(str(one))
    assert file.format == "potato"
    assert rows(file) == [("item_2", "gene", "neutral"), ("item_2", "gina", "positive")]

    two = tmp_path / "v2"
    answers = {
        "alice": {
            "i1": [[{"schema": "sentiment", "name": "positive"}, True]],
            "i2": [[{"schema": "stars", "name": "slider"}, "4"]],
        },
        "bob": {"i1": {"sentiment": {"negative": "true", "positive": "false"}}},
        "carl": {"i1": {"sentiment": {"labels": {"positive": True}}}},
    }
    for user, items in answers.items():
        (two / user).mkdir(parents=True)
        state = {"user_id": user, "instance_id_to_label_to_value": items, "instance_id_to_span_to_value": {}}
        (two / user / "user_state.json").write_text(json.dumps(state, indent=2))
        (two / user / "annotation_history.jsonl").write_text('{"action": "add_label"}\n')
    file = read_ratings(str(two), columns=Columns(label="sentiment"))
    assert rows(file) == [
        ("i1", "alice", "positive"),
        ("i2", "alice", None),
        ("i1", "bob", "negative"),
        ("i1", "carl", "positive"),
    ]
    file = read_ratings(str(two), columns=Columns(label="stars"))
    assert ("i2", "alice", "4") in rows(file)


def test_potato_jsonl_export_and_a_file_that_does_not_say_who(tmp_path):
    line = {
        "instance_id": "i1",
        "user_id": "gene",
        "labels": {"sentiment": {"positive": "true"}},
        "spans": {},
        "links": {},
    }
    file = read_ratings(write(tmp_path, "annotations.jsonl", json.dumps(line)))
    assert file.format == "potato"
    assert rows(file) == [("i1", "gene", "positive")]
    orphan = write(tmp_path, "annotated_instances.jsonl", '{"id": "0", "annotation": {"Frame": ["Hero"]}}\n')
    with pytest.raises(RatingsFileError, match="give the folder that holds one folder per user"):
        read_ratings(orphan)


# --- whatever a file may hold ---------------------------------------------------------------------


def test_blank_lines_before_the_header_and_line_ends_of_old_macs(tmp_path):
    assert rows(read_ratings(write(tmp_path, "a.csv", f"\n\n{PHONES}\n\n")))[0] == ("007", "gene", "1")
    (tmp_path / "b.csv").write_bytes(PHONES.replace("\n", "\r").encode())
    assert rows(read_ratings(str(tmp_path / "b.csv"))) == rows(read_ratings(write(tmp_path, "c.csv", PHONES)))


@pytest.mark.parametrize("separator", [";", "\t"])
def test_a_csv_as_spreadsheets_save_it(tmp_path, separator):
    """Whatever its name says, the separator the header has most of counts."""
    file = read_ratings(write(tmp_path, "a.csv", PHONES.replace(",", separator)))
    assert rows(file) == rows(read_ratings(write(tmp_path, "b.csv", PHONES)))


def test_a_json_list_of_long_records_is_long_form(tmp_path):
    records = [{"item_id": 1, "rater_id": "r", "label": True}, {"item_id": 1, "rater_id": "s", "label": None}]
    file = read_ratings(write(tmp_path, "x.json", json.dumps(records, indent=2)))
    assert file.format == "jsonl"
    assert rows(file) == [("1", "r", "true"), ("1", "s", None)]
    listed = read_ratings(write(tmp_path, "p.json", json.dumps([prodigy("gene", "accept", label="SPAM")])))
    assert listed.format == "prodigy"
    with pytest.raises(RatingsFileError, match="entry 2 of the list is no object"):
        read_ratings(write(tmp_path, "y.json", json.dumps([records[0], 3])))
    with pytest.raises(RatingsFileError, match="it has no columns at all"):
        read_ratings(write(tmp_path, "z.json", "{}"))


def test_label_studio_one_question_answered_for_several_regions(tmp_path):
    task = {"id": 1, "data": {}, "annotations": [annotation(1, 1, choice("tag", "cat"), choice("tag", "dog"))]}
    file = read_ratings(write(tmp_path, "p.json", json.dumps([task])))
    assert rows(file) == [("1", "1", "cat + dog")]
    assert any("several regions" in note for note in file.notes)


JUNK = [None, 3, True, "", [], {}, "x", [1, [2]], {"a": {"b": 1}}, [None]]
EXPORTS = {
    "labelstudio": (LABEL_STUDIO, Columns(label="sentiment")),
    "doccano": ([json.loads(line) for text in DOCCANO.values() for line in text.splitlines()], Columns()),
    "prodigy": ([prodigy("gene", "accept", options=OPTIONS, accept=["pos"]), prodigy("gina", "accept", label="SPAM")], Columns()),
    "potato": ([{"instance_id": "i1", "user_id": "gene", "labels": {"sentiment": {"positive": "true"}}}], Columns()),
    "jsonl": ([{"item_id": 1, "rater_id": "r", "label": "x", "gold": "x"}], Columns()),
}  # fmt: skip


def places(value, path=()):
    yield path
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield from places(value[key], (*path, key))


def with_junk(value, path, junk):
    if not path:
        return junk
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = with_junk(copy[path[0]], path[1:], junk)
    return copy


@pytest.mark.parametrize("name", EXPORTS)
def test_anything_anywhere_is_read_or_refused_in_one_line_never_a_crash(tmp_path, name):
    good, columns = EXPORTS[name]
    refused = 0
    for path in places(good):
        for junk in JUNK:
            spoiled = with_junk(good, path, junk)
            is_lines = name != "labelstudio" and isinstance(spoiled, list)
            text = "\n".join(map(json.dumps, spoiled)) if is_lines else json.dumps(spoiled)
            try:
                read_ratings(write(tmp_path, "x.json", text), format=name, columns=columns)
            except RatingsFileError as error:
                refused += 1
                assert "\n" not in str(error)
    assert refused > 10
