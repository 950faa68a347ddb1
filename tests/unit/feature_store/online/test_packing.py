import struct
import zlib
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from contracts.errors import ArtefactError, ReleaseMismatch
from contracts.events import UNSPECIFIED_TYPE
from contracts.features import Entity, FeatureSchema, FeatureSpec, History
from feature_store.online.packing import (
    HEADER,
    UnpackedRows,
    epoch_seconds,
    key_hashes,
    layout_fingerprint,
    moment_of,
    pack_histories,
    pack_history,
    pack_rows,
    unpack_history,
    unpack_rows,
)
from tests.seals import row_checksum

ID_MAP = "00112233445566ff"


def schema(*names: str, entity: Entity = Entity.USER, default: float = 0.0) -> FeatureSchema:
    return FeatureSchema(entity, tuple(FeatureSpec(name, default, 30.0) for name in names))


def packed_rows(values: np.ndarray, layout: str, written: int) -> list[bytes]:
    return pack_rows(values, layout, written, names(len(values)))


def names(n: int) -> list[bytes]:
    return [b"u%d" % number for number in range(n)]


def unpacked(packed: list[bytes | None], schema: FeatureSchema) -> UnpackedRows:
    return unpack_rows(packed, key_hashes(name.decode() for name in names(len(packed))), schema)


def history(n: int) -> History:
    numbers = np.arange(n)
    return History(numbers.astype(np.int32), numbers, (1 + numbers % 6).astype(np.uint8), np.ones(n, np.float32))


def one_event(item_idx: int, event_type: int) -> History:
    return History(
        np.array([item_idx], np.int32), np.array([99]), np.array([event_type], np.uint8), np.array([4.5], np.float32)
    )


def test_a_row_is_a_header_of_sixteen_bytes_and_one_float_per_feature():
    two = schema("user_a", "user_b")
    layout = layout_fingerprint(two)
    (packed,) = pack_rows(np.array([[1.5, np.nan]], dtype=np.float32), layout, 1_000_000, [b"u7"])
    assert packed[:16] == b"SR\x03\x00" + struct.pack("<I", 1_000_000) + bytes.fromhex(layout)
    assert packed[16:20] == struct.pack("<I", row_checksum(packed, "u7"))
    assert packed[20:24] == struct.pack("<f", 1.5)
    assert np.isnan(struct.unpack("<f", packed[24:28]))
    assert len(packed) == 16 + 4 + 2 * 4


@given(st.integers(0, 3), st.integers(0, 8 * (20 + 8) - 1))
def test_a_row_of_which_one_bit_changed_is_not_known_or_refused(number, bit):
    shape = schema("user_a", "user_b")
    packed = packed_rows(np.arange(8, dtype=np.float32).reshape(4, 2), layout_fingerprint(shape), 7)
    spoilt = bytearray(packed[number])
    spoilt[bit // 8] ^= 1 << bit % 8
    try:
        rows = unpacked([*packed[:number], bytes(spoilt), *packed[number + 1 :]], shape)
    except ArtefactError:
        assert bit < 8 * 4 or 8 * 8 <= bit < 8 * 16  # magic, version or layout
        return
    assert rows.damaged.tolist() == [at == number for at in range(4)]
    assert rows.known.tolist() == [at != number for at in range(4)]
    assert np.isnan(rows.values[number]).all()


def test_the_row_of_somebody_else_and_a_row_of_nan_written_over_it_are_not_known():
    shape = schema("user_a", "user_b")
    mine, other = packed_rows(np.ones((2, 2), dtype=np.float32), layout_fingerprint(shape), 7)
    rows = unpacked([other, mine[:20] + struct.pack("<2f", np.nan, np.nan)], shape)
    assert (rows.known.tolist(), rows.damaged.tolist()) == ([False, False], [True, True])


def test_values_that_changed_places_within_a_row_are_noticed():
    shape = schema("user_a", "user_b")
    (row,) = packed_rows(np.array([[1.0, 2.0]], dtype=np.float32), layout_fingerprint(shape), 7)
    assert unpacked([row[:20] + row[24:28] + row[20:24]], shape).damaged.all()


def test_rows_without_a_seal_are_read_beside_those_that_have_one():
    shape = schema("user_a", "user_b")
    layout = layout_fingerprint(shape)
    sealed = packed_rows(np.array([[1.0, 2.0], [3.0, 4.0]], dtype=np.float32), layout, 7)
    before = [b"SR\x02" + row[3:16] + row[20:] for row in sealed]
    for packed in (before, [before[0], sealed[1]], [None, before[1]]):
        rows = unpacked(packed, shape)
        assert rows.known.tolist() == [row is not None for row in packed]
        assert rows.values[1].tolist() == [3.0, 4.0]
        assert rows.written[1] == 7
        assert not rows.damaged.any()


@given(st.integers(0, 8 * (20 + 2 * 12) - 1))
def test_a_history_of_which_one_bit_changed_is_no_history_or_refused(bit):
    spoilt = bytearray(pack_history(history(2), ID_MAP, 5, "u1"))
    spoilt[bit // 8] ^= 1 << bit % 8
    try:
        assert unpack_history(bytes(spoilt), ID_MAP, "u1") is None
    except ArtefactError:
        assert bit < 8 * 3 or 8 * 8 <= bit < 8 * 16


def test_the_history_of_somebody_else_is_no_history():
    assert unpack_history(pack_history(history(2), ID_MAP, 5, "u2"), ID_MAP, "u1") is None


@pytest.mark.parametrize("version", [2, 3])
def test_a_history_without_a_seal_is_read(version):
    packed = pack_history(history(2), ID_MAP, 5, "u2")
    before = packed[:2] + bytes([version]) + packed[3:16] + packed[20:]
    events = unpack_history(before, ID_MAP, "u1")
    assert events is not None
    assert events.item_idx.tolist() == [0, 1]


def test_a_history_is_a_header_and_twelve_bytes_per_event():
    packed = pack_history(one_event(item_idx=7, event_type=4), ID_MAP, 5, "u1")
    event = struct.pack("<IIf", 4 * 2**28 + 7, 99, 4.5)
    head = b"SH\x05\x00" + struct.pack("<I", 5) + bytes.fromhex(ID_MAP)
    checksum = zlib.crc32(head + struct.pack("<I", zlib.crc32(b"u1")) + event)
    assert packed == head + struct.pack("<I", checksum) + event


def test_a_history_that_tells_no_types_says_so_and_is_read():
    packed = pack_history(one_event(item_idx=7, event_type=UNSPECIFIED_TYPE), ID_MAP, 5, "u1")
    assert packed[:16] == b"SH\x04\x00" + struct.pack("<I", 5) + bytes.fromhex(ID_MAP)
    assert packed[20:] == struct.pack("<iIf", 7, 99, 4.5)
    events = unpack_history(packed, ID_MAP, "u1")
    assert events is not None
    assert events.event_types.tolist() == [UNSPECIFIED_TYPE]


@pytest.mark.parametrize(("item_idx", "event_type"), [(2**28, 1), (1, 16)])
def test_an_item_or_a_type_that_its_bits_cannot_hold_is_refused(item_idx, event_type):
    with pytest.raises(ArtefactError, match=f"item number {item_idx} and event type {event_type}"):
        pack_history(one_event(item_idx, event_type), ID_MAP, 5, "u1")
    assert len(pack_history(one_event(2**28 - 1, 15), ID_MAP, 5, "u1")) == 20 + 12


@given(
    hnp.arrays(np.float32, hnp.array_shapes(min_dims=2, max_dims=2, max_side=6), elements=st.floats(width=32)),
    st.integers(0, 2**32 - 1),
    st.data(),
)
def test_rows_come_back_bit_for_bit_in_the_order_asked_with_the_unknown_in_between(values, written, data):
    shape = schema(*(f"user_{position}" for position in range(values.shape[1])))
    packed = packed_rows(values, layout_fingerprint(shape), written)
    asked = data.draw(st.lists(st.sampled_from([None, *range(len(values))]), max_size=10))
    keys = key_hashes(f"u{position or 0}" for position in asked)
    rows = unpack_rows([None if position is None else packed[position] for position in asked], keys, shape)
    assert rows.known.tolist() == [position is not None for position in asked]
    for row, found, position in zip(rows.values, rows.written, asked, strict=True):
        if position is None:
            assert np.isnan(row).all()
        else:
            np.testing.assert_array_equal(row, values[position])
            assert found == written


@given(
    st.lists(
        st.tuples(
            st.integers(0, 2**28 - 1), st.integers(0, 2**32 - 1), st.integers(UNSPECIFIED_TYPE, 15), st.floats(width=32)
        )
    )
)
def test_a_history_comes_back_as_it_was(events):
    item_idx, event_ts, event_types, values = zip(*events, strict=True) if events else ((), (), (), ())
    before = History(
        np.array(item_idx, dtype=np.int32),
        np.array(event_ts, dtype=np.int64),
        np.array(event_types, dtype=np.uint8),
        np.array(values, dtype=np.float32),
    )
    after = unpack_history(pack_history(before, ID_MAP, 1, "ü1"), ID_MAP, "ü1")
    assert after is not None
    np.testing.assert_array_equal(after.item_idx, before.item_idx)
    np.testing.assert_array_equal(after.event_ts, before.event_ts)
    np.testing.assert_array_equal(after.event_types, before.event_types)
    np.testing.assert_array_equal(after.values, before.values)
    dtypes = (after.item_idx.dtype, after.event_ts.dtype, after.event_types.dtype, after.values.dtype)
    assert dtypes == (np.int32, np.int64, np.uint8, np.float32)


@pytest.mark.parametrize(
    "other",
    [schema("user_b", "user_a"), schema("user_a", "user_c"), schema("user_a", "user_b", entity=Entity.ITEM)],
    ids=["order", "names", "entity"],
)
def test_a_row_of_another_layout_is_refused_and_both_layouts_are_named(other):
    written_with = schema("user_a", "user_b")
    packed = packed_rows(np.zeros((1, 2), dtype=np.float32), layout_fingerprint(written_with), 1)
    with pytest.raises(ReleaseMismatch) as refused:
        unpacked(packed, other)
    assert layout_fingerprint(written_with) in str(refused.value)
    assert layout_fingerprint(other) in str(refused.value)


def test_defaults_belong_to_the_release_that_reads_and_not_to_the_row():
    packed = packed_rows(np.ones((1, 1), dtype=np.float32), layout_fingerprint(schema("user_a", default=1.0)), 1)
    assert unpacked(packed, schema("user_a", default=2.0)).known.all()


def test_a_history_of_another_id_map_is_refused():
    with pytest.raises(ReleaseMismatch, match="ffffffffffffffff"):
        unpack_history(pack_history(history(2), ID_MAP, 1, "u1"), "f" * 16, "u1")


@given(st.binary(max_size=64))
def test_hostile_bytes_raise_and_never_crash(content):
    with pytest.raises(ArtefactError):
        unpacked([content], schema("user_a", "user_b"))
    with pytest.raises(ArtefactError):
        unpack_history(content, ID_MAP, "u1")


def test_a_row_or_history_cut_short_is_damaged():
    shape = schema("user_a")
    (row,) = packed_rows(np.zeros((1, 1), dtype=np.float32), layout_fingerprint(shape), 1)
    with pytest.raises(ArtefactError, match="23"):
        unpacked([row, row[:-1]], shape)
    with pytest.raises(ArtefactError, match="whole number"):
        unpack_history(pack_history(history(1), ID_MAP, 1, "u1")[:-1], ID_MAP, "u1")


@pytest.mark.parametrize("version", [1, 7])
def test_a_row_or_history_of_another_format_version_is_refused_with_both_versions(version):
    shape = schema("user_a")
    (row,) = packed_rows(np.zeros((1, 1), dtype=np.float32), layout_fingerprint(shape), 1)
    other = row[:2] + bytes([version]) + row[3:]
    with pytest.raises(ArtefactError, match=f"format version {version}; this Slatework reads 2 and 3"):
        unpacked([row, other], shape)
    packed = pack_history(history(1), ID_MAP, 1, "u1")
    with pytest.raises(
        ArtefactError, match=f"format version {version}; this Slatework reads 2 and 3 and 4 and 5 and 6"
    ):
        unpack_history(packed[:2] + bytes([version]) + packed[3:], ID_MAP, "u1")


@given(st.lists(st.integers(0, 5), max_size=6))
def test_histories_packed_together_are_those_packed_one_by_one(lengths):
    everybody = history(sum(lengths))
    starts = np.cumsum([0, *lengths])
    one_by_one = [
        pack_history(everybody.where(slice(start, start + length)), ID_MAP, 1, f"u{number}")
        for number, (start, length) in enumerate(zip(starts, lengths, strict=False))
    ]
    assert pack_histories(everybody, lengths, ID_MAP, 1, names(len(lengths))) == one_by_one


def test_a_row_is_not_read_as_a_history():
    (row,) = packed_rows(np.zeros((1, 3), dtype=np.float32), ID_MAP, 1)
    with pytest.raises(ArtefactError, match="Something else wrote"):
        unpack_history(row, ID_MAP, "u0")


def test_a_moment_is_packed_in_whole_seconds_rounded_down():
    moment = datetime(2020, 1, 1, 0, 0, 5, 999_999, tzinfo=UTC)
    assert moment_of(epoch_seconds(moment)) == datetime(2020, 1, 1, 0, 0, 5, tzinfo=UTC)


@pytest.mark.parametrize("seconds", [-1, 2**32])
def test_a_moment_that_four_bytes_cannot_hold_is_refused(seconds):
    with pytest.raises(ArtefactError, match="1970 to 2106"):
        epoch_seconds(datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds))


def test_the_header_is_sixteen_bytes():
    assert HEADER.size == 16
