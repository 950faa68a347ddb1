"""A zip is looked at before anything of it touches the disk."""

from __future__ import annotations

import stat
import zipfile
from pathlib import Path, PurePosixPath

import pytest

from contracts.errors import SourceError
from sources import archives
from sources.archives import unpack


def everything(_: PurePosixPath) -> bool:
    return True


def make_zip(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as content:
        for name, data in members.items():
            content.writestr(name, data)
    return path


def test_only_what_is_wanted_comes_out(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "a.zip", {"ml/ratings.csv": b"1", "ml/tags.csv": b"2", "ml/": b""})
    unpack(archive, tmp_path / "out", lambda member: member.name == "ratings.csv")
    assert [path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.csv")] == [
        "ml/ratings.csv"
    ]


@pytest.mark.parametrize("name", ["../evil.csv", "/evil.csv", "ml/../../evil.csv", "C:/evil.csv"])
def test_a_member_outside_the_folder_is_refused_even_when_it_is_not_wanted(tmp_path: Path, name: str) -> None:
    archive = make_zip(tmp_path / "a.zip", {"ratings.csv": b"1", name: b"x"})
    with pytest.raises(SourceError, match="points outside its folder"):
        unpack(archive, tmp_path / "out", lambda member: member.name == "ratings.csv")
    assert not (tmp_path / "out").exists()


def test_a_link_is_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("ratings.csv")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as content:
        content.writestr(link, "/etc/passwd")
    with pytest.raises(SourceError, match="points outside its folder"):
        unpack(tmp_path / "a.zip", tmp_path / "out", everything)


def test_a_bomb_is_refused_before_it_expands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "HARMLESS_BYTES", 1000)
    archive = make_zip(tmp_path / "a.zip", {"ratings.csv": b"0" * 1_000_000})
    with pytest.raises(SourceError, match="would expand to 1,000,000 bytes"):
        unpack(archive, tmp_path / "out", everything)
    assert not (tmp_path / "out").exists()


def test_an_archive_that_compresses_plausibly_is_no_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "HARMLESS_BYTES", 0)
    rows = "".join(f"{user},{user * 7919 % 9973},4.5,{964_982_703 + user * 31}\n" for user in range(20_000))
    unpack(make_zip(tmp_path / "a.zip", {"ratings.csv": rows.encode()}), tmp_path / "out", everything)
    assert (tmp_path / "out" / "ratings.csv").read_text() == rows


@pytest.mark.parametrize("share", [0.3, 0.9, 0.999])
def test_an_archive_that_was_cut_short_is_refused(tmp_path: Path, share: float) -> None:
    archive = make_zip(tmp_path / "a.zip", {"ratings.csv": bytes(range(256)) * 100})
    whole = archive.read_bytes()
    archive.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(SourceError, match="cannot be unpacked"):
        unpack(archive, tmp_path / "out", everything)


def test_a_flipped_byte_is_noticed(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "a.zip", {"ratings.csv": bytes(range(256)) * 100})
    content = bytearray(archive.read_bytes())
    content[60] ^= 0xFF
    archive.write_bytes(content)
    with pytest.raises(SourceError, match="cannot be unpacked"):
        unpack(archive, tmp_path / "out", everything)
