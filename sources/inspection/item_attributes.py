"""Which columns of a file of items are free attributes: what a shop's customers choose by, such as colour and brand."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any, Final

from contracts.attributes import ATTRIBUTE_NAME
from sources.files.cells import NO_WORDS, YES_WORDS, word_of
from sources.inspection.role_words import TOKEN, name_score, names_person, plain
from sources.inspection.sampled_columns import SampledColumn

ATTRIBUTE_WORDS: Final = (
    "colour color farbe couleur colore kleur brand marke marque marca merk manufacturer hersteller fabricant size"
    " groesse grosse taille talla taglia maat material stoff matiere tejido gender geschlecht season saison language"
    " sprache langue idioma lingua author autor auteur autore artist kuenstler kunstler director regisseur publisher"
    " verlag editeur format binding einband weight gewicht poids peso volume width breite height hoehe hohe length"
    " laenge lange land origin herkunft condition zustand style stil vegan organic bio"
)


def item_attributes(
    samples: Mapping[str, SampledColumn], taken: Collection[str], decimal: str
) -> dict[str, str | dict[str, Any]]:
    """The mapping `attributes` of the columns that are none of `taken` and are named like an attribute.

    decimal: as the mapping of items has it; numbers written otherwise are proposed as texts.
    """
    found: dict[str, str | dict[str, Any]] = {}
    for name, column in samples.items():
        own = plain(name)
        fits = column.n_filled and not column.is_list and not column.is_time and re.fullmatch(ATTRIBUTE_NAME, own)
        if name not in taken and fits and not names_person(name) and name_score(name, ATTRIBUTE_WORDS) >= TOKEN:
            kind = _kind(column, decimal)
            found[own] = name if kind == "text" else {"column": name, "type": kind}
    return found


def _kind(column: SampledColumn, decimal: str) -> str:
    if is_yes_or_no(column):
        return "boolean"
    return "number" if column.is_number and (column.is_whole or column.has_comma == (decimal == ",")) else "text"


def is_yes_or_no(column: SampledColumn) -> bool:
    """Whether the cells are words for yes and no."""
    return bool(column.examples) and all(word_of(cell) in (*YES_WORDS, *NO_WORDS) for cell in column.examples)
