"""What steers a terminal is written out, wherever a name from outside is printed."""

from __future__ import annotations

import json

import pytest

from cli.output import aligned, print_json, print_result
from contracts.errors import SourceError
from contracts.printable import printable, printable_line


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("Käse,\tschön 👩‍🚀", "Käse,\tschön 👩‍🚀"),
        ("a\x1b[31mb\x00\x7f\r", r"a\x1b[31mb\x00\x7f\r"),
        ("\x9b2J", r"\x9b2J"),
        ("txt.\u202efdp", r"txt.\u202efdp"),
        ("a\u2028b", r"a\u2028b"),
        ("half \ud800", r"half \ud800"),
    ],
)
def test_what_steers_a_terminal_is_written_out_and_nothing_else(text: str, printed: str) -> None:
    assert printable(text) == printed


def test_lines_stay_lines_but_in_a_name() -> None:
    assert printable("a\nb") == "a\nb"
    assert printable_line("a\nb") == r"a\nb"


def test_what_commands_print_is_written_out_and_json_stays_that_of_the_value(
    capsys: pytest.CaptureFixture[str],
) -> None:
    value = {"Käse": "a\x9b2J\x7f\u202e\n\x1b"}
    print_json(value, indented=True)
    printed = capsys.readouterr().out
    assert (printed, json.loads(printed)) == (printable(printed), value)
    assert "Käse" in printed
    print_result({}, as_json=False, text="in \x1b[2J")
    assert capsys.readouterr().out == "in \\x1b[2J\n"


def test_an_error_and_a_table_write_names_out() -> None:
    assert str(SourceError("No file a\x1b[2J.", "Look for \x9b.")) == "No file a\\x1b[2J.\n  Look for \\x9b."
    assert aligned([["a\nb", "c"]]) == r"a\nb  c"
