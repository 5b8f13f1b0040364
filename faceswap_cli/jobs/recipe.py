"""What ``--keep`` leaves beside the segments and the analysis: how the result was made, and the ledger.

The folder is the user's own and names files in full; nothing of it enters the result.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

import faceswap_cli
from faceswap_cli.config import SwapOptions
from faceswap_cli.jobs.files import whole_file
from faceswap_cli.jobs.untouched import treatment
from faceswap_cli.records import LedgerRow, Plan, SegmentResult, SourceIdentity

SCHEMA = 1


def write_recipe(
    folder: Path,
    sources: Sequence[SourceIdentity],
    target: Path,
    options: SwapOptions,
    job: Plan,
    result: str,
    files: Sequence[Sequence[Path]] = (),
) -> None:
    """``recipe.json``: program, files, options, and what was done with every segment.

    ``result`` is the recipe that the result itself carries; ``files`` was given for each of ``sources``.
    """
    given = list(files) or [[photo.path for photo in source.photos] for source in sources]
    recipe = {
        "schema": SCHEMA,
        "program": faceswap_cli.__version__,
        "target": str(target.resolve()),
        "parsing": _resolved(options.job.parsing),
        "mask": _resolved(options.paste.occlusion_mask),
        "sources": [
            {
                "name": source.name,
                "photos": [str(photo.path.resolve()) for photo in source.photos],
                "files": [str(path.resolve()) for path in paths],
                "digest": source.digest,
            }
            for source, paths in zip(sources, given, strict=True)
        ],
        "cast": {str(person): row for person, row in job.cast.items()},
        "options": asdict(options),
        "result": result,
        "segments": [{**asdict(segment), "how": treatment(segment)} for segment in job.segments],
    }
    with whole_file(folder / "recipe.json") as handle:
        handle.write(json.dumps(recipe, indent=1, default=str).encode())


def _resolved(path: Path | None) -> str | None:
    return None if path is None else str(path.resolve())


def write_rows(folder: Path, results: Iterable[SegmentResult]) -> None:
    """``ledger.jsonl``: one line for every face in every frame, in the order of the frames."""
    with whole_file(folder / "ledger.jsonl") as handle:
        for result in results:
            for row in result.ledger:
                handle.write(_line(row))


def _line(row: LedgerRow) -> bytes:
    return json.dumps(asdict(row)).encode() + b"\n"
