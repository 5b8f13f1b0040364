"""Writes the software bill of materials of an installation, as CycloneDX JSON.

    .venv/release/bin/python release/sbom.py .venv/bin/python dist/faceswap-cli-0.1.0.cdx.json

What the program needs at run time is taken from the environment of the given Python by ``cyclonedx-py``;
development tools that happen to be there are left out, and the bundled weights are added with their
digests.  The same environment gives the same file, wherever it lies.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packaging.requirements import Requirement

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT_NAME = "faceswap-cli"
ROOT = Path(__file__).resolve().parent.parent
TABLE = ROOT / "faceswap_cli" / "weights" / "tables" / "bundled.json"
VERSION = re.compile(r'^__version__ = "(.+)"', re.M)


def plain(name: str) -> str:
    """A package's name as PyPI compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def environment(python: str) -> dict[str, Any]:
    """What ``cyclonedx-py`` sees in the environment of ``python``."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "all.json"
        command = [sys.executable, "-m", "cyclonedx_py", "environment", python, "--of", "JSON"]
        command += ["--pyproject", str(ROOT / "pyproject.toml"), "--spec-version", "1.6"]
        subprocess.run([*command, "--output-reproducible", "-o", str(out)], check=True)
        found: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    return found


def needs_of(python: str) -> dict[str, list[str]]:
    """Package -> packages that it needs at run time there, for the program and all that it reaches.

    ``cyclonedx-py`` draws a package's extras too, wanted or not: tools for testing would come in that way.
    """
    asked = "import json, sys; print(json.dumps([sys.path, '%d.%d' % sys.version_info[:2]]))"
    told = subprocess.run([python, "-c", asked], check=True, capture_output=True, text=True).stdout
    path, version = json.loads(told)
    there = {plain(d.metadata["Name"]): d for d in distributions(path=path) if d.metadata["Name"]}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    found: dict[str, list[str]] = {}
    extras: dict[str, set[str]] = {ROOT_NAME: set()}
    waiting = [ROOT_NAME]
    while waiting:
        name = waiting.pop()
        if name != ROOT_NAME and name not in there:
            raise SystemExit(f"not installed there: {name}")
        lines = project["dependencies"] if name == ROOT_NAME else there[name].requires or []
        wanted = [r for r in map(Requirement, lines) if applies(r, extras[name], version)]
        found[name] = sorted({plain(requirement.name) for requirement in wanted})
        for requirement in wanted:
            other = plain(requirement.name)
            if other not in found or not requirement.extras <= extras[other]:
                extras.setdefault(other, set()).update(requirement.extras)
                waiting.append(other)
    return found


def applies(requirement: Requirement, extras: set[str], version: str) -> bool:
    """Whether a requirement holds on this system, for a Python of ``version`` and the extras asked for."""
    marker = requirement.marker
    given = [{"extra": extra, "python_version": version} for extra in ("", *sorted(extras))]
    return marker is None or any(marker.evaluate(environment) for environment in given)


def runtime_only(bom: dict[str, Any], needs: dict[str, list[str]]) -> dict[str, Any]:
    """``bom`` with the packages in ``needs`` and the edges between them."""
    refs = {plain(part["name"]): part["bom-ref"] for part in bom["components"]}
    refs[ROOT_NAME] = bom["metadata"]["component"]["bom-ref"]
    graph = [{"ref": refs[n], "dependsOn": sorted(refs[o] for o in on)} for n, on in sorted(needs.items())]
    parts = [without_local(part) for part in bom["components"] if plain(part["name"]) in needs]
    return {**bom, "components": parts, "dependencies": graph}


def without_local(part: dict[str, Any]) -> dict[str, Any]:
    """References to files of this machine are nobody's business."""
    kept = [r for r in part.get("externalReferences", []) if not r["url"].startswith(("file:", "/"))]
    rest = {name: value for name, value in part.items() if name != "externalReferences"}
    return {**rest, "externalReferences": kept} if kept else rest


def weights() -> list[dict[str, Any]]:
    """The bundled model files as components."""
    table = json.loads(TABLE.read_text(encoding="utf-8"))["files"]
    return [
        {
            "type": "machine-learning-model",
            "bom-ref": f"weights/{name}",
            "name": name,
            "description": "Bundled weights; origin, licence and changes: weights/README.md",
            "hashes": [{"alg": "SHA-256", "content": entry["sha256"]}],
        }
        for name, entry in sorted(table.items())
    ]


def completed(bom: dict[str, Any]) -> dict[str, Any]:
    """The program's own version, and its weights."""
    found = VERSION.search((ROOT / "faceswap_cli" / "__init__.py").read_text(encoding="utf-8"))
    assert found is not None
    own = {**bom["metadata"]["component"], "version": found.group(1)}
    own["purl"] = f"pkg:pypi/faceswap-cli@{found.group(1)}"
    models = weights()
    for entry in bom["dependencies"]:
        if entry["ref"] == own["bom-ref"]:
            entry["dependsOn"] += [model["bom-ref"] for model in models]
    graph = [*bom["dependencies"], *({"ref": model["bom-ref"]} for model in models)]
    metadata = {**bom["metadata"], "component": without_local(own)}
    return {**bom, "metadata": metadata, "components": [*bom["components"], *models], "dependencies": graph}


def main() -> None:
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    bom = completed(runtime_only(environment(sys.argv[1]), needs_of(sys.argv[1])))
    text = json.dumps(bom, indent=1, sort_keys=True) + "\n"
    problem = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if problem is not None:
        raise SystemExit(f"the bill of materials is not valid CycloneDX 1.6: {problem}")
    out = Path(sys.argv[2])
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text, encoding="utf-8")
    sys.stdout.write(f"{out}: {len(bom['components'])} components\n")


if __name__ == "__main__":
    main()
