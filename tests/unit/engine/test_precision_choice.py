"""bfloat16 on a processor: taken only where it is faster and gives the same masks, tried once, remembered."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from annotator.domain.mask import Mask
from annotator.domain.ports.engine import Candidate, Candidates, ModelInfo
from annotator.engine import precision as precision_choice
from annotator.engine import weights
from annotator.engine.precision import Trial, in_best_precision, picture, prompts_of_picture
from annotator.engine.sam2.nano import load_nano
from annotator.engine.sam2.segmenter import Sam2Segmenter

CPU = torch.device("cpu")
SHA = "a" * 64


class Drawn(Sam2Segmenter):
    """Answers every prompt with one square; as slow, and as far off in bfloat16, as the test wants."""

    def __init__(self, kind: torch.dtype, *, half_off_px: int, half_ms: float, full_ms: float) -> None:
        is_half = kind == torch.bfloat16
        self.kind, self._ms, self._off = kind, half_ms if is_half else full_ms, half_off_px if is_half else 0
        self.encodes = 0

    def encode(self, image: Any, image_key: str, **_: Any) -> Any:
        self.encodes += 1
        clock.now_s += self._ms / 1e3
        return image.shape

    def decode(self, embedding: Any, prompts: Any, **_: Any) -> Candidates:
        full = np.zeros(embedding[:2], bool)
        full[100:200, 100 + self._off : 200 + self._off] = True
        logits = np.zeros((4, 4), np.float32)
        other = Candidate(logits, 0.3, 1.0, Mask.empty(embedding[1], embedding[0]))
        shown = Candidate(logits, 0.9, 1.0, Mask.from_full(full))
        # A near tie: bfloat16 shows the other candidate first, and that alone is no other mask.
        return Candidates((other, shown), best=0 if self.kind == torch.bfloat16 else 1, object_score=1, decode_ms=0)


clock = SimpleNamespace(now_s=0.0)
"""Only encoding takes time: a loaded machine must not decide what is faster."""


class Builder:
    """Builds drawn segmenters and remembers which."""

    def __init__(self, *, half_off_px: int = 0, half_ms: float = 5.0, full_ms: float = 40.0) -> None:
        self.options = {"half_off_px": half_off_px, "half_ms": half_ms, "full_ms": full_ms}
        self.built: list[Drawn] = []

    def __call__(self, kind: torch.dtype) -> Drawn:
        self.built.append(Drawn(kind, **self.options))  # type: ignore[arg-type]
        return self.built[-1]

    @property
    def kinds(self) -> list[torch.dtype]:
        return [segmenter.kind for segmenter in self.built]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision_choice, "cpu_has_bfloat16", lambda: True)
    monkeypatch.setattr(precision_choice, "ENOUGH_MS", 60.0)
    monkeypatch.setattr(precision_choice, "time", SimpleNamespace(perf_counter=lambda: clock.now_s))


@pytest.fixture
def memory(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "precision.json"


def chosen(build: Builder, memory: Path, **options: Any) -> torch.dtype:
    found = in_best_precision(build, CPU, weights_sha256=SHA, memory=memory, **options)
    assert isinstance(found, Drawn)
    assert found in build.built
    return found.kind


def test_the_faster_arithmetic_with_the_same_masks_is_taken_and_remembered(memory: Path) -> None:
    told: list[str] = []
    first, second = Builder(), Builder()
    assert chosen(first, memory, say=told.append) == torch.bfloat16
    assert len(told) == 1
    assert chosen(second, memory, say=told.append) == torch.bfloat16
    assert second.kinds == [torch.bfloat16]
    assert second.built[0].encodes == 0
    assert len(told) == 1


def test_other_masks_are_reason_enough_against_it(memory: Path) -> None:
    """One column of a hundred moved: IoU 99 / 101."""
    first, second = Builder(half_off_px=1), Builder(half_off_px=1)
    assert chosen(first, memory) == torch.float32
    assert chosen(second, memory) == torch.float32
    assert second.kinds == [torch.float32]
    (kept,) = json.loads(memory.read_text()).values()
    assert kept["iou"] == pytest.approx(99 / 101, abs=1e-4)


@pytest.mark.parametrize("half_ms", [20.0, 60.0])
def test_what_is_not_faster_is_not_taken(memory: Path, half_ms: float) -> None:
    assert chosen(Builder(half_ms=half_ms, full_ms=20), memory) == torch.float32


def test_other_weights_torch_or_processor_are_tried_anew(memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen(Builder(), memory)
    tries = 1
    for name, value in (("SHA", "b" * 64), ("version", "9.9"), ("cpu", "another")):
        if name == "SHA":
            monkeypatch.setitem(globals(), "SHA", value)
        elif name == "version":
            monkeypatch.setattr(torch, "__version__", value)
        else:
            monkeypatch.setattr(precision_choice, "cpu_name", lambda: "another")
        build = Builder()
        chosen(build, memory)
        tries += 1
        assert len(build.built) == 2
        assert len(json.loads(memory.read_text())) == tries


@pytest.mark.parametrize("content", ["", "not json", "[]", "3", '{"a": 1}', "\x00"])
def test_a_damaged_memory_is_replaced(memory: Path, content: str, caplog: pytest.LogCaptureFixture) -> None:
    memory.parent.mkdir()
    memory.write_text(content)
    assert chosen(Builder(), memory) == torch.bfloat16
    assert chosen(again := Builder(), memory) == torch.bfloat16
    assert len(again.built) == 1


def test_a_broken_entry_is_tried_again(memory: Path) -> None:
    chosen(Builder(), memory)
    (key,) = json.loads(memory.read_text())
    for broken in (None, {}, {"iou": "x", "float32_ms": 1, "bfloat16_ms": 1}):
        memory.write_text(json.dumps({key: broken}))
        build = Builder()
        assert chosen(build, memory) == torch.bfloat16
        assert len(build.built) == 2


def test_a_cache_that_cannot_be_written_costs_only_another_trial(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    assert chosen(Builder(), tmp_path / "file" / "precision.json") == torch.bfloat16
    assert "cannot be written" in caplog.text


def test_no_trial_where_the_answer_is_known(memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = Builder()
    in_best_precision(wanted, CPU, torch.bfloat16, weights_sha256=SHA, memory=memory)
    assert wanted.kinds == [torch.bfloat16]
    mps = Builder()
    in_best_precision(mps, torch.device("mps"), weights_sha256=SHA, memory=memory)
    assert mps.kinds == [torch.float32]
    for has_it, kind in ((True, torch.bfloat16), (False, torch.float32)):
        # A card before Ampere says yes to a bare question, and emulates.
        monkeypatch.setattr(
            torch.cuda,
            "is_bf16_supported",
            lambda including_emulation=True, has_it=has_it: including_emulation or has_it,
        )
        cuda = Builder()
        in_best_precision(cuda, torch.device("cuda"), weights_sha256=SHA, memory=memory)
        assert cuda.kinds == [kind]
    monkeypatch.setattr(precision_choice, "cpu_has_bfloat16", lambda: False)
    old = Builder()
    in_best_precision(old, CPU, weights_sha256=SHA, memory=memory)
    assert old.kinds == [torch.float32]
    assert not memory.exists()


def test_the_rule() -> None:
    good = Trial(iou=0.995, float32_ms=100, bfloat16_ms=50)
    assert good.takes_bfloat16
    assert not replace(good, iou=0.98).takes_bfloat16
    assert not replace(good, bfloat16_ms=99).takes_bfloat16


def test_every_prompt_lies_in_the_picture() -> None:
    height, width, _ = picture().shape
    for prompts in prompts_of_picture():
        assert all(0 < p.x < width and 0 < p.y < height for p in prompts.points)
        assert prompts.box is None or prompts.box == prompts.box.clipped(width, height)


def test_the_embedded_model_is_really_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where bfloat16 is emulated this is slow arithmetic, and still a trial."""
    monkeypatch.setattr(precision_choice, "time", time)
    entry = next(entry for entry in weights.registry().values() if entry.kind == "nano")
    path = weights.find_file(entry)
    assert path is not None
    model, config, _ = load_nano(path)

    def build(kind: torch.dtype) -> Sam2Segmenter:
        return Sam2Segmenter(
            model, ModelInfo("x", SHA, "cpu", str(kind), 0), dtype=kind, dense_prompt=config.dense_prompt
        )

    trial = precision_choice.try_both(build(torch.bfloat16), build(torch.float32))
    assert 0.5 < trial.iou <= 1
    assert trial.float32_ms > 0
    assert trial.bfloat16_ms > 0
    assert precision_choice.try_both(build(torch.float32), build(torch.float32)).iou == 1.0
