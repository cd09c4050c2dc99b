"""SAM 1 and HQ-SAM against their authors' packages, with the same random weights out of an authors' file."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from annotator.domain.geometry import Box
from annotator.domain.prompt import PointPrompt, Prompts
from annotator.engine.hf import sam as own_sam
from annotator.engine.hf.segmenter import HubSegmenter
from annotator.engine.load import load_segmenter
from tests.unit.engine.hub.tiny_hub import SIDE, picture

WIDTH, DEPTH, HEADS = 32, 2, 2
POINTS = [[40.0, 40.0], [90.0, 60.0]]


@pytest.fixture(autouse=True)
def tiny_encoders_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(own_sam.GLOBAL_BLOCKS, DEPTH, [1])
    monkeypatch.setitem(own_sam.HEADS_OF_WIDTH, WIDTH, HEADS)


def _random(model: Any) -> Any:
    torch.manual_seed(1)
    with torch.no_grad():
        for name, values in model.named_parameters():
            if "rel_pos" in name or "pos_embed" in name:
                values.normal_(std=0.1)
    return model.eval()


def _original(package: Any, decoder: Any, **more: Any) -> Any:
    modeling = package.modeling
    sam_class = modeling.Sam
    prompt_class = modeling.PromptEncoder
    torch.manual_seed(0)
    encoder = modeling.ImageEncoderViT(
        depth=DEPTH,
        embed_dim=WIDTH,
        img_size=SIDE,
        mlp_ratio=4,
        norm_layer=partial(torch.nn.LayerNorm, eps=1e-6),
        num_heads=HEADS,
        patch_size=16,
        qkv_bias=True,
        use_rel_pos=True,
        global_attn_indexes=[1],
        window_size=14,
        out_chans=256,
    )
    prompts = prompt_class(
        embed_dim=256, image_embedding_size=(SIDE // 16,) * 2, input_image_size=(SIDE, SIDE), mask_in_chans=16
    )
    transformer = modeling.TwoWayTransformer(depth=2, embedding_dim=256, mlp_dim=2048, num_heads=8)
    masks = decoder(
        num_multimask_outputs=3,
        transformer=transformer,
        transformer_dim=256,
        iou_head_depth=3,
        iou_head_hidden_dim=256,
        **more,
    )
    mean, std = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]
    return _random(sam_class(encoder, prompts, masks, mean, std))


def _loaded(sam: Any, path: Path) -> HubSegmenter:
    torch.save(sam.state_dict(), path)
    found = load_segmenter(str(path), device="cpu", dtype=torch.float32)
    assert isinstance(found, HubSegmenter)
    return found


def _logits(segmenter: HubSegmenter, embedding: Any, prompts: Prompts, before: Any = None) -> Any:
    """Raw logits and IoU by candidate, the smallest IoU first: candidates are ordered by area."""
    found = segmenter.decode(embedding, prompts, continue_from=before)
    order = sorted(found.items, key=lambda item: item.predicted_iou)
    return [segmenter._raw[item.token] for item in order], [item.predicted_iou for item in order]


def _check(raw: Any, iou: Any, masks: Any, expected_iou: Any) -> None:
    order = np.argsort(expected_iou[0].numpy())
    np.testing.assert_allclose(np.stack(raw), masks[0].numpy()[order].clip(-32, 32), atol=5e-4)
    np.testing.assert_allclose(iou, expected_iou[0].numpy()[order], atol=1e-4)


def test_sam_1_answers_as_its_authors_package(tmp_path: Path) -> None:
    package = pytest.importorskip("segment_anything", reason="the authors' package is not installed")
    sam = _original(package, package.modeling.MaskDecoder)
    segmenter = _loaded(sam, tmp_path / "mine.pth")
    image = picture(SIDE, 80)  # as long as the square: nothing is resized
    predictor = package.SamPredictor(sam)
    predictor.set_image(image)
    embedding = segmenter.encode(image, "k")
    np.testing.assert_allclose(embedding.levels[0], predictor.features, atol=1e-4)

    def original(points: Any, box: Any, multimask: bool, before: Any = None) -> Any:
        given = None if points is None else torch.tensor([points])
        labels = None if points is None else torch.tensor([[1, 0][: len(points)]])
        boxes = None if box is None else torch.tensor([box])
        _, iou, low = predictor.predict_torch(given, labels, boxes, before, multimask, return_logits=True)
        return low, iou

    first = PointPrompt(*POINTS[0])
    box = Box(20.0, 20.0, 60.0, 60.0)
    _check(*_logits(segmenter, embedding, Prompts((first,))), *original(POINTS[:1], None, True))
    _check(*_logits(segmenter, embedding, Prompts((), box)), *original(None, box.as_xyxy(), False))
    _check(*_logits(segmenter, embedding, Prompts((first,), box)), *original(POINTS[:1], box.as_xyxy(), False))
    before = segmenter.decode(embedding, Prompts((first,))).chosen
    two = Prompts((first, PointPrompt(*POINTS[1], is_positive=False)))
    fed_back = torch.from_numpy(segmenter._raw[before.token])[None, None]
    _check(*_logits(segmenter, embedding, two, before), *original(POINTS, None, False, fed_back))
    mask = predictor.predict(box=np.array(box.as_xyxy()), multimask_output=False)[0][0]
    ours = segmenter.decode(embedding, Prompts((), box)).chosen.mask.full()
    assert (mask & ours).sum() / max(1, (mask | ours).sum()) >= 0.99


def test_hq_sam_answers_as_its_authors_package_where_the_library_does_not(tmp_path: Path) -> None:
    package = pytest.importorskip("segment_anything_hq", reason="the authors' package is not installed")
    from segment_anything_hq.modeling.mask_decoder_hq import MaskDecoderHQ

    sam = _original(package, MaskDecoderHQ, vit_dim=WIDTH)
    segmenter = _loaded(sam, tmp_path / "mine.pth")
    image = picture(SIDE, 80)
    embedding = segmenter.encode(image, "k")
    features, blocks = sam.image_encoder(sam.preprocess(torch.from_numpy(image).permute(2, 0, 1)[None].float()))
    np.testing.assert_allclose(embedding.levels[0], features.detach(), atol=1e-4)

    def original(points: Any, box: Any) -> Any:
        given = None if points is None else (torch.tensor([points]), torch.ones(1, len(points), dtype=torch.int))
        with torch.inference_mode():
            boxes = None if box is None else torch.tensor([box])
            sparse, dense = sam.prompt_encoder(points=given, boxes=boxes, masks=None)
            return sam.mask_decoder(
                image_embeddings=features,
                image_pe=sam.prompt_encoder.get_dense_pe(),
                sparse_prompt_embeddings=sparse,
                dense_prompt_embeddings=dense,
                multimask_output=points is not None,
                hq_token_only=False,
                interm_embeddings=blocks,
            )

    box = Box(20.0, 20.0, 60.0, 60.0)
    _check(*_logits(segmenter, embedding, Prompts((), box)), *original(None, box.as_xyxy()))
    raw, iou = _logits(segmenter, embedding, Prompts((PointPrompt(*POINTS[0]),)))
    masks, best = original(POINTS[:1], None)  # the best of the three alone
    np.testing.assert_allclose(raw[-1], masks[0, 0].numpy().clip(-32, 32), atol=5e-4)
    assert iou[-1] == pytest.approx(float(best), abs=1e-4)
    with torch.inference_mode():
        model = segmenter._network.model
        given = torch.tensor([[box.as_xyxy()]])
        library = model(
            image_embeddings=embedding.levels[0],
            intermediate_embeddings=[embedding.levels[1]],
            input_boxes=given,
            multimask_output=False,
        )
    wrong = (library.pred_masks[0, 0, 0] - original(None, box.as_xyxy())[0][0, 0]).abs().max()
    assert wrong > 1e-3, "the library's decoder is right now: take its own call"


def test_files_of_two_families_are_told_apart_by_what_they_hold(tmp_path: Path) -> None:
    package = pytest.importorskip("segment_anything", reason="the authors' package is not installed")
    sam = _original(package, package.modeling.MaskDecoder)
    assert _loaded(sam, tmp_path / "any-name.pth").info.name == "any-name"
