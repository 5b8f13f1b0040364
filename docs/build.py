"""Write what the program itself knows into the documentation: events, reference pages, manual page.

python docs/build.py            writes docs/events.md, docs/events.schema.json, docs/reference/*, docs/man/*
python docs/build.py --check    exits with 1 when one of them is not up to date
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent
sys.path[:0] = [str(DOCS), str(DOCS.parent)]

from manual import manual  # noqa: E402
from reference import cli_page, configuration_page, containers_page, exit_codes_page  # noqa: E402

from faceswap_cli.events import EVENTS, HEAD, SCHEMA, Field  # noqa: E402

MARK = "<!-- written by docs/build.py from faceswap_cli/events.py -->"


def events_page() -> str:
    """The hand-written part of ``events.md`` as it is, the tables below it written again."""
    written = (DOCS / "events.md").read_text(encoding="utf-8").partition(MARK)[0]
    parts = [f"{written}{MARK}\n", "## Every event\n", _table(HEAD)]
    for kind, (meaning, fields) in EVENTS.items():
        parts += [f"## `{kind}`\n", f"{meaning[0].upper()}{meaning[1:]}.\n", _table(fields)]
    return "\n".join(parts)


def _table(fields: tuple[Field, ...]) -> str:
    lines = ["| field | type | meaning |", "|---|---|---|"]
    for field in fields:
        kind = field.kind.replace("?", " or null") + ("" if field.always else ", not always there")
        lines.append(f"| `{field.name}` | {kind} | {field.meaning} |")
    return "\n".join(lines) + "\n"


def events_schema() -> str:
    """One object schema for each kind of event."""
    kinds = [_object(kind, meaning, fields) for kind, (meaning, fields) in EVENTS.items()]
    whole = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"faceswap --events, schema {SCHEMA}",
        "oneOf": kinds,
    }
    return json.dumps(whole, indent=1) + "\n"


def _object(kind: str, meaning: str, fields: tuple[Field, ...]) -> dict[str, Any]:
    every = (*HEAD, *fields)
    properties = {field.name: _property(field) for field in every}
    properties["schema"]["const"] = SCHEMA
    properties["event"]["const"] = kind
    return {
        "title": kind,
        "description": meaning,
        "type": "object",
        "properties": properties,
        "required": [field.name for field in every if field.always],
    }


def _property(field: Field) -> dict[str, Any]:
    found: dict[str, Any] = {"description": field.meaning}
    if field.kind.endswith("?"):
        found["type"] = [field.kind[:-1], "null"]
    elif field.kind != "any":
        found["type"] = field.kind
    return found


PAGES: dict[str, Callable[[], str]] = {
    "events.md": events_page,
    "events.schema.json": events_schema,
    "man/faceswap.1": manual,
    "reference/cli.md": cli_page,
    "reference/configuration.md": configuration_page,
    "reference/containers.md": containers_page,
    "reference/exit-codes.md": exit_codes_page,
}


def outdated() -> list[str]:
    """Names of the pages that do not say what the program says now."""
    found = []
    for name, build in PAGES.items():
        path = DOCS / name
        if not path.is_file() or path.read_text(encoding="utf-8") != build():
            found.append(name)
    return found


def main() -> int:
    if "--check" in sys.argv[1:]:
        late = outdated()
        if late:
            sys.stderr.write(f"not up to date: {', '.join(late)}; run: python docs/build.py\n")
        return int(bool(late))
    for name, build in PAGES.items():
        (DOCS / name).write_text(build(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
