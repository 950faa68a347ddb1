"""Words with which exports name their columns and events, in several languages.

A guess is proposed to a person; no stage uses one.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Literal

from contracts.events import EventType

INTERACTION_WORDS: Mapping[str, str] = {
    "event_ts": "timestamp time datetime date ts event_time datum zeit zeitpunkt zeitstempel uhrzeit when occurred"
    " fecha heure horodatage instant moment momento hora ora tijd tijdstip created created_at day tag",
    "user_id": "user user_id customer kunde kunden client cliente klant visitor besucher member mitglied account konto"
    " person shopper buyer kaeufer kaufer reader leser subscriber abonnent utilisateur usuario uid nutzer benutzer"
    " reviewer profile viewer listener acheteur visiteur membre utente gebruiker horer hoerer zuhorer zuhoerer",
    "item_id": "item item_id product produkt producto produit prodotto article artikel articulo articolo sku asin movie"
    " film book buch song track content document offer listing news video show isbn ean gtin ware recipe game"
    " course stock stock_code stockcode beitrag sendung folge episode podcast",
    "event_type": "event event_type action aktion ereignis type typ activity behavior behaviour verb vorgang accion"
    " evento evenement interaction kind",
    "session_id": "session sitzung visit besuch invoice invoiceno order orderno order_id basket receipt transaction"
    " transaction_id cart rechnung rechnungsnr rechnungsnummer bestellung bestellnr bestellnummer auftrag auftragsnr"
    " auftragsnummer belegnr belegnummer beleg bon commande facture factura pedido ordine"
    " fattura ticket",
    "request_id": "request request_id",
    "quantity": "quantity qty menge anzahl stueck stuck quantite cantidad quantita aantal units pieces count",
    "value": "value rating score stars sterne bewertung price preis amount betrag revenue umsatz total prix precio"
    " importe montant wert duration seconds dwell sales total_price unit_price unitprice"
    " sekunden sekunde dauer minuten",
}
ITEM_WORDS: Mapping[str, str] = {
    "item_id": INTERACTION_WORDS["item_id"],
    "title": "title titel name bezeichnung label nombre nom titre headline ueberschrift libelle designation"
    " intitule titulo titolo denominazione naam artikelbezeichnung artikelname produktbezeichnung produktname",
    "categories": "category categories kategorie genre genres warengruppe gruppe group department tags topic categoria"
    " categorie section ressort famille familia famiglia rayon rubrique reparto departamento",
    "text": "text description beschreibung abstract body summary inhalt descripcion plot texte descriptif descrizione"
    " omschrijving",
    "price": "price preis prix precio prezzo prijs cost uvp amount betrag",
    "created_ts": "created created_at added angelegt published erschienen launched listed available since date datum",
    "in_stock": "in_stock instock stock availability is_available lieferbar verfuegbar verfugbar bestand lagerbestand"
    " lager disponible disponibilite disponibilidad disponibilita inventory on_hand stock_quantity",
    "release_year": "year jahr annee release_year erscheinungsjahr",
}
USER_WORDS: Mapping[str, str] = {
    "user_id": INTERACTION_WORDS["user_id"],
    "signup_ts": "signup signup_ts registered registriert joined angemeldet created created_at since seit date datum"
    " inscrit inscription alta registrado iscritto ingeschreven",
    "age": "age alter edad",
    "gender": "gender sex geschlecht anrede",
    "occupation": "occupation job beruf profession",
}
PRICE_NAMES = "price preis prix precio prezzo amount betrag montant revenue total sales umsatz"
# What all pieces of a row cost, by its name alone.
TOTAL_NAMES = "sales revenue umsatz total total_price line_total linetotal subtotal gesamtpreis gesamt importe_total"
ORDER_NAMES = (
    "invoice invoiceno order orderno order_id receipt transaction transaction_id rechnung rechnungsnr rechnungsnummer"
    " bestellung bestellnr bestellnummer auftrag auftragsnr auftragsnummer belegnr belegnummer beleg commande facture"
    " factura pedido ordine fattura"
)
# What stands among the goods of an order and is none: parts of its code or its name.
SHIPPING_WORDS = (
    "shipping postage delivery freight porto versand liefer fracht livraison port_de envio gastos spedizione"
)
# Names of columns that say what somebody did, whatever else stands in the name.
EVENT_NAMES = (
    "event action aktion ereignis activity behavior behaviour verb vorgang accion evento evenement interaction"
)
# Kinds of something else than what somebody did: payment_type, ship_mode, product_type.
OTHER_KINDS = (
    "payment pay zahlung zahlungs zahlart zahlungsart zahlungstyp paiement pago pagamento betaling ship shipping"
    " shipment versand versandart delivery lieferung lieferart livraison envio method methode mode order product item"
    " article artikel device customer user kunde kunden client content media file card currency channel store"
)
# Names of columns that say how an order stands.
STATE_NAMES = (
    "status state zustand estado etat statut stato toestand orderstatus bestellstatus auftragsstatus lieferstatus"
    " zahlstatus zahlungsstatus fulfillment fulfilment"
)
# Parts of the words for orders of which the goods came back, and for those that were never bought.
RETURNED_WORDS = (
    "refund retour return rueckgabe ruckgabe rucksend ruecksend zuruck zurueck erstatt rembours reembols rimbors devol"
    " devuelt restitu terugbetaald chargeback"
)
CANCELLED_WORDS = (
    "cancel storn annul abgebrochen void failed fehlgeschl declined denied rejected abgelehnt unavailable expired"
    " fraud echoue echec fallid rechazad"
)
NOT_SO = "not no non never partially partly partial nicht kein keine teilweise sin pas"
# A person, of whom nothing may stand in what is said of items.
PERSON_NAMES = (
    "customer user buyer kunde kunden client cliente klant contact kontakt vorname nachname firstname lastname"
    " first_name last_name full_name surname email e_mail mail phone_number telefonnummer recipient empfaenger"
    " empfanger shopper besteller kaeufer kaufer kundenname acheteur utilisateur usuario nutzer benutzer gebruiker"
    " billing shipping_name address adresse anschrift"
)
EMAIL_NAMES = frozenset({"email", "mail", "emails"})
# Names of codes of goods, which beat a column of their names.
CODE_NAMES = frozenset({"sku", "asin", "isbn", "ean", "gtin", "upc", "stockcode", "artikelnr", "artikelnummer"})
ID_WORDS = frozenset({"id", "nr", "nummer", "no", "number", "code", "key", "num"})

VIEW_WORDS = (
    "view vue gesehen angeseh gehort seen browse detail visit consult read gelesen play watch listen stream ansicht pv"
)
# In order: a `remove_from_cart` must not count as a cart.
EVENT_WORDS: tuple[tuple[EventType | None, str], ...] = (
    (
        None,
        "remove entfern delete newsletter unsubscri unlike dislike unsave logout retrait suppr elimin",
    ),
    (EventType.RETURN, "refund storn cancel retour return rueckgabe ruckgabe"),
    (EventType.ADD_TO_CART, "cart basket warenkorb panier carrito carrello winkelwagen addto"),
    (
        EventType.PURCHASE,
        "purchase buy bought order kauf bestell transaction achat compra acquist gekocht checkout paid sale",
    ),
    (EventType.IMPRESSION, "impress shown display expos served einblend angezeigt"),
    (EventType.RATING, "rating rate review bewert star valora"),
    (EventType.COMMENT, "comment kommentar comentario commentaire reply"),
    (EventType.SAVE, "bookmark save wishlist merkzettel merken collect favorite favourite fav guardar enregistr"),
    (EventType.LIKE, "like gefaellt gefallt thumbup upvote aime gusta"),
    (EventType.SHARE, "share geteilt teilen forward"),
    (EventType.SIGNUP, "signup register registr anmeld join subscri"),
    (EventType.CLICK, "click klick clic tap"),
    (
        EventType.VIEW,
        VIEW_WORDS,
    ),
)

# Words with one of another role inside that they are no compound of: seconds are no customers (`kunden`).
NO_COMPOUNDS = frozenset({"sekunde", "sekunden"})

EXACT, TOKEN, PART = 3.0, 2.0, 1.5
LONG_ENOUGH = 4  # shorter words stand inside too many others


def plain(text: str) -> str:
    """Lower case, no accents, words joined by `_`: `KundenNr.` is `kunden_nr`."""
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", text.strip())
    decomposed = unicodedata.normalize("NFKD", parted.replace("ß", "ss"))
    bare = "".join(one for one in decomposed if not unicodedata.combining(one))
    return re.sub(r"[^a-z0-9]+", "_", bare.lower()).strip("_")


def name_score(column: str, words: str) -> float:
    """How much a column's name speaks for the role with these words; 0: not at all."""
    name = plain(column.rsplit(".", 1)[-1])
    whole = plain(column)
    known = set(words.split())
    tokens = set(whole.split("_"))
    bonus = 0.2 if tokens & ID_WORDS else 0.0
    if name in known or whole in known:
        return EXACT + bonus
    if tokens & known:
        return TOKEN + bonus
    long = [word for word in known if len(word) >= LONG_ENOUGH]
    return PART + bonus if any(word in token for token in tokens - NO_COMPOUNDS for word in long) else 0.0


def guess_event(word: str) -> EventType | None:
    """The likeliest event type of a source's word; None where there is none."""
    name = plain(word)
    if name in set(EventType):
        return EventType(name)
    joined = name.replace("_", "")
    for ours, parts in EVENT_WORDS:
        if any(part in joined for part in parts.split()):
            return ours
    return None


def is_left_out_by_name(word: str) -> bool:
    """Whether a source's word is known to say nothing of what somebody wants: `remove_from_cart`."""
    joined = plain(word).replace("_", "")
    return next((ours is None for ours, parts in EVENT_WORDS if any(part in joined for part in parts.split())), False)


def guess_state(word: str) -> Literal["returns", "drop"] | None:
    """Whether an order in this state came back or was never bought; None where it was bought and stayed so."""
    name = plain(word)
    if set(name.split("_")) & set(NOT_SO.split()):
        return None
    joined = name.replace("_", "")
    if any(part in joined for part in RETURNED_WORDS.split()):
        return "returns"
    return "drop" if any(part in joined for part in CANCELLED_WORDS.split()) else None


def tells_events_by_name(column: str) -> bool:
    """Whether a column's name says that it holds what somebody did, and not how something stands or was paid."""
    return bool(set(plain(column).split("_")) & set(EVENT_NAMES.split()))


def names_other_kind(column: str) -> bool:
    """Whether a column's name says that it holds kinds of something else than what somebody did."""
    return bool(set(plain(column).split("_")) & set(OTHER_KINDS.split())) and not tells_events_by_name(column)


def names_person(column: str) -> bool:
    """Whether a column is named like a person: a name, an address, anything of a customer."""
    return name_score(column, PERSON_NAMES) > 0


def names_id(column: str) -> bool:
    """Whether a column's name says that it holds ids."""
    return bool(set(plain(column).split("_")) & ID_WORDS)


def names_email(column: str) -> bool:
    """Whether a column is named like somebody's e-mail address."""
    return bool(set(plain(column).replace("e_mail", "email").split("_")) & EMAIL_NAMES)


def names_item_code(column: str) -> bool:
    """Whether a column is named like the code of an item, and not like its name: `SKU`, `product_id`."""
    tokens = set(plain(column).split("_"))
    return bool(tokens & (CODE_NAMES | ID_WORDS)) and name_score(column, ITEM_WORDS["item_id"]) > 0
