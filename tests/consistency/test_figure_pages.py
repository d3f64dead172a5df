"""The pages of figures: what they say where there is nothing to say, to whom, how fresh, and at what cost."""

from __future__ import annotations

import csv
import io
import math
import re
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from consistency.measuring import figures_for, measure_batch, measure_now
from consistency.models import AgreementEstimate, AgreementRun
from consistency.queries.figures import figures_of
from labeling.exclusions import set_aside
from labeling.models import Batch, Job, Membership
from labeling.refusals import NotAllowed, Refusal
from tests.consistency.stories import Told, predict, tell
from tests.worlds import World, make_user, run_jobs

pytestmark = pytest.mark.django_db


def get(world: World, who: str, path: str) -> str:
    client = Client()
    client.force_login(world.people[who])
    answer = client.get(f"/projects/{world.project.slug}/{path}")
    assert answer.status_code == 200, path
    return plain(answer.content.decode())


def plain(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html.replace("\u00a0", " ")))


def pages(world: World, batch: Batch, who: str = "olga") -> dict[str, str]:
    """Every page with figures, once they are measured."""
    measure_now(batch)
    return {
        "figures": get(world, who, f"batches/{batch.uuid}/figures/"),
        "hlp": get(world, who, f"hlp/?batch={batch.uuid}"),
        "overview": get(world, who, ""),
        "batch": get(world, who, f"batches/{batch.uuid}/"),
    }


def no_nonsense(texts: dict[str, str]) -> None:
    for name, text in texts.items():
        assert not re.search(r"\b(nan|None|inf)\b", text), name
        assert "this was not measured" not in text.lower(), name


# ------------------------------------------------------------------------------------------------ undefined cases


def test_an_empty_batch(world: World) -> None:
    texts = pages(world, world.open_batch())
    no_nonsense(texts)
    assert "No labels to compare yet" in texts["figures"]
    assert "No labels to compare yet" in texts["hlp"]
    assert "“First look” is 0 % done; nobody answered in the last days." in texts["overview"]
    assert "No labels yet" in texts["batch"]


def test_no_batch_at_all(world: World) -> None:
    assert "No labels to measure yet" in get(world, "mel", "hlp/")
    assert "From items to labels" in get(world, "olga", "")


def test_a_draft_has_no_figures(world: World) -> None:
    from labeling import dispatch

    batch = dispatch.create_batch(
        by=world.seat("olga"), name="Later", guideline_version=world.version, quotas={"generalist": 2}
    )
    assert "Nothing is labeled yet" in get(world, "olga", f"batches/{batch.uuid}/figures/")


def test_one_rater(world: World) -> None:
    batch = world.open_batch()
    world.say(batch, "gene", {f"n{i}": "defect" for i in range(1, 6)})
    texts = pages(world, batch)
    no_nonsense(texts)
    for name in ("figures", "hlp", "batch"):
        assert "only one rater: agreement needs at least two" in texts[name].lower(), name
    assert "cannot be measured yet" in texts["overview"]


def test_one_category(world: World) -> None:
    batch = world.open_batch()
    for who in ("gene", "gina"):
        world.say(batch, who, {f"n{i}": "defect" for i in range(1, 6)})
    texts = pages(world, batch)
    no_nonsense(texts)
    assert "every rating is the same category" in texts["figures"].lower()
    found = figures_of(measure_now(batch)[0])
    assert found.get("percent_agreement", cohort="generalist").value == 1.0
    assert found.get("gwet_ac", cohort="generalist").value == 1.0


def test_nobody_could_label_anything(world: World) -> None:
    batch = world.open_batch()
    for who in ("gene", "gina"):
        world.say(batch, who, {f"n{i}": None for i in range(1, 6)})
    texts = pages(world, batch)
    no_nonsense(texts)
    found = figures_of(measure_now(batch)[0])
    assert found.get("cannot_label_rate", cohort="generalist").value == 1.0
    assert found.get("krippendorff_alpha", cohort="generalist").undefined == "there are no ratings"
    assert found.run.findings["left_out"]["cannot_label"] == 10


def test_no_gold_and_one_cohort(world: World) -> None:
    batch = world.open_batch()
    world.say(batch, "gene", {f"n{i}": "defect" for i in range(1, 6)})
    world.say(batch, "gina", {f"n{i}": "defect" if i < 4 else "no_defect" for i in range(1, 6)})
    texts = pages(world, batch)
    no_nonsense(texts)
    assert "No gold under this definition" in texts["hlp"]
    assert "Between cohorts" not in texts["figures"]
    assert "All raters together" not in texts["figures"]


def test_a_cohort_that_never_comes(world: World) -> None:
    batch = world.open_batch(quotas={"generalist": 2, "expert": 2})
    for who in ("gene", "gina"):
        world.say(batch, who, {f"n{i}": "defect" if i < 4 else "no_defect" for i in range(1, 6)})
    texts = pages(world, batch)
    no_nonsense(texts)
    assert "Generalists agree on 100.0 %" in texts["figures"]
    assert "Experts are the ones to wait for: 10 places" in texts["overview"]
    assert "no answers lately" in texts["overview"]


# ------------------------------------------------------------------------------------------------ cohorts and versions


def two_cohorts(world: World) -> Batch:
    batch = world.open_batch(quotas={"generalist": 2, "expert": 1, "target_user": 1})
    for who, wrong in (("gene", ()), ("gina", ("n1",)), ("ella", ("n2",)), ("tom", ("n1", "n2"))):
        world.say(batch, who, {f"n{i}": "no_defect" if f"n{i}" in wrong else "defect" for i in range(1, 6)})
    return batch


def test_nothing_is_pooled_over_cohorts_unless_asked(world: World) -> None:
    batch = two_cohorts(world)
    apart, _ = measure_now(batch)
    assert not AgreementEstimate.objects.filter(run=apart, scope="batch").exists()
    assert {key["cohort"] for key in figures_of(apart).keys("cohort", "krippendorff_alpha")} == {
        "generalist", "expert", "target_user",
    }  # fmt: skip
    together, _ = measure_now(batch, pooled=True)
    assert together.pk != apart.pk
    pooled = figures_of(together).get("krippendorff_alpha", "batch")
    assert pooled.n_raters == 4
    text = get(world, "olga", f"batches/{batch.uuid}/figures/?pooled=1")
    assert "All raters agree on" in text


def test_a_relabel_batch_is_measured_by_role_only(world: World) -> None:
    batch = world.open_batch(kind="relabel")
    batch.batch_items.filter(rank__lt=2).update(role="affected")
    batch.batch_items.filter(rank__gte=2).update(role="fresh")
    for who in ("gene", "gina"):
        world.say(batch, who, {f"n{i}": "defect" if i % 2 else "no_defect" for i in range(1, 6)})
    run, hlp = measure_now(batch)
    assert not AgreementEstimate.objects.filter(run__in=(run, hlp), scope__in=("batch", "cohort")).exists()
    roles = {key["role"] for key in figures_of(run).keys("role", "krippendorff_alpha")}
    assert roles == {"affected", "fresh"}
    texts = pages(world, batch)
    assert "their figure rises by itself" in texts["figures"]
    # The overview names each cohort once, and never by the items chosen because they disagreed.
    assert "generalists on fresh items" in texts["overview"] or "cannot be measured yet" in texts["overview"]
    assert "α, generalists, fresh" in texts["overview"]
    assert "α, generalists, affected" not in texts["overview"]


def test_labels_of_two_definitions_are_not_read_together_by_accident(world: World) -> None:
    from consistency.queries.ratings import read_ratings
    from tests.worlds import publish_plainly

    first = world.open_batch("One")
    second = world.open_batch("Two", version=publish_plainly(world.project, number=2))
    for batch in (first, second):
        world.say(batch, "gene", {f"n{i}": "defect" for i in range(1, 6)})
    with pytest.raises(Refusal) as refused:
        read_ratings([first, second])
    assert refused.value.code == "versions_differ"
    assert read_ratings([first, second], across_versions=True).table.n_ratings == 5  # the second is a repeat
    assert read_ratings([first]).table.n_ratings == 5


# ------------------------------------------------------------------------------------------------ fresh, cached, once


def test_the_same_labels_are_the_same_row_and_new_ones_a_new_row(world: World) -> None:
    batch = world.open_batch()
    world.say(batch, "gene", {f"n{i}": "defect" for i in range(1, 6)})
    first, _ = measure_now(batch)
    again, _ = measure_now(batch)
    assert again.pk == first.pk
    world.say(batch, "gina", {f"n{i}": "defect" for i in range(1, 6)})
    newer, _ = measure_now(batch)
    assert newer.pk != first.pk
    assert AgreementRun.objects.filter(kind="agreement").count() == 1  # the replaced one is gone


def test_a_changed_answer_is_seen_though_the_number_of_places_is_the_same(world: World) -> None:
    import uuid

    from labeling.submission import Answer, submit_annotation, undo_last

    batch = world.open_batch()
    for who in ("gene", "gina"):
        world.say(batch, who, {f"n{i}": "defect" for i in range(1, 6)})
    first, _ = measure_now(batch)
    place = undo_last(by=world.people["gina"], batch=batch).place
    submit_annotation(
        by=world.people["gina"], batch=batch, assignment=place.uuid, token=place.claim_token,
        answer=Answer(value="no_defect"), revises=True, idempotency_key=uuid.uuid4().hex,
    )  # fmt: skip
    second, _ = measure_now(batch)
    assert second.pk != first.pk
    assert figures_of(second).get("percent_agreement", cohort="generalist").value == pytest.approx(0.8)


def test_figures_are_at_most_a_minute_old(world: World) -> None:
    batch = world.open_batch()
    world.say(batch, "gene", {f"n{i}": "defect" for i in range(1, 6)})
    now = timezone.now()
    run, _ = measure_now(batch, now=now)
    assert figures_for(by=world.seat("olga"), batch=batch, now=now + timedelta(seconds=59)) == (run, None)
    old, job = figures_for(by=world.seat("olga"), batch=batch, now=now + timedelta(seconds=61))
    assert old == run
    assert job is not None
    assert job.kind == "measure_batch"
    run_jobs()
    run.refresh_from_db()
    assert run.checked_at > now
    text = get(world, "olga", f"batches/{batch.uuid}/figures/?part=age&run={run.uuid}")
    assert re.search(r"figures \d+ s old", text)


def test_while_first_measured_the_overview_says_so_and_not_that_people_are_missing(world: World) -> None:
    batch = two_cohorts(world)
    text = get(world, "olga", "")
    assert "The newest batch is being measured; its figures appear here in a moment." in text
    assert text.count("Being measured.") == 2
    assert "Two people of a cohort need" not in text
    assert "Two raters need" not in text
    client = Client()
    client.force_login(world.people["olga"])
    assert 'hx-trigger="every 3s"' in client.get("/projects/phones/").content.decode()
    run_jobs()
    text = get(world, "olga", "")
    assert "eing measured" not in text
    assert "Under v1 agreement (α) is" in text
    assert 'hx-trigger="every 3s"' not in client.get("/projects/phones/").content.decode()
    # Where nobody shares items the reason is that, once it was measured.
    Batch.objects.filter(pk=batch.pk).update(status="closed")
    world.open_batch("Alone", quotas={"generalist": 1})
    run_jobs()
    AgreementRun.objects.all().delete()
    get(world, "olga", "")
    run_jobs()
    assert "eing measured" not in get(world, "olga", "")


def test_asking_twice_is_one_job(world: World) -> None:
    batch = world.open_batch()
    first = measure_batch(by=world.seat("olga"), batch=batch)
    assert measure_batch(by=world.seat("mel"), batch=batch).pk == first.pk
    assert Job.objects.filter(kind="measure_batch").count() == 1
    with pytest.raises(NotAllowed):
        measure_batch(by=world.seat("gene"), batch=batch)


def test_newer_figures_load_the_page_again(world: World) -> None:
    batch = two_cohorts(world)
    run, _ = measure_now(batch)
    client = Client()
    client.force_login(world.people["olga"])
    url = f"/projects/phones/batches/{batch.uuid}/figures/?part=age&run="
    assert "HX-Refresh" not in client.get(url + str(run.uuid))
    assert client.get(url + "older")["HX-Refresh"] == "true"


NUMBERS = {
    "progress": ("done", "total", "left", "answers_a_day"),
    "cost": ("cost_per_label", "pairs_agree", "cost_per_agreed_label", "usual_seconds"),
    "agreement": ("value", "low", "high", "items", "raters", "ratings"),
    "hlp": ("value", "low", "high", "items", "raters", "ratings"),
    "waiting": ("cases",),
    "pairs": ("items", "percent_agreement", "low", "high", "cohen_kappa"),
    "raters": ("labels", "coverage", "usual_seconds", "agreement_with_others", "against_gold", "self_agreement"),
    "confusion": ("pairs",),
}


def test_the_overviews_files_hold_plain_numbers(world: World) -> None:
    batch = two_cohorts(world)
    for name in ("gene", "gina", "ella"):
        Membership.objects.filter(user=world.people[name]).update(cost_per_label="0.05")
    measure_now(batch)
    client = Client()
    client.force_login(world.people["olga"])
    filled = set()
    for table, columns in NUMBERS.items():
        text = client.get(f"/projects/{world.project.slug}/overview/{table}.csv").content.decode()
        for row in csv.DictReader(io.StringIO(text)):
            for column in columns:
                if row[column]:
                    assert math.isfinite(float(row[column])), (table, column, row[column])
                    filled.add((table, column))
            assert "'" not in row.values(), "an empty cell is empty"
    assert filled >= {("cost", "cost_per_label"), ("cost", "pairs_agree"), ("raters", "coverage"), ("raters", "agreement_with_others"), ("pairs", "percent_agreement")}  # fmt: skip


# ------------------------------------------------------------------------------------------------ who sees what


def test_names_are_for_the_owner_and_a_rater_sees_only_their_own(world: World) -> None:
    from labeling import dispatch

    batch = two_cohorts(world)
    texts = pages(world, batch)
    assert "Gina Roth" in texts["figures"]
    assert "Gina Roth" in texts["overview"]
    for who in ("sam", "mel"):
        texts = pages(world, batch, who)
        assert not any(name in text for text in texts.values() for name in ("Gina", "Gene Ralston", "Ella Expert"))
        assert "Expert 1" in texts["overview"]
    file = get(world, "mel", f"batches/{batch.uuid}/figures/agreement.csv")
    assert "Gina" not in file
    assert "rater-" in file
    client = Client()
    client.force_login(world.people["gina"])
    mine = f"/batches/{batch.uuid}/answers/"
    from django.urls import reverse

    mine = reverse("labeling:my_answers", args=[batch.uuid])
    assert "Your figures" not in client.get(mine).content.decode()  # others may still answer
    dispatch.close_batch(by=world.seat("olga"), batch=batch)
    run_jobs()
    text = plain(client.get(mine).content.decode())
    assert "Your figures" in text
    assert "80.0 %" in text
    assert "Gene" not in text.replace("Generalist", "")


def test_set_aside_is_said_on_every_page(world: World) -> None:
    batch = two_cohorts(world)
    set_aside(by=world.seat("olga"), member=world.member("tom"), reason="Left early.")
    texts = pages(world, batch)
    assert "Labels set aside 5 given by 1 rater set aside by the owner" in texts["figures"]
    assert "5 labels set aside" in texts["hlp"]
    assert "5 labels are left out" in texts["batch"]


def test_a_rater_in_a_hurry_is_hinted_at_kindly(world: World) -> None:
    from labeling.submission import Answer

    world.add_items(35)
    batch = world.open_batch(quotas={"generalist": 2})
    slow = {item.external_id: Answer(value="defect", seconds=9.0) for item in world.items}
    quick = {
        item.external_id: Answer(value="defect", seconds=1.0 if n % 3 else 9.0) for n, item in enumerate(world.items)
    }
    world.say(batch, "gene", slow)
    world.say(batch, "gina", quick)
    text = pages(world, batch)["overview"]
    assert "65 % of the answers in under 3.0 s" in text
    assert "1 rater answers many items very quickly: worth a friendly question." in text
    assert "The items may be easy; a question costs nothing." in text


# ------------------------------------------------------------------------------------------------ cost


def queries_of(client: Client, path: str) -> int:
    with CaptureQueriesContext(
        connection,
    ) as queries:
        assert client.get(path).status_code == 200
    return len(queries)


def test_queries_do_not_grow_with_items_and_raters(tmp_path: Path) -> None:
    counts = []
    for items, raters in ((10, 3), (1000, 12)):
        told = [
            Told(
                gold="a", said={f"r{g}": "a" if (n + g) % 5 else "b" for g in range(raters)}, metadata={"k": str(n % 2)}
            )
            for n in range(items)
        ]
        story = tell(tmp_path, told, slug=f"s{items}")
        predict(tmp_path, story, ["a"] * items)
        story.figures()
        client = Client()
        client.force_login(story.seat().user)
        base = f"/projects/{story.project.slug}/"
        counts.append(
            [
                queries_of(client, base + path)
                for path in (
                    f"batches/{story.batch.uuid}/figures/",
                    f"hlp/?batch={story.batch.uuid}",
                    "",
                    f"batches/{story.batch.uuid}/",
                )
            ]
        )
    assert counts[0] == counts[1]
    assert max(counts[1]) < 45, counts


def test_a_model_is_never_a_rater(tmp_path: Path) -> None:
    told = [Told(said={"x": "a", "y": "a" if n % 2 else "b"}) for n in range(20)]
    story = tell(tmp_path, told)
    predict(tmp_path, story, ["a"] * 20)
    agreement, _ = story.figures()
    assert agreement.get("percent_agreement", cohort="generalist").n_raters == 2
    assert Membership.objects.filter(project=story.project, imported_id="net").count() == 0


def test_two_origins_of_gold_are_two_figures(world: World) -> None:
    from labeling.models import Gold

    batch = two_cohorts(world)
    now = timezone.now()
    for n, item in enumerate(world.items):
        Gold.objects.create(item=item, value="defect", origin="external", at=now)
        Gold.objects.create(
            item=item, guideline_version=world.version, value="no_defect" if n else "defect", origin="feedback", at=now
        )
    found = figures_of(measure_now(batch)[1])
    assert found.get("against_gold", cohort="generalist", origin="external").value == pytest.approx(9 / 10)
    assert found.get("against_gold", cohort="generalist", origin="feedback").value == pytest.approx(1 / 10)
    Gold.objects.create(item=world.items[2], value="no_defect", origin="external", at=now)  # the newest is in force
    found = figures_of(measure_now(batch)[1])
    assert found.get("against_gold", cohort="generalist", origin="external").value == pytest.approx(7 / 10)


def test_rulings_are_a_reference_on_the_audit_sample_only(world: World) -> None:
    from labeling.models import Gold

    batch = two_cohorts(world)
    batch.batch_items.update(audit=False)
    batch.batch_items.filter(rank__lt=2).update(audit=True)
    sam = world.member("sam")
    for item in world.items[:4]:
        Gold.objects.create(
            item=item,
            guideline_version=world.version,
            value="defect",
            origin="adjudicated",
            author=sam,
            at=timezone.now(),
        )
    run = measure_now(batch)[1]
    found = figures_of(run)
    assert found.get("against_gold", cohort="generalist", origin="adjudicated").n_items == 2
    rulings = found.get("against_rulings", cohort="generalist", origin="adjudicated")
    assert rulings.n_items == 4
    assert "this is no HLP" in rulings.notes[-1]
    assert run.findings["audit"] == {"ruled": 2, "items": 2}
    text = pages(world, batch)["hlp"]
    assert "2 rulings outside it are no reference" in text


def test_a_member_who_changed_cohort_is_one_rater_in_each(world: World) -> None:
    from consistency.queries.ratings import read_ratings

    batch = world.open_batch(quotas={"generalist": 1, "expert": 1})
    make_user("unused")
    world.say(batch, "gene", {"n1": "defect", "n2": "defect"})
    Membership.objects.filter(pk=world.member("ella").pk).update(cohort="expert")
    world.say(batch, "ella", {f"n{i}": "defect" for i in range(1, 6)})
    reading = read_ratings([batch])
    assert set(reading.cohort_of.values()) == {"generalist", "expert"}
    assert reading.cohort("expert").table.n_ratings == 5
