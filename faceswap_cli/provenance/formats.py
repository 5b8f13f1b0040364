"""Which files can hold a C2PA manifest, where it lies for the others, and how the library is used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

EMBEDDED = {
    ".mp4": "video/mp4",
    ".m4v": "video/mp4",
    ".mov": "video/quicktime",
    ".avi": "video/avi",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
    ".apng": "image/png",
    ".webp": "image/webp",
    ".gif": "image/gif",
    ".avif": "image/avif",
    ".tif": "image/tiff",
    ".tiff": "image/tiff",
}
"""Ending -> type of the files that can hold a manifest."""
OTHER = "application/octet-stream"
CONSENT_LABEL = "faceswap-cli.consent"
"""Assertion with the digest of the file that records who agreed."""
SIDECAR = ".c2pa"
_SPILL_MIB = 16
"""The library keeps copies up to this size in memory, larger ones in temporary files."""


def settings(*, verify_after_sign: bool = True) -> dict[str, Any]:
    """For every use of the library: nothing is fetched, no pictures are made."""
    return {
        "version": 1,
        "core": {"backing_store_memory_threshold_in_mb": _SPILL_MIB},
        "builder": {"thumbnail": {"enabled": False}},
        "verify": {
            "verify_after_sign": verify_after_sign,
            "remote_manifest_fetch": False,
            "ocsp_fetch": False,
        },
    }


def sidecar_path(output: Path) -> Path:
    """``clip.mkv`` -> ``clip.mkv.c2pa``: two containers of one name must not share one."""
    return output.with_name(output.name + SIDECAR)


def find_sidecar(path: Path) -> Path | None:
    """``clip.mkv.c2pa`` or, as other programs name it, ``clip.c2pa``."""
    for candidate in (sidecar_path(path), path.with_suffix(SIDECAR)):
        if candidate != path and candidate.is_file():
            return candidate
    return None
