"""Photographs of one person -> :class:`SourceIdentity`."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from faceswap_cli.config import DetectOptions
from faceswap_cli.errors import InputError, NoFaceFound, SeveralFaces
from faceswap_cli.faces.crops import cut, width_px
from faceswap_cli.faces.detect import find_faces
from faceswap_cli.faces.finder import FaceFinder
from faceswap_cli.geometry.align import scaled, unit_from_points
from faceswap_cli.identity.advice import advice
from faceswap_cli.identity.agreement import agreement
from faceswap_cli.identity.embed import SAME_PERSON, embed
from faceswap_cli.identity.faceid import source_of
from faceswap_cli.identity.people import SUFFIX
from faceswap_cli.identity.quality import quality
from faceswap_cli.output import PICTURES
from faceswap_cli.records import F32, U8, Face, SourceIdentity, SourcePhoto
from faceswap_cli.video.picture import read_picture

CLEARLY_LARGER = 1.5
_TILE = 48
"""Side of the pictures in which faces are shown to choose from."""
_LEAST = 1e-3
"""Quality of a photograph that looks like another person."""


@dataclass(frozen=True, slots=True, eq=False)
class _Candidate:
    """A readable photograph with every face in it."""

    path: Path
    rgb: U8 = field(repr=False)
    faces: tuple[Face, ...]
    embeddings: F32 = field(repr=False)

    @property
    def clear(self) -> bool:
        """One face, or one that is clearly the largest."""
        sizes = [width_px(face.landmarks) for face in self.faces]
        return len(sizes) == 1 or sizes[0] >= CLEARLY_LARGER * sizes[1]


def load_photos(paths: Sequence[Path], detect: DetectOptions) -> SourceIdentity:
    """Read pictures, or folders of pictures, of one person.

    With several photographs one that cannot be used is left out and named in ``notes``; when none
    is left the error says why.  Where a picture shows several people the face that is clearly the
    largest is taken, or the one that the other photographs show.  The file of an enrolled person
    (``.faceid``) stands for all photographs.
    """
    if any(Path(path).suffix == SUFFIX for path in paths):
        return source_of([Path(path) for path in paths])
    photos, notes = read_photos(paths, detect)
    photos, more = _weighed(photos)
    more += advice(photos)
    weights = np.array([photo.quality for photo in photos])
    embedding = np.average(np.stack([photo.embedding for photo in photos]), axis=0, weights=weights)
    return SourceIdentity(
        name=_name(paths),
        photos=photos,
        embedding=embedding.astype(np.float32),
        digest=_digest(photos, detect.source_face),
        notes=(*notes, *more),
    )


def read_photos(
    paths: Sequence[Path], detect: DetectOptions
) -> tuple[tuple[SourcePhoto, ...], tuple[str, ...]]:
    """Every photograph that can be used, each judged on its own, and one line for each of the others."""
    candidates, notes = _read_all(picture_files(paths), detect)
    chosen, more = _chosen(candidates, detect.source_face)
    notes += more
    if not chosen and len(candidates) == 1 and detect.source_face == "auto":
        raise SeveralFaces(notes[-1], _tiles(candidates[0]))
    if not chosen:
        raise NoFaceFound(notes[0] if len(notes) == 1 else f"no usable source photo: {'; '.join(notes)}")
    return tuple(_photo(candidate, row) for candidate, row in chosen), tuple(notes)


def picture_files(paths: Sequence[Path]) -> list[Path]:
    """Folders replaced by the pictures in them, by name; hidden files are left out."""
    files: list[Path] = []
    for path in map(Path, paths):
        if not path.is_dir():
            files.append(path)
            continue
        try:
            inside = sorted(path.iterdir())
        except OSError as error:
            raise InputError(f"{path}: {error.strerror}; check its permissions") from error
        found = [p for p in inside if p.suffix.lower() in PICTURES and not p.name.startswith(".")]
        if not found:
            raise InputError(f"{path} holds no pictures; give photographs of the source person")
        files += found
    if not files:
        raise InputError("no source photo given; name one picture or a folder of them")
    return list(dict.fromkeys(files))


def _read_all(files: Sequence[Path], detect: DetectOptions) -> tuple[list[_Candidate], list[str]]:
    """What can be read and shows a face; and one line for each of the others."""
    candidates: list[_Candidate] = []
    notes: list[str] = []
    with closing(FaceFinder(detect)) as finder:
        for path in files:
            try:
                rgb = read_picture(path, detect.max_pixels).rgb
            except InputError as error:
                if len(files) == 1 or not path.exists():
                    raise
                notes.append(str(error))
                continue
            faces = find_faces(rgb, detect, finder)
            if faces:
                meshes = np.stack([face.landmarks for face in faces])
                candidates.append(_Candidate(path, rgb, faces, embed(rgb, meshes, flip=True)))
            else:
                notes.append(
                    f"no face of {detect.min_face_px} px or more in {path}; use a photo that shows the face "
                    "from the front, well lit and not covered"
                )
    return candidates, notes


def _asked(candidate: _Candidate, face: str) -> int | None:
    """Row of the face that ``--source-face`` names; None when there are fewer faces."""
    if face == "largest" or len(candidate.faces) == 1:
        return 0
    by_place = _by_place(candidate)
    number = 1 if face == "left" else int(face)
    return by_place[number - 1] if number <= len(by_place) else None


def _by_place(candidate: _Candidate) -> list[int]:
    """Rows of its faces from the left."""
    return sorted(range(len(candidate.faces)), key=lambda row: float(candidate.faces[row].box[0]))


def _tiles(candidate: _Candidate) -> tuple[U8, ...]:
    """(_TILE, _TILE, 3) of each face, from the left."""
    meshes = [candidate.faces[row].landmarks for row in _by_place(candidate)]
    return tuple(cut(candidate.rgb, scaled(unit_from_points(mesh), _TILE), _TILE) for mesh in meshes)


def _chosen(candidates: Sequence[_Candidate], face: str) -> tuple[list[tuple[_Candidate, int]], list[str]]:
    """The face to use of each picture, and one line for each picture that leaves it open."""
    clear = [candidate for candidate in candidates if candidate.clear]
    known = np.mean([candidate.embeddings[0] for candidate in clear], axis=0) if clear else None
    chosen, notes = [], []
    for candidate in candidates:
        count = len(candidate.faces)
        if face != "auto":
            row = _asked(candidate, face)
            if row is None:
                notes.append(f"{candidate.path} shows {count} faces; --source-face {face} names none of them")
            else:
                chosen.append((candidate, row))
            continue
        if candidate.clear:
            chosen.append((candidate, 0))
            continue
        if known is not None:
            distances = np.linalg.norm(candidate.embeddings - known, axis=1)
            if distances.min() < SAME_PERSON:
                chosen.append((candidate, int(distances.argmin())))
                continue
        notes.append(
            f"{candidate.path} shows {count} faces of similar size; choose one with --source-face largest, "
            f"left, or 1 to {count} from the left"
        )
    return chosen, notes


def _photo(candidate: _Candidate, row: int) -> SourcePhoto:
    mesh = candidate.faces[row].landmarks
    return SourcePhoto(
        path=candidate.path,
        rgb=candidate.rgb,
        landmarks=mesh,
        embedding=candidate.embeddings[row],
        quality=quality(candidate.rgb, mesh),
    )


def _weighed(photos: tuple[SourcePhoto, ...]) -> tuple[tuple[SourcePhoto, ...], list[str]]:
    """Photographs that do not look like the others count little, and are named."""
    if len(photos) < 3:
        return photos, _strangers(photos)
    weights = np.array([photo.quality for photo in photos])
    factor, apart = agreement(np.stack([photo.embedding for photo in photos]), weights)
    notes = [
        f"{photo.path.name} may show another person (distance {distance:.2f} from the other photos)"
        for photo, distance in zip(photos, apart, strict=True)
        if distance > SAME_PERSON
    ]
    kept = (
        photo if trust == 1.0 else replace(photo, quality=max(photo.quality * float(trust), _LEAST))
        for photo, trust in zip(photos, factor, strict=True)
    )
    return tuple(kept), notes


def _strangers(photos: Sequence[SourcePhoto]) -> list[str]:
    if len(photos) < 2:
        return []
    distance = float(np.linalg.norm(photos[0].embedding - photos[1].embedding))
    if distance < SAME_PERSON:
        return []
    first, second = (photo.path.name for photo in photos)
    return [f"{first} and {second} may show different people (distance {distance:.2f})"]


def _name(paths: Sequence[Path]) -> str:
    first = Path(paths[0])
    return first.name if first.is_dir() else first.stem


def _digest(photos: Sequence[SourcePhoto], face: str) -> str:
    """Of the photographs, and of the faces chosen in them where that is not up to us."""
    found = digest_of([photo.path for photo in photos])
    return found if face == "auto" else hashlib.sha256(f"{found} {face}".encode()).hexdigest()


def digest_of(files: Sequence[Path]) -> str:
    """SHA-256 over the contents."""
    total = hashlib.sha256()
    for path in files:
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()
