"""params.yaml: what is wrong in it is named, with what to write instead."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from contracts.errors import SettingsError
from contracts.settings.group import Group
from contracts.settings.group_names import NAMES, Seed
from contracts.settings.loading import load_groups
from contracts.settings.ranking import RankingSettings
from contracts.settings.settings import Settings, load_settings

PARAMS = Path(__file__).resolve().parents[4] / "params.yaml"


def params_with(folder: Path, key: str, value: Any) -> Path:
    """The project's own parameters with one dotted key set; value: REMOVED takes it away."""
    params = YAML(typ="safe", pure=True).load(PARAMS.read_text())
    *groups, name = key.split(".")
    place = params
    for group in groups:
        place = place[group]
    place[name] = value
    if value is REMOVED:
        del place[name]
    path = folder / "params.yaml"
    YAML().dump(params, path)
    return path


REMOVED = object()
SHOP = {"columns": {"user_id": "kunde", "item_id": "artikel", "event_ts": "zeit"}}


def test_the_projects_own_parameters_are_right_and_cannot_be_changed() -> None:
    settings = load_settings(PARAMS)
    with pytest.raises(ValueError, match="frozen"):
        settings.seed = 8  # type: ignore[misc]


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("ranking.n_tree", 10, r"`ranking\.n_tree` is unknown\. Did you mean `ranking\.n_trees`\?"),
        ("candidates.als.k", 10, r"`candidates\.als\.k` is unknown\. Known here: engine, factors, "),
        ("candidates.off", ["als"], "als cannot be off: the vector index holds its vectors. Its quota may be 0"),
        ("candidates.off", ["popular"], "popular cannot be off: it is what is left"),
        ("candidates.off", ["contents"], "no generator 'contents' to turn off; these may be: content, "),
        ("candidates.item_to_item", {"als": {}}, "als is the name of a generator already; take another"),
        ("candidates.item_to_item", {"Of Days": {}}, "'Of Days' is no name of a generator: a letter"),
        ("candidates.item_to_item", {"shown": {"from_events": ["impression"]}}, "generators never see impression"),
        ("candidates.item_to_item", {"one": {"pooling": "max", "step_weight": 0.5}}, "step_weight is for the mean"),
        ("validation", {}, r"`validation` is unknown\. Did you mean `validate`\?"),
        ("seed", REMOVED, "`seed` is missing"),
        ("features.train_share", 1.5, r"`features\.train_share` is 1\.5: .*less than 1"),
        ("features.train_share", 0.95, "the rest is the test window"),
        ("ingest.source", "files", "needs the mapping `files`"),
        ("ingest.name", "ml-1m", "`name` is for source `movielens`"),
        ("ingest.path", "~/exports", r"`ingest\.path` is '~/exports'"),
        (
            "ingest.files",
            {"interaction": {}},
            r"`ingest\.files\.interaction` is unknown\. Did you mean `ingest\.files\.interactions`",
        ),
        ("ingest.files", {"interactions": SHOP | {"time_zone": "Mars"}}, "no such time zone"),
        ("ingest.files", {"interactions": SHOP | {"encoding": "latin-99"}}, "no such encoding"),
        ("ingest.files", {"interactions": SHOP | {"null_words": [None]}}, 'write "NULL" with its quotation marks'),
        ("ingest.files", {"interactions": SHOP | {"event_type": "buy"}}, r"files\.interactions\.event_type` is 'buy'"),
        ("ingest.files", {"interactions": SHOP | {"path": "../e.csv"}}, "inside ingest.path"),
        ("ingest.files", {"interactions": SHOP | {"path": "/e.csv"}}, "inside ingest.path"),
        ("ingest.files", {"interactions": SHOP}, "set one of `columns.event_type`"),
        (
            "ingest.files",
            {"interactions": SHOP | {"event_types": {"kauf": "buy"}}},
            r"interactions\.event_types\.kauf` is 'buy'",
        ),
        ("ingest.source", "simulator", "say which under `simulator`"),
        ("request.quotas", {"als": 6000}, r"quotas\.als is 6000; expected 0 to 5000"),
        ("request.diversity", {"method": "calibration", "over": "both"}, "goes by categories; over is both"),
        ("request.diversity", {"max_relevance_loss": 1.5}, "max_relevance_loss"),
        ("validate.min_value", 9, "min_value 9 is above max_value 5: no value would pass"),
        ("validate.max_value", float("nan"), r"`validate\.max_value` is nan: .*finite"),
        ("candidates.als.alpha", float("inf"), r"`candidates\.als\.alpha` is inf: .*finite"),
        ("app", "../movies", "`app` is '../movies'"),
        ("evaluate.cutoffs", [10, 0], r"`evaluate\.cutoffs\.1` is 0: .*greater than or equal to 1"),
        ("evaluate.cutoffs", [20, 10], "promotion compares NDCG@10"),
    ],
)
def test_a_wrong_parameter_is_named_with_what_would_be_right(tmp_path: Path, key: str, value: Any, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        load_settings(params_with(tmp_path, key, value))


class RankingParams(Group):
    ranking: RankingSettings
    seed: Seed


def test_a_reader_of_some_groups_gets_what_a_reader_of_all_gets() -> None:
    few, everything = load_groups(RankingParams, PARAMS), load_settings(PARAMS)
    assert (few.ranking, few.seed) == (everything.ranking, everything.seed)


@pytest.mark.parametrize("key", ["serving.pol_ms", "publish", "experiments"])
def test_what_a_reader_of_some_groups_does_not_read_cannot_stop_it_and_is_told_to_a_reader_of_all(
    tmp_path: Path, key: str
) -> None:
    path = params_with(tmp_path, key, 10)
    load_groups(RankingParams, path)
    with pytest.raises(SettingsError, match=f"`{key}`"):
        load_settings(path)


def test_the_names_at_the_top_are_those_of_the_settings() -> None:
    assert tuple(info.alias or key for key, info in Settings.model_fields.items()) == NAMES


def test_a_group_that_is_there_is_not_taken_for_another_one_misspelt(tmp_path: Path) -> None:
    path = params_with(tmp_path, "evaluate", REMOVED)
    with pytest.raises(SettingsError, match=r"`evaluate` is missing\.\n"):
        load_settings(path)


def test_a_reader_of_some_groups_says_what_is_wrong_in_them_with_what_would_be_right(tmp_path: Path) -> None:
    path = params_with(tmp_path, "ranking.n_tree", 10)
    path.write_text(path.read_text().replace("\nseed:", "\nsed:"))
    unknown = r"n_tree` is unknown\. Did you mean `ranking\.n_trees`"
    said = rf"2 parameters are wrong(.|\n)*{unknown}(.|\n)*`seed` is missing\. Is `sed` a slip"
    with pytest.raises(SettingsError, match=said):
        load_groups(RankingParams, path)


def test_every_wrong_parameter_is_named_at_once(tmp_path: Path) -> None:
    path = params_with(tmp_path, "seed", -1)
    path.write_text(path.read_text().replace("poll_ms: 100", "poll_ms: soon"))
    with pytest.raises(SettingsError, match=r"2 parameters are wrong(.|\n)*`seed`(.|\n)*`serving\.poll_ms`"):
        load_settings(path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "is missing"),
        ("a: [", "no valid YAML"),
        ("- seed", "holds list"),
        (b"\xff", "no valid YAML"),
        ("a: [b.c:D]", r"cannot be read by DVC: (.|\n)*line 1, column \d+(.|\n)*in quotes"),
    ],
)
def test_a_file_that_is_no_parameter_file_says_so(tmp_path: Path, content: str | bytes | None, said: str) -> None:
    path = tmp_path / "params.yaml"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(SettingsError, match=said):
        load_settings(path)
