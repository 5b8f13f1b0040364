"""One sentence about a result: is everything that a viewer would notice within its limit, and what decided?

``LIMITS`` is the one place of these limits; docs/metrics.md shows the same table.  They are this program's
own and prove nothing: all of them together pass results that people reject.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

GOOD, CHECK, NOT_MEASURED = "Good", "Check it", "Not measured"


@dataclass(frozen=True, slots=True)
class Limit:
    """One figure that a viewer would notice."""

    best: float
    """What an untouched or perfect result has"""
    bound: float
    """From here on it is worth a look"""
    about: str
    """What it is, for a result that is good"""
    worry: str
    """What a viewer sees where it is missed"""
    ratio: bool = False
    """Near 1, and as bad at half as at twice"""
    remedy: str = ""
    """What to try first where it is missed"""

    def load(self, value: float) -> float:
        """0 at ``best`` (or better), 1 at the limit, more beyond it."""
        if self.ratio:
            return abs(math.log(max(value, 1e-6))) / math.log(self.bound)
        return max((value - self.best) / (self.bound - self.best), 0.0)

    def missed(self, value: float) -> bool:
        return self.load(value) > 1

    def __str__(self) -> str:
        if self.ratio:
            return f"{1 / self.bound:g} to {self.bound:g}"
        return f"at {'least' if self.bound < self.best else 'most'} {self.bound:g}"


_LIKER = "a photograph of somebody nearer to the target in age and build, or --shape-mix 1"

LIMITS: dict[str, Limit] = {
    "coverage": Limit(
        1,
        0.95,
        "how many frames were swapped",
        "the original face shows in some frames",
        remedy="--ledger FILE, which gives the reason for each face",
    ),
    "lost": Limit(0, 0.02, "faces that are still faces", "some faces are ruined"),
    "likeness": Limit(
        0.9, 0.5, "likeness to the source", "the result hardly looks like the source", remedy=_LIKER
    ),
    "likeness_gain": Limit(
        0.3,
        0,
        "likeness to the source rather than to the target",
        "the result still looks more like the person who was there than like the source",
        remedy=_LIKER,
    ),
    "expression": Limit(
        0,
        2,
        "movement of the face",
        "lips, lids and brows do not move as the target's do",
        remedy="--smooth 0.3",
    ),
    "pose": Limit(0, 3, "turns of the head", "the head does not turn as the target's does"),
    "gaze": Limit(0, 15, "gaze", "the eyes do not look where the target's look"),
    "invented": Limit(
        0.85, 1.2, "lines that nobody has", "the face has lines that neither source nor target has"
    ),
    "seam": Limit(
        1,
        1.75,
        "the edge of the face",
        "the edge of the face shows",
        remedy="--feather 0.12, or a free forehead",
    ),
    "sharpness": Limit(
        1,
        2,
        "sharpness of the skin",
        "the skin is much sharper or softer than the footage",
        ratio=True,
        remedy="a sharp photograph in which the face is as large as in the footage",
    ),
    "jitter": Limit(
        1, 1.5, "steadiness of the face", "the face is more restless than the footage", remedy="--smooth 0.7"
    ),
    "flicker": Limit(1, 1.5, "steadiness of the light", "the brightness of the face flickers"),
    "skin_flicker": Limit(1, 1.5, "steadiness of the skin", "light flickers on the skin"),
    "outside_psnr": Limit(50, 35, "the picture around the face", "the picture around the face has changed"),
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """Of one result."""

    word: str = NOT_MEASURED
    """``Good``, ``Check it`` or ``Not measured``"""
    figure: str = ""
    """The one that decided: the farthest beyond its limit, or the closest to it"""
    reasons: tuple[str, ...] = ()
    """Clauses that make a sentence"""
    load: float = 0.0
    """Of ``figure``; above 1 it is beyond its limit"""

    @property
    def sentence(self) -> str:
        """``Good: all 14 figures with a limit keep it; closest is ...``"""
        return self.word + (f": {'; '.join(self.reasons)}" if self.reasons else "")

    def as_dict(self) -> dict[str, str]:
        """JSON-ready."""
        return {"word": self.word, "figure": self.figure, "sentence": self.sentence}


def judge(figures: Mapping[str, float]) -> Verdict:
    """From the figures that were measured; those that have no limit do not count."""
    loads = {name: limit.load(figures[name]) for name, limit in LIMITS.items() if name in figures}
    if not loads:
        return Verdict()
    first, *others = sorted(loads, key=lambda name: -loads[name])
    limit = LIMITS[first]
    said = f"{first} {figures[first]:.3g}, {limit}"
    if loads[first] <= 1:
        all_of = f"all {len(loads)} figures with a limit keep it" if others else "the figure keeps its limit"
        return Verdict(GOOD, first, (all_of, f"closest is {limit.about} ({said})"), loads[first])
    reasons = [f"{limit.worry} ({said})"]
    if missed := [f"{name} {figures[name]:.3g} ({LIMITS[name]})" for name in others if loads[name] > 1]:
        reasons.append(f"also outside their limits: {', '.join(missed)}")
    if limit.remedy:
        reasons.append(f"try {limit.remedy}")
    return Verdict(CHECK, first, tuple(reasons), loads[first])


def judge_each(figures: Mapping[str, float], people: Mapping[str, Mapping[str, float]]) -> Verdict:
    """Of a result of several people (by name): a mean must not hide the one that failed."""
    if not people:
        return judge(figures)
    found = {name: judge(own) for name, own in people.items()}
    name = max(found, key=lambda name: found[name].load)
    verdict = found[name]
    first = (f"{name}: {reason}" for reason in verdict.reasons[:1])
    return replace(verdict, reasons=(*first, *verdict.reasons[1:]))
