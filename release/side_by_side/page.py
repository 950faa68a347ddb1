"""Two releases side by side as one HTML file that needs nothing else. Equal figures give equal bytes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from contracts.web_page import render_page
from contracts.whole_files import write_whole
from release.side_by_side.tables import metric_lines, misfit_lines, part_lines, tier_lines, title_of


def write_page(path: Path, figures: Mapping[str, Any]) -> Path:
    """Write the page and return where it is; its folder is made where it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, page(figures).encode(), shared=True)
    return path


def page(figures: Mapping[str, Any]) -> str:
    """The page's text."""
    groups = figures["groups"]
    return render_page(
        __package__,
        "side_by_side.html",
        title=f"{figures['a']['release_id']} and {figures['b']['release_id']}",
        figures=figures,
        groups=[(title_of(group, of_group), metric_lines(of_group)) for group, of_group in groups.items()],
        tiers=tier_lines(figures),
        parts=[(title_of(group, of_group), part_lines(figures, group)) for group, of_group in groups.items()]
        if figures["parts"]
        else [],
        misfits=misfit_lines(figures),
    )
