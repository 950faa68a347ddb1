from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
from hypothesis import example, given, settings
from hypothesis import strategies as st

from contracts.settings.candidates import ContentVectorSettings
from contracts.tables import ITEMS_SCHEMA
from recommender.catalogue import Catalogue
from recommender.content_vectors import content_vectors

WORDS = ContentVectorSettings()
CUTOFF = datetime(2021, 1, 1, tzinfo=UTC)
BEFORE, AFTER = CUTOFF - timedelta(days=1), CUTOFF
TITLES = {
    "i9": "red woollen hat",
    "i7": "red woollen scarf",
    "i8": "steel garden spade",
    "i5": "steel garden rake",
    "i6": None,
}


def items(titles: dict[str, str | None] = TITLES, created: datetime | None = BEFORE, **more) -> pl.DataFrame:
    rows = [
        {"item_id": item_id, "title": title, "created_ts": created, "text": more.get(item_id)}
        for item_id, title in titles.items()
    ]
    return pl.DataFrame(rows, schema=ITEMS_SCHEMA)


def vectors(table: pl.DataFrame) -> dict[str, np.ndarray]:
    return dict(zip(sorted(table["item_id"]), content_vectors(table, CUTOFF, WORDS, seed=7), strict=True))


def test_what_shares_words_is_alike_and_what_shares_none_is_not():
    found = vectors(items())
    assert found["i9"] @ found["i7"] > 0.99  # hat and scarf are words of one item alone
    assert found["i8"] @ found["i5"] > 0.99
    assert abs(found["i9"] @ found["i8"]) < 1e-6


def test_rows_are_of_unit_length_and_zero_without_a_word():
    found = content_vectors(items(), CUTOFF, WORDS, seed=7)
    assert found.shape == (len(TITLES), WORDS.dim)
    assert found.dtype == np.float32
    # In the order of item_id: i6, second, has no title.
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), [1, 0, 1, 1, 1], rtol=1e-6)


def test_a_text_speaks_where_the_title_does_not():
    found = vectors(items(i6="a spade of steel for the garden"))
    assert found["i6"] @ found["i8"] > 0.99


def test_equal_items_give_equal_bytes_whatever_their_order():
    table = items(i6="steel, red")
    again = content_vectors(table.reverse(), CUTOFF, WORDS, seed=7)
    assert content_vectors(table, CUTOFF, WORDS, seed=7).tobytes() == again.tobytes()


def test_each_direction_points_to_where_its_heaviest_word_is_positive():
    # The decomposition starts from random numbers, and leaves each direction's sign to them.
    more_red = items({**TITLES, "i4": "red woollen glove", "i3": "red steel"})
    first, *others = (content_vectors(more_red, CUTOFF, WORDS, seed) for seed in range(8))
    for other in others:
        np.testing.assert_allclose(other[:, :2], first[:, :2], atol=1e-3)


def test_no_word_of_an_item_to_come_has_a_part_in_the_fit():
    to_come = items({"i1": "golden crown", "i2": "golden crown", "i3": "red crown"}, created=AFTER)
    both = vectors(pl.concat([items(), to_come]))
    alone = vectors(items())
    for item_id, vector in alone.items():
        np.testing.assert_array_equal(both[item_id], vector)
    assert not both["i1"].any()  # none of its words was there
    assert both["i3"] @ both["i9"] > 0.99


def test_a_catalogue_whose_titles_share_no_word_says_nothing():
    assert not content_vectors(items({"i1": "alpha", "i2": "beta"}), CUTOFF, WORDS, seed=7).any()
    assert not content_vectors(items({"i1": None}), CUTOFF, WORDS, seed=7).any()


def test_of_titles_that_share_exactly_one_word_those_that_have_it_are_alike():
    found = vectors(items({"i1": "red hat", "i2": "red scarf", "i3": "spade", "i4": None}))
    expected = np.eye(1, WORDS.dim, dtype=np.float32)[0]
    np.testing.assert_array_equal(found["i1"], expected)
    np.testing.assert_array_equal(found["i2"], expected)
    assert not found["i3"].any()
    assert not found["i4"].any()


@example(["red hat", "red hat"])
@given(st.lists(st.lists(st.sampled_from(["red", "hat", "spade", "the", "7"]), max_size=3).map(" ".join), max_size=6))
@settings(deadline=None, max_examples=60)
def test_whatever_few_words_titles_share_vectors_come_out(titles):
    found = content_vectors(items({f"i{number}": title for number, title in enumerate(titles)}), CUTOFF, WORDS, seed=7)
    assert found.shape == (len(titles), WORDS.dim)
    lengths = np.linalg.norm(found, axis=1)
    assert np.all(np.isclose(lengths, 1, atol=1e-5) | (lengths == 0))


def test_the_catalogue_keeps_prices_and_vectors_and_its_fingerprint_covers_them(tmp_path):
    table = items().with_columns(categories=pl.lit([], pl.List(pl.String)), price=pl.lit(4.5))
    plain = Catalogue.from_items(table.with_columns(price=pl.lit(None, pl.Float64)))
    priced = Catalogue.from_items(table)
    told = Catalogue.from_items(table, content_vectors(table, CUTOFF, WORDS, seed=7))
    assert len({plain.fingerprint, priced.fingerprint, told.fingerprint}) == 3
    told.save(tmp_path)
    loaded = Catalogue.load(tmp_path)
    assert loaded.fingerprint == told.fingerprint
    np.testing.assert_array_equal(loaded.content, told.content)
    np.testing.assert_array_equal(loaded.price, told.price)


def test_a_catalogue_without_prices_and_vectors_is_written_and_named_as_before_there_were_any(tmp_path):
    plain = Catalogue.from_items(items().with_columns(price=pl.lit(None, pl.Float64)))
    plain.save(tmp_path)
    assert not {"price.npy", "content.npy"} & {path.name for path in tmp_path.iterdir()}
    loaded = Catalogue.load(tmp_path)
    assert loaded.fingerprint == plain.fingerprint
    assert np.isnan(loaded.price).all()
    assert not loaded.content.any()
