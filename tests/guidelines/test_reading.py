"""How a definition reads: rules in words, Markdown, differences, and what the desk gets."""

from __future__ import annotations

import doctest
import importlib
import time
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from labeling import guidelines
from labeling.guidelines.fields import LabelFields
from labeling.markdown import refused_pictures, render_markdown
from labeling.queries.definitions import definitions_for_desk, version_for_desk
from labeling.queries.guideline_diff import compare, count_changes, word_diff
from labeling.wording import Threshold, word_boundary, word_rule
from tests.guidelines.test_editing import draft_in, fields_of, label_in
from tests.guidelines.test_publishing import complete
from tests.worlds import World


@pytest.mark.parametrize(
    ("attribute", "operator", "words"),
    [
        ("length of the longest mark", ">", "longer than 0.3 mm (> 0.3 mm)"),
        ("length of the longest mark", "≥", "0.3 mm or longer (≥ 0.3 mm)"),
        ("Length", "<", "shorter than 0.3 mm (< 0.3 mm)"),
        ("length", "≤", "0.3 mm or shorter (≤ 0.3 mm)"),
        ("crack width", ">", "wider than 0.3 mm (> 0.3 mm)"),
        ("tolerance", ">", "tolerance: more than 0.3 mm (> 0.3 mm)"),
        ("percentage", "≤", "percentage: 0.3 mm or less (≤ 0.3 mm)"),  # "age" inside a word is no age
    ],
)
def test_a_rule_in_words(attribute: str, operator: str, words: str) -> None:
    assert word_rule(Threshold(attribute, operator, Decimal("0.300000"), "mm")) == words


def give_rules(world: World, draft, **operators: str) -> None:
    for key, operator in operators.items():
        label = label_in(draft, key)
        rule = {
            "threshold_attribute": "length", "threshold_operator": operator, "threshold_value": "0.3",
            "threshold_unit": "mm",
        }  # fmt: skip
        guidelines.edit_label(by=world.seat("sam"), label=label, fields=fields_of(label, **rule))


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("operators", "words"),
    [
        ({"defect": ">"}, "exactly 0.3 mm is No defect"),
        ({"defect": "≥"}, "exactly 0.3 mm is Defect"),
        ({"defect": ">", "no_defect": "≤"}, "exactly 0.3 mm is No defect"),
        ({"defect": ">", "no_defect": "<"}, "exactly 0.3 mm is not Defect"),
        ({"defect": "≥", "no_defect": "≤"}, "exactly 0.3 mm is said to be Defect and No defect: one must give way"),
        ({}, ""),
    ],
)
def test_what_the_limit_itself_is(world: World, operators, words) -> None:
    draft = draft_in(world)
    give_rules(world, draft, **operators)
    labels = list(draft.labels.all())
    assert word_boundary(labels[0], labels) == words


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "[x](javascript:alert(1))",
        "[x](JaVaScRiPt&#58;alert(1))",
        "![x](data:image/svg+xml;base64,PHN2Zz4=)",
        "![x](https://elsewhere.example/a.png)",
        "![x](//elsewhere.example/a.png)",
        "<a href='x' style='position:fixed' onclick='a()'>x</a>",
        "[x](data:text/html;base64,AAAA)",
        "|a|\n|:-|\n|<iframe src=x>|",
    ],
)
def test_markdown_that_would_do_harm_does_none(text: str) -> None:
    html = render_markdown(text)
    lowered = html.lower()
    for bad in ("<script", "<img", "<iframe", '<a href="j', '<a href="d', "<a href='x'", 'style="', "<a onclick"):
        assert bad not in lowered, html


def test_markdown_that_people_write_is_kept() -> None:
    html = render_markdown(
        "# Marks\n\nLook **twice**.\n\n- scratch\n- pit\n\n|a|b|\n|-|-|\n|1|2|\n\n[x](https://a.example)"
    )
    for good in ("<h3>Marks</h3>", "<strong>twice</strong>", "<li>pit</li>", "<td>2</td>", 'href="https://a.example"'):
        assert good in html
    assert 'rel="noopener noreferrer nofollow"' in html
    assert refused_pictures("![a](https://x.example/a.png) ok") == ["https://x.example/a.png"]


def test_without_the_cleaner_raw_html_would_still_be_text() -> None:
    """Two fences stand: the parser makes no raw HTML, and the cleaner lets none through."""
    import nh3

    from labeling.markdown import ATTRIBUTES, TAGS, _parser

    assert "<script" not in _parser().render("<script>x</script>")
    assert nh3.clean("<script>x</script><p onclick=a>y</p>", tags=TAGS, attributes=ATTRIBUTES) == "<p>y</p>"


def test_words_are_compared_and_not_letters() -> None:
    before, after = word_diff("A visible scratch on the screen.", "At least one mark is longer than 0.3 mm.")
    assert before[-1] == after[-1] == ("same", ".")
    assert "".join(text for _, text in before) == "A visible scratch on the screen."
    assert "".join(text for _, text in after) == "At least one mark is longer than 0.3 mm."
    before, after = word_diff("scratches", "scratches\nand pits")
    assert after == (("same", "scratches"), ("added", "\nand pits"))
    assert word_diff("", "new") == ((), (("added", "new"),))
    assert word_diff("old", "") == ((("gone", "old"),), ())


def test_a_long_text_is_compared_in_a_moment() -> None:
    old = "\n".join(f"Paragraph {n} says something about marks and pits." for n in range(4000))
    new = old.replace("Paragraph 77 says", "Paragraph 77 tells") + "\nA last line."
    start = time.process_time()
    before, after = word_diff(old, new)
    assert time.process_time() - start < 3
    assert [text for kind, text in before if kind == "gone"] == ["says"]
    assert next(text for kind, text in after if kind == "added") == "tells"
    assert "".join(text for _, text in after) == new


@pytest.mark.django_db
def test_the_difference_between_two_versions_label_by_label(world: World) -> None:
    sam, draft = world.seat("sam"), draft_in(world)
    assert count_changes(compare(world.version, draft)) == 0
    give_rules(world, draft, defect=">")
    label = label_in(draft)
    guidelines.edit_label(
        by=sam, label=label, fields=fields_of(label, include="scratches\npits", key="flaw", name="Flaw")
    )
    guidelines.add_example(by=sam, label=label_in(draft, "flaw"), polarity="positive", item=world.items[0], note="0.36")
    guidelines.add_label(by=sam, version=draft, fields=LabelFields(name="Pit"))
    guidelines.remove_label(by=sam, label=label_in(draft, "no_defect"))
    rows = {(row.part, row.field): row for row in compare(world.version, draft)}
    assert rows["Flaw", "Name"].before == (("gone", "Defect"),), "paired through the mapping of its key"
    assert rows["Flaw", "Rule"].after == (("added", "length: longer than 0.3 mm (> 0.3 mm)"),)
    assert rows["Flaw", "Counts"].after == (("added", "scratches\npits"),)
    assert rows["Flaw", "Examples"].after == (("added", f"Example: {world.items[0].payload['text']} (0.36)\n"),)
    assert "n1" not in str(rows), "an item's id may tell what it is; raters read this"
    assert not rows["Flaw", "Definition"].changed
    assert rows["Pit", "Name"].before == ()
    assert rows["No defect", "Name"].after == ()
    assert rows["Earlier labels", ""].after == (("added", "defect reads as flaw"),)


@pytest.mark.django_db
def test_what_the_desk_gets(world: World) -> None:
    sam, draft = world.seat("sam"), draft_in(world)
    give_rules(world, draft, defect=">")
    (item,) = world.add_items(1, secret="metadata-of-the-line")
    guidelines.add_example(by=sam, label=label_in(draft), polarity="positive", item=item, note="0.36 mm")
    label = definitions_for_desk(draft)[0]
    assert label["threshold_text"] == "longer than 0.3 mm (> 0.3 mm)"
    assert label["examples"] == [{"polarity": "positive", "note": "0.36 mm", "url": "", "text": item.payload["text"]}]
    assert "metadata-of-the-line" not in str(definitions_for_desk(draft)), "metadata never reaches the desk"


@pytest.mark.django_db
def test_a_hidden_payload_field_stays_hidden_in_examples(world: World) -> None:
    world.project.payload_schema = {
        "fields": [{"name": "text", "kind": "text", "title": "Note", "shown": False}, {"name": "line", "kind": "text"}]
    }
    world.project.save()
    draft = draft_in(world)
    guidelines.add_example(by=world.seat("sam"), label=label_in(draft), polarity="positive", item=world.items[0])
    assert definitions_for_desk(draft)[0]["examples"][0]["text"] == ""


@pytest.mark.django_db
def test_a_sealed_version_is_read_once(world: World, django_assert_num_queries) -> None:
    draft = complete(world, draft_in(world))
    published = guidelines.publish_version(by=world.seat("sam"), version=draft)
    first = definitions_for_desk(published, world.project), version_for_desk(published)
    with django_assert_num_queries(0):
        assert (definitions_for_desk(published, world.project), version_for_desk(published)) == first
    assert "Look twice" in first[1]["changed_html"]
    assert first[1]["why"] == "Look twice."
    open_draft = guidelines.start_draft(by=world.seat("sam"))
    with CaptureQueriesContext(connection) as queries:
        definitions_for_desk(open_draft)
    assert len(queries) > 0, "a draft is read anew: it changes"


@pytest.mark.django_db
def test_reading_costs_the_same_for_two_labels_and_for_forty(world: World) -> None:
    draft = complete(world, draft_in(world))
    assert draft.project, "loaded, as views have it"
    with CaptureQueriesContext(connection) as few:
        definitions_for_desk(draft)
        compare(world.version, draft)
    for number in range(40):
        label = guidelines.add_label(by=world.seat("sam"), version=draft, fields=LabelFields(name=f"Label {number}"))
        guidelines.add_example(by=world.seat("sam"), label=label, polarity="positive", payload={"text": "x"})
    with CaptureQueriesContext(connection) as many:
        definitions_for_desk(draft)
        compare(world.version, draft)
    assert len(many) == len(few)


@pytest.mark.parametrize(
    "name", ["wording", "hashing", "queries.guideline_diff", "guidelines.fields", "guidelines.checks"]
)
def test_the_examples_in_the_docstrings_run(name: str) -> None:
    outcome = doctest.testmod(importlib.import_module(f"labeling.{name}"))
    assert outcome.attempted > 0
    assert outcome.failed == 0
