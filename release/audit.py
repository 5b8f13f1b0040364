"""Asks ``pip-audit`` for known weaknesses of the pinned versions; fails on one, or when it cannot tell.

.venv/release/bin/python release/audit.py constraints
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any


def audited(pins: Path) -> list[dict[str, Any]]:
    """The answer for each pinned version of one Python."""
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(pins), "--no-deps", "--disable-pip"]
    told = subprocess.run(
        [*command, "--format", "json", "--progress-spinner", "off"],
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        found: list[dict[str, Any]] = json.loads(told.stdout)["dependencies"]
    except (ValueError, KeyError, TypeError):
        reason = (told.stderr.strip().splitlines() or ["no answer"])[-1]
        raise SystemExit(f"{pins.name}: pip-audit could not ask the advisory database: {reason}") from None
    return found


def main() -> None:
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    files = sorted(Path(sys.argv[1]).glob("py3*.txt"))
    weak: set[str] = set()
    unknown: set[str] = set()
    for pins in files:
        for entry in audited(pins):
            name = f"{entry['name']} {entry.get('version', '')}".strip()
            if "skip_reason" in entry:
                unknown.add(name)
            for found in entry.get("vulns", ()):
                fixed = ", ".join(found.get("fix_versions", ())) or "no version yet"
                weak.add(f"{name}: {found['id']}, fixed in {fixed} ({pins.name})")
    for line in sorted(weak):
        sys.stdout.write(f"{line}\n")
    if unknown:
        sys.stdout.write(f"{len(unknown)} could not be asked about: {', '.join(sorted(unknown))}\n")
    if weak or unknown or not files:
        raise SystemExit(1)
    sys.stdout.write(f"no known weakness in the pins of {len(files)} Pythons\n")


if __name__ == "__main__":
    main()
