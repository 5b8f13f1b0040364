"""Writes ``hashes.txt`` of this folder: digests of every wheel of every pinned version, as PyPI names them.

    pip install uv && python constraints/hashes.py

One file for all Pythons and systems.  ``install.py`` lets pip take nothing else.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
HEAD = "# SHA-256 of the wheels of all pinned versions; written by constraints/hashes.py\n"
_ENTRY = re.compile(
    r"^(?P<pin>[a-z0-9._-]+==[^\s\\;]+)(?P<hashes>(?:\s*\\\n\s*--hash=sha256:[0-9a-f]{64})+)", re.M
)


def hashes_of(pins: Path) -> dict[str, set[str]]:
    """Pin -> digests, for the pins of one Python."""
    version = f"3.{pins.stem.removeprefix('py3')}"
    command = [
        "uv",
        "pip",
        "compile",
        str(pins),
        "--no-deps",
        "--generate-hashes",
        "--no-header",
        "--no-annotate",
    ]
    command += ["--python-version", version, "--only-binary", ":all:", "--universal", "--quiet"]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = {m["pin"]: set(re.findall(r"[0-9a-f]{64}", m["hashes"])) for m in _ENTRY.finditer(told)}
    wanted = {line for line in pins.read_text(encoding="utf-8").splitlines() if "==" in line}
    if missing := sorted(wanted - set(found)):
        raise SystemExit(f"{pins.name}: no wheel is known of {', '.join(missing)}")
    return found


def main() -> None:
    every: dict[str, set[str]] = {}
    for pins in sorted(HERE.glob("py3*.txt")):
        for pin, digests in hashes_of(pins).items():
            every.setdefault(pin, set()).update(digests)
    lines = [f"{pin} {' '.join(sorted(digests))}\n" for pin, digests in sorted(every.items())]
    (HERE / "hashes.txt").write_text(HEAD + "".join(lines), encoding="utf-8")
    sys.stdout.write(f"hashes.txt: {len(lines)} versions, {sum(map(len, every.values()))} wheels\n")


if __name__ == "__main__":
    main()
