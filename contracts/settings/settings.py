"""params.yaml as frozen, typed settings. A misspelt, missing or out-of-range parameter is an error that says which."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, Field, ValidationError, model_validator

from contracts.errors import SettingsError
from contracts.settings.files import Files
from contracts.settings.group import Group
from contracts.settings.params_file import read_params

REQUESTER = r"^(cli:[^\s:]+|token:[0-9a-f]{64})$"
MovieLensName = Literal["ml-latest-small", "ml-100k", "ml-1m", "ml-10m", "ml-20m", "ml-25m", "ml-32m"]
PROMOTION_CUTOFF = 10  # releases are compared by NDCG at this cut-off, whatever else is measured


class SimulatorSettings(Group):
    """A world that is made up (docs/simulator.md). kind: what it is; n_users, n_items: that ever join or appear;
    seed: another one is another world."""

    kind: Literal["shop", "articles"]
    n_users: int = Field(ge=1)
    n_items: int = Field(ge=100)
    n_days: int = Field(ge=1, le=800)
    seed: int = Field(ge=0)


class IngestSettings(Group):
    """source: where the data comes from.

    path: what sources `files` and `movielens` read: a folder, file or zip relative to the checkout, or a URL.
    DVC watches it, whatever the source: it must exist.
    name: the set that source `movielens` downloads from GroupLens; null reads `path`.
    files: the mapping of source `files` (contracts/settings/files.py); `slate inspect` proposes one.
    simulator: the world of source `simulator`.
    traffic: the folder of what `slate traffic collect` brought; whatever lies there for the application is joined to
    the source's own. DVC watches it: it must exist, and may be empty.
    """

    source: Literal["movielens-100k", "movielens", "files", "simulator"]
    path: str = Field(min_length=1, pattern="^[^~]")
    name: MovieLensName | None = None
    files: Files | None = None
    simulator: SimulatorSettings | None = None
    traffic: str = Field(min_length=1, pattern="^[^~]")

    @model_validator(mode="after")
    def _what_is_needed_is_there(self) -> IngestSettings:
        if self.source == "files" and self.files is None:
            raise ValueError("source `files` needs the mapping `files`: `slate inspect FILE...` proposes one")
        if self.source != "movielens" and self.name is not None:
            raise ValueError("`name` is for source `movielens`: set it to null")
        if self.source == "simulator" and self.simulator is None:
            raise ValueError("source `simulator` makes a world up: say which under `simulator` (see presets/shop.yaml)")
        return self


class DriftSettings(Group):
    """When a column has moved (contracts/drift.py). Above warn_psi, max_psi (of its population stability index), or
    warn_category_share, max_category_share (of rows in new or in vanished categories), it is told, or fails; columns of
    fewer than min_rows on either side are not judged."""

    warn_psi: float = Field(ge=0)
    max_psi: float = Field(gt=0)
    # A profile names at most a hundred categories: what has less than a hundredth may stand among the others.
    warn_category_share: float = Field(ge=0.01, le=1)
    max_category_share: float = Field(ge=0.01, le=1)
    min_rows: int = Field(ge=1)

    @model_validator(mode="after")
    def _what_fails_was_told_before(self) -> DriftSettings:
        if self.warn_psi > self.max_psi or self.warn_category_share > self.max_category_share:
            raise ValueError("warn_psi and warn_category_share must not exceed max_psi and max_category_share")
        return self


class ValidateSettings(Group):
    """Shares are of the table's rows, 0 to 1. baseline: the file of the validation that volumes and columns are held
    against; `slate baseline accept` writes it, DVC watches it, and it must exist: `{"tables": {}}` holds nothing.
    max_user_share: of all interactions, how many one person may have. drift: against the baseline."""

    baseline: str = Field(min_length=1)
    max_quarantine_share: float = Field(ge=0, le=1)
    max_duplicate_share: float = Field(ge=0, le=1)
    max_user_share: float = Field(gt=0, le=1)
    min_interactions: int = Field(ge=1)
    min_volume_ratio: float = Field(ge=0, le=1)
    max_volume_ratio: float = Field(ge=1)
    min_value: float
    max_value: float
    drift: DriftSettings

    @model_validator(mode="after")
    def _some_value_is_in_range(self) -> ValidateSettings:
        if self.min_value > self.max_value:
            raise ValueError(f"min_value {self.min_value:g} is above max_value {self.max_value:g}: no value would pass")
        return self


class FeatureSettings(Group):
    """train_share and validation_share: shares of the interactions in time order; the rest is the test window.

    n_snapshots: moments at which training rows are made; snapshot_step_share: share of interactions between two.
    history_length: events kept per person, the latest.
    engine: what computes them, and checks the rules of `validate`; `spark` needs `make spark` and Java. It is part of a
    release's identity like the others.
    """

    engine: Literal["duckdb", "spark"] = "duckdb"
    train_share: float = Field(gt=0, lt=1)
    validation_share: float = Field(gt=0, lt=1)
    n_snapshots: int = Field(ge=2, le=50)
    snapshot_step_share: float = Field(gt=0, lt=0.5)
    history_length: int = Field(ge=1, le=10_000)

    @model_validator(mode="after")
    def _something_is_left_to_test_on(self) -> FeatureSettings:
        if self.train_share + self.validation_share >= 1:
            raise ValueError("train_share + validation_share must stay under 1: the rest is the test window")
        return self


class AlsSettings(Group):
    """Hu, Koren and Volinsky 2008. factors: width of a vector; alpha: confidence of one event."""

    factors: int = Field(ge=1, le=1024)
    regularization: float = Field(ge=0)
    alpha: float = Field(gt=0)
    iterations: int = Field(ge=1, le=1000)


class CovisitationSettings(Group):
    """The item-to-item generators. decay_days: age at which an event counts 1/e; visit_gap_hours: a longer pause ends a
    visit; n_neighbours: kept per item; popularity_damping: 0 divides by the popularity of the item of the history, 1 by
    that of the neighbour; history_length: latest items of a history that are looked at."""

    decay_days: float = Field(gt=0)
    visit_gap_hours: float = Field(gt=0)
    n_neighbours: int = Field(ge=1, le=10_000)
    popularity_damping: float = Field(ge=0, le=1)
    history_length: int = Field(ge=1, le=10_000)


class PopularSettings(Group):
    """recent_days: the window of what is popular of late.
    segment_smoothing: everybody's events mixed into a segment's own."""

    recent_days: float = Field(gt=0)
    segment_smoothing: float = Field(ge=0)


class CandidateSettings(Group):
    """One group per family of generators; all that are popular, in whatever window or segment, share theirs."""

    als: AlsSettings
    covisitation: CovisitationSettings
    popular: PopularSettings


class IndexSettings(Group):
    """exact_below: catalogues smaller than this are searched exactly; larger ones by HNSW.
    min_recall: measured recall against exact search under which the stage fails, at `recall_k`."""

    exact_below: int = Field(ge=1)
    hnsw_links: int = Field(ge=4, le=128)
    hnsw_ef_construction: int = Field(ge=8, le=2000)
    hnsw_ef_search: int = Field(ge=8, le=2000)
    recall_k: int = Field(ge=1, le=1000)
    min_recall: float = Field(ge=0, le=1)


class RankingSettings(Group):
    """LightGBM LambdaRank; names as in LightGBM, spelt out."""

    n_trees: int = Field(ge=1, le=10_000)
    n_leaves: int = Field(ge=2, le=1024)
    learning_rate: float = Field(gt=0, le=1)
    min_rows_per_leaf: int = Field(ge=1)
    feature_share: float = Field(gt=0, le=1)
    row_share: float = Field(gt=0, le=1)
    l2: float = Field(ge=0)
    early_stopping_rounds: int = Field(ge=1)
    n_threads: int = Field(ge=1, le=64)


class RequestSettings(Group):
    """How a release answers. quotas: candidates asked of each generator; n_ranked: most that are ranked;
    personal_min_events: history that makes a person `personal`; relevance_weight: 1 keeps the ranker's order,
    less trades it for diversity; exploration_share: chance that a position of the tail is drawn at random."""

    quotas: dict[str, int]
    n_ranked: int = Field(ge=10, le=5000)
    personal_min_events: int = Field(ge=1)
    relevance_weight: float = Field(gt=0, le=1)
    exploration_share: float = Field(ge=0, lt=1)
    max_k: int = Field(ge=1, le=500)

    @model_validator(mode="after")
    def _quotas_are_counts(self) -> RequestSettings:
        for name, quota in self.quotas.items():
            if not 0 <= quota <= 5000:
                raise ValueError(f"quotas.{name} is {quota}; expected 0 to 5000")
        return self


class EvaluateSettings(Group):
    """cutoffs: the k of NDCG@k and its kin, the headline's first; n_bootstrap: resamples behind an interval;
    max_people: of more people in the test window so many are drawn and asked about, which bounds the bundle as well."""

    cutoffs: list[Annotated[int, Field(ge=1, le=500)]] = Field(min_length=1)
    n_bootstrap: int = Field(ge=100, le=100_000)
    max_people: int = Field(ge=1)

    @model_validator(mode="after")
    def _the_headline_is_what_promotion_reads(self) -> EvaluateSettings:
        if self.cutoffs[0] != PROMOTION_CUTOFF:
            raise ValueError(f"cutoffs must begin with {PROMOTION_CUTOFF}: promotion compares NDCG@{PROMOTION_CUTOFF}")
        return self


class ReleaseSettings(Group):
    """n_golden_queries: requests whose answers travel with the release; golden_tolerance: largest score difference."""

    n_golden_queries: int = Field(ge=1, le=200)
    golden_tolerance: float = Field(ge=0)


class PublishSettings(Group):
    """batch_size: entities sent to the online store in one pipeline; keep_generations: how many of the generations last
    in production stay in the store, for a rollback in an instant; grace_hours: how long one that is not in production
    yet stays."""

    batch_size: int = Field(ge=1, le=100_000)
    keep_generations: int = Field(ge=1, le=1000)
    grace_hours: float = Field(ge=0)


class CanarySettings(Group):
    """What ends a canary by itself. min_people: in either arm, before answers and clicks are judged;
    max_click_loss: the share of production's click-through (of requests) that the candidate may lose;
    max_degraded_share: degraded answers above production's share, 0 to 1; srm_alpha: chance at which people divided as
    the share says would be taken for people lost in one arm."""

    min_people: int = Field(ge=100)
    max_click_loss: float = Field(ge=0, lt=1)
    max_degraded_share: float = Field(ge=0, le=1)
    srm_alpha: float = Field(gt=0, le=0.05)


class PromotionSettings(Group):
    """after_training: what a scheduled training does with its release; rule: `non_inferiority` asks that the lower end
    of the paired 95% interval of NDCG@10 against the release in production is above -max_ndcg_loss, `superiority` that
    it is above 0. max_ndcg_loss also holds against popular items, and is NDCG as it stands, no share.

    max_tier_loss: the same for each group of newcomers; of fewer than min_people nobody is judged.
    min_ndcg: floor of the NDCG@10 measured. max_relative_loss_*: the share of the champion's figure that may be lost;
    max_popularity_share_gain: places more, as a share of all, that the most popular items may take.
    parity_sample: people, and items, whose values are read online and offline; min_parity_requests: answers of the
    release that the last `slate parity` must have computed again, 0 asks for none; max_parity_share: of the values in
    them, those that may be at fault; max_p99_ms: of the request path.
    max_age_days: of the end of its data, by the release's clock (release/gates/data_gates.py); drift: of its data
    against that of the release in production.
    allowed_requesters: who may promote, `cli:<user of the machine>` or `token:<sha256 of a token>`; none: everybody.
    canary: its guard."""

    after_training: Literal["none", "staging", "production"]
    allowed_requesters: list[Annotated[str, Field(pattern=REQUESTER)]]
    rule: Literal["non_inferiority", "superiority"]
    max_ndcg_loss: float = Field(ge=0, le=1)
    max_tier_loss: float = Field(ge=0, le=1)
    min_people: int = Field(ge=1)
    min_ndcg: float = Field(ge=0, le=1)
    max_relative_loss_diversity: float = Field(ge=0, le=1)
    max_relative_loss_novelty: float = Field(ge=0, le=1)
    max_relative_loss_coverage: float = Field(ge=0, le=1)
    max_popularity_share_gain: float = Field(ge=0, le=1)
    parity_sample: int = Field(ge=1, le=100_000)
    min_parity_requests: int = Field(ge=0)
    max_parity_share: float = Field(ge=0, le=1)
    max_p99_ms: float = Field(gt=0)
    max_age_days: float = Field(gt=0)
    drift: DriftSettings
    canary: CanarySettings


class ServingSettings(Group):
    """clock: `wall`, or `release` for data that ended long ago (now = as_of + time since the server started).

    poll_ms: how often a server looks at what it should serve; kept_releases: how many releases of production stay in
    memory, the one served included, so that going back needs no loading; staging_header: whether a request may ask for
    the release in Staging with `X-Slate-Stage: staging`; request_log_length: questions kept in Redis for
    `slate shadow`, with the ids of who asked; 0 keeps none. values_log_share: of the answers, 0 to 1, those whose
    feature values are logged for `slate parity`; values_log_length: answers kept so in Redis, some 3 KB each; 0 keeps
    none.
    session_length, session_ttl_minutes: the latest events of a session that are kept, until so long after the last one.
    recent_length, recent_ttl_hours: the same of a person; they stand in for what the published values do not tell yet,
    and should reach back to when those were true. Redis holds at most length * (27 bytes + an item's id) of each.
    """

    clock: Literal["wall", "release"]
    poll_ms: int = Field(ge=10, le=60_000)
    kept_releases: int = Field(ge=1, le=10)
    staging_header: bool
    request_log_length: int = Field(ge=0, le=1_000_000)
    values_log_share: float = Field(ge=0, le=1)
    values_log_length: int = Field(ge=0, le=1_000_000)
    store_timeout_ms: int = Field(ge=1, le=60_000)
    session_ttl_minutes: int = Field(ge=1, le=1440)
    session_length: int = Field(ge=1, le=1000)
    recent_ttl_hours: int = Field(ge=1, le=8760)
    recent_length: int = Field(ge=1, le=1000)


class Settings(Group):
    """All of params.yaml."""

    app: str = Field(pattern=r"^[a-z][a-z0-9_-]{0,31}$")
    seed: int = Field(ge=0)
    ingest: IngestSettings
    validate_: ValidateSettings = Field(alias="validate")
    features: FeatureSettings
    candidates: CandidateSettings
    index: IndexSettings
    ranking: RankingSettings
    request: RequestSettings
    evaluate: EvaluateSettings
    release: ReleaseSettings
    publish: PublishSettings
    promotion: PromotionSettings
    serving: ServingSettings


def load_settings(path: Path = Path("params.yaml")) -> Settings:
    """Read and check the parameters; raises SettingsError naming every parameter that is wrong."""
    values = read_params(path)
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        problems = "\n".join(f"  {path}: {_describe(problem)}" for problem in error.errors())
        raise SettingsError(
            f"{error.error_count()} parameter(s) are wrong:\n{problems}",
            f"Mend them in {path}; every parameter is explained in contracts/settings/settings.py.",
        ) from error


def _describe(problem: Any) -> str:
    where = ".".join(str(part) for part in problem["loc"]) or "(top)"
    match problem["type"]:
        case "extra_forbidden":
            return f"`{where}` is unknown.{_did_you_mean(problem['loc'])}"
        case "missing":
            return f"`{where}` is missing."
        case _:
            return f"`{where}` is {problem['input']!r}: {problem['msg']}."


def _did_you_mean(location: tuple[str | int, ...]) -> str:
    *groups, name = (str(part) for part in location)
    try:
        group: type[BaseModel] = Settings
        for inner in groups:
            group = _member(group, inner)
    except KeyError:
        return ""
    known = [field.alias or key for key, field in group.model_fields.items()]
    close = difflib.get_close_matches(name, known, n=1)
    return f" Did you mean `{close[0]}`?" if close else f" Known here: {', '.join(known)}."


def _member(group: type[BaseModel], name: str) -> type[BaseModel]:
    for key, info in group.model_fields.items():
        if (info.alias or key) == name:
            # A group that may be left out is a union with None.
            for kind in get_args(info.annotation) or (info.annotation,):
                if isinstance(kind, type) and issubclass(kind, BaseModel):
                    return kind
    raise KeyError(name)
