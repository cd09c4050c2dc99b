"""The picture of a run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from annotator.train.run.curves import curve_of, draw_curves, read_log
from annotator.train.run.log import append_row

LOG = "step,minutes,loss,iou_first,iou_last\n25,1.0,2.0,0.2,0.3\n50,2.0,1.0,0.4,0.5\n75,3.0,0.8,0.5,0.6\n"


def test_curves_show_what_the_logs_hold(tmp_path: Path) -> None:
    log, validation, out = tmp_path / "a.csv", tmp_path / "a.validation.csv", tmp_path / "a.png"
    log.write_text(LOG, encoding="utf-8")
    draw_curves(log, validation, out)
    with Image.open(out) as picture:
        without = np.asarray(picture)
    validation.write_text("step,minutes,mean,box\n50,2.0,0.55,0.7\n", encoding="utf-8")
    draw_curves(log, validation, out)
    with Image.open(out) as picture:
        with_validation = np.asarray(picture)
    assert without.shape == with_validation.shape == (420, 1240, 3)
    left, right = slice(0, 620), slice(620, 1240)
    assert np.array_equal(without[:, left], with_validation[:, left])
    assert (without[:, right] != with_validation[:, right]).any()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "a.png", "a.validation.csv"]


def test_a_run_without_two_lines_has_no_picture(tmp_path: Path) -> None:
    draw_curves(tmp_path / "none.csv", tmp_path / "none.validation.csv", tmp_path / "none.png")
    assert list(tmp_path.iterdir()) == []


def test_curves_are_columns_over_the_minutes(tmp_path: Path) -> None:
    log = tmp_path / "a.csv"
    log.write_text(LOG, encoding="utf-8")
    rows = read_log(log)
    assert curve_of(rows, "loss", "loss").points == ((1.0, 2.0), (2.0, 1.0), (3.0, 0.8))
    assert curve_of(rows, "nothing", "x").points == ()


def test_a_log_gets_the_columns_that_a_line_brings(tmp_path: Path) -> None:
    """Also one of which a full disk left nothing."""
    log, empty = tmp_path / "a.csv", tmp_path / "empty.csv"
    empty.touch()
    append_row(log, {"step": 1, "mean": 0.5})
    append_row(log, {"step": 2, "mean": 0.6, "box": 0.7})
    append_row(log, {"step": 3, "box": 0.8})
    append_row(empty, {"step": 1, "mean": 0.5})
    assert read_log(log) == [{"step": 1, "mean": 0.5}, {"step": 2, "mean": 0.6, "box": 0.7}, {"step": 3, "box": 0.8}]
    assert read_log(empty) == [{"step": 1, "mean": 0.5}]
