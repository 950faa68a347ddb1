"""The files of each MovieLens layout, one function a file, into the columns of the canonical tables."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from contracts.calendar import MICROSECONDS_PER_SECOND
from contracts.errors import SourceError
from contracts.events import EventType
from contracts.tables import UTC_TIME
from sources.movielens.delimited import GET_IT_AGAIN, CellType, Column, Dialect, read_delimited

ATOMIC = Dialect(separator="\t")
CSV = Dialect(quote='"')

RATING_COLUMNS = (
    Column("user_id"),
    Column("item_id"),
    Column("value", CellType.NUMBER),
    Column("timestamp", CellType.NUMBER),  # RecBole types its timestamps as floats
)
NO_GENRES = ("", "(no genres listed)", "unknown")
# Titles end in the year, sometimes in the years of a series: `Cosmos (1980-1981)`; u.item adds `(V)` for video.
TITLE_YEAR = r"\s*\(([12]\d{3})(?:[-\u2013](?:[12]\d{3})?)?\)\s*(?:\(V\))?\s*$"

# The flags of u.item, in its order.
U_GENRES = (
    "unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama", "Fantasy",
    "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western",
)  # fmt: skip
# The codes of users.dat, in their order.
OCCUPATIONS = (
    "other", "academic/educator", "artist", "clerical/admin", "college/grad student", "customer service",
    "doctor/health care", "executive/managerial", "farmer", "homemaker", "K-12 student", "lawyer", "programmer",
    "retired", "sales/marketing", "scientist", "self-employed", "technician/engineer", "tradesman/craftsman",
    "unemployed", "writer",
)  # fmt: skip


def atomic_inter(path: Path) -> pl.DataFrame:
    """RecBole's ratings: tab-separated, names and types in the first line."""
    return _ratings(path, ATOMIC, ("user_id", "item_id", "rating", "timestamp"))


def ratings_csv(path: Path) -> pl.DataFrame:
    """Ratings of ml-latest, ml-20m, ml-25m, ml-32m."""
    return _ratings(path, CSV, ("userId", "movieId", "rating", "timestamp"))


def u_data(path: Path) -> pl.DataFrame:
    """Ratings of ml-100k as GroupLens publishes it."""
    names = ("user id", "item id", "rating", "timestamp")
    return _ratings(path, Dialect(separator="\t", names=names), names)


def ratings_dat(path: Path) -> pl.DataFrame:
    """Ratings of ml-1m and ml-10m."""
    names = ("UserID", "MovieID", "Rating", "Timestamp")
    return _ratings(path, Dialect(separator="::", names=names), names)


def atomic_item(path: Path) -> pl.DataFrame:
    """RecBole's films: the year stands in a column of its own."""
    columns = {
        "item_id": Column("item_id"),
        "movie_title": Column("title", optional=True),
        "release_year": Column("year", optional=True),
        "class": Column("genres", optional=True),
    }
    table = read_delimited(path, columns, ATOMIC)
    # A few years are no years (`V`, `unkonwn`); the title may still have it.
    year = pl.col("year").str.extract(r"^([12]\d{3})$").cast(pl.Int32)
    return _films(table, separator=" ", year=year)


def movies_csv(path: Path) -> pl.DataFrame:
    """Films of ml-latest and its kin: the year ends the title."""
    columns = {
        "movieId": Column("item_id"),
        "title": Column("title", optional=True),
        "genres": Column("genres", optional=True),
    }
    return _films(read_delimited(path, columns, CSV), separator="|")


def movies_dat(path: Path) -> pl.DataFrame:
    """Films of ml-1m and ml-10m."""
    columns = {
        "MovieID": Column("item_id"),
        "Title": Column("title", optional=True),
        "Genres": Column("genres", optional=True),
    }
    return _films(read_delimited(path, columns, Dialect("::", names=tuple(columns), encoding="any")), separator="|")


def u_item(path: Path) -> pl.DataFrame:
    """Films of ml-100k: one flag a genre."""
    names = ("movie id", "movie title", "release date", "video release date", "IMDb URL", *U_GENRES)
    columns = {
        "movie id": Column("item_id"),
        "movie title": Column("title", optional=True),
        "release date": Column("date", optional=True),
        **{genre: Column(genre, CellType.WHOLE) for genre in U_GENRES},
    }
    table = read_delimited(path, columns, Dialect("|", names=names, encoding="any"))
    flagged = [pl.when(pl.col(genre) == 1).then(pl.lit(genre)) for genre in U_GENRES]
    genres = pl.concat_str(flagged, separator="|", ignore_nulls=True).alias("genres")
    year = pl.col("date").str.extract(r"(\d{4})$").cast(pl.Int32)
    return _films(table.with_columns(genres), separator="|", year=year)


def atomic_user(path: Path) -> pl.DataFrame:
    """RecBole's people."""
    columns = {
        "user_id": Column("user_id"),
        "age": Column("age", CellType.WHOLE, optional=True),
        "gender": Column("gender", optional=True),
        "occupation": Column("occupation", optional=True),
    }
    return read_delimited(path, columns, ATOMIC)


def u_user(path: Path) -> pl.DataFrame:
    """People of ml-100k."""
    columns = {
        "user id": Column("user_id"),
        "age": Column("age", CellType.WHOLE, optional=True),
        "gender": Column("gender", optional=True),
        "occupation": Column("occupation", optional=True),
    }
    return read_delimited(path, columns, Dialect("|", names=(*columns, "zip code"), encoding="any"))


def users_dat(path: Path) -> pl.DataFrame:
    """People of ml-1m: age is the lower end of its bucket (1: under 18), occupation a code."""
    columns = {
        "UserID": Column("user_id"),
        "Gender": Column("gender", optional=True),
        "Age": Column("age", CellType.WHOLE, optional=True),
        "Occupation": Column("occupation", CellType.WHOLE, optional=True),
    }
    table = read_delimited(path, columns, Dialect("::", names=(*columns, "Zip-code"), encoding="any"))
    _check_occupations(path, table["occupation"])
    words = dict(enumerate(OCCUPATIONS))
    return table.with_columns(pl.col("occupation").replace_strict(words, return_dtype=pl.String))


def _check_occupations(path: Path, codes: pl.Series) -> None:
    unknown = codes.filter(~codes.is_between(0, len(OCCUPATIONS) - 1))
    if len(unknown):
        raise SourceError(
            f"{path}, column Occupation: found code {unknown[0]}; expected 0 to {len(OCCUPATIONS) - 1}.", GET_IT_AGAIN
        )


def _ratings(path: Path, dialect: Dialect, names: tuple[str, ...]) -> pl.DataFrame:
    table = read_delimited(path, dict(zip(names, RATING_COLUMNS, strict=True)), dialect)
    _check_times(path, table["timestamp"])
    moment = (pl.col("timestamp") * MICROSECONDS_PER_SECOND).cast(pl.Int64).cast(UTC_TIME)
    return table.select(
        "user_id", "item_id", "value", moment.alias("event_ts"), pl.lit(str(EventType.RATING)).alias("event_type")
    )


def _check_times(path: Path, seconds: pl.Series) -> None:
    """Refuse numbers that are no times at all; validation checks whether a time is plausible."""
    last = 253_402_300_799  # the end of the year 9999, the last that Python's datetime knows
    wrong = seconds.filter(~seconds.is_between(0, last) | seconds.is_nan())
    if len(wrong):
        raise SourceError(
            f"{path}, column timestamp: found {wrong[0]}; expected seconds since 1970.",
            f"Milliseconds must be divided by 1000. {GET_IT_AGAIN}",
        )


def _films(table: pl.DataFrame, separator: str, year: pl.Expr | None = None) -> pl.DataFrame:
    title_year = pl.col("title").str.extract(TITLE_YEAR).cast(pl.Int32)
    genres = pl.col("genres").fill_null("").str.split(separator)
    return table.select(
        "item_id",
        pl.col("title").str.replace(TITLE_YEAR, "").str.strip_chars(),
        genres.list.set_difference(list(NO_GENRES)).list.sort().alias("categories"),
        pl.coalesce(*([] if year is None else [year]), title_year).alias("release_year"),
    )
