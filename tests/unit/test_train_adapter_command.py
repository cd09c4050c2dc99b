"""``annotator train-adapter`` from COCO set to installed adapter, its gate, and what a person can get wrong."""

from __future__ import annotations

import json
from argparse import Namespace
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from annotator import cli
from annotator.commands.train.run import folder_of, only_run, tell_shared_images
from annotator.engine.load import load_segmenter
from annotator.engine.sam2.adapter_files import adapters_dir, list_adapters, load_adapter, read_adapter_info
from annotator.engine.sam2.nano import build_nano, save_nano
from annotator.evaluate.run import ObjectResult, evaluate_object
from annotator.files.places import training_dir
from annotator.train.data.encoded import WindowCache
from annotator.train.data.sources import read_source, split
from annotator.train.run import gate as adapter_gate
from annotator.train.run.adapter_run import RunFolder
from annotator.train.run.state_file import write_state
from tests.small_base import SMALL
from tests.unit.train.scenes import write_set


@pytest.fixture
def words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setenv("ANNOTATOR_CHECKPOINTS", str(tmp_path / "checkpoints"))
    torch.manual_seed(0)
    save_nano(build_nano(SMALL).eval(), tmp_path / "base.safetensors", config=SMALL, metadata={})
    root = write_set(tmp_path / "cells", images=6)
    numbers = ["--epochs=1", "--windows=4", "--batch=2", "--gate-objects=3", "--gate-clicks=5", "--device=cpu"]
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


def test_the_gate_decides(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of one training: the same command judges again what is there."""
    for is_better in (False, True):
        monkeypatch.setattr(adapter_gate.GateResult, "is_better", property(lambda _self, it=is_better: it))
        assert cli.main(words) == (0 if is_better else 1)
        assert (adapters_dir() / "cells.safetensors").exists() == is_better
        assert ("not installed" in capsys.readouterr().out) != is_better


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--epochs=0", "no training"),
        ("--held-back=1", "no training"),
        ("--minutes=nan", "no training"),
        ("--seed=-1", "no training"),
        ("--lr=inf", "no training"),
        ("--work=base.safetensors", "is not a folder"),
        ("--gate-clicks=2", "no training"),
        ("--name=../x", "not a valid name"),
        ("--device=tpu", "no device"),
        ("--out=/nonexistent/a.safetensors", "annotator: "),
        ("--out=base.safetensors", "is what is read"),
        ("--out=cells/annotations.json", "is what is read"),
        ("--out=card.md", "not named like an adapter"),
        ("--model=none", "no model"),
    ],
)
def test_what_a_person_can_get_wrong(
    words: list[str],
    option: str,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
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


def test_more_labels_are_trained_on_under_the_same_name(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def trained(_trainer: Any, _validation: Any, folder: RunFolder, *, key: str) -> None:
        write_state({"key": key, "is_over": True}, folder.state)

    monkeypatch.setattr("annotator.commands.train.adapter.train_with_bar", trained)
    monkeypatch.setattr("annotator.commands.train.adapter._judge_and_install", lambda *_args: 0)
    place = words.index("--work")
    words = words[:place] + words[place + 2 :]  # in the folder that the program names
    folder = training_dir() / "cells"

    def label_less() -> None:
        file = tmp_path / "cells" / "annotations.json"
        data = json.loads(file.read_text("utf-8"))
        del data["annotations"][0]
        file.write_text(json.dumps(data), "utf-8")

    assert cli.main(words) == 0
    before = set((folder / "windows").iterdir())
    label_less()
    assert cli.main(words) == 0
    after = set((folder / "windows").iterdir())
    assert len(before) == len(after) == 2
    assert not before & after  # nobody needs the old ones
    write_state({"key": "of the last", "is_over": False}, folder / "run.state")  # as a kill leaves it
    label_less()
    monkeypatch.setattr(WindowCache, "fill", lambda *_args, **_named: pytest.fail("it was encoded first"))
    capsys.readouterr()
    assert cli.main(words) == 2
    said = capsys.readouterr().err
    assert "has not come to its end" in said
    assert "--work" in said
    assert set((folder / "windows").iterdir()) == after
    # The window names a folder below that one for each state of a project: it is the program's own, too.
    works = [(folder / "state", True), (tmp_path / "work", False)]
    assert all(folder_of(Namespace(work=work), "cells").is_own == is_own for work, is_own in works)


def test_a_test_set_that_is_learned_from_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sources = [read_source(write_set(tmp_path / name, images=4, seed=seed)) for seed, name in enumerate(("a", "b"))]
    parts = split(sources[:1])
    tell_shared_images(parts, sources)
    told = capsys.readouterr().out.splitlines()
    assert len(told) == 1
    assert "3 images of the test set a are also learned from" in told[0]
    held_back = replace(sources[0], objects=parts.held_back)
    tell_shared_images(parts, [held_back])
    assert capsys.readouterr().out == ""


def test_one_training_at_a_time_in_a_folder(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = RunFolder(tmp_path / "work")
    folder.path.mkdir()
    with only_run(folder):
        assert cli.main(words) == 2
        assert "Another training is at work" in capsys.readouterr().err
        assert [path.name for path in folder.path.iterdir()] == [".run.state.lock"]
        monkeypatch.setenv("RANK", "1")
        with only_run(folder):  # one of the processes of that run
            pass
    assert not list(folder.path.iterdir())
    monkeypatch.delenv("RANK")
    monkeypatch.setattr("annotator.io.project.lock._open_lock", _no_locks)
    with only_run(folder):  # a drive that knows none
        pass


def _no_locks(*_args: object) -> int:
    raise OSError(95, "Operation not supported")
