"""Sound ids, and ids that look alike: letters of another alphabet, invisible characters."""

from __future__ import annotations

import unicodedata
from collections import defaultdict

import polars as pl

from contracts.tables import MAX_ID_LENGTH

# Letters of Cyrillic and Greek drawn as Latin ones are; NFKC folds widths, ligatures and compositions, but not these.
_CYRILLIC = dict(
    zip(
        "\u0410\u0412\u0415\u0405\u0406\u0408\u041a\u041c\u041d\u041e\u0420\u0421\u0422\u0423\u0425"
        "\u0430\u0435\u0455\u0456\u0458\u043e\u0440\u0441\u0443\u0445\u0501\u051b\u051d\u04bb",
        "ABESIJKMHOPCTYXaesijopcyxdqwh",
        strict=True,
    )
)
_GREEK = dict(
    zip(
        "\u0391\u0392\u0395\u0396\u0397\u0399\u039a\u039c\u039d\u039f\u03a1\u03a4\u03a5\u03a7"
        "\u03bf\u03b1\u03b9\u03ba\u03bd\u03c1\u03c5",
        "ABEZHIKMNOPTYXoaikvpu",
        strict=True,
    )
)
_DASHES = dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212", "-")
_DRAWN_ALIKE = str.maketrans(_CYRILLIC | _GREEK | _DASHES)
_PLAIN = r"^[\x21-\x7e]*$"


def sound_ids(ids: pl.Series) -> pl.Series:
    """The distinct ids that are not blank, not too long, and no look-alike of a plainer id."""
    distinct = ids.drop_nulls().unique()
    sound = distinct.filter(distinct.str.contains(r"\S") & (distinct.str.len_chars() <= MAX_ID_LENGTH))
    return sound.filter(~sound.is_in(look_alikes(sound).implode()))


def look_alikes(ids: pl.Series) -> pl.Series:
    """The ids that look like another id; the plainest of those that look the same is not among them.

    An id in another alphabet that looks like no other id is sound.
    """
    distinct = ids.drop_nulls().unique()
    odd = distinct.filter(~distinct.str.contains(_PLAIN))
    if odd.is_empty():
        return odd
    alike: defaultdict[str, list[str]] = defaultdict(list)
    for one in sorted(odd, key=lambda one: (not unicodedata.is_normalized("NFC", one), one)):
        alike[skeleton(one)].append(one)
    plain = set(distinct.filter(distinct.is_in(list(alike)) & distinct.str.contains(_PLAIN)))
    suspects = [one for drawn, same in alike.items() for one in (same if drawn in plain else same[1:])]
    return pl.Series(ids.name, sorted(suspects), dtype=pl.String)


def skeleton(text: str) -> str:
    """The text with characters that are drawn alike made equal, and invisible ones removed."""
    folded = unicodedata.normalize("NFKC", text).translate(_DRAWN_ALIKE)
    seen = "".join(one for one in folded if unicodedata.category(one) not in ("Cf", "Cc"))
    return " ".join(seen.split())
