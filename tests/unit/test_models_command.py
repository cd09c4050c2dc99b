"""``annotator models``: cards, and exit codes of what is absent."""

from __future__ import annotations

import hashlib
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


@pytest.mark.parametrize("words", [["download", "absent"], ["download", "nano"], ["import", "/no/such/file"]])
def test_nothing_is_drawn_before_a_refusal(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["models", *words]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert len(shown.err.splitlines()) == 1
    assert shown.err.startswith("annotator: ")


def test_an_import_prints_its_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    content = b"weights"
    entry = weights.ModelEntry("m", "sam2", "m.pt", "test", 1, sha256=hashlib.sha256(content).hexdigest())
    monkeypatch.setattr(weights, "registry", lambda: {"m": entry})
    (tmp_path / "copied.pt").write_bytes(content)
    assert cli.main(["models", "import", str(tmp_path / "copied.pt")]) == 0
    shown = capsys.readouterr()
    assert shown.out == f"m: verified ({weights.user_dir() / 'm.pt'})\n"
    assert shown.err == ""


def test_a_download_shows_how_far_it_is(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    entry = weights.registry()["sam2.1-tiny"]

    def fetched(_name: str, *, progress: weights.Progress) -> weights.ModelStatus:
        progress(250_000, 1_000_000)
        progress(1_000_000, 1_000_000)
        return weights.ModelStatus(entry, Path("tiny.pt"), True, "verified")

    monkeypatch.setattr(weights, "download", fetched)
    assert cli.main(["models", "download", "sam2.1-tiny"]) == 0
    shown = capsys.readouterr()
    assert "1.00M/1.00M" in shown.err
    assert shown.out == "sam2.1-tiny: verified (tiny.pt)\n"
