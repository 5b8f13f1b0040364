"""Help pages, errors and documents are written in plain, current, American English."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main

import faceswap_cli
from faceswap_cli import errors
from faceswap_cli.cli import app
from faceswap_cli.cli.examples import EXAMPLES
from faceswap_cli.events import EVENTS, HEAD
from tests.language import habits_in

PACKAGE = Path(faceswap_cli.__file__).resolve().parent
ROOT = PACKAGE.parent
ERRORS = {name for name in vars(errors) if isinstance(getattr(errors, name), type)} | {"warn", "say", "check"}


DOCUMENTS = sorted(
    path for path in (*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md")) if path.name != "CHANGELOG.md"
)
SOURCES = sorted(
    path for path in PACKAGE.rglob("*.py") if not path.relative_to(PACKAGE).as_posix().startswith("_bundled/")
)


@pytest.mark.parametrize(
    ("text", "habit"),
    [
        ("the file is no picture", "is no"),
        ("what the program is told", "told"),
        ("not the target of then", "of then"),
        ("stops after the segment in hand", "in hand"),
        ("at most so many faces", "so many"),
        ("most likely for want of memory", "want of"),
        ("the same command goes on", "command goes on"),
        ("begun anew", "anew"),
        ("the colour of the skin", "colour"),
    ],
)
def test_habits_are_found(text: str, habit: str) -> None:
    assert any(repr(habit) in line for line in habits_in(text)), habits_in(text)


@pytest.mark.parametrize(
    "text",
    [
        "there is no file clip.mp4",
        "the option is no longer needed",
        "formats such as PNG",
        "use `--allow-licence` and the key `colour`",
        "a table:\n```\ncolour = 'rgb'  # grey\n```\n",
        "tell the two faces apart",
    ],
)
def test_good_english_is_not_a_habit(text: str) -> None:
    assert habits_in(text) == []


def _help_texts() -> Iterator[tuple[str, str]]:
    def walk(name: str, command: object) -> Iterator[tuple[str, str]]:
        yield name, str(getattr(command, "help", "") or "")
        for parameter in getattr(command, "params", ()):
            yield f"{name} {parameter.name}", str(getattr(parameter, "help", "") or "")
        for own, inner in getattr(command, "commands", {}).items():
            yield from walk(f"{name} {own}", inner)

    yield from walk("faceswap", typer.main.get_command(app))


def test_help_pages() -> None:
    found = [f"{name}: {line}" for name, text in _help_texts() for line in habits_in(text)]
    for command, rows in EXAMPLES.items():
        found += [f"{command}: {line}" for meaning, _ in rows for line in habits_in(meaning)]
    assert not found, "\n".join(found)


def test_every_option_has_a_help_text() -> None:
    silent = [name for name, text in _help_texts() if not text.strip() and not name.endswith(("ctx", "help"))]
    assert not silent, silent


def test_events() -> None:
    texts = [meaning for meaning, _ in EVENTS.values()]
    texts += [field.meaning for fields in (HEAD, *(f for _, f in EVENTS.values())) for field in fields]
    found = [line for text in texts for line in habits_in(text)]
    assert not found, "\n".join(found)


def _text(node: ast.expr) -> str:
    """The fixed parts of a string, however it is put together."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part) if isinstance(part, ast.Constant) else "X" for part in node.values)
    if isinstance(node, ast.BinOp):
        return _text(node.left) + _text(node.right)
    if isinstance(node, ast.IfExp):
        return f"{_text(node.body)} / {_text(node.orelse)}"
    return "X"


def _messages(path: Path) -> Iterator[tuple[int, str]]:
    """Line and text of every error that is built, and of every line for people."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and node.args:
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            if name in ERRORS:
                yield node.lineno, _text(node.args[0])


def test_there_are_messages() -> None:
    assert sum(len(list(_messages(path))) for path in SOURCES) > 300


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_messages(path: Path) -> None:
    found = [f"line {number}: {line}" for number, text in _messages(path) for line in habits_in(text)]
    assert not found, "\n".join(found)


def _docstrings(source: str) -> Iterator[tuple[int, str]]:
    """Line and prose of every docstring, those of constants and fields included; indented blocks are code."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Expr(value=ast.Constant(value=str(text))):
                code = " " * (node.col_offset + 4)
                prose = [line for line in text.splitlines() if not line.startswith(code)]
                yield node.lineno, "\n".join(prose)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_docstrings(path: Path) -> None:
    found = [
        f"line {number}: {line}"
        for number, text in _docstrings(path.read_text(encoding="utf-8"))
        for line in habits_in(text)
    ]
    assert not found, "\n".join(found)


def test_habits_in_docstrings_are_found() -> None:
    source = (
        '"""Grey."""\nclass A:\n    """``colour``.\n\n        centre = 1\n    """\n'
        '    x: int\n    """In hand."""\n'
    )
    found = [line for _, text in _docstrings(source) for line in habits_in(text)]
    assert [line.split("'")[1] for line in found] == ["Grey", "In hand"]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_documents(path: Path) -> None:
    found = habits_in(path.read_text(encoding="utf-8"))
    assert not found, "\n".join(found)
