"""The key tables of the official checkpoints, and deterministic stand-in numbers for every key.

``tables/official.json`` holds, for each published file, every tensor's name (braces list index values),
shape, type and stand-in fill.  The stand-ins prove that an implementation has names, shapes, scales,
paddings and orders right where the real files cannot be had; a picture made with them is noise.

Each tensor has a stream of its own, named ``<set>/<checkpoint>/<component>/<key>``: numpy's PCG64 seeded
with the CRC-32 of the name, drawing float32 standard normals in C order.
"""

from __future__ import annotations

import itertools
import json
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

_TABLES = Path(__file__).parent / "tables" / "official.json"
_BRACE = re.compile(r"\{([^}]*)\}")


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One tensor of a checkpoint."""

    shape: tuple[int, ...]
    dtype: str
    fill: tuple[Any, ...]
    """("normal" or "absnormal", scale, offset), ("const", value) or ("blur", gain)"""


@dataclass(frozen=True, slots=True)
class CheckpointSpec:
    """One published file."""

    name: str
    file: str
    key_prefix: str
    components: dict[str, dict[str, TensorSpec]]
    tensors: dict[str, TensorSpec]
    """Beside the state dicts: ``latent_avg``."""
    opts: dict[str, Any] | None


def _values(text: str) -> list[str]:
    if ".." not in text:
        return text.split(",")
    first, last, *step = (int(part) for part in text.split(".."))
    return [str(k) for k in range(first, last + 1, step[0] if step else 1)]


def expand(pattern: str) -> Iterator[str]:
    """``a.{0..2}.b`` -> a.0.b, a.1.b, a.2.b; also ``{0..8..2}`` and ``{1,4}``."""
    parts = _BRACE.split(pattern)
    choices = [_values(part) if k % 2 else [part] for k, part in enumerate(parts)]
    return ("".join(chosen) for chosen in itertools.product(*choices))


def _spec(row: list[Any]) -> TensorSpec:
    shape, dtype, fill = row
    return TensorSpec(tuple(shape), dtype, tuple(fill))


@lru_cache(maxsize=1)
def checkpoints() -> dict[str, CheckpointSpec]:
    """Every published file by its short name."""
    found: dict[str, CheckpointSpec] = {}
    for name, entry in json.loads(_TABLES.read_text(encoding="utf-8")).items():
        components = {
            component: {key: _spec(row[1:]) for row in rows for key in expand(row[0])}
            for component, rows in entry["components"].items()
        }
        tensors = {key: _spec(row) for key, row in entry["tensors"].items()}
        found[name] = CheckpointSpec(
            name, entry["file"], entry["key_prefix"], components, tensors, entry.get("opts")
        )
    return found


def stream(name: str) -> np.random.Generator:
    """The random stream of a name."""
    return np.random.Generator(np.random.PCG64(zlib.crc32(name.encode("ascii"))))


def fill(name: str, spec: TensorSpec) -> Array:
    """The stand-in of one tensor; ``name`` starts with the set."""
    kind, *args = spec.fill
    dtype = np.dtype(spec.dtype)
    if kind == "const":
        return np.full(spec.shape, args[0], dtype)
    if kind == "blur":
        taps = np.array([1, 3, 3, 1], np.float32)
        return (np.outer(taps, taps) / np.float32(64) * np.float32(args[0])).astype(dtype)
    drawn = stream(name).standard_normal(spec.shape, dtype=np.float32)
    if kind == "absnormal":
        drawn = np.abs(drawn)
    drawn *= np.float32(args[0])
    drawn += np.float32(args[1])
    return drawn.astype(dtype, copy=False)


def component(checkpoint: str, name: str, which: str = "A") -> Iterator[tuple[str, Array]]:
    """(key, array) of one state dict, keys without any prefix."""
    for key, spec in checkpoints()[checkpoint].components[name].items():
        yield key, fill(f"{which}/{checkpoint}/{name}/{key}", spec)


def beside(checkpoint: str, which: str = "A") -> dict[str, Array]:
    """The tensors beside the state dicts."""
    specs = checkpoints()[checkpoint].tensors
    return {key: fill(f"{which}/{checkpoint}/{key}", spec) for key, spec in specs.items()}


# Inputs, from streams of the same kind named <set>/input/<name>.


def image(name: str, size: int, which: str = "A") -> NDArray[np.uint8]:
    """(size, size, 3): 16x16 random blocks plus fine noise; integers only."""
    rng = stream(f"{which}/input/{name}")
    coarse = rng.integers(32, 224, size=(16, 16, 3))
    fine = rng.integers(-24, 25, size=(size, size, 3))
    step = size // 16
    big = coarse.repeat(step, axis=0).repeat(step, axis=1)
    pixels: NDArray[np.uint8] = np.clip(big + fine, 0, 255).astype(np.uint8)
    return pixels


def codes(name: str, which: str = "A") -> NDArray[np.float32]:
    """(18, 512), spread 0.5"""
    drawn = stream(f"{which}/input/{name}").standard_normal((18, 512), dtype=np.float32)
    return drawn * np.float32(0.5)


def normal(name: str, shape: tuple[int, ...], which: str = "A") -> NDArray[np.float32]:
    """Standard normals of an input stream."""
    return stream(f"{which}/input/{name}").standard_normal(shape, dtype=np.float32)


def landmarks(name: str, which: str = "A") -> NDArray[np.float32]:
    """(106, 2) x, y in pixels of a 256 picture; rows 5..16 hold the edge cases of the pixel rule."""
    rng = stream(f"{which}/input/{name}")
    points = rng.integers(28 * 64, 228 * 64, size=(106, 2)).astype(np.float32) / np.float32(64)
    points[5] = (-1.0, 100.25)  # missing: skipped
    points[7] = (-0.5, 40.75)  # truncated towards zero: column 0
    points[9] = (255.75, 255.5)  # the last pixel
    points[11] = (256.0, 50.0)  # outside
    points[13] = (-2.5, 60.0)  # outside
    points[16] = points[15]  # two maps with the same pixel
    return points


_BLOBS = (
    # label, center x, center y, half width, half height; CelebAMask-HQ numbers, later ones on top
    (13, 256, 210, 190, 190), (18, 256, 560, 260, 110), (17, 256, 430, 70, 90), (8, 118, 270, 22, 40),
    (9, 394, 270, 22, 40), (1, 256, 270, 135, 175), (6, 200, 205, 38, 9), (7, 312, 205, 38, 9),
    (4, 202, 240, 26, 12), (3, 310, 240, 40, 22), (5, 310, 240, 26, 12), (2, 256, 295, 26, 40),
    (11, 256, 362, 50, 22), (12, 256, 372, 46, 18), (10, 256, 366, 34, 8), (14, 256, 40, 150, 40),
)  # fmt: skip


def labels(name: str, which: str = "A") -> NDArray[np.uint8]:
    """(512, 512) label map of ellipses, drawn with integers."""
    shift_x, shift_y = (int(v) for v in stream(f"{which}/input/{name}").integers(-24, 25, size=2))
    y, x = np.mgrid[0:512, 0:512].astype(np.int64)
    drawn = np.zeros((512, 512), np.uint8)
    for label, cx, cy, a, b in _BLOBS:
        dx, dy = x - (cx + shift_x), y - (cy + shift_y)
        drawn[(dx * b) ** 2 + (dy * a) ** 2 <= (a * b) ** 2] = label
    return drawn
