"""Where a setting comes from: command line, environment, configuration files, defaults.

The keys are the fields of the option groups in :mod:`faceswap_cli.config`:

    method = "mesh"
    [detect]
    min_face_px = 32

An everyday setting also has a flag (:data:`FLAGS`) and is read from ``FACESWAP_<FLAG>``; every
other one from ``FACESWAP_<GROUP>_<FIELD>``.  First found wins: command line, environment, the
file of ``--config`` or the nearest ``faceswap.toml``, the user's file, the default.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Collection, Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

from faceswap_cli import own_edits, user_files
from faceswap_cli.config import EDIT_RANGES, SwapOptions, parse_edits, parse_preserved
from faceswap_cli.errors import UsageError
from faceswap_cli.keyframes import Keyframes, level_of
from faceswap_cli.limits import TEXT_BYTES

FILE_NAME = "faceswap.toml"
PREFIX = "FACESWAP_"

FLAGS: dict[str, tuple[str, ...]] = {
    "method": ("method",),
    "strength": ("strength",),
    "face": ("track.face",),
    "ref": ("track.reference",),
    "source_face": ("detect.source_face",),
    "cast": ("track.cast",),
    "smooth": ("smooth.strength",),
    "profile": ("job.profile",),
    "shape_mix": ("job.shape_mix",),
    "outline": ("job.outline",),
    "mapper": ("job.mapper",),
    "appear_from": ("job.appear_from",),
    "precision": ("job.precision",),
    "parsing": ("job.parsing",),
    "device": ("job.device",),
    "start": ("range.start",),
    "end": ("range.end",),
    "codec": ("encode.codec",),
    "crf": ("encode.crf",),
    "preset": ("encode.preset",),
    "lossless": ("encode.lossless",),
    "hw": ("encode.hw",),
    "interlaced": ("encode.interlaced",),
    "segment": ("job.segment_s",),
    "restart": ("job.restart",),
    "keep": ("job.keep",),
    "threads": ("job.workers", "detect.workers"),
    "max_ram": ("job.max_ram_mb",),
    "max_vram": ("job.max_vram_mb",),
    "cluster": ("job.cluster",),
    "batch": ("job.batch",),
    "seed": ("job.seed",),
    "min_face": ("detect.min_face_px",),
    "max_faces": ("detect.max_faces",),
    "max_pixels": ("detect.max_pixels",),
    "feather": ("paste.feather",),
    "edit": (),
    "preserve": (),
    "occlusion": ("paste.occlusion",),
    "glasses": ("paste.glasses",),
    "beard": ("paste.beard",),
    "occlusion_mask": ("paste.occlusion_mask",),
    "mask_regions": ("paste.mask_regions",),
    "label": ("mark.label",),
    "compare": ("mark.compare",),
    "c2pa_cert": ("mark.c2pa_cert",),
    "c2pa_key": ("mark.c2pa_key",),
    "consent": ("mark.consent",),
    "progress": ("show.progress",),
    "log_file": ("show.log_file",),
}
"""Flag, with underscores -> the keys that it sets; ``--edit`` and ``--preserve`` name those of a group."""

OVER_TIME = frozenset({"strength", "shape_mix", "outline"})
"""Flags whose value may be keyframes."""

NOT_SETTINGS = frozenset({"ACCEPT_TERMS", "PEOPLE", "REQUIRE_GPU", "RESIDENT", "SHARED", "WEIGHTS"})
"""Variables with our prefix that are read elsewhere."""

PROGRESS = ("auto", "plain", "none")


@dataclass(frozen=True, kw_only=True)
class ShowOptions:
    """What a command shows while it works."""

    progress: str = "auto"
    """``auto`` is a live display on a terminal and ``plain`` elsewhere; ``none`` is silent."""
    log_file: Path | None = None

    def __post_init__(self) -> None:
        if self.progress not in PROGRESS:
            raise UsageError(f"progress must be auto, plain or none, not {self.progress!r}")


@dataclass(frozen=True, slots=True)
class Key:
    """One setting: where it lives and of which kind it is."""

    name: str
    """``group.field``, or ``field`` at the top level"""
    kind: type
    optional: bool
    default: Any
    variable: str
    """Name of the environment variable."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A value and who said so."""

    value: Any
    origin: str


@dataclass(frozen=True, slots=True)
class Layer:
    """Some settings from one place, already converted."""

    origin: str
    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    """Where a value's own origin is more exact than ``origin``."""


def _groups() -> Iterator[tuple[str, type]]:
    for name, kind in get_type_hints(SwapOptions).items():
        if isinstance(kind, type) and is_dataclass(kind):
            yield name, kind
    yield "show", ShowOptions


def known_keys() -> dict[str, Key]:
    """Every key by name, in the order of the groups."""
    variables = {key: flag for flag, keys in FLAGS.items() for key in keys}
    found = {}
    for group, owner in (("", SwapOptions), *_groups()):
        hints = get_type_hints(owner)
        for item in fields(owner):
            if is_dataclass(hints[item.name]):
                continue
            name = f"{group}.{item.name}" if group else item.name
            kind, optional = _plain(hints[item.name])
            variable = PREFIX + variables.get(name, name.replace(".", "_")).upper()
            default = None if item.default is MISSING else item.default
            found[name] = Key(name, kind, optional, default, variable)
    return found


def _plain(hint: Any) -> tuple[type, bool]:
    """``float | None`` -> (float, True); what may change over time is of the kind :class:`Keyframes`."""
    if get_origin(hint) in (Union, types.UnionType):
        if Keyframes in get_args(hint):
            return Keyframes, False
        (kind,) = (kind for kind in get_args(hint) if kind is not type(None))
        return kind, True
    return hint, False


def convert(key: Key, value: Any, origin: str, folder: Path | None = None) -> Any:
    """``value`` from a file or a variable as the kind of ``key``; paths are relative to ``folder``."""
    try:
        if key.kind is bool:
            return _as_bool(value)
        if key.kind is Keyframes:
            return level_of(value, key.name)
        if isinstance(value, (bool, dict, list)):
            raise ValueError
        if key.kind is int:
            return _as_int(value)
        if key.kind is Path:
            path = Path(value).expanduser()
            return folder / path if folder is not None else path
        return key.kind(value)
    except (ValueError, TypeError, OverflowError, RuntimeError):  # homes nobody has are a RuntimeError
        wanted = {int: "a whole number", float: "a number", bool: "true or false"}.get(key.kind, "a text")
        raise UsageError(f"{key.name} must be {wanted}, not {value!r} ({origin})") from None


def _as_bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    words = {
        "1": True,
        "true": True,
        "yes": True,
        "on": True,
        "0": False,
        "false": False,
        "no": False,
        "off": False,
    }
    if not isinstance(value, str) or value.strip().lower() not in words:
        raise ValueError
    return words[value.strip().lower()]


def _as_int(value: Any) -> int:
    if isinstance(value, float) and not value.is_integer():
        raise ValueError
    return int(value)


def environment_layer(environ: Mapping[str, str]) -> Layer:
    """Settings from ``FACESWAP_*``; an unknown variable is an error that lists the known ones."""
    keys = known_keys()
    layer = Layer("environment")
    known = {key.variable for key in keys.values()}
    for variable in sorted(environ):
        name = variable.removeprefix(PREFIX)
        if variable.startswith(PREFIX) and variable not in known and name not in NOT_SETTINGS:
            raise UsageError(f"unknown variable {variable}; known: {', '.join(sorted(known))}")
    for key in keys.values():
        if (value := environ.get(key.variable, "")) != "":
            layer.values[key.name] = convert(key, value, key.variable)
            layer.origins[key.name] = key.variable
    return layer


def file_layer(path: Path) -> Layer:
    """Settings of a TOML file; unknown keys are errors that list the known ones."""
    keys, layer = known_keys(), Layer(str(path))
    for given, value in _flat(_read_toml(path), keys):
        name, item = given, value
        if name not in keys:
            if (edit := name.removeprefix("edit.")) not in user_files.taught_names():
                raise UsageError(_unknown(name, path, list(keys)))
            amount = convert(replace(keys["edit.age"], name=name), value, str(path))
            ((name, item),) = _edits({edit: amount}).items()
        layer.values[name] = over(
            name, layer.values.get(name), convert(keys[name], item, str(path), path.parent)
        )
    return layer


def _read_toml(path: Path) -> dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        with path.open("rb") as file:
            data = file.read(TEXT_BYTES + 1)
        if len(data) > TEXT_BYTES:
            raise UsageError(
                f"{path} is larger than {TEXT_BYTES >> 20} MiB and cannot be a configuration file"
            )
        return tomllib.loads(data.decode("utf-8"))
    except OSError as error:
        raise UsageError(f"configuration file {path} cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:  # also numbers of too many digits
        raise UsageError(f"configuration file {path} is not valid TOML: {error}") from error


def _flat(tree: dict[str, Any], keys: Collection[str]) -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, dict) and name not in keys:
            yield from ((f"{name}.{inner}", item) for inner, item in value.items())
        else:
            yield name, value


def _unknown(name: str, path: Path, keys: list[str]) -> str:
    group = name.partition(".")[0]
    near = [key for key in keys if key.startswith(group + ".")] or keys
    return f"unknown key {name} in {path}; known: {', '.join(near)}"


def nearest_file(folder: Path) -> Path | None:
    """``faceswap.toml`` in ``folder`` or the closest folder above it."""
    for place in (folder, *folder.parents):
        if (path := place / FILE_NAME).is_file():
            return path
    return None


def user_file() -> Path:
    """The user's own configuration file, there or not."""
    import platformdirs

    return platformdirs.user_config_path("faceswap", appauthor=False) / "config.toml"


def flag_layer(flags: Mapping[str, Any]) -> Layer:
    """Settings given as flags; None means not given."""
    layer = Layer("command line")
    for flag, value in flags.items():
        for name, item in set_by(flag, value).items() if value is not None else ():
            layer.values[name] = item
            layer.origins[name] = "--" + flag.replace("_", "-")
    return layer


def set_by(flag: str, value: Any) -> dict[str, Any]:
    """Key -> value of what a flag sets."""
    if flag == "edit":
        return _edits(parse_edits(value, user_files.taught_names()))
    if flag == "preserve":
        return {f"preserve.{name}": share for name, share in parse_preserved(value).items()}
    if flag in OVER_TIME:
        value = level_of(value, f"--{flag.replace('_', '-')}")
    return dict.fromkeys(FLAGS[flag], value)


OWN_EDITS = "edit.own"


def _edits(found: Mapping[str, float]) -> dict[str, Any]:
    """Edits by name -> keys; those that the user has taught are one key together."""
    keys: dict[str, Any] = {f"edit.{name}": value for name, value in found.items() if name in EDIT_RANGES}
    own = {user_files.pinned(name): value for name, value in found.items() if name not in EDIT_RANGES}
    return {**keys, OWN_EDITS: own_edits.spelled(own)} if own else keys


def over(name: str, before: Any, value: Any) -> Any:
    """What holds when ``value`` of the key ``name`` is said over ``before``."""
    return own_edits.merged(before, value) if name == OWN_EDITS and before else value


def file_layers(config: Path | None, folder: Path) -> list[Layer]:
    """The named or nearest file, then the user's, strongest first."""
    named = config or nearest_file(folder)
    own = user_file()
    return [*([file_layer(named)] if named else []), *([file_layer(own)] if own.is_file() else [])]


@dataclass(frozen=True, slots=True)
class Settings:
    """Every setting with its origin."""

    entries: dict[str, Setting]

    def swap_options(self) -> SwapOptions:
        """The options of a swap job; :class:`UsageError` when a value is out of its range."""
        groups = {name: self._build(name, kind) for name, kind in _groups() if name != "show"}
        built: SwapOptions = self._build("", SwapOptions, groups)
        return built

    def show_options(self) -> ShowOptions:
        shown: ShowOptions = self._build("show", ShowOptions)
        return shown

    def _build(self, group: str, kind: type, more: Mapping[str, Any] = {}) -> Any:
        """The options ``kind`` of ``group``, with ``more`` fields that are not settings themselves."""
        names = {name: name.rpartition(".") for name in self.entries}
        own = {item: self.entries[name] for name, (owner, _, item) in names.items() if owner == group}
        try:
            return kind(**{name: entry.value for name, entry in own.items()}, **more)
        except UsageError as error:
            # The message starts with the name of the field or of its flag: say where that was set.
            told = {entry.origin for entry in own.values() if entry.origin != "default"}
            raise UsageError(f"{error} (set by {', '.join(sorted(told))})" if told else str(error)) from None


def resolve(
    flags: Mapping[str, Any],
    *,
    config: Path | None = None,
    use_files: bool = True,
    environ: Mapping[str, str],
    folder: Path,
) -> Settings:
    """Merge all layers; ``folder`` is where the search for the nearest file starts."""
    layers = [flag_layer(flags), environment_layer(environ)]
    if use_files:
        layers += file_layers(config, folder)
    entries = {name: Setting(key.default, "default") for name, key in known_keys().items()}
    for layer in reversed(layers):
        for name, value in layer.values.items():
            entries[name] = Setting(
                over(name, entries[name].value, value), layer.origins.get(name, layer.origin)
            )
    return Settings(entries)
