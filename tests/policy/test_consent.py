"""Consent files: what counts, what does not, and that nothing but the digest gets out."""

from __future__ import annotations

import hashlib
import json
from datetime import date
from pathlib import Path

import pytest

from faceswap_cli.errors import FaceswapError, InputError, PolicyError, UsageError
from faceswap_cli.policy.consent import consent_digest, read_consent

TODAY = date(2026, 6, 1)
TOML = """
purpose = "a short film"
[[source]]
name = "Ada Example"
agreed = 2026-05-01
[[target]]
name = "Ben Example"
agreed = 2026-05-02
until = 2026-06-01
[[target]]
name = "Cleo Example"
agreed = "2026-05-03"
"""
TEXT = """Agreement for a short film.
source: Ada Example, agreed 2026-05-01
Target: Ben Example; agreed on 2026-05-02, until 2026-06-01.
"""


def written(tmp_path: Path, text: str | bytes, name: str = "agreed.toml") -> Path:
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_toml(tmp_path: Path) -> None:
    path = written(tmp_path, TOML)
    found = read_consent(path, TODAY)
    assert found.digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert [(a.side, a.agreed, a.until) for a in found.agreements] == [
        ("source", date(2026, 5, 1), None),
        ("target", date(2026, 5, 2), date(2026, 6, 1)),
        ("target", date(2026, 5, 3), None),
    ]
    assert "Example" not in repr(found)


def test_one_table_instead_of_a_list(tmp_path: Path) -> None:
    text = TOML.partition('[[target]]\nname = "Cleo')[0].replace("[[", "[").replace("]]", "]")
    assert len(read_consent(written(tmp_path, text), TODAY).agreements) == 2


def test_json(tmp_path: Path) -> None:
    entry = {"name": "A", "agreed": "2026-05-01T10:00:00Z", "mail": "kept to itself"}
    path = written(tmp_path, json.dumps({"source": entry, "target": [entry]}), "agreed.JSON")
    assert [a.agreed for a in read_consent(path, TODAY).agreements] == [date(2026, 5, 1)] * 2


def test_text(tmp_path: Path) -> None:
    found = read_consent(written(tmp_path, "\ufeff" + TEXT, "agreed.txt"), TODAY)
    assert [(a.side, a.name, a.until) for a in found.agreements] == [
        ("source", "Ada Example", None),
        ("target", "Ben Example", date(2026, 6, 1)),
    ]


def test_no_file_no_digest() -> None:
    assert consent_digest(None) == ""


REFUSED = {
    "nobody": "purpose = 'x'",
    "no target": TOML.replace("target", "targets"),
    "no source": TOML.replace("source", "sauce"),
    "empty list": "source = []\n[target]\nname = 'x'\nagreed = 2026-01-01",
    "no name": TOML.replace('"Ada Example"', '"  "'),
    "no date": TOML.replace("agreed = 2026-05-01\n", ""),
    "ended": TOML.replace("until = 2026-06-01", "until = 2026-05-31"),
    "to come": TOML.replace("agreed = 2026-05-01", "agreed = 2026-06-03"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_agreement_is_refused(tmp_path: Path, case: str) -> None:
    with pytest.raises(PolicyError, match=r"agreed\.toml") as caught:
        read_consent(written(tmp_path, REFUSED[case]), TODAY)
    assert "Example" not in str(caught.value)
    assert caught.value.exit_code == 9


@pytest.mark.parametrize(
    "line", ["source: Ada", "source: 2026-05-01", "source: , agreed 2026-05-01", "target:"]
)
def test_a_line_without_name_or_date_is_refused(tmp_path: Path, line: str) -> None:
    with pytest.raises(PolicyError, match="line 1 lacks"):
        read_consent(written(tmp_path, f"{line}\n{TEXT}", "agreed.txt"), TODAY)


BROKEN: dict[str, tuple[bytes, type[FaceswapError]]] = {
    "not toml": (b"[source", UsageError),
    "list of texts": (b"source = ['Ada']\ntarget = ['Ben']", UsageError),
    "bad date": (TOML.replace("2026-05-01", "'in May'").encode(), UsageError),
    "impossible date": (TOML.replace('"2026-05-03"', '"2026-02-30"').encode(), UsageError),
    "not text": (b"\xff\xfe\x00", InputError),
    "too large": (b"#" * (1 << 20) + b"\n" + TOML.encode(), InputError),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_no_consent_file(tmp_path: Path, case: str) -> None:
    data, kind = BROKEN[case]
    with pytest.raises(kind, match="consent file"):
        read_consent(written(tmp_path, data), TODAY)


def test_missing_or_a_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        read_consent(tmp_path / "none.toml")
    with pytest.raises(InputError, match="is not a regular file"):
        read_consent(tmp_path)


def test_deep_json_is_no_crash(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not valid JSON"):
        read_consent(written(tmp_path, "[" * 100_000, "deep.json"))
