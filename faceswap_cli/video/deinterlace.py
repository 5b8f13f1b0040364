"""Interlaced pictures made progressive with the library's bwdif filter, one frame for each."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from fractions import Fraction
from typing import Any

import av
import av.filter

from faceswap_cli.config import EncodeOptions
from faceswap_cli.records import Clip

LEAD = 2
"""Frames before the wanted one that the filter must have seen, so that its result does not depend on where
reading began."""
_ORDERS = {2: "tff", 3: "bff", 4: "tff", 5: "bff"}
"""The library's field orders -> which field comes first."""


def field_order(picture: av.VideoFrame, stream: av.VideoStream) -> str:
    """``tff``, ``bff``, or empty for a progressive picture."""
    return _ORDERS.get(stream.codec_context.field_order, "tff") if picture.interlaced_frame else ""


def as_read(clip: Clip, encode: EncodeOptions) -> Clip:
    """The clip as the job reads it: with ``encode.interlaced`` = keep, pictures keep both their fields."""
    from dataclasses import replace

    return replace(clip, deinterlace=bool(clip.interlaced) and encode.interlaced == "deinterlace")


def deinterlaced(
    pictures: Generator[tuple[int, av.VideoFrame], None, None], clip: Clip
) -> Iterator[tuple[int, av.VideoFrame]]:
    """(pts, picture) as they came, each without combs.  Each run of one frame size is filtered on its own."""
    graph: Any = None
    source: Any = None
    kind: tuple[int, int, str] | None = None
    waiting: list[int] = []
    for pts, picture in pictures:
        new = picture.width, picture.height, picture.format.name
        if new != kind:
            if graph is not None:
                source.push(None)
                yield from _pulled(graph, waiting)
            (graph, source), waiting, kind = _graph(picture, clip), [], new
        picture.pts, picture.time_base = len(waiting), Fraction(1, 25)
        waiting.append(pts)
        source.push(picture)
        yield from _pulled(graph, waiting)
    if graph is not None:
        source.push(None)
        yield from _pulled(graph, waiting)


def _graph(picture: av.VideoFrame, clip: Clip) -> tuple[Any, Any]:
    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=picture.width, height=picture.height, format=picture.format, time_base=Fraction(1, 25)
    )
    bwdif = graph.add("bwdif", f"mode=send_frame:parity={clip.interlaced}:deint=all")
    sink = graph.add("buffersink")
    source.link_to(bwdif)
    bwdif.link_to(sink)
    graph.configure()
    return graph, source


def _pulled(graph: Any, waiting: list[int]) -> Iterator[tuple[int, av.VideoFrame]]:
    while True:
        try:
            picture = graph.vpull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return
        yield waiting[round(picture.pts * picture.time_base * 25)], picture
