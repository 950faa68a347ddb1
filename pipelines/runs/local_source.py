"""A run's worktree holds what git tracks; the data that `ingest.path` names are brought into it as links."""

from __future__ import annotations

from pathlib import Path

from contracts.settings.params_path import PARAMS
from contracts.settings.settings import load_settings


def link_source(checkout: Path, worktree: Path) -> None:
    """Link what `ingest.path` of the worktree's params.yaml names, from the checkout, unless it is there already.

    Files are linked one by one: DVC looks through links to files, but not into linked folders. An absolute path, or a
    URL, means the same in both places, and nothing is done.
    """
    path = load_settings(worktree / PARAMS).ingest.path
    source, target = checkout / path, worktree / path
    if "://" in path or source == target:
        return
    inside = sorted(file for file in source.rglob("*") if file.is_file()) if source.is_dir() else [source]
    for file in inside:
        link = target / file.relative_to(source)
        if file.is_file() and not link.exists():
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(file)
