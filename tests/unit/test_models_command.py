"""``annotator models``: cards, and exit codes of what is absent."""

from __future__ import annotations

from pathlib import Path

import pytest

from annotator import cli
from annotator.engine import weights


def test_the_embedded_models_card_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["models", "card", "nano"]) == 0
    shown = capsys.readouterr().out
    file = Path(weights.registry()["nano"].file)
    assert shown == (weights.shipped_dir() / file).with_suffix(".md").read_text(encoding="utf-8")
    assert shown.startswith("# Model card")
    assert "Licence" in shown


def test_a_model_without_a_card_says_where_it_comes_from(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["models", "card", "sam2.1-tiny"]) == 2
    assert weights.registry()["sam2.1-tiny"].url in capsys.readouterr().err


def test_unknown_models_are_one_line_and_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["card", "absent"], ["download", "absent"], ["download", "nano"], ["import", "/no/such/file"]):
        assert cli.main(["models", *words]) == 2
        lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("annotator: ")]
        assert len(lines) == 1


def test_only_the_shipped_file_is_the_embedded_model() -> None:
    """It has no hash in the registry, so a file of that name elsewhere cannot be told from it."""
    entry = weights.registry()["nano"]
    weights.user_dir().mkdir(parents=True)
    (weights.user_dir() / entry.file).write_bytes(b"something else")
    assert weights.find_file(entry) == weights.shipped_dir() / entry.file


def test_an_interrupted_download_says_how_to_go_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(weights, "download", interrupted)
    assert cli.main(["models", "download", "sam2.1-tiny"]) == 130
    assert "the same command goes on from there" in capsys.readouterr().err
