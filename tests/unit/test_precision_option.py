"""``--precision``: said in the result, kept by a batch in all its parts, refused where a model has another."""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import pytest
import torch

from annotator.cli import main
from annotator.commands.batch.command import add_arguments
from annotator.commands.batch.ray_worker import BatchWorker, Recipe
from annotator.commands.precision_option import precision_in
from annotator.engine.sam2.nano import build_nano, save_nano
from tests.small_base import SMALL
from tests.unit.small_model import write_folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("model") / "small.safetensors"
    torch.manual_seed(3)
    save_nano(build_nano(SMALL).eval(), path, config=SMALL, metadata={"sets": "none"})
    return str(path)


@pytest.fixture
def command(model: str, tmp_path: Path) -> list[str]:
    images = write_folder(tmp_path / "images", ["a.png", "b.png", "c.png", "d.png"])
    points = tmp_path / "points.csv"
    points.write_text("image,x,y\na.png,30,20\nb.png,30,20\nc.png,30,20\nd.png,30,20\n", "ascii")
    return ["batch", str(images), "--model", model, "--device", "cpu", "--points", str(points), "--out"]


def about(journal: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads(journal.read_text("ascii").splitlines()[0])["about"]
    return found


def test_all_shards_in_a_folder_keep_to_the_first_ones_arithmetic(command: list[str], tmp_path: Path) -> None:
    for wanted, name in (("bf16", "bfloat16"), ("fp32", "float32")):
        out = tmp_path / wanted
        main([*command, str(out), "--shard", "2/2", "--precision", wanted])
        main([*command, str(out), "--shard", "1/2"])
        assert [precision_in(about(path)) for path in sorted(out.glob("journal*"))] == [name] * 2
        assert main([*command, str(out), "--merge"]) == 0
        assert precision_in(json.loads((out / "objects.json").read_text("utf-8"))) == name


def test_shards_of_two_arithmetics_are_merged_and_it_is_said(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for part, wanted in (("1", "bf16"), ("2", "fp32")):
        main([*command, str(tmp_path / part), "--shard", f"{part}/2", "--precision", wanted])
    for journal in (tmp_path / "2").glob("journal*"):
        shutil.copy(journal, tmp_path / "1")
    capsys.readouterr()
    assert main([*command, str(tmp_path / "1"), "--merge"]) == 0
    assert "made in bfloat16 and float32" in capsys.readouterr().err
    assert precision_in(json.loads((tmp_path / "1/objects.json").read_text("utf-8"))) == "bfloat16, float32"


def test_a_journal_without_it_is_gone_on_with_and_one_in_another_is_refused(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main([*command, str(out), "--precision", "fp32"]) == 0
    assert main([*command, str(out), "--precision", "bf16"]) == 2
    assert "other settings" in capsys.readouterr().err
    journal = out / "journal.jsonl"
    journal.write_text(journal.read_text("ascii").replace(',"precision":"float32"', ""), "ascii")
    assert precision_in(about(journal)) == ""
    assert main([*command, str(out), "--precision", "bf16"]) == 0
    assert "4 images" in capsys.readouterr().err  # done before


def test_a_worker_tells_its_arithmetic_and_takes_that_of_others(command: list[str]) -> None:
    for precision, name in (("bf16", "bfloat16"), ("fp32", "float32")):
        parser = argparse.ArgumentParser()
        add_arguments(parser)
        args = parser.parse_args([*command[1:], "nowhere"])
        args.points = None
        begun = BatchWorker(Recipe(args, (), None)).begin(precision)
        assert (begun.message, begun.precision) == ("", precision)
        assert precision_in(json.loads(begun.about)) == name


def test_everything_says_it_too(model: str, command: list[str], tmp_path: Path) -> None:
    out = tmp_path / "objects.json"
    options = ["--model", model, "--device", "cpu", "--points-per-side", "2", "--precision", "bf16"]
    assert main(["auto", str(Path(command[1]) / "a.png"), "--out", str(out), *options]) == 0
    assert precision_in(json.loads(out.read_text("utf-8"))) == "bfloat16"


def test_a_server_takes_it_and_a_model_without_it_is_refused(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from annotator.server import process

    asked: list[str] = []
    monkeypatch.setattr(process, "serve", lambda settings: asked.append(settings.precision))
    assert main(["serve", "--precision", "fp32"]) == 0
    assert main(["serve"]) == 0
    assert asked == ["float32", ""]
    from annotator.engine.load import load_segmenter

    found = load_segmenter(command[3], device="cpu", dtype=torch.float32)
    monkeypatch.setattr("annotator.engine.load.load_segmenter", lambda *_a, **_k: found)
    assert main([*command, str(tmp_path / "out"), "--precision", "bf16"]) == 2
    assert "float32 here, not in bfloat16" in capsys.readouterr().err
