"""Every layout MovieLens is published in, made by hand and small, tells the same story in the same tables."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from contracts.errors import SourceError
from contracts.tables import SCHEMAS
from sources.movielens.layouts import U_GENRES
from sources.movielens.movielens import read_movielens

CHILDREN = "Children's"


def write(folder: Path, encoding: str = "utf-8", **files: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        stem, _, ending = name.rpartition("_")
        (folder / f"{stem.replace('_', '-')}.{ending}").write_bytes(text.encode(encoding))
    return folder


def flags(*genres: str) -> str:
    return "|".join("1" if genre in genres else "0" for genre in U_GENRES)


def atomic(folder: Path) -> Path:
    return write(
        folder,
        ml_100k_inter="user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
        "12\t7\t4\t881250950\n9\t7\t3\t881250949\n9\t50\t5\t881250949\n",
        ml_100k_item="item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n"
        "7\tToy Story\t1995\tAnimation Children's Comedy\n50\tMisérables, Les\t1995\tunknown\n",
        ml_100k_user="user_id:token\tage:token\tgender:token\toccupation:token\tzip_code:token\n"
        "9\t24\tM\ttechnician\t85711\n12\t53\tF\twriter\t94043\n",
    )


def original_100k(folder: Path) -> Path:
    return write(
        folder,
        "latin-1",
        u_data="12\t7\t4\t881250950\n9\t7\t3\t881250949\n9\t50\t5\t881250949\n",
        u_item=f"7|Toy Story (1995)|01-Jan-1995||http://x|{flags('Animation', CHILDREN, 'Comedy')}\n"
        f"50|Misérables, Les (1995)|||http://x|{flags('unknown')}\n",
        u_user="9|24|M|technician|85711\n12|53|F|writer|94043\n",
    )


def million(folder: Path) -> Path:
    return write(
        folder,
        "latin-1",
        ratings_dat="12::7::4::881250950\n9::7::3::881250949\n9::50::5::881250949\n",
        movies_dat="7::Toy Story (1995)::Animation|Children's|Comedy\n50::Misérables, Les (1995)::\n",
        users_dat="9::M::24::17::85711\n12::F::53::20::94043\n",
    )


def comma_separated(folder: Path) -> Path:
    return write(
        folder,
        ratings_csv="userId,movieId,rating,timestamp\n12,7,4.0,881250950\n9,7,3.0,881250949\n9,50,5.0,881250949\n",
        movies_csv="movieId,title,genres\n7,Toy Story (1995),Animation|Children's|Comedy\n"
        '50,"Misérables, Les (1995)",(no genres listed)\n',
    )


Writer = Callable[[Path], Path]
WRITERS = [atomic, original_100k, million, comma_separated]


@pytest.mark.parametrize("writer", WRITERS)
def test_every_layout_becomes_the_same_tables(writer: Writer, tmp_path: Path) -> None:
    tables = read_movielens(writer(tmp_path / "ml"))
    assert tables.interactions.select("user_id", "item_id", "event_type", "value").rows() == [
        ("9", "50", "rating", 5.0),
        ("9", "7", "rating", 3.0),
        ("12", "7", "rating", 4.0),
    ]
    assert tables.interactions["event_ts"][0] == datetime(1997, 12, 4, 15, 55, 49, tzinfo=UTC)
    assert tables.items.select("item_id", "title", "release_year", "categories").rows() == [
        ("50", "Misérables, Les", 1995, []),
        ("7", "Toy Story", 1995, ["Animation", "Children's", "Comedy"]),
    ]
    for name, schema in SCHEMAS.items():
        assert getattr(tables, name).schema == schema


@pytest.mark.parametrize(
    ("writer", "job"), [(atomic, "technician"), (original_100k, "technician"), (million, "technician/engineer")]
)
def test_people_come_with_what_is_known_of_them(writer: Writer, job: str, tmp_path: Path) -> None:
    users = read_movielens(writer(tmp_path / "ml")).users
    assert users.select("user_id", "age", "gender", "occupation").rows() == [
        ("12", 53, "F", "writer"),
        ("9", 24, "M", job),
    ]


def test_people_nobody_knows_are_no_rows(tmp_path: Path) -> None:
    assert read_movielens(comma_separated(tmp_path / "ml")).users.is_empty()
    without = atomic(tmp_path / "atomic")
    (without / "ml-100k.user").unlink()
    assert read_movielens(without).users.is_empty()


@pytest.mark.parametrize("writer", WRITERS)
def test_a_zip_reads_as_its_folder_does(writer: Writer, tmp_path: Path) -> None:
    folder = writer(tmp_path / "in" / "ml-any")
    archive = Path(shutil.make_archive(str(tmp_path / "ml-any"), "zip", tmp_path / "in"))
    zipped, plain = read_movielens(archive), read_movielens(folder)
    for name in SCHEMAS:
        assert getattr(zipped, name).equals(getattr(plain, name))


def test_the_order_of_the_lines_changes_nothing(tmp_path: Path) -> None:
    folder = comma_separated(tmp_path / "ml")
    before = read_movielens(folder)
    for name in ("ratings.csv", "movies.csv"):
        head, *rest = (folder / name).read_text().splitlines()
        (folder / name).write_text("\n".join([head, *reversed(rest)]) + "\n")
    after = read_movielens(folder)
    assert after.interactions.equals(before.interactions)
    assert after.items.equals(before.items)


@pytest.mark.parametrize(
    ("written", "title", "year"),
    [
        ("Heat (1995)", "Heat", 1995),
        ("Heat (1995) ", "Heat", 1995),
        ("Cosmos (1980-1981)", "Cosmos", 1980),
        ("Death Note (2006\u20132007)", "Death Note", 2006),
        ("Blackadder (1983-)", "Blackadder", 1983),
        ("Land Before Time III (1995) (V)", "Land Before Time III", 1995),
        ("Seven (a.k.a. Se7en) (1995)", "Seven (a.k.a. Se7en)", 1995),
        ("2001: A Space Odyssey", "2001: A Space Odyssey", None),
        ("Babylon 5", "Babylon 5", None),
        ("(500) Days of Summer (2009)", "(500) Days of Summer", 2009),
    ],
)
def test_the_year_leaves_the_title(tmp_path: Path, written: str, title: str, year: int | None) -> None:
    folder = comma_separated(tmp_path / "ml")
    (folder / "movies.csv").write_text(f"movieId,title,genres\n7,{written},Drama\n")
    assert read_movielens(folder).items.select("title", "release_year").rows() == [(title, year)]


def test_a_year_that_is_none_is_taken_from_the_title_or_unknown(tmp_path: Path) -> None:
    # Two films of RecBole's file are like this.
    folder = atomic(tmp_path / "ml")
    (folder / "ml-100k.item").write_text(
        "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n"
        "1\tLand Before Time III (1995)\tV\tAnimation\n2\tunkonwn\tunkonwn\tunknown\n"
    )
    assert read_movielens(folder).items.select("title", "release_year").rows() == [
        ("Land Before Time III", 1995),
        ("unkonwn", None),
    ]


@pytest.mark.parametrize(
    ("writer", "name", "old", "new", "complaint"),
    [
        (atomic, "ml-100k.inter", "881250950", "yesterday", "line 2, column timestamp: found 'yesterday'"),
        (original_100k, "u.data", "\t7\t4", "\t7\tfour", "line 1, column rating: found 'four'"),
        (original_100k, "u.item", "|1|", "|x|", "line 1, column"),
        (original_100k, "u.user", "|24|", "|old|", "line 1, column age: found 'old'"),
        (million, "ratings.dat", "7::4::", "7::::", "line 1, column Rating: found nothing"),
        (million, "users.dat", "::17::", "::99::", "code 99; expected 0 to 20"),
        (million, "users.dat", "::17::", "::-1::", "code -1; expected 0 to 20"),
        (comma_separated, "ratings.csv", "881250950", "881250950000", "column timestamp: found 881250950000.0"),
        (comma_separated, "ratings.csv", "881250950", "-5", "column timestamp: found -5.0"),
        (comma_separated, "ratings.csv", "881250950", "nan", "column timestamp: found nan"),
        (comma_separated, "movies.csv", "movieId", "film", "column movieId is missing"),
    ],
)
def test_bad_data_is_named(writer: Writer, name: str, old: str, new: str, complaint: str, tmp_path: Path) -> None:
    path = writer(tmp_path / "ml") / name
    path.write_bytes(path.read_bytes().replace(old.encode(), new.encode(), 1))
    with pytest.raises(SourceError, match=complaint) as caught:
        read_movielens(tmp_path / "ml")
    assert name in caught.value.problem


def test_a_folder_without_movielens_says_what_it_looks_for(tmp_path: Path) -> None:
    (tmp_path / "ml").mkdir()
    (tmp_path / "ml" / "ratings.csv").write_text("half of a set")
    with pytest.raises(SourceError, match=r"no MovieLens data; expected one of: .*ratings\.csv and movies\.csv"):
        read_movielens(tmp_path / "ml")


def test_two_sets_in_one_folder_are_not_guessed_between(tmp_path: Path) -> None:
    folder = atomic(tmp_path / "ml")
    (folder / "other.inter").write_text("")
    with pytest.raises(SourceError, match=r"ml-100k\.inter, other\.inter; expected one"):
        read_movielens(folder)


def test_a_path_that_is_nothing_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="neither a folder nor a zip"):
        read_movielens(tmp_path / "gone.zip")


def test_rows_of_equal_key_come_in_one_order(tmp_path: Path) -> None:
    folder = comma_separated(tmp_path / "ml")
    lines = [f"9,7,{value},881250949" for value in (5.0, 1.0, 3.0)]
    (folder / "ratings.csv").write_text("userId,movieId,rating,timestamp\n" + "\n".join(lines) + "\n")
    values = read_movielens(folder).interactions["value"]
    assert values.equals(pl.Series("value", [1.0, 3.0, 5.0]))
