"""`slate inspect`: what files nobody has seen hold, the mapping that reads them, and what is wrong in them."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.output import AsJson, print_json
from contracts.counted import counted
from contracts.printable import printable_line

if TYPE_CHECKING:
    from sources.inspection.fitting_preset import FittingPreset
    from sources.inspection.inspection import Inspection

MAX_PROBLEMS = 30
WALL_CLOCK = """\
# Where people are served while the data goes on, set `serving.clock: wall` in params.yaml, too: with `release`, as it
# is, the time of answers and events goes on from the end of the data, which suits data that ended long ago."""
# What a preset says of its own data, and not of an export that is like it.
OF_ITS_DATA = (
    "app",
    "ingest",
    "validate",
    "features.n_snapshots",
    "candidates.item_to_item",
    "request.diversity",
    "request.placements",
)
# What a preset has because it was judged on its own simulated data alone, and not because it is known to suit others.
JUDGED_ON_ITS_DATA = ("candidates.covisitation.step_weight", "candidates.next_visit.step_weight", "request.quotas")

_NOT_TOLD = tuple(f"{key}." for key in (*OF_ITS_DATA, *JUDGED_ON_ITS_DATA))

Paths = Annotated[list[str], typer.Argument(help="Files, folders, quoted patterns or URLs of one export.")]


def add_to(app: typer.Typer) -> None:
    """Register the command of this module."""
    app.command(name="inspect")(inspect)


def inspect(paths: Paths, *, as_json: AsJson = False) -> None:
    """Read an export, propose its mapping, and list its problems; exits 1 when it can't be built as it is."""
    from contracts.clock import WallClock
    from contracts.progress import working
    from contracts.settings.settings import load_settings
    from sources.inspection.inspection import inspect_files

    settings = load_settings()
    with working("slate inspect") as begin:
        inspection = inspect_files(paths, settings.validate_, WallClock().now(), begin)
    blocks = _blocks(inspection, settings.ingest.traffic)
    if inspection.preset is not None:
        blocks |= _preset_block(inspection.preset)
    if as_json:
        print_json({**inspection.to_json(), "params": blocks}, indented=True)
    else:
        # What is served from another source, under the same name, is what this would be held against.
        named = settings.app if settings.ingest.source != "files" else None
        _print(inspection, blocks, named)
        if inspection.builds and settings.serving.clock == "release":
            print(WALL_CLOCK)
    if not inspection.builds:
        raise typer.Exit(1)


def _print(inspection: Inspection, blocks: dict[str, str], named: str | None) -> None:
    """named: what the application is called that had other data so far."""
    for group in inspection.groups:
        files = group.names[0] if len(group.names) == 1 else f"{group.names[0]} and {len(group.names) - 1} more"
        print(f"# {group.guess.table if group.guess else 'not recognised'}: {printable_line(files)}")
    if inspection.report:
        for line in str(inspection.report).splitlines():
            print(f"#   {line}")
    for note in inspection.notes:
        print(f"# {printable_line(note)}")
    if blocks:
        print("\n# Put this in place of the group `ingest` of params.yaml:")
        print(blocks["ingest"])
    if "validate" in blocks:
        print("# and set these in its group `validate`:")
        print(blocks["validate"])
    if blocks and named:
        print(f"# and write a name of your own in place of `app: {named}`: a release is held against the one in")
        print("# production under its name, and refused where its data is of another kind.\n")
    if inspection.preset is not None:
        _print_preset(inspection.preset, blocks.get("preset", ""))
    _print_problems(inspection)


def _print_preset(preset: FittingPreset, block: str) -> None:
    """block: what an export like the preset sets otherwise than params.yaml; empty where there is nothing."""
    if preset.name is None:
        print(f"# No preset fits: {preset.why}. Leave the other groups of params.yaml as they are.\n")
        return
    print(f"# The preset `{preset.name}` fits (presets/{preset.name}.yaml): {preset.why}.")
    print("# Its `ingest`, `validate` and `features.n_snapshots` are of simulated data, and nobody judged on real data")
    print("# whether its step weights and quotas are better than those of params.yaml (docs/own-data.md).")
    if block:
        print("# Set these, too, in the groups of params.yaml:")
        print(block)


def _print_problems(inspection: Inspection) -> None:
    if not inspection.problems:
        print("# Nothing is wrong with it. Next: `dvc repro`.")
        return
    ranked = sorted(inspection.problems, key=lambda problem: not problem.stops)
    n_stopping = sum(problem.stops for problem in ranked)
    if n_stopping:
        print(f"# Nothing can be built before {_to_be_mended(n_stopping, len(ranked))}:")
    else:
        print(f"# It builds as pasted. Next: `dvc repro`. {counted(len(ranked), 'thing')} to know:")
    for problem in ranked[:MAX_PROBLEMS]:
        print("\n".join(f"#   {line}" for line in str(problem).splitlines()))
    if len(inspection.problems) > MAX_PROBLEMS:
        print(f"#   ... and {len(inspection.problems) - MAX_PROBLEMS} more: `--json` lists all.")


def _to_be_mended(n_stopping: int, n_problems: int) -> str:
    """Those that stop are listed first."""
    if n_stopping == n_problems:
        return "this is mended" if n_stopping == 1 else f"these {n_stopping} things are mended"
    return (
        f"the first {n_stopping} of these {n_problems} are mended"
        if n_stopping > 1
        else (f"the first of these {n_problems} is mended")
    )


def _preset_block(preset: FittingPreset) -> dict[str, str]:
    """What the preset and the export say otherwise than params.yaml, as text; not OF_ITS_DATA, nor JUDGED_ON_ITS_DATA.

    Where the file of the preset is not there, it is what the export says alone.
    """
    from contracts.settings.presets import load_preset, preset_names

    of_preset = load_preset(Path.cwd(), preset.name) if preset.name in preset_names(Path.cwd()) else {}
    told = {key: value for key, value in of_preset.items() if not f"{key}.".startswith(_NOT_TOLD)}
    keys = told | dict(preset.instead)
    groups: dict[str, Any] = {}
    for key, value in keys.items():
        *above, name = key.split(".")
        group = groups
        for one in above:
            group = group.setdefault(one, {})
        group[name] = value
    return {"preset": _yaml(groups, dict(preset.why_instead))} if groups else {}


def _blocks(inspection: Inspection, traffic: str) -> dict[str, str]:
    """The groups of params.yaml as text, ready to paste; none where there is no proposal. traffic: stays as it is."""
    if inspection.proposal is None:
        return {}
    mapping = {
        "source": "files",
        "path": _shown_path(inspection.root),
        "name": None,
        "files": inspection.proposal.files,
        "traffic": traffic,
    }
    comments = {f"ingest.files.{key}": text for key, text in inspection.proposal.comments.items()}
    blocks = {"ingest": _yaml({"ingest": mapping}, comments)}
    least, most = inspection.values or (None, None)
    values = {} if inspection.values is None else {"min_value": least, "max_value": most}
    bounds = {name: bound.value for name, bound in inspection.bounds.items()}
    if values or bounds:
        why = {f"validate.{name}": bound.why for name, bound in inspection.bounds.items()}
        blocks["validate"] = _yaml({"validate": values | bounds}, why)
    return blocks


def _shown_path(root: str) -> str:
    """Relative to the checkout where it lies in it, so that it means the same on every machine."""
    path = Path(root)
    return str(path.relative_to(Path.cwd())) if "://" not in root and path.is_relative_to(Path.cwd()) else root


def _yaml(groups: dict[str, Any], comments: dict[str, str]) -> str:
    from ruamel.yaml import YAML
    from ruamel.yaml.representer import RoundTripRepresenter

    class Representer(RoundTripRepresenter):
        """Writes a null as the word."""

    Representer.add_representer(
        type(None), lambda representer, _: representer.represent_scalar("tag:yaml.org,2002:null", "null")
    )
    yaml = YAML()
    yaml.Representer = Representer
    yaml.width = 4096  # a long line stays one line
    text = StringIO()
    yaml.dump(_commented(groups, comments), text)
    return text.getvalue()


def _commented(value: Any, comments: dict[str, str], prefix: str = "") -> Any:
    """The value with the comments of its dotted keys behind them; numbers in a key count the parts of a list."""
    from ruamel.yaml.comments import CommentedMap, CommentedSeq

    if isinstance(value, list):
        return [_commented(inner, comments, f"{prefix}.{number}") for number, inner in enumerate(value)]
    if not isinstance(value, dict):
        return value
    mapping = CommentedMap()
    for name, inner in value.items():
        key = f"{prefix}.{name}" if prefix else name
        mapping[name] = _commented(inner, comments, key)
        if key in comments and isinstance(inner, list) and not any(isinstance(one, dict | list) for one in inner):
            # On one line: behind a name alone a comment would look as if the parts below were none of it.
            mapping[name] = CommentedSeq(inner)
            mapping[name].fa.set_flow_style()
        if key in comments and not isinstance(inner, dict):
            mapping.yaml_add_eol_comment(printable_line(comments[key]), name, column=0)
    return mapping
