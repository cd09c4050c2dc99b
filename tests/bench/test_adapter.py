"""What a prompt adapter costs: per click on top of the decode, and to swap; base and adapter in turns.

Times are printed, because they belong to the machine; asserted is only that nothing is encoded again.
"""

from __future__ import annotations

import os
import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from annotator.domain.adapter import AdapterInfo
from annotator.domain.geometry import Box
from annotator.domain.ports.engine import ModelInfo
from annotator.domain.prompt import Prompts
from annotator.engine import weights
from annotator.engine.sam2.adapted_decoder import Adapter
from annotator.engine.sam2.adapter_files import config_of, load_adapter, save_adapter
from annotator.engine.sam2.adapter_network import PromptAdapter
from annotator.engine.sam2.files import build_config
from annotator.engine.sam2.nano import load_nano
from annotator.engine.sam2.segmenter import Sam2Segmenter
from tests.bench.interleaved import Stopwatch, percentiles
from tests.bench.test_engine import BOX_XYXY, drawn_logits, photograph, prompts_of

pytestmark = [pytest.mark.bench, pytest.mark.timeout(1800)]

ROUNDS = max(4, int(os.environ.get("BENCH_ROUNDS", "5")) * 6)
SWAPS = 20


def opened(model: torch.nn.Module) -> Adapter:
    """An adapter whose every part speaks a little, so that nothing is left out; its masks stay the base's, nearly."""
    torch.manual_seed(0)
    network = PromptAdapter.on(model)
    with torch.no_grad():
        for gate in (network.query_gate, network.key_gate, network.point_gate):
            gate.add_(torch.randn_like(gate) * 1e-3)
    info = AdapterInfo("bench", "", "bench", "0" * 64, config_of(network))
    return Adapter(network.eval(), info)


def models() -> list[Any]:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(1)
    status = weights.status_of(weights.registry()["nano"])
    assert status.path is not None
    nano, config, _ = load_nano(status.path)
    tiny = build_config("configs/sam2.1/sam2.1_hiera_t.yaml")
    found = []
    for name, model, dense_prompt in (("nano", nano, config.dense_prompt), ("SAM 2.1 tiny", tiny, "")):
        for dtype in (torch.float32, torch.bfloat16):
            found.append((name, model.to(device), dense_prompt, dtype))
    return found


def drawn(segmenter: Sam2Segmenter) -> None:
    """Random weights answer with noise, whose outline is everywhere: masks are cut from an object's logits instead."""
    original = segmenter.candidates_of
    side = segmenter.info.image_size // 4
    logits = torch.nn.functional.interpolate(drawn_logits(), (side, side), mode="bilinear", align_corners=False)[0]

    def candidates(found: Any, *others: Any) -> Any:
        return original(replace(found, masks=logits[1:] if len(found.masks) == 3 else logits[:1]), *others)

    segmenter.candidates_of = candidates  # type: ignore[method-assign]


@pytest.mark.parametrize("number", range(4), ids=["nano fp32", "nano bf16", "tiny fp32", "tiny bf16"])
def test_overhead_of_a_click_and_time_of_a_swap(number: int, tmp_path: Path) -> None:
    name, model, dense_prompt, dtype = models()[number]
    device = str(next(model.parameters()).device.type)
    info = ModelInfo("bench", "0" * 64, device, str(dtype).removeprefix("torch."), int(model.image_size))
    plain, adapted = (Sam2Segmenter(model, info, dtype=dtype, dense_prompt=dense_prompt) for _ in range(2))
    adapter = opened(model)
    adapted.set_adapter(adapter)
    for segmenter in (plain, adapted):
        drawn(segmenter)
    sides = [
        (who, engine, engine.encode(photograph(), "picture")) for who, engine in (("base", plain), ("adapter", adapted))
    ]
    watch = Stopwatch()
    firsts = [engine.decode(embedding, prompts_of(1)).chosen for _, engine, embedding in sides]
    for turn in range(ROUNDS + 2):
        into = watch if turn >= 2 else Stopwatch()  # the first rounds also make what is made once
        for (who, engine, embedding), before in zip(sides, firsts, strict=True):
            into.time("first click", who, lambda: engine.decode(embedding, prompts_of(1)))  # noqa: B023
            into.time("fifth click", who, lambda: engine.decode(embedding, prompts_of(5), continue_from=before))  # noqa: B023
            into.time("box", who, lambda: engine.decode(embedding, Prompts(box=Box(*BOX_XYXY))))  # noqa: B023
    print(watch.table(f"{name}, {info.dtype}, {device}, threads: {torch.get_num_threads()}", [("base", "adapter")]))
    for step, by_who in watch.ms.items():
        share = statistics.median(b / a for a, b in zip(by_who["base"], by_who["adapter"], strict=True)) - 1
        print(f"{step}: the adapter adds {share:+.1%}")

    encodes: list[int] = []
    model.image_encoder.register_forward_hook(lambda *_: encodes.append(1))
    save_adapter(adapter.network, adapter.info, tmp_path / "a.safetensors")
    swap_ms, file_ms, (_, engine, embedding) = [], [], sides[1]
    read: list[Adapter] = []
    for _ in range(SWAPS):
        clock = Stopwatch()
        clock.time("click", "x", lambda: engine.decode(embedding, Prompts(box=Box(*BOX_XYXY))))
        clock.time("file", "x", lambda: read.append(load_adapter(tmp_path / "a.safetensors", base=info)))
        clock.time("swap", "x", lambda: engine.set_adapter(read[-1]))
        clock.time("first", "x", lambda: engine.decode(embedding, Prompts(box=Box(*BOX_XYXY))))
        after = clock.ms["swap"]["x"][0] + clock.ms["first"]["x"][0] - clock.ms["click"]["x"][0]
        swap_ms.append(after)
        file_ms.append(clock.ms["file"]["x"][0])
    print(f"swap on a cached embedding, up to its first click beyond a click's own time: {percentiles(swap_ms)}")
    print(f"reading the file ({(tmp_path / 'a.safetensors').stat().st_size / 1e6:.1f} MB): {percentiles(file_ms)}")
    assert not encodes
