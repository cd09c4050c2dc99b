"""``annotator predict``: masks and JSON as promised, and one clear message for everything that can be wrong."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from annotator.commands import predict
from annotator.domain.answering.asking import ask_at_once, ask_stepwise
from annotator.domain.cues.cue import Cue
from annotator.domain.cues.rows import KINDS, cue_to_json
from annotator.domain.errors import ExportError, ImageError, PromptError
from annotator.domain.geometry import Box
from annotator.domain.ports.engine import Candidate, Candidates, Embedding, ModelInfo, Segmenter
from annotator.domain.prompt import PointPrompt, Prompts
from annotator.engine.grabcut import GrabCutSegmenter

WIDTH, HEIGHT = 90, 70


class RecordingSegmenter(GrabCutSegmenter):
    """GrabCut that remembers its prompts and whether logits came with them."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[Prompts, bool]] = []

    def decode(self, embedding: Embedding, prompts: Prompts, *, continue_from: Candidate | None = None) -> Candidates:
        self.asked.append((prompts, continue_from is not None))
        return super().decode(embedding, prompts, continue_from=continue_from)


@pytest.fixture
def asked_models(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str | None, str | None, str | None]]:
    """GrabCut in place of the model; what was asked of the loader."""
    calls: list[tuple[str | None, str | None, str | None]] = []

    def load_segmenter(name: str | None, *, device: str | None = None, config: str | None = None) -> Segmenter:
        calls.append((name, device, config))
        return GrabCutSegmenter()

    loader = ModuleType("annotator.engine.load")
    loader.load_segmenter = load_segmenter  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "annotator.engine.load", loader)
    return calls


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A bright block at columns 20..49 and rows 15..44 on dark noise."""
    pixels = np.random.default_rng(0).integers(20, 60, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    pixels[15:45, 20:50] += 150
    path = tmp_path / "block.png"
    cv2.imwrite(str(path), pixels)
    return path


def parse(*words: object) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    predict.add_arguments(parser)
    return parser.parse_args([str(word) for word in words])


@pytest.mark.usefixtures("asked_models")
def test_png_is_a_mask_of_the_images_size(picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "mask.png"
    assert predict.run(parse(picture, "--box", "20,15,50,45", "--out", out)) == 0
    mask = cv2.imread(str(out), cv2.IMREAD_UNCHANGED)
    assert mask.shape == (HEIGHT, WIDTH)
    assert mask.dtype == np.uint8
    assert set(np.unique(mask)) == {0, 255}
    assert (mask[15:45, 20:50] == 255).mean() > 0.98
    assert np.count_nonzero(mask) <= 900
    assert f"{np.count_nonzero(mask)} px" in capsys.readouterr().out
    assert sorted(p.name for p in tmp_path.iterdir()) == ["block.png", "mask.png"]


@pytest.mark.usefixtures("asked_models")
@pytest.mark.parametrize("kind", KINDS)
def test_a_cue_is_asked_by_its_clicks(kind: type[Cue], picture: Path, tmp_path: Path) -> None:
    cue = kind.example()
    points = [f"--point={one.x},{one.y},{int(one.is_positive)}" for one in cue.clicks()]
    masks = []
    for words in (points, ["--cue", json.dumps(cue_to_json(cue))]):
        assert predict.run(parse(picture, *words, "--out", tmp_path / "mask.png")) == 0
        masks.append((tmp_path / "mask.png").read_bytes())
    assert masks[0] == masks[1]


@pytest.mark.parametrize("text", ["scribble", '{"kind": "scribble"}', '{"kind": "lasso"}', "[]"])
def test_a_cue_that_is_none_is_an_error_of_the_command(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse("a.png", "--cue", text, "--out", "mask.png")
    assert "is no prompt" in capsys.readouterr().err


@pytest.mark.usefixtures("asked_models")
def test_how_the_picture_is_shown_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    deep = np.full((HEIGHT, WIDTH), 300, np.uint16)
    deep[15:45, 20:50] = 900
    cv2.imwrite(str(tmp_path / "deep.png"), deep)
    assert predict.run(parse(tmp_path / "deep.png", "--box", "20,15,50,45", "--out", tmp_path / "mask.png")) == 0
    assert "annotator: deep.png: stretched 300 to 900" in capsys.readouterr().err.splitlines()


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({}, []),
        ({"is_verified": False, "note": "own.pt is not verified"}, ["own is not verified"]),
        ({"note": "The processor is used."}, ["The processor is used."]),
        ({"is_verified": False, "note": "The processor is used."}, ["own is not verified", "The processor is used."]),
    ],
)
def test_what_is_to_know_of_the_model_is_said_once(
    changes: dict[str, Any],
    wanted: list[str],
    picture: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    class OwnModel(GrabCutSegmenter):
        @property
        def info(self) -> ModelInfo:
            return ModelInfo("own", "0123456789abcdef", "cpu", "float32", 0, **changes)

    loader = ModuleType("annotator.engine.load")
    loader.load_segmenter = lambda *_args, **_options: OwnModel()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "annotator.engine.load", loader)
    words = (picture, "--box", "20,15,50,45", "--point", "35,30", "--out", tmp_path / "mask.png")
    assert predict.run(parse(*words)) == 0
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == len(wanted)
    assert all(line.startswith(f"annotator: {text}") for line, text in zip(lines, wanted, strict=True))


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools on NumPy 2
def test_json_is_coco_and_the_same_mask(
    picture: Path, tmp_path: Path, asked_models: list[tuple[str | None, str | None, str | None]]
) -> None:
    prompts = ("--box", "20,15,50,45", "--point", "35.5,30.5,1", "--point", "80,60,0")
    words = (picture, *prompts, "--model", "m.pt", "--config", "c", "--device", "cpu")
    assert predict.run(parse(*words, "--out", tmp_path / "objects.json")) == 0
    assert predict.run(parse(*words, "--out", tmp_path / "mask.PNG")) == 0
    assert asked_models == [("m.pt", "cpu", "c")] * 2
    coco = COCO(tmp_path / "objects.json")
    (image,) = coco.loadImgs([1])
    assert (image["file_name"], image["width"], image["height"]) == ("block.png", WIDTH, HEIGHT)
    (annotation,) = coco.loadAnns([1])
    decoded = coco.annToMask(annotation)
    np.testing.assert_array_equal(decoded * 255, cv2.imread(str(tmp_path / "mask.PNG"), cv2.IMREAD_UNCHANGED))
    assert annotation["area"] == decoded.sum() > 800
    assert annotation["bbox"] == coco_mask.toBbox(annotation["segmentation"]).tolist()
    assert 0 <= annotation["score"] <= 1
    assert json.loads((tmp_path / "objects.json").read_text())["info"]["model"] == "grabcut"


def test_prompts_are_replayed_as_the_window_makes_them() -> None:
    segmenter = RecordingSegmenter()
    embedding = segmenter.encode(np.zeros((40, 40, 3), np.uint8), "black")
    box, one, two = Box(2, 2, 30, 30), PointPrompt(10, 10), PointPrompt(20, 20, is_positive=False)
    ask_stepwise(segmenter, embedding, [one, two], box)
    ask_stepwise(segmenter, embedding, [one, two], None)
    assert segmenter.asked == [
        (Prompts(box=box), False),
        (Prompts((one,), box), True),
        (Prompts((one, two), box), True),
        (Prompts((one,)), False),
        (Prompts((one, two)), True),
    ]


def test_at_once_is_one_question() -> None:
    segmenter = RecordingSegmenter()
    embedding = segmenter.encode(np.zeros((40, 40, 3), np.uint8), "black")
    box, one, two = Box(2, 2, 30, 30), PointPrompt(10, 10), PointPrompt(20, 20, is_positive=False)
    ask_at_once(segmenter, embedding, [one, two], box)
    ask_at_once(segmenter, embedding, [], box)
    assert segmenter.asked == [(Prompts((one, two), box), False), (Prompts(box=box), False)]


@pytest.mark.parametrize(("words", "questions"), [((), 3), (("--at-once",), 1)])
def test_the_command_asks_step_by_step_unless_told(
    words: tuple[str, ...], questions: int, picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    segmenter = RecordingSegmenter()
    loader = ModuleType("annotator.engine.load")
    loader.load_segmenter = lambda *_args, **_options: segmenter  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "annotator.engine.load", loader)
    prompts = ("--box", "20,15,50,45", "--point", "35,30", "--point", "80,60,0")
    assert predict.run(parse(picture, *prompts, *words, "--out", tmp_path / "mask.png")) == 0
    assert len(segmenter.asked) == questions
    assert segmenter.asked[-1][0] == Prompts((PointPrompt(35, 30), PointPrompt(80, 60, False)), Box(20, 15, 50, 45))


@pytest.mark.parametrize("text", ["", "5", "5,", "a,b", "1,2,3", "1,2,-1", "1,2,1,1", "nan,1", "inf,1", "1;2"])
def test_bad_points_are_usage_errors(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse("a.png", f"--point={text}", "--out", "m.png")
    assert caught.value.code == 2
    assert "--point" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "1,2,3", "1,2,3,x", "5,5,5,9", "50,5,10,9", "0,0,nan,5", "0,0,1,1,1"])
def test_bad_boxes_are_usage_errors(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse("a.png", f"--box={text}", "--out", "m.png")
    assert caught.value.code == 2
    assert "--box" in capsys.readouterr().err


@pytest.mark.parametrize("prompt", ["--point=90.5,3", "--point=-1,3", "--point=5,71,0", "--box=80,10,95,20"])
def test_prompts_outside_the_image_name_its_size(
    picture: Path, tmp_path: Path, prompt: str, asked_models: list[tuple[str | None, str | None, str | None]]
) -> None:
    out = tmp_path / "mask.png"
    with pytest.raises(PromptError, match="outside the image of 90 x 70"):
        predict.run(parse(picture, "--point=5,5", prompt, "--out", out))
    assert not out.exists()
    assert asked_models == []


@pytest.mark.usefixtures("asked_models")
def test_what_the_person_can_get_wrong(picture: Path, tmp_path: Path) -> None:
    out = tmp_path / "mask.png"
    with pytest.raises(PromptError, match="no prompt"):
        predict.run(parse(picture, "--out", out))
    with pytest.raises(ExportError, match="unknown kind"):
        predict.run(parse(picture, "--point=5,5", "--out", tmp_path / "mask.bmp"))
    with pytest.raises(ExportError, match="unknown kind"):
        predict.run(parse(picture, "--point=5,5", "--out", tmp_path / "set.annot"))
    before = picture.read_bytes()
    with pytest.raises(ExportError, match="would be destroyed"):
        predict.run(parse(picture, "--point=5,5", "--out", picture))
    assert picture.read_bytes() == before
    with pytest.raises(ExportError, match="There is no folder"):
        predict.run(parse(picture, "--point=5,5", "--out", tmp_path / "none" / "mask.png"))
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(ExportError, match="is a folder"):
        predict.run(parse(picture, "--point=5,5", "--out", tmp_path / "folder.png"))
    with pytest.raises(ImageError):
        predict.run(parse(tmp_path / "missing.png", "--point=5,5", "--out", out))
    for content in (b"", picture.read_bytes()[:300], b"not an image"):
        broken = tmp_path / "broken.png"
        broken.write_bytes(content)
        with pytest.raises(ImageError, match=r"broken\.png"):
            predict.run(parse(broken, "--point=5,5", "--out", out))
    assert not out.exists()


@pytest.mark.usefixtures("asked_models")
def test_a_failed_write_leaves_the_old_file(picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "mask.png"
    out.write_bytes(b"old")

    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full_disk)
    with pytest.raises(ExportError, match="disk is full"):
        predict.run(parse(picture, "--point=35,30", "--out", out))
    assert out.read_bytes() == b"old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["block.png", "mask.png"]
