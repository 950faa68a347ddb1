"""`slate features`: which features there are, what they say and whom to ask."""

from __future__ import annotations

from dataclasses import asdict
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.data import feature_values
from cli.output import AsJson, print_result, table
from contracts.errors import UnknownId

if TYPE_CHECKING:
    from feature_store.view_catalogue import DescribedView

COLUMNS = ("view", "entity", "window", "ttl", "default", "owner", "computed", "features")

features_app = typer.Typer(help="The features: their meaning, window, TTL, default and owner.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Register the commands of this module, and `features get`."""
    feature_values.add_to(features_app)
    app.add_typer(features_app, name="features")


@features_app.command("list")
def list_views(*, as_json: AsJson = False) -> None:
    """List the feature views: published and on-demand ones."""
    views = described_views()
    print_result([asdict(view) for view in views], as_json, table([_view_row(view) for view in views], COLUMNS))


@features_app.command()
def describe(
    name: Annotated[str, typer.Argument(help="A view or a feature, by name.")], *, as_json: AsJson = False
) -> None:
    """Describe a view or a feature, with the default that the last training of this checkout learnt."""
    view = _view_of(described_views(), name)
    learnt = _learnt_defaults()
    own = {feature.name: learnt[feature.name] for feature in view.features if feature.name in learnt}
    print_result({**asdict(view), "learnt": own}, as_json, _view_text(view, own, name, bool(learnt)))


def described_views() -> tuple[DescribedView, ...]:
    """Every view that a ranker may be given."""
    from feature_store.view_catalogue import view_catalogue
    from recommender.on_demand import VIEWS

    return view_catalogue(VIEWS)


def _view_row(view: DescribedView) -> dict[str, Any]:
    defaults = dict.fromkeys(feature.default for feature in view.features)
    names = " ".join(feature.name for feature in view.features)
    facts = {name: getattr(view, name) for name in ("entity", "window", "ttl", "owner", "computed")}
    return {"view": view.name, **facts, "default": ", ".join(defaults), "features": names}


def _view_of(views: tuple[DescribedView, ...], name: str) -> DescribedView:
    by_name = {feature.name: view for view in views for feature in view.features}
    by_name.update({view.name: view for view in views})
    if name not in by_name:
        close = get_close_matches(name, by_name)
        hint = f"Did you mean {', '.join(close)}?" if close else "See `slate features list`."
        raise UnknownId(f"No feature view and no feature is called {name!r}.", hint)
    return by_name[name]


def _learnt_defaults() -> dict[str, float]:
    """The defaults of this checkout's last training; empty before there was one."""
    from feature_store.values.values import SCHEMAS, load_schemas
    from pipelines.paths import FEATURES

    if not (FEATURES / SCHEMAS).is_file():
        return {}
    schemas = load_schemas(FEATURES)
    return {spec.name: spec.default for schema in (schemas.user, schemas.item) for spec in schema.features}


def _view_text(view: DescribedView, learnt: dict[str, float], name: str, is_trained: bool) -> str:
    lines = [
        f"{view.name}: {view.description}",
        f"  entity {view.entity}; window {view.window}; TTL {view.ttl}; owner {view.owner}; computed: {view.computed}",
    ]
    for feature in view.features:
        if name in (view.name, feature.name):
            says = f": {feature.says}" if feature.says else ""
            lines.append(f"  {feature.name}{says}")
            lines.append(f"    where missing: {feature.default}{_learnt(view, feature.name, learnt, is_trained)}")
    return "\n".join(lines)


def _learnt(view: DescribedView, feature: str, learnt: dict[str, float], is_trained: bool) -> str:
    from feature_store.view_catalogue import ON_DEMAND

    if view.computed == ON_DEMAND or not is_trained:
        return ""
    return (
        f"; here {learnt[feature]:g}" if feature in learnt else "; left out here: the training data says nothing of it"
    )
