"""Values chosen on a part of what is learnt from: what is held out, who chooses, and what is read when."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.quality.literature import report, tuning
from bench.quality.literature.grids import GRIDS
from bench.quality.literature.reading import Baskets, LeftOut, Sequences
from bench.quality.literature.tuning import (
    held_out,
    protocol_of,
    settings_of_all,
    too_large,
    tuned_figures,
    with_values,
)
from contracts.errors import SourceError
from contracts.settings.settings import Settings
from tests.release_worlds import small_settings

SEED = 7
FORWARD = {"item_to_item": {"in_order": {"apart_weight": 0.1, "before_weight": 0.0, "step_weight": 0.1}}}
SILENT = {"item_to_item": {"in_order": {"from_events": ["purchase"], "before_weight": 0.0}}}  # nobody buys here


@pytest.fixture(scope="module")
def settings() -> Settings:
    return small_settings()


def round_a_circle(last: str | None = None) -> Sequences:
    """Everybody goes round twelve items, each from where they like, or ends with another item."""
    circle = [f"i{number:02}" for number in range(12)]
    rounds = {f"u{person}": tuple(circle[(person + step) % 12] for step in range(7)) for person in range(24)}
    return Sequences({user: own if last is None else (*own[:-1], last) for user, own in rounds.items()})


def test_a_fifth_of_each_line_is_held_out_and_nothing_is_lost() -> None:
    lines = {str(n): tuple(f"i{item}" for item in range(n)) for n in (1, 2, 7, 8, 10)}
    inner = held_out(Baskets(lines, {}))
    assert {user: len(own) for user, own in inner.test.items()} == {"2": 1, "7": 1, "8": 2, "10": 2}
    for user, own in lines.items():
        assert sorted((*inner.train[user], *inner.test.get(user, ()))) == sorted(own)
    assert held_out(Baskets(lines, {"1": ("i9",)})) == inner  # drawn once, whatever is reported


def test_values_are_chosen_by_the_item_before_the_last_and_reported_by_the_last(settings, monkeypatch) -> None:
    monkeypatch.setattr(tuning, "GRIDS", {Sequences: {"in_order": (SILENT, FORWARD)}})
    tuned = tuned_figures(round_a_circle(), settings, SEED).tuned["in_order"]
    assert (tuned.values, tuned.tried) == (FORWARD, 2)
    assert tuned.validation == tuned.figures == {"HR@10": 1, "NDCG@10": 1}  # the next of the circle comes first
    elsewhere = tuned_figures(round_a_circle("never seen"), settings, SEED).tuned["in_order"]
    assert elsewhere.validation == tuned.validation
    assert elsewhere.figures == {"HR@10": 0, "NDCG@10": 0}


def test_values_for_baskets_are_chosen_without_the_lines_that_are_reported(settings, monkeypatch) -> None:
    # Of two kinds of items, everybody has eight of ten.
    train = {
        f"u{person}": tuple(f"{'ab'[person % 2]}{(person + step) % 10}" for step in range(8)) for person in range(20)
    }
    rest = {user: tuple(sorted({f"{own[0][0]}{item}" for item in range(10)} - set(own))) for user, own in train.items()}
    named = {"item_to_item": {"together": {"length_power": 0.5}}}
    silent = {"item_to_item": {"together": {"from_events": ["purchase"]}}}
    monkeypatch.setattr(tuning, "GRIDS", {Baskets: {"together": (silent, named)}})
    tuned = tuned_figures(Baskets(train, rest), settings, SEED).tuned["together"]
    assert (tuned.values, tuned.figures["recall@20"]) == (named, 1)
    others = dict.fromkeys(train, ("c0",))
    again = tuned_figures(Baskets(train, others), settings, SEED).tuned["together"]
    assert (again.validation, again.figures["recall@20"]) == (tuned.validation, 0)


def test_ease_of_all_pairs_that_does_not_fit_is_told_and_not_tried(settings, monkeypatch) -> None:
    of_all, of_few = {"ease": {"decay_days": None}}, {"ease": {"decay_days": None, "n_regressors": 3}}
    monkeypatch.setattr(tuning, "machine_gib", lambda: 23.5)
    assert too_large(of_all, 41_000) == "EASE of all pairs of 41,000 items needs 37.6 GiB, and the machine has 23.5"
    assert too_large(of_all, 12_000) is None
    assert too_large(of_few, 41_000) is None
    monkeypatch.setattr(tuning, "machine_gib", lambda: 0.0)
    monkeypatch.setattr(tuning, "GRIDS", {Sequences: {"ease": (of_all, of_few)}})
    tuned = tuned_figures(round_a_circle(), settings, SEED).tuned["ease"]
    assert (tuned.values, tuned.tried) == (of_few, 1)
    assert tuned.not_tried == ("EASE of all pairs of 12 items needs 0.0 GiB, and the machine has 0.0",)


def test_values_that_want_more_data_than_there_is_are_told_and_not_tried(settings, monkeypatch, capsys) -> None:
    fits, wants_more = {"graph_filter": {"decay_days": None, "dim": 3}}, {"graph_filter": {"dim": 12}}
    monkeypatch.setattr(tuning, "GRIDS", {Sequences: {"graph_filter": (wants_more, fits)}})
    every = tuned_figures(round_a_circle(), settings, SEED)
    why_not = "graph_filter wants 12 directions of 24 people by 12 items."
    tuned = every.tuned["graph_filter"]
    assert (tuned.values, tuned.tried, tuned.not_tried) == (fits, 1, (why_not,))
    assert not every.not_measured
    told = capsys.readouterr().out
    assert f"graph_filter {wants_more}: not tried. {why_not}" in told
    assert "params.yaml" not in told  # where these values are not


def test_a_generator_of_which_no_value_can_be_tried_costs_the_others_nothing(settings, monkeypatch, capsys) -> None:
    wants_more = {"graph_filter": {"dim": 12}}
    monkeypatch.setattr(tuning, "GRIDS", {Sequences: {"graph_filter": (wants_more,), "in_order": (FORWARD,)}})
    monkeypatch.setattr(report, "read_literature", lambda _folder: round_a_circle())
    monkeypatch.setattr(report, "load_settings", lambda _path: settings)
    monkeypatch.setattr(report, "NO_REQUEST_PATH", {Sequences: "it is not of this test"})
    report.measure_literature(Path("circle"), 1, is_tuned=True)
    told = capsys.readouterr().out
    why_not = "graph_filter wants 12 directions of 24 people by 12 items."
    assert f"NOT MEASURED: graph_filter, 1 value not tried. {why_not}" in told
    figures = json.loads(told.splitlines()[-1])
    assert figures["not_measured"] == {"graph_filter": [why_not]}
    assert figures["tuned"]["in_order"]["tried"] == 1


def test_every_value_of_the_grids_is_a_valid_parameter(settings) -> None:
    for grid in GRIDS.values():
        for values in (one for every in grid.values() for one in every):
            (group, own), changed = next(iter(values.items())), with_values(settings.candidates, values)
            given = getattr(changed, group) if group != "item_to_item" else next(iter(changed.item_to_item.values()))
            own = own if group != "item_to_item" else next(iter(own.values()))
            assert {name: getattr(given, name) for name in own} == own


def test_the_request_path_gets_all_of_the_tuned_generators(settings, monkeypatch) -> None:
    next_visit = {"next_visit": {"step_weight": 0.4}}
    monkeypatch.setattr(tuning, "GRIDS", {Sequences: {"in_order": (FORWARD,), "next_visit": (next_visit,)}})
    both = settings_of_all(settings, tuned_figures(round_a_circle(), settings, SEED).tuned)
    assert both.candidates.next_visit.step_weight == 0.4
    assert both.candidates.item_to_item["in_order"].before_weight == 0
    assert both.request.quotas == {**settings.request.quotas, "in_order": 60}


def test_there_is_no_tuning_among_sampled_negatives() -> None:
    with pytest.raises(SourceError, match="--tuned"):
        protocol_of(LeftOut((), {}, {}))
