"""Which names a module of ours has for whoever imports it."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]


def source_of(module: str) -> Path | None:
    """The file of a module or package, by its dotted name; None where there is none."""
    path = TOP / module.replace(".", "/")
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)


@cache
def names_in(source: Path) -> frozenset[str]:
    """What its top level defines, assigns or imports, also under an `if`, a `try`, a `with` or a loop."""
    return frozenset(_names(ast.parse(source.read_text(encoding="utf-8")).body))


@cache
def members_in(source: Path, name: str) -> frozenset[str]:
    """What its class of this name defines or assigns, on `self` too; nothing where it has no such class."""
    classes = [node for node in _statements(_body(source)) if isinstance(node, ast.ClassDef) and node.name == name]
    return frozenset(member for one in classes for member in (*_names(one.body), *_set_on_self(one)))


def _body(source: Path) -> Sequence[ast.stmt]:
    return ast.parse(source.read_text(encoding="utf-8")).body


def _statements(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """Those of a body and of the blocks in it, but not of what is a scope of its own."""
    for node in body:
        yield node
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        for part in ("body", "orelse", "finalbody", "handlers"):
            for child in getattr(node, part, ()):
                yield from _statements(child.body if isinstance(child, ast.ExceptHandler) else [child])


def _names(body: Sequence[ast.stmt]) -> Iterator[str]:
    for node in _statements(body):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield node.name
            case ast.Import() | ast.ImportFrom():
                yield from (alias.asname or alias.name.split(".")[0] for alias in node.names)
            case ast.Assign():
                yield from (name for target in node.targets for name in _stored(target))
            case ast.AnnAssign() | ast.AugAssign() | ast.For():
                yield from _stored(node.target)
            case ast.With():
                yield from (name for item in node.items if item.optional_vars for name in _stored(item.optional_vars))


def _stored(target: ast.expr) -> Iterator[str]:
    return (node.id for node in ast.walk(target) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store))


def _set_on_self(node: ast.ClassDef) -> Iterator[str]:
    for part in ast.walk(node):
        if isinstance(part, ast.Attribute) and isinstance(part.ctx, ast.Store) and ast.unparse(part.value) == "self":
            yield part.attr
