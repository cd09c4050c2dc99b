"""``annotator train-adapter`` from COCO set to installed adapter, its gate, and what a person can get wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from annotator import cli
from annotator.engine.adapter_files import adapters_dir, list_adapters, load_adapter, read_adapter_info
from annotator.engine.load import load_segmenter
from annotator.engine.nano import NanoConfig, build_nano, save_nano
from annotator.train import adapter_gate
from annotator.train.evaluate import ObjectResult, evaluate_object
from tests.unit.train.scenes import write_set

SMALL = NanoConfig(
    image_size=128, channels=64, stage_channels=(16, 24, 32, 48), stage_blocks=(1, 1, 1, 1), mlp_channels=64
)


@pytest.fixture
def words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setenv("ANNOTATOR_CHECKPOINTS", str(tmp_path / "checkpoints"))
    torch.manual_seed(0)
    save_nano(build_nano(SMALL).eval(), tmp_path / "base.safetensors", config=SMALL, metadata={})
    root = write_set(tmp_path / "cells", images=6)
    numbers = ["--epochs=2", "--windows=6", "--batch=2", "--gate-objects=3", "--gate-clicks=5", "--device=cpu"]
    paths = ["--model", str(tmp_path / "base.safetensors"), "--work", str(tmp_path / "work")]
    return ["train-adapter", str(root), "--name", "cells", *paths, *numbers]


def test_train_judge_install_and_load(words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.safetensors"
    test_set = write_set(tmp_path / "others", images=2, seed=9)
    code = cli.main([*words, "--force", "--out", str(out), "--licence", "CC0", "--test", str(test_set)])
    printed = capsys.readouterr().out
    assert code == 0
    assert "The adapter is " in printed
    assert "| others |" in printed
    assert "others" in json.loads((tmp_path / "work" / "gate.json").read_text())
    ((path, info),) = list_adapters([adapters_dir()])
    assert path == adapters_dir() / "cells.safetensors"
    assert (info.name, info.domain, info.licence, info.base_name) == ("cells", "cells", "CC0", "base")
    assert "held" not in info.data
    assert str(tmp_path) not in json.dumps(info.to_metadata())  # counts, no paths
    assert len(info.figures["bIoU, box"]) == 2
    assert "CC0" in path.with_suffix(".md").read_text()
    assert out.read_bytes() == path.read_bytes()
    segmenter = load_segmenter(str(tmp_path / "base.safetensors"), device="cpu")
    segmenter.set_adapter(load_adapter(path, base=segmenter.info))
    assert (tmp_path / "work" / "run.csv").is_file()
    # The same command again does not train again: it judges what is there.
    before = (tmp_path / "work" / "run.csv").read_bytes()
    assert cli.main([*words, "--force"]) == 0
    assert (tmp_path / "work" / "run.csv").read_bytes() == before


@pytest.mark.parametrize("is_better", [True, False])
def test_the_gate_decides(
    words: list[str], is_better: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(adapter_gate.GateResult, "is_better", property(lambda _self: is_better))
    assert cli.main(words) == (0 if is_better else 1)
    assert (adapters_dir() / "cells.safetensors").exists() == is_better
    assert ("not installed" in capsys.readouterr().out) != is_better


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--epochs=0", "no training"),
        ("--held-back=1", "no training"),
        ("--minutes=nan", "no training"),
        ("--gate-clicks=2", "no training"),
        ("--name=../x", "no name"),
        ("--device=tpu", "no device"),
        ("--out=/nonexistent/a.safetensors", "annotator: "),
        ("--model=none", "no model"),
    ],
)
def test_what_a_person_can_get_wrong(
    words: list[str], option: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([*words, option]) == 2
    told = capsys.readouterr().err.strip().splitlines()
    assert len(told) == 1
    assert said in told[0]


def test_other_settings_do_not_go_on_from_the_folder(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ablated = [*words, "--no-install", "--without=points", "--without=guide"]
    assert cli.main(ablated) == 0
    config = read_adapter_info(tmp_path / "work" / "candidate.safetensors").config
    assert (config["uses_points"], config["uses_guide"], config["uses_tokens"]) == (False, False, True)
    assert not adapters_dir().exists()
    capsys.readouterr()
    for other in ([*ablated, "--lr=0.01"], [*words, "--no-install"]):
        assert cli.main(other) == 2
        assert "another run" in capsys.readouterr().err


@pytest.mark.parametrize("options", [[], ["--fine-tune-decoder", "--out=tuned.safetensors"]])
def test_the_same_command_goes_on_with_a_killed_gate(
    words: list[str], options: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class KilledError(Exception):
        pass

    asked: list[int] = []

    def killed_at_the_last(engine: Any, embedding: Any, item: Any, target: Any, *, clicks: int) -> ObjectResult:
        asked.append(item.id)
        if len(asked) == 5:
            raise KilledError
        return evaluate_object(engine, embedding, item, target, clicks=clicks)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(adapter_gate, "evaluate_object", killed_at_the_last)
    command = [*words, "--no-install", "--epochs=1", *options]
    with pytest.raises(KilledError):
        cli.main(command)
    state = tmp_path / "work" / "gate.state"
    assert len(state.read_text().splitlines()) == 2
    assert not (tmp_path / "work" / "gate.json").exists()
    assert cli.main(command) == 0
    assert len(asked) == 5 + 2  # the third object, by both
    assert json.loads((tmp_path / "work" / "gate.json").read_text())["held back"]["objects"] == 3
    assert not state.exists()


def test_a_whole_decoder_to_compare_with(words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "tuned.safetensors"
    test_set = write_set(tmp_path / "others", images=2, seed=9)
    tuning = [*words, "--fine-tune-decoder", "--out", str(out), "--licence", "CC0", "--test", str(test_set)]
    assert cli.main(tuning) == 0
    printed = capsys.readouterr().out
    assert "The fine-tuned decoder is " in printed
    assert "| others | base | fine-tuned decoder |" in printed
    assert not adapters_dir().exists()
    assert "CC0" in out.with_suffix(".md").read_text()
    assert set(json.loads((tmp_path / "work" / "gate.json").read_text())) == {"held back", "others"}
    segmenter = load_segmenter(str(out), device="cpu")
    assert segmenter.info.sha256 != load_segmenter(str(tmp_path / "base.safetensors"), device="cpu").info.sha256
    weights, log = load_file(out), (tmp_path / "work" / "run.csv").read_bytes()
    assert cli.main(tuning) == 0  # the same command again: it judges what is there
    assert all(torch.equal(tensor, weights[name]) for name, tensor in load_file(out).items())
    assert (tmp_path / "work" / "run.csv").read_bytes() == log
    capsys.readouterr()
    assert cli.main(words) == 2  # an adapter is another run
    assert "another run" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "--out"),
        (["--out=base.safetensors"], "the base itself"),
        (["--out=tuned.pt"], ".safetensors"),
        (["--out=tuned.safetensors", "--without=guide"], "for adapters"),
        (["--out=tuned.safetensors", "--force"], "for adapters"),
    ],
)
def test_what_does_not_go_with_a_whole_decoder(
    words: list[str],
    options: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main([*words, "--fine-tune-decoder", *options]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "work").exists()
