"""Fits the network that is added to the linear ratings (:mod:`annotator.domain.answering.rating_network`).

What is made large is the IoU of the answer that comes out first: the mean over a click's answers, each weighed by the
softmax of its rating; and, a little, how alike that softmax is to one of the true IoU (ListNet, Cao et al., ICML 2007).
Every set counts the same. Several beginnings are averaged, which is one wider network.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from annotator.domain.answering.evidence import evidence
from annotator.domain.answering.hypotheses import RatingWeights, weighed
from annotator.domain.answering.rating_network import CLIPPED, RatingNetwork
from annotator.studies.rating_evidence import AnsweredClick

FloatArray = npt.NDArray[np.float64]
LEAST_SPREAD = 1e-3
NO_ANSWER = -1e4
"""The rating where a click has fewer answers than others."""


@dataclass(frozen=True, slots=True)
class NetworkRecipe:
    """How it is fitted.

    Attributes:
        units: of each beginning; beginnings: how many are averaged; steps: of AdamW over all clicks at once.
        rate, decay: its learning rate at most, and its decay of weights.
        temperature: of the softmax over the ratings, and over the true IoU.
        listwise: share of the cross entropy between the two beside the expected IoU of the first answer.
        folds: parts of the images that are left out in turn to see what it is worth.
    """

    units: int = 8
    beginnings: int = 6
    steps: int = 100
    rate: float = 0.01
    decay: float = 0.3
    temperature: float = 0.05
    listwise: float = 0.05
    folds: int = 4


USUAL_RECIPE = NetworkRecipe()


def linear_ratings(click: AnsweredClick, weights: RatingWeights) -> FloatArray:
    """Of a click's answers, as in use."""
    return weighed(click.features, click.faults, weights)


def chosen_by(click: AnsweredClick, weights: RatingWeights, network: RatingNetwork | None) -> int:
    """The answer that would be shown."""
    ratings = linear_ratings(click, weights)
    if network is not None:
        ratings = ratings + network(evidence(click.seen, ratings, click.overlaps))
    return int(ratings.argmax())


def shown_iou(
    clicks: Sequence[AnsweredClick], weights: RatingWeights, network: RatingNetwork | None
) -> dict[str, float]:
    """Mean IoU of the answers shown, by set."""
    found: dict[str, list[float]] = {}
    for click in clicks:
        found.setdefault(click.of_set, []).append(float(click.truth[chosen_by(click, weights, network)]))
    return {name: float(np.mean(values)) for name, values in found.items()}


def mean_of_sets(by_set: Mapping[str, float]) -> float:
    return float(np.mean(list(by_set.values())))


def fit_network(
    clicks: Sequence[AnsweredClick], weights: RatingWeights, recipe: NetworkRecipe = USUAL_RECIPE, *, seed: int = 0
) -> RatingNetwork:
    """The network for clicks that the linear ratings would answer so.

    Raises:
        ValueError: no clicks.
    """
    if not clicks:
        raise ValueError("there is nothing to fit")
    rows = [evidence(c.seen, linear_ratings(c, weights), c.overlaps) for c in clicks]
    flat = np.concatenate(rows)
    mean, spread = flat.mean(0), np.maximum(flat.std(0), LEAST_SPREAD)
    data = _tensors(clicks, weights, np.clip((flat - mean) / spread, -CLIPPED, CLIPPED))
    hidden, bias, out, direct = _trained(data, recipe, seed)
    units = hidden.shape[0] * hidden.shape[2]
    return RatingNetwork(
        mean=mean,
        spread=spread,
        hidden=_numbers(hidden.permute(1, 0, 2).reshape(-1, units)),
        hidden_bias=_numbers(bias.reshape(units)),
        out=_numbers(out.reshape(units) / len(hidden)),
        direct=_numbers(direct.mean(0)[:, 0]),
    )


def left_out_iou(
    clicks: Sequence[AnsweredClick], weights: RatingWeights, recipe: NetworkRecipe = USUAL_RECIPE
) -> tuple[dict[str, float], dict[str, float]]:
    """IoU of the answers shown on images that a network was not fitted to: by set without it, and with it."""
    parts = np.array([_part(click.image, recipe.folds) for click in clicks])
    shown: dict[str, list[float]] = {}
    for part in range(recipe.folds):
        inside = [click for click, at in zip(clicks, parts, strict=True) if at != part]
        outside = [click for click, at in zip(clicks, parts, strict=True) if at == part]
        if not inside or not outside:
            continue
        network = fit_network(inside, weights, recipe)
        for click in outside:
            shown.setdefault(click.of_set, []).append(float(click.truth[chosen_by(click, weights, network)]))
    return shown_iou(clicks, weights, None), {name: float(np.mean(values)) for name, values in shown.items()}


@dataclass(frozen=True, slots=True, eq=False)
class _Data:
    """R answers of N clicks: evidence R x K, places (R) in the N x M table of ratings and truths; shares of the
    clicks."""

    rows: Tensor
    places: Tensor
    ratings: Tensor
    truth: Tensor
    shares: Tensor


def _tensors(clicks: Sequence[AnsweredClick], weights: RatingWeights, rows: FloatArray) -> _Data:
    most = max(len(click.truth) for click in clicks)
    ratings, truth = np.full((len(clicks), most), NO_ANSWER, np.float32), np.zeros((len(clicks), most), np.float32)
    for i, click in enumerate(clicks):
        ratings[i, : len(click.truth)] = linear_ratings(click, weights)
        truth[i, : len(click.truth)] = click.truth
    places = list(chain.from_iterable(range(i * most, i * most + len(c.truth)) for i, c in enumerate(clicks)))
    names, of = np.unique([click.of_set for click in clicks], return_inverse=True)
    shares = 1.0 / np.bincount(of)[of] / len(names)
    tensor = torch.from_numpy
    return _Data(
        tensor(rows.astype(np.float32)),
        torch.tensor(places),
        tensor(ratings),
        tensor(truth),
        tensor(shares.astype(np.float32)),
    )


def _trained(data: _Data, recipe: NetworkRecipe, seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """All beginnings at once: B x K x H, B x 1 x H, B x H x 1, B x K x 1."""
    random = torch.Generator().manual_seed(seed)
    many, columns = recipe.beginnings, data.rows.shape[1]
    hidden = (torch.randn(many, columns, recipe.units, generator=random) / columns**0.5).requires_grad_()
    out = (torch.randn(many, recipe.units, 1, generator=random) * 0.02).requires_grad_()
    bias = torch.zeros(many, 1, recipe.units, requires_grad=True)
    direct = torch.zeros(many, columns, 1, requires_grad=True)
    decayed = {"params": [hidden, out, direct], "weight_decay": recipe.decay}
    optimizer = torch.optim.AdamW([decayed, {"params": [bias], "weight_decay": 0.0}], lr=recipe.rate, betas=(0.9, 0.98))
    rows = data.rows.expand(many, -1, -1)
    is_answer = data.ratings > NO_ANSWER
    wanted = torch.softmax((data.truth / recipe.temperature).masked_fill(~is_answer, NO_ANSWER), -1)
    for step in range(recipe.steps):
        for group in optimizer.param_groups:
            warm = min(1.0, (step + 1) / 20)
            group["lr"] = recipe.rate * warm * (1 + math.cos(math.pi * step / recipe.steps)) / 2
        added = torch.tanh(torch.baddbmm(bias, rows, hidden)) @ out + rows @ direct
        table = torch.zeros(many, data.truth.numel()).index_copy(1, data.places, added[..., 0])
        ratings = data.ratings + table.view(many, *data.truth.shape)
        likely = torch.log_softmax(ratings / recipe.temperature, -1)
        gained = (likely.exp() * data.truth).sum(-1) + recipe.listwise * (wanted * likely).sum(-1)
        loss = -(data.shares * gained).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return hidden.detach(), bias.detach(), out.detach(), direct.detach()


def _numbers(values: Tensor) -> FloatArray:
    return np.asarray(values.double().numpy())


def _part(image: str, parts: int) -> int:
    """The same for an image on every machine."""
    return int.from_bytes(hashlib.sha256(image.encode()).digest()[:4], "big") % parts
