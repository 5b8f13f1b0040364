"""Whose face each person of the target got: every figure of a source is taken against the right one.

A result of one source needs no look: all of its swapped faces are that person.  A result of several
(``--cast``) says in its recipe which person of the target got which photographs, by number; who that
is on the screen is known from the job's ledger or, without one, from the same first pass that the job made.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from faceswap_cli.cast.roles import Sources, assign, load_sources
from faceswap_cli.config import RangeOptions, SwapOptions
from faceswap_cli.errors import InputError
from faceswap_cli.events import NEVER, Listener
from faceswap_cli.identity.photos import load_photos
from faceswap_cli.jobs.keys import models_digest
from faceswap_cli.metrics.source import Source, source_from
from faceswap_cli.recipe.digests import content_digest, keyed
from faceswap_cli.recipe.inputs import photos_of
from faceswap_cli.recipe.metadata import find_recipe
from faceswap_cli.recipe.record import Recipe, source_digests, with_options
from faceswap_cli.records import F32, Analysis, Clip, LedgerRow
from faceswap_cli.video.ranges import pts_range

NOBODY = -1
"""A face of no person that is known"""
_UNKNOWN = Source()


@dataclass(frozen=True, slots=True)
class Seat:
    """Where a person's face is at one time."""

    person: int
    x: float
    y: float
    """Middle of the face in display pixels"""
    reach: float
    """Half the longer side of the face: a middle farther away is another face's"""


@dataclass(frozen=True, slots=True, eq=False)
class Casting:
    """The people of a target and their sources."""

    sources: Mapping[int, Source] = field(repr=False)
    """person -> who was put in; a person who is missing kept their own"""
    names: Mapping[int, str] = field(default_factory=dict)
    """person -> the photographs, as a table names them; empty where all have one source"""
    seats: Mapping[int, Sequence[Seat]] = field(repr=False, default_factory=dict)
    """By time (:func:`tick`)"""

    @property
    def several(self) -> bool:
        return bool(self.names)

    def person(self, seconds: float, points: F32) -> int:
        """Whose face the mesh ``points`` (478, 3) of the target is."""
        if not self.several:
            return 0
        low, high = points[:, :2].min(axis=0), points[:, :2].max(axis=0)
        x, y = (float(v) for v in (low + high) / 2)
        near = [(float(np.hypot(seat.x - x, seat.y - y)), seat) for seat in self.seats.get(tick(seconds), ())]
        apart, seat = min(near, key=lambda item: item[0], default=(np.inf, None))
        return seat.person if seat is not None and apart <= seat.reach else NOBODY

    def source(self, person: int) -> Source:
        return self.sources.get(person, _UNKNOWN)


def alone(source: Source) -> Casting:
    """One source for every face."""
    return Casting({0: source})


def tick(seconds: float) -> int:
    """Tenths of a millisecond: a ledger rounds its seconds."""
    return round(seconds * 10_000)


def recipe_for(result: Clip, target: Path) -> Recipe | None:
    """How ``result`` was made from ``target``, if it says so."""
    with suppress(InputError):  # a recipe that cannot be read says nothing
        made = find_recipe(result.path, result.metadata)
        if made is not None and made.target == content_digest(target):
            return made
    return None


def casting_by_recipe(
    recipe: Recipe,
    given: Sequence[Path],
    clips: tuple[Clip, Clip],
    options: SwapOptions,
    ledger: Iterable[LedgerRow],
    listen: Listener,
) -> Casting:
    """Of a result of several sources, whose photographs are all ``given``; ``clips``: result, target.

    :class:`InputError` where it cannot be known who is who.
    """
    result, target = clips
    wanted = sorted(set(recipe.cast.values()))
    groups, missing = photos_of(recipe, given, wanted)
    if missing:
        raise InputError(
            f"{result.path.name} has {len(wanted)} source people, and {missing} of their photographs "
            f"{'is' if missing == 1 else 'are'} missing: give all of them with --source, or the cast file "
            "with --cast"
        )
    seats = seats_of_ledger(ledger)
    if not seats:
        if recipe.models != models_digest():
            raise InputError(
                f"{result.path.name} was made with other models than are installed, which may number "
                "its people in another way; give the cast file with --cast"
            )
        job = with_options(options, recipe.options)
        analysis = _analysis(target, job, listen)
        if not set(recipe.cast) <= {person.person for person in analysis.people}:
            raise InputError(
                f"the people found in {target.path.name} are not those of the original job; "
                "give the cast file with --cast"
            )
        seats = seats_of_analysis(analysis, target)
    found = {row: source_from(load_photos(groups[row], options.detect)) for row in wanted}
    return Casting(
        sources={person: found[row] for person, row in recipe.cast.items()},
        names={person: label(groups[row]) for person, row in recipe.cast.items()},
        seats=seats,
    )


def for_each(one: Casting, photos: Sequence[Path], seats: Mapping[int, Sequence[Seat]]) -> Casting:
    """``one`` source of several people (``--face all``), told apart: each of them must have come out well."""
    people = {seat.person for there in seats.values() for seat in there}
    if len(people) < 2 or not photos:
        return one
    source = one.source(0)
    return Casting(dict.fromkeys(people, source), dict.fromkeys(people, label(photos)), seats)


def seats_of_swapped(ledger: Iterable[LedgerRow]) -> dict[int, list[Seat]]:
    """Where everybody is who was swapped, by the ledger of the job."""
    rows = list(ledger)
    swapped = {row.person for row in rows if row.swapped}
    return seats_of_ledger(row for row in rows if row.person in swapped)


def seats_by_recipe(
    recipe: Recipe | None, target: Clip, options: SwapOptions, listen: Listener
) -> dict[int, list[Seat]]:
    """The same by a first pass, where ``recipe`` says that several were swapped; empty if unsure."""
    if recipe is None or len(recipe.cast) < 2 or recipe.models != models_digest():
        return {}
    analysis = _analysis(target, with_options(options, recipe.options), listen)
    found = seats_of_analysis(analysis, target)
    own = {time: [seat for seat in there if seat.person in recipe.cast] for time, there in found.items()}
    return own if set(recipe.cast) <= {person.person for person in analysis.people} else {}


def casting_by_file(
    recipe: Recipe | None, clips: tuple[Clip, Clip], options: SwapOptions, listen: Listener
) -> Casting:
    """By the cast file that ``options`` name, and a first pass through the target.

    :class:`InputError` when the recipe of the result contradicts it.
    """
    result, target = clips
    assert options.track.cast is not None
    people = load_sources((), options.track, lambda photos: load_photos(photos, options.detect))
    job = options if recipe is None else with_options(options, recipe.options)
    analysis = _analysis(target, job, listen)
    given, _ = assign(analysis, people, options.track, options.detect, target.path.name)
    if recipe is not None and _digests(recipe.sources, recipe.cast) != _of_people(people, given, recipe):
        raise InputError(
            f"{options.track.cast.name} is not what {result.path.name} was made with (changed since?); "
            "give the original cast file and photographs"
        )
    found = {row: source_from(people.people[row]) for row in set(given.values())}
    return Casting(
        sources={person: found[row] for person, row in given.items()},
        names={person: label(people.files[row]) for person, row in given.items()},
        seats=seats_of_analysis(analysis, target),
    )


def _digests(sources: Sequence[Sequence[str]], cast: Mapping[int, int]) -> list[tuple[str, ...]]:
    """What was put in, in no particular order: numbers of people may differ between two machines."""
    return sorted(tuple(sources[row]) for row in cast.values())


def _of_people(people: Sources, cast: Mapping[int, int], recipe: Recipe) -> list[tuple[str, ...]]:
    each = [[keyed(one, recipe.target) for one in source_digests(person)] for person in people.people]
    return _digests(each, cast)


def _analysis(target: Clip, options: SwapOptions, listen: Listener) -> Analysis:
    """The first pass of the job, over the same part."""
    from faceswap_cli.pipeline import analyse

    return analyse(target, options, listen, NEVER, pts_range(target, options.range))


def seats_of_ledger(ledger: Iterable[LedgerRow]) -> dict[int, list[Seat]]:
    """Where everybody is, by the ledger of the job."""
    found: dict[int, list[Seat]] = {}
    for row in ledger:
        x0, y0, x1, y1 = row.box
        seat = Seat(row.person, (x0 + x1) / 2, (y0 + y1) / 2, max(x1 - x0, y1 - y0) / 2)
        found.setdefault(tick(row.time_s), []).append(seat)
    return found


def seats_of_analysis(analysis: Analysis, clip: Clip) -> dict[int, list[Seat]]:
    """Where everybody is, by a first pass through ``clip``."""
    found: dict[int, list[Seat]] = {}
    for seconds, seat in _seats(analysis, clip):
        found.setdefault(tick(seconds), []).append(seat)
    return found


def _seats(analysis: Analysis, clip: Clip) -> Iterator[tuple[float, Seat]]:
    for track in analysis.tracks:
        low, high = track.landmarks[..., :2].min(axis=1), track.landmarks[..., :2].max(axis=1)
        middles, sides = (low + high) / 2, (high - low).max(axis=1)
        for pts, (x, y), side in zip(track.pts, middles, sides, strict=True):
            yield clip.seconds(int(pts)), Seat(track.person, float(x), float(y), float(side) / 2)


def label(files: Sequence[Path]) -> str:
    """``anna.jpg``, or ``anna.jpg and 2 more``"""
    return files[0].name + (f" and {len(files) - 1} more" if len(files) > 1 else "")


def part_of(recipe: Recipe | None) -> RangeOptions:
    """``--start`` and ``--end`` of the job; all where no recipe knows them."""
    return RangeOptions() if recipe is None else with_options(SwapOptions(), recipe.options).range


def with_cast(options: SwapOptions, cast: Path) -> SwapOptions:
    return replace(options, track=replace(options.track, cast=cast))
