"""The active classifier: the one of ``policy.model``, else the one that was imported, else none.

<weights folder>/policy/model.onnx, rules.toml, card.json
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

from faceswap_cli.config import PolicyOptions
from faceswap_cli.errors import OutputError, UsageError, WeightsError
from faceswap_cli.policy.classifier import Classifier, load_classifier
from faceswap_cli.policy.rules import WHAT
from faceswap_cli.policy.tables import read_small
from faceswap_cli.weights.registry import installed_folder

NAME = "policy"
"""As in ``faceswap weights import FILE --as policy``"""
_NO_RULES = "{model} needs its rules beside it: write {rules} with labels and limits, as in docs/consent.md"
MODEL, RULES, CARD = "model.onnx", "rules.toml", "card.json"


@dataclass(frozen=True, slots=True)
class PolicyCard:
    """What is known of the imported classifier."""

    name: str
    source_file: str
    sha256: str
    """Of the model"""
    size: int
    rules_sha256: str
    labels: tuple[str, ...]
    refuse: dict[str, float]


def folder() -> Path:
    """Where an imported classifier lies."""
    return installed_folder() / NAME


def rules_beside(model: Path) -> Path:
    """``mine.onnx`` -> ``mine.toml``."""
    return model.with_suffix(".toml")


def import_classifier(model: Path) -> PolicyCard:
    """Check and try ``model`` with the rules beside it, then install both; what was there is replaced."""
    rules = rules_beside(model)
    if not model.is_file():
        raise UsageError(f"there is no file {model}; check the name")
    if not rules.is_file():
        raise UsageError(_NO_RULES.format(model=model, rules=rules.name))
    made = load_classifier(model, rules)
    place = folder()
    try:
        place.mkdir(parents=True, exist_ok=True)
        # Without its card nothing is in force; it comes last, so that a half-made copy is never used.
        (place / CARD).unlink(missing_ok=True)
        for source, name in ((model, MODEL), (rules, RULES)):
            part = place / f".{name}.part"
            shutil.copyfile(source, part)
            os.replace(part, place / name)
        installed = load_classifier(place / MODEL, place / RULES, made.sha256)
        card = _card(installed, model.name)
        part = place / f".{CARD}.part"
        part.write_text(json.dumps(asdict(card), indent=1) + "\n", encoding="utf-8")
        os.replace(part, place / CARD)
    except OSError as error:
        raise OutputError(f"cannot write into {place} ({error.strerror}); set FACESWAP_WEIGHTS") from error
    return card


def _card(made: Classifier, source_file: str) -> PolicyCard:
    return PolicyCard(
        name=NAME,
        source_file=source_file,
        sha256=made.sha256,
        size=made.path.stat().st_size,
        rules_sha256=_rules_digest(made.path.parent / RULES),
        labels=made.rules.labels,
        refuse=made.rules.refuse,
    )


def _rules_digest(path: Path) -> str:
    import hashlib

    return hashlib.sha256(read_small(path, WHAT)).hexdigest()


def is_installed() -> bool:
    """True when a classifier was imported, sound or not."""
    try:
        return (folder() / MODEL).exists() or (folder() / CARD).exists()
    except OSError as error:
        raise WeightsError(
            f"cannot look for a content classifier in {folder()} ({error.strerror}); check its permissions"
        ) from error


def read_card() -> PolicyCard:
    """The card of the imported classifier; :class:`WeightsError` when there is none or it is damaged."""
    path = folder() / CARD
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return PolicyCard(**{**data, "labels": tuple(data["labels"])})
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise WeightsError(
            f"the content classifier in {folder()} is incomplete or its card is damaged; import it again: "
            f"faceswap weights import NAME.onnx --as {NAME}"
        ) from error


def verify() -> PolicyCard:
    """The imported classifier is what its card says, and runs."""
    card = read_card()
    _load_installed(card)
    return card


def in_force(options: PolicyOptions) -> Classifier | None:
    """The classifier that sources and targets are shown to; None where there is none."""
    if options.model is not None:
        path = options.model
        rules = rules_beside(path)
        if path.is_file() and not rules.is_file():
            raise UsageError(_NO_RULES.format(model=path, rules=rules.name))
        return _cached(path, rules, None, _stamp(path), _stamp(rules))
    return _load_installed(read_card()) if is_installed() else None


def _load_installed(card: PolicyCard) -> Classifier:
    model, rules = folder() / MODEL, folder() / RULES
    if not rules.is_file() or _rules_digest(rules) != card.rules_sha256:
        raise WeightsError(
            f"{rules} was removed or changed after the import; change your own file and import it again: "
            f"faceswap weights import {card.source_file} --as {NAME}"
        )
    return _cached(model, rules, card.sha256, _stamp(model), _stamp(rules))


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns


@lru_cache(maxsize=2)
def _cached(
    model: Path,
    rules: Path,
    sha256: str | None,
    model_stamp: tuple[int, int] | None,
    rules_stamp: tuple[int, int] | None,
) -> Classifier:
    """Loaded once for all jobs of a batch; the stamps tell changed files apart."""
    return load_classifier(model, rules, sha256)
