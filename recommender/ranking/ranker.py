"""The ranker: LightGBM LambdaRank over what the generators proposed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from contracts.artefact import REBUILD, Meta, load_meta, reading, save_artefact
from contracts.counted import counted
from contracts.errors import ArtefactError, DataTooSmall, ReleaseMismatch, ShapeMismatch
from contracts.ids import FloatArray
from contracts.settings.ranking import RankingSettings
from recommender.ranking.contributions import TreePaths
from recommender.ranking.model_text import features_of, trees_of
from recommender.ranking.quick_trees import QuickTrees, probe_rows, quick_trees
from recommender.ranking.ranking_features import monotone_directions

if TYPE_CHECKING:
    import lightgbm as lgb

KIND = "ranker"
MODEL = "model.txt"
PROBE_SCORES = "probe_scores"  # of the meta: what LightGBM says of `probe_rows`
# NDCG of a few hundred queries jumps from tree to tree; its mean over this many neighbours does not.
SMOOTHED_TREES = 21
MAX_THREADS = 64  # as ranking.n_threads allows: a machine that cannot start so many kills the process
TRAINING_THREADS = 0  # all cores; the model says this number, and not how many there were
NDCG_AT = 10  # what early stopping watches: the length of a slate


@dataclass(frozen=True)
class RankingRows:
    """Training rows: candidates of many queries, the rows of one query together.

    values: (n_rows, n_features), columns as `names`; labels: (n_rows,) 1 where the person then wanted the item.
    group_sizes: (n_queries,) rows of each query; moments: (n_queries,) epoch seconds of the snapshot each was made at.
    weights: (n_queries,) how much each counts.
    """

    names: tuple[str, ...]
    values: FloatArray
    labels: npt.NDArray[np.int32]
    group_sizes: npt.NDArray[np.int32]
    moments: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float64]

    def of_queries(self, chosen: npt.NDArray[np.bool_]) -> RankingRows:
        """Only the rows of the chosen queries; chosen: (n_queries,)."""
        rows = np.repeat(chosen, self.group_sizes)
        return RankingRows(
            self.names,
            self.values[rows],
            self.labels[rows],
            self.group_sizes[chosen],
            self.moments[chosen],
            self.weights[chosen],
        )

    def with_unwanted(self, share: float, rng: np.random.Generator) -> RankingRows:
        """All that is wanted, and of the rest this share, drawn evenly; the rows themselves where it is 1."""
        if share == 1:
            return self
        kept = (self.labels > 0) | (rng.random(len(self.labels)) < share)
        query = np.repeat(np.arange(len(self.group_sizes)), self.group_sizes)
        sizes = np.bincount(query[kept], minlength=len(self.group_sizes)).astype(np.int32)
        return replace(self, values=self.values[kept], labels=self.labels[kept], group_sizes=sizes)


@dataclass(frozen=True)
class LearningCurve:
    """NDCG@10 after each tree, on the latest of the queries learnt from and on the later ones held back."""

    training: tuple[float, ...]
    held_back: tuple[float, ...]


@dataclass(frozen=True)
class Ranker:
    """Scores candidates; higher is better.

    text: the model, as LightGBM writes it. feature_names: the columns it expects, in order. built_with: fingerprints of
    the generators and the feature schemas. n_trees: as many as early stopping chose.
    curve: how that was chosen; trained: LightGBM's own model, just learnt; both None when loaded. quick: the same trees
    in a library that scores with them sooner, to the bit alike; None where LightGBM itself scores.

    Two snapshots of ten queries with three candidates each; the one with the largest value is the one that was chosen:

    >>> rng = np.random.default_rng(7)
    >>> values = rng.random((60, 1), np.float32)
    >>> labels = (values.reshape(20, 3) == values.reshape(20, 3).max(axis=1, keepdims=True)).astype(np.int32).ravel()
    >>> group_sizes, moments = np.full(20, 3, np.int32), np.repeat([1, 2], 10)
    >>> rows = RankingRows(("score_als",), values, labels, group_sizes, moments, np.ones(20))
    >>> settings = RankingSettings(
    ...     n_trees=5, n_leaves=4, learning_rate=0.1, min_rows_per_leaf=2, feature_share=1.0, row_share=1.0, l2=0.0,
    ...     early_stopping_rounds=5, n_threads=1, max_queries=1000,
    ... )
    >>> ranker = Ranker.fit(rows, settings, seed=7, built_with={})
    >>> low, high = ranker.score(np.array([[0.1], [0.9]], np.float32))
    >>> bool(low < high)
    True
    """

    text: str
    feature_names: tuple[str, ...]
    built_with: Mapping[str, str]
    n_trees: int
    n_threads: int
    curve: LearningCurve | None = None
    quick: QuickTrees | None = None
    trained: lgb.Booster | None = None

    @classmethod
    def fit(
        cls,
        rows: RankingRows,
        settings: RankingSettings,
        seed: int,
        built_with: Mapping[str, str],
        on_tree: Callable[[int, int], object] = lambda _learnt, _most: None,
    ) -> Ranker:
        """Choose the number of trees on the latest snapshots, held back, and then learn that many from all rows.

        on_tree: is told after each tree how many were learnt, of how many at most.
        Equal rows, settings and seed give an equal model. Raises DataTooSmall with fewer than two snapshots.
        """
        import lightgbm as lgb  # noqa: PLC0415 - who scores does without

        _check_snapshots(rows)
        held_back = _latest_quarter(rows.moments)
        learnt = rows.with_unwanted(settings.unwanted_share, np.random.default_rng(seed))
        # What is held back keeps all of its candidates: it stands for the requests that will be ranked.
        tell_tried = _telling(on_tree, 0, 2 * settings.n_trees)
        curve = _choose_trees(learnt.of_queries(~held_back), rows.of_queries(held_back), settings, seed, tell_tried)
        n_trees, n_tried = _best_n_trees(curve.held_back), len(curve.held_back)
        booster = lgb.train(
            _parameters(settings, rows.names, seed),
            _dataset(learnt),
            num_boost_round=n_trees,
            callbacks=[_telling(on_tree, n_tried, n_tried + n_trees)],
        )
        text = booster.model_to_string()
        return cls(text, rows.names, dict(built_with), n_trees, settings.n_threads, curve, trained=booster)

    @cached_property
    def booster(self) -> lgb.Booster:
        """LightGBM's own model. A server does without: what it imports takes seconds of a start, and 100 MiB."""
        import lightgbm as lgb  # noqa: PLC0415 - see above

        return lgb.Booster(model_str=self.text) if self.trained is None else self.trained

    def score(self, values: FloatArray) -> FloatArray:
        """(n,) a score per row; values: (n, n_features), columns in the order of `feature_names`."""
        self._check_shape(values)
        if not len(values):
            return np.empty(0, np.float32)
        if self.quick is not None and not np.isinf(values).any():
            return np.asarray(self.quick.predict(values, n_jobs=self.n_threads), np.float32)
        return np.asarray(self.booster.predict(values, num_threads=self.n_threads), np.float32)

    def contributions(self, values: FloatArray) -> npt.NDArray[np.float64]:
        """(n, n_features + 1) what each feature adds to each row's score, and last what every row has.

        A row's numbers sum to its score, but for its rounding to 32 bits. values: as of `score`.
        """
        self._check_shape(values)
        return self._paths.contributions(values)

    @cached_property
    def _paths(self) -> TreePaths:
        return TreePaths.of(trees_of(self.text, len(self.feature_names)))

    def _check_shape(self, values: FloatArray) -> None:
        if values.ndim != 2 or values.shape[1] != len(self.feature_names):
            raise ShapeMismatch(
                f"The ranker got rows of shape {values.shape}; it was trained on {len(self.feature_names)} features.",
                "Assemble the rows with the schemas and generators of the ranker's own release.",
            )

    def check_features(self, names: tuple[str, ...]) -> None:
        """Refuse columns other than those it was trained on, in name or order; both are printed."""
        if names != self.feature_names:
            raise ReleaseMismatch(
                f"The ranker was trained on {list(self.feature_names)}, but is given {list(names)}.",
                "They belong to different releases. Run `dvc repro ranking`, or check out one release.",
            )

    def importance(self) -> dict[str, float]:
        """By feature name, its share of the loss that all splits took away, largest first; the shares sum to 1."""
        gain = self.booster.feature_importance("gain")
        share = gain / max(gain.sum(), 1e-12)
        ranked = sorted(zip(self.feature_names, share, strict=True), key=lambda pair: (-pair[1], pair[0]))
        return {name: float(value) for name, value in ranked}

    def save(self, folder: Path) -> Meta:
        """Write the model as text and its meta; files already in the folder are covered by the meta as well."""
        folder.mkdir(parents=True, exist_ok=True)
        text, n_features = self.booster.model_to_string(), len(self.feature_names)
        (folder / MODEL).write_text(text, encoding="utf-8")
        probes = probe_rows(trees_of(text, n_features), n_features)
        values = {
            "feature_names": list(self.feature_names),
            "n_trees": self.n_trees,
            "n_threads": self.n_threads,
            "importance": self.importance(),
            PROBE_SCORES: np.asarray(self.booster.predict(probes, num_threads=1)).tolist(),
        }
        return save_artefact(folder, KIND, built_with=self.built_with, values=values)

    @classmethod
    def load(cls, folder: Path) -> Ranker:
        """Read what `save` wrote; raises ArtefactError when it is damaged or no model."""
        meta = load_meta(folder, KIND)
        with reading(folder):
            expected = tuple(str(name) for name in meta.values["feature_names"])
            n_trees, n_threads = int(meta.values["n_trees"]), int(meta.values["n_threads"])
            if not 1 <= n_threads <= MAX_THREADS:
                raise ValueError(f"it would score on {n_threads} threads")
            probe_scores = np.array(meta.values.get(PROBE_SCORES, []), np.float64)
        with reading(folder / MODEL):
            trees = trees_of((folder / MODEL).read_text(encoding="utf-8"), len(expected))
        ranker = cls(trees, expected, meta.built_with, n_trees, n_threads)
        ranker.check_features(features_of(trees))
        ranker = replace(ranker, quick=quick_trees(trees, len(expected), probe_scores))
        if ranker.quick is None:
            _check_readable(ranker, folder)
        return ranker


def _check_readable(ranker: Ranker, folder: Path) -> None:
    """Where LightGBM has to score, it reads the model now, and not at the first request."""
    import lightgbm as lgb  # noqa: PLC0415 - who scores with the quick trees does without

    try:
        ranker.booster  # noqa: B018 - read once, and kept
    except lgb.basic.LightGBMError as error:
        raise ArtefactError(f"{folder / MODEL} is no readable LightGBM model: {error}", REBUILD) from error


def _check_snapshots(rows: RankingRows) -> None:
    n_snapshots = len(np.unique(rows.moments))
    if n_snapshots < 2:
        raise DataTooSmall(
            f"Training queries were found at {counted(n_snapshots, 'snapshot')}; the ranker needs two or more.",
            "Bring more data, or raise features.n_snapshots or features.snapshot_step_share in params.yaml.",
        )


def _latest_quarter(moments: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """(n_queries,) True for the queries of the latest quarter of the snapshots, one at least."""
    snapshots = np.unique(moments)
    return np.isin(moments, snapshots[-max(1, len(snapshots) // 4) :])


def _telling(on_tree: Callable[[int, int], object], n_before: int, most: int) -> Callable[[Any], None]:
    """What LightGBM calls after each tree."""

    def tell(state: Any) -> None:
        on_tree(n_before + state.iteration + 1, most)

    return tell


def _choose_trees(
    learnt: RankingRows, held_back: RankingRows, settings: RankingSettings, seed: int, tell: Callable[[Any], None]
) -> LearningCurve:
    import lightgbm as lgb  # noqa: PLC0415 - who scores does without

    curve: dict[str, dict[str, list[float]]] = {}
    dataset = _dataset(learnt)
    # The curve on all that was learnt from would take as long as the learning.
    shown = learnt.of_queries(_latest_quarter(learnt.moments))
    lgb.train(
        _parameters(settings, learnt.names, seed),
        dataset,
        num_boost_round=settings.n_trees,
        valid_sets=[_dataset(held_back, reference=dataset), _dataset(shown, reference=dataset)],
        # LightGBM never stops early for a set of this second name.
        valid_names=["held_back", "training"],
        callbacks=[
            lgb.early_stopping(settings.early_stopping_rounds, verbose=False),
            lgb.record_evaluation(curve),
            tell,
        ],
    )
    metric = f"ndcg@{NDCG_AT}"
    return LearningCurve(tuple(curve["training"][metric]), tuple(curve["held_back"][metric]))


def _best_n_trees(held_back: tuple[float, ...]) -> int:
    """The number of trees around which the held back queries are served best."""
    window = min(SMOOTHED_TREES, len(held_back))
    smooth = np.convolve(held_back, np.full(window, 1 / window), mode="valid")
    return int(np.argmax(smooth)) + (window + 1) // 2


def _dataset(rows: RankingRows, reference: lgb.Dataset | None = None) -> lgb.Dataset:
    import lightgbm as lgb  # noqa: PLC0415 - who scores does without

    return lgb.Dataset(
        rows.values,
        rows.labels,
        group=rows.group_sizes,
        weight=_row_weights(rows),
        feature_name=list(rows.names),
        reference=reference,
        params={"verbose": -1, "feature_pre_filter": False},
        free_raw_data=False,
    )


def _row_weights(rows: RankingRows) -> npt.NDArray[np.float64] | None:
    """(n_rows,) 1 on average over the queries, so that what regularises keeps its meaning; None where all are equal."""
    if (rows.weights == rows.weights[0]).all():
        return None
    return np.repeat(rows.weights / rows.weights.mean(), rows.group_sizes)


def _parameters(settings: RankingSettings, names: tuple[str, ...], seed: int) -> dict[str, Any]:
    directions = {"monotone_constraints": monotone_directions(names)} if settings.monotone else {}
    return {
        **directions,
        "objective": "lambdarank",
        "metric": "ndcg",
        "eval_at": [NDCG_AT],
        "label_gain": [0, 1],
        "lambdarank_truncation_level": settings.truncation_level,
        "learning_rate": settings.learning_rate,
        "num_leaves": settings.n_leaves,
        "min_data_in_leaf": settings.min_rows_per_leaf,
        "feature_fraction": settings.feature_share,
        "bagging_fraction": settings.row_share,
        "bagging_freq": 1,
        "lambda_l2": settings.l2,
        "num_threads": TRAINING_THREADS,
        "seed": seed,
        # With these two the model is the same to the byte, however many threads there are: the sums of a feature are
        # one thread's. By rows it is the same too, but sums are then taken of the features left out as well.
        "deterministic": True,
        "force_col_wise": True,
        "verbose": -1,
    }
