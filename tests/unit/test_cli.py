"""The command line's frame: exit codes, one-line errors, nothing heavy at import."""

from __future__ import annotations

import subprocess
import sys

import pytest

from annotator.cli import COMMANDS, main


def test_every_command_has_help(capsys: pytest.CaptureFixture[str]) -> None:
    for name in COMMANDS:
        with pytest.raises(SystemExit) as stop:
            main([name, "--help"])
        assert stop.value.code == 0
        assert "usage: annotator" in capsys.readouterr().out


def test_the_program_has_help(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["--help"], ["-h"]):
        with pytest.raises(SystemExit) as stop:
            main(words)
        assert stop.value.code == 0
        told = capsys.readouterr().out
        assert all(name in told for name in COMMANDS)
        assert "95 % intervals" in told


def test_a_users_error_is_one_line_and_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["export", "/no/such/project.annot", "--out", "/tmp/never.json"])
    captured = capsys.readouterr()
    assert code == 2
    assert captured.err.startswith("annotator: ")
    assert captured.err.count("\n") == 1


def test_models_list_names_the_registry(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "list"]) == 0
    assert "sam2.1-tiny" in capsys.readouterr().out


def test_ctrl_c_is_code_130_without_a_traceback(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("annotator.commands.models.run", interrupted)
    assert main(["models", "list"]) == 130
    assert capsys.readouterr().err == "annotator: stopped\n"


@pytest.mark.skipif(sys.platform == "win32", reason="pipes of POSIX")
def test_a_reader_that_went_away_is_no_error() -> None:
    """As in ``annotator models card nano | head -1``."""
    words = [sys.executable, "-m", "annotator", "models", "card", "nano"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 141


def test_importing_the_package_and_the_cli_is_light() -> None:
    code = "import sys, annotator.cli; print([m for m in ('torch', 'PySide6', 'cv2', 'numpy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
