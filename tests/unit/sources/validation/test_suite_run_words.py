from __future__ import annotations

import pytest

from sources.validation.suite_run import RuleResult
from sources.validation.suites import Level, Rule


@pytest.mark.parametrize(
    ("observed", "words"),
    [(1 / 27, "0.03704"), (0.0, "0"), (25e6, "25,000,000"), (3, "3"), (None, ""), ([], ""), (["a", "b"], "a, b")],
)
def test_what_was_measured_is_told_as_people_read_it(observed: object, words: str) -> None:
    rule = Rule("share", Level.TABLE, "it is small", "ExpectTableRowCountToBeBetween", ())
    assert RuleResult(rule, False, 0, 9, observed).measured == words
