"""Figures as a person writes them: a count with its noun, a decimal number where there is one."""

from __future__ import annotations


def counted(n: int, noun: str, plural: str | None = None) -> str:
    """`1 file`, `2,000 files`; plural: where it is not the noun with an s."""
    return f"{n:,} {noun if n == 1 else plural or f'{noun}s'}"


def decimal_text(value: float | None, digits: int = 3) -> str:
    """So many digits behind the point; empty where there is no value."""
    return "" if value is None else f"{value:.{digits}f}"
