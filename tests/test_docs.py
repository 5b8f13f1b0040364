"""Pages that are made from the program say what the program says."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer.main

from faceswap_cli.cli import app
from faceswap_cli.cli.examples import EXAMPLES
from faceswap_cli.cli.gates import parse_gates
from faceswap_cli.cli.suggest import as_command
from faceswap_cli.config_files import FLAGS, resolve

DOCS = Path(__file__).resolve().parent.parent / "docs"


def loaded(script: Path) -> ModuleType:
    """A script as a module; what it does to the search path is undone."""
    spec = importlib.util.spec_from_file_location(f"script_{script.stem}", script)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    before = list(sys.path)
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path[:] = before
    return module


@pytest.fixture(scope="module")
def builder() -> ModuleType:
    if not (DOCS / "build.py").is_file():
        pytest.skip("the documentation is not in this installation")
    return loaded(DOCS / "build.py")


def test_pages_are_up_to_date(builder: ModuleType) -> None:
    assert builder.outdated() == [], "run: python docs/build.py"


def test_the_manual_names_every_command_and_flag(builder: ModuleType) -> None:
    text = builder.manual().replace(r"\-", "-")
    for words in ("faceswap video", "faceswap weights import", "--report", "--no-occlusion", "EXIT STATUS"):
        assert words in text
    codes = re.findall(r"^\.TP\n\\fB(\d+)\\fR$", text, re.M)
    assert codes == ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "130", "143"]


def test_the_manual_is_good_troff(builder: ModuleType, tmp_path: Path) -> None:
    if shutil.which("groff") is None:
        pytest.skip("groff is not installed")
    page = tmp_path / "faceswap.1"
    page.write_text(builder.manual(), encoding="utf-8")
    ran = subprocess.run(
        ["groff", "-man", "-ww", "-Tutf8", "-P-cbou", str(page)], capture_output=True, text=True, check=True
    )
    assert ran.stderr == ""
    assert "faceswap video [OPTION]... SRC... TARGET" in " ".join(ran.stdout.split())


ROOT = DOCS.parent
PAGES = sorted([*DOCS.rglob("*.md"), ROOT / "README.md"])
_FENCE = re.compile(r"^( *)```[a-z]*\n(.*?)^ *```", re.M | re.S)
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")


def _anchors(path: Path) -> set[str]:
    """Anchors of the headings, as GitHub makes them."""
    text = _FENCE.sub("", path.read_text(encoding="utf-8"))
    titles = re.findall(r"^#+ (.+)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for link in _LINK.findall(_FENCE.sub("", page.read_text(encoding="utf-8"))):
        if link.startswith(("http://", "https://", "mailto:")):
            continue
        name, _, anchor = link.partition("#")
        path = (page.parent / name).resolve() if name else page
        if not path.exists() or (anchor and path.suffix == ".md" and anchor not in _anchors(path)):
            broken.append(link)
    assert not broken


def test_the_index_names_every_page() -> None:
    index = (DOCS / "README.md").read_text(encoding="utf-8")
    named = {link.partition("#")[0] for link in _LINK.findall(index)}
    pages = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")} - {"README.md"}
    assert pages <= named, pages - named


def test_figures_of_the_readme_are_the_measured_ones() -> None:
    """Those of likeness come from the model card and from ``benchmarks/results.py``."""
    root = DOCS.parent
    if not (root / "benchmarks" / "RESULTS.md").is_file():
        pytest.skip("the benchmarks are not in this installation")
    readme = (root / "README.md").read_text(encoding="utf-8")
    said = re.search(
        r"`likeness` \|.*?: (\S+) is two strangers, (\S+) two photographs.*?about (\d\.\d+)", readme
    )
    assert said is not None
    card = (root / "weights" / "recognition.md").read_text(encoding="utf-8")
    strangers, same = (
        re.search(rf"\| {who} \| (\.\d+)", card) for who in ("different people", "same person")
    )
    results = (root / "benchmarks" / "RESULTS.md").read_text(encoding="utf-8")
    ours = re.search(r"\| likeness \| higher \| (\d\.\d+)", results)
    measured = [float(found[1]) for found in (strangers, same, ours) if found is not None]
    assert [float(one) for one in said.groups()] == pytest.approx(measured, abs=0.02)
    assert f"{measured[0]:.2f} {measured[1]:.2f}" == f"{said[1]} {said[2]}"


def test_the_table_of_needs_is_the_measured_one() -> None:
    """``benchmarks/needs.py`` writes the file and makes the lines."""
    script = DOCS.parent / "benchmarks" / "needs.py"
    if not script.is_file():
        pytest.skip("the benchmarks are not in this installation")
    needs = loaded(script)
    measured = json.loads(script.with_suffix(".json").read_text(encoding="utf-8"))
    readme = (DOCS.parent / "README.md").read_text(encoding="utf-8")
    assert "\n".join(needs.lines(measured)) in readme, "run: python benchmarks/needs.py"


def test_the_readme_is_short() -> None:
    assert (DOCS.parent / "README.md").read_text(encoding="utf-8").count("\n") <= 200


def _commands(text: str) -> Iterator[str]:
    """Every command line of ours: from code blocks, and from code in the text."""
    for _, block in _FENCE.findall(text):
        for line in re.sub(r"\\\n", " ", block).splitlines():
            yield from (part.strip() for part in line.split(" | ") if part.strip().startswith("faceswap "))
    for code in re.findall(r"`(faceswap [^`]+)`", _FENCE.sub("", text)):
        if not re.search(r"\bCOMMAND\b|\.\.\.|\[OPTION\]", code):
            yield code


def _parse(line: str) -> None:
    """Raises unless the command exists and takes these options; nothing is run."""
    words = shlex.split(line.replace("\\|", "|"), comments=True)
    words = words[: next((k for k, word in enumerate(words) if word in ("<", ">", "|")), None)]
    args = as_command(words[1:])
    command: Any = typer.main.get_command(app)
    context = command.make_context("faceswap", list(args))
    while hasattr(command, "commands"):
        rest = [*context._protected_args, *context.args]
        name, command, rest = command.resolve_command(context, rest)
        context = command.make_context(name, rest, parent=context)
    parse_gates(context.params.get("fail_under"))
    if "face" in context.params:  # the values, too, of commands that swap
        # --edit takes names that the user has taught.
        given = {name: value for name, value in context.params.items() if name in FLAGS and name != "edit"}
        resolve(given, use_files=False, environ={}, folder=DOCS).swap_options()


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_parse(page: Path) -> None:
    for line in _commands(page.read_text(encoding="utf-8")):
        try:
            _parse(line)
        except typer.Exit:  # --help and --version
            pass
        except Exception as error:  # noqa: BLE001  whatever it is, the page is wrong
            if type(error).__name__ not in ("MissingParameter", "BadOptionUsage"):  # named, not called
                pytest.fail(f"{line}: {getattr(error, 'message', error)}")


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_examples_in_the_help_parse(name: str) -> None:
    for _, line in EXAMPLES[name]:
        if line.startswith("faceswap "):
            _parse(line) if " help " not in line else None
            assert len(line) <= 76, line


def test_every_command_has_examples() -> None:
    def names(prefix: str, command: Any) -> Iterator[str]:
        for own, inner in getattr(command, "commands", {}).items():
            yield f"{prefix}{own}"
            yield from names(f"{prefix}{own} ", inner)

    assert {"faceswap", *names("", typer.main.get_command(app))} == set(EXAMPLES)
