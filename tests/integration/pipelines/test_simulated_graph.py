"""A small world of each simulated preset goes through the whole graph, from ingest to a release that answers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import polars as pl
import pytest

from contracts.settings.params_file import read_params
from contracts.settings.presets import load_preset
from contracts.settings.settings import Settings
from contracts.tables import CanonicalTables
from pipelines import candidates, evaluate, features, index, ingest, ranking, release, validate
from pipelines.paths import BUNDLE, EVALUATION, VALID, Cutoff
from release.bundle.manifest import load_manifest
from release.evaluation.cases import known_contexts
from tests.release_worlds import link_code

CHECKOUT = Path(__file__).parents[3]
TINY = {"n_users": 900, "n_items": 150, "n_days": 25}


def tiny_settings(app: str) -> Settings:
    """The preset with a world, and models, small enough for a test."""
    values = read_params(CHECKOUT / "params.yaml")
    for key, value in load_preset(CHECKOUT, app).items():
        *groups, name = key.split(".")
        place = values
        for group in groups:
            place = place[group]
        place[name] = value
    values["ingest"]["simulator"] |= TINY
    values["features"] |= {"n_snapshots": 2, "snapshot_step_share": 0.15}
    values["candidates"]["als"] |= {"factors": 8, "iterations": 3}
    values["ranking"] |= {"n_trees": 20, "min_rows_per_leaf": 10}
    values["evaluate"] |= {"n_bootstrap": 100}
    return Settings.model_validate(values)


@pytest.mark.parametrize("app", ["articles", "shop"])
def test_a_simulated_preset_goes_through_the_whole_graph(app, tmp_path, home, monkeypatch, capsys):
    shutil.copytree(CHECKOUT / "baselines", tmp_path / "baselines")
    monkeypatch.chdir(tmp_path)
    link_code(tmp_path)
    settings = tiny_settings(app)
    ingest.run(settings)
    counts = validate.run(settings)["tables"]
    assert all(count["quarantined"] == 0 for count in counts.values())
    features.run(settings)
    for cutoff in Cutoff:
        candidates.run(settings, cutoff)
        index.run(settings, cutoff)
    ranking.run(settings)
    evaluate.run(settings)
    printed = capsys.readouterr().out
    release.run(settings)
    assert load_manifest(tmp_path / BUNDLE).app == app
    measured = json.loads((tmp_path / EVALUATION / "metrics.json").read_bytes())
    headline = measured["headline"]
    assert headline["people"] >= 10
    figure = f"NDCG@10 {headline['ndcg_at_10']:.3f} [{headline['low']:.3f}, {headline['high']:.3f}]"
    assert f"{figure} for {headline['people']} people with a history; " in printed.splitlines()[-1]
    assert f"; popular {headline['popular']:.3f}" in printed
    (best,) = measured["best_generator"]
    assert best in measured["ndcg_at_10_gain_over"]
    notes = (tmp_path / EVALUATION / "notes.txt").read_text()
    assert (f"{best} alone has the best" in notes) == (settings.request.quotas[best] == 0)
    tables = CanonicalTables.load(VALID)
    contexts = known_contexts(tables.users)
    assert contexts[tables.users["user_id"][0]].keys() == {"device", "day_part", "entry_page"}
    asked = json.loads((tmp_path / BUNDLE / "golden/queries.json").read_bytes())
    assert "contextual" in json.dumps(asked)
    per_person = pl.read_parquet(tmp_path / EVALUATION / "per_user.parquet")
    assert "contextual" in per_person["tier"].to_list()
