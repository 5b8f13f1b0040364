"""Files that a folder or a pattern brings along and that are not meant as targets: what this program made
there earlier, and the source itself."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from filecmp import cmp
from pathlib import Path

from faceswap_cli.batch.rows import Request, Row, own_results
from faceswap_cli.batch.targets import Target
from faceswap_cli.errors import InputError, UsageError
from faceswap_cli.provenance.mark import made_here

RESULT, MADE, SOURCE = "results of this batch", "made by faceswap", "the source"
_NAMED = 3
"""Files of a kind that are named in the line; of more the number is given"""


def leftovers(
    requests: Sequence[Request],
    rows: Sequence[Row],
    looks: Mapping[Path, Target],
    sources: Iterable[Path],
    named: Collection[Path],
) -> dict[Path, str]:
    """Why targets are left out; those in ``named`` never are, except results of the batch itself.

    Files that this program made (results, preview and contact sheets) stay where there is nothing else: then
    results are to be swapped again.
    """
    found = dict.fromkeys(own_results(requests, rows), RESULT)
    photos = _by_size(path for source in sources for path in _inside(source))
    searched = [path for path in looks if path not in named and path not in found]
    found |= {path: SOURCE for path in searched if _is_among(path, photos)}
    made = [path for path in searched if path not in found and _made_here(looks[path])]
    if set(made) | set(found) != set(looks):
        found |= dict.fromkeys(made, MADE)
    if looks and not set(looks) - set(found):
        raise UsageError(f"no target is left: {sentence(found)}")
    return found


def sentence(left_out: Mapping[Path, str]) -> str:
    """``skipped a.png, b.png (made by faceswap), me.jpg (the source); ...``"""
    parts = []
    for why in sorted(set(left_out.values())):
        names = sorted(path.name for path, reason in left_out.items() if reason == why)
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        parts.append(f"{', '.join(names[:_NAMED])}{more} ({why})")
    return f"skipped {', '.join(parts)}; to include a file, give its name"


def _made_here(target: Target) -> bool:
    if target.problem is not None:
        return False
    with suppress(InputError):
        return made_here(target.path, None if target.clip is None else target.clip.metadata)
    return False


def _inside(path: Path) -> list[Path]:
    with suppress(OSError):
        return list(path.iterdir()) if path.is_dir() else [path]
    return []


def _by_size(paths: Iterable[Path]) -> dict[int, list[Path]]:
    found: dict[int, list[Path]] = {}
    for path in paths:
        with suppress(OSError):
            found.setdefault(path.stat().st_size, []).append(path)
    return found


def _is_among(path: Path, photos: Mapping[int, Sequence[Path]]) -> bool:
    """Whether ``path`` is one of the photographs, or a copy of one."""
    with suppress(OSError):
        return any(cmp(path, photo, shallow=False) for photo in photos.get(path.stat().st_size, ()))
    return False
