"""Who was swapped of the people that a target shows, in words."""

from __future__ import annotations

from faceswap_cli.config import TrackOptions


def some_swapped(swapped: int, people: int, track: TrackOptions, *, still: bool = False) -> str:
    """``1 of 3 people swapped: the largest; see --face and --cast``; empty when all or nobody was swapped.

    ``still`` is a picture, which takes no cast file.
    """
    if not 0 < swapped < people:
        return ""
    who, hint = _chosen(track, still=still)
    return f"{swapped} of {people} people swapped{who}{hint}"


def _chosen(track: TrackOptions, *, still: bool) -> tuple[str, str]:
    """Who the options choose, and the options that choose others where nobody was named."""
    if track.cast is not None and not still:
        return f": those of {track.cast.name}", ""
    if track.reference is not None:
        return f": like {track.reference.name}", ""
    if track.face == "largest":
        return ": the largest", "; see --face" if still else "; see --face and --cast"
    if track.face == "all":
        return "", ""
    return (": the leftmost" if track.face == "left" else f": --face {track.face}"), ""
