"""Swapping in a still picture: the same alignment, methods and blending as in a clip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from faceswap_cli.config import SwapOptions
from faceswap_cli.errors import InputError, NoFaceFound
from faceswap_cli.events import NEVER, Event, Listener, StopRequest, ignore, progress
from faceswap_cli.faces.crops import cut
from faceswap_cli.geometry import align
from faceswap_cli.geometry.paste import paste_into_rgb, pasted_area
from faceswap_cli.numerics import finite, told
from faceswap_cli.outcome import NOTHING_ASKED, Stopwatch
from faceswap_cli.pipeline import identify
from faceswap_cli.policy.consent import consent_digest
from faceswap_cli.policy.gate import check_picture, check_sources
from faceswap_cli.provenance.label import draw_label
from faceswap_cli.provenance.mark import tell_if_marked, xmp_packet
from faceswap_cli.provenance.signing import sealer
from faceswap_cli.provenance.watermark import watermarked
from faceswap_cli.recipe.metadata import xmp_with
from faceswap_cli.recipe.record import PICTURE, recipe_of
from faceswap_cli.records import (
    F32,
    U8,
    Face,
    FaceCrop,
    LedgerRow,
    RenderedFace,
    Report,
    SourceIdentity,
)
from faceswap_cli.swap import build_method
from faceswap_cli.swap.engine import finished_face, made_ready
from faceswap_cli.swap.ledger import NOT_AT_ALL
from faceswap_cli.swap.method import SwapMethod
from faceswap_cli.swap.portable import at_home
from faceswap_cli.swap.prepared import prepared
from faceswap_cli.swap.selective import Amounts, selection_of
from faceswap_cli.swap.tones import tone_note
from faceswap_cli.video.picture import Picture, animation_frames, read_picture, write_picture
from faceswap_cli.video.user_mask import UserMask, open_picture_mask, picture_planes

_LUMA = (0.299, 0.587, 0.114)


def swap_image(
    sources: Sequence[Path] | SourceIdentity,
    target: Path,
    output: Path,
    options: SwapOptions,
    listen: Listener = ignore,
    stop: StopRequest = NEVER,
) -> Report:
    """Put the person of ``sources`` into the picture ``target``."""
    clock = Stopwatch()
    if (count := animation_frames(target)) > 1:
        raise InputError(
            f"{target} is animated ({count} frames) and would come out as a still; use 'faceswap video'"
        )
    picture = read_picture(target, options.detect.max_pixels)
    listen(Event("start", {"target": str(target), "frames": 1, "seconds": 0.0}))
    tell_if_marked(target, None, listen)
    mask = open_picture_mask(options.paste.occlusion_mask, target, picture.rgb.shape[1::-1])
    agreed = consent_digest(options.mark.consent)
    sign = sealer(output, target, options.mark.c2pa_cert, options.mark.c2pa_key, agreed)
    source = identify(sources, options, listen)
    check_sources([source], options.policy)
    found = _faces(picture.rgb, target, options)
    check_picture(picture.rgb, found, target.name, options.policy)
    chosen = _choose(found, picture.rgb, options)
    for note in {tone_note(source, target.name, picture.rgb, found[row].landmarks) for row in chosen} - {""}:
        listen(Event("warning", {"message": note}))
    clock.lap("analyse")
    stop.check("rendering")
    method = build_method(options.method, at_home(options.job), options.paste)
    ready = prepared(method, source, options)
    amounts = selection_of(options).at()
    drawn = chosen if amounts.strength > 0 else []
    crops = {row: _crop(picture.rgb, found[row], row, method, mask) for row in drawn}
    rendered = {row: _render(crop, method, ready, options, amounts) for row, crop in crops.items()}
    result = _pasted(picture, list(rendered.values()), options)
    made = recipe_of(PICTURE, target, [source], {}, method, _settled(options, found, chosen))
    result = replace(result, xmp=xmp_with(result.xmp or b"", made))
    clock.lap("render")
    write_picture(output, result, seal=sign)
    clock.lap("assemble")
    listen(progress("render", 1, 1))
    rows = tuple(
        _row(face, k, rendered.get(k), source, amounts.strength if k in chosen else None)
        for k, face in enumerate(found)
    )
    count = sum(row.swapped for row in rows)
    notes = () if amounts.strength > 0 else (NOTHING_ASKED,)
    return Report(output, 1, int(count > 0), count, len(found), 0, clock.seconds, rows, notes, consent=agreed)


def _faces(rgb: U8, target: Path, options: SwapOptions) -> tuple[Face, ...]:
    from faceswap_cli.faces.detect import find_faces

    found = find_faces(rgb, options.detect)
    if not found:
        from faceswap_cli.tracking.hints import no_face_hint

        raise NoFaceFound(
            f"no face of {options.detect.min_face_px} px or more in {target.name}: "
            f"{no_face_hint([rgb], options.detect)}"
        )
    return found


def _choose(found: Sequence[Face], rgb: U8, options: SwapOptions) -> list[int]:
    """Rows of the faces to swap, by ``--face`` or ``--ref``."""
    if options.track.reference is not None:
        from faceswap_cli.identity.embed import embed
        from faceswap_cli.identity.photos import load_photos
        from faceswap_cli.tracking.people import matching

        anyone = replace(options.detect, source_face="auto")
        wanted = load_photos([options.track.reference], anyone).embedding
        points = np.stack([face.landmarks for face in found])
        rows = matching(embed(rgb, points), wanted, options.track.reference.name)
        return rows if len(rows) == len(found) else rows[:1]  # a recipe names one face, or all
    by_place = sorted(range(len(found)), key=lambda k: float(found[k].box[0]))
    if options.track.face == "all":
        return by_place
    if options.track.face == "largest":
        return [max(range(len(found)), key=lambda k: float(np.prod(found[k].box[2:] - found[k].box[:2])))]
    number = 1 if options.track.face == "left" else int(options.track.face)
    if number > len(found):
        raise NoFaceFound(f"--face {number}: only {len(found)} faces were found; try --face {len(found)}")
    return [by_place[number - 1]]


def _settled(options: SwapOptions, found: Sequence[Face], chosen: Sequence[int]) -> SwapOptions:
    """``options`` that name the chosen faces by their places."""
    by_place = sorted(range(len(found)), key=lambda k: float(found[k].box[0]))
    face = "all" if len(chosen) > 1 else str(by_place.index(chosen[0]) + 1)
    return replace(options, track=replace(options.track, face=face))


def _crop(rgb: U8, face: Face, row: int, method: SwapMethod, mask: UserMask | None) -> FaceCrop:
    unit = align.unit_from_points(face.landmarks, method.crop_scale)
    _, _, half = align.square_from_unit(unit)
    side = method.crop_side(2.0 * float(half))
    crop_from_frame = align.scaled(unit, side)
    return FaceCrop(
        row,
        cut(rgb, crop_from_frame, side, sharp=True),
        crop_from_frame,
        align.apply(crop_from_frame, face.landmarks),
        user_mask=mask.cut(picture_planes(mask), crop_from_frame, side) if mask else None,
    )


@told("in the picture")
def _render(
    crop: FaceCrop, method: SwapMethod, prepared: Any, options: SwapOptions, amounts: Amounts
) -> RenderedFace:
    crop = made_ready(crop, amounts)
    drawn = method.render(prepared, crop, method.encode(prepared, crop), options.job.seed)
    drawn = finished_face(drawn, amounts)
    finite(drawn.mask, "the mask of a drawn face")
    return watermarked(drawn, crop, method.crop_scale)


def _pasted(picture: Picture, faces: Sequence[RenderedFace], options: SwapOptions) -> Picture:
    """The picture with faces, label and mark; samples outside the masks are kept to the bit."""
    old = _unit(picture)
    new = paste_into_rgb(old, faces)
    if _is_neutral(picture.rgb):
        new = np.repeat((new @ np.array(_LUMA, np.float32))[..., None], 3, axis=2)
    changed = (new != old).any(axis=2)[..., None]
    rgb = np.where(changed, (np.clip(new, 0, 1) * 255 + 0.5).astype(np.uint8), picture.rgb)
    deep = picture.deep
    if deep is not None:
        deep = np.where(changed, (np.clip(new, 0, 1) * 65535 + 0.5).astype(np.uint16), deep)
    if options.mark.label:
        rgb, deep = draw_label(rgb), None
    return replace(picture, rgb=rgb, deep=deep, xmp=xmp_packet(picture.xmp))


def _is_neutral(rgb: U8) -> bool:
    """Whether a picture is black and white."""
    return bool((rgb[..., 0] == rgb[..., 1]).all() and (rgb[..., 1] == rgb[..., 2]).all())


def _unit(picture: Picture) -> F32:
    if picture.deep is not None:
        return picture.deep.astype(np.float32) / np.float32(65535)
    return picture.rgb.astype(np.float32) / np.float32(255)


def _row(
    face: Face, number: int, drawn: RenderedFace | None, source: SourceIdentity, strength: float | None
) -> LedgerRow:
    """``strength`` is None for a face that is not chosen."""
    from faceswap_cli.identity.embed import embed
    from faceswap_cli.identity.pose import pose

    angles = pose(face.landmarks)
    distance = None
    if drawn is not None:
        found = embed(drawn.rgb, drawn.crop.landmarks[None])[0]
        distance = round(float(np.linalg.norm(found - source.embedding)), 4)
    x0, y0, x1, y1 = (round(float(v), 1) for v in face.box)
    return LedgerRow(
        pts=0,
        time_s=0.0,
        track=number,
        person=number,
        swapped=drawn is not None,
        reason="" if drawn is not None else "not chosen" if strength is None else NOT_AT_ALL,
        box=(x0, y0, x1, y1),
        yaw=round(float(angles.yaw), 2),
        pitch=round(float(angles.pitch), 2),
        roll=round(float(angles.roll), 2),
        identity_distance=distance,
        occluded=round(drawn.occluded, 4) if drawn else 0.0,
        mask_area=round(pasted_area(drawn), 1) if drawn else 0.0,
        strength=strength or 0.0,
        in_front=drawn.in_front if drawn else {},
    )
