"""The work of one row: a source person, identified once, put into one clip or picture."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from faceswap_cli.config import DetectOptions
from faceswap_cli.errors import FaceswapError
from faceswap_cli.events import Event, Listener, StopRequest
from faceswap_cli.output import check_disk, check_inputs, video_bytes

if TYPE_CHECKING:
    from faceswap_cli.batch.rows import Row
    from faceswap_cli.records import Report, SourceIdentity

KNOWN_PEOPLE = 8
"""Identified sources kept at a time: each holds its photographs."""


def swap_row(row: Row, source: SourceIdentity | None, listen: Listener, stop: StopRequest) -> Report:
    """Run one row; the output appears under its name when it is complete.

    ``source`` is None where a cast file names the sources.
    """
    from faceswap_cli import pictures, pipeline

    path, output = row.target.path, row.output
    assert output is not None
    output.parent.mkdir(parents=True, exist_ok=True)
    check_disk(output.parent, _bytes(row), f"the result of {path.name}")
    swap = pictures.swap_image if row.target.clip is None else pipeline.swap_video
    return swap(source or (), path, output, row.options, listen=listen, stop=stop)


def _bytes(row: Row) -> int:
    size, clip = row.target.path.stat().st_size, row.target.clip
    if clip is None:
        return 4 * size
    pixels = clip.width * clip.height
    return 2 * video_bytes(size, pixels, clip.frames, lossless=row.options.encode.lossless)


def identify(sources: tuple[Path, ...], detect: DetectOptions) -> SourceIdentity:
    """The person of ``sources``."""
    from faceswap_cli.identity.photos import load_photos

    check_inputs(sources)
    return load_photos(sources, detect)


class People:
    """Source persons by their photographs: each set is looked at once, a failure is remembered."""

    def __init__(self, look: Callable[[tuple[Path, ...], DetectOptions], SourceIdentity]) -> None:
        self._look = look
        self._known: OrderedDict[object, SourceIdentity | FaceswapError] = OrderedDict()

    def get(self, sources: tuple[Path, ...], detect: DetectOptions, listen: Listener) -> SourceIdentity:
        """The person of ``sources``; problems of the photographs are reported the first time."""
        key = (sources, replace(detect, workers=0))
        if key not in self._known:
            try:
                found: SourceIdentity | FaceswapError = self._look(sources, detect)
            except FaceswapError as error:
                found = error
            self._known[key] = found
            for note in getattr(found, "notes", ()):
                listen(Event("warning", {"message": note}))
        self._known.move_to_end(key)
        while len(self._known) > KNOWN_PEOPLE:
            self._known.popitem(last=False)
        person = self._known[key]
        if isinstance(person, FaceswapError):
            raise person
        return person
