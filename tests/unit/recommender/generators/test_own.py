"""Classes of a team's own: found, checked, and refused with a word on what is wrong."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from contracts.errors import ReleaseMismatch, SettingsError
from recommender.generators.base import EncodedQueries, FitInputs
from recommender.generators.own import Arrays, OwnGenerator, code_fingerprint_of, own_class, own_classes
from recommender.generators.sets import fit_generators, load_generators, save_generators
from recommender.query import QueryBatch
from tests.own_generator_page import own_params, own_project
from tests.recommender_worlds import CANDIDATE_SETTINGS, CHECKERBOARD_END, checkerboard

WHOLE = """
from recommender.generators.own import OwnGenerator

class Whole(OwnGenerator):
    name = "whole"
    @classmethod
    def learn(cls, inputs):
        return {}
    def encode(self, queries):
        raise NotImplementedError

class Again(Whole): pass
class Named(Whole):
    name = "Too Long A Name"
class Half(OwnGenerator):
    name = "half"
class Popular(Whole):
    name = "popular"
NOT_A_CLASS = 1
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    before = set(sys.modules)
    (tmp_path / "shop_whole.py").write_text(WHOLE)
    (tmp_path / "shop_broken.py").write_text("import nothing_of_this_name\n")
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.startswith("shop_"):
            del sys.modules[name]


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("shop_whole", "is not written as package.module:Class"),
        ("shop whole:Whole", "is not written as package.module:Class"),
        ("shop_gone:Whole", "has neither shop_gone/ nor shop_gone.py"),
        ("json:JSONDecoder", "has neither json/ nor json.py"),
        ("shop_broken:Whole", "cannot be imported: ModuleNotFoundError: No module named 'nothing_of_this_name'"),
        ("shop_whole:Hole", "is not there: the module shop_whole has no Hole"),
        ("shop_whole:NOT_A_CLASS", "is no generator: NOT_A_CLASS is not a subclass of "),
        ("shop_whole:Half", "lacks encode, learn"),
        ("shop_whole:Named", "has the name 'Too Long A Name'; expected a letter"),
    ],
)
def test_what_is_wrong_with_a_class_is_said(reference: str, said: str) -> None:
    with pytest.raises(SettingsError) as told:
        own_class(reference)
    assert f"candidates.own: {reference} " in str(told.value)
    assert said in str(told.value)


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("references", [("shop_whole:Whole", "shop_whole:Again"), ("shop_whole:Popular",)])
def test_a_name_that_is_taken_is_refused(references: tuple[str, ...]) -> None:
    with pytest.raises(SettingsError, match="there is a generator of this name already"):
        own_classes(references, taken=("popular",))


class TestTheProjectOfThePage:
    @pytest.fixture(autouse=True)
    def _in_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(own_project())

    def test_its_generator_is_fitted_saved_and_loaded_and_one_that_is_gone_is_refused(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        world, (own,) = checkerboard(), own_params()["candidates"]["own"]
        settings = CANDIDATE_SETTINGS.model_copy(update={"own": (own,)})
        generators = fit_generators(world.tables, world.catalogue, CHECKERBOARD_END, settings, seed=7)
        save_generators(tmp_path, world.catalogue, generators)
        assert set(own_params()["request"]["quotas"]) == {"trending"}
        assert type(load_generators(tmp_path).by_name["trending"]) is own_class(own)
        monkeypatch.chdir(tmp_path)
        with pytest.raises(ReleaseMismatch, match=r"'trending' of the project's own\. .* has neither shop_generators/"):
            load_generators(tmp_path)

    def test_other_code_makes_another_set(self, tmp_path: Path) -> None:
        world, (own,) = checkerboard(), own_params()["candidates"]["own"]
        generator = own_class(own)(world.catalogue, {})
        first = code_fingerprint_of(generator)
        before = save_generators(tmp_path, world.catalogue, {"trending": generator}).fingerprint
        added = own_project() / "shop_generators" / "added.py"
        added.write_text("HEAD = 10\n")
        try:
            assert code_fingerprint_of(generator) != first
            assert save_generators(tmp_path, world.catalogue, {"trending": generator}).fingerprint != before
        finally:
            added.unlink()


class Learning(OwnGenerator):
    """Learns whatever a test says."""

    name = "learning"

    def encode(self, queries: QueryBatch) -> EncodedQueries:
        raise NotImplementedError

    @classmethod
    def learn(cls, inputs: FitInputs) -> Arrays:
        return inputs.segments["learnt"]()  # type: ignore[no-any-return, operator]


@pytest.mark.parametrize(
    ("learnt", "said"),
    [
        (lambda: dict[str, Any]()["age"], r"fails in test_own.py:\d+: KeyError: 'age'"),
        (lambda: None, "gives NoneType; expected arrays by name"),
        (lambda: {"rise": [1, 2]}, "gives 'rise' as list; expected an array of NumPy"),
        (lambda: {"rise": np.array([None])}, "gives 'rise' as object; expected numbers"),
        (lambda: {"../rise": np.ones(2)}, "names an array '../rise'"),
        (lambda: {1: np.ones(2)}, "names an array 1; expected a name"),
    ],
    ids=["an error of theirs", "nothing", "a list", "objects", "a path", "a number for a name"],
)
def test_what_is_learnt_is_arrays_of_numbers_by_name(learnt: Callable[[], Any], said: str) -> None:
    inputs = SimpleNamespace(catalogue=None, segments={"learnt": learnt})
    with pytest.raises(SettingsError, match=rf"^Learning\.learn {said}"):
        Learning.fit(inputs)  # type: ignore[arg-type]
