"""The flags, written once: groups of annotated options that commands take as one value.

A command says ``def video(ctx, files, look: LookFlags, show: ShowFlags)`` and is wrapped by
:func:`expanded`.  None means *not given*, so that the environment and the configuration files
can speak.  Everyday flags come first, the rest in named panels of ``--help``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_type_hints

import typer

from faceswap_cli.cli.values import values_of
from faceswap_cli.config_files import FLAGS

Command = TypeVar("Command", bound=Callable[..., Any])

ENCODING = "Encoding"
TUNING = "Fine tuning"
RUNNING = "Running"
REPORTING = "Reports and checks"
CONFIGURATION = "Configuration"

Files = Annotated[
    list[str],
    typer.Argument(
        metavar="SRC... TARGET",
        help="Pictures (or a folder) of one person, or @NAME (enrolled), then the target. '-' is stdin.",
        show_default=False,
    ),
]


def _option(*names: str, text: str, panel: str | None = None, metavar: str | None = None) -> Any:
    complete = values_of(names[0])
    return typer.Option(
        *names, help=text, rich_help_panel=panel, metavar=metavar, show_default=False, autocompletion=complete
    )


@dataclass(frozen=True, kw_only=True)
class OutputFlags:
    """What is written, and when not."""

    output: Annotated[
        str | None,
        _option("--output", "-o", text="File, folder, template with {stem} {ext} {source} {index}, or '-'."),
    ] = None
    force: Annotated[bool, _option("--force", "-f", text="Replace an existing output.")] = False
    skip_existing: Annotated[bool, _option("--skip-existing", text="Do nothing when the output exists.")] = (
        False
    )
    ledger: Annotated[
        Path | None,
        _option("--ledger", text="Write a line for every face in every frame (JSON Lines).", panel=REPORTING),
    ] = None
    report: Annotated[
        Path | None,
        _option(
            "--report",
            text="Write a page that shows before and after, the hardest frames and figures over time.",
            panel=REPORTING,
            metavar="HTML",
        ),
    ] = None
    fail_under: Annotated[
        str | None,
        _option(
            "--fail-under",
            text="Exit with code 10 if a metric misses its bound, e.g. likeness=0.6,coverage=0.95.",
            panel=REPORTING,
            metavar="GATES",
        ),
    ] = None


AS_FILE = {
    "output": Annotated[
        str | None,
        _option("--output", "-o", text="File, folder, or template with {stem} {ext} {source} {index}."),
    ]
}
"""Instead of the field of :class:`OutputFlags`, for commands that do not write to stdout."""


@dataclass(frozen=True, kw_only=True)
class LookFlags:
    """Who is swapped and how it looks; for pictures and videos."""

    face: Annotated[
        str | None, _option("--face", text="Whose face: largest, left, all, or N (N-th from the left).")
    ] = None
    ref: Annotated[
        Path | None,
        _option("--ref", text="A photo of the person to swap; wins over --face.", metavar="PHOTO"),
    ] = None
    method: Annotated[str | None, _option("--method", text="auto, fslsd, or mesh (no network, fastest).")] = (
        None
    )
    profile: Annotated[
        str | None,
        _option(
            "--profile",
            text="Of fslsd: 256 is the bundled network, 1024 runs the official checkpoints.",
            metavar="SIDE",
        ),
    ] = None
    strength: Annotated[
        str | None,
        _option(
            "--strength",
            text="How far the swap goes, 0 to 1; over time as 0s:0,2s:1.",
            panel=TUNING,
            metavar="SHARE",
        ),
    ] = None
    preserve: Annotated[
        str | None,
        _option(
            "--preserve",
            text="What stays the target's own: mouth, eyes, brows, skin, shape; in part as eyes=0.5.",
            panel=TUNING,
            metavar="PARTS",
        ),
    ] = None
    shape_mix: Annotated[
        str | None,
        _option(
            "--shape-mix",
            text="Share of the source's proportions inside the face, 0 to 1.5; over time as --strength.",
            panel=TUNING,
            metavar="SHARE",
        ),
    ] = None
    outline: Annotated[
        str | None,
        _option(
            "--outline",
            text="Share of the source's jaw and cheeks, 0 to 1; over time as --strength.",
            panel=TUNING,
            metavar="SHARE",
        ),
    ] = None
    mapper: Annotated[
        str | None,
        _option(
            "--mapper",
            text="Draw the source from its pictures (landmarks), from its identity embedding alone (nitzan), "
            "or between (blend:0.5).",
            panel=TUNING,
            metavar="NAME",
        ),
    ] = None
    appear_from: Annotated[
        str | None,
        _option(
            "--appear-from",
            text="Of fslsd 1024: first latent row of the target: released (11), paper (7), N.",
            panel=TUNING,
            metavar="ROW",
        ),
    ] = None
    precision: Annotated[
        str | None,
        _option("--precision", text="Of fslsd 1024: float32 or bfloat16.", panel=RUNNING, metavar="TYPE"),
    ] = None
    parsing: Annotated[
        Path | None,
        _option(
            "--parsing", text="Label map of the target that gives the mask.", panel=TUNING, metavar="PNG"
        ),
    ] = None
    device: Annotated[str | None, _option("--device", text="auto, cpu, cuda, cuda:N or mps.")] = None
    label: Annotated[
        bool | None, _option("--label/--no-label", text="Burn in a small visible 'AI modified'.")
    ] = None
    c2pa_cert: Annotated[
        Path | None,
        _option("--c2pa-cert", text="Sign with this certificate chain.", panel=REPORTING, metavar="PEM"),
    ] = None
    c2pa_key: Annotated[
        Path | None,
        _option("--c2pa-key", text="The private key of --c2pa-cert.", panel=REPORTING, metavar="PEM"),
    ] = None
    consent: Annotated[
        Path | None,
        _option(
            "--consent", text="Who agreed; its digest goes into the mark.", panel=REPORTING, metavar="FILE"
        ),
    ] = None
    feather: Annotated[
        float | None, _option("--feather", text="Soft edge, as a share of the face's width.", panel=TUNING)
    ] = None
    edit: Annotated[
        str | None,
        _option(
            "--edit",
            text="Change the expression, e.g. smile=+0.4,brow=0.2,yaw=-5; also mouth, blink, gaze_x, gaze_y, "
            "pitch, roll; of the source's looks age, masculine, lips, and what 'train --attribute' taught.",
            panel=TUNING,
            metavar="CHANGES",
        ),
    ] = None
    occlusion: Annotated[
        bool | None,
        _option("--occlusion/--no-occlusion", text="Keep what passes in front of the face.", panel=TUNING),
    ] = None
    glasses: Annotated[
        str | None,
        _option(
            "--glasses",
            text="keep the target's glasses, or remove them; temples beyond the face always stay.",
            panel=TUNING,
        ),
    ] = None
    occlusion_mask: Annotated[
        Path | None,
        _option(
            "--occlusion-mask",
            text="A picture as large as the frame; where it is white, the target stays.",
            panel=TUNING,
            metavar="PNG",
        ),
    ] = None
    mask_regions: Annotated[
        str | None,
        _option(
            "--mask-regions",
            text="Swap only these parts: brows, eyes, nose, mouth, skin, forehead.",
            panel=TUNING,
            metavar="PARTS",
        ),
    ] = None
    min_face: Annotated[
        int | None,
        _option("--min-face", text="Ignore faces narrower than this.", panel=TUNING, metavar="PIXELS"),
    ] = None
    max_faces: Annotated[
        int | None, _option("--max-faces", text="At most so many faces in a frame.", panel=TUNING)
    ] = None
    max_pixels: Annotated[
        int | None,
        _option(
            "--max-pixels",
            text="Refuse larger pictures and frames; 0: 250 million, in clips 67 million.",
            panel=RUNNING,
            metavar="COUNT",
        ),
    ] = None
    seed: Annotated[int | None, _option("--seed", text="Seed of the added grain.", panel=TUNING)] = None
    threads: Annotated[
        int | None,
        _option("--jobs", "--threads", text="Worker processes; 0 takes one per core.", panel=RUNNING),
    ] = None
    max_ram: Annotated[
        int | None,
        _option(
            "--max-ram", text="Memory of the whole job; bounds the workers.", panel=RUNNING, metavar="MB"
        ),
    ] = None
    max_vram: Annotated[
        int | None,
        _option(
            "--max-vram",
            text="Memory of an accelerator that batches may take; 0: most of what is free.",
            panel=RUNNING,
            metavar="MB",
        ),
    ] = None
    batch: Annotated[
        int | None,
        _option("--batch", text="Faces per network call; 0 lets the method choose.", panel=RUNNING),
    ] = None


@dataclass(frozen=True, kw_only=True)
class ClipFlags:
    """What only makes sense for a video."""

    smooth: Annotated[
        float | None, _option("--smooth", text="Steadiness over time, 0 (off) to 1.", metavar="0..1")
    ] = None
    start: Annotated[
        str | None, _option("--start", text="Begin here: seconds, hh:mm:ss.mmm or a frame as 123f.")
    ] = None
    end: Annotated[str | None, _option("--end", text="End here; the same forms.")] = None
    cast: Annotated[
        Path | None,
        _option("--cast", text="Who gets whose face; made by 'inspect --cast'.", metavar="TOML"),
    ] = None
    dry_run: Annotated[
        bool, _option("--dry-run", text="Only tell what is to be done, and its time, memory and disk.")
    ] = False
    preview: Annotated[
        int | None,
        _option("--preview", text="Only write a contact sheet of the N hardest frames (PNG).", metavar="N"),
    ] = None
    compare: Annotated[
        str | None, _option("--compare", text="Show target and result: side or wipe.", metavar="side|wipe")
    ] = None
    codec: Annotated[
        str | None,
        _option("--codec", text="Encoder, e.g. libx264; default follows the input.", panel=ENCODING),
    ] = None
    crf: Annotated[float | None, _option("--crf", text="Quality; lower is better.", panel=ENCODING)] = None
    preset: Annotated[
        str | None, _option("--preset", text="Speed of the encoder, e.g. fast.", panel=ENCODING)
    ] = None
    hw: Annotated[
        bool | None, _option("--hw/--no-hw", text="Encode on the graphics chip.", panel=ENCODING)
    ] = None
    lossless: Annotated[
        bool | None, _option("--lossless/--lossy", text="Encode without loss.", panel=ENCODING)
    ] = None
    segment: Annotated[
        float | None,
        _option("--segment", text="Length of a resumable piece of work.", panel=RUNNING, metavar="SECONDS"),
    ] = None
    cluster: Annotated[
        str | None,
        _option(
            "--cluster",
            text="Render on a Ray cluster: auto or its address (extra 'ray').",
            panel=RUNNING,
            metavar="auto|HOST:PORT",
        ),
    ] = None
    restart: Annotated[
        bool | None,
        _option("--restart", text="Throw away what an interrupted run has done.", panel=RUNNING),
    ] = None
    keep: Annotated[
        bool | None,
        _option("--keep", text="Keep the job folder (.NAME.faceswap) after success.", panel=RUNNING),
    ] = None


@dataclass(frozen=True, kw_only=True)
class ShowFlags:
    """What the command says, and where its settings come from; for every command."""

    json: Annotated[bool, _option("--json", text="Print exactly one JSON object on stdout.")] = False
    quiet: Annotated[bool, _option("--quiet", "-q", text="Errors only.")] = False
    verbose: Annotated[
        int,
        typer.Option(
            "--verbose", "-v", count=True, help="Say more; -vv shows tracebacks.", show_default=False
        ),
    ] = 0
    events: Annotated[
        bool, _option("--events", text="Print events on stdout as they happen (NDJSON).", panel=REPORTING)
    ] = False
    progress: Annotated[str | None, _option("--progress", text="auto, plain or none.", panel=REPORTING)] = (
        None
    )
    log_file: Annotated[
        Path | None, _option("--log-file", text="Write a detailed log there.", panel=REPORTING)
    ] = None
    config: Annotated[
        Path | None,
        _option("--config", text="Configuration instead of the nearest faceswap.toml.", panel=CONFIGURATION),
    ] = None
    no_config: Annotated[
        bool, _option("--no-config", text="Read no configuration file.", panel=CONFIGURATION)
    ] = False


AcceptTerms = Annotated[
    bool, _option("--accept-terms", text="Accept the terms of use (asked once).", panel=CONFIGURATION)
]


def given(*groups: Any) -> dict[str, Any]:
    """Flag -> value of those fields of ``groups`` that are settings (see ``config_files.FLAGS``)."""
    return {name: value for group in groups for name, value in asdict(group).items() if name in FLAGS}


def expanded(
    command: Command, leave_out: Collection[str] = (), instead: Mapping[str, Any] = {}
) -> Callable[..., Any]:
    """A command whose parameters of a flags class became the options of its fields, but for ``leave_out``.

    ``instead`` holds annotations that some fields have in this command.
    """
    hints = get_type_hints(command, include_extras=True)
    groups = {name: kind for name, kind in hints.items() if is_dataclass(kind) and isinstance(kind, type)}
    parameters: list[inspect.Parameter] = []
    for parameter in inspect.signature(command).parameters.values():
        if (group := groups.get(parameter.name)) is None:
            one = parameter.replace(kind=parameter.KEYWORD_ONLY, annotation=hints[parameter.name])
            parameters.append(one)
            continue
        kinds = {**get_type_hints(group, include_extras=True), **instead}
        parameters += [
            inspect.Parameter(f.name, parameter.KEYWORD_ONLY, default=f.default, annotation=kinds[f.name])
            for f in fields(group)
            if f.name not in leave_out
        ]

    def run(**values: Any) -> Any:
        built = {
            name: group(**{item.name: values.pop(item.name, item.default) for item in fields(group)})
            for name, group in groups.items()
        }
        return command(**values, **built)

    run.__name__, run.__doc__ = command.__name__, command.__doc__
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return run
