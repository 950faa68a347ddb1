"""Arrays of an artefact: what numpy writes comes back, whatever else a file says is refused before memory is taken."""

from __future__ import annotations

from mmap import mmap
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.artefact import MAPPED_FROM_BYTES, load_array, load_meta, save_artefact
from contracts.errors import ArtefactError

VALUES = np.arange(12, dtype=np.float32).reshape(3, 4)


@pytest.mark.parametrize("values", [VALUES, np.asfortranarray(VALUES), VALUES[:0]])
def test_what_was_saved_comes_back(tmp_path: Path, values: np.ndarray) -> None:
    np.save(tmp_path / "a.npy", values)
    np.testing.assert_array_equal(load_array(tmp_path, "a", np.float32, (None, 4)), values)


@pytest.mark.parametrize(
    ("dtype", "shape"), [(np.float64, (3, 4)), (np.float32, (4, 3)), (np.float32, (3,)), (np.int32, (None, None))]
)
def test_another_type_or_shape_than_asked_for_is_refused(tmp_path: Path, dtype: type, shape: tuple[int, ...]) -> None:
    np.save(tmp_path / "a.npy", VALUES)
    with pytest.raises(ArtefactError, match=r"it holds <f4 of shape \(3, 4\), expected"):
        load_array(tmp_path, "a", dtype, shape)


@pytest.mark.parametrize(
    "header",
    [
        "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999, 4), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 4), }",
        "{'descr': '|V0', 'fortran_order': False, 'shape': (3, 4), }",  # numpy divides by its width
        "{'descr': '|O', 'fortran_order': False, 'shape': (3, 4), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-3, 4), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': " + "(" * 300 + ", }",
        "",
    ],
)
def test_a_header_that_promises_something_else_is_refused(tmp_path: Path, header: str) -> None:
    text = f"{header}\n".encode()
    content = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + VALUES.tobytes()
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(ArtefactError, match=r"a\.npy is damaged"):
        load_array(tmp_path, "a", np.float32, (None, 4))


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, 175), put=st.binary(min_size=1, max_size=8), cut=st.booleans())
def test_any_bytes_give_an_array_as_asked_for_or_our_error(tmp_path: Path, at: int, put: bytes, cut: bool) -> None:
    np.save(tmp_path / "a.npy", VALUES)
    content = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(content[:at] + put + (b"" if cut else content[at + len(put) :]))
    try:
        values = load_array(tmp_path, "a", np.float32, (None, 4))
    except ArtefactError:
        return
    assert (values.dtype, values.shape[1:]) == (np.float32, (4,))


LARGE = np.arange(MAPPED_FROM_BYTES // 4 + 8, dtype=np.float32).reshape(-1, 4)


@pytest.mark.parametrize("values", [LARGE, np.asfortranarray(LARGE)])
def test_a_large_array_is_mapped_so_that_processes_share_it(tmp_path: Path, values: np.ndarray) -> None:
    np.save(tmp_path / "a.npy", values)
    loaded = load_array(tmp_path, "a", np.float32, (None, 4))
    np.testing.assert_array_equal(loaded, values)
    assert type(loaded) is np.ndarray
    assert isinstance(memory_of(loaded), mmap)
    with pytest.raises(ValueError, match="read-only"):
        loaded[0, 0] = 1


def memory_of(array: object) -> object:
    """What an array is a view of."""
    while (base := getattr(array, "base", None)) is not None:
        array = base
    return array


def test_what_is_mapped_outlives_being_saved_anew_and_can_be_what_is_saved(tmp_path: Path) -> None:
    save_artefact(tmp_path, "kind", built_with={}, arrays={"a": LARGE})
    before = load_array(tmp_path, "a", np.float32, (None, 4))
    save_artefact(tmp_path, "kind", built_with={}, arrays={"a": before})
    load_meta(tmp_path, "kind")
    save_artefact(tmp_path, "kind", built_with={}, arrays={"a": LARGE[:1]})
    np.testing.assert_array_equal(before, LARGE)
