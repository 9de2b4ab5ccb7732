"""What structs are made of, and what the source says of their fields, which Python itself does not keep."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

import msgspec


@cache
def field_docs(kind: type) -> dict[str, str]:
    """The docstring of each field or member that has one, inherited ones included, by its name in Python."""
    docs: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        if base.__module__.partition(".")[0] in ("studio", "app"):
            docs |= _docs_in(base)
    return docs


def doc_of(kind: type) -> str:
    """The docstring of a class as one paragraph; empty when it has none of its own."""
    return " ".join((kind.__dict__.get("__doc__") or "").split())


def structs_in(kinds: Iterable[Any]) -> list[type[msgspec.Struct]]:
    """The structs that these types are or are made of, in the order in which they are named."""
    found: dict[type[msgspec.Struct], None] = {}

    def collect(info: msgspec.inspect.Type) -> None:
        if isinstance(info, msgspec.inspect.StructType):
            if info.cls in found:
                return
            found[info.cls] = None
        for part in _parts(info):
            collect(part)

    for kind in kinds:
        collect(msgspec.inspect.type_info(kind))
    return list(found)


def _parts(info: msgspec.inspect.Type) -> Iterator[msgspec.inspect.Type]:
    match info:
        case msgspec.inspect.StructType(fields=fields):
            yield from (field.type for field in fields)
        case msgspec.inspect.UnionType(types=kinds) | msgspec.inspect.TupleType(item_types=kinds):
            yield from kinds
        case msgspec.inspect.ListType(item_type=inner) | msgspec.inspect.VarTupleType(item_type=inner):
            yield inner
        case msgspec.inspect.DictType(value_type=inner) | msgspec.inspect.Metadata(type=inner):
            yield inner


def _docs_in(kind: type) -> dict[str, str]:
    (declared,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    assert isinstance(declared, ast.ClassDef)  # noqa: S101 (the source of a class is one)
    docs = {}
    for field, below in zip(declared.body, declared.body[1:], strict=False):
        match field, below:
            case (
                ast.AnnAssign(target=ast.Name(id=name)) | ast.Assign(targets=[ast.Name(id=name)]),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                docs[name] = " ".join(text.split())
    return docs
