"""Whether this machine can do the work: each part is really used once, on something tiny."""

from __future__ import annotations

import platform
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from faceswap_cli.config import DetectOptions, EncodeOptions, PolicyOptions
from faceswap_cli.devices import resolve_device
from faceswap_cli.errors import FaceswapError
from faceswap_cli.policy.terms import record_path
from faceswap_cli.weights.bundled import packed, verify_bundled

if TYPE_CHECKING:
    from faceswap_cli.records import Clip, Frame

OK, WARN, FAIL = "ok", "warn", "fail"
PACKAGES = ("torch", "numpy", "scipy", "av", "mediapipe", "typer", "rich", "safetensors", "onnx", "pillow")
ENCODERS = {
    "libx264": FAIL,
    "libx265": WARN,
    "libvpx-vp9": WARN,
    "libsvtav1": WARN,
    "prores_ks": WARN,
    "ffv1": WARN,
}
"""Encoders that the writer chooses, and how bad it is when one does not work."""
_ROOM_BYTES = 2 << 30


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the report."""

    name: str
    status: str
    """ok, warn or fail"""
    detail: str
    fix: str = ""
    """What to do; empty when ok."""
    code: int = 1
    """Exit code of a failure: that of the error which a real job would meet."""


def run_checks(folder: Path, terms_accepted: bool, policy: PolicyOptions | None = None) -> Iterator[Check]:
    """All checks, one after another; ``folder`` is where results would go."""
    yield _python()
    yield from _packages()
    yield from (_guarded(f"weights {name}", partial(_weights, name)) for name in packed())
    yield _guarded("face detection", _detection)
    yield _guarded("identity network", _identity)
    yield from (_guarded(f"device {name}", partial(_device, name)) for name in _devices())
    with tempfile.TemporaryDirectory(prefix="faceswap-doctor-") as scratch:
        for codec, severity in ENCODERS.items():
            path = Path(scratch) / f"{codec}.mkv"
            yield _guarded(f"encoder {codec}", partial(_encoder, codec, path), severity)
    yield _guarded("encoders of a graphics chip", _chip)
    yield from (_disk(name, place) for name, place in (("results", folder), ("temporary", _temporary())))
    yield Check("user data", OK, f"{record_path().parent}: people, own weights, terms and the signing key")
    yield _guarded("content classifier", partial(_classifier, policy or PolicyOptions()))
    if terms_accepted:
        yield Check("terms", OK, "accepted")
    else:
        yield Check("terms", WARN, "not accepted yet", "run 'faceswap terms --accept-terms'")


def kept_rows() -> list[dict[str, str]]:
    """What each container keeps of a clip, by codec: a dictionary for each row of the table."""
    from faceswap_cli.video.kept import HEAD, rows

    return [dict(zip(HEAD, row, strict=True)) for row in rows()]


def _threads(count: int) -> str:
    return "1 thread" if count == 1 else f"{count} threads"


def _guarded(name: str, work: Callable[[], Check], severity: str = FAIL) -> Check:
    """``work``, or what it raised as a line: a broken library must not end the report."""
    try:
        return work()
    except FaceswapError as error:
        what, _, fix = str(error).partition(";")
        return Check(name, severity, what, fix.strip() or "reinstall faceswap-cli", error.exit_code)
    except Exception as error:  # noqa: BLE001  whatever a broken installation raises
        text = f"{type(error).__name__}: {error}".splitlines()[0]
        return Check(name, severity, text, "reinstall faceswap-cli in a new environment")


def _python() -> Check:
    text = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    return Check("python", OK, text)


def _packages() -> Iterator[Check]:
    for name in PACKAGES:
        try:
            yield Check(f"package {name}", OK, version(name))
        except PackageNotFoundError:
            yield Check(f"package {name}", FAIL, "not installed", f"pip install {name}")


def _weights(name: str) -> Check:
    """The file has the digest that the package names."""
    found = verify_bundled(name)
    return Check(f"weights {name}", OK, f"{found.size / 1e6:.1f} MB, sha256 {found.sha256[:16]} as packed")


def _classifier(options: PolicyOptions) -> Check:
    """It is loaded, checked and run once, where there is one."""
    from faceswap_cli.policy.store import in_force

    model = in_force(options)
    if model is None:
        return Check("content classifier", OK, "none installed; content is not checked (docs/consent.md)")
    limits = ", ".join(f"{label} from {limit:g}" for label, limit in model.rules.refuse.items())
    return Check("content classifier", OK, f"runs, sha256 {model.sha256[:16]}, refuses {limits}")


def _detection() -> Check:
    """The detector is built and run; a gray picture has no face."""
    from faceswap_cli.faces.detect import find_faces

    found = find_faces(np.full((256, 256, 3), 128, np.uint8), DetectOptions())
    if found:
        return Check("face detection", FAIL, "finds a face in a plain gray picture", "reinstall mediapipe")
    return Check("face detection", OK, "runs")


def _identity() -> Check:
    """The network is loaded name by name and run; pictures that differ get codes that differ."""
    from faceswap_cli.identity.embed import embed_chips

    chips = np.stack([np.full((150, 150, 3), level, np.uint8) for level in (60, 190)])
    codes = embed_chips(chips)
    if not np.isfinite(codes).all() or np.abs(codes[0] - codes[1]).max() == 0:
        return Check(
            "identity network", FAIL, "gives the same result for different pictures", "reinstall faceswap-cli"
        )
    return Check("identity network", OK, "runs")


def _devices() -> list[str]:
    """Every device torch knows of here."""
    import torch

    names = ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
    return [*names, "mps"] if torch.backends.mps.is_available() else names


def _device(name: str) -> Check:
    """A convolution on the device agrees with the same one on the CPU."""
    import torch

    device = resolve_device(name)
    with torch.inference_mode():
        torch.manual_seed(0)
        layer, picture = torch.nn.Conv2d(3, 8, 3), torch.rand(1, 3, 64, 64)
        expected = layer(picture)
        got = layer.to(device.name)(picture.to(device.name)).cpu()
    if not torch.allclose(got, expected, atol=1e-2):
        return Check(f"device {name}", FAIL, "computes wrong numbers", "use --device cpu")
    return Check(f"device {name}", OK, device.reason if name != "cpu" else _threads(torch.get_num_threads()))


def _encoder(codec: str, path: Path) -> Check:
    """Twelve frames written with ``codec`` come back as twelve frames that look alike."""
    from faceswap_cli.video.probe import probe
    from faceswap_cli.video.reader import read_frames
    from faceswap_cli.video.writer import write_segment

    clip = _test_clip(path)
    write_segment(path, clip, iter(_test_frames(clip)), EncodeOptions(codec=codec))
    back = list(read_frames(probe(path)))
    wanted = _test_frames(clip)
    if len(back) != len(wanted):
        return Check(
            f"encoder {codec}", FAIL, f"{len(back)} of {len(wanted)} frames came back", "reinstall av"
        )
    depth = back[0].planes.bit_depth - 8
    error = np.abs((back[6].planes.y >> depth).astype(float) - wanted[6].planes.y).mean()
    if error > 12:
        return Check(
            f"encoder {codec}", FAIL, f"pictures come back changed by {error:.0f} levels", "reinstall av"
        )
    return Check(f"encoder {codec}", OK, "encodes and decodes")


def _chip() -> Check:
    from faceswap_cli.video.hardware import working

    found = [name for name in map(working, ("h264", "hevc", "av1")) if name is not None]
    said = f"--hw can use {', '.join(found)}" if found else "none works on this machine; --hw cannot be used"
    return Check("encoders of a graphics chip", OK, said)


def _test_clip(path: Path) -> Clip:
    from faceswap_cli.records import Clip, ColorTags

    return Clip(
        path=path,
        container="matroska",
        codec="h264",
        width=160,
        height=96,
        pixel_format="yuv420p",
        work_format="yuv420p",
        bit_depth=8,
        time_base=Fraction(1, 25),
        start_pts=0,
        average_rate=Fraction(25),
        frames=12,
        duration_s=0.48,
        rotation=0,
        sample_aspect=Fraction(1),
        color=ColorTags(),
        streams=(),
        video_stream=0,
    )


def _test_frames(clip: Clip) -> list[Frame]:
    """A ramp that moves."""
    from faceswap_cli.records import Frame, Planes

    ramp = np.add.outer(np.arange(clip.height), np.arange(clip.width))
    gray = np.full((clip.height // 2, clip.width // 2), 128, np.uint8)
    return [
        Frame(i, i, clip.time_base, Planes((40 + (ramp + 4 * i) % 160).astype(np.uint8), gray, gray))
        for i in range(clip.frames)
    ]


def _temporary() -> Path:
    return Path(tempfile.gettempdir())


def _disk(name: str, folder: Path) -> Check:
    free = shutil.disk_usage(folder).free
    text = f"{free / 1e9:.1f} GB free in {folder}"
    if free < _ROOM_BYTES:
        return Check(f"disk ({name})", WARN, text, "free some space; long clips need several GB")
    return Check(f"disk ({name})", OK, text)
