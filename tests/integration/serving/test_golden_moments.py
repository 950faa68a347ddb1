"""A server answers the golden queries before it is ready and at every switch; one wrong answer keeps it from both."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from contracts.errors import ReleaseMismatch
from contracts.home import Home
from contracts.settings.settings import Settings
from feature_store.online.connection import connect
from release.bundle.manifest import list_files, load_manifest
from release.bundle.parts import name_parts
from serving.http.api import Api
from tests.integration.serving.worlds import Stage, published


def mix(bundle: Path) -> None:
    """Put the measured index where the shipped one belongs, and let the manifest describe it."""
    shutil.rmtree(bundle / "index")
    shutil.copytree(bundle / "measured" / "index", bundle / "index")
    manifest = load_manifest(bundle)
    replace(manifest, files=list_files(bundle)).save(bundle)


def spoil(bundle: Path) -> None:
    """Let one golden query of a whole bundle expect another first item than the release answers."""
    queries = bundle / "golden" / "queries.json"
    content = json.loads(queries.read_bytes())
    content["queries"][2]["answer"]["items"][0][0] = "i9999"
    queries.write_text(json.dumps(content))
    name_parts(bundle)
    replace(load_manifest(bundle), files=list_files(bundle)).save(bundle)


@pytest.fixture(params=[(spoil, "Golden query golden-002.*expected item i9999 at position 1"), (mix, "index")])
def spoilt(
    request: pytest.FixtureRequest,
    stocked: Home,
    small_settings: Settings,
    redis_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[tuple[Stage, str]]:
    """Two published releases, the second of them spoilt, and what is said of it."""
    monkeypatch.setenv("REDIS_URL", redis_url)
    change, said = request.param
    home = Home(tmp_path / "home")
    shutil.copytree(stocked.bundles, home.bundles)
    with closing(connect(redis_url)) as client:
        stage = published(home, small_settings, client)
        bundle = home.bundles / stage.pairs[1][0]
        change(bundle)
        release_id = load_manifest(bundle).release_id
        bundle.rename(home.bundles / release_id)
        yield replace(stage, pairs=(stage.pairs[0], (release_id, stage.pairs[1][1]))), said


def look(api: Api) -> ReleaseMismatch | None:
    api.live.look()
    api.live.load()
    api.live.look()
    problem = api.live.problem
    assert problem is None or isinstance(problem, ReleaseMismatch)
    return problem


def test_a_server_that_starts_on_it_is_not_ready_and_says_what_differed(spoilt: tuple[Stage, str]) -> None:
    stage, said = spoilt
    stage.point_at(1)
    api = stage.api()
    with pytest.raises(ReleaseMismatch, match=said):
        raise look(api) or AssertionError("it was taken up")
    assert api.live.current is None


def test_a_server_that_is_switched_to_it_stays_with_the_old_release_and_says_why(
    spoilt: tuple[Stage, str],
) -> None:
    stage, said = spoilt
    stage.point_at(0)
    api = stage.api()
    assert look(api) is None
    stage.point_at(1)
    with pytest.raises(ReleaseMismatch, match=said):
        raise look(api) or AssertionError("it was taken up")
    lineup = api.live.current
    assert lineup is not None
    served = lineup.production
    assert (served.release.release_id, served.reader.generation_id) == stage.pairs[0]
