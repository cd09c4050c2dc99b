"""Evaluations side by side: pairing, who wins, and files that are none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from annotator import cli
from annotator.domain.errors import ImportFormatError
from annotator.evaluate.compare import calibration, compare, markdown, mean_noc, read_evaluation


def item(number: int, box: float, ious: list[float]) -> dict[str, Any]:
    return {"annotation_id": number, "box_iou": box, "box_biou": box / 2, "iou": ious, "biou": ious}


def write(path: Path, model: str, sets: dict[str, list[dict[str, Any]]]) -> Path:
    figures = {name: {"per_object": items} for name, items in sets.items()}
    path.write_text(json.dumps({"model": model, "sets": figures}), encoding="utf-8")
    return path


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    sets = {"a": [item(1, 0.9, [0.5, 0.6, 0.9]), item(2, 0.7, [0.3, 0.6, 0.8])], "b": [item(3, 0.2, [0.1, 0.2, 0.3])]}
    return write(tmp_path / "ours.json", "ours", sets)


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    sets = {"a": [item(1, 0.6, [0.5, 0.5, 0.5])], "b": [item(3, 0.4, [0.1, 0.2, 0.3]), item(4, 1.0, [1.0, 1.0, 1.0])]}
    return write(tmp_path / "theirs.json", "theirs", sets)


def test_one_alone(ours: Path) -> None:
    rows = {(row.set_name, row.measure): row for row in compare(read_evaluation(ours))}
    assert {name for _, name in rows} == {"box", "box bIoU", "1 click", "3 clicks"}
    assert rows["a", "box"].ours.mean == pytest.approx(0.8)
    assert rows["mean", "box"].ours.mean == pytest.approx((0.8 + 0.2) / 2)
    assert rows["mean", "box"].objects == 3
    assert rows["mean", "box"].difference is None


def test_pairs_are_the_same_objects(ours: Path, theirs: Path) -> None:
    rows = {(row.set_name, row.measure): row for row in compare(read_evaluation(ours), read_evaluation(theirs))}
    row = rows["a", "box"]
    assert (row.objects, row.ours.mean, row.other) == (1, 0.9, 0.6)
    assert row.difference is not None
    assert row.difference.mean == pytest.approx(0.3)
    assert not row.is_beaten
    assert rows["b", "box"].is_beaten
    assert rows["b", "3 clicks"].difference is not None
    assert not rows["b", "3 clicks"].is_beaten


def test_the_table_marks_the_better_one(ours: Path, theirs: Path) -> None:
    text = markdown(compare(read_evaluation(ours), read_evaluation(theirs)), ours="ours", other="theirs")
    lines = text.splitlines()
    assert lines[0].startswith("| ours / theirs | objects | box | box bIoU | 1 click | 3 clicks |")
    assert "**0.900** / 0.600" in lines[2]
    assert "0.200 / **0.400**" in lines[3]
    assert len({line.count("|") for line in lines[:-2]}) == 1
    assert lines[-1] == "Means over objects; no intervals, because one image says nothing about others."
    alone = markdown(compare(read_evaluation(ours)), ours="ours", other=None)
    assert alone.endswith("bootstrap over images within sets, of which 1 with one image add no width.")


def test_clicks_needed(ours: Path) -> None:
    evaluation = read_evaluation(ours)
    assert evaluation.clicks == 3
    # a: 2 and 2 clicks to 0.6; b never: the cap.
    assert mean_noc(evaluation, 0.6).mean == pytest.approx((2 + 3) / 2)


def test_calibration_is_a_rank_correlation_by_prompt(tmp_path: Path, ours: Path) -> None:
    assert calibration(read_evaluation(ours)) == {}
    items = [
        {**item(n, 0.1 * n, [0.1 * n, 0.2]), "predicted_iou": [0.2 * n, 0.5], "box_predicted_iou": -n}
        for n in (1, 2, 3)
    ]
    path = write(tmp_path / "calibrated.json", "x", {"a": items})
    assert calibration(read_evaluation(path)) == {"box": pytest.approx(-1.0), "1 click": pytest.approx(1.0)}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"model": "x", "per_object": []}',
        '{"model": "x", "per_object": [{"annotation_id": 1, "box_iou": 7, "box_biou": 0, "iou": [0], "biou": [0]}]}',
        '{"model": "x", "per_object": [{"annotation_id": 1, "box_iou": 0, "box_biou": 0, "iou": [], "biou": []}]}',
    ],
)
def test_other_files_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ImportFormatError, match="not the result"):
        read_evaluation(path)


def test_what_is_wrong_with_another_file_is_said_in_words(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text('{"images": []}')
    with pytest.raises(ImportFormatError, match="it has no per_object"):
        read_evaluation(path)
    path.write_text("[" * 30_000)
    with pytest.raises(ImportFormatError, match="it is of another form"):
        read_evaluation(path)
    with pytest.raises(ImportFormatError, match="cannot be read"):
        read_evaluation(tmp_path / "gone.json")


def test_evaluations_of_other_objects_are_refused(tmp_path: Path, ours: Path) -> None:
    other = write(tmp_path / "other.json", "x", {"a": [item(99, 0.5, [0.5])]})
    with pytest.raises(ImportFormatError, match="share no objects"):
        compare(read_evaluation(ours), read_evaluation(other))


def test_the_same_id_in_another_picture_is_another_object(tmp_path: Path) -> None:
    def of(name: str, image: str, area: int, count: int = 4) -> Path:
        items = [{**item(n, 0.5, [0.5]), "image": f"{n}.png", "area": 9} for n in range(1, count)]
        return write(
            tmp_path / name, name, {"all": [*items, {**item(count, 0.5, [0.5]), "image": image, "area": area}]}
        )

    ours = read_evaluation(of("ours", "x.png", 9))
    assert compare(ours, read_evaluation(of("same", "x.png", 9)))[0].objects == 4
    for other in (of("moved", "y.png", 9), of("larger", "x.png", 10)):
        assert compare(ours, read_evaluation(other))[0].objects == 3
    strangers = [
        {**item(n, 0.5, [0.5]), "image": f"other{n}.png" if n > 1 else "1.png", "area": 9} for n in range(1, 5)
    ]
    few = read_evaluation(write(tmp_path / "few", "few", {"all": strangers}))
    with pytest.raises(ImportFormatError, match="share 1 of 4 objects"):
        compare(ours, few)


def test_intervals_are_over_images(tmp_path: Path) -> None:
    values = [(0.2, 10), (0.8, 10)]
    items = [
        {**item(10 * n + k, value, [value]), "image": f"{n}.png"}
        for n, (value, count) in enumerate(values)
        for k in range(count)
    ]
    row = compare(read_evaluation(write(tmp_path / "two", "two", {"a": items})))[0]
    assert (row.images, row.has_intervals) == ((2,), True)
    assert (row.ours.low, row.ours.high) == (pytest.approx(0.2), pytest.approx(0.8))  # of two images either may be both
    one = compare(read_evaluation(write(tmp_path / "one", "one", {"a": items[:10]})))
    text = markdown(one, ours="one", other=None)
    assert "interval |" not in text
    assert "one image says nothing" in text


def test_the_command(ours: Path, theirs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "table.md"
    assert cli.main(["compare", str(ours), str(theirs), "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert printed == out.read_text(encoding="utf-8")
    assert "theirs is better on: b (box), b (box bIoU), mean" not in printed
    assert "b (box)" in printed
    assert cli.main(["compare", str(tmp_path / "none.json")]) == 2
    assert "none.json" in capsys.readouterr().err
