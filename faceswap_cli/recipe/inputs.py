"""Find the original files by their contents, whatever they are called now and in any order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from faceswap_cli.errors import InputError, UsageError
from faceswap_cli.identity.photos import picture_files
from faceswap_cli.jobs.files import sha256
from faceswap_cli.recipe.digests import content_digest, keyed
from faceswap_cli.recipe.record import Recipe


@dataclass(frozen=True, slots=True)
class Inputs:
    """The files of a recipe."""

    target: Path
    people: tuple[tuple[Path, ...], ...]
    """For each source person the photographs, or the enrollment file, in the original order"""
    parsing: Path | None = None
    mask: Path | None = None
    """The user's occlusion mask"""
    unused: tuple[Path, ...] = ()
    """Given, but not part of the recipe"""

    @property
    def sources(self) -> tuple[Path, ...]:
        """Every source file, once."""
        return tuple(dict.fromkeys(path for group in self.people for path in group))


@dataclass(frozen=True, slots=True)
class Known:
    """Where to look when the user does not say: what a kept job folder remembers."""

    target: Path | None = None
    sources: tuple[Path, ...] = ()
    parsing: Path | None = None
    mask: Path | None = None


def find_inputs(
    recipe: Recipe,
    sources: Sequence[Path] = (),
    target: Path | None = None,
    parsing: Path | None = None,
    known: Known | None = None,
    *,
    mask: Path | None = None,
) -> Inputs:
    """The files of ``recipe`` among those given, or else among those ``known``.

    :class:`UsageError` when nothing says where to look, :class:`InputError` when a file is another one.
    """
    known = known or Known()
    target = target or known.target
    if target is None:
        raise UsageError("the target is not known; name it with --target (or make results with --keep)")
    sources = list(sources) or list(known.sources)
    if not sources:
        raise UsageError("the source is not known; name it with --source (or make results with --keep)")
    if content_digest(_there(target, "--target")) != recipe.target:
        raise InputError(
            f"{target} is not the original target (different content); give that one with --target"
        )
    people, unused = _people(recipe, sources)
    maps = (
        _original(recipe.parsing, parsing or known.parsing, "label map", "--parsing", recipe),
        _original(recipe.mask, mask or known.mask, "occlusion mask", "--occlusion-mask", recipe),
    )
    return Inputs(target, people, *maps, unused)


def _there(path: Path, flag: str) -> Path:
    if not path.is_file():
        raise InputError(f"{path} no longer exists; give its new place with {flag}")
    return path


def photos_of(
    recipe: Recipe, given: Iterable[Path], rows: Iterable[int]
) -> tuple[dict[int, tuple[Path, ...]], int]:
    """Photographs of the source people ``rows`` among the files ``given``, and how many are missing."""
    files = picture_files([path if path.is_dir() else _there(path, "--source") for path in given])
    place = {keyed(_digest(path), recipe.target): path for path in reversed(files)}
    found = {row: tuple(place[one] for one in recipe.sources[row] if one in place) for row in rows}
    return found, sum(len(recipe.sources[row]) - len(photos) for row, photos in found.items())


def _people(recipe: Recipe, given: Iterable[Path]) -> tuple[tuple[tuple[Path, ...], ...], tuple[Path, ...]]:
    """Photographs by person, and those that belong to nobody."""
    there = [path if path.is_dir() else _there(path, "--source") for path in given]
    files = picture_files(there)
    digests = {path: keyed(_digest(path), recipe.target) for path in files}
    place = {digest: path for path, digest in reversed(digests.items())}
    needed = [digest for group in recipe.sources for digest in group]
    unused = tuple(path for path, digest in digests.items() if digest not in needed)
    missing = [digest for digest in dict.fromkeys(needed) if digest not in place]
    if missing:
        raise InputError(_told(len(missing), len(set(needed)), unused))
    return tuple(tuple(place[digest] for digest in group) for group in recipe.sources), unused


def _told(missing: int, needed: int, unused: Sequence[Path]) -> str:
    others = ", ".join(str(path) for path in unused[:3]) + (" and others" if len(unused) > 3 else "")
    if needed == 1:
        return f"{others} is not the original source (different content); give that one with --source"
    found = f"; {others} is none of them" if unused else ""
    return (
        f"{missing} of {needed} original source photographs are missing{found}; "
        "give all of them with --source"
    )


def _digest(path: Path) -> str:
    try:
        return sha256(path)
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror or error}); check its permissions"
        ) from error


def _original(digest: str, path: Path | None, kind: str, flag: str, recipe: Recipe) -> Path | None:
    """The file of ``digest``, which is empty where none was used."""
    if not digest:
        return None
    if path is None:
        raise UsageError(f"the result was made with {_a(kind)}; give it with {flag}")
    if keyed(content_digest(_there(path, flag)), recipe.target) != digest:
        raise InputError(f"{path} is not the original {kind} (different content); give that one with {flag}")
    return path


def _a(kind: str) -> str:
    return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"
