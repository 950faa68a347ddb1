"""The examples in docstrings run, and give what they say."""

import doctest
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

TOP = Path(__file__).resolve().parents[2]
ROOMS = ("contracts", "sources", "feature_store", "recommender", "release", "pipelines", "serving", "cli", "bench")
# MLflow says of a class of its own, while it imports, that a field of it is typed Any.
OF_MLFLOW = pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning")
MARKS = {"release.answering.pyfunc_model": OF_MLFLOW}
FEWEST = 16  # modules with an example when this was written: the search finds them


def modules_with_examples() -> list[Any]:
    files = sorted(file for room in ROOMS for file in (TOP / room).rglob("*.py"))
    with_examples = [file for file in files if ">>> " in file.read_text(encoding="utf-8")]
    names = [".".join(file.relative_to(TOP).with_suffix("").parts).removesuffix(".__init__") for file in with_examples]
    return [pytest.param(name, marks=MARKS.get(name, ())) for name in names]


def test_the_modules_with_examples_are_found() -> None:
    assert len(modules_with_examples()) >= FEWEST


@pytest.mark.parametrize("name", modules_with_examples())
def test_the_examples_of_a_module_give_what_they_say(name: str) -> None:
    failed, attempted = doctest.testmod(import_module(name), optionflags=doctest.ELLIPSIS)
    assert attempted, f"{name} has no example"
    assert not failed
