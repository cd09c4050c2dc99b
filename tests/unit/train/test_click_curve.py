"""The curve over the clicks: what falls is seen, and only objects that all results have count."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from annotator.domain.errors import ImportFormatError
from annotator.evaluate.compare import read_evaluation
from annotator.studies.click_curve import curves_of, falls, lost, main, table


def result(path: Path, model: str, curves: dict[int, list[float]], *, set_name: str = "cells") -> Path:
    objects = [
        {
            "annotation_id": number,
            "image": f"{number}.png",
            "area": 50,
            "box_iou": 0.7,
            "box_biou": 0.5,
            "iou": curve,
            "biou": curve,
        }
        for number, curve in curves.items()
    ]
    path.write_text(json.dumps({"model": model, "sets": {set_name: {"per_object": objects}}}), "utf-8")
    return path


def test_steps_down_and_losses_by_hand() -> None:
    curves = np.array([[0.5, 0.7, 0.6, 0.9, 0.8], [0.1, 0.2, 0.3, 0.4, 0.5]])
    assert falls(curves) == pytest.approx(0.2 / 2)
    assert lost(curves) == 0.5
    assert (falls(curves[1:]), lost(curves[1:])) == (0.0, 0.0)


def test_lines_are_over_the_same_objects(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a = result(tmp_path / "a.json", "a", {1: [0.2, 0.4], 2: [0.6, 0.5], 3: [0.0, 0.0]})
    b = result(tmp_path / "b.json", "b", {1: [0.3, 0.3], 2: [0.5, 0.5]})
    ours, other = read_evaluation(a), read_evaluation(b)
    assert curves_of(ours, [other])["cells"].tolist() == [[0.2, 0.4], [0.6, 0.5]]
    assert main([str(a), str(b), "--sets", "cells", "roofs"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "| clicks | 1 | 2 | falls | end 0.05 below |"
    assert lines[2] == "| a | 0.400 | 0.450 | 0.050 | 50% |"
    assert lines[3] == "| b | 0.400 | 0.400 | 0.000 | 0% |"
    assert lines[4].startswith("| a, cells | 0.400 |")
    assert len(lines) == 6


def test_results_that_share_nothing_are_refused(tmp_path: Path) -> None:
    a = result(tmp_path / "a.json", "a", {1: [0.2, 0.4]})
    b = result(tmp_path / "b.json", "b", {1: [0.3, 0.3]}, set_name="roofs")
    with pytest.raises(ImportFormatError, match="share no objects"):
        table([read_evaluation(a), read_evaluation(b)])
