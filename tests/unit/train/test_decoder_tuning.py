"""A whole decoder trained instead of an adapter: the base stays, validation rises, files load, a kill costs nothing."""

from __future__ import annotations

import copy
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from annotator.domain.errors import ModelError
from annotator.domain.geometry import Box
from annotator.domain.prompt import Prompts
from annotator.engine.load import load_segmenter, weights_file
from annotator.engine.sam2.nano import build_nano, load_nano, save_nano
from annotator.engine.sam2.segmenter import Sam2Segmenter
from annotator.studies.decoder_tuning import ENCODER_SIDE, DecoderTrainer
from annotator.studies.tuned_files import check_tuned_path, save_tuned
from annotator.train.adapter import COPIES_SCALE
from annotator.train.data.encoded import WindowCache
from annotator.train.data.sources import Split
from annotator.train.run.adapter_run import EpochDone, RunFolder, StepDone, run_adapter_training
from annotator.train.run.gate import Contestant, judge
from tests.little_room import little_room
from tests.small_base import SETTINGS, SMALL


@pytest.fixture(scope="module")
def base_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("base") / "base.safetensors"
    save_nano(build_nano(SMALL).eval(), path, config=SMALL, metadata={"sets": "none"})
    return path


@pytest.fixture(scope="module")
def segmenter(base_path: Path) -> Sam2Segmenter:
    found = load_segmenter(str(base_path), device="cpu", dtype=torch.float32, zoom=False)
    assert isinstance(found, Sam2Segmenter)
    return found


def trainer_of(segmenter: Sam2Segmenter, windows: Any, **changes: Any) -> DecoderTrainer:
    return DecoderTrainer(segmenter, windows, settings=replace(SETTINGS, **changes))


def test_the_decoder_learns_and_the_base_stays(
    segmenter: Sam2Segmenter, windows: WindowCache, parts: Split, base_path: Path, tmp_path: Path
) -> None:
    before = copy.deepcopy(segmenter.model.state_dict())
    bytes_before = base_path.read_bytes()
    trainer = trainer_of(segmenter, windows, epochs=8, learning_rate=4e-3 / COPIES_SCALE)
    seen: list[StepDone | EpochDone] = []
    base = run_adapter_training(trainer, windows, RunFolder(tmp_path / "run"), key="k", report=seen.append)
    epochs = [line for line in seen if isinstance(line, EpochDone)]
    assert max(line.figures["mean"] for line in epochs) > base["mean"] + 0.05
    assert max(line.figures["box"] for line in epochs) > base["box"] + 0.1

    out = tmp_path / "tuned.safetensors"
    save_tuned(trainer.best, out, base=weights_file(str(base_path)), metadata={"fine_tuned_on": "ellipses"})
    for name, tensor in segmenter.model.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    assert base_path.read_bytes() == bytes_before
    model, config, metadata = load_nano(out)
    assert config == SMALL
    assert (metadata["sets"], metadata["fine_tuned_on"]) == ("none", "ellipses")
    kept, changed = set(), set()
    for name, tensor in model.state_dict().items():
        (kept if torch.equal(tensor, before[name]) else changed).add(name)
    decoder = "sam_mask_decoder."
    assert changed
    assert all(name.startswith(decoder) for name in changed)
    assert not any(name.removeprefix(decoder).startswith(ENCODER_SIDE) for name in changed)
    assert any("transformer" in name for name in changed)  # more than an adapter's copies

    tuned = load_segmenter(str(out), device="cpu", dtype=torch.float32, zoom=False)
    image = np.zeros((96, 96, 3), np.uint8)
    image[30:60, 20:70] = 200
    answers = [
        one.decode(one.encode(image, "x"), Prompts(box=Box(20, 30, 70, 60))).chosen.logits for one in (segmenter, tuned)
    ]
    assert not np.array_equal(answers[0], answers[1])
    gate = judge(Contestant(segmenter), Contestant(tuned), parts.held_back, name="fine-tuned decoder", clicks=5)
    assert gate.row("IoU, box").difference.mean > 0.1
    assert "| base | fine-tuned decoder |" in gate.markdown("x")


def test_it_starts_where_the_base_is(
    segmenter: Sam2Segmenter, windows: WindowCache, base_path: Path, parts: Split, tmp_path: Path
) -> None:
    trainer = trainer_of(segmenter, windows)
    assert [group["scale"] for group in trainer.optimizer.param_groups] == [COPIES_SCALE]
    save_tuned(trainer.best, tmp_path / "same.safetensors", base=weights_file(str(base_path)))
    same = load_segmenter(str(tmp_path / "same.safetensors"), device="cpu", dtype=torch.float32, zoom=False)
    gate = judge(Contestant(segmenter), Contestant(same), parts.held_back[:2], clicks=5)
    for base, tuned in gate.per_object:
        assert (base.iou, base.biou, base.box_iou) == (tuned.iou, tuned.biou, tuned.box_iou)


def test_a_killed_run_goes_on_to_the_bit(segmenter: Sam2Segmenter, windows: WindowCache, tmp_path: Path) -> None:
    class KilledError(Exception):
        pass

    def whole(folder: RunFolder, stop_at: int | None) -> DecoderTrainer:
        trainer = trainer_of(segmenter, windows)

        def report(line: StepDone | EpochDone) -> None:
            if isinstance(line, StepDone) and line.step == stop_at:
                raise KilledError

        run_adapter_training(trainer, windows, folder, key="k", report=report)
        return trainer

    straight = whole(RunFolder(tmp_path / "a"), None)
    with pytest.raises(KilledError):
        whole(RunFolder(tmp_path / "b"), 5)
    resumed = whole(RunFolder(tmp_path / "b"), None)
    assert resumed.step == straight.step == 6
    for name, tensor in straight.network.state_dict().items():
        assert torch.equal(tensor, resumed.network.state_dict()[name]), name


def test_the_base_is_never_written_over(base_path: Path, tmp_path: Path) -> None:
    base = weights_file(str(base_path))
    with pytest.raises(ModelError, match="base itself"):
        check_tuned_path(base, base_path)
    link = tmp_path / "link.safetensors"
    link.symlink_to(base_path)
    with pytest.raises(ModelError, match="base itself"):
        check_tuned_path(base, link)
    with pytest.raises(ModelError, match=r"ends in \.safetensors"):
        check_tuned_path(base, tmp_path / "x.pt")


def test_a_sam2_checkpoint_keeps_its_format(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from annotator.engine.load import WeightsFile
    from annotator.engine.sam2 import files
    from annotator.studies import tuned_files

    torch.manual_seed(0)
    model: Any = build_nano(SMALL).eval()
    torch.save({"model": model.state_dict()}, tmp_path / "base.pt")
    monkeypatch.setattr(files, "build_config", lambda _name: build_nano(SMALL).eval())  # a small stand-in for sam2's
    decoder = {name: tensor + 0.5 for name, tensor in model.sam_mask_decoder.state_dict().items()}
    base, out = WeightsFile(tmp_path / "base.pt", "small"), tmp_path / "tuned.pt"
    tuned_files.save_tuned(decoder, out, base=base)
    loaded = files.load_sam2(out, config="small").state_dict()
    for name, tensor in model.state_dict().items():
        moved = name.startswith("sam_mask_decoder.")
        assert torch.equal(loaded[name], tensor + 0.5 if moved else tensor), name
    if sys.platform != "win32":
        before = out.read_bytes()
        with little_room(10_000), pytest.raises(OSError, match="large"):
            tuned_files.save_tuned(decoder, out, base=base)
        assert out.read_bytes() == before
        assert {path.name for path in tmp_path.iterdir()} == {"base.pt", "tuned.pt"}
