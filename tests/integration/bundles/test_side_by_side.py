"""Two releases are asked the same unseen questions, and the part that was changed is the one that is named."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from bench import ranking
from bench.two_releases import with_other_rules
from cli.releases import comparison as comparison_command
from contracts.errors import NotComparable
from contracts.features import FeatureSchema, FeatureSpec
from feature_store.values.values import FeatureSchemas
from release.bundle.bundle import Release, load_bundle, measured_from
from release.bundle.open_bundle import OpenBundle
from release.evaluation.cases import WARM
from release.evaluation.comparison import compare
from release.evaluation.summary import Bootstrap
from release.side_by_side.answers import Asker, headline_values
from release.side_by_side.figures import figures_of, side_by_side
from release.side_by_side.part_effects import PartTrial
from release.side_by_side.parts import FEATURES, INDEX, RANKER, swap
from release.side_by_side.questions import shared_questions
from tests.promotion_worlds import exclude_only_what_was_bought, variant
from tests.release_worlds import CHECKOUT

BOOTSTRAP = Bootstrap(100, 7)


def silent(_step: str) -> None:
    pass


def compared(a: Path, b: Path, *, parts: bool = True) -> dict:
    return figures_of(side_by_side(OpenBundle(a), OpenBundle(b), BOOTSTRAP, silent, parts=parts), BOOTSTRAP)


@pytest.fixture
def other_rules(bundle: Path, tmp_path: Path) -> Path:
    """The same release with slates that are more mixed."""
    return with_other_rules(bundle, tmp_path / "rules", 7)


@pytest.fixture
def slate(home: object, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Runs `slate compare`."""
    monkeypatch.chdir(CHECKOUT)
    app = typer.Typer()
    comparison_command.add_to(app)
    return lambda *words: CliRunner().invoke(app, list(words))


def test_the_one_part_that_was_changed_makes_the_whole_difference(bundle: Path, other_rules: Path) -> None:
    figures = compared(bundle, other_rules)
    (part,) = figures["parts"]
    assert part["part"] == "request.relevance_weight"
    for group, of_group in figures["groups"].items():
        whole = of_group["metrics"]["ndcg_at_10"]["difference"]
        assert part["into_a"][group] == part["out_of_b"][group] == pytest.approx(whole, abs=1e-6)
    whole = figures["groups"][WARM]["metrics"]["ndcg_at_10"]["difference"]
    assert whole != 0
    assert f"by {abs(whole):.3f}; what B gains comes from request.relevance_weight" in figures["verdict"]


def test_of_two_parts_one_put_in_and_the_other_taken_out_add_up_to_the_difference(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ranking.SHAPES, "heavy", (5, 63))
    opened = OpenBundle(bundle)
    a = opened.load_measured()
    assert a.manifest is not None
    artefacts = {"measured": {**a.manifest.artefacts["measured"], "ranking": "77c0de"}}
    b = replace(
        a.with_rules(quotas={name: min(quota, 2) for name, quota in a.request.quotas.items()}),
        ranker=ranking.heavy_ranker(a.ranker.feature_names, a.ranker.built_with),
        manifest=replace(a.manifest, artefacts=artefacts),
    )
    asker = Asker.of(shared_questions(opened, opened), a)
    of_a, of_b = (headline_values(asker.ask(one, "one"), "ndcg_at_10") for one in (a, b))
    trial = PartTrial(asker, a, b, of_a, of_b, "ndcg_at_10")
    quotas, ranker = trial.effects(BOOTSTRAP, silent)
    assert (quotas.part, ranker.part) == ("request.quotas", "ranker")
    for group in of_a:
        whole = (of_b[group] - of_a[group]).mean()
        assert quotas.into_a[group] + ranker.out_of_b[group] == pytest.approx(whole)
        assert ranker.into_a[group] + quotas.out_of_b[group] == pytest.approx(whole)
        both = (quotas.into_a[group] + quotas.out_of_b[group]) / 2
        assert quotas.by_group[group].mean == pytest.approx(both)
    assert quotas.into_a[WARM] != quotas.out_of_b[WARM]


def test_the_figures_are_those_that_the_gates_measure(bundle: Path, other_rules: Path) -> None:
    figures = compared(bundle, other_rules, parts=False)
    gates = compare(OpenBundle(other_rules), OpenBundle(bundle))
    assert figures["parts"] is None
    for group, of_group in figures["groups"].items():
        for metric in ("ndcg", "diversity", "novelty", "popularity_share"):
            found = of_group["metrics"][f"{metric}_at_10"]
            assert found["difference"] == pytest.approx(gates.difference(group, metric, BOOTSTRAP).mean, abs=1e-6)
            assert found["low"] <= found["difference"] <= found["high"]
        covered = of_group["of_all_slates"]["coverage_at_10"]
        assert (covered["b"], covered["a"]) == pytest.approx(gates.coverage(group), abs=1e-6)


def with_start(folder: Path, days_earlier: int, **of_manifest: object) -> OpenBundle:
    """A bundle whose measured fit stopped learning so many days earlier."""
    opened = OpenBundle(folder)
    vars(opened)["test_start"] = measured_from(folder) - timedelta(days=days_earlier)
    vars(opened)["manifest"] = replace(opened.manifest, **of_manifest)
    return opened


def test_of_two_windows_the_later_is_asked_for_neither_has_learnt_from_it(bundle: Path) -> None:
    older, newer = with_start(bundle, 3), with_start(bundle, 0)
    for asked, name in ((shared_questions(older, newer), "A"), (shared_questions(newer, older), "B")):
        assert asked.lender is newer
        (note,) = asked.notes
        assert note.startswith(f"the measured fit of {name} learnt until")
        assert "3.0 days before the questions begin" in note


def test_where_the_rules_of_exclusion_differ_swapping_the_two_mirrors_the_figures(bundle: Path, tmp_path: Path) -> None:
    lax = variant(bundle, tmp_path / "lax", change=exclude_only_what_was_bought)
    one, other = compared(bundle, lax), compared(lax, bundle)
    assert one["groups"].keys() == other["groups"].keys()
    for group, of_group in one["groups"].items():
        for metric, found in of_group["metrics"].items():
            mirrored = other["groups"][group]["metrics"][metric]
            assert (found["a"], found["b"]) == (mirrored["b"], mirrored["a"])
            assert found["low"] == pytest.approx(-mirrored["high"], abs=2e-6)
    assert one["groups"][WARM]["metrics"]["ndcg_at_10"]["better"] == "a"  # whose places nothing is wasted on
    assert other["groups"][WARM]["metrics"]["ndcg_at_10"]["better"] == "b"
    (part,), (mirrored_part,) = one["parts"], other["parts"]
    assert part["part"] == "request.excluding_events"
    assert part["into_a"] == {group: -mean for group, mean in mirrored_part["into_a"].items()}
    note = one["notes"][0]
    assert "A: excluding_events null, excluded_days null; B: excluding_events [purchase]" in note
    assert compared(bundle, bundle, parts=False)["notes"] == []


def test_where_no_window_can_be_asked_of_both_the_reason_is_told(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(NotComparable, match="has the later test window, and its bundle is of format version 1"):
        shared_questions(with_start(bundle, 3), with_start(bundle, 0, format_version=1))
    assert shared_questions(with_start(bundle, 3, format_version=1), with_start(bundle, 0)).lender.test_start
    with pytest.raises(NotComparable, match="A is of application movies, B of shop"):
        shared_questions(with_start(bundle, 0), with_start(bundle, 0, app="shop"))
    richer = Path(shutil.copytree(bundle, tmp_path / "richer"))
    schemas = json.loads((richer / "features/schema.json").read_bytes())
    schemas["user"]["features"].append({**schemas["user"]["features"][0], "name": "user_shoe_size"})
    (richer / "features/schema.json").write_text(json.dumps(schemas))
    with pytest.raises(NotComparable, match="user_shoe_size"):
        shared_questions(with_start(richer, 3), with_start(bundle, 0))


def test_what_does_not_fit_is_said_with_its_reason(built: Release) -> None:
    user = built.schemas.user
    richer = FeatureSchema(user.entity, (*user.features, FeatureSpec("user_shoe_size", 42.0, 9.0)))
    other = replace(
        built,
        schemas=FeatureSchemas(richer, built.schemas.item),
        ranker=replace(built.ranker, feature_names=("user_shoe_size", *built.ranker.feature_names)),
        index=replace(built.index, embeddings_fingerprint="77c0de"),
    )
    for part, said in ((FEATURES, "does not know user_shoe_size"), (RANKER, "lacks user_shoe_size"), (INDEX, "77c0de")):
        found = swap(part, built, other)
        assert found.release is None
        assert said in found.why_not
    without = replace(built, generators={"popular": built.generators["popular"]})
    assert "quotas for generators that are not there: als, " in swap("request.quotas", without, built).why_not
    assert swap("request.quotas", built, other).release is not None


def test_the_command_prints_the_parts_and_writes_the_same_as_a_page(
    slate: Callable[..., Result], bundle: Path, other_rules: Path, tmp_path: Path
) -> None:
    page = tmp_path / "pages" / "compared.html"
    printed = slate(str(bundle), str(other_rules), "--html", str(page)).stdout
    assert "request.relevance_weight" in printed
    assert re.search(r"ndcg@10 +\d\.\d{3} +\d\.\d{3} +[+-]\d\.\d{3} +\[[+-]", printed)
    told = page.read_text()
    for release in (bundle, other_rules):
        assert load_bundle(release).release_id in told
    assert "request.relevance_weight" in told
    assert "one release, equal in everything" in slate(str(bundle), str(bundle)).stdout


def test_a_page_that_cannot_be_written_does_not_take_the_figures_with_it(
    slate: Callable[..., Result], bundle: Path, other_rules: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("no folder")
    result = slate(str(bundle), str(other_rules), "--no-parts", "--html", str(tmp_path / "file" / "compared.html"))
    assert isinstance(result.exception, OSError)
    assert re.search(r"ndcg@10 +\d\.\d{3} +\d\.\d{3}", result.stdout)


def test_what_cannot_be_asked_ends_with_the_cards_the_reason_and_a_status(
    slate: Callable[..., Result], bundle: Path, other_rules: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_of: object) -> None:
        raise NotComparable("The window lacks user_shoe_size.", "Look at both cards.")

    card = json.loads((other_rules / "evaluation.json").read_bytes())
    was = card["headline"]["ndcg_at_10"]
    card["headline"]["ndcg_at_10"] = was + 0.25
    (other_rules / "evaluation.json").write_text(json.dumps(card))
    monkeypatch.setattr("release.side_by_side.figures.shared_questions", refuse)
    result = slate(str(bundle), str(other_rules), "--json")
    assert result.exit_code == 1
    assert isinstance(result.exception, NotComparable)
    told = json.loads(result.stdout)
    assert (told["comparable"], told["why"]) == (False, "The window lacks user_shoe_size.")
    assert told["cards"]["headline"]["ndcg_at_10"] == pytest.approx([was, was + 0.25, 0.25])
    assert "not comparable" in slate(str(bundle), str(other_rules)).stdout
