"""Command line > environment > file > user's file > default, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from faceswap_cli.config import SwapOptions
from faceswap_cli.config_files import FLAGS, NOT_SETTINGS, ShowOptions, known_keys, resolve, user_file
from faceswap_cli.errors import UsageError
from tests.cli.fakes import Ran

Run = Callable[..., Ran]


def _resolve(machine: Path, flags: dict[str, object] | None = None, **environ: str) -> SwapOptions:
    return resolve(flags or {}, environ=environ, folder=machine).swap_options()


def test_defaults_are_those_of_the_option_groups(machine: Path) -> None:
    settings = resolve({}, environ={}, folder=machine)
    assert settings.swap_options() == SwapOptions()
    assert settings.show_options() == ShowOptions()
    assert {entry.origin for entry in settings.entries.values()} == {"default"}


def test_every_flag_names_a_key_and_every_key_has_a_variable() -> None:
    keys = known_keys()
    assert {key for names in FLAGS.values() for key in names} <= set(keys)
    assert all(key.variable.startswith("FACESWAP_") for key in keys.values())
    assert keys["detect.min_face_px"].variable == "FACESWAP_MIN_FACE"
    assert keys["track.bridge_s"].variable == "FACESWAP_TRACK_BRIDGE_S"


def test_each_layer_wins_over_the_next(machine: Path) -> None:
    def seed() -> int:
        return _resolve(machine).job.seed

    user_file().parent.mkdir(parents=True)
    user_file().write_text("[job]\nseed = 1\nbatch = 9\n")
    assert seed() == 1
    (machine.parent / "faceswap.toml").write_text("[job]\nseed = 2\n")
    assert seed() == 2
    (machine / "faceswap.toml").write_text("[job]\nseed = 3\n")
    assert seed() == 3
    assert _resolve(machine, FACESWAP_SEED="4").job.seed == 4
    options = _resolve(machine, {"seed": 5}, FACESWAP_SEED="4")
    assert (options.job.seed, options.job.batch) == (5, 9)


def test_named_file_takes_the_place_of_the_nearest(machine: Path) -> None:
    (machine / "faceswap.toml").write_text("method = 'near'\n[job]\nseed = 3\n")
    named = machine / "other.toml"
    named.write_text("method = 'named'\n")
    options = resolve({}, config=named, environ={}, folder=machine).swap_options()
    assert (options.method, options.job.seed) == ("named", 0)
    assert resolve({}, use_files=False, environ={}, folder=machine).swap_options().method == "auto"


def test_paths_in_a_file_are_relative_to_it(machine: Path) -> None:
    folder = machine / "project"
    folder.mkdir()
    (folder / "faceswap.toml").write_text("[track]\nreference = 'anna.jpg'\nface = 2\n")
    options = resolve({}, environ={}, folder=folder).swap_options()
    assert options.track.reference == folder / "anna.jpg"
    assert options.track.face == "2"


def test_values_from_the_environment_are_converted(machine: Path) -> None:
    options = _resolve(
        machine, FACESWAP_OCCLUSION="no", FACESWAP_CRF="17.5", FACESWAP_THREADS="3", FACESWAP_SMOOTH=""
    )
    assert options.paste.occlusion is False
    assert options.encode.crf == 17.5
    assert (options.job.workers, options.detect.workers) == (3, 3)
    assert options.smooth.strength == 0.5


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[detect]\nmin_face = 3\n", "detect.min_face_px"),
        ("speed = 3\n", "method"),
        ("[wrong]\nx = 1\n", "known: method"),
        ("[detect]\nmin_face_px = 'big'\n", "whole number"),
        ("[detect]\nmin_face_px = 2.5\n", "whole number"),
        ("[paste]\nocclusion = 3\n", "true or false"),
        ("[paste]\nglasses = 'lose'\n", "keep or remove"),
        ("[paste]\nmask_regions = 'brows,ears'\n", "'ears'; known: brows"),
        ("[paste\n", "not valid TOML"),
        ("[detect.min_face_px]\nx = 1\n", "whole number"),
    ],
)
def test_bad_files_say_what_is_known(machine: Path, text: str, told: str) -> None:
    (machine / "faceswap.toml").write_text(text)
    with pytest.raises(UsageError) as caught:
        _resolve(machine)
    assert told in str(caught.value)
    assert "faceswap.toml" in str(caught.value)


def test_unknown_variable_is_an_error(machine: Path) -> None:
    with pytest.raises(UsageError, match=r"FACESWAP_DEVISE.*FACESWAP_DEVICE"):
        _resolve(machine, FACESWAP_DEVISE="cpu")
    assert _resolve(machine, FACESWAP_ACCEPT_TERMS="1", OTHER="2") == SwapOptions()


def test_every_variable_that_the_program_reads_is_known() -> None:
    import re

    import faceswap_cli

    package = Path(faceswap_cli.__file__).parent
    read = {
        name
        for path in package.rglob("*.py")
        for name in re.findall(r"[\"']FACESWAP_([A-Z_]+)[\"']", path.read_text(encoding="utf-8"))
    }
    known = {key.variable.removeprefix("FACESWAP_") for key in known_keys().values()} | NOT_SETTINGS
    assert "WEIGHTS" in read
    assert read <= known


def test_out_of_range_says_where_it_was_set(machine: Path) -> None:
    with pytest.raises(UsageError, match=r"smooth must be 0 to 1.*FACESWAP_SMOOTH"):
        _resolve(machine, FACESWAP_SMOOTH="7")
    with pytest.raises(UsageError, match=r"--crf"):
        _resolve(machine, {"crf": 99.0})


def test_config_command_prints_origins(run: Run, machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (machine / "faceswap.toml").write_text("[job]\nseed = 3\n")
    monkeypatch.setenv("FACESWAP_DEVICE", "cpu")
    told = run("config", "--json").json["settings"]
    assert told["job.seed"]["value"] == 3
    assert told["job.seed"]["origin"].endswith("faceswap.toml")
    assert told["job.device"] == {"value": "cpu", "origin": "FACESWAP_DEVICE", "variable": "FACESWAP_DEVICE"}
    assert told["method"]["origin"] == "default"
    shown = run("config")
    assert shown.code == 0
    assert "faceswap.toml" in shown.out
    assert shown.err == ""
    assert run("config", "--no-config", "--json").json["settings"]["job.seed"]["value"] == 0


def test_config_command_refuses_what_a_swap_would(run: Run, machine: Path) -> None:
    (machine / "faceswap.toml").write_text("[job]\nseeds = 3\n")
    run("config").failed(2, "job.seed", "faceswap.toml")
    run("config", "--config", "missing.toml").failed(2, "missing.toml")
    run("config", "--config", "x.toml", "--no-config").failed(2, "exclude")
