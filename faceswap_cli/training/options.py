"""The options of a training run: one TOML file, checked once."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from faceswap_cli.errors import UsageError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SHARES = ("self", "pair", "cross", "video")


def _check(ok: bool, message: str) -> None:
    if not ok:
        raise UsageError(message)


@dataclass(frozen=True, kw_only=True)
class DataOptions:
    """Where faces come from; paths are relative to the configuration file."""

    pictures: tuple[Path, ...] = ()
    """Folders of pictures; a sub-folder is one person."""
    clips: tuple[Path, ...] = ()
    """Video files or folders of them; one person each."""
    shards: tuple[Path, ...] = ()
    """Folders with train.csv, train_landmarks.npz and tar shards."""
    classes: tuple[str, ...] = ("open", "stock", "synthetic-nolicence", "own")
    """License classes that may be used."""
    every: int = 2
    """Of a clip, each so-many-th frame."""
    held_out: float = 0.03
    """Share of people kept for measuring."""

    def __post_init__(self) -> None:
        _check(bool(self.pictures or self.clips or self.shards), "[data] needs pictures, clips or shards")
        _check(self.every >= 1, f"[data] every must be 1 or more, not {self.every}")
        _check(0 <= self.held_out < 0.5, f"[data] held_out must be 0 to 0.5, not {self.held_out}")


@dataclass(frozen=True, kw_only=True)
class LossWeights:
    """Weight of each loss term; 0 turns it off.  Terms are functions of ``training.losses``."""

    pixel: float = 10.0
    side: float = 2.0
    structure: float = 2.0
    laplacian: float = 2.0
    activations: float = 1.0
    identity: float = 3.0
    landmarks: float = 20.0
    adversarial: float = 0.1
    feature_match: float = 1.0
    weak_feature_match: float = 1.0
    feature_similarity: float = 1.0
    histogram: float = 0.5
    consistency: float = 0.1
    transport: float = 0.5
    cycle: float = 1.0
    code_trajectory: float = 1.0
    flow_trajectory: float = 2.0
    third_player: float = 0.1
    code_size: float = 1e-4


@dataclass(frozen=True, kw_only=True)
class Phase:
    """A stretch of the training with its own mix of batches."""

    name: str
    images: int
    """Images until the phase ends (over all processes)."""
    mix: Mapping[str, float]
    """Shares of batch kinds: self (made pairs), pair (real pairs), cross (two people), video."""
    weights: LossWeights = field(default_factory=LossWeights)
    rate: float = 2e-4
    gate: Mapping[str, float] = field(default_factory=dict)
    """Figures that must hold before the next phase begins, e.g. {"psnr": 22.0, "rho": 0.6}."""
    patience: float = 1.5
    """The phase is prolonged to at most this many times its images while its gate is shut."""
    third_player: bool = False

    def __post_init__(self) -> None:
        unknown = set(self.mix) - set(SHARES)
        _check(
            not unknown,
            f"phase {self.name}: unknown batch kind {sorted(unknown)}; known are {', '.join(SHARES)}",
        )
        _check(sum(self.mix.values()) > 0, f"phase {self.name}: mix is empty")
        _check(self.images > 0, f"phase {self.name}: images must be above 0")
        _check(self.patience >= 1, f"phase {self.name}: patience must be 1 or more")


@dataclass(frozen=True, kw_only=True)
class RefinerOptions:
    """``[refiner]``: the recipe trains the refiner instead of the network."""

    pairs: int = 12_000
    """Pairs made by ``--prepare``; held-out people add a thirtieth of that."""
    images: int = 600_000
    """Until training ends; the rate falls toward it."""
    batch: int = 24
    rate: float = 1.5e-3
    steady: float = 0.5
    """Weight of changing neighboring frames alike."""
    save_every_s: float = 120.0

    def __post_init__(self) -> None:
        _check(self.pairs >= 1 and self.images >= 1, "[refiner] pairs and images must be 1 or more")
        _check(self.batch >= 2, f"[refiner] batch must be 2 or more, not {self.batch}")


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """The whole configuration."""

    data: DataOptions
    folder: Path
    """Where pool, state, metrics and sample sheets lie."""
    phases: tuple[Phase, ...] = ()
    refiner: RefinerOptions | None = None
    preset: str = "cpu"
    batch: int = 4
    """Images per process and step."""
    processes: int = 0
    """Training processes of one thread each on a CPU, one per GPU otherwise; 0 chooses."""
    loaders: int = -1
    """Threads that prepare batches ahead; 0 prepares them in the training thread, -1 chooses."""
    device: str = "auto"
    seed: int = 0
    ema: float = 0.999
    critic_every: int = 1
    penalty_every: int = 16
    penalty: float = 2.0
    critic_rate: float = 2e-4
    clip: float = 1.0
    """Largest norm of the gradient."""
    save_every_s: float = 300.0
    sheet_every: int = 1000
    measure_every: int = 500
    shares_every: int = 200
    warm_start: Path | None = None
    """Weights to begin with (fslsd-256.safetensors)."""
    drop_warp: float = 0.10
    """Share of samples whose warped source is withheld entirely."""
    drop_part: float = 0.30
    shape_mix: float = 0.5

    def __post_init__(self) -> None:
        from faceswap_cli.nets.fslsd256_encoders import PRESETS

        _check(self.preset in PRESETS, f"preset must be one of {', '.join(PRESETS)}, not {self.preset!r}")
        _check(self.batch >= 2, f"batch must be 2 or more, not {self.batch}")
        _check(
            bool(self.phases) != (self.refiner is not None),
            "give [[phase]] or [refiner]; see examples/training",
        )
        _check(0 < self.ema < 1, f"ema must lie between 0 and 1, not {self.ema}")


def read_options(path: Path) -> TrainOptions:
    """The configuration in ``path``; unknown keys are errors that list the known ones."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(
            f"cannot read {path}: {error.strerror}; see examples/training for a start"
        ) from error
    except (ValueError, RecursionError) as error:  # also what is no UTF-8
        raise UsageError(f"{path} is not valid TOML: {error}") from error
    try:
        return _of_table(table, path)
    except (TypeError, AttributeError, ValueError, OverflowError) as error:
        reason = " ".join(str(error).split())[:160]
        raise UsageError(f"{path} has a value of the wrong kind ({reason}); see examples/training") from error


def _of_table(table: dict[str, Any], path: Path) -> TrainOptions:
    here = path.resolve().parent
    data = _build(
        DataOptions, _paths(table.pop("data", {}), ("pictures", "clips", "shards"), here), f"{path} [data]"
    )
    shared = table.pop("weights", {})
    if "refiner" in table:
        table["refiner"] = _build(RefinerOptions, table["refiner"], f"{path} [refiner]")
    phases = tuple(_phase(row, shared, f"{path} [[phase]]") for row in table.pop("phase", []))
    for name in ("folder", "warm_start"):
        if name in table:
            table[name] = here / table[name]
    table.setdefault("folder", here / "runs" / path.stem)
    options: TrainOptions = _build(TrainOptions, {**table, "data": data, "phases": phases}, str(path))
    return options


def _phase(row: dict[str, Any], shared: dict[str, Any], where: str) -> Phase:
    weights = _build(LossWeights, {**shared, **row.pop("weights", {})}, f"{where} weights")
    phase: Phase = _build(Phase, {**row, "weights": weights}, where)
    return phase


def _paths(table: dict[str, Any], names: tuple[str, ...], here: Path) -> dict[str, Any]:
    out = dict(table)
    for name in names:
        if name in out:
            out[name] = tuple(here / value for value in out[name])
    if "classes" in out:
        out["classes"] = tuple(out["classes"])
    return out


def _build(kind: type[Any], table: Mapping[str, Any], where: str) -> Any:
    known = {f.name: f for f in fields(kind)}
    unknown = sorted(set(table) - set(known))
    if unknown:
        raise UsageError(f"{where}: unknown key {unknown[0]}; known are {', '.join(sorted(known))}")
    for name, value in table.items():
        wanted = known[name].type
        if wanted in ("float", "int") and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise UsageError(f"{where}: {name} must be a number, not {value!r}")
    try:
        return kind(**table)
    except TypeError as error:
        missing = str(error).split(":")[-1].strip()
        raise UsageError(f"{where}: {missing} is missing") from error


def without(options: TrainOptions, what: str) -> TrainOptions:
    """The same run without warp, third-player, trajectory, landmarks or adversary, for ablations."""
    zeroed: dict[str, dict[str, float]] = {
        "third-player": {"third_player": 0.0},
        "trajectory": {"code_trajectory": 0.0, "flow_trajectory": 0.0, "transport": 0.0},
        "landmarks": {"landmarks": 0.0},
        "adversary": {"adversarial": 0.0, "feature_match": 0.0, "weak_feature_match": 0.0},
    }
    if what == "warp":
        return replace(options, drop_warp=1.0)
    if what not in zeroed:
        raise UsageError(f"cannot train without {what!r}; known are warp, {', '.join(zeroed)}")
    phases = tuple(replace(p, weights=replace(p.weights, **zeroed[what])) for p in options.phases)
    return replace(options, phases=phases)
