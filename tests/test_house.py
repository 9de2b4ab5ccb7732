"""The rules of the house that no other tool looks after."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from string import Formatter

import pytest

from app.errors import _BY_STATUS
from studio.errors import REGISTRY
from studio.language import Language
from studio.pipelines import NEEDS_NEW_CLIP

ROOT = Path(__file__).parents[1]
MAY_IMPORT = {
    "app": {"actors", "studio", "broker"},
    "actors": {"studio", "broker"},
    "studio": set[str](),
    "broker": set[str](),
}
OURS = {*MAY_IMPORT, "tests", "bench"}
MODULES = sorted(path for package in MAY_IMPORT for path in (ROOT / package).rglob("*.py"))

# Calls that name an error, and the position of its symbol.
NAMES_ERROR = {"StudioError": 0, "Failure": 0, "problem": 1, "send_problem": 2}


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def imported_by(path: Path) -> set[str]:
    """The packages that a module imports, wherever in it the import stands."""
    names = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute here"
            names.add(str(node.module).partition(".")[0])
    return names


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_imports_point_one_way(path: Path) -> None:
    package = path.relative_to(ROOT).parts[0]
    assert (imported_by(path) & OURS) - {package} <= MAY_IMPORT[package]


def test_the_guardian_imports_nothing_of_ours() -> None:
    for program in ("guardian.py", "standby.py"):
        assert not imported_by(ROOT / "broker" / program) & OURS


def errors_named_in(path: Path) -> Iterator[tuple[str, ast.Call]]:
    """Each symbol that a call in this module names, with the call."""
    for node in ast.walk(tree_of(path)):
        if not isinstance(node, ast.Call):
            continue
        values = [keyword.value for keyword in node.keywords if keyword.arg == "unreadable"]
        position = NAMES_ERROR.get(getattr(node.func, "id", ""))
        if position is not None:
            values += node.args[position : position + 1]
        for value in values:
            yield from ((symbol, node) for symbol in words_in(value))


def words_in(node: ast.AST) -> Iterator[str]:
    """The strings that an expression may come to."""
    match node:
        case ast.Constant(value=str(word)):
            yield word
        case ast.IfExp(body=body, orelse=other):
            yield from words_in(body)
            yield from words_in(other)


def placeholders(text: str) -> set[str]:
    return {field for _, field, _, _ in Formatter().parse(text) if field}


def test_every_error_named_in_code_is_in_the_registry() -> None:
    named_in_code = {symbol for path in MODULES for symbol, _ in errors_named_in(path)}
    assert len(named_in_code) > 20, "the walk finds them"
    assert named_in_code | NEEDS_NEW_CLIP | set(_BY_STATUS.values()) <= set(REGISTRY)


def test_every_error_in_the_registry_is_named_in_code() -> None:
    registry = ROOT / "studio" / "errors" / "registry.py"
    constants = {
        node.value
        for path in MODULES
        if path != registry
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Constant)
    }
    assert set(REGISTRY) <= constants


def test_every_error_is_raised_with_what_its_words_name() -> None:
    for path in MODULES:
        for symbol, call in errors_named_in(path):
            if getattr(call.func, "id", "") == "StudioError":
                given = {keyword.arg for keyword in call.keywords}
                assert given == wanted_by(symbol), f"{named(path)}:{call.lineno}"


def wanted_by(symbol: str) -> set[str]:
    kind = REGISTRY[symbol]
    return placeholders(kind.message.en) | placeholders(kind.next_step.en)


@pytest.mark.parametrize("symbol", REGISTRY)
def test_every_error_speaks_chinese_and_english_alike(symbol: str) -> None:
    kind = REGISTRY[symbol]
    for text in (kind.message, kind.next_step):
        assert placeholders(text.zh) == placeholders(text.en)
        assert text.en.isascii()
        assert text.en.endswith(".")
        assert re.search("[\u4e00-\u9fff]", text.zh)
        assert text.zh.endswith("。")


@pytest.mark.parametrize("language", ["zh", "en"])
def test_no_two_errors_say_the_same(language: Language) -> None:
    messages = [kind.message.in_(language) for kind in REGISTRY.values()]
    assert len(set(messages)) == len(messages)


@pytest.mark.parametrize("symbol", REGISTRY)
def test_an_errors_number_tells_whose_doing_it_is(symbol: str) -> None:
    kind = REGISTRY[symbol]
    assert 400 <= kind.status < 600
    assert kind.number == kind.status or 900 <= kind.number < 1000


def tracked_texts() -> Iterator[tuple[str, str]]:
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("this is no checkout")
    listed = subprocess.run([git, "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True).stdout
    for name in filter(None, listed.split("\0")):
        content = (ROOT / name).read_bytes() if (ROOT / name).is_file() else b""
        if b"\0" not in content:
            yield name, content.decode()


def test_no_file_tells_on_which_machine_it_was_written() -> None:
    places = [r"/(?:root|home/\w+|Users/\w+)/"]
    if len(ROOT.parts) > 2:  # a checkout at "/app" would find its name everywhere
        places.append(re.escape(str(ROOT)))
    for name, text in tracked_texts():
        assert not re.findall("|".join(places), text), name


def test_no_file_names_a_package_registry() -> None:
    # Which registry is asked is the business of whoever installs.
    registry = re.compile(r"--(?:extra-)?index-url|--find-links|\bindex-url\s*=|https?://[^\s/]+/(?:[^\s/]+/)*simple\b")
    for name, text in tracked_texts():
        if name != named(Path(__file__)):
            assert not registry.findall(text), name
