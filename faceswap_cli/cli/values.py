"""Values that the TAB key offers for a flag."""

from __future__ import annotations

from collections.abc import Callable

VALUES: dict[str, tuple[str, ...]] = {
    "--face": ("largest", "left", "all", "1", "2"),
    "--method": ("auto", "mesh", "fslsd", "nitzan"),
    "--mapper": ("landmarks", "nitzan", "blend:0.5"),
    "--preserve": ("mouth", "eyes", "brows", "skin", "shape"),
    "--glasses": ("keep", "remove"),
    "--mask-regions": ("brows", "eyes", "nose", "mouth", "skin", "forehead"),
    "--device": ("auto", "cpu", "cuda", "mps"),
    "--precision": ("float32", "bfloat16"),
    "--appear-from": ("released", "paper"),
    "--compare": ("side", "wipe"),
    "--codec": ("libx264", "libx265", "libsvtav1", "libvpx-vp9", "prores_ks", "ffv1"),
    "--preset": ("ultrafast", "veryfast", "fast", "medium", "slow", "slower"),
    "--progress": ("auto", "plain", "none"),
}
"""Flag -> values worth offering; the shell offers file names for every other flag."""

Complete = Callable[[str], list[str]]


def values_of(flag: str) -> Complete | None:
    """What completes the value of ``flag``; None where nothing is known."""
    known = VALUES.get(flag)
    if known is None:
        return None

    def complete(incomplete: str) -> list[str]:
        return [value for value in known if value.startswith(incomplete)]

    return complete
