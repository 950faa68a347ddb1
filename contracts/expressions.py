"""The language of placements: one typed expression about an item or a request, compiled to a filter.

    price <= 50.0 && in_stock && !(attributes.colour in ["pink", "orange"])
    "comedy" in categories || release_year >= 2020
    tier == "popular" && context.device == "phone"

Expressions are CEL, the Common Expression Language, as the library cel-python parses it; the whole of CEL would need a
program for each item, so what is taken of it is what a filter can say (`contracts.filters`): comparisons of a field
with a literal, joined by `&&`, `||` and `!`. Fields, types and values are checked here, once, when a release is built.
What travels in the release is the filter; a server does not import this module.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from celpy.celparser import CELParseError, CELParser
from celpy.evaluation import celstr
from lark import Token, Tree

from contracts.attributes import PREFIX
from contracts.errors import SettingsError, WrongInput
from contracts.filters import MOST_DEPTH, AllOf, AnyOf, Condition, Filter, Not, Operator, Value, filter_of

ADVICE: Final = "docs/placements.md has what expressions can say, with examples."
SHOWN_FIELDS: Final = 30


class Kind(StrEnum):
    """What a field holds. TEXTS: several texts, such as an item's categories."""

    TEXT = "text"
    TEXTS = "texts"
    NUMBER = "number"
    FLAG = "true or false"


@dataclass(frozen=True)
class Expression:
    """An expression where it stands. file and line: of its first line; setting: its dotted name there."""

    text: str
    file: str
    line: int
    setting: str


def compile_expression(expression: Expression, fields: Mapping[str, Kind], open_prefix: str | None = None) -> Filter:
    """The filter that the expression says.

    fields: what may be named. open_prefix: of names that may be any, and hold texts: `context.`.
    Raises SettingsError with file, line and setting for what is no expression, or more than a filter can say; for a
    field that is none, with the nearest name; and for a value of another type than its field's.
    """
    compiler = _Compiler(expression, fields, open_prefix)
    try:
        return filter_of(compiler.filter(_parsed(expression)).to_json())
    except WrongInput as error:
        raise _error(expression, 1, error.problem.removesuffix(".")) from error
    except RecursionError as error:
        raise _error(expression, 1, f"it is deeper than {MOST_DEPTH} filters within each other") from error


def _parsed(expression: Expression) -> Tree[Token]:
    try:
        return _bare(CELParser().parse(expression.text))
    except CELParseError as error:
        shown = expression.text.replace("\n", " ")
        raise _error(expression, error.line or 1, f"`{shown:.80}` is no expression at column {error.column}") from error


def _error(expression: Expression, line: int, problem: str) -> SettingsError:
    where = f"{expression.file}:{expression.line + line - 1}: {expression.setting}"
    return SettingsError(f"{where}: {problem}.", ADVICE)


_OPERATORS: Final[Mapping[str, str]] = {
    "relation_lt": "<", "relation_le": "<=", "relation_gt": ">", "relation_ge": ">=", "relation_eq": "==",
    "relation_ne": "!=", "relation_in": "in",
}  # fmt: skip
_FLIPPED: Final[Mapping[str, str]] = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}


@dataclass(frozen=True)
class _Field:
    name: str
    kind: Kind
    line: int


@dataclass(frozen=True)
class _Literal:
    value: Value | tuple[Value, ...]
    line: int


@dataclass(frozen=True)
class _Compiler:
    """Walks the tree of one expression."""

    expression: Expression
    fields: Mapping[str, Kind]
    open_prefix: str | None

    def filter(self, tree: Tree[Token]) -> Filter:
        children = [_bare(child) for child in tree.children if isinstance(child, Tree)]
        match tree.data, len(children):
            case "conditionalor", 2:
                return AnyOf(_flat(AnyOf, [self.filter(child) for child in children]))
            case "conditionaland", 2:
                return AllOf(_flat(AllOf, [self.filter(child) for child in children]))
            case "unary", 2 if children[0].data == "unary_not":
                return Not(self.filter(children[1]))
            case "relation", 2 if children[0].data in _OPERATORS:
                (left,) = children[0].children
                return self._comparison(_OPERATORS[children[0].data], _bare(left), children[1])
            case _:
                return self._flag(tree)

    def _flag(self, tree: Tree[Token]) -> Filter:
        field = self._operand(tree)
        if isinstance(field, _Literal):
            raise self._refused(field.line, f"{field.value!r} alone says nothing of a field")
        if field.kind is not Kind.FLAG:
            raise self._refused(
                field.line, f"`{field.name}` is of type {field.kind}, and alone no condition: compare it with a value"
            )
        return Condition(field.name, Operator.EQUALS, value=True)

    def _comparison(self, sign: str, left: Tree[Token], right: Tree[Token]) -> Filter:
        one, other = self._operand(left), self._operand(right)
        if isinstance(one, _Literal) and isinstance(other, _Field):
            if sign == "in":
                return self._one_of_texts(one, other)
            one, other, sign = other, one, _FLIPPED[sign]
        if isinstance(one, _Literal) or isinstance(other, _Field):
            raise self._refused(one.line, "a comparison is between a field and a value")
        self._check_types(sign, one, other)
        return _condition(sign, one.name, other.value)

    def _one_of_texts(self, one: _Literal, texts: _Field) -> Filter:
        if texts.kind is not Kind.TEXTS:
            raise self._refused(
                texts.line, f"`{texts.name}` is of type {texts.kind}; `in` looks into a list, as in `x in [1, 2]`"
            )
        if not isinstance(one.value, str):
            raise self._refused(one.line, f"`{texts.name}` is of type {texts.kind}, and {_shown(one.value)} is no text")
        return Condition(texts.name, Operator.EQUALS, one.value)

    def _check_types(self, sign: str, field: _Field, literal: _Literal) -> None:
        if field.kind is Kind.TEXTS:
            raise self._refused(
                field.line, f'`{field.name}` holds several texts: write `"one of them" in {field.name}`'
            )
        values = literal.value if isinstance(literal.value, tuple) else (literal.value,)
        if (sign == "in") is not isinstance(literal.value, tuple):
            raise self._refused(literal.line, f"`{sign}` does not go with {_shown(literal.value)}")
        if sign in _FLIPPED and sign not in ("==", "!=") and field.kind is not Kind.NUMBER:
            raise self._refused(field.line, f"`{field.name}` is of type {field.kind}; `{sign}` compares numbers")
        for value in values:
            if _kind_of(value) is not field.kind:
                raise self._refused(
                    literal.line, f"`{field.name}` is of type {field.kind}, and is compared with {_shown(value)}"
                )

    def _operand(self, tree: Tree[Token]) -> _Field | _Literal:
        line = _line_of(tree)
        match tree.data:
            case "literal":
                return _Literal(self._value(tree), line)
            case "list_lit":
                return _Literal(tuple(self._element(one) for one in _elements(tree)), line)
            case "ident" | "member_dot" | "member_index":
                return self._field(self._name(tree), line)
            case "unary":
                return self._negative(tree)
            case kind:
                raise self._refused(
                    line, f"{_WORDS.get(kind, kind)} {'are' if kind in _WORDS else 'is'} not taken here"
                )

    def _negative(self, tree: Tree[Token]) -> _Literal:
        sign, number = (_bare(child) for child in tree.children if isinstance(child, Tree))
        value = self._operand(number)
        if sign.data != "unary_neg" or not isinstance(value, _Literal) or not isinstance(value.value, float):
            raise self._refused(_line_of(tree), "only a number can be negative, and only a condition be denied")
        return _Literal(-value.value, value.line)

    def _element(self, tree: Tree[Token]) -> Value:
        one = self._operand(tree)
        if isinstance(one, _Field) or isinstance(one.value, tuple):
            raise self._refused(one.line, "a list holds texts, numbers, or true and false")
        return one.value

    def _value(self, tree: Tree[Token]) -> Value:
        (token,) = (child for child in tree.children if isinstance(child, Token))
        match token.type:
            case "STRING_LIT" | "MLSTRING_LIT":
                return str(celstr(token))
            case "INT_LIT" | "UINT_LIT":
                return _number(token.rstrip("uU"))
            case "FLOAT_LIT":
                return float(token)
            case "BOOL_LIT":
                return str(token) == "true"
            case _:
                raise self._refused(_line_of(tree), f"`{token}` is no value that a field can have")

    def _name(self, tree: Tree[Token]) -> str:
        match tree.data:
            case "ident":
                return str(tree.children[0])
            case "member_dot":
                return f"{self._name(_bare(tree.children[0]))}.{tree.children[1]}"
            case "member_index":
                key = self._operand(_bare(tree.children[1]))
                if isinstance(key, _Literal) and isinstance(key.value, str):
                    return f"{self._name(_bare(tree.children[0]))}.{key.value}"
        raise self._refused(
            _line_of(tree), "a field is a name, as in `price`, `attributes.colour` or `attributes['on-sale']`"
        )

    def _field(self, name: str, line: int) -> _Field:
        if self.open_prefix and name.startswith(self.open_prefix):
            return _Field(name, Kind.TEXT, line)
        if name not in self.fields:
            raise self._refused(line, f"there is no field `{name}`.{self._meant(name)}")
        return _Field(name, self.fields[name], line)

    def _meant(self, name: str) -> str:
        by_short_name = {field.removeprefix(PREFIX): field for field in self.fields}
        close = difflib.get_close_matches(name.removeprefix(PREFIX), by_short_name, n=1, cutoff=0.5)
        shown = [f"{field} ({kind})" for field, kind in self.fields.items()][:SHOWN_FIELDS]
        meant = f" Did you mean `{by_short_name[close[0]]}`?" if close else ""
        further = f", {self.open_prefix}<name> (text)" if self.open_prefix else ""
        return f"{meant} There are {', '.join(shown)}{further}"

    def _refused(self, line: int, problem: str) -> SettingsError:
        return _error(self.expression, line, problem)


_WORDS: Final = {
    "ident_arg": "functions",
    "member_dot_arg": "functions",
    "dot_ident_arg": "functions",
    "addition": "sums",
    "multiplication": "products",
    "expr": "conditions with `?`",
    "map_lit": "maps",
    "conditionaland": "conditions",
    "conditionalor": "conditions",
    "relation": "comparisons of comparisons",
}


def _condition(sign: str, name: str, value: Value | tuple[Value, ...]) -> Filter:
    match sign:
        case "==":
            return Condition(name, Operator.EQUALS, value)
        case "!=":
            return Not(Condition(name, Operator.EQUALS, value))
        case "in":
            return Condition(name, Operator.IN, value)
        case ">=" | "<=":
            return Condition(name, _BOUNDS[sign], value)
        case _:  # strictly: within the bound, and not on it
            return AllOf((Condition(name, _BOUNDS[sign + "="], value), Not(Condition(name, Operator.EQUALS, value))))


_BOUNDS: Final = {">=": Operator.AT_LEAST, "<=": Operator.AT_MOST}


def _flat(kind: type[AllOf | AnyOf], parts: list[Filter]) -> tuple[Filter, ...]:
    """`a && b && c` is one condition of three, not one within another."""
    return tuple(inner for part in parts for inner in (part.parts if isinstance(part, kind) else (part,)))


def _bare(tree: Any) -> Tree[Token]:
    """What stands in a tree of nothing but itself: a name is nine levels deep in this grammar."""
    while len(tree.children) == 1 and isinstance(tree.children[0], Tree) and tree.data not in _OPERATORS:
        if tree.data == "list_lit":
            break
        tree = tree.children[0]
    return tree  # type: ignore[no-any-return]


def _elements(tree: Tree[Token]) -> list[Tree[Token]]:
    return [_bare(child) for inner in tree.children if isinstance(inner, Tree) for child in inner.children]


def _line_of(tree: Tree[Token]) -> int:
    lines = (token.line for token in tree.scan_values(lambda value: isinstance(value, Token)))
    return next((line for line in lines if line), 1)


def _number(integer: str) -> float:
    """An integer in tens, whatever zeros it begins with, or with `0x` in sixteens; infinity past the largest float.

    A filter takes no infinity.
    """
    try:
        return float(int(integer, 16) if "x" in integer else float(integer))
    except OverflowError:
        return math.copysign(math.inf, -1 if integer.startswith("-") else 1)


def _kind_of(value: Value) -> Kind:
    if isinstance(value, bool):
        return Kind.FLAG
    return Kind.TEXT if isinstance(value, str) else Kind.NUMBER


def _shown(value: Value | tuple[Value, ...]) -> str:
    return "a list" if isinstance(value, tuple) else f"{value!r:.60}"
