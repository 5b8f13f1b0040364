"""The terms of use, asked for on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from faceswap_cli.errors import PolicyError
from faceswap_cli.policy.terms import (
    TERMS,
    VARIABLE,
    accepted,
    accepted_by_variable,
    record_path,
    remember,
)

__all__ = ["TERMS", "VARIABLE", "accepted", "record_path", "require_terms"]


def require_terms(flag: bool, environ: Mapping[str, str] | None = None) -> None:
    """Return when the terms are accepted; ask on a terminal; else :class:`PolicyError`.

    The variable counts for this run and is not remembered: it may belong to a script, or to one job.
    """
    if accepted() or (accepted_by_variable(environ) and not flag):
        return
    if not flag:
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise PolicyError(
                f"the terms of use are not accepted yet; read them with 'faceswap terms', then add "
                f"--accept-terms to this command, once, or set {VARIABLE}=1"
            )
        _ask()
    remember()


def _ask() -> None:
    sys.stderr.write(TERMS + "\nDo you accept? [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise PolicyError("the terms of use were not accepted; nothing was done")
