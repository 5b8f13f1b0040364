"""Installs this checkout into the running Python, with the pinned versions and torch's CPU build.

    .venv/bin/python constraints/install.py [EXTRA ...]

On Linux the torch of PyPI is the CUDA build, several GB large.  So the CPU build is taken from the index
named by ``TORCH_INDEX`` (default: PyTorch's own), unless pip is set up to find a CPU build anyway.
``TORCH_INDEX=pypi`` takes the build of PyPI, for machines with an NVIDIA card.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PINS = ROOT / "constraints" / f"py{sys.version_info.major}{sys.version_info.minor}.txt"
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


def main() -> None:
    if not PINS.is_file():
        sys.exit(f"no pinned versions for Python {sys.version.split()[0]}: use Python 3.10 to 3.13")
    extras = f"[{','.join(sys.argv[1:])}]" if sys.argv[1:] else ""
    install_torch(pinned("torch"))
    done = pip("install", "--only-binary=:all:", "-c", str(PINS), "-e", f"{ROOT}{extras}")
    if done.returncode:
        sys.exit(f"{done.stdout}{done.stderr}\npip could not install the program; see above")


if __name__ == "__main__":
    main()
