"""What is in the wheel and the source archive, and that version, changelog and pins agree."""

from __future__ import annotations

import ast
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from importlib.metadata import packages_distributions
from importlib.util import find_spec
from pathlib import Path

import pytest

import faceswap_cli
from faceswap_cli.errors import WeightsError
from faceswap_cli.weights import registry
from faceswap_cli.weights.bundled import SUFFIXES, look, packed, verify_bundled

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent
PYTHONS = ("310", "311", "312", "313")


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """(wheel, sdist), built without network by the backend that is installed."""
    if find_spec("hatchling") is None:
        pytest.skip("hatchling is not installed (pip install hatchling)")
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return next(folder.glob("*.whl")), next(folder.glob("*.tar.gz"))


@pytest.fixture(scope="module")
def wheel(archives: tuple[Path, Path]) -> dict[str, int]:
    """Name -> size of the files in the wheel."""
    with zipfile.ZipFile(archives[0]) as archive:
        return {item.filename: item.file_size for item in archive.infolist()}


def test_weights_are_in_the_wheel(wheel: dict[str, int]) -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "weights"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.split()
    expected = [ROOT / name for name in tracked] or list((ROOT / "weights").iterdir())
    weights = [path for path in expected if path.suffix in (".safetensors", ".task", ".onnx")]
    assert weights
    for path in weights:
        assert wheel[f"faceswap_cli/_bundled/{path.name}"] == path.stat().st_size


def test_every_module_is_in_the_wheel(wheel: dict[str, int]) -> None:
    modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / "faceswap_cli").rglob("*.py")}
    assert modules <= set(wheel)


def test_licences_are_in_the_wheel(wheel: dict[str, int]) -> None:
    licences = {Path(name).name for name in wheel if ".dist-info/licenses/" in name}
    assert "LICENSE" in licences
    cards = {path.name for path in (ROOT / "weights").glob("*.md")}
    assert cards <= licences


def test_the_manual_and_the_report_are_in_the_wheel(wheel: dict[str, int]) -> None:
    assert f"faceswap_cli-{faceswap_cli.__version__}.data/data/share/man/man1/faceswap.1" in wheel
    pages = {"page.html", "page.css", "page.js"}
    assert pages <= {
        name.rpartition("/")[2] for name in wheel if name.startswith("faceswap_cli/report/page/")
    }


def test_nothing_else_is_in_the_wheel(wheel: dict[str, int]) -> None:
    tops = {name.split("/")[0] for name in wheel}
    own = f"faceswap_cli-{faceswap_cli.__version__}"
    assert tops == {"faceswap_cli", f"{own}.dist-info", f"{own}.data"}
    assert not [
        name for name in wheel if "__pycache__" in name or "/build/" in name or name.endswith(".tflite")
    ]


def test_wheel_stays_small(archives: tuple[Path, Path]) -> None:
    assert archives[0].stat().st_size < 45e6


def test_sdist_can_be_built_and_tested(archives: tuple[Path, Path]) -> None:
    with tarfile.open(archives[1]) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames() if "/" in name}
    needed = {"Makefile", "LICENSE", "README.md", "CHANGELOG.md", "pyproject.toml", "constraints/install.py"}
    needed |= {"examples/source.jpg", "examples/target.mp4", "tests/test_packaging.py", ".ci/run"}
    assert needed <= names


def _copy(folder: Path, mode: int, when: float) -> Path:
    """What a build needs, with other rights and times, and with what tests and editors leave behind."""
    left = shutil.ignore_patterns("__pycache__", "*.pyc", ".*")
    for name in ("faceswap_cli", "weights", "docs"):
        shutil.copytree(ROOT / name, folder / name, ignore=left)
    for name in ("pyproject.toml", "README.md", "LICENSE", ".gitignore"):
        shutil.copyfile(ROOT / name, folder / name)
    (folder / "faceswap_cli" / "__pycache__").mkdir()
    (folder / "faceswap_cli" / "__pycache__" / f"left{when}.pyc").write_bytes(b"left")
    for path in (path for path in folder.rglob("*") if path.is_file()):
        path.chmod(mode)
        os.utime(path, (when, when))
    return folder


def _build(folder: Path, zone: str, mask: int, **environment: str) -> Path:
    """The wheel that ``make wheel`` builds in ``folder``."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", "dist"]
    told = {**os.environ, "TZ": zone, "PYTHONHASHSEED": str(mask), **environment}
    before = os.umask(mask)
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True, env=told)
    finally:
        os.umask(before)
    return next((folder / "dist").glob("*.whl"))


@pytest.mark.slow
def test_two_builds_give_the_same_wheel(tmp_path: Path) -> None:
    """In other folders, at other times, with other rights, in other time zones: the same bytes."""
    if find_spec("hatchling") is None:
        pytest.skip("hatchling is not installed (pip install hatchling)")
    first = _copy(tmp_path / "one", 0o644, 1.0e9)
    second = _copy(tmp_path / "another folder" / "deeper", 0o600, 1.7e9)
    wheels = [_build(first, "UTC", 0o022), _build(second, "Pacific/Auckland", 0o077)]
    assert wheels[0].name == wheels[1].name
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in wheels]
    assert digests[0] == digests[1]
    dated = _build(first, "UTC", 0o022, SOURCE_DATE_EPOCH="1700000000")
    with zipfile.ZipFile(dated) as archive:
        assert {item.date_time[:3] for item in archive.infolist()} == {(2023, 11, 14)}


def test_digests_of_the_weights_are_those_of_the_files() -> None:
    """After a change: python weights/build/digests.py"""
    found = {path.name: look(path) for path in (ROOT / "weights").iterdir() if path.suffix in SUFFIXES}
    assert packed() == found
    for name in found:
        assert verify_bundled(name) == found[name]


def test_a_changed_or_strange_weights_file_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = min(packed(), key=lambda known: packed()[known].size)
    data = bytearray((ROOT / "weights" / name).read_bytes())
    data[-1] ^= 1
    (tmp_path / name).write_bytes(bytes(data))
    (tmp_path / "other.safetensors").write_bytes(b"x")
    monkeypatch.setattr(registry, "bundled_folder", lambda: tmp_path)
    with pytest.raises(WeightsError, match=r"is damaged or another file: .* reinstall"):
        verify_bundled(name)
    with pytest.raises(WeightsError, match="is not part of this version"):
        verify_bundled("other.safetensors")


def test_every_pin_has_digests() -> None:
    """After a change of the pins: make hashes"""
    lines = (ROOT / "constraints" / "hashes.txt").read_text(encoding="utf-8").splitlines()
    known = {words[0]: words[1:] for words in map(str.split, lines) if not words[0].startswith("#")}
    wanted = {f"{name}=={version}" for python in PYTHONS for name, version in pins(python).items()}
    assert wanted == set(known)
    for digests in known.values():
        assert digests
        assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in digests)


def test_changelog_names_this_version() -> None:
    headings = re.findall(r"^## \[([^\]]+)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.M)
    assert headings[0] == "Unreleased" or headings[0] == faceswap_cli.__version__
    released = [name for name in headings if name != "Unreleased"]
    assert not released or released[0] == faceswap_cli.__version__


def test_the_citation_names_this_version() -> None:
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {faceswap_cli.__version__}\n" in text


def pins(python: str) -> dict[str, str]:
    lines = (ROOT / "constraints" / f"py{python}.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


@pytest.mark.parametrize("python", PYTHONS)
def test_pins_cover_what_is_needed(python: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    marked = [line for line in wanted if ";" in line]
    names = {re.split(r"[<>=;\[ ]", line)[0].lower() for line in wanted if line not in marked}
    assert names <= set(pins(python))
    assert not [version for version in pins(python).values() if "+" in version]


def _imported() -> set[str]:
    """Top names of the modules that the program imports from elsewhere."""
    found: set[str] = set()
    for path in (ROOT / "faceswap_cli").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Import(names=names):
                    found |= {alias.name for alias in names}
                case ast.ImportFrom(module=str(name), level=0):
                    found.add(name)
                case ast.Call(
                    func=ast.Name("import_module") | ast.Attribute(attr="import_module"),
                    args=[ast.Constant(str(name)), *_],
                ):
                    found.add(name)
    return {name.partition(".")[0] for name in found} - {*sys.stdlib_module_names, "faceswap_cli", "tomllib"}


def _declared(*extras: str) -> list[str]:
    """Requirements, those of ``extras`` included."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    optional = project["optional-dependencies"]
    return [*project["dependencies"], *(line for extra in extras or optional for line in optional[extra])]


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_import_is_declared_and_every_declaration_imported() -> None:
    owners = packages_distributions()
    needed = {_canonical(owners.get(name, [name])[0]) for name in _imported()}
    lines = _declared("onnxruntime", "ray", "heic")
    declared = {_canonical(re.split(r"[<>=;\[ ]", line)[0]) for line in lines}
    assert needed == declared, f"undeclared: {needed - declared}; unused: {declared - needed}"


def test_every_dependency_has_a_lowest_version() -> None:
    assert not [line for line in _declared() if ">=" not in line]


def test_pins_agree_on_torch() -> None:
    assert len({pins(python)["torch"] for python in PYTHONS}) == 1


def test_readme_commands_exist() -> None:
    """Every ``make TARGET`` and ``faceswap COMMAND`` of the README is there."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    named = set(re.findall(r"^make ([a-z-]+)", readme, re.M))
    assert {"demo", "test"} <= named <= targets
    commands = set(re.findall(r"(?:^|`)faceswap ([a-z]+)", readme, re.M))
    assert {"image", "video", "inspect", "doctor", "evaluate"} <= commands
    shown = subprocess.run(
        [sys.executable, "-m", "faceswap_cli", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert not [command for command in commands if not re.search(rf"\b{command}\b", shown)]
