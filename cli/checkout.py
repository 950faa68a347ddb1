"""`slate setup` and `slate clean`: where this checkout keeps its state, and how to be rid of it."""

from __future__ import annotations

import shutil
from pathlib import Path

import typer

from contracts.errors import WorkspaceError
from contracts.home import Home, find_home, main_checkout

BUILT = ("data", "models", "reports", "build")


def add_to(app: typer.Typer) -> None:
    """Register the commands of this module."""
    app.command()(setup)
    app.command()(clean)


def setup() -> None:
    """Point DVC's cache and remote of this checkout at SLATE_HOME."""
    from pipelines.runs.workspace import configure_dvc

    home = find_home()
    configure_dvc(Path.cwd(), home)
    print(f"state lives in {home.root}")


def clean(
    *,
    yes: bool = typer.Option(False, "--yes", help="Do not ask."),
    traffic: bool = typer.Option(False, "--traffic", help="Remove collected traffic too, which nothing builds again."),
) -> None:
    """Remove what was built here, after asking: data, models, reports, and SLATE_HOME except the collected traffic."""
    home = find_home()
    doomed = [path for path in _what_exists(home) if traffic or path != home.traffic]
    if home.traffic.exists() and not traffic:
        print(f"{home.traffic} stays: nothing builds it again. `--traffic` removes it too.")
    if not doomed:
        print("nothing to remove")
        return
    print("This removes, for good:")
    for path in doomed:
        print(f"  {path}")
    if not yes:
        typer.confirm("Remove them?", abort=True)
    for path in doomed:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _what_exists(home: Home) -> list[Path]:
    top = Path.cwd()
    if main_checkout(top) != top.resolve():
        raise WorkspaceError(f"{top} is not the top of the main checkout.", f"cd {main_checkout(top)}, and try again.")
    built = [top / name for name in BUILT if (top / name).exists()]
    return built + (sorted(home.root.iterdir()) if home.root.exists() else [])
