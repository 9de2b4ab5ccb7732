"""What the source says of a record's fields: the docstrings below them, which Python itself does not keep."""

from __future__ import annotations

import ast
import inspect
import textwrap
from functools import cache


@cache
def field_docs(kind: type) -> dict[str, str]:
    """The docstring of each field that has one, inherited ones included, by the field's name in Python."""
    docs: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        if base.__module__.partition(".")[0] in ("studio", "app"):
            docs |= _docs_in(base)
    return docs


def doc_of(kind: type) -> str:
    """The docstring of a class as one paragraph; empty when it has none of its own."""
    return " ".join((kind.__dict__.get("__doc__") or "").split())


def _docs_in(kind: type) -> dict[str, str]:
    (declared,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    assert isinstance(declared, ast.ClassDef)  # noqa: S101 (the source of a class is one)
    docs = {}
    for field, below in zip(declared.body, declared.body[1:], strict=False):
        match field, below:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                docs[name] = " ".join(text.split())
    return docs
