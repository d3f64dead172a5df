"""The HTML report: self-contained, the same numbers as the JSON, nothing to run and nothing to fetch."""

from __future__ import annotations

import io
import json
import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest
from django.core.management import call_command

from consistency.offline.drawing import axis_for, heat_step, interval_mark, vote_bar
from consistency.offline.measuring import Options, measure
from consistency.offline.page import agreement_page
from consistency.offline.reading import load
from consistency.statistics.estimate import Estimate
from labeling.formats.ratings import Columns

from . import phones

AXE = Path(__file__).resolve().parents[1] / "browser" / "vendor" / "axe.min.js"


class Page(HTMLParser):
    """Tags and attributes of a page, and its text outside the styles."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.text, self.hidden = [], [], 0
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.hidden += tag in ("style", "title")

    def handle_endtag(self, tag):
        self.hidden -= tag in ("style", "title")

    def handle_data(self, data):
        if not self.hidden:
            self.text.append(data)

    @property
    def words(self):
        return " ".join(" ".join(self.text).replace("\u00a0", " ").split())


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    path = tmp_path_factory.mktemp("study") / "phones.csv"
    path.write_text(phones.as_csv())
    return path


@pytest.fixture(scope="module")
def written(study):
    out = study.parent / "report.html"
    stdout = io.StringIO()
    call_command("agreement", str(study), "--pairs", "--json", "--html", str(out), stdout=stdout, stderr=io.StringIO())
    return out.read_text(), json.loads(stdout.getvalue())


def test_it_is_self_contained(written):
    html, _ = written
    page = Page(html)
    for tag, attributes in page.tags:
        assert tag not in ("script", "link", "img", "iframe", "object")
        assert "style" not in attributes, "no style attribute: the page has a strict policy"
        assert not any(name.startswith("on") for name in attributes)
        assert "src" not in attributes
        assert "href" not in attributes
    assert "url(" not in html
    assert "@import" not in html
    assert re.search(r"style-src 'sha256-[A-Za-z0-9+/=]{44}'", html)
    assert len(html) < 150_000


def test_it_holds_the_numbers_of_the_json(written):
    html, found = written
    words = Page(html).words
    for name in ("krippendorff_alpha", "fleiss_kappa", "gwet_ac", "light_kappa"):
        one = found["coefficients"][name]
        shown = f"{one['value']:.2f} [{one['low']:.2f}, {one['high']:.2f}] {one['se_items']:.3f} {one['se_raters']:.3f}"
        assert shown.replace("-", "−") in words, name
    for label, one in found["per_category"].items():
        figure = one["specific_agreement"]
        assert f"{label} {100 * figure['value']:.1f} %" in words
    for kind in ("pairwise", "leave_one_out", "against_gold"):
        one = found["hlp"][kind]
        assert f"{100 * one['value']:.1f} % [{100 * one['low']:.1f}, {100 * one['high']:.1f}]" in words
    assert found["hlp"]["artefact"]["sentence"] in words
    for pair in found["cohorts"]["between"]:
        assert pair["sentence"].replace("  ", " ") in words
    assert found["worst_items"][0]["item"] in words
    assert found["file"]["sha256"][:4] in words
    for title in (
        "Look at first",
        "What not to trust",
        "Agreement by label",
        "Rater pairs",
        "Worst items",
        "Self-agreement",
    ):
        assert title in words


def test_every_class_of_a_mark_has_its_style(written):
    """A class renamed in the style sheet would leave a mark black, or a bar without colour, and nobody would notice."""
    html, _ = written
    style = html.split("<style>")[1].split("</style>")[0]
    used = {name for _, given in Page(html).tags for name in (given.get("class") or "").split()}
    marks = {name for name in used if name.startswith(("s-", "f-", "chip", "heat", "sh", "banner", "report", "plot"))}
    assert {"chip-target_user", "f-expert", "heat-3", "sh1", "sh1-t"} <= marks
    assert {name for name in marks if f".{name}" not in style} == set()


def test_every_chart_has_a_sentence_and_its_table(written):
    html, _ = written
    for section in re.findall(r"<section aria-labelledby.*?</section>", html, flags=re.DOTALL):
        assert '<p class="says' in section
        assert "<table" in section


def test_dark_follows_the_system_on_screen_only(written):
    html, _ = written
    assert "@media screen and (prefers-color-scheme: dark) { :root {" in html
    dark = html.split("prefers-color-scheme: dark")[1]
    assert "--bg:" in dark
    assert "--ink:" in dark


def test_names_from_the_file_cannot_become_markup(tmp_path):
    evil = "<script>alert(1)</script>"
    path = tmp_path / "x.csv"
    rows = "".join(f'"i{i}{evil}","r{g}{evil}","{evil}{(i + g) % 2}"\n' for i in range(6) for g in range(3))
    path.write_text("item_id,rater_id,label\n" + rows)
    html = agreement_page(measure(load(str(path), columns=Columns()), Options(), with_pairs=True), command=evil)
    assert "<script" not in html
    assert "&lt;script&gt;alert(1)" in html


@pytest.mark.parametrize(
    "text",
    [
        "item_id,rater_id,label\na,r,x\n",
        "item_id,rater_id,label\na,r,x\na,s,x\n",
        "item_id,rater_id,label\na,r,1\na,s,2\nb,r,3\nb,s,3\n",
    ],
)
def test_the_smallest_files_have_a_page_too(tmp_path, text):
    path = tmp_path / "x.csv"
    path.write_text(text)
    now = datetime(2026, 10, 12, 16, 20, tzinfo=UTC)
    page = Page(agreement_page(measure(load(str(path), columns=Columns()), Options(), with_pairs=True), now=now))
    assert "12 October 2026, 16:20 UTC" in page.words
    assert "None" not in page.words
    assert "nan" not in page.words.lower().split()


def test_geometry():
    axis = axis_for([Estimate(0.5, 0.25, 0.75), Estimate(-0.1, -0.3, 0.1)])
    assert (axis.low, axis.high) == (-0.5, 1.0)
    mark = interval_mark(axis, Estimate(0.5, 0.25, 0.75), cohort="expert")
    assert mark.low < mark.x < mark.high
    assert (mark.shape, mark.tone) == ("diamond", "expert")
    assert interval_mark(axis, Estimate.missing("no item")) is None
    bar = vote_bar([("yes", 3), ("no", 1)], 200)
    assert [part.shade for part in bar] == [1, 2]
    assert bar[0].width == pytest.approx(149)
    assert bar[1].x == pytest.approx(150)
    assert [heat_step(v) for v in (-0.5, 0.0, 0.2, 0.79, 0.8, 1.0, float("nan"))] == [1, 1, 2, 4, 5, 5, 0]


@pytest.mark.browser
def test_in_a_browser_nothing_is_fetched_nothing_complains_and_it_prints(written, study, browser):
    path = study.parent / "report.html"
    for scheme, width in (("light", 1280), ("dark", 1280), ("light", 390)):
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        said, asked = [], []
        page.on("console", lambda message, said=said: said.append(message.text))
        page.on("request", lambda request, asked=asked: asked.append(request.url))
        page.goto(path.as_uri())
        assert said == []
        assert asked == [path.as_uri()]
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        background = page.evaluate("getComputedStyle(document.querySelector('main')).backgroundColor")
        assert background == ("rgb(26, 30, 37)" if scheme == "dark" else "rgb(255, 255, 255)")
        # axe is put into the page from outside, which the page's own policy rightly refuses to any page
        context = browser.new_context(bypass_csp=True, viewport={"width": width, "height": 900}, color_scheme=scheme)
        open_page = context.new_page()
        open_page.goto(path.as_uri())
        open_page.evaluate(AXE.read_text(encoding="utf-8"))
        found = open_page.evaluate(
            "axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice']})"
        )
        assert [(one["id"], one["nodes"][0]["html"]) for one in found["violations"]] == []
        context.close()
        page.emulate_media(media="print", color_scheme="dark")
        assert page.evaluate("getComputedStyle(document.querySelector('main')).color") == "rgb(26, 32, 41)"
        page.close()
