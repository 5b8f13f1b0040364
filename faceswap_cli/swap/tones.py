"""A line where source and target have skin of very different lightness: the result will look mixed.

Only what is clear is said: a face in the dark, or lit from one side, shows its light rather than its skin.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing

import numpy as np

from faceswap_cli.cast.make import tracks_of
from faceswap_cli.cast.sheet import spread_frames
from faceswap_cli.color import warp_rgb
from faceswap_cli.faces.crops import upright_crop
from faceswap_cli.geometry import align
from faceswap_cli.identity.advice import skin_tone
from faceswap_cli.records import F32, U8, Analysis, Clip, SourceIdentity
from faceswap_cli.video.reader import read_frames

APART, TURNED = 20.0, 45.0
"""L* and degrees of the typology angle between light and dark skin: lamps and cameras change one of both"""
_SIDE = 128


def tone_note(source: SourceIdentity, target: str, rgb: U8, landmarks: F32) -> str:
    """A line about ``source`` and one face (478, 2 or 3) of the picture ``rgb``; empty where all is well."""
    tones = [skin_tone(photo.rgb, photo.landmarks) for photo in source.photos]
    known, theirs = [tone for tone in tones if tone is not None], skin_tone(rgb, landmarks)
    if not known or theirs is None:
        return ""
    lighter, fairer = np.median(known, axis=0) - theirs
    if abs(lighter) < APART or abs(fairer) < TURNED or lighter * fairer < 0:
        return ""
    word = "lighter" if lighter > 0 else "darker"
    ours = source.photos[0].path.name if len(source.photos) == 1 else source.name
    return (
        f"the skin in {ours} is much {word} than that in {target}: the face will not match neck and "
        "ears; a source of similar skin tone looks better"
    )


def clip_notes(
    clip: Clip, analysis: Analysis, cast: Mapping[int, int], people: Sequence[SourceIdentity]
) -> Iterator[str]:
    """The same for everybody in ``cast`` (person -> row of ``people``), each by one frame of the clip."""
    for person in analysis.people:
        row = cast.get(person.person)
        if row is None or not people[row].photos:
            continue
        for track, index in spread_frames(tracks_of(analysis, person), 1):
            points = track.landmarks[index]
            crop_from_display = upright_crop(points, _SIDE, 1.6)
            pts = int(track.pts[index])
            with closing(read_frames(clip, first_pts=pts, end_pts=pts + 1)) as frames:
                for frame in frames:
                    rgb = warp_rgb(
                        frame.planes, clip.color, crop_from_display @ clip.display_from_frame, _SIDE
                    )
                    seen = np.asarray(align.apply(crop_from_display, points), np.float32)
                    if note := tone_note(people[row], clip.path.name, rgb, seen):
                        yield note
