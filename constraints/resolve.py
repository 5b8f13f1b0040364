"""Writes ``pyXYZ.txt`` of this folder: the versions that pip picks today for this Python, pinned.

    python3.12 constraints/resolve.py

Wheels only, so that an installation never compiles anything.  Local builds of a version (``+cpu``) are
written without their suffix: the same file then serves the CPU and the CUDA build of torch.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
HELD = ("torch==2.13.0",)
"""Not the newest: the version that the figures of this repository were measured with."""


def resolve() -> dict[str, str]:
    """Name -> version of everything that the program and its tests need, the program itself excepted."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet"]
        command += ["--only-binary=:all:", "--report", str(report), f"{HERE.parent}[dev,onnxruntime]", *HELD]
        subprocess.run(command, check=True)
        found = json.loads(report.read_text(encoding="utf-8"))["install"]
    names = {item["metadata"]["name"]: item["metadata"]["version"] for item in found}
    return {
        name: version.split("+")[0]
        for name, version in names.items()
        # nvidia-* and triton belong to the CUDA build alone and are pinned by torch itself
        if name != "faceswap-cli" and not name.startswith(("nvidia-", "cuda-", "triton"))
    }


def main() -> None:
    pins = resolve()
    path = HERE / f"py{sys.version_info.major}{sys.version_info.minor}.txt"
    lines = [f"{name.lower().replace('_', '-')}=={version}" for name, version in pins.items()]
    head = f"# Python {sys.version_info.major}.{sys.version_info.minor}; written by constraints/resolve.py\n"
    path.write_text(head + "\n".join(sorted(lines)) + "\n", encoding="utf-8")
    sys.stdout.write(f"{path.name}: {len(lines)} pins\n")


if __name__ == "__main__":
    main()
