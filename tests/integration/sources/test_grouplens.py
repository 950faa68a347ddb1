"""MovieLens by name, from an HTTP server on this machine that stands for GroupLens."""

from __future__ import annotations

import hashlib
import io
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from contracts.errors import HashMismatch, SourceError
from contracts.home import Home
from sources.movielens.grouplens import fetch_movielens
from sources.movielens.movielens import read_movielens

CONTENT = {
    "ml-1m/ratings.dat": "9::7::3::881250949\n12::7::4::881250950\n",
    "ml-1m/movies.dat": "7::Toy Story (1995)::Animation|Comedy\n",
    "ml-1m/users.dat": "9::M::25::17::85711\n12::F::56::20::94043\n",
}


class GroupLens(ThreadingHTTPServer):
    """Serves `files` by path, and remembers what was asked for; cut_short: sends half of every zip."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.cut_short = False

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/datasets"


class Answer(BaseHTTPRequestHandler):
    server: GroupLens

    def do_HEAD(self) -> None:
        self.answer(with_body=False)

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        self.answer(with_body=True)

    def answer(self, with_body: bool) -> None:
        content = self.server.files.get(self.path.removeprefix("/datasets/"))
        if content is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if with_body:
            is_cut = self.server.cut_short and self.path.endswith(".zip")
            self.wfile.write(content[: len(content) // 2] if is_cut else content)

    def log_message(self, *_: Any) -> None:
        """Nothing: a test's output is its own."""


@pytest.fixture
def grouplens() -> Iterator[GroupLens]:
    with GroupLens() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def archive(content: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, text in content.items():
            file.writestr(name, text)
    return buffer.getvalue()


def publish(server: GroupLens, name: str = "ml-1m", checksum: str | None = None) -> None:
    content = archive(CONTENT)
    server.files[f"{name}.zip"] = content
    digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
    server.files[f"{name}.zip.md5"] = (checksum or f"MD5 ({name}.zip) = {digest}\n").encode()


def left(home: Home) -> list[str]:
    return sorted(path.name for path in home.downloads.iterdir() if path.suffix != ".lock")


def test_a_set_is_fetched_checked_and_read(
    home: Home, grouplens: GroupLens, capsys: pytest.CaptureFixture[str]
) -> None:
    publish(grouplens)
    tables = read_movielens(fetch_movielens("ml-1m", home, grouplens.address))
    assert len(tables.interactions) == 2
    assert "GroupLens" in capsys.readouterr().err
    assert left(home) == ["ml-1m.zip"]


def test_afterwards_nothing_is_asked_for(home: Home, grouplens: GroupLens) -> None:
    publish(grouplens)
    fetch_movielens("ml-1m", home, grouplens.address)
    grouplens.asked.clear()
    assert fetch_movielens("ml-1m", home, grouplens.address).is_file()
    assert grouplens.asked == []


def test_a_set_without_a_published_checksum_is_not_asked_for_one(home: Home, grouplens: GroupLens) -> None:
    publish(grouplens, "ml-latest-small")
    fetch_movielens("ml-latest-small", home, grouplens.address)
    assert grouplens.asked == ["/datasets/ml-latest-small.zip"]


def test_another_checksum_is_refused_with_both(home: Home, grouplens: GroupLens) -> None:
    publish(grouplens, checksum=f"{'0' * 32}  ml-1m.zip")
    with pytest.raises(HashMismatch, match="expected md5 " + "0" * 32):
        fetch_movielens("ml-1m", home, grouplens.address)
    assert left(home) == []


@pytest.mark.parametrize("fault", ["no set", "no checksum", "a page instead of a checksum", "cut short", "no zip"])
def test_what_cannot_be_fetched_leaves_nothing_and_says_how_to_go_on(
    home: Home, grouplens: GroupLens, fault: str
) -> None:
    name = "ml-latest-small" if fault == "no zip" else "ml-1m"
    publish(grouplens, name)
    match fault:
        case "no set":
            del grouplens.files[f"{name}.zip"]
        case "no checksum":
            del grouplens.files[f"{name}.zip.md5"]
        case "a page instead of a checksum":
            grouplens.files[f"{name}.zip.md5"] = b"<html>Please log in</html>"
        case "cut short":
            grouplens.cut_short = True
        case "no zip":
            grouplens.files[f"{name}.zip"] = b"<html>Please log in</html>"
    with pytest.raises(SourceError) as caught:
        fetch_movielens(name, home, grouplens.address)  # type: ignore[arg-type]  # one of the names
    assert caught.value.next_step
    assert left(home) == []


def test_a_server_that_is_away_is_one_message(home: Home) -> None:
    with pytest.raises(SourceError, match=r"ml-1m\.zip\.md5 cannot be fetched") as caught:
        fetch_movielens("ml-1m", home, "http://127.0.0.1:9")
    assert str(home.downloads) in caught.value.next_step
