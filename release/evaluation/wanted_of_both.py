"""What counts as wanted where two releases exclude differently: only what both may show to that person.

A window's cases were made with the rule of the release that lends them. Under another rule they ask for items that the
other release must not show, or leave out some that it may: whoever lends them would win.
"""

from __future__ import annotations

from collections.abc import Mapping

from contracts.errors import NotComparable
from contracts.settings.request import RequestSettings
from recommender.exclusion import ExclusionRule
from release.evaluation.cases import WARM
from release.evaluation.measured_window import MeasuredWindow

ADVICE = "Look at both cards."


def wanted_of_both(window: MeasuredWindow, rules: Mapping[str, RequestSettings]) -> tuple[MeasuredWindow, str]:
    """The window as both can be asked about it, and a sentence that says so; as it is and none where the rules agree.

    rules: of both releases, under the names that the sentence calls them.
    Raises NotComparable when nobody with a history wanted anything that both may show.
    """
    excluding = {ExclusionRule.of(one.excluding_events, one.excluded_days) for one in rules.values()}
    if len(excluding) == 1:
        return window, ""
    told = "; ".join(f"{name}: {_rule_text(one)}" for name, one in rules.items())
    both = window.excluding(excluding)
    if WARM not in both.cases["group"]:
        raise NotComparable(
            f"The two exclude differently ({told}), and nobody with a history wanted anything that both may show.",
            ADVICE,
        )
    return both, (
        f"The two exclude differently ({told}): only what both may show to a person counts as wanted, and an item that "
        "one alone may show takes a place and wins nothing. So this does not say which rule is worth more."
    )


def _rule_text(request: RequestSettings) -> str:
    events = "null" if request.excluding_events is None else f"[{', '.join(request.excluding_events)}]"
    days = "null" if request.excluded_days is None else f"{request.excluded_days:g}"
    return f"excluding_events {events}, excluded_days {days}"
