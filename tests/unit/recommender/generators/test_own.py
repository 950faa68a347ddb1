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
from recommender.allowed_items import AllowedItems
from recommender.generators.base import EncodedQueries, FitInputs
from recommender.generators.own import Arrays, OwnGenerator, code_fingerprint_of, own_class, own_classes
from recommender.generators.sets import fit_generators, load_generators, save_generators
from recommender.proposals import Proposals
from recommender.query import QueryBatch, RetrievalQuery
from recommender.ragged import RaggedItems
from tests.own_generator_page import own_params, own_project, own_references, project_of_references
from tests.recommender_worlds import CANDIDATE_SETTINGS, CHECKERBOARD_END, CHECKERBOARD_ITEMS, checkerboard

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

    @pytest.mark.parametrize("named", [True, False])
    def test_whoever_did_what_it_says_asks_the_class_in_their_checkout(self, tmp_path: Path, named: bool) -> None:
        (tmp_path / "shop_generators").mkdir()
        (tmp_path / "shop_generators" / "trending.py").write_text("# theirs")
        own = '["shop_generators.trending:Trending"]' if named else "[]"
        (tmp_path / "params.yaml").write_text(f"candidates:\n  own: {own}\n")
        assert own_references(tmp_path) == ("shop_generators.trending:Trending",)
        assert project_of_references(tmp_path) == (tmp_path if named else own_project())

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


class Answering(OwnGenerator):
    """Answers whatever a test says: `encoded`, or an encoding that gives `proposals` and `scores`."""

    name = "answering"
    encoded: Any = None

    @classmethod
    def learn(cls, inputs: FitInputs) -> Arrays:
        return {}

    def encode(self, queries: QueryBatch) -> EncodedQueries:
        return self.encoded()  # type: ignore[no-any-return]

    @classmethod
    def that_gives(cls, proposals: Any = None, scores: Any = None) -> Answering:
        generator = cls(checkerboard().catalogue, {})
        generator.encoded = lambda: SimpleNamespace(propose=lambda k: proposals, score=lambda items: scores)
        return generator


def of_two_queries(items: Any, scores: Any = None, offsets: Any = None) -> Proposals:
    """Proposals for two queries, all of them for the second one unless told otherwise."""
    items = np.array(items, np.int32) if isinstance(items, list) else items
    scores = np.arange(len(items), 0, -1, dtype=np.float32) if scores is None else scores
    return Proposals(np.array([0, 0, len(items)]) if offsets is None else offsets, items, scores)


TWO_QUERIES = QueryBatch.of(
    [RetrievalQuery(now=0), RetrievalQuery(now=0, excluded=np.array([8], np.int32))],
    AllowedItems.of(np.arange(CHECKERBOARD_ITEMS) != 9),
)
LAST = CHECKERBOARD_ITEMS - 1
TIES = np.ones(2, np.float32)


@pytest.mark.parametrize(
    ("proposals", "said"),
    [
        (None, "gives NoneType; expected Proposals"),
        (of_two_queries([1, 2], offsets=[0, 0, 2]), "gives offsets as list; expected an array of NumPy, (3,) of int64"),
        (of_two_queries([1], offsets=np.array([0, 1])), "gives offsets as (2,) of int64; expected (3,) of int64"),
        (of_two_queries([1, 2], offsets=np.array([0, 1, 1])), "gives offsets from 0 to 1 for 2 items; expected from 0"),
        (of_two_queries([1, 2], offsets=np.array([0, 3, 2])), "gives offsets from 0 to 2 for 2 items; expected from 0"),
        (of_two_queries([1, 2], offsets=np.array([1, 1, 2])), "gives offsets from 1 to 2 for 2 items; expected from 0"),
        (of_two_queries(np.array([1, 2])), "gives item_idx as (2,) of int64; expected (n,) of int32"),
        (of_two_queries(np.ones((1, 2), np.int32)), "gives item_idx as (1, 2) of int32; expected (n,) of int32"),
        (of_two_queries([1, 2], np.ones(3, np.float32)), "gives scores as (3,) of float32; expected (2,) of float32"),
        (of_two_queries([1, 2], np.ones(2)), "gives scores as (2,) of float64; expected (2,) of float32"),
        (of_two_queries([1, 2, 3, 4]), "gives 4 items for one query; expected at most 3"),
        (of_two_queries([1_000_000]), f"gives item 1000000; expected 0 to {LAST}, the items of the catalogue"),
        (of_two_queries([LAST + 1]), f"gives item {LAST + 1}; expected 0 to {LAST}"),
        (of_two_queries([-1]), f"gives item -1; expected 0 to {LAST}"),
        (of_two_queries([1], np.array([np.inf], np.float32)), "gives item 1 the score inf; expected a finite one"),
        (of_two_queries([1], np.array([np.nan], np.float32)), "gives item 1 the score nan; expected a finite one"),
        (of_two_queries([5, 3, 5]), "gives item 5 twice to one query; expected each item once"),
        (of_two_queries([1, 8]), "gives item 8, which the query excludes"),
        (of_two_queries([1, 9]), "gives item 9, which the filter leaves out"),
        (of_two_queries([1, 2], TIES.cumsum()), "gives item 1 of score 1.0 before item 2 of 2.0; expected the best"),
        (of_two_queries([2, 1], TIES), "gives item 2 of score 1.0 before item 1 of 1.0; expected the best first"),
    ],
)
def test_what_a_class_proposes_is_held_to_the_promise(proposals: Any, said: str) -> None:
    with pytest.raises(SettingsError) as told:
        Answering.that_gives(proposals).encode(TWO_QUERIES).propose(3)
    assert str(told.value).startswith(f"Answering.propose {said}")


@pytest.mark.parametrize(
    ("scores", "said"),
    [
        ([1.0, 2.0], "gives scores as list; expected an array of NumPy, (2,) of float32"),
        (np.ones(3, np.float32), "gives scores as (3,) of float32; expected (2,) of float32"),
        (np.ones((2, 1), np.float32), "gives scores as (2, 1) of float32; expected (2,) of float32"),
        (np.ones(2), "gives scores as (2,) of float64; expected (2,) of float32"),
        (np.array([1, -np.inf], np.float32), "gives item 7 the score -inf; expected a finite one, or NaN"),
    ],
)
def test_what_a_class_scores_is_held_to_the_promise(scores: Any, said: str) -> None:
    items = RaggedItems.of([np.array([4], np.int32), np.array([7], np.int32)])
    with pytest.raises(SettingsError) as told:
        Answering.that_gives(scores=scores).encode(TWO_QUERIES).score(items)
    assert str(told.value).startswith(f"Answering.score {said}")


def test_what_keeps_the_promise_is_passed_on_as_it_is() -> None:
    # 8 is excluded of the second query alone, 3 is given to both, and the scores rise where the second one begins.
    kept = of_two_queries([8, 3, 1, 3], np.array([2, 1, 2, 2], np.float32), np.array([0, 2, 4]))
    scores = np.array([np.nan, 1], np.float32)
    encoded = Answering.that_gives(kept, scores).encode(TWO_QUERIES)
    assert encoded.propose(3) is kept
    assert encoded.score(RaggedItems.of([np.array([4], np.int32), np.array([7], np.int32)])) is scores
    nothing = Proposals.none(len(TWO_QUERIES))
    assert Answering.that_gives(nothing).encode(TWO_QUERIES).propose(3) is nothing


def test_a_class_that_fails_when_asked_is_named_with_the_line() -> None:
    generator = Answering(checkerboard().catalogue, {})
    with pytest.raises(SettingsError, match=r"^Answering\.encode fails in test_own\.py:\d+: TypeError: 'NoneType'"):
        generator.encode(TWO_QUERIES)
    generator.encoded = lambda: SimpleNamespace(propose=dict[int, Proposals]().__getitem__, score=None)
    with pytest.raises(SettingsError, match=r"^Answering\.encode gives SimpleNamespace without score; expected"):
        generator.encode(TWO_QUERIES)
    generator.encoded = lambda: SimpleNamespace(propose=lambda k: {}[k], score=lambda items: 1 / 0)
    with pytest.raises(SettingsError, match=r"^Answering\.propose fails in test_own\.py:\d+: KeyError: 3"):
        generator.encode(TWO_QUERIES).propose(3)
    with pytest.raises(SettingsError, match=r"^Answering\.score fails in test_own\.py:\d+: ZeroDivisionError"):
        generator.encode(TWO_QUERIES).score(RaggedItems.of([]))


def test_a_class_that_hands_on_what_its_parent_makes_is_checked_too() -> None:
    class Heir(Answering):
        def encode(self, queries: QueryBatch) -> EncodedQueries:
            return super().encode(queries)

    class Mixed(SaysNothing, OwnGenerator):
        name = "mixed"
        learn = Answering.learn

    with pytest.raises(SettingsError, match=r"Heir\.propose gives item -1"):
        Heir.that_gives(of_two_queries([-1])).encode(TWO_QUERIES).propose(3)
    with pytest.raises(SettingsError, match=r"Mixed\.encode gives NoneType without propose and score"):
        Mixed(checkerboard().catalogue, {}).encode(TWO_QUERIES)


class SaysNothing:
    """A mixin, which is no generator itself."""

    def encode(self, queries: QueryBatch) -> EncodedQueries:
        return None  # type: ignore[return-value]
