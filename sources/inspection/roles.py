"""Which table a file is, and which of its columns is what: guessed by names, types and values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sources.inspection.column_profiles import NEARLY_ALL, Profile
from sources.inspection.role_words import INTERACTION_WORDS, ITEM_WORDS, USER_WORDS, guess_event, name_score

Table = str
BY_VALUES = 0.5  # what cells alone say of a column, less than any name does
NEEDED = {
    "interactions": ("user_id", "item_id", "event_ts"),
    "items": ("item_id",),
    "users": ("user_id",),
}
WORDS = {"interactions": INTERACTION_WORDS, "items": ITEM_WORDS, "users": USER_WORDS}
KEYS = {"items": "item_id", "users": "user_id"}


@dataclass(frozen=True)
class Guess:
    """columns: canonical name -> the file's column; by_values: those no name speaks for, to be looked at first."""

    table: Table
    columns: Mapping[str, str]
    by_values: tuple[str, ...]


def guess_table(profiles: Mapping[str, Profile]) -> Guess | None:
    """The table that a file with these columns is; None where it is none of the three.

    Events need a person, an item and a time; items and people are told by an id that is another in every row.
    """
    events = _assign("interactions", profiles)
    both = [_assign("items", profiles), _assign("users", profiles)]
    described = max((guess for guess in both if _is_described(guess, profiles)), key=_key_score, default=None)
    if not _is_whole(events):
        return described
    # Whoever is named only by what their cells look like is nobody, where the rows are plainly items or people.
    by_values = {"user_id", "item_id"} & set(events.by_values)
    return described if described and by_values and _key_score(described)[0] > 0 else events


def described_by(profiles: Mapping[str, Profile], table: Table, key: str) -> Guess | None:
    """The file as that table, told by a column that holds the ids of one; None where it is no key of its rows."""
    if not _is_key(profiles[key], len_of(profiles)):
        return None
    others = {name: profile for name, profile in profiles.items() if name != key}
    columns = {role: name for role, name in _assign(table, others).columns.items() if role != KEYS[table]}
    return Guess(table, {KEYS[table]: key, **columns}, (KEYS[table],))


def len_of(profiles: Mapping[str, Profile]) -> int:
    """How many rows the sample has, at least."""
    return max((profile.n_filled for profile in profiles.values()), default=0)


def _assign(table: Table, profiles: Mapping[str, Profile]) -> Guess:
    """Give each role, the most telling first, to the free column that fits best."""
    scores = {
        (role, name): _score(table, role, words, profile)
        for role, words in WORDS[table].items()
        for name, profile in profiles.items()
    }
    columns: dict[str, str] = {}
    by_values: list[str] = []
    # Names first, whatever the role; what only values say comes after them, in the order of roles and columns.
    ranked = sorted(scores.items(), key=lambda item: -item[1])
    for (role, name), score in ranked:
        if score > 0 and role not in columns and name not in columns.values():
            columns[role] = name
            if score <= BY_VALUES:
                by_values.append(role)
    ordered = {role: columns[role] for role in WORDS[table] if role in columns}
    return Guess(table, ordered, tuple(by_values))


def _score(table: Table, role: str, words: str, profile: Profile) -> float:
    fits = FITS.get(role)
    if not profile.n_filled or (fits and not fits(profile)):
        return 0.0
    named = name_score(profile.name, words)
    if named:
        return named
    return BY_VALUES if table == "interactions" and _values_say(role, profile) else 0.0


def _values_say(role: str, profile: Profile) -> bool:
    match role:
        case "event_ts":
            return True  # it fits: its cells are times
        case "event_type":
            return any(guess_event(word) is not None for word in profile.examples)
        case "user_id" | "item_id":
            return (
                not profile.is_time
                and (profile.is_whole or not profile.is_number)
                and 0 < profile.distinct_share < NEARLY_ALL
            )
        case _:
            return False


FITS: Mapping[str, Callable[[Profile], bool]] = {
    "event_ts": lambda profile: profile.is_time,
    "created_ts": lambda profile: profile.is_time,
    "signup_ts": lambda profile: profile.is_time,
    "event_type": lambda profile: profile.is_word,
    "value": lambda profile: profile.is_number,
    "price": lambda profile: profile.is_number,
    "age": lambda profile: profile.is_whole,
    "release_year": lambda profile: profile.is_whole,
    "title": lambda profile: not profile.is_number and not profile.is_list,
    "user_id": lambda profile: not profile.is_list and (profile.is_whole or not profile.is_number),
    "item_id": lambda profile: not profile.is_list and (profile.is_whole or not profile.is_number),
}


def _is_whole(guess: Guess) -> bool:
    return all(role in guess.columns for role in NEEDED[guess.table])


def _is_described(guess: Guess, profiles: Mapping[str, Profile]) -> bool:
    key = guess.columns.get(KEYS[guess.table])
    return key is not None and _is_key(profiles[key], len_of(profiles))


def _is_key(profile: Profile, n_rows: int) -> bool:
    return profile.distinct_share >= NEARLY_ALL and profile.n_filled >= NEARLY_ALL * n_rows and n_rows > 1


def _key_score(guess: Guess) -> tuple[float, int]:
    key = KEYS[guess.table]
    return name_score(guess.columns[key], WORDS[guess.table][key]), len(guess.columns)
