from __future__ import annotations

from contracts.settings.placements import BUILT_IN, Placement, declared_placements

PRICE = {"field": "price", "operator": "at_most", "value": 25.0}


def placement(where: object) -> Placement:
    rules = {"text": {"promote": where, "share": 0.2}}
    return Placement.model_validate({"description": "Beside the cart", "where": where, "rules": rules})


def test_what_is_declared_is_the_same_compiled_or_not():
    written, compiled = placement("price <= 25.0"), placement({"text": "price <= 25.0", "compiled": PRICE})
    assert written != compiled
    told = declared_placements({"cart": compiled})
    assert told == declared_placements({"cart": written})
    assert (told["cart"]["where"], told["cart"]["rules"]["text"]["promote"]) == ("price <= 25.0", "price <= 25.0")
    assert Placement.model_validate(told["cart"]) == written


def test_what_every_release_has_is_not_declared_with_or_without_words_about_it():
    described = {name: one.model_copy(update={"description": "for people"}) for name, one in BUILT_IN.items()}
    assert declared_placements(BUILT_IN) == declared_placements(described) == declared_placements({}) == {}
