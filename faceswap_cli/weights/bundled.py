"""The files that come with the program are what was packed: their digests are part of the code."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from faceswap_cli.errors import WeightsError
from faceswap_cli.weights import registry

TABLE = Path(__file__).parent / "tables" / "bundled.json"
SUFFIXES = (".safetensors", ".task", ".onnx")
_BLOCK = 1 << 22


@dataclass(frozen=True, slots=True)
class Packed:
    """One file as it was packed."""

    name: str
    size: int
    sha256: str


def packed() -> dict[str, Packed]:
    """Name -> size and digest of every file that belongs to this version."""
    table = json.loads(TABLE.read_text(encoding="utf-8"))
    return {name: Packed(name, entry["size"], entry["sha256"]) for name, entry in table["files"].items()}


def verify_bundled(name: str) -> Packed:
    """Compare a bundled file with its digest; :class:`WeightsError` when it is missing or another one."""
    known = packed().get(name)
    path = registry.bundled(name)
    if known is None:
        raise WeightsError(f"{path} is not part of this version; reinstall faceswap-cli")
    found = look(path)
    if found != known:
        raise WeightsError(
            f"{path} is damaged or another file: {found.size} bytes, sha256 {found.sha256[:16]}... found, "
            f"{known.size} and {known.sha256[:16]}... expected; reinstall faceswap-cli"
        )
    return known


def look(path: Path) -> Packed:
    """Size and digest of ``path`` as it is."""
    digest, size = hashlib.sha256(), 0
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
                size += len(block)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read ({error.strerror}); reinstall faceswap-cli") from error
    return Packed(path.name, size, digest.hexdigest())
