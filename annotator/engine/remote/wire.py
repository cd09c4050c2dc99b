"""Questions and answers of the engine port as bytes, to the bit: a mask that was asked over a network is the same mask.

A question is JSON. An answer is a safetensors file: arrays by name, and one text with everything else; it can hold no
code, and is read without torch.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load, save

from annotator.domain.answering.everything import Proposal
from annotator.domain.answering.zoom import Region
from annotator.domain.errors import PromptError
from annotator.domain.geometry import Box
from annotator.domain.mask import Mask
from annotator.domain.ports.engine import Candidate, Candidates, UncertaintyMap
from annotator.domain.prompt import PointPrompt, Prompts

MEDIA_TYPE = "application/vnd.safetensors"
MOST_SIDE = 1024
"""Of a grid of logits."""
_TEXT = "answer"

Arrays = dict[str, npt.NDArray[Any]]
DAMAGED = (SafetensorError, KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError)
"""What reading an answer raises that is none."""


# --- questions --------------------------------------------------------------------------------------------------------


def prompts_to_json(prompts: Prompts) -> dict[str, Any]:
    """What of the prompts is for the model."""
    asked = prompts.asked
    return {
        "points": [{"x": p.x, "y": p.y, "label": int(p.is_positive)} for p in asked.points],
        "box": None if asked.box is None else list(asked.box.as_xyxy()),
        "base_mask": None if asked.base_mask is None else mask_to_json(asked.base_mask),
    }


def prompts_of(points: tuple[PointPrompt, ...], box: Box | None, base_mask: Any, *, width: int, height: int) -> Prompts:
    """``base_mask``: of :func:`mask_to_json`, or None.

    Raises:
        PromptError: the mask is damaged, or of another size than the image.
    """
    mask = None if base_mask is None else _of_image(base_mask, width=width, height=height)
    return Prompts(points, box, mask)


def _of_image(data: Any, *, width: int, height: int) -> Mask:
    try:
        mask = mask_of(data)
    except DAMAGED:
        raise PromptError("The mask is damaged.", "Send COCO's compressed run lengths.") from None
    if (mask.width, mask.height) != (width, height):
        raise PromptError(
            f"The mask is of an image of {mask.width} x {mask.height} px; this one has {width} x {height}."
        )
    return mask


def mask_to_json(mask: Mask) -> dict[str, Any]:
    return {"size": [mask.height, mask.width], "counts": mask.rle().decode("ascii")}


def mask_of(data: Mapping[str, Any]) -> Mask:
    """Raises: one of :data:`DAMAGED`."""
    height, width = data["size"]
    return Mask.from_rle(str(data["counts"]), int(width), int(height)).tight()


def continued_to_json(candidate: Candidate) -> dict[str, Any]:
    """The candidate that a question goes on from: whole, so that the server has to remember nothing."""
    logits = np.ascontiguousarray(candidate.logits, np.float32)
    return {
        "token": candidate.token,
        "shape": list(logits.shape),
        "logits": base64.b64encode(logits.tobytes()).decode("ascii"),
        "logits_box": None if candidate.logits_box is None else list(candidate.logits_box.as_xyxy()),
        "predicted_iou": candidate.predicted_iou,
        "stability": candidate.stability,
        "label": candidate.label,
        "mask": mask_to_json(candidate.mask),
    }


def continued_of(data: Mapping[str, Any], *, width: int, height: int) -> Candidate:
    """Raises:
    PromptError: it is damaged, or of another image.
    """
    try:
        rows, columns = data["shape"]
        if not (0 < rows <= MOST_SIDE and 0 < columns <= MOST_SIDE):
            raise ValueError
        raw = base64.b64decode(data["logits"], validate=True)
        logits = np.frombuffer(raw, "<f4").reshape(rows, columns).astype(np.float32)
        box = data["logits_box"]
        return Candidate(
            logits,
            float(data["predicted_iou"]),
            float(data["stability"]),
            _of_image(data["mask"], width=width, height=height),
            str(data["label"]),
            None,
            None if box is None else Box(*(float(v) for v in box)),
            str(data["token"]),
        )
    except (*DAMAGED, binascii.Error):
        raise PromptError("What the question goes on from is damaged.", "Ask without it.") from None


# --- answers ----------------------------------------------------------------------------------------------------------


def pack_candidates(found: Candidates, facts: Mapping[str, Any]) -> bytes:
    """``facts``: more for the header, as JSON has it."""
    arrays: Arrays = {}
    items = []
    for number, one in enumerate(found.items):
        arrays[f"logits_{number}"] = np.ascontiguousarray(one.logits, np.float32)
        if one.uncertainty is not None:
            arrays[f"uncertainty_{number}"] = np.ascontiguousarray(one.uncertainty.values, np.float32)
        items.append(
            {
                "predicted_iou": float(one.predicted_iou),
                "stability": float(one.stability),
                "mask": mask_to_json(one.mask),
                "label": one.label,
                "logits_box": None if one.logits_box is None else list(one.logits_box.as_xyxy()),
                "token": one.token,
                "uncertainty": None if one.uncertainty is None else _uncertainty_to_json(one.uncertainty),
            }
        )
    answer = {
        "items": items,
        "best": found.best,
        "object_score": float(found.object_score),
        "decode_ms": float(found.decode_ms),
        "looked_closer": found.looked_closer,
    }
    return _packed(arrays, answer | dict(facts))


def unpack_candidates(data: bytes) -> tuple[Candidates, dict[str, Any]]:
    """The answer and its whole header.

    Raises: one of :data:`DAMAGED`.
    """
    arrays, answer = _unpacked(data)
    items = tuple(_candidate_of(one, arrays, number) for number, one in enumerate(answer["items"]))
    best = int(answer["best"])
    if not 0 <= best < len(items):
        raise ValueError("the best candidate is not there")
    score, decode_ms = float(answer["object_score"]), float(answer["decode_ms"])
    return Candidates(items, best, score, decode_ms, bool(answer["looked_closer"])), answer


def _candidate_of(data: Mapping[str, Any], arrays: Arrays, number: int) -> Candidate:
    box, doubt = data["logits_box"], data["uncertainty"]
    return Candidate(
        arrays[f"logits_{number}"],
        float(data["predicted_iou"]),
        float(data["stability"]),
        mask_of(data["mask"]),
        str(data["label"]),
        None if doubt is None else _uncertainty_of(doubt, arrays[f"uncertainty_{number}"]),
        None if box is None else Box(*(float(v) for v in box)),
        str(data["token"]),
    )


def _uncertainty_to_json(found: UncertaintyMap) -> dict[str, Any]:
    points = [[p.x, p.y, int(p.is_positive)] for p in found.hard_points]
    return {"box": list(found.box.as_xyxy()), "hard_points": points}


def _uncertainty_of(data: Mapping[str, Any], values: npt.NDArray[Any]) -> UncertaintyMap:
    points = tuple(PointPrompt(float(x), float(y), bool(sign)) for x, y, sign in data["hard_points"])
    return UncertaintyMap(values, Box(*(float(v) for v in data["box"])), points)


def pack_proposals(found: tuple[Proposal, ...], facts: Mapping[str, Any]) -> bytes:
    items = [
        {
            "mask": mask_to_json(one.mask),
            "predicted_iou": float(one.predicted_iou),
            "stability_score": float(one.stability_score),
            "point_xy": [float(v) for v in one.point_xy],
            "crop": [one.crop.x0, one.crop.y0, one.crop.x1, one.crop.y1],
        }
        for one in found
    ]
    return _packed({}, {"items": items} | dict(facts))


def unpack_proposals(data: bytes) -> tuple[tuple[Proposal, ...], dict[str, Any]]:
    """Raises: one of :data:`DAMAGED`."""
    _, answer = _unpacked(data)

    def proposal(one: Mapping[str, Any]) -> Proposal:
        x, y = one["point_xy"]
        crop = Region(*(int(v) for v in one["crop"]))
        score, stability = float(one["predicted_iou"]), float(one["stability_score"])
        return Proposal(mask_of(one["mask"]), score, stability, (float(x), float(y)), crop)

    return tuple(proposal(one) for one in answer["items"]), answer


def _packed(arrays: Arrays, answer: Mapping[str, Any]) -> bytes:
    # A file without an array is none for safetensors.
    return save(arrays or {"none": np.zeros(1, np.uint8)}, {_TEXT: json.dumps(answer)})


def _unpacked(data: bytes) -> tuple[Arrays, dict[str, Any]]:
    arrays = load(data)
    head = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    answer: dict[str, Any] = json.loads(head["__metadata__"][_TEXT])
    return arrays, answer
