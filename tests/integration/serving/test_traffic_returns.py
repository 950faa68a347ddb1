"""What was served over HTTP comes back as rows of the tables that training reads."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from contracts.clock import FixedClock
from contracts.settings.settings import Settings
from contracts.tables import CanonicalTables
from pipelines import ingest, validate
from pipelines.paths import RAW, VALID
from pipelines.traffic_collection import collect_traffic, link_traffic
from sources.traffic.served_traffic import ServedTraffic
from tests.integration.serving.worlds import Stage

# Starlette's test client asks for another HTTP library than the one it still works with.
pytestmark = pytest.mark.filterwarnings("ignore:Using `httpx` with `starlette.testclient`")


def visit(client: Any, position: int, **who: Any) -> str:
    """Ask for a slate and click on one of its positions; the request's id."""
    slate = client.post("/v1/recommend", json={"k": 5, **who}).json()
    clicked = slate["items"][position - 1]["item_id"]
    event = {"event_type": "click", "item_id": clicked, "request_id": slate["request_id"], **who}
    assert client.post("/v1/events", json=event).status_code == 202
    return str(slate["request_id"])


def test_people_click_and_their_clicks_by_position_are_in_the_valid_tables(
    stage: Stage, world: CanonicalTables, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    positions = [1, 1, 2, 1, 4]
    people: list[dict[str, str]] = [{"user_id": "u500"}, {"user_id": "u501"}, {"user_id": "new"}]
    people += [{"session_id": "v1"}, {"user_id": "u502", "session_id": "v2"}]
    stage.point_at(0)
    with stage.client() as client:
        asked = [visit(client, position, **who) for position, who in zip(positions, people, strict=True)]
        assert client.post("/v1/events", json={"event_type": "signup", "user_id": "new"}).status_code == 202
    monkeypatch.chdir(tmp_path)
    settings = stage.settings
    collected = collect_traffic(stage.redis, stage.home, settings.app)
    assert collected.rows == {"impressions": 25, "interactions": 6}
    link_traffic(stage.home, settings.app, Path(settings.ingest.traffic))
    source = world_as_files(world, settings)
    ingest.run(source)
    validate.run(source, FixedClock(stage.as_of.replace(year=stage.as_of.year + 1)))
    tables = CanonicalTables.load(VALID)
    answers = tables.interactions.filter(pl.col("request_id").is_not_null())
    assert sorted(answers["request_id"]) == sorted(asked)
    assert set(answers["user_id"]) == {"u500", "u501", "u502", "new", "session:v1"}
    assert {"new", "session:v1"} <= set(tables.users["user_id"])
    clicked = tables.impressions.join(answers.select("request_id", "item_id"), on=["request_id", "item_id"])
    assert Counter(clicked["position"].to_list()) == Counter(positions)
    assert tables.impressions.group_by("position").len().sort("position").rows() == [(at, 5) for at in range(1, 6)]
    assert len(tables.interactions) == len(world.interactions) + len(positions)
    assert CanonicalTables.load(RAW).users.filter(user_id="new")["signup_ts"][0] is not None


def world_as_files(world: CanonicalTables, settings: Settings) -> Settings:
    """The settings that read the small world from files of its own."""
    for name in ("interactions", "items", "users"):
        path = Path("inbox") / f"{name}.parquet"
        path.parent.mkdir(exist_ok=True)
        getattr(world, name).write_parquet(path)
    columns = {
        "interactions": ["user_id", "item_id", "event_ts", "event_type", "value"],
        "items": ["item_id", "title", "categories"],
        "users": ["user_id", "age"],
    }
    files = {
        name: {"path": f"{name}.parquet", "columns": {one: one for one in wanted}} for name, wanted in columns.items()
    }
    values = settings.model_dump(by_alias=True)
    values["ingest"] |= {"source": "files", "files": files}
    baseline = Path(values["validate"]["baseline"])
    baseline.parent.mkdir(exist_ok=True)
    baseline.write_text('{"tables": {}}')
    return Settings.model_validate(values)


def test_a_folder_without_traffic_is_none(tmp_path: Path) -> None:
    assert ServedTraffic(tmp_path).counts() == {}
