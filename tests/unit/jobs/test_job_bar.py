"""The terminal shows the same job as the window."""

from __future__ import annotations

from pathlib import Path

import pytest

import annotator
from annotator.commands.job_bar import run_with_bar
from annotator.domain.errors import ModelError
from annotator.jobs.job import Job


def test_a_bar_goes_on_from_what_was_there(capsys: pytest.CaptureFixture[str]) -> None:
    def fetch(job: Job) -> str:
        job.progress(50_000, 100_000)
        job.progress(100_000, 100_000)
        return "here"

    assert run_with_bar(Job("Download", unit="B"), fetch, stays=True) == "here"
    shown = capsys.readouterr().err
    assert "100k/100k" in shown
    assert "50%" in shown


def test_what_is_refused_shows_no_bar(capsys: pytest.CaptureFixture[str]) -> None:
    def refuse(_job: Job) -> None:
        raise ModelError("There is no network.", "Try later.")

    with pytest.raises(ModelError):
        run_with_bar(Job("Download", unit="B"), refuse, stays=True)
    assert capsys.readouterr().err == ""


def test_a_bar_ends_with_its_job_where_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    def fails(job: Job) -> None:
        job.progress(1, 4)
        raise ModelError("The disk is full.", "Make room.")

    with pytest.raises(ModelError):
        run_with_bar(Job("Download", unit="file"), fails, stays=True)
    shown = capsys.readouterr().err
    assert "1/4" in shown
    assert shown.endswith("\n"), "what is printed next begins a line of its own"


def test_a_bar_has_a_name_a_note_and_the_lines_of_the_log_above_it(capsys: pytest.CaptureFixture[str]) -> None:
    def learns(job: Job) -> None:
        job.log("epoch 1: IoU 0.50")
        job.note("step 7")
        job.progress(1, 2)
        job.log("epoch 2: IoU 0.75, kept")
        job.progress(2, 2)

    run_with_bar(Job("Training", unit="%"), learns, stays=True, is_named=True, tells=True)
    caught = capsys.readouterr()
    assert [line for line in caught.out.splitlines() if line.strip()] == [
        "epoch 1: IoU 0.50",
        "epoch 2: IoU 0.75, kept",
    ]
    assert "Training" in caught.err
    assert "step 7" in caught.err


def test_where_nobody_looks_there_is_no_bar_but_the_lines(capsys: pytest.CaptureFixture[str]) -> None:
    def learns(job: Job) -> None:
        job.progress(1, 2)
        job.log("epoch 1")

    run_with_bar(Job("Training", unit="%"), learns, stays=True, everywhere=False, tells=True)
    caught = capsys.readouterr()
    assert caught.out.strip() == "epoch 1"
    assert caught.err.strip() == ""


def test_the_terminal_has_one_bar() -> None:
    """All commands show their progress by it; none makes another."""
    root = Path(annotator.__file__).parent
    assert [path.name for path in root.rglob("*.py") if "import tqdm" in path.read_text("utf-8")] == ["job_bar.py"]
