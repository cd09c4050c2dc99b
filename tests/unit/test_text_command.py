"""``annotator text`` and ``annotator batch --text``: what words name, as COCO; and what is said without a model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from annotator import cli
from annotator.domain.answering.named import named_proposal
from annotator.domain.mask import Mask
from annotator.domain.ports.engine import EverythingStep, ModelInfo


class Squares:
    """Finds one square for each phrase, the second with a low score; and what the examples are round."""

    info = ModelInfo("squares", "cd" * 32, "cpu", "float32", 112)

    def steps(self, image: Any, ask: Any, *, has_to_yield: Any = None) -> Iterator[EverythingStep]:
        height, width = image.rgb.shape[:2]
        found = []
        for at, phrase in enumerate(ask.phrases.wanted):
            full = np.zeros((height, width), np.bool_)
            full[10:20, 10 + 20 * at : 20 + 20 * at] = True
            found.append(named_proposal(Mask.from_full(full), 0.9 - 0.65 * at, 1.0, phrase))
        for one in ask.examples:
            if one.is_positive:
                full = np.zeros((height, width), np.bool_)
                full[int(one.box.y0) : int(one.box.y1), int(one.box.x0) : int(one.box.x1)] = True
                found.append(named_proposal(Mask.from_full(full), 0.8, 1.0, (*ask.phrases.wanted, "")[0]))
        yield EverythingStep(1, 1, tuple(found), is_last=True)


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("annotator.engine.finders.load_named", lambda *_a, **_k: Squares())
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("a", "b"):
        Image.fromarray(np.full((40, 60, 3), 90, np.uint8)).save(folder / f"{name}.png")
    return folder


def test_every_phrase_is_a_category_and_low_scores_are_left_out(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "found.json"
    asked = ["text", str(photos), "--text", "cell, dot, not dust", "--out", str(out), "--model", "grabcut"]
    assert cli.main(asked) == 0
    coco = json.loads(out.read_text())
    assert [one["name"] for one in coco["categories"]] == ["cell", "dot"]
    assert [(one["image_id"], one["category_id"], one["phrase"]) for one in coco["annotations"]] == [
        (1, 1, "cell"),
        (2, 1, "cell"),
    ]
    assert coco["info"]["words"]["unwanted"] == ["dust"]
    assert coco["info"]["words"]["finder_sha256"] == "cd" * 32
    assert not out.with_name("found.json.part").exists()
    assert "2 objects in 2 images" in capsys.readouterr().out
    assert cli.main([*asked, "--min-score", "0.2"]) == 0
    assert len(json.loads(out.read_text())["annotations"]) == 4


def test_an_image_that_cannot_be_read_is_named_and_tried_again(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = photos / "c.png"
    bad.write_bytes(b"no picture")
    asked = ["text", str(photos), "--text", "cell", "--out", str(tmp_path / "f.json"), "--model", "grabcut"]
    assert cli.main(asked) == 1
    assert "c.png" in capsys.readouterr().err
    bad.unlink()
    (photos / "a.png").rename(bad)
    assert cli.main(asked) == 0
    assert {one["file_name"] for one in json.loads((tmp_path / "f.json").read_text())["images"]} == {"b.png", "c.png"}


def test_a_batch_asks_in_words_and_refuses_other_options(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["batch", str(photos), "--out", str(tmp_path / "out"), "--model", "grabcut"]
    assert cli.main([*asked, "--text", "cell"]) == 0
    coco = json.loads((tmp_path / "out" / "objects.json").read_text())
    assert [one["phrase"] for one in coco["annotations"]] == ["cell", "cell"]
    assert cli.main([*asked, "--text", "cell", "--points-per-side", "4"]) == 2
    assert "--points-per-side is about --auto" in capsys.readouterr().err
    assert cli.main([*asked, "--finder", "sam3"]) == 2
    assert "about --text" in capsys.readouterr().err
    assert cli.main([*asked, "--text", " , "]) == 2
    assert "no words" in capsys.readouterr().err


def test_without_a_model_for_words_the_way_to_one_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ANNOTATOR_CHECKPOINTS", str(tmp_path / "none"))
    Image.fromarray(np.full((40, 60, 3), 90, np.uint8)).save(tmp_path / "a.png")
    asked = ["text", str(tmp_path / "a.png"), "--text", "cell", "--out", str(tmp_path / "f.json"), "--model", "grabcut"]
    assert cli.main(asked) == 2
    said = capsys.readouterr().err
    assert "No model for words is on this computer." in said
    assert "SAM License" in said


EXAMPLES = "image,x1,y1,x2,y2,class\na.png,5,5,15,25,cell\na.png,30,5,35,25,not\n"


def test_example_boxes_say_what_is_meant_with_words_or_without(photos: Path, tmp_path: Path) -> None:
    table = tmp_path / "examples.csv"
    table.write_text(EXAMPLES, "ascii")
    asked = ["--examples", str(table), "--model", "grabcut"]
    for words, categories, areas in (("cell", ["cell"], [[100, 200], [100]]), ("", ["object"], [[200], []])):
        out, folder = tmp_path / f"found {words}.json", tmp_path / f"batch {words}"
        assert cli.main(["text", str(photos), "--text", words, "--out", str(out), *asked]) == 0
        assert cli.main(["batch", str(photos), "--text", words, "--out", str(folder), *asked]) == 0
        for file in (out, folder / "objects.json"):
            coco = json.loads(file.read_text())
            assert [one["name"] for one in coco["categories"]] == categories
            found = [[one["area"] for one in coco["annotations"] if one["image_id"] == image] for image in (1, 2)]
            assert [sorted(one) for one in found] == areas
            assert len(coco["info"]["words"]["examples_sha256"]) == 64


def test_examples_that_cannot_be_used_are_refused(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tmp_path / "examples.csv"
    table.write_text(EXAMPLES.replace("a.png", "z.png"), "ascii")
    command = ["batch", str(photos), "--out", str(tmp_path / "out"), "--model", "grabcut", "--examples", str(table)]
    assert cli.main(command) == 2
    assert "about --text" in capsys.readouterr().err
    assert cli.main([*command, "--text", ""]) == 2
    assert "z.png" in capsys.readouterr().err
    table.write_text(EXAMPLES, "ascii")
    assert cli.main([*command, "--text", "", "--finder", "owlv2-base"]) == 2
    assert "owlv2-base takes words, and no example boxes. Those that do: sam3" in capsys.readouterr().err
