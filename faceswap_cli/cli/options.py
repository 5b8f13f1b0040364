"""The flags, written once: groups of annotated options that commands take as one value.

A command says ``def video(ctx, files, look: LookFlags, show: ShowFlags)`` and is wrapped by
:func:`expanded`.  None means *not given*, so that the environment and the configuration files
can speak.  Everyday flags come first, the rest in named panels of ``--help``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from copy import copy
from dataclasses import asdict, dataclass, fields, is_dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_type_hints

import typer

from faceswap_cli.cli.values import sources, values_of
from faceswap_cli.config_files import FLAGS, known_keys

Command = TypeVar("Command", bound=Callable[..., Any])

ENCODING = "Encoding"
TUNING = "Fine tuning"
RUNNING = "Running"
REPORTING = "Reports and checks"
CONFIGURATION = "Configuration"

Files = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="SRC... TARGET",
        help="Source: photographs of one person, a folder of them, or @NAME (enrolled). Then the target. "
        "'-' is stdin.",
        show_default=False,
        autocompletion=sources,
    ),
]


DEFAULT = " Default: "


def _default_of(flag: str) -> str:
    """The default of the setting behind a flag, as a user would write it; empty where there is none."""
    keys = FLAGS.get(flag.lstrip("-").replace("-", "_")) or FLAGS.get(_FLAG_NAMES.get(flag, ""), ())
    value = _DEFAULTS[keys[0]].default if keys else None
    if value is None or value == "":
        return ""
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else f"{value}"


FAIL_UNDER = (
    "Exit with code 10 if a figure misses its bound, for any person: likeness=0.6,coverage=0.95, or "
    "verdict (not 'Good'). At least, at most or near: see docs/metrics.md. Default: no check."
)
_DEFAULTS = known_keys()
_FLAG_NAMES = {"--jobs": "threads"}


def _option(*names: str, text: str, panel: str | None = None, metavar: str | None = None) -> Any:
    """An option; the default of its setting is added to ``text`` unless the text already names one."""
    default = "" if DEFAULT in text else _default_of(names[0].partition("/")[0])
    return typer.Option(
        *names,
        help=f"{text}{DEFAULT}{default}." if default else text,
        rich_help_panel=panel,
        metavar=metavar,
        show_default=False,
        autocompletion=values_of(names[0]),
    )


@dataclass(frozen=True, kw_only=True)
class OutputFlags:
    """What is written, and when not."""

    output: Annotated[
        str | None,
        _option(
            "--output",
            "-o",
            text="Output file, folder, template with {stem} {ext} {source} {index}, or '-' for stdout. "
            "Default: TARGET_swapped beside the target.",
            metavar="FILE",
        ),
    ] = None
    force: Annotated[
        bool, _option("--force", "-f", text="Overwrite an existing output (never an input).")
    ] = False
    skip_existing: Annotated[bool, _option("--skip-existing", text="Do nothing if the output exists.")] = (
        False
    )
    ledger: Annotated[
        Path | None,
        _option(
            "--ledger",
            text="Write one JSON line per face and frame: swapped or not, and why. Default: none.",
            panel=REPORTING,
            metavar="JSONL",
        ),
    ] = None
    report: Annotated[
        Path | None,
        _option(
            "--report",
            text="Write an HTML report: before and after, the hardest frames, metrics over time. Takes about "
            "as long as the swap. Default: none.",
            panel=REPORTING,
            metavar="HTML",
        ),
    ] = None
    fail_under: Annotated[
        str | None,
        _option(
            "--fail-under",
            text=FAIL_UNDER,
            panel=REPORTING,
            metavar="NAME=BOUND,...",
        ),
    ] = None


AS_FILE = {
    "output": Annotated[
        str | None,
        _option(
            "--output",
            "-o",
            text="Output file, folder, or template with {stem} {ext} {source} {index}. "
            "Default: OUT_edit or OUT_rerun beside the result.",
            metavar="FILE",
        ),
    ]
}
"""Instead of the field of :class:`OutputFlags`, for commands that do not write to stdout."""


@dataclass(frozen=True, kw_only=True)
class LookFlags:
    """Who is swapped and how it looks; for pictures and videos."""

    face: Annotated[
        str | None,
        _option(
            "--face",
            text="Person to swap in the target: largest, left, all, or N (Nth from the left, as 'inspect' "
            "numbers them).",
            metavar="largest|left|all|N",
        ),
    ] = None
    ref: Annotated[
        Path | None,
        _option(
            "--ref",
            text="Swap the person who looks like this photograph; overrides --face. Default: none.",
            metavar="PHOTO",
        ),
    ] = None
    method: Annotated[
        str | None,
        _option(
            "--method",
            text="How the face is drawn: fslsd (the photograph, and a network where it shows nothing), mesh "
            "(the photograph only, fastest), nitzan (a network only, an experiment), or auto (the best "
            "installed).",
            metavar="NAME",
        ),
    ] = None
    source_face: Annotated[
        str | None,
        _option(
            "--source-face",
            text="Which face of a source picture with several: auto (clearly the largest, else an error), "
            "largest, left, or N (Nth from the left).",
            metavar="auto|largest|left|N",
        ),
    ] = None
    profile: Annotated[
        str | None,
        _option(
            "--profile",
            text="Pixels of the network of fslsd: 256 (bundled), 1024 (official checkpoints, to be imported "
            "first), or auto (256).",
            metavar="auto|256|1024",
        ),
    ] = None
    strength: Annotated[
        str | None,
        _option(
            "--strength",
            text="Strength of the swap, 0 to 1; keyframes as 0s:0,2s:1.",
            panel=TUNING,
            metavar="0..1",
        ),
    ] = None
    preserve: Annotated[
        str | None,
        _option(
            "--preserve",
            text="Parts to keep from the target: mouth, eyes, brows, skin, shape; partly as eyes=0.5. "
            "Default: none.",
            panel=TUNING,
            metavar="PARTS",
        ),
    ] = None
    shape_mix: Annotated[
        str | None,
        _option(
            "--shape-mix",
            text="How much of the source's facial proportions to use, 0 to 1.5; keyframes as in --strength.",
            panel=TUNING,
            metavar="0..1.5",
        ),
    ] = None
    outline: Annotated[
        str | None,
        _option(
            "--outline",
            text="How much of the source's jaw and cheeks to use, 0 to 1; keyframes as in --strength.",
            panel=TUNING,
            metavar="0..1",
        ),
    ] = None
    mapper: Annotated[
        str | None,
        _option(
            "--mapper",
            text="What a network draws the source from: landmarks (its photographs), nitzan (the numbers of "
            "face recognition only, an experiment), or blend:0.5 (between both).",
            panel=TUNING,
            metavar="NAME",
        ),
    ] = None
    appear_from: Annotated[
        str | None,
        _option(
            "--appear-from",
            text="For --profile 1024: first of the 18 rows of the latent code that is the target's: "
            "released (11), paper (7), or N; a smaller N takes more light and color of the target.",
            panel=TUNING,
            metavar="ROW",
        ),
    ] = None
    precision: Annotated[
        str | None,
        _option(
            "--precision",
            text="For --profile 1024: float32, or bfloat16 (faster, coarser).",
            panel=RUNNING,
            metavar="float32|bfloat16",
        ),
    ] = None
    parsing: Annotated[
        Path | None,
        _option(
            "--parsing",
            text="A label map (CelebAMask numbers) as large as the target that gives the mask, the same for "
            "all frames. Default: the mask comes from the landmarks.",
            panel=TUNING,
            metavar="PNG",
        ),
    ] = None
    device: Annotated[
        str | None,
        _option("--device", text="Device: auto, cpu, cuda, cuda:N, or mps.", metavar="NAME"),
    ] = None
    label: Annotated[
        bool | None,
        _option("--label/--no-label", text="Burn a small visible 'AI modified' label into the picture."),
    ] = None
    c2pa_cert: Annotated[
        Path | None,
        _option(
            "--c2pa-cert",
            text="Certificate chain that signs the C2PA manifest (the proof of origin in the file). "
            "Default: this machine's own.",
            panel=REPORTING,
            metavar="PEM",
        ),
    ] = None
    c2pa_key: Annotated[
        Path | None,
        _option(
            "--c2pa-key",
            text="Private key of --c2pa-cert. Default: this machine's own.",
            panel=REPORTING,
            metavar="PEM",
        ),
    ] = None
    consent: Annotated[
        Path | None,
        _option(
            "--consent",
            text="Record of who consented, a TOML file (docs/consent.md); its SHA-256 goes into the C2PA "
            "manifest. Default: none.",
            panel=REPORTING,
            metavar="TOML",
        ),
    ] = None
    feather: Annotated[
        float | None,
        _option(
            "--feather",
            text="Width of the soft edge as a share of the face's width, 0.005 to 0.5.",
            panel=TUNING,
            metavar="0.005..0.5",
        ),
    ] = None
    edit: Annotated[
        str | None,
        _option(
            "--edit",
            text="Change the expression, e.g. smile=+0.4,yaw=-5. About -1 to 1: smile, mouth, brow, blink, "
            "gaze_x, gaze_y. Degrees: yaw (15 at most), pitch, roll (10). -2 to 2, of the source: age, "
            "masculine, lips, and the names made by 'train --attribute'. Default: none.",
            panel=TUNING,
            metavar="CHANGES",
        ),
    ] = None
    occlusion: Annotated[
        bool | None,
        _option(
            "--occlusion/--no-occlusion",
            text="Keep hands, hair and objects in front of the face.",
            panel=TUNING,
        ),
    ] = None
    glasses: Annotated[
        str | None,
        _option(
            "--glasses",
            text="The target's glasses: keep them, or remove them from the face; their arms beside it stay.",
            panel=TUNING,
            metavar="keep|remove",
        ),
    ] = None
    beard: Annotated[
        str | None,
        _option(
            "--beard",
            text="The target's beard: keep it, or remove it from the face; what grows below the jaw stays.",
            panel=TUNING,
            metavar="keep|remove",
        ),
    ] = None
    occlusion_mask: Annotated[
        Path | None,
        _option(
            "--occlusion-mask",
            text="Your own mask: a picture or video of the target's width and height; where it is white, "
            "the target stays. Default: none.",
            panel=TUNING,
            metavar="FILE",
        ),
    ] = None
    mask_regions: Annotated[
        str | None,
        _option(
            "--mask-regions",
            text="Swap only these parts: brows, eyes, nose, mouth, skin, forehead. Default: the whole face.",
            panel=TUNING,
            metavar="PARTS",
        ),
    ] = None
    min_face: Annotated[
        int | None,
        _option(
            "--min-face", text="Ignore faces narrower than this many pixels.", panel=TUNING, metavar="PIXELS"
        ),
    ] = None
    max_faces: Annotated[
        int | None, _option("--max-faces", text="Swap at most N faces in a frame.", panel=TUNING, metavar="N")
    ] = None
    max_pixels: Annotated[
        int | None,
        _option(
            "--max-pixels",
            text="Refuse larger pictures and frames; 0 means 250 million "
            "(pictures) and 67 million (video frames).",
            panel=RUNNING,
            metavar="COUNT",
        ),
    ] = None
    seed: Annotated[
        int | None,
        _option(
            "--seed",
            text="Seed of the random grain that is added to skin; the same number gives the same pixels.",
            panel=TUNING,
        ),
    ] = None
    threads: Annotated[
        int | None,
        _option(
            "--jobs",
            "--threads",
            text="Processes that render side by side; 0 means one per core, as far as memory allows.",
            panel=RUNNING,
        ),
    ] = None
    max_ram: Annotated[
        int | None,
        _option(
            "--max-ram",
            text="Memory limit of the whole job; 0 means 2 GB for mesh, half of the machine's memory for "
            "methods with a network.",
            panel=RUNNING,
            metavar="MB",
        ),
    ] = None
    max_vram: Annotated[
        int | None,
        _option(
            "--max-vram",
            text="GPU memory limit for batches; 0 means most of what is free.",
            panel=RUNNING,
            metavar="MB",
        ),
    ] = None
    batch: Annotated[
        int | None,
        _option("--batch", text="Faces that the network draws at once; 0 means automatic.", panel=RUNNING),
    ] = None


@dataclass(frozen=True, kw_only=True)
class ClipFlags:
    """What only makes sense for a video."""

    smooth: Annotated[
        float | None, _option("--smooth", text="Temporal smoothing, 0 (off) to 1.", metavar="0..1")
    ] = None
    start: Annotated[
        str | None,
        _option(
            "--start",
            text="Start time: seconds, hh:mm:ss.mmm, or a frame as 123f. Default: the beginning.",
            metavar="TIME",
        ),
    ] = None
    end: Annotated[
        str | None, _option("--end", text="End time, in the same forms. Default: the end.", metavar="TIME")
    ] = None
    cast: Annotated[
        Path | None,
        _option(
            "--cast",
            text="Several people at once: a file that maps each person to "
            "a source, made by 'inspect --cast'. Default: one source.",
            metavar="TOML",
        ),
    ] = None
    dry_run: Annotated[
        bool,
        _option("--dry-run", text="Show the plan with estimated time, memory and disk use; write nothing."),
    ] = False
    preview: Annotated[
        int | None,
        _option(
            "--preview",
            text="Write only a contact sheet of the N hardest frames, swapped: TARGET_preview.png, or "
            "--output. Default: the whole video.",
            metavar="N",
        ),
    ] = None
    compare: Annotated[
        str | None,
        _option(
            "--compare",
            text="Write, instead of the plain result and under its name, a comparison with the target: side "
            "(side by side) or wipe (a moving line). Default: none.",
            metavar="side|wipe",
        ),
    ] = None
    codec: Annotated[
        str | None,
        _option(
            "--codec",
            text="Video encoder, e.g. libx264, libx265, ffv1. Default: like the input.",
            panel=ENCODING,
            metavar="NAME",
        ),
    ] = None
    crf: Annotated[
        float | None,
        _option(
            "--crf",
            text="Quality of the encoder, 0 to 63; lower is better. Default: chosen from the input.",
            panel=ENCODING,
            metavar="0..63",
        ),
    ] = None
    preset: Annotated[
        str | None,
        _option(
            "--preset",
            text="Speed preset of the encoder, e.g. fast. Default: the encoder's.",
            panel=ENCODING,
            metavar="NAME",
        ),
    ] = None
    hw: Annotated[bool | None, _option("--hw/--no-hw", text="Encode on the GPU.", panel=ENCODING)] = None
    lossless: Annotated[
        bool | None, _option("--lossless/--lossy", text="Encode losslessly (large files).", panel=ENCODING)
    ] = None
    interlaced: Annotated[
        str | None,
        _option(
            "--interlaced",
            text="What happens to interlaced footage: deinterlace, or keep both fields of each frame.",
            panel=ENCODING,
            metavar="deinterlace|keep",
        ),
    ] = None
    segment: Annotated[
        float | None,
        _option(
            "--segment",
            text="Length of the pieces that are rendered one by one; an interrupted run loses only "
            "unfinished ones.",
            panel=RUNNING,
            metavar="SECONDS",
        ),
    ] = None
    cluster: Annotated[
        str | None,
        _option(
            "--cluster",
            text=r"Render on a Ray cluster: auto or its address (needs pip install '.\[ray]'). Default: "
            "this machine.",
            panel=RUNNING,
            metavar="auto|HOST:PORT",
        ),
    ] = None
    restart: Annotated[
        bool | None,
        _option("--restart", text="Discard the work of an interrupted run and start over.", panel=RUNNING),
    ] = None
    keep: Annotated[
        bool | None,
        _option("--keep", text="Keep the job folder (.NAME.faceswap), which 'edit' needs.", panel=RUNNING),
    ] = None


@dataclass(frozen=True, kw_only=True)
class ShowFlags:
    """What the command says, and where its settings come from; for every command."""

    json: Annotated[bool, _option("--json", text="Print the result as one JSON object on stdout.")] = False
    quiet: Annotated[bool, _option("--quiet", "-q", text="Show errors only.")] = False
    verbose: Annotated[
        int,
        typer.Option(
            "--verbose", "-v", count=True, help="Show details; -vv adds tracebacks.", show_default=False
        ),
    ] = 0
    events: Annotated[
        bool,
        _option(
            "--events",
            text="Print events on stdout as they happen, one JSON object a line (docs/events.md).",
            panel=REPORTING,
        ),
    ] = False
    progress: Annotated[
        str | None,
        _option(
            "--progress",
            text="Progress display: auto (live on a terminal), plain (lines), or none.",
            panel=REPORTING,
            metavar="auto|plain|none",
        ),
    ] = None
    log_file: Annotated[
        Path | None,
        _option("--log-file", text="Write a detailed log to this file. Default: none.", panel=REPORTING),
    ] = None
    config: Annotated[
        Path | None,
        _option(
            "--config", text="Configuration file. Default: the nearest faceswap.toml.", panel=CONFIGURATION
        ),
    ] = None
    no_config: Annotated[
        bool, _option("--no-config", text="Ignore configuration files.", panel=CONFIGURATION)
    ] = False


Sources = Annotated[
    list[str] | None,
    _option(
        "--source",
        "-s",
        text="The source, instead of the first arguments. Repeat it for several photographs of one person. "
        "Default: the arguments.",
        metavar="SRC",
    ),
]
OneTarget = Annotated[
    str | None,
    _option(
        "--target",
        "-t",
        text="The target, instead of the last argument. Default: the arguments.",
        metavar="TARGET",
    ),
]
AcceptTerms = Annotated[
    bool,
    _option("--accept-terms", text="Accept the terms of use (needed once per machine).", panel=CONFIGURATION),
]


def _without_default(annotation: Any) -> Any:
    """The annotation of an option whose help names no default."""
    kind, option = annotation.__origin__, copy(annotation.__metadata__[0])
    option.help = (option.help or "").partition(DEFAULT)[0]
    return Annotated[kind, option]


def _with_off(parameter: inspect.Parameter) -> inspect.Parameter:
    """A switch whose help says that it is off unless given."""
    hint = parameter.annotation
    option: Any = hint.__metadata__[0] if hasattr(hint, "__metadata__") else None
    if parameter.default is not False or DEFAULT in (getattr(option, "help", None) or DEFAULT):
        return parameter
    option = copy(option)
    option.help, option.show_default = f"{option.help}{DEFAULT}off.", False
    return parameter.replace(annotation=Annotated[hint.__origin__, option])


def given(*groups: Any) -> dict[str, Any]:
    """Flag -> value of those fields of ``groups`` that are settings (see ``config_files.FLAGS``)."""
    return {name: value for group in groups for name, value in asdict(group).items() if name in FLAGS}


@lru_cache(maxsize=16)
def _hints(group: type) -> dict[str, Any]:
    """Annotations of a flags class; several commands share one, and reading them takes a while."""
    return get_type_hints(group, include_extras=True)


def expanded(
    command: Command,
    leave_out: Collection[str] = (),
    instead: Mapping[str, Any] = {},
    kept_defaults: bool = False,
) -> Callable[..., Any]:
    """A command whose parameters of a flags class became the options of its fields, but for ``leave_out``.

    ``instead`` holds annotations that some fields have in this command.  With ``kept_defaults`` the help
    names no defaults: an earlier result decides them.
    """
    hints = get_type_hints(command, include_extras=True)
    groups = {name: kind for name, kind in hints.items() if is_dataclass(kind) and isinstance(kind, type)}
    parameters: list[inspect.Parameter] = []
    for parameter in inspect.signature(command).parameters.values():
        if (group := groups.get(parameter.name)) is None:
            one = parameter.replace(kind=parameter.KEYWORD_ONLY, annotation=hints[parameter.name])
            parameters.append(_with_off(one))
            continue
        kinds = dict(_hints(group))
        if kept_defaults and group is not ShowFlags:
            kinds = {name: _without_default(kind) for name, kind in kinds.items()}
        kinds |= instead
        parameters += [
            _with_off(
                inspect.Parameter(f.name, parameter.KEYWORD_ONLY, default=f.default, annotation=kinds[f.name])
            )
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
