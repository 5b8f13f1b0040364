"""Writes the digests of the weights in this folder into the package: run it after one of them changed.

python weights/build/digests.py
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))

from faceswap_cli.weights.bundled import SUFFIXES, TABLE, look  # noqa: E402


def main() -> None:
    found = [look(path) for path in sorted((ROOT / "weights").iterdir()) if path.suffix in SUFFIXES]
    table = {"files": {file.name: {"size": file.size, "sha256": file.sha256} for file in found}}
    TABLE.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
    print(f"{TABLE.relative_to(ROOT)}: {len(found)} files")


if __name__ == "__main__":
    main()
