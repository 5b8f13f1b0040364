"""Why no face was found in a clip: what to say to a user who sees one."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from itertools import islice

import numpy as np

from faceswap_cli.config import DetectOptions
from faceswap_cli.faces.crops import width_px
from faceswap_cli.faces.detect import find_faces
from faceswap_cli.faces.finder import HEAD_OVER_MESH, FaceFinder
from faceswap_cli.faces.stage import display_crop
from faceswap_cli.records import F64, U8, Clip
from faceswap_cli.video.reader import read_frames

_EVERY, _MOST = 12, 6
_SMALLEST = 8


def no_face_hint(pictures: list[U8], options: DetectOptions) -> str:
    """The end of a message: the size of smaller faces, if there are any, else that nothing is seen."""
    patient = replace(options, min_face_px=_SMALLEST)
    with closing(FaceFinder(patient)) as finder:
        found = [face for rgb in pictures for face in find_faces(rgb, patient, finder)]
    widest = int(max((HEAD_OVER_MESH * width_px(face.landmarks) for face in found), default=0))
    if _SMALLEST <= widest < options.min_face_px:
        return f"the largest one seen is {widest} px wide; try --min-face {widest}"
    if found:
        return "one is seen for a moment only, or hardly; name a longer part or another clip"
    return "none is seen in any orientation or size: covered, turned away, drawn or absent; name another file"


def clip_hint(clip: Clip, options: DetectOptions) -> str:
    """The same for a clip, from a few of its frames."""
    side = max(clip.display_size)
    with closing(read_frames(clip)) as frames:
        chosen = list(islice(frames, 0, _EVERY * _MOST, _EVERY))
        return no_face_hint([display_crop(frame, clip, _whole(), side) for frame in chosen], options)


def _whole() -> F64:
    return np.eye(3)
