"""placements.yaml and what is laid over it become one, checked; what is wrong in it is named at its line."""

from __future__ import annotations

import shutil
from functools import cache
from pathlib import Path
from textwrap import dedent
from types import SimpleNamespace
from typing import Any

import pytest
from ruamel.yaml import YAML

from contracts.errors import SettingsError
from contracts.settings.group import Group
from contracts.settings.loading import load_groups
from contracts.settings.placements import BUILT_IN
from contracts.settings.request import RequestSettings
from pipelines.placements import compiled_placements
from pipelines.runs.overrides import write_overrides
from tests.unit.release.made_up_release import catalogue

CHECKOUT = Path(__file__).resolve().parents[3]
GENERATORS: Any = SimpleNamespace(catalogue=catalogue(), by_name={"als": None, "in_order": None, "popular": None})

CART = """
    cart:
      where: release_year >= 1990 && in_stock
      rules:
        mixed: {limit: each category, most: 2, within: 5}
        house:
          promote: '"drama" in categories'
          share: 0.3
          when: tier == "popular" && context.device == "phone"
    """


class OnlyRequest(Group):
    """Of params.yaml what placements are laid over."""

    request: RequestSettings


@cache
def shipped() -> RequestSettings:
    return load_groups(OnlyRequest, CHECKOUT / "params.yaml").request


def checkout(folder: Path, placements: str, over: dict[str, Any] | None = None) -> Path:
    """A folder with placements.yaml and a params.yaml; over: what the latter lays over the former."""
    values = shipped().model_dump(mode="json", exclude={"placements"})
    YAML().dump({"request": {**values, "placements": over or {}}}, folder / "params.yaml")
    (folder / "placements.yaml").write_text(dedent(placements))
    return folder / "params.yaml"


def loaded(params: Path) -> RequestSettings:
    return load_groups(OnlyRequest, params).request


def compiled(params: Path) -> RequestSettings:
    return compiled_placements(loaded(params), GENERATORS, params)


def test_the_placements_that_are_shipped_are_those_built_in() -> None:
    assert {name: one.model_copy(update={"description": ""}) for name, one in shipped().placements.items()} == BUILT_IN
    assert compiled_placements(shipped(), GENERATORS, CHECKOUT / "params.yaml").placements == {}


def test_what_is_compiled_travels_as_a_filter(tmp_path: Path) -> None:
    cart = compiled(checkout(tmp_path, CART)).placements["cart"]
    again = RequestSettings.model_validate_json(compiled(tmp_path / "params.yaml").model_dump_json()).placements["cart"]
    assert again == cart
    assert cart.where is not None
    assert cart.where.text == "release_year >= 1990 && in_stock"
    assert cart.where.filter.to_json() == {
        "all": [
            {"field": "release_year", "operator": "at_least", "value": 1990.0},
            {"field": "in_stock", "operator": "equals", "value": True},
        ]
    }


def test_what_was_not_compiled_says_so(tmp_path: Path) -> None:
    where = loaded(checkout(tmp_path, CART)).placements["cart"].where
    assert where is not None
    with pytest.raises(ValueError, match="`release_year >= 1990 && in_stock` was not compiled"):
        _ = where.filter


def test_a_form_lays_one_option_of_one_rule_over_the_file(tmp_path: Path) -> None:
    params = checkout(tmp_path, CART)
    shutil.copy(CHECKOUT / "params.yaml", params)
    write_overrides(params, {"request.placements.cart.rules.house.share": 0.1})
    rules = compiled(params).placements["cart"].rules
    assert rules["house"].share == 0.1
    assert rules["mixed"].most == 2


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("where", "price < 5", r"params\.yaml:\d+: cart\.where: there is no field `price`\."),
        ("where", "relase_year > 5", r"there is no field `relase_year`\. Did you mean `release_year`\?"),
        ("rules.house.when", 'tier == "poplar"', r"there is no tier `poplar`\. Did you mean `popular`\?"),
        ("rules.house.when", "price < 5", r"there is no field `price`\. There are tier \(text\), context\.<name>"),
        ("generators", {"poplar": 1.0}, r"there is no generator `poplar`\. Did you mean `popular`\?"),
        ("generators", {"in_order": 1.0}, r"`in_order` has no quota\. Say request\.quotas\.in_order; 0 will do"),
        ("request", {"quotas": {"alz": 50}}, r"cart\.request\.quotas\.alz: there is no generator `alz`\. .* `als`\?"),
        ("request", {"quotas": {"sequence": 50}}, r"cart\.request\.quotas\.sequence: there is no generator `sequence`"),
        ("rules.house.share", 0.0, r"`request\.placements\.cart\.rules\.house\.share` is 0\.0: .*greater than 0"),
        ("rules.house.most", 3, "`most` says nothing of a rule that says `promote`"),
        ("rules.mixed.most", None, "a rule that says `limit` needs `most`"),
        ("rules.mixed.block", "in_stock", "this one has block and limit"),
        ("rules.other", {"promote": "in_stock", "share": 0.8}, r"the shares of its promotions are 1\.1 together"),
        ("rules.house.shares", 0.3, r"`request\.placements\.cart\.rules\.house\.shares` is unknown"),
        ("request", {"max_kk": 3}, r"placements\.cart\.request\.max_kk is unknown\. Did you mean max_k\?"),
        ("request", {"placements": {}}, r"placements\.cart\.request\.placements is unknown"),
        ("request", {"exploration_share": 0.1}, "what is drawn at random keeps no rule"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, key: str, value: Any, problem: str) -> None:
    over: Any = value
    for name in reversed(["cart", *key.split(".")]):
        over = {name: over}
    with pytest.raises(SettingsError, match=problem):
        compiled(checkout(tmp_path, CART, over))


def test_a_generator_may_have_its_quota_from_the_placement_alone(tmp_path: Path) -> None:
    over = {"cart": {"generators": {"in_order": 1.0}, "request": {"quotas": {"in_order": 5, "sequence": 0}}}}
    request = compiled(checkout(tmp_path, CART, over))
    assert request.at("cart").quotas["in_order"] == 5


@pytest.mark.parametrize("where", ["params.yaml", "placements.yaml"])
def test_what_holds_at_home_is_set_under_request_itself(tmp_path: Path, where: str) -> None:
    said = {"home": {"request": {"quotas": {"als": 50}, "max_k": 5}}}
    over, text = (said, "") if where == "params.yaml" else ({}, "home:\n  request:\n    quotas: {als: 50}")
    with pytest.raises(SettingsError) as refused:
        loaded(checkout(tmp_path, text, over))
    assert f"{where}:" in str(refused.value)
    assert "home.request.quotas.als: home has the parameters `request` themselves" in str(refused.value)
    assert "Say request.quotas.als" in str(refused.value)


def test_home_may_say_that_it_changes_no_parameter(tmp_path: Path) -> None:
    assert loaded(checkout(tmp_path, "home: {request: {}}")).placements["home"].request == {}


def test_the_line_is_that_of_the_file_that_says_it(tmp_path: Path) -> None:
    text = dedent(CART).replace("release_year >= 1990 && in_stock", "|\n    release_year >= 1990 &&\n    stock")
    params = checkout(tmp_path, text)
    with pytest.raises(SettingsError, match=r"placements\.yaml:5: cart\.where: there is no field `stock`"):
        compiled(params)


def test_a_value_that_is_none_is_named_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"placements\.yaml:8: `request\.placements\.cart\.rules\.house\.share`"):
        loaded(checkout(tmp_path, CART.replace("share: 0.3", "share: much")))


def test_home_stands_beside_no_item(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"placements\.home\.beside_item is always false"):
        loaded(checkout(tmp_path, "home: {beside_item: true}"))


@pytest.mark.parametrize(
    ("text", "problem"), [("- cart", "expected a mapping of placements"), ("a: [", "no valid YAML")]
)
def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(SettingsError, match=rf"placements\.yaml .*{problem}"):
        loaded(checkout(tmp_path, text))


def test_each_category_needs_categories(tmp_path: Path) -> None:
    import polars as pl

    from recommender.catalogue import Catalogue

    columns = {"item_id": ["a"], "title": [""], "categories": [[]], "release_year": [None], "price": [None]}
    bare = Catalogue.from_items(
        pl.DataFrame(
            {**columns, "in_stock": [None], "attributes": [None]}, schema_overrides={"categories": pl.List(pl.String)}
        )
    )
    generators: Any = SimpleNamespace(catalogue=bare, by_name={})
    params = checkout(tmp_path, "home: {rules: {mixed: {limit: each category, most: 2}}}")
    with pytest.raises(SettingsError, match="no item has a category"):
        compiled_placements(loaded(params), generators, params)
