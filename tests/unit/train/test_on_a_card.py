"""Training on a graphics card's rules (:mod:`tests.strict_card`): the run there is the run on the processor."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from annotator.domain.adapter import AdapterInfo
from annotator.domain.errors import DeviceMemoryError
from annotator.engine.sam2.adapted_decoder import Adapter
from annotator.engine.sam2.adapter_files import config_of, load_adapter, save_adapter
from annotator.engine.sam2.adapter_network import AdapterConfig, PromptAdapter
from annotator.engine.sam2.nano import build_nano
from annotator.engine.sam2.segmenter import Sam2Segmenter
from annotator.studies.decoder_tuning import DecoderTrainer
from annotator.train.adapter import AdapterTrainer
from annotator.train.data.encoded import WindowCache
from annotator.train.data.sources import Split, training_images
from annotator.train.prompted import PromptedTrainer
from annotator.train.run.adapter_run import EpochDone, RunFolder, StepDone, run_adapter_training
from annotator.train.run.gate import Contestant, judge
from annotator.train.steps.adapter_losses import LossParts
from annotator.train.steps.adapter_prompts import Kind
from tests.small_base import BASE, SETTINGS, SMALL
from tests.strict_card import CARD, strict_card


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> Iterator[torch.device]:
    # Every operation is looked at: that takes time.
    monkeypatch.setattr("annotator.train.prompted.VALIDATION_CLICKS", 2)
    with strict_card(monkeypatch) as device:
        yield device


def segmenter_on(device: torch.device) -> Sam2Segmenter:
    torch.manual_seed(0)
    return Sam2Segmenter(build_nano(SMALL).to(device), replace(BASE, device=device.type), dense_prompt="stamps-2")


def windows_of(segmenter: Sam2Segmenter, parts: Split, folder: Path) -> WindowCache:
    cache = WindowCache(folder, segmenter, training_images(parts.train, "ellipses"), count=2, seed=0)
    cache.fill(lambda _done, _all: None)
    return cache


def trainer_of(kind: str, segmenter: Sam2Segmenter, windows: Any, **changes: Any) -> PromptedTrainer[Any]:
    settings = replace(SETTINGS, **changes)
    if kind == "decoder":
        return DecoderTrainer(segmenter, windows, settings=settings)
    return AdapterTrainer(segmenter, windows, settings=settings, config=AdapterConfig(SMALL.channels))


@pytest.mark.parametrize("kind", ["adapter", "decoder"])
def test_every_kind_of_prompt_trains(
    card: torch.device, kind: str, parts: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses: dict[str, list[float]] = {}
    for device in (torch.device("cpu"), card):
        segmenter = segmenter_on(device)
        trainer = trainer_of(kind, segmenter, windows_of(segmenter, parts, tmp_path / device.type))
        trainer.step = trainer.steps_per_epoch * SETTINGS.epochs // 2  # hard points are on
        for prompt in Kind:
            monkeypatch.setattr("annotator.train.prompted.draw_kind", lambda _rng, prompt=prompt: prompt)
            losses.setdefault(device.type, []).extend(float(found.total) for found in trainer.train_step())
        assert next(trainer.network.parameters()).device == device
    np.testing.assert_allclose(losses["cuda"], losses["cpu"], rtol=0.1)  # the same draws; bfloat16 rounds them twice


def test_a_killed_run_goes_on(card: torch.device, parts: Split, tmp_path: Path) -> None:
    segmenter = segmenter_on(card)
    windows = windows_of(segmenter, parts, tmp_path / "windows")

    def whole(folder: RunFolder, stop_at: int | None) -> PromptedTrainer[Any]:
        trainer = trainer_of("adapter", segmenter, windows, epochs=3)

        def report(line: StepDone | EpochDone) -> None:
            if isinstance(line, StepDone) and line.step == stop_at:
                raise KeyboardInterrupt

        run_adapter_training(trainer, windows, folder, key="k", report=report)
        return trainer

    straight = whole(RunFolder(tmp_path / "a"), None)
    with pytest.raises(KeyboardInterrupt):
        whole(RunFolder(tmp_path / "b"), 2)
    resumed = whole(RunFolder(tmp_path / "b"), None)
    assert resumed.step == straight.step == 3
    for name, tensor in straight.network.state_dict().items():
        assert torch.equal(tensor.cpu(), resumed.network.state_dict()[name].cpu()), name
    steps = [state["step"] for state in resumed.optimizer.state.values()]
    assert steps
    assert all(step.device.type == "cpu" for step in steps)  # on a card each would be waited for


def test_the_gate_judges_and_the_file_is_written(card: torch.device, parts: Split, tmp_path: Path) -> None:
    segmenter = segmenter_on(card)
    network = PromptAdapter.on(segmenter.model, AdapterConfig(SMALL.channels))
    info = AdapterInfo("same", "", BASE.name, BASE.sha256, config_of(network))
    save_adapter(network, info, tmp_path / "same.safetensors")
    adapter: Adapter = load_adapter(tmp_path / "same.safetensors", base=segmenter.info, device=segmenter.device)
    assert next(adapter.network.parameters()).device == CARD
    found = judge(Contestant(segmenter), Contestant(segmenter, adapter), parts.held_back, clicks=2)
    for base, adapted in found.per_object:  # an untrained adapter is its base
        assert (base.iou, base.biou, base.box_iou) == (adapted.iou, adapted.biou, adapted.box_iou)


def test_a_card_that_fills_up_keeps_what_was_learnt(
    card: torch.device, parts: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    segmenter = segmenter_on(card)
    windows = windows_of(segmenter, parts, tmp_path / "windows")
    folder = RunFolder(tmp_path / "run")
    trainer = trainer_of("adapter", segmenter, windows)
    learn = trainer.train_step

    def fill_up() -> list[LossParts]:
        if trainer.epoch == 1:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 MiB.")
        return learn()

    monkeypatch.setattr(trainer, "train_step", fill_up)
    with pytest.raises(DeviceMemoryError, match="--batch 1 --accumulate 2"):
        run_adapter_training(trainer, windows, folder, key="k", report=lambda _: None)
    roomier = trainer_of("adapter", segmenter, windows)
    first: list[StepDone | EpochDone] = []
    run_adapter_training(roomier, windows, folder, key="k", report=first.append)
    assert (first[0].step, roomier.epoch) == (2, 2)
