"""The text of a LightGBM model, checked before LightGBM reads it.

LightGBM trusts counts and links: a forged text makes it read what is not there, or walk in a circle. So the text must
be one that it writes for a ranker: known keys, arrays as long as the counts say, and trees that are trees.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

_HEAD_KEYS = frozenset(
    {
        "version",
        "num_class",
        "num_tree_per_iteration",
        "label_index",
        "max_feature_idx",
        "objective",
        "feature_names",
        "feature_infos",
        "tree_sizes",
    }
)
_FIXED = {
    "version": "v4",
    "num_class": "1",
    "num_tree_per_iteration": "1",
    "label_index": "0",
    "objective": "lambdarank",
}
_PER_SPLIT = ("split_gain", "threshold", "internal_value", "internal_weight")
_PER_SPLIT_INTS = ("split_feature", "decision_type", "left_child", "right_child", "internal_count")
_TREE_KEYS = frozenset(
    {*_PER_SPLIT, *_PER_SPLIT_INTS, "num_leaves", "num_cat", "is_linear", "shrinkage"}
    | {"leaf_value", "leaf_weight", "leaf_count"}
)
_CONSTRAINTS = re.compile(r"\nmonotone_constraints=[-01 ]*")  # learning kept to them; scoring reads none
_END = "end of trees\n"
_MAX_LEAVES = 1024  # as ranking.n_leaves: LightGBM walks a tree by recursion
_TREE_TITLE = re.compile(r"^Tree=[0-9]+\n", re.MULTILINE)
_INTEGER = re.compile(r"-?[0-9]{1,10}")
_FLOAT = re.compile(r"-?([0-9]{1,400}(\.[0-9]{0,400})?(e[-+]?[0-9]{1,3})?|inf|nan)")


@dataclass(frozen=True)
class Tree:
    """One tree; split 0 is its root, and the splits below a split have higher numbers.

    features, thresholds, decisions, left, right: of each split; decisions: LightGBM's bits; a child below 0 is the leaf
    `-child - 1`. leaf_values, leaf_counts: of each leaf; counts of training rows, none where it is the only leaf.
    """

    features: Sequence[int]
    thresholds: Sequence[float]
    decisions: Sequence[int]
    left: Sequence[int]
    right: Sequence[int]
    leaf_values: Sequence[float]
    leaf_counts: Sequence[int]


def trees_of(text: str, n_features: int) -> str:
    """The part of a model that scores, without what it was trained with and never reads again.

    Raises ValueError where that part is not what LightGBM writes for a ranker of so many features.
    """
    head, blank, trees = text.partition("\n\n")
    head = _CONSTRAINTS.sub("", head, count=1)
    if not (head + trees.partition(_END)[0]).isascii():
        # Its sizes count bytes, and LightGBM ends the process where it finds a digit of another alphabet.
        raise ValueError("a character is no ASCII, and LightGBM writes no other")
    fields = _parsed_fields(head.removeprefix("tree\n"), _HEAD_KEYS)
    if not head.startswith("tree\n") or any(fields[key] != value for key, value in _FIXED.items()):
        raise ValueError(f"the model starts with {head[:80]!r}, expected a `tree` with {_FIXED}")
    sizes = (fields["max_feature_idx"], len(fields["feature_names"].split()), len(fields["feature_infos"].split()))
    if sizes != (str(n_features - 1), n_features, n_features):
        raise ValueError(f"the model is of {sizes} features (last, names, infos), expected {n_features}")
    end = 0
    for number, size in enumerate(_parsed_integers(fields["tree_sizes"])):
        _check_tree(trees[end : end + max(size, 0)], number, n_features)
        end += size
    if not trees[end:].startswith(_END) or not end:
        raise ValueError("the model does not end where its last tree does, or has none")
    return f"{head}{blank}{trees[:end]}{_END}"


def features_of(text: str) -> tuple[str, ...]:
    """The names of the features of a model that `trees_of` gave, in their order."""
    head = text.partition("\n\n")[0]
    return tuple(_parsed_fields(head.removeprefix("tree\n"), _HEAD_KEYS)["feature_names"].split())


def parsed_trees(text: str) -> Iterator[Tree]:
    """The trees of a model that `trees_of` gave, in their order."""
    for body in _TREE_TITLE.split(text.removesuffix(_END))[1:]:
        fields = _parsed_fields(body.strip("\n"), _TREE_KEYS)
        yield Tree(
            features=[int(word) for word in fields["split_feature"].split()],
            thresholds=[float(word) for word in fields["threshold"].split()],
            decisions=[int(word) for word in fields["decision_type"].split()],
            left=[int(word) for word in fields["left_child"].split()],
            right=[int(word) for word in fields["right_child"].split()],
            leaf_values=[float(word) for word in fields["leaf_value"].split()],
            leaf_counts=[int(word) for word in fields["leaf_count"].split()],
        )


def _check_tree(text: str, number: int, n_features: int) -> None:
    title, _, body = text.partition("\n")
    if title != f"Tree={number}" or not body.endswith("\n\n"):
        raise ValueError(f"tree {number} starts with {title[:40]!r}")
    fields = _parsed_fields(body.strip("\n"), _TREE_KEYS)
    n_leaves, n_categorical, is_linear = (
        _parsed_integers(fields[key], 1)[0] for key in ("num_leaves", "num_cat", "is_linear")
    )
    if not 1 <= n_leaves <= _MAX_LEAVES or n_categorical or is_linear:
        raise ValueError(f"tree {number} has {n_leaves} leaves, {n_categorical} categorical splits, linear {is_linear}")
    splits = {key: _parsed_integers(fields[key], n_leaves - 1) for key in _PER_SPLIT_INTS}
    for key in _PER_SPLIT:
        _check_floats(fields[key], n_leaves - 1)
    _check_floats(fields["leaf_value"], n_leaves)
    _check_floats(fields["shrinkage"], 1)
    if n_leaves > 1:  # a tree that is one leaf says nothing else of it
        _check_floats(fields["leaf_weight"], n_leaves)
        _parsed_integers(fields["leaf_count"], n_leaves)
    if not all(0 <= feature < n_features for feature in splits["split_feature"]):
        raise ValueError(f"tree {number} splits a feature that is none of the {n_features}")
    # Bit 0 would be a categorical split; bit 1 is the side of missing values, bits 2 and 3 what counts as missing.
    if any(kind not in range(0, 11, 2) for kind in splits["decision_type"]):
        raise ValueError(f"tree {number} decides in a way that no ranker does: {splits['decision_type']}")
    _check_shape(number, splits["left_child"], splits["right_child"])


def _check_shape(number: int, left: Sequence[int], right: Sequence[int]) -> None:
    """Every split but the first, and every leaf (-1 is leaf 0), hangs on one split, which comes before it."""
    children = [*left, *right]
    parents = [*range(len(left)), *range(len(right))]
    every = [*range(-len(left) - 1, 0), *range(1, len(left))] if left else []
    if sorted(children) != every or any(0 <= child <= at for child, at in zip(children, parents, strict=True)):
        raise ValueError(f"tree {number} is no tree")


def _parsed_fields(text: str, keys: frozenset[str]) -> Mapping[str, str]:
    pairs = [line.partition("=")[::2] for line in text.split("\n")]
    fields = dict(pairs)
    if fields.keys() != keys or len(pairs) != len(fields):
        raise ValueError(f"it has the lines {sorted(fields)[:20]}, expected {sorted(keys)}")
    return fields


def _parsed_integers(text: str, length: int | None = None) -> list[int]:
    words = _split_words(text, length)
    if not all(_INTEGER.fullmatch(word) for word in words):
        raise ValueError(f"{text[:40]!r} are no integers")
    return [int(word) for word in words]


def _check_floats(text: str, length: int) -> None:
    if not all(_FLOAT.fullmatch(word) for word in _split_words(text, length)):
        raise ValueError(f"{text[:40]!r} are no numbers")


def _split_words(text: str, length: int | None) -> list[str]:
    words = text.split(" ") if text else []
    if length is not None and len(words) != length:
        raise ValueError(f"{text[:40]!r} are {len(words)} numbers, expected {length}")
    return words
