"""The limits of a request, the same for everybody who asks: batch, the MLflow model and the command line.

Over HTTP `serving.wire` refuses the same with the field's name, before a release is looked at.
"""

from __future__ import annotations

from typing import Any

from contracts.errors import WrongInput
from contracts.filters import Filter, filter_in
from contracts.ids import UserId
from contracts.printable import is_whole_text
from contracts.slates import DEFAULT_K
from contracts.tables import MAX_ID_LENGTH


def is_too_long(k: int, most: int) -> bool:
    """Whether so many items are more than may be asked for at a placement. most: its `request.max_k`.

    DEFAULT_K, which nobody has to say, never is: where a placement has fewer at most, there are so many.
    """
    return k > most and k != DEFAULT_K


def check_length(k: int, most: int, release_id: str) -> None:
    """Raise WrongInput where this many items cannot be asked of a release. most: as of `is_too_long`."""
    if k < 1 or is_too_long(k, most):
        raise WrongInput(
            f"{k} items are wanted; release {release_id} answers 1 to {most} (request.max_k).",
            f"Ask for at least 1 and at most {most}.",
        )


def check_id(value: str, what: str) -> None:
    """Raise WrongInput for an id that is empty, too long or no text. what: the person or item, for the message."""
    if not is_whole_text(value):
        raise WrongInput(
            f"The id of {what} holds half a character: {value!r:.80}.", "Send it as UTF-8, as the export has it."
        )
    if not 1 <= len(value) <= MAX_ID_LENGTH:
        raise WrongInput(
            f"The id of {what} has {len(value)} characters, {value[:20]!r}; expected 1 to {MAX_ID_LENGTH}.",
            "Leave it out where nobody is meant, or send the id itself.",
        )


def user_id_of(value: Any) -> UserId | None:
    """A person's id from the cell of a table: a string, or an integer of which it is written; None for nobody.

    Raises WrongInput for anything else, for its text would be somebody else's id.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise WrongInput(
            f"user_id is {value!r}; expected a string, one person a row.",
            "Hand over a table with a column `user_id` of strings, such as pandas.DataFrame({'user_id': ['42']}).",
        )
    check_id(str(value), "a person")
    return UserId(str(value))


def length_of(value: Any, default: int) -> int:
    """How many items the cell of a table asks for; the default where it is empty. Raises WrongInput for no integer."""
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value):
        raise WrongInput(f"k is {value!r}; expected an integer.", "Leave it out for 10 items, or send an integer.")
    return int(value)


def filter_cell(value: Any) -> Filter | None:
    """The filter in the cell of a table, as JSON; None where it is empty. Raises WrongInput for anything else."""
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise WrongInput(f"filter is {value!r:.80}; expected JSON as a text.", "Write it with json.dumps.")
    return filter_in(value)


def placement_cell(value: object) -> str | None:
    """The name of a placement in a table; raises WrongInput for what is no text."""
    if value is None or isinstance(value, str):
        return value
    raise WrongInput(f"The placement is {value!r:.60}; expected the name of one.", "Leave it out for `home`.")
