"""The terms of use: accepted once on a machine, remembered in the user's data folder."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path

VERSION = 1
VARIABLE = "FACESWAP_ACCEPT_TERMS"
TERMS = """\
Terms of use

This program puts one person's face on another's in pictures and videos. By using it you agree:
 1. You have the consent of the people whose faces you use and of those who are shown.
 2. You do not deceive with the result: viewers can see, or are informed, that it is synthetic.
 3. No sexual content, no harassment, no fraud, no false news.
 4. The marks that say "made with AI" stay in the result.
You alone answer for what you make. Nothing leaves this machine.
"""

_log = logging.getLogger(__name__)


def record_path() -> Path:
    """Where the acceptance is kept."""
    import platformdirs

    return platformdirs.user_data_path("faceswap", appauthor=False) / "terms.json"


def accepted() -> bool:
    """True when this version of the terms was accepted on this machine."""
    try:
        record = json.loads(record_path().read_text(encoding="utf-8"))
        return int(record.get("version", 0)) >= VERSION
    except (OSError, ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        return False


def accepted_by_variable(environ: Mapping[str, str] | None = None) -> bool:
    """True when ``FACESWAP_ACCEPT_TERMS`` says yes."""
    environ = os.environ if environ is None else environ
    return environ.get(VARIABLE, "").strip().lower() in ("1", "true", "yes", "on")


def remember() -> None:
    """Keep the acceptance; a machine where nothing can be kept is asked again next time."""
    path = record_path()
    now = datetime.now(tz=timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps({"version": VERSION, "accepted": now}) + "\n", encoding="utf-8")
        part.replace(path)
    except OSError as error:
        _log.info("the acceptance of the terms could not be kept in %s (%s)", path, error.strerror)
