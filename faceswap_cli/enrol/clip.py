"""Level 3: faces of the very clip that the person is for, to tune on and to judge by."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import torch

from faceswap_cli.config import DetectOptions
from faceswap_cli.enrol.gauge import Gauge, look
from faceswap_cli.enrol.samples import Face, Sample, paired
from faceswap_cli.enrol.views import View, as_input
from faceswap_cli.errors import NoFaceFound
from faceswap_cli.events import NEVER, StopRequest
from faceswap_cli.faces.crops import cut
from faceswap_cli.faces.detect import find_faces
from faceswap_cli.faces.finder import FaceFinder
from faceswap_cli.geometry import align
from faceswap_cli.identity.embed import SAME_PERSON, embed
from faceswap_cli.metrics.pairs import display_rgb
from faceswap_cli.nets.fslsd256 import Fslsd256
from faceswap_cli.nets.fslsd256_encoders import SIDE
from faceswap_cli.records import F32, U8, Clip, Frame
from faceswap_cli.swap import scene as scenes
from faceswap_cli.training.observers import Observers
from faceswap_cli.video.probe import probe
from faceswap_cli.video.reader import read_frames

FRAMES, FEWEST = 32, 6
"""Pictures of the clip that are looked at, and faces of one person that it takes."""
_EVERY = 4
"""One face in this many is held out of training, to judge it."""


def clip_views(path: Path, options: DetectOptions, stop: StopRequest = NEVER) -> list[View]:
    """Faces, spread over the clip, of the person who is largest in most of its pictures."""
    clip = probe(path, options.max_pixels)
    views: list[View] = []
    rows: list[F32] = []
    with closing(FaceFinder(options)) as finder, closing(spread(clip, FRAMES)) as frames:
        for frame in frames:
            stop.check("looking at the clip")
            rgb = display_rgb(frame, clip)
            if faces := find_faces(rgb, options, finder):
                views.append(_view(rgb, faces[0].landmarks))
                rows.append(embed(rgb, faces[0].landmarks[None])[0])
    kept = [views[k] for k in _one_person(rows)]
    if len(kept) < FEWEST:
        raise NoFaceFound(
            f"only {len(kept)} pictures of {path.name} show one person's face, {FEWEST} are needed; "
            "try --tune 2"
        )
    return kept


def spread(clip: Clip, count: int) -> Generator[Frame, None, None]:
    """``count`` frames evenly over the clip; in a long one each is looked up on its own."""
    if clip.frames <= 8 * count:
        step = max(clip.frames / count, 1.0)
        with closing(read_frames(clip)) as frames:
            for frame in frames:
                if int(frame.index / step) != int((frame.index - 1) / step) or frame.index == 0:
                    yield frame
        return
    ticks = clip.duration_s / float(clip.time_base)
    for k in range(count):
        with closing(read_frames(clip, first_pts=clip.start_pts + int((k + 0.5) * ticks / count))) as frames:
            yield from (frame for _, frame in zip(range(1), frames, strict=False))


def _view(rgb: U8, mesh: F32) -> View:
    unit = align.unit_from_points(mesh)
    crop = cut(rgb, align.scaled(unit, SIDE), SIDE, sharp=True)
    return View(as_input(crop), torch.from_numpy(align.apply(unit, mesh))[None], 1.0)


def _one_person(embeddings: Sequence[F32]) -> list[int]:
    """Rows of those who look like the one in the middle of all."""
    if not embeddings:
        return []
    rows = np.stack(embeddings)
    apart = np.linalg.norm(rows[:, None] - rows[None], axis=2)
    middle = int(np.argmin(np.median(apart, axis=1)))
    return [int(k) for k in np.flatnonzero(apart[middle] < SAME_PERSON)]


def onto_clip(
    net: Fslsd256,
    eyes: Observers,
    face: Face,
    views: Sequence[View],
    reference: torch.Tensor,
    codes: tuple[torch.Tensor, torch.Tensor],
) -> tuple[list[Sample], Gauge]:
    """Swaps of ``face`` onto the faces of the clip to tune on, and others to judge by.

    ``codes``: rows and identity code with which the network, untuned, shows what error is usual.
    """
    swaps = [_sample(net, face, view) for view in views]
    judged = [sample for k, sample in enumerate(swaps) if k % _EVERY == 1]
    _, error = look(net, eyes, judged, reference, *codes)
    return [sample for k, sample in enumerate(swaps) if k % _EVERY != 1], Gauge(judged, reference, error)


def _sample(net: Fslsd256, face: Face, view: View) -> Sample:
    """As bright as the network is shown it."""
    gain = scenes.gain_of(scenes.face_light(view.rgb, scenes.draw(view.points)))
    return paired(net, face, scenes.brighter(view.rgb, gain), view.points, truth=False)
