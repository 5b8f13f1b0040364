"""Face swapping for pictures and videos: the identity of the source, everything else from the target.

    import faceswap_cli as fs

    report = fs.swap_video("me.jpg", "clip.mp4", accept_terms=True, progress=True)

Nothing heavy is loaded before one of the functions is used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from faceswap_cli.api import BatchResult as BatchResult
    from faceswap_cli.api import enroll as enroll
    from faceswap_cli.api import evaluate as evaluate
    from faceswap_cli.api import inspect as inspect
    from faceswap_cli.api import swap_batch as swap_batch
    from faceswap_cli.api import swap_image as swap_image
    from faceswap_cli.api import swap_video as swap_video
    from faceswap_cli.config import DetectOptions as DetectOptions
    from faceswap_cli.config import EditOptions as EditOptions
    from faceswap_cli.config import EncodeOptions as EncodeOptions
    from faceswap_cli.config import JobOptions as JobOptions
    from faceswap_cli.config import MarkOptions as MarkOptions
    from faceswap_cli.config import PasteOptions as PasteOptions
    from faceswap_cli.config import PolicyOptions as PolicyOptions
    from faceswap_cli.config import PreserveOptions as PreserveOptions
    from faceswap_cli.config import RangeOptions as RangeOptions
    from faceswap_cli.config import SmoothOptions as SmoothOptions
    from faceswap_cli.config import SwapOptions as Options
    from faceswap_cli.config import TrackOptions as TrackOptions
    from faceswap_cli.errors import FaceswapError as FaceswapError
    from faceswap_cli.records import Report as Report

__version__ = "0.1.0"

__all__ = [
    "BatchResult",
    "DetectOptions",
    "EditOptions",
    "EncodeOptions",
    "FaceswapError",
    "JobOptions",
    "MarkOptions",
    "Options",
    "PasteOptions",
    "PolicyOptions",
    "PreserveOptions",
    "RangeOptions",
    "Report",
    "SmoothOptions",
    "TrackOptions",
    "enroll",
    "evaluate",
    "inspect",
    "swap_batch",
    "swap_image",
    "swap_video",
]

_ELSEWHERE = {
    "FaceswapError": ("faceswap_cli.errors", "FaceswapError"),
    "Report": ("faceswap_cli.records", "Report"),
}


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name.endswith("Options"):
        value = import_module("faceswap_cli.option_help").option_groups()[name]
    else:
        module, original = _ELSEWHERE.get(name, ("faceswap_cli.api", name))
        value = getattr(import_module(module), original)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
