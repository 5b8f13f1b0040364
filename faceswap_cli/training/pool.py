"""Faces to train on, as one memory-mapped array.

A pool is a folder: ``pixels.npy`` (N, 256, 256, 3) uint8 FFHQ crops, ``table.npz`` with one row
per crop, ``about.json`` with counts by license class.  It is made once from tar shards with a
manifest, folders of pictures, and clips, and then read without copying.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import logging
import tarfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray
from PIL import Image

from faceswap_cli.config import DetectOptions
from faceswap_cli.errors import InputError, NoFaceFound
from faceswap_cli.faces.crops import cut
from faceswap_cli.faces.detect import find_faces
from faceswap_cli.faces.finder import FaceFinder
from faceswap_cli.faces.stage import display_crop, observe
from faceswap_cli.geometry.align import FFHQ_SCALE, apply, scaled, unit_from_points
from faceswap_cli.identity.embed import embed
from faceswap_cli.records import F32, U8
from faceswap_cli.stream import prefetch

SIDE = 256
SMALLEST_FACE_PX = 110
"""FFHQ squares of clips smaller than this are left out: there is nothing to learn from them."""
_FULL = np.array([[0, 0], [SIDE, 0], [SIDE, SIDE], [0, SIDE]], np.float32)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Item:
    """One aligned face on its way into a pool."""

    rgb: U8 = field(repr=False)
    """(256, 256, 3)"""
    landmarks: F32 = field(repr=False)
    """(478, 3) px of the crop"""
    person: str
    clip: str = ""
    """Name of the clip the frame is of; empty for stills."""
    order: int = 0
    """Frame number inside its clip."""
    valid: F32 = field(repr=False, default_factory=_FULL.copy)
    """(4, 2) corners of the real picture in crop pixels; outside is padding"""
    licence: str = "own"
    origin: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """A pool on disk, opened for reading.  Arrays have one row per crop."""

    pixels: U8 = field(repr=False)
    landmarks: F32 = field(repr=False)
    embedding: F32 = field(repr=False)
    """(N, 128) as the identity network gives them"""
    person: NDArray[np.int32] = field(repr=False)
    clip: NDArray[np.int32] = field(repr=False)
    """-1 for stills"""
    order: NDArray[np.int32] = field(repr=False)
    valid: F32 = field(repr=False)
    held_out: NDArray[np.bool_] = field(repr=False)
    licence: tuple[str, ...] = field(repr=False)
    digest: str = ""

    def __len__(self) -> int:
        return len(self.landmarks)

    def rows(self, *, held_out: bool) -> NDArray[np.int64]:
        return np.flatnonzero(self.held_out == held_out)


def from_shards(folder: Path, stem: str, classes: Sequence[str]) -> Iterator[Item]:
    """Faces of ``<stem>.csv``, ``<stem>_landmarks.npz`` and the tar shards the manifest names."""
    manifest = folder / f"{stem}.csv"
    if not manifest.is_file():
        raise InputError(f"{manifest} is missing; give the folder that holds {stem}.csv and its tar shards")
    with manifest.open(newline="", encoding="utf-8") as handle:
        rows = [row for row in csv.DictReader(handle) if row["licence_class"] in classes]
    with np.load(folder / f"{stem}_landmarks.npz") as table:
        xy, z = table["xy_x64"].astype(np.float32) / 64, table["z"].astype(np.float32)
    for shard in dict.fromkeys(row["shard"] for row in rows):
        with tarfile.open(folder / shard) as tar:
            for row in (r for r in rows if r["shard"] == shard):
                index = int(row["lm_index"])
                landmarks = np.concatenate([xy[index], z[index][:, None]], axis=1)
                member = tar.extractfile(row["file"])
                if member is None:
                    raise InputError(f"{folder / shard} does not hold {row['file']}; the shard is damaged")
                with Image.open(io.BytesIO(member.read())) as picture:
                    rgb = np.asarray(picture.convert("RGB"))
                valid = np.array(row["valid_poly"].split(), np.float32).reshape(4, 2)
                yield Item(
                    rgb,
                    landmarks,
                    row["identity"],
                    valid=valid,
                    licence=row["licence_class"],
                    origin=row["set"],
                )


def from_pictures(folder: Path, licence: str = "own") -> Iterator[Item]:
    """Faces of all pictures below ``folder``; a sub-folder's name is the person, else the file's."""
    from faceswap_cli.video.picture import is_picture, read_picture

    paths = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    if not paths:
        raise InputError(f"{folder} holds no files; give a folder of pictures of faces")
    options = DetectOptions()
    with closing(FaceFinder(options)) as finder:
        for path in paths:
            if not is_picture(path):
                continue
            rgb = read_picture(path).rgb
            faces = find_faces(rgb, options, finder)
            if not faces:
                log.warning("no face in %s; left out", path)
                continue
            person = path.stem if path.parent == folder else path.parent.name
            yield aligned(rgb, faces[0].landmarks, person, licence, str(path.name))


def aligned(rgb: U8, landmarks: F32, person: str, licence: str, origin: str) -> Item:
    """The face whose mesh in the picture ``rgb`` is ``landmarks``."""
    crop_from_image = scaled(unit_from_points(landmarks, FFHQ_SCALE), SIDE)
    height, width = rgb.shape[:2]
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    return Item(
        cut(rgb, crop_from_image, SIDE),
        apply(crop_from_image, landmarks),
        person,
        valid=apply(crop_from_image, corners),
        licence=licence,
        origin=origin,
    )


def from_clip(path: Path, person: str, licence: str = "own", every: int = 2) -> Iterator[Item]:
    """Each ``every``-th frame's largest face, aligned on its own frame."""
    from faceswap_cli.video.probe import probe
    from faceswap_cli.video.reader import read_frames

    clip = probe(path)
    width, height = clip.display_size
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    options = DetectOptions(workers=1)
    with closing(prefetch(read_frames(clip), 4)) as frames, closing(observe(frames, clip, options)) as seen:
        for one in seen:
            if one.frame.index % every or not one.faces:
                continue
            landmarks = one.faces[0].landmarks
            crop_from_display = scaled(unit_from_points(landmarks, FFHQ_SCALE), SIDE)
            if SIDE / np.sqrt(np.linalg.det(crop_from_display[:2, :2])) < SMALLEST_FACE_PX:
                continue
            yield Item(
                display_crop(one.frame, clip, crop_from_display, SIDE),
                apply(crop_from_display, landmarks),
                person,
                clip=path.stem,
                order=one.frame.index,
                valid=apply(crop_from_display, corners),
                licence=licence,
                origin=path.name,
            )


def pack(items: Iterable[Item], folder: Path, held_out_share: float = 0.05) -> Pool:
    """Write a pool.  People, not pictures, are held out; which ones depends on their names only."""
    folder.mkdir(parents=True, exist_ok=True)
    kept = list(items)
    if not kept:
        raise NoFaceFound(
            f"no face was found to fill {folder}; look at the folders and clips of the configuration"
        )
    pixels = open_memmap(folder / "pixels.npy", "w+", np.uint8, (len(kept), SIDE, SIDE, 3))
    embedding = np.empty((len(kept), 128), np.float32)
    for i, item in enumerate(kept):
        pixels[i] = item.rgb
        embedding[i] = embed(item.rgb, item.landmarks[None])[0]
    pixels.flush()
    people = {name: i for i, name in enumerate(sorted({item.person for item in kept}))}
    clips = {name: i for i, name in enumerate(sorted({item.clip for item in kept if item.clip}))}
    np.savez(
        folder / "table.npz",
        landmarks=np.stack([item.landmarks for item in kept]).astype(np.float32),
        embedding=embedding,
        person=np.array([people[item.person] for item in kept], np.int32),
        clip=np.array([clips.get(item.clip, -1) for item in kept], np.int32),
        order=np.array([item.order for item in kept], np.int32),
        valid=np.stack([item.valid for item in kept]).astype(np.float32),
        held_out=np.array([_is_held_out(item.person, held_out_share) for item in kept]),
        licence=np.array([item.licence for item in kept]),
    )
    about = {
        "crops": len(kept),
        "people": len(people),
        "clips": len(clips),
        "licence_class": dict(Counter(item.licence for item in kept)),
        "stills_by_set": dict(Counter(item.origin for item in kept if not item.clip))
        if len(people) > 50
        else {},
    }
    (folder / "about.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    return open_pool(folder)


def _is_held_out(person: str, share: float) -> bool:
    number = int.from_bytes(hashlib.sha256(person.encode()).digest()[:4], "big")
    return number / 2**32 < share


def open_pool(folder: Path) -> Pool:
    """Open a pool written by :func:`pack`."""
    try:
        pixels = np.load(folder / "pixels.npy", mmap_mode="r")
        with np.load(folder / "table.npz") as table:
            columns = {name: table[name] for name in table.files}
    except (OSError, ValueError) as error:
        raise InputError(
            f"{folder} is not a training pool ({error}); delete it and run the command again"
        ) from error
    if len(pixels) != len(columns["landmarks"]):
        raise InputError(
            f"{folder} is damaged: {len(pixels)} pictures, {len(columns['landmarks'])} rows; delete it"
        )
    licence = tuple(str(name) for name in columns.pop("licence"))
    digest = hashlib.sha256(columns["landmarks"].tobytes()).hexdigest()[:16]
    return Pool(pixels=pixels, licence=licence, digest=digest, **columns)
