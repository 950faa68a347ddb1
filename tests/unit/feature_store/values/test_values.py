import json
from dataclasses import replace
from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from contracts.artefact import fingerprint_array
from contracts.errors import ArtefactError, ReleaseMismatch
from contracts.events import UNSPECIFIED_TYPE
from contracts.features import Entity, FeatureSchema
from feature_store.values import generation_digest
from feature_store.values.histories import EventsByPerson
from feature_store.values.values import FeatureValues, load_schemas
from feature_store.values.values_folder import ValuesFolder
from tests.unit.feature_store.worlds import AS_OF, SCHEMAS, generation, ids_of


def test_what_is_saved_is_loaded(tmp_path):
    values = generation()
    values.save(tmp_path)
    loaded = FeatureValues.load(tmp_path)
    for name in ("users", "items", "histories"):
        assert getattr(loaded, name).equals(getattr(values, name))
    assert loaded.as_of == AS_OF
    assert loaded.generation_id == values.generation_id


def test_equal_values_in_another_order_are_the_same_generation_and_the_same_bytes(tmp_path):
    values = generation()
    shuffled = FeatureValues(values.users.reverse(), values.items.reverse(), values.histories.reverse(), AS_OF)
    assert shuffled.generation_id == values.generation_id
    values.save(tmp_path / "one")
    shuffled.save(tmp_path / "two")
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_the_id_of_known_values_is_what_it_always_was():
    """Releases carry generation ids: another way to compute them must give the same."""
    values = generation()
    assert values.generation_id == "421988fdbf7bf0b2"
    before_types = replace(values, histories=values.histories.drop("event_types"))
    assert before_types.generation_id == "5a02819d83f7dde8"
    assert replace(before_types, histories=before_types.histories.clear()).generation_id == "758f0ab319ae8817"


def test_histories_that_tell_no_types_are_saved_and_loaded_as_they_are(tmp_path):
    values = replace(generation(), histories=generation().histories.drop("event_types"))
    values.save(tmp_path)
    assert "event_types" not in FeatureValues.load(tmp_path).histories.columns
    folder = ValuesFolder(tmp_path)
    assert generation_digest.generation_id_of(folder) == folder.generation_id == values.generation_id
    events = EventsByPerson(values.histories, ids_of(values)).of(values.histories["user_id"][0])
    assert len(events) > 0
    assert set(events.event_types.tolist()) == {UNSPECIFIED_TYPE}


@pytest.mark.parametrize("rows_at_once", [1, 7, 1000])
def test_a_folder_has_the_id_of_what_was_saved_however_it_is_read(tmp_path, monkeypatch, rows_at_once):
    values = generation()
    values.save(tmp_path)
    for name in ("ROWS_AT_ONCE", "HISTORIES_AT_ONCE"):
        monkeypatch.setattr(generation_digest, name, rows_at_once)
    folder = ValuesFolder(tmp_path)
    assert folder.generation_id == generation_digest.generation_id_of(folder) == values.generation_id
    assert (folder.as_of, folder.counts) == (values.as_of, values.counts)
    assert folder.feature_names(Entity.USER) == values.feature_names(Entity.USER)


def test_a_folder_gives_its_rows_in_order_in_batches_of_the_size_asked_for(tmp_path):
    values = generation()
    values.save(tmp_path)
    batches = list(ValuesFolder(tmp_path).batches("user", 7))
    assert [batch.height for batch in batches] == [7, 7, 7, 7, 7, 5]
    assert pl.concat(batches).equals(values.users)
    (histories,) = ValuesFolder(tmp_path).batches("history", 100, ["user_id", "event_ts"])
    assert histories.equals(values.histories.select("user_id", "event_ts"))


@pytest.mark.parametrize("damage", [b"", b"PAR1", b"rubbish" * 100])
def test_a_damaged_table_of_a_folder_is_an_error_of_ours(tmp_path, damage):
    generation().save(tmp_path)
    (tmp_path / "user.parquet").write_bytes(damage)
    with pytest.raises(ArtefactError, match=r"user\.parquet is no readable"):
        list(ValuesFolder(tmp_path).batches("user", 10))
    (tmp_path / "user.parquet").unlink()
    with pytest.raises(ArtefactError, match=r"user\.parquet is missing"):
        _ = ValuesFolder(tmp_path).counts


@given(hnp.arrays(np.float32, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9)), st.integers(1, 9))
def test_an_array_hashed_in_pieces_has_the_fingerprint_of_the_whole(array, rows_at_once):
    digest = generation_digest.ArrayDigest(array.dtype, array.shape)
    for start in range(0, len(array), rows_at_once):
        digest.update(array[start : start + rows_at_once])
    assert digest.fingerprint == fingerprint_array(array)


def test_null_and_nan_are_one_missing_value():
    values = generation()
    with_nan = FeatureValues(
        values.users.with_columns(pl.col(pl.Float32).fill_null(float("nan"))), values.items, values.histories, AS_OF
    )
    assert with_nan.generation_id == values.generation_id


@pytest.mark.parametrize(
    "change",
    [
        lambda values: replace(values, as_of=AS_OF + timedelta(seconds=1)),
        lambda values: replace(values, users=values.users.with_columns(user_ever=pl.col("user_ever") + 1)),
        lambda values: replace(values, items=values.items.rename({"item_day": "item_hour"})),
        lambda values: replace(values, items=values.items.with_columns(item_id=pl.col("item_id") + "x")),
        lambda values: replace(values, histories=values.histories.head(3)),
        lambda values: replace(
            values, histories=values.histories.with_columns(event_ts=pl.col("event_ts").list.eval(pl.element() + 1))
        ),
        lambda values: replace(
            values,
            histories=values.histories.with_columns(event_types=pl.col("event_types").list.eval(7 - pl.element())),
        ),
        lambda values: replace(values, histories=values.histories.drop("event_types")),
    ],
    ids=["as_of", "a value", "a name", "an id", "fewer histories", "times", "types", "no types"],
)
def test_another_content_is_another_generation(change):
    assert change(generation()).generation_id != generation().generation_id


def test_unfinished_values_are_refused(tmp_path):
    generation().save(tmp_path)
    (tmp_path / "values.json").unlink()
    with pytest.raises(ArtefactError, match=r"values\.json is missing"):
        FeatureValues.load(tmp_path)


def test_values_that_are_not_what_was_written_are_refused_with_both_generations(tmp_path):
    values, other = generation(), generation(seed=6)
    values.save(tmp_path)
    other.users.write_parquet(tmp_path / "user.parquet")
    with pytest.raises(ArtefactError) as refused:
        FeatureValues.load(tmp_path)
    assert values.generation_id in str(refused.value)


@pytest.mark.parametrize("content", ["{", "[]", '{"as_of": 3, "generation_id": "x"}', '{"generation_id": "x"}'])
def test_a_damaged_values_file_is_refused(tmp_path, content):
    generation().save(tmp_path)
    (tmp_path / "values.json").write_text(content)
    with pytest.raises(ArtefactError, match="damaged"):
        FeatureValues.load(tmp_path)


def test_schemas_come_back_with_the_same_fingerprint(tmp_path):
    SCHEMAS.save(tmp_path)
    assert load_schemas(tmp_path) == SCHEMAS
    assert load_schemas(tmp_path).fingerprint == SCHEMAS.fingerprint


@pytest.mark.parametrize("content", ["", "{}", json.dumps({"user": {}, "item": {}})])
def test_damaged_schemas_are_refused(tmp_path, content):
    (tmp_path / "schema.json").write_text(content)
    with pytest.raises(ArtefactError, match="damaged"):
        load_schemas(tmp_path)


def test_the_matrix_is_refused_when_the_columns_are_not_the_schemas():
    swapped = FeatureSchema(Entity.USER, SCHEMAS.user.features[::-1])
    with pytest.raises(ReleaseMismatch, match="user_week"):
        generation().matrix(swapped)


def test_the_matrix_has_the_rows_in_the_order_of_the_ids():
    values = generation()
    row = values.users.filter(pl.col("user_id") == "u10").row(0)[1:]
    found = values.matrix(SCHEMAS.user)[values.ids(Entity.USER).index("u10")]
    np.testing.assert_array_equal(found, np.array(row, dtype=np.float32))


def test_everybodys_events_are_their_own():
    values = generation()
    ids = ids_of(values)
    events = EventsByPerson(values.histories, ids)
    for user_id, item_ids, event_ts, event_types, ratings in values.histories.iter_rows():
        mine = events.of(user_id)
        assert ids.external(mine.item_idx) == item_ids
        assert mine.event_ts.tolist() == event_ts
        assert mine.event_types.tolist() == event_types
        np.testing.assert_array_equal(mine.values, np.array(ratings, dtype=np.float32))
    assert len(events.of("nobody")) == 0


def test_an_item_that_the_release_does_not_know_is_refused_in_a_history():
    values = generation()
    fewer = ids_of(replace(values, items=values.items.head(3)))
    with pytest.raises(ReleaseMismatch, match="does not know"):
        EventsByPerson(values.histories, fewer)


def test_nobody_has_a_history_at_first():
    values = generation()
    assert len(EventsByPerson(values.histories.clear(), ids_of(values)).of("u3")) == 0
    assert replace(values, histories=values.histories.clear()).generation_id != values.generation_id
