"""``faceswap inspect``: what a file holds."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from faceswap_cli.cli.inputs import path_or_stdin
from faceswap_cli.cli.marks import marks_data, marks_lines
from faceswap_cli.cli.options import ShowFlags, expanded
from faceswap_cli.cli.printing import clock, console
from faceswap_cli.cli.recipes import recipe_told
from faceswap_cli.cli.session import Session, read_settings
from faceswap_cli.errors import UsageError
from faceswap_cli.output import check_inputs, check_output, same_file
from faceswap_cli.plain import one_line

if TYPE_CHECKING:
    from faceswap_cli.inspection import CastFiles, PictureReport, VideoReport
    from faceswap_cli.records import Analysis, Clip

_AT_TIMES, _MOSTLY = 0.25, 0.6
"""Shares of the frames with glasses from which a person wears them at times, or throughout"""
_SIZES = 3
"""Changes of the frame size that are listed"""


@expanded
def inspect(
    ctx: typer.Context,
    name: Annotated[
        str, typer.Argument(metavar="FILE", help="Video or picture; '-' is stdin.", show_default=False)
    ],
    show: ShowFlags,
    sheet: Annotated[
        Path | None,
        typer.Option(
            "--sheet",
            help="Write a contact sheet of the people. Default: none.",
            metavar="PNG",
            show_default=False,
        ),
    ] = None,
    cast: Annotated[
        Path | None,
        typer.Option(
            "--cast",
            help="Write a file that maps each person to a source, for 'video "
            "--cast', and a picture of the people. Default: none.",
            metavar="TOML",
            show_default=False,
        ),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Skip the search for shots and people.")] = False,
    force: Annotated[
        bool, typer.Option("--force", "-f", help="Overwrite an existing sheet or cast file.")
    ] = False,
) -> None:
    """Show streams, timing, rotation, color, shots, people and the provenance mark of a file."""
    asked = [flag for flag, path in (("--sheet", sheet), ("--cast", cast)) if path is not None]
    if quick and asked:
        raise UsageError(f"{asked[0]} needs the people that --quick skips; leave out --quick")
    settings = read_settings(show)
    with Session(ctx.obj, show, settings) as session:
        file = path_or_stdin(name, session.owned)
        check_inputs([file])
        _check_files(sheet, cast, file, force)
        from faceswap_cli import inspection
        from faceswap_cli.video.picture import is_picture

        options = settings.swap_options()
        if is_picture(file):
            if asked:
                raise UsageError(f"{asked[0]} is for videos; {file.name} is a picture")
            picture = inspection.inspect_picture(file, options)
            told, lines = recipe_told(file)
            _tell(session, _picture_data(picture) | told, _picture_lines(picture) + lines)
            return
        video = inspection.inspect_video(
            file, options, people=not quick, listen=session.listen, stop=session.stop
        )
        if sheet is not None and video.analysis is not None:
            from faceswap_cli.provenance.mark import sheet_packet, xmp_packet
            from faceswap_cli.video.picture import Picture, write_picture

            tiles = inspection.contact_sheet(video.clip, video.analysis)
            write_picture(sheet, Picture(rgb=tiles, xmp=xmp_packet() if video.synthetic else sheet_packet()))
        told, lines = recipe_told(file, video.clip.metadata)
        data, lines = _video_data(video, sheet) | told, _video_lines(video, sheet) + lines
        if cast is not None and video.analysis is not None:
            written = inspection.write_cast_and_sheet(cast, video.clip, video.analysis)
            data["cast"], more = _cast_data(written), _cast_lines(written)
            lines += more
        _tell(session, data, lines)


def _check_files(sheet: Path | None, cast: Path | None, file: Path, force: bool) -> None:
    """Outputs have the right ending and do not exist yet."""
    wanted = []
    if sheet is not None:
        if sheet.suffix.lower() != ".png":
            raise UsageError(f"{sheet.name}: the contact sheet is a PNG; name it {sheet.stem}.png")
        wanted.append(sheet)
    if cast is not None:
        from faceswap_cli.inspection import cast_sheet_path

        if cast.suffix.lower() != ".toml":
            raise UsageError(f"{cast.name}: a cast file is TOML; name it {cast.stem}.toml")
        beside = cast_sheet_path(cast)
        if sheet is not None and same_file(sheet, beside):
            raise UsageError(f"{beside.name} is the picture beside {cast.name}; leave out --sheet")
        wanted += [cast, beside]
    for path in wanted:
        check_output(path, [file], force=force, skip_existing=False, may_skip=False)


def _cast_data(written: CastFiles) -> dict[str, Any]:
    people = [
        {"name": entry.role.name, "person": person, "doubt": entry.role.doubt, "remarks": entry.remarks}
        for person, entry in enumerate(written.entries)
    ]
    return {"file": written.path, "sheet": written.sheet, "people": people}


def _cast_lines(written: CastFiles) -> list[tuple[str, str]]:
    names = ", ".join(entry.role.name for entry in written.entries)
    letters = (f"{e.role.name} is --face {person}" for person, e in enumerate(written.entries, start=1))
    doubtful = [f"{e.role.name} is {e.role.doubt}" for e in written.entries if e.role.doubt]
    return [
        ("cast", f"{written.path}: give {names} a source, then: faceswap video --cast {written.path} TARGET"),
        ("cast sheet", f"{written.sheet} ({', '.join(letters)})"),
        *(("uncertain", text) for text in doubtful),
    ]


def _tell(session: Session, data: dict[str, Any], lines: list[tuple[str, str]]) -> None:
    session.result({"command": "inspect", "exit": 0, **data})
    if session.for_people:
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, show_header=False, pad_edge=False)
        table.add_column(style="bold")
        for name, text in lines:
            table.add_row(name, Text(one_line(text)))
        console().print(table, markup=False)


def _picture_data(found: PictureReport) -> dict[str, Any]:
    return {
        "file": found.path,
        "kind": "picture",
        "format": found.format,
        "width": found.width,
        "height": found.height,
        "bits": found.bits,
        "alpha": found.alpha,
        "faces": [
            {"box": box, "glasses": glasses} for box, glasses in zip(found.boxes, found.glasses, strict=True)
        ],
        **marks_data(found),
    }


def _picture_lines(found: PictureReport) -> list[tuple[str, str]]:
    alpha = ", with alpha" if found.alpha else ""
    lines = [
        ("file", str(found.path)),
        ("picture", f"{found.format}, {found.width}x{found.height}, {found.bits} bits{alpha}"),
        ("faces", str(len(found.boxes))),
    ]
    for number, ((x0, y0, x1, y1), glasses) in enumerate(zip(found.boxes, found.glasses, strict=True), 1):
        worn = ", wears glasses" if glasses else ""
        lines.append((f"  {number}", f"{x1 - x0:.0f}x{y1 - y0:.0f} px at {x0:.0f},{y0:.0f}{worn}"))
    return [*lines, *marks_lines(found)]


def _video_data(found: VideoReport, sheet: Path | None) -> dict[str, Any]:
    clip, timing = found.clip, found.timing
    return {
        "file": clip.path,
        "kind": "video",
        "container": clip.container,
        "codec": clip.codec,
        "width": clip.width,
        "height": clip.height,
        "display_size": clip.display_size,
        "pixel_format": clip.pixel_format,
        "bit_depth": clip.bit_depth,
        "rotation": clip.rotation,
        "mirrored": clip.mirrored,
        "sample_aspect": clip.sample_aspect,
        "colour": clip.color,
        "time_base": clip.time_base,
        "average_rate": clip.average_rate,
        "duration_s": clip.duration_s,
        "timing": timing,
        "streams": clip.streams,
        "metadata": clip.metadata,
        "notes": clip.notes,
        **marks_data(found),
        "sheet": sheet,
        **(_people_data(found.analysis, found.glasses, clip.time_base) if found.analysis is not None else {}),
    }


def _people_data(analysis: Analysis, glasses: Sequence[float], time_base: Fraction) -> dict[str, Any]:
    def seconds(pts: int) -> float:
        return round(float((pts - int(analysis.pts[0])) * time_base), 6)

    return {
        "damaged_packets": analysis.damaged_packets,
        "size_changes": [
            {"start_s": seconds(one.pts), "width": one.width, "height": one.height}
            for one in analysis.size_changes
        ],
        "shots": [{"start_s": seconds(s.first_pts), "end_s": seconds(s.end_pts)} for s in analysis.shots],
        "people": [
            {
                "person": person.person,
                "face": str(person.person + 1),
                "tracks": person.tracks,
                "frames": person.frames,
                "mean_size_px": round(person.mean_size_px, 1),
                "mean_x": round(person.mean_x, 1),
                "glasses": worn >= _MOSTLY,
            }
            for person, worn in zip(analysis.people, glasses, strict=True)
        ],
    }


def _video_lines(found: VideoReport, sheet: Path | None) -> list[tuple[str, str]]:
    from faceswap_cli.inspection import MATRICES, PRIMARIES, TRANSFERS

    clip, color = found.clip, found.clip.color
    shown = "x".join(str(side) for side in clip.display_size)
    turned = f", turned {clip.rotation} degrees" if clip.rotation else ""
    turned += ", mirrored" if clip.mirrored else ""
    aspect = f", pixels {clip.sample_aspect}" if clip.sample_aspect != 1 else ""
    tags = [
        f"matrix {MATRICES.get(color.matrix, color.matrix)}{'' if color.tagged else ' (inferred)'}",
        "full range" if color.full_range else "limited range",
        f"primaries {PRIMARIES.get(color.primaries, 'unspecified')}",
        f"transfer {TRANSFERS.get(color.transfer, 'unspecified')}",
    ]
    return [
        ("file", str(clip.path)),
        ("video", f"{_container(clip)}, {clip.codec}, {clip.width}x{clip.height}, {clip.pixel_format}"),
        ("shown", f"{shown}{turned}{aspect}"),
        ("color", ", ".join(tags)),
        ("timing", _timing_line(found)),
        *(
            (f"stream {s.index}", ", ".join(filter(None, (s.kind, s.codec, _language(s.language), s.detail))))
            for s in clip.streams
        ),
        *(_people_lines(clip, found.analysis, found.glasses) if found.analysis is not None else ()),
        *(("note", note) for note in clip.notes),
        *marks_lines(found),
        *([("sheet", str(sheet))] if sheet is not None else ()),
    ]


def _container(clip: Clip) -> str:
    """``MP4 or QuickTime`` for the library's ``mov,mp4,m4a,3gp,3g2,mj2``."""
    known = {"mov": "MP4 or QuickTime", "matroska": "Matroska or WebM"}
    return known.get(clip.container.partition(",")[0], clip.container)


def _language(code: str) -> str:
    return "" if code == "und" else code


def _timing_line(found: VideoReport) -> str:
    clip, timing = found.clip, found.timing
    exact = "" if clip.average_rate.denominator == 1 else f" ({clip.average_rate})"
    rate = f"{float(clip.average_rate):.6g}{exact} frames per second"
    steps = f"variable, {timing.shortest_s * 1e3:.1f} to {timing.longest_s * 1e3:.1f} ms a frame"
    kind = steps if timing.variable else "constant"
    frames = f"{timing.frames} frames" if timing.exact else f"about {clip.frames} frames"
    length = f"{clip.duration_s:.3f} s" if clip.duration_s < 60 else clock(clip.duration_s)
    return f"{frames}, {length}, {rate}, {kind}"


def _people_lines(clip: Clip, analysis: Analysis, glasses: Sequence[float]) -> list[tuple[str, str]]:
    lines = [("shots", str(len(analysis.shots))), ("people", str(len(analysis.people)))]
    for person, worn in zip(analysis.people, glasses, strict=True):
        frames = "1 frame" if person.frames == 1 else f"{person.frames} frames"
        text = f"{frames}, about {person.mean_size_px:.0f} px wide, at x = {person.mean_x:.0f}"
        lines.append((f"  --face {person.person + 1}", text + _worn(worn)))
    if analysis.size_changes:
        changes = analysis.size_changes
        sizes = [f"{one.width}x{one.height} from {clip.seconds(one.pts):.2f} s" for one in changes]
        more = [f"{len(sizes) - _SIZES} more changes"] if len(sizes) > _SIZES else []
        lines.append(("frame size", ", ".join([*sizes[:_SIZES], *more])))
    if analysis.damaged_packets:
        lines.append(("damaged", f"{analysis.damaged_packets} packets"))
    return lines


def _worn(share: float) -> str:
    if share < _AT_TIMES:
        return ""
    return ", wears glasses" if share >= _MOSTLY else ", wears glasses at times"
