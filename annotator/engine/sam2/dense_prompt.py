"""Clicks and boxes written into SAM 2's dense prompt, for models that were trained with it.

"stamps-1" draws bumps and colour likeness; "stamps-2" adds evidence from colour models (``colour_evidence``). For
comparison (docs/studies/nano-log.md) there are "discs-1", bumps alone, and "distances-1", distances to the clicks.

A small model trained from scratch does not learn to find a click from its token alone (``docs/studies/nano-log.md``);
it does when the click is also drawn where it lies. The drawing uses SAM 2's own mask input, one channel of
low-resolution logits, so the architecture is unchanged. Training and inference call the same function.
"""

from __future__ import annotations

import torch
from torch import Tensor

from annotator.engine.sam2.colour_evidence import colour_evidence, mean_of_nine

KINDS = ("stamps-1", "stamps-2", "discs-1", "distances-1")
BUMP_LOGIT = 8.0
BUMP_SIGMA_CELLS = 1.5
NEAR_SIGMA_CELLS = 2.5
AROUND_SHARE = 0.15
"""Of the picture's columns: how far a click's object reaches before its colours are looked at."""
COLOUR_SIGMA = 0.12
DECAY_CELLS = 40.0
BOX_INSIDE, BOX_OUTSIDE = 1.0, -6.0
LIMIT = 32.0
CELL_PX = 4.0
BOX_SLACK = 0.06
"""How far outside its box an object may reach, as a share of the box's sides: people drag sloppily."""


def draw_prompts(
    kind: str, points: Tensor, labels: Tensor, thumbnail: Tensor, previous: Tensor | None = None
) -> Tensor:
    """The dense prompt of a model trained with ``kind``; arguments and result as :func:`stamp_prompts`.

    Raises:
        ValueError: a kind this version does not know.
    """
    if kind == "stamps-1":
        return stamp_prompts(points, labels, thumbnail, previous)
    if kind == "stamps-2":
        return evidence_prompts(points, labels, thumbnail, previous)
    if kind in ("discs-1", "distances-1"):
        return plain_prompts(points, labels, thumbnail, previous, is_distance=kind == "distances-1")
    raise ValueError(f"unknown dense prompt {kind!r}")


def evidence_prompts(points: Tensor, labels: Tensor, thumbnail: Tensor, previous: Tensor | None = None) -> Tensor:
    """Position prior + colour evidence + click bumps, all as logits in one map; see :func:`stamp_prompts`."""
    if previous is None and points.shape[1] == 1 and bool((labels == 1).all()):
        return _first_clicks(points[:, 0], thumbnail)
    rows, columns = thumbnail.shape[-2:]
    x = (torch.arange(columns, device=points.device, dtype=torch.float32) + 0.5) * CELL_PX
    y = (torch.arange(rows, device=points.device, dtype=torch.float32) + 0.5) * CELL_PX
    px, py = points[..., 0].float(), points[..., 1].float()
    dx2, dy2 = ((x - px[..., None]) / CELL_PX).square(), ((y - py[..., None]) / CELL_PX).square()
    is_positive, is_negative = (labels == 1)[..., None, None].float(), (labels == 0)[..., None, None].float()
    bumps = ((is_positive - is_negative) * _bell(dx2, dy2, BUMP_SIGMA_CELLS)).sum(1, keepdim=True)

    prior, allowed = _box_prior(px, py, labels, x, y)
    if previous is not None:
        prior = torch.sigmoid(previous.float() / 2).clamp(0.05, 0.95)
    near = _bell(dx2, dy2, NEAR_SIGMA_CELLS)
    near_positive, near_negative = ((near * sign).amax(1, keepdim=True) for sign in (is_positive, is_negative))
    if previous is None:
        has_box = ((labels == 2).any(1) & (labels == 3).any(1))[:, None, None, None]
        around = _bell(dx2, dy2, AROUND_SHARE * columns)
        clicked = 0.05 + 0.45 * (around * is_positive).amax(1, keepdim=True)
        prior = torch.where(has_box, prior, clicked)
    prior = torch.maximum(prior, 0.97 * near_positive) * (1 - 0.97 * near_negative)
    evidence = colour_evidence(thumbnail, prior, allowed)

    distance_cells = (dy2[..., :, None] + dx2[..., None, :]).sqrt()
    alike = _colour_likeness(px, py, thumbnail) * torch.exp(-distance_cells / DECAY_CELLS)
    likeness = (alike * is_positive).amax(1, keepdim=True) - (alike * is_negative).amax(1, keepdim=True)
    if previous is not None:
        return (previous.float() + BUMP_LOGIT * bumps + likeness + 0.5 * evidence).clamp(-LIMIT, LIMIT)
    base = torch.where(allowed > 0, torch.logit(prior, eps=1e-3) + evidence, torch.full_like(prior, BOX_OUTSIDE))
    return (base + BUMP_LOGIT * bumps + 2.0 * likeness).clamp(-LIMIT, LIMIT)


def _first_clicks(points: Tensor, thumbnail: Tensor) -> Tensor:
    """:func:`evidence_prompts` of one positive click each and nothing else, to the bit: what other prompts would add is
    nothing here, and a grid of clicks need not compute it.

    Args:
        points: B x 2.
    """
    rows, columns = thumbnail.shape[-2:]
    x = (torch.arange(columns, device=points.device, dtype=torch.float32) + 0.5) * CELL_PX
    y = (torch.arange(rows, device=points.device, dtype=torch.float32) + 0.5) * CELL_PX
    px, py = points[:, :1].float(), points[:, 1:].float()
    dx2, dy2 = ((x - px[..., None]) / CELL_PX).square(), ((y - py[..., None]) / CELL_PX).square()
    clicked = _bell(dx2, dy2, AROUND_SHARE * columns).mul_(0.45).add_(0.05)
    prior = torch.maximum(clicked, _bell(dx2, dy2, NEAR_SIGMA_CELLS).mul_(0.97))
    found = torch.logit(prior, eps=1e-3).add_(colour_evidence(thumbnail, prior, torch.ones_like(prior)))
    found.add_(_bell(dx2, dy2, BUMP_SIGMA_CELLS).mul_(BUMP_LOGIT))
    fading = (dy2[..., :, None] + dx2[..., None, :]).sqrt_().div_(-DECAY_CELLS).exp_()
    return found.add_(fading.mul_(_colour_likeness(px, py, thumbnail)).mul_(2.0)).clamp_(-LIMIT, LIMIT)


def _box_prior(px: Tensor, py: Tensor, labels: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """How likely a cell is the object's before colour is looked at, and where the object can be: B x 1 x h x w.

    Likely in the middle of the box, less towards its sides, hardly beyond them. Without a box: everywhere possible.
    """
    is_first, is_second = labels == 2, labels == 3
    has_box = (is_first.any(1) & is_second.any(1))[:, None, None, None]
    x0, y0, x1, y1 = (
        (values * where).sum(1)[:, None]
        for values, where in ((px, is_first), (py, is_first), (px, is_second), (py, is_second))
    )
    depth_x = torch.minimum(x - x0, x1 - x) / (x1 - x0).clamp_min(CELL_PX)
    depth_y = torch.minimum(y - y0, y1 - y) / (y1 - y0).clamp_min(CELL_PX)
    depth = torch.minimum(depth_y[:, :, None], depth_x[:, None, :])[:, None]  # 0.5 in the middle, negative outside
    prior = torch.where(depth >= 0, (0.35 + 1.1 * depth).clamp(max=0.9), torch.full_like(depth, 0.1))
    allowed = (depth > -BOX_SLACK).float()
    return prior * allowed, torch.where(has_box, allowed, torch.ones_like(allowed))


def stamp_prompts(points: Tensor, labels: Tensor, thumbnail: Tensor, previous: Tensor | None = None) -> Tensor:
    """The dense prompt for clicks, a box and previous logits.

    Args:
        points: B x N x 2 float, (x, y) in input pixels (the model's S x S square), pixel centres at +0.5.
        labels: B x N int: 1 positive, 0 negative, 2 / 3 box corners (top left / bottom right), -1 padding.
        thumbnail: B x 3 x q x q float RGB in 0..1, the input at a quarter of its size (B may be 1).
        previous: B x 1 x q x q logits of the step before, or None.

    Returns:
        B x 1 x q x q float32 logits within +-32. Without previous logits: a colour-likeness map round the clicks or
        the box's inside; with them: the logits, pushed up and down where the clicks are.
    """
    rows, columns = thumbnail.shape[-2:]
    x = (torch.arange(columns, device=points.device, dtype=torch.float32) + 0.5) * CELL_PX
    y = (torch.arange(rows, device=points.device, dtype=torch.float32) + 0.5) * CELL_PX
    px, py = points[..., 0].float(), points[..., 1].float()
    dx2 = ((x - px[..., None]) / CELL_PX).square()
    dy2 = ((y - py[..., None]) / CELL_PX).square()
    squared_cells = dy2[..., :, None] + dx2[..., None, :]  # B x N x q x q
    is_positive, is_negative = (labels == 1)[..., None, None], (labels == 0)[..., None, None]
    sign = is_positive.float() - is_negative.float()
    bumps = (sign * torch.exp(-squared_cells / (2 * BUMP_SIGMA_CELLS**2))).sum(1, keepdim=True) * BUMP_LOGIT

    alike = _colour_likeness(px, py, thumbnail) * torch.exp(-squared_cells.sqrt() / DECAY_CELLS)
    likeness = (alike * is_positive).amax(1, keepdim=True) - (alike * is_negative).amax(1, keepdim=True)
    if previous is not None:
        return (previous.float() + bumps + likeness).clamp(-LIMIT, LIMIT)
    base = _box_map(px, py, labels, x, y)
    return (base + bumps + 3.0 * likeness).clamp(-LIMIT, LIMIT)


def plain_prompts(
    points: Tensor, labels: Tensor, thumbnail: Tensor, previous: Tensor | None = None, *, is_distance: bool
) -> Tensor:
    """Where the prompts are and nothing of the colours: arguments and result as :func:`stamp_prompts`.

    Args:
        is_distance: clicks fade with the distance to them, to nothing at ``DECAY_CELLS``, instead of being discs.
    """
    rows, columns = thumbnail.shape[-2:]
    x = (torch.arange(columns, device=points.device, dtype=torch.float32) + 0.5) * CELL_PX
    y = (torch.arange(rows, device=points.device, dtype=torch.float32) + 0.5) * CELL_PX
    px, py = points[..., 0].float(), points[..., 1].float()
    dx2, dy2 = ((x - px[..., None]) / CELL_PX).square(), ((y - py[..., None]) / CELL_PX).square()
    squared_cells = dy2[..., :, None] + dx2[..., None, :]
    if is_distance:
        marks = (1 - squared_cells.sqrt() / DECAY_CELLS).clamp(min=0)
    else:
        marks = torch.exp(-squared_cells / (2 * BUMP_SIGMA_CELLS**2))
    is_positive, is_negative = (labels == 1)[..., None, None].float(), (labels == 0)[..., None, None].float()
    drawn = (marks * is_positive).amax(1, keepdim=True) - (marks * is_negative).amax(1, keepdim=True)
    base = _box_map(px, py, labels, x, y) if previous is None else previous.float()
    return (base + BUMP_LOGIT * drawn).clamp(-LIMIT, LIMIT)


def _bell(dx2: Tensor, dy2: Tensor, sigma_cells: float) -> Tensor:
    """exp(-d^2 / 2 sigma^2) from squared distances B x N x w and B x N x h: B x N x h x w."""
    across, down = (torch.exp(-squared / (2 * sigma_cells**2)) for squared in (dx2, dy2))
    return down[..., :, None] * across[..., None, :]


def _colour_likeness(px: Tensor, py: Tensor, thumbnail: Tensor) -> Tensor:
    """exp(-d^2 / 2 sigma^2) of every cell's colour to the colour under each point: B x N x q x q in 0..1."""
    batch, count = px.shape
    rows, columns = thumbnail.shape[-2:]
    smooth = mean_of_nine(thumbnail)
    column = (px / CELL_PX).floor().long().clamp(0, columns - 1)
    row = (py / CELL_PX).floor().long().clamp(0, rows - 1)
    flat = smooth.flatten(2).expand(batch, -1, -1)
    colour = flat.gather(2, (row * columns + column)[:, None].expand(-1, 3, -1))  # B x 3 x N
    distance2 = thumbnail.new_zeros(batch, count, rows, columns)
    for channel in range(3):
        distance2 += (thumbnail[:, channel, None] - colour[:, channel, :, None, None]).square()
    return torch.exp(-distance2 / (2 * COLOUR_SIGMA**2))


def _box_map(px: Tensor, py: Tensor, labels: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """B x 1 x q x q: inside / outside values where there is a box, else -1.5."""
    is_first, is_second = labels == 2, labels == 3
    has_box = (is_first.any(1) & is_second.any(1))[:, None, None, None]

    def corner(values: Tensor, where: Tensor) -> Tensor:
        return (values * where).sum(1)[:, None]

    x0, y0, x1, y1 = (corner(v, w) for v, w in ((px, is_first), (py, is_first), (px, is_second), (py, is_second)))
    in_x, in_y = (x >= x0) & (x <= x1), (y >= y0) & (y <= y1)
    inside = (in_y[:, :, None] & in_x[:, None, :])[:, None]
    boxed = torch.where(inside, BOX_INSIDE, BOX_OUTSIDE)
    return torch.where(has_box, boxed, torch.full_like(boxed, -1.5))
