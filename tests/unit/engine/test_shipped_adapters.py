"""The adapters that come with the program: for the shipped model, with cards, and they decode."""

from __future__ import annotations

import numpy as np
import pytest

from annotator.domain.adapter import DECIDING
from annotator.domain.geometry import Box
from annotator.domain.prompt import PointPrompt, Prompts
from annotator.engine import weights
from annotator.engine.load import load_segmenter
from annotator.engine.sam2.adapter_files import list_adapters, load_adapter, read_adapter_info, read_card

FOLDER = weights.shipped_dir() / "adapters"
PATHS = sorted(FOLDER.glob("*.safetensors"))


def test_every_shipped_adapter_is_listed_for_a_shipped_model_and_says_what_it_may_be_used_for() -> None:
    found = list_adapters([FOLDER])
    assert [path for path, _ in found] == PATHS != []
    for path, info in found:
        assert info.base_sha256 == weights.sha256_of(weights.shipped_dir() / weights.registry()[info.base_name].file)
        assert "Apache-2.0" in info.licence
        assert info.name == path.stem
        base, adapted = info.figures[DECIDING]
        assert adapted > base
        card = read_card(path)
        assert path.with_suffix(".md").read_text(encoding="utf-8") == card
        assert "| held-back images | base | adapter | difference |" in card
        assert info.base_sha256 in card
        assert f"| bIoU, all | {base:.3f} [" in card
        assert path.stat().st_size < 4_000_000


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_it_answers_on_its_model(path) -> None:
    segmenter = load_segmenter(read_adapter_info(path).base_name, device="cpu")
    image = np.random.default_rng(0).integers(0, 60, (120, 160, 3), dtype=np.uint8)
    image[40:90, 50:110] += 150
    embedding = segmenter.encode(image, "k")
    prompts = Prompts(box=Box(48, 38, 112, 92))
    plain = segmenter.decode(embedding, prompts).chosen
    segmenter.set_adapter(load_adapter(path, base=segmenter.info))  # type: ignore[attr-defined]
    adapted = segmenter.decode(embedding, prompts).chosen
    assert adapted.mask.iou(plain.mask) > 0.8
    assert not np.array_equal(adapted.logits, plain.logits)
    assert adapted.uncertainty is not None
    clicked = segmenter.decode(embedding, Prompts((PointPrompt(80, 65),)))
    assert len(clicked.items) == 3
