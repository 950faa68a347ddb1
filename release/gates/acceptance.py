"""What somebody accepts in words: gates that may pass although they fail, each with the reason for the journal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from contracts.errors import PromotionRefused
from release.gates.gate import ACCEPTABLE, GATES

_WHICH = " and ".join(f"`{name}`" for name in ACCEPTABLE)
_HOW = (
    f"Only {_WHICH} (where the releases are not comparable, or exclude differently) can be accepted: "
    f"`--accept {ACCEPTABLE[0]}=REASON`. "
    "Of the others, `slate promote` prints the limit that they are held against."
)


def read_acceptances(texts: Sequence[str]) -> dict[str, str]:
    """The reason by the gate's name, of texts `GATE=REASON`; raises PromotionRefused where one is no such text."""
    accepted: dict[str, str] = {}
    for text in texts:
        name, _, reason = (part.strip() for part in text.partition("="))
        check_acceptable([name])
        if not reason:
            raise PromotionRefused(
                f"`--accept {name}` gives no reason, and the journal takes one.",
                f"Write why: `--accept {name}=REASON`, in quotes where it has spaces.",
            )
        accepted[name] = reason
    return accepted


def check_acceptable(names: Iterable[str]) -> None:
    """Raise PromotionRefused where one is no name of a gate, or that of a gate that no words let pass."""
    for name in names:
        if name not in GATES:
            raise PromotionRefused(f"There is no gate `{name}` to accept. The gates are: {', '.join(GATES)}.", _HOW)
        if name not in ACCEPTABLE:
            raise PromotionRefused(f"The gate `{name}` cannot be accepted.", _HOW)
