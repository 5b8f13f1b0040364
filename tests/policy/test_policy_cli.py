"""``--consent`` and the classifier from the command line, with nothing replaced where pixels are made."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

import faceswap_cli
from faceswap_cli.batch.summary import error_entry
from faceswap_cli.cli import batch_run
from faceswap_cli.errors import PolicyError
from faceswap_cli.provenance.signing import sealer
from tests.cli.fakes import FakePipeline, Ran, picture
from tests.policy.models import RULES, write_model

Run = Callable[..., Ran]
EXAMPLES = Path(faceswap_cli.__file__).resolve().parents[1] / "examples"
FACE, CLIP = EXAMPLES / "source.jpg", EXAMPLES / "target.mp4"
AGREED = """
[[source]]
name = "Ada Example"
agreed = 2020-01-01
[[target]]
name = "Ben Example"
agreed = 2020-01-02
"""
pytestmark = pytest.mark.usefixtures("accepted")
with_examples = pytest.mark.skipif(not CLIP.is_file(), reason="the examples are not in this installation")


@pytest.fixture
def agreed(machine: Path) -> Path:
    path = machine / "agreed.toml"
    path.write_text(AGREED, encoding="utf-8")
    return path


@pytest.fixture
def refusing(machine: Path) -> Path:
    """A classifier that refuses everything that is not black."""
    pytest.importorskip("onnxruntime", reason="the extra 'onnxruntime' is not installed")
    return write_model(machine / "strict.onnx", rules=RULES.replace("0.75", "0.01"))


@with_examples
def test_the_digest_is_in_mark_ledger_and_result(run: Run, machine: Path, agreed: Path) -> None:
    digest = hashlib.sha256(agreed.read_bytes()).hexdigest()
    flags = ["--consent", agreed, "--ledger", "l.jsonl", "--json", "--method", "mesh", "--threads", "2"]
    ran = run("image", FACE, FACE, "-o", "out.jpg", *flags)
    assert ran.code == 0, ran.err
    assert ran.json["consent_sha256"] == digest
    rows = [json.loads(line) for line in Path("l.jsonl").read_text().splitlines()]
    assert [row["consent_sha256"] for row in rows] == [digest]
    seen = run("inspect", "out.jpg", "--json").json
    assert seen["c2pa"]["consent_sha256"] == digest
    assert seen["c2pa"]["state"] == "valid"
    assert digest in run("inspect", "out.jpg").out
    data = (machine / "out.jpg").read_bytes()
    assert b"Example" not in data
    assert b"agreed" not in data


@pytest.mark.parametrize("suffix", [".png", ".mp4", ".mkv"])
def test_the_digest_is_read_back_from_every_kind_of_file(tmp_path: Path, suffix: str) -> None:
    from faceswap_cli.provenance.verify import read_statement
    from tests.clips import make_clip

    out, target = tmp_path / f"out{suffix}", tmp_path / f"target{suffix}"
    for path in (out, target):
        picture(path) if suffix == ".png" else make_clip(path, frames=3)
    sealer(out, target, consent="ab" * 32)(out)
    found = read_statement(out)
    assert found is not None
    assert (found.state, found.consent) == ("valid", "ab" * 32)
    sealer(target, target)(target)
    plain = read_statement(target)
    assert plain is not None
    assert plain.consent == ""


def test_bad_consent_stops_before_the_work(
    run: Run, pipeline: FakePipeline, photo: Path, clip: Path, machine: Path
) -> None:
    path = machine / "agreed.toml"
    run("video", photo, clip, "--consent", path).failed(4, "agreed.toml does not exist")
    path.write_text(AGREED.replace("2020-01-02", "2020-01-02\nuntil = 2021-01-01"))
    ran = run("video", photo, clip, "--consent", path, "--json")
    ran.failed(9, "target 1", "ended on 2021-01-01")
    assert ran.json["error"]["code"] == "policy"
    assert "Ben" not in ran.err + ran.out
    path.write_text("source = 1")
    run("image", photo, photo, "--consent", path).failed(2, "source 1 is not a table")
    run("batch", photo, clip, "-o", "out/", "--consent", path).failed(2, "source 1 is not a table")
    path.write_text("")
    run("batch", photo, clip, "-o", "out/", "--consent", path, "--dry-run").failed(
        9, "names no source person"
    )
    assert pipeline.calls == []


def test_consent_from_the_environment_and_a_manifest(
    run: Run, pipeline: FakePipeline, photo: Path, clip: Path, agreed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACESWAP_CONSENT", str(agreed))
    assert run("video", photo, clip, "--json").code == 0
    assert pipeline.calls[-1][4].mark.consent == agreed
    monkeypatch.delenv("FACESWAP_CONSENT")
    jobs = agreed.with_name("jobs.csv")
    monkeypatch.setattr(batch_run, "expected_seconds", lambda *given: {})
    jobs.write_text(f"source,target,output,consent\n{photo.name},{clip.name},b.mp4,agreed.toml\n")
    assert run("batch", "--manifest", jobs, "--dry-run").code == 0
    agreed.write_text("")
    run("batch", "--manifest", jobs).failed(9, "agreed.toml")


def test_the_consent_file_is_never_written_over(
    run: Run, pipeline: FakePipeline, photo: Path, clip: Path, agreed: Path
) -> None:
    ran = run("video", photo, clip, "--consent", agreed, "--ledger", agreed, "--force")
    ran.failed(5, "is an input")
    assert agreed.read_text() == AGREED


def test_the_same_job_goes_on_with_another_consent_file(agreed: Path) -> None:
    """What the pixels do not depend on is no part of a job's key."""
    from dataclasses import replace

    from faceswap_cli.config import MarkOptions, PolicyOptions, SwapOptions
    from faceswap_cli.jobs.keys import option_key

    plain = SwapOptions()
    other = replace(plain, mark=MarkOptions(consent=agreed), policy=PolicyOptions(model=agreed, every_s=3))
    assert option_key(plain) == option_key(other)


@with_examples
def test_a_refused_source(run: Run, machine: Path, refusing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACESWAP_POLICY_MODEL", str(refusing))
    ran = run("image", FACE, CLIP.with_name("source.jpg"), "-o", "out.png", "--json")
    ran.failed(9, "source.jpg is refused by the content classifier strict.onnx: 'red' 0.", "whole picture")
    found = ran.json["error"]["policy"]
    assert (found["file"], found["label"], found["part"]) == ("source.jpg", "red", "whole picture")
    assert 0.01 < found["score"] < 1
    assert not (machine / "out.png").exists()


@with_examples
def test_a_refused_clip_names_the_time_and_leaves_nothing(
    run: Run, machine: Path, refusing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from faceswap_cli.policy import gate

    monkeypatch.setattr(gate, "check_sources", lambda *_: None)
    monkeypatch.setattr("faceswap_cli.pipeline.check_sources", lambda *_: None)
    (machine / "faceswap.toml").write_text('[policy]\nmodel = "strict.onnx"\n')
    ran = run(
        "video", FACE, CLIP, "-o", "out.mp4", "--start", "2f", "--end", "5f", "--events", "--progress", "none"
    )
    ran.failed(9, "target.mp4 is refused", "at 00:00:00.0")
    told = ran.events[-1]
    assert (told["event"], told["exit"], told["policy"]["label"]) == ("error", 9, "red")
    assert told["policy"]["time_s"] > 0.05
    assert sorted(p.name for p in machine.iterdir()) == ["faceswap.toml", "strict.onnx", "strict.toml"]


def test_import_verify_path_and_doctor(
    run: Run, machine: Path, refusing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACESWAP_WEIGHTS", str(machine / "weights"))
    run("weights", "import", refusing).failed(2, "use --as policy")
    run("weights", "path", "policy").failed(6, "weights import NAME.onnx --as policy")
    ran = run("weights", "import", refusing, "--as", "policy", "--json")
    assert (ran.code, ran.json["card"]["refuse"]) == (0, {"red": 0.01})
    assert run("weights", "path", "policy").out.strip() == ran.json["path"]
    told = run("weights", "verify", "--json").json["weights"]
    assert told[0] == {"name": "policy", "ok": True, "sha256": ran.json["card"]["sha256"]}
    assert {"identity.safetensors", "face_landmarker.task"} <= {row["name"] for row in told}
    (machine / "weights" / "policy" / "model.onnx").write_bytes(b"other")
    run("weights", "verify", "policy").failed(6, "damaged or another file")


def test_doctor_says_whether_contents_are_looked_at(machine: Path, refusing: Path) -> None:
    from faceswap_cli.config import PolicyOptions
    from faceswap_cli.doctor import FAIL, OK, _classifier, _guarded

    check = _classifier(PolicyOptions())
    assert (check.status, "none installed" in check.detail) == (OK, True)
    check = _classifier(PolicyOptions(model=refusing))
    assert (check.status, "refuses red from 0.01" in check.detail) == (OK, True)
    refusing.write_bytes(b"")
    check = _guarded("content classifier", lambda: _classifier(PolicyOptions(model=refusing)))
    assert (check.status, check.code) == (FAIL, 6)


def test_a_row_of_a_batch_tells_what_was_found() -> None:
    error = PolicyError("no", details={"policy": {"label": "x"}})
    assert error_entry(error) == {"code": "policy", "exit": 9, "message": "no", "policy": {"label": "x"}}
