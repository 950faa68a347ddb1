"""Tables as Markdown has them."""

from __future__ import annotations

from collections.abc import Sequence


def markdown_table(lines: Sequence[Sequence[str]]) -> str:
    """Lines of as many cells each below the first one, which has the columns' names.

    >>> print(markdown_table([("gate", "why"), ("ndcg", "a | b")]))
    | gate | why |
    | --- | --- |
    | ndcg | a \\| b |
    """
    heading, *rows = ([cell.replace("|", "\\|") for cell in line] for line in lines)
    return "\n".join(f"| {' | '.join(line)} |" for line in [heading, ["---"] * len(heading), *rows])
