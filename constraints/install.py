"""Installs this checkout into the running Python, with the pinned versions and torch's CPU build.

    .venv/bin/python constraints/install.py [EXTRA ...]

On Linux the torch of PyPI is the CUDA build, several GB large.  So the CPU build is taken from the index
named by ``TORCH_INDEX`` (default: PyTorch's own), unless pip is set up to find a CPU build anyway.
``TORCH_INDEX=pypi`` takes the build of PyPI, for machines with an NVIDIA card.

Every wheel must have a digest that ``hashes.txt`` names for its version, the one that builds the program
included.  Only what is not on PyPI in that form is taken as it comes, and named: torch's CPU build for
Linux, and the packages of NVIDIA that the CUDA build brings.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PINS = ROOT / "constraints" / f"py{sys.version_info.major}{sys.version_info.minor}.txt"
HASHES = ROOT / "constraints" / "hashes.txt"
CPU_INDEX = "https://download.pytorch.org/whl/cpu"


def pip(*arguments: str, quiet: bool = True) -> subprocess.CompletedProcess[str]:
    """Run pip; its warnings are shown only when it fails."""
    command = [sys.executable, "-m", "pip", *arguments, "--disable-pip-version-check"]
    return subprocess.run(command, capture_output=quiet, text=True, check=False)


def pinned(name: str) -> str:
    """``name==version`` from the pins."""
    lines = PINS.read_text(encoding="utf-8").splitlines()
    return next(line for line in lines if line.startswith(f"{name}=="))


def cpu_build_is_at_hand(torch: str) -> bool:
    """True when torch is there already, or when pip as it is set up would not take a CUDA build."""
    if not sys.platform.startswith("linux"):
        return True
    have = subprocess.run([sys.executable, "-c", "import torch"], capture_output=True, check=False)
    if have.returncode == 0:
        return True
    found = pip("install", "--dry-run", "--no-deps", "--quiet", "--report", "-", torch)
    if found.returncode:
        return False
    chosen = json.loads(found.stdout)["install"]
    return bool(chosen) and str(chosen[0]["metadata"]["version"]).endswith("+cpu")


def install_torch(torch: str) -> None:
    """torch alone from the CPU index; what it depends on comes with the rest."""
    index = os.environ.get("TORCH_INDEX", CPU_INDEX)
    if index == "pypi" or cpu_build_is_at_hand(torch):
        return
    done = pip("install", "--no-deps", "--retries", "1", "--timeout", "20", "--index-url", index, torch)
    if done.returncode:
        sys.stderr.write(f"no {torch} at {index}; taking the build of PyPI, which is large\n")


def resolved(wanted: str) -> list[str]:
    """``name==version`` of all that pip would install for ``wanted``, the program itself excepted."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        asked = ["--dry-run", "--report", str(report), "--only-binary=:all:", "--no-build-isolation"]
        done = pip("install", *asked, "-c", str(PINS), wanted)
        if done.returncode:
            sys.exit(f"{done.stdout}{done.stderr}\npip found no way to install the program; see above")
        found = [item["metadata"] for item in json.loads(report.read_text(encoding="utf-8"))["install"]]
    names = [(re.sub(r"[-_.]+", "-", item["name"]).lower(), item["version"]) for item in found]
    return [f"{name}=={version}" for name, version in names if name != "faceswap-cli"]


def known_digests() -> dict[str, list[str]]:
    """``name==version`` -> SHA-256 of its wheels."""
    lines = [line.split() for line in HASHES.read_text(encoding="utf-8").splitlines()]
    return {words[0]: words[1:] for words in lines if len(words) > 1 and "==" in words[0]}


def install_checked(wanted: str) -> None:
    """Install what ``wanted`` needs; pip refuses a wheel whose digest is not a known one."""
    pins, known = resolved(wanted), known_digests()
    checked = [pin for pin in pins if pin in known]
    lines = [" ".join([pin, *(f"--hash=sha256:{digest}" for digest in known[pin])]) for pin in checked]
    others = [pin for pin in pins if pin not in known]
    with tempfile.TemporaryDirectory() as folder:
        listed = Path(folder) / "requirements.txt"
        listed.write_text("\n".join(lines) + "\n", encoding="utf-8")
        if lines:
            install("--require-hashes", "-r", str(listed))
    if others:
        sys.stderr.write(f"taken as they come, without a known digest: {', '.join(others)}\n")
        install(*others)


def install(*arguments: str) -> None:
    """Exactly these, without asking for what they need: that is in the list, too."""
    done = pip("install", "--no-deps", "--only-binary=:all:", *arguments)
    if done.returncode:
        sys.exit(f"{done.stdout}{done.stderr}\npip could not install the program; see above")


def main() -> None:
    if not PINS.is_file():
        sys.exit(f"no pinned versions for Python {sys.version.split()[0]}: use Python 3.10 to 3.13")
    extras = f"[{','.join(sys.argv[1:])}]" if sys.argv[1:] else ""
    install_torch(pinned("torch"))
    install_checked(pinned("hatchling"))
    install_checked(f"{ROOT}{extras}")
    install("--no-build-isolation", "-e", str(ROOT))


if __name__ == "__main__":
    main()
