"""The wheel with MovieLens 100K in it, fetched by the real pip from a folder that stands for the index."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import textwrap
import zipfile
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest

from contracts.errors import HashMismatch, SourceError
from contracts.home import Home
from sources.movielens.downloads import MOVIELENS_100K, WheelOfData, fetch_movielens_100k

WHEEL = "filmdata-1.0-py3-none-any.whl"
CONTENT = {"ml-100k.inter": b"ratings\n", "ml-100k.item": b"films\n", "ml-100k.user": b"people\n"}


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip takes for the package index; empty at first, and pip has no other."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def make_wheel(folder: Path, content: dict[str, bytes] | None = None) -> WheelOfData:
    path = folder / WHEEL
    metadata = "filmdata-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        for name, data in (CONTENT if content is None else content).items():
            wheel.writestr(f"filmdata/{name}", data)
        wheel.writestr("filmdata/rest.kg", b"not asked for")
        wheel.writestr(f"{metadata}/METADATA", "Metadata-Version: 2.1\nName: filmdata\nVersion: 1.0\n")
        wheel.writestr(f"{metadata}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{metadata}/RECORD", "")
    return WheelOfData(
        requirement="filmdata==1.0",
        wheel=WHEEL,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        folder=PurePosixPath("filmdata"),
        files={name: hashlib.sha256(data).hexdigest() for name, data in CONTENT.items()},
    )


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {"ml-100k.lock"}


def test_the_files_are_fetched_checked_and_taken_out(
    home: Home, index: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = fetch_movielens_100k(home, make_wheel(index))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == CONTENT
    assert names(home.downloads) == {WHEEL, "ml-100k"}
    assert "GroupLens" in capsys.readouterr().err


def test_afterwards_nothing_is_fetched_and_no_terms_are_shown(
    home: Home, index: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = make_wheel(index)
    fetch_movielens_100k(home, data)
    (index / WHEEL).unlink()
    (home.downloads / WHEEL).unlink()
    capsys.readouterr()
    assert names(fetch_movielens_100k(home, data)) == set(CONTENT)
    assert capsys.readouterr().err == ""


def test_a_wheel_put_there_by_hand_is_enough(home: Home, index: Path) -> None:
    home.downloads.mkdir(parents=True)
    data = make_wheel(home.downloads)
    assert names(fetch_movielens_100k(home, data)) == set(CONTENT)


@pytest.mark.parametrize("damage", [b"", b"other ratings\n", None])
def test_damaged_files_are_taken_out_again(home: Home, index: Path, damage: bytes | None) -> None:
    data = make_wheel(index)
    path = fetch_movielens_100k(home, data) / "ml-100k.inter"
    (index / WHEEL).unlink()
    path.unlink() if damage is None else path.write_bytes(damage)
    fetch_movielens_100k(home, data)
    assert path.read_bytes() == CONTENT["ml-100k.inter"]


def test_without_a_network_it_says_how_to_go_on_and_leaves_nothing(home: Home, index: Path) -> None:
    with pytest.raises(SourceError, match=r"pip could not fetch recbole==1\.2\.1") as caught:
        fetch_movielens_100k(home)
    assert f"copy {MOVIELENS_100K.wheel} from another machine into {home.downloads}" in caught.value.next_step
    assert "ingest.path" in caught.value.next_step
    assert names(home.downloads) == set()


def test_neither_the_index_nor_pips_own_words_are_repeated(home: Home, index: Path) -> None:
    with pytest.raises(SourceError) as caught:
        fetch_movielens_100k(home)
    assert "://" not in str(caught.value)
    assert str(index) not in str(caught.value)


def test_a_wheel_with_another_hash_is_refused_and_both_are_printed(home: Home, index: Path) -> None:
    data = make_wheel(index)
    with pytest.raises(HashMismatch) as caught:
        fetch_movielens_100k(home, replace(data, sha256="0" * 64))
    assert data.sha256 in caught.value.problem
    assert "0" * 64 in caught.value.problem
    assert names(home.downloads) == set()


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_truncated_wheel_put_there_by_hand_is_refused_and_kept_for_its_owner(
    home: Home, index: Path, share: float
) -> None:
    home.downloads.mkdir(parents=True)
    data = make_wheel(home.downloads)
    wheel = home.downloads / WHEEL
    whole = wheel.read_bytes()
    wheel.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(HashMismatch, match="Remove it"):
        fetch_movielens_100k(home, data)
    assert names(home.downloads) == {WHEEL}


def test_what_an_interrupted_download_left_is_cleared_away(home: Home, index: Path) -> None:
    for leftover in ("wheel.part", "unpacked.part", "ml-100k.part"):
        (home.downloads / leftover).mkdir(parents=True)
        (home.downloads / leftover / WHEEL).write_bytes(b"half a wheel")
    fetch_movielens_100k(home, make_wheel(index))
    assert names(home.downloads) == {WHEEL, "ml-100k"}


def test_a_full_disk_leaves_nothing_half_written(home: Home, index: Path) -> None:
    # The limit on the size of a file makes the write itself fail half-way, as a full disk does.
    home.downloads.mkdir(parents=True)
    big = CONTENT | {"ml-100k.user": b"0" * 300_000}
    data = make_wheel(home.downloads, big)
    script = textwrap.dedent(
        f"""
        import resource, sys
        from pathlib import Path, PurePosixPath
        from contracts.home import Home
        from sources.movielens.downloads import WheelOfData, fetch_movielens_100k
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        try:
            fetch_movielens_100k(Home(Path({str(home.root)!r})), {data!r})
        except OSError as error:
            sys.exit(77)
        """
    )
    result = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, text=True)
    assert result.returncode == 77, result.stderr
    assert names(home.downloads) == {WHEEL}
