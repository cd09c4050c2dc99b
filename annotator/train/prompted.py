"""Training of something that answers prompts on a frozen encoder, from cached embeddings: seeded, resumable.

One step: take encoded windows, prompt their objects, decode, follow the paper's losses. What is trained (a prompt
adapter, or for comparison a whole decoder) says how it answers. Batches and prompts are functions of the seed and the
step alone, so a run that goes on after a kill does what it would have done.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from annotator.domain.metrics import boundary_iou, iou
from annotator.engine.sam2.adapted_decoder import AdaptedOutput
from annotator.engine.sam2.candidates import FED_BACK_LIMIT
from annotator.engine.sam2.dense_prompt import draw_prompts
from annotator.engine.sam2.segmenter import Sam2Segmenter
from annotator.train.data.batch import Batch, batch_of
from annotator.train.data.encoded import CachedWindow
from annotator.train.steps.adapter_losses import LossParts, adapter_loss
from annotator.train.steps.adapter_prompts import (
    ROUND_SHARES,
    DrawnPrompts,
    Kind,
    draw_batch,
    draw_kind,
    exact_correction,
    sloppy_correction,
)
from annotator.train.steps.divergence import check_step
from annotator.train.steps.precision import mixed_precision
from annotator.train.steps.prompts import BoolArray, Point
from annotator.train.steps.ranks import ALONE, Ranks

PAPER_EPOCHS, DECAY_EPOCH, WARM_UP_EPOCHS = 21, 10, 5
DECAY = 0.1
VALIDATION_CLICKS = 5
EMA_DECAY = 0.99
"""The average of the weights is what is validated and kept: single steps on a few images are noisy."""

Points = list[list[Point]]
"""One list per object, all of the same length: x, y in window pixels, label."""


class Windows(Protocol):
    """Encoded windows by number."""

    def __len__(self) -> int: ...
    def __getitem__(self, number: int) -> CachedWindow: ...


@dataclass(frozen=True, slots=True)
class AdapterSettings:
    """What a run is; stored with its state.

    Attributes:
        epochs: passes over the windows; minutes: of wall clock, None for no limit. What ends first scales the paper's
            schedule: learning rate times 0.1 after 10/21 of the run, hard points after 5/21.
        batch: windows per forward pass; accumulate: passes per optimiser step, those of all processes together.
        patience: epochs without a better validation before the run ends.
    """

    epochs: int = PAPER_EPOCHS
    minutes: float | None = None
    batch: int = 8
    accumulate: int = 1
    learning_rate: float = 1e-3
    patience: int = 10
    seed: int = 0


NetworkT = TypeVar("NetworkT", bound=nn.Module)
Groups = Sequence[tuple[Sequence[nn.Parameter], float]]
"""Parameters that learn at one rate, and that rate's share of the settings'."""


class PromptedTrainer(ABC, Generic[NetworkT]):
    """The state of one run and its steps, whatever network is trained to answer prompts on the frozen embeddings.

    Args:
        segmenter: the base, without zoom-in; its weights stay as they are.
        windows: of the training images.
        network: what is trained, on the base's device; groups: its trainable parameters.
        ranks: the processes that train together; each takes its share of a step's passes.
    """

    def __init__(
        self,
        segmenter: Sam2Segmenter,
        windows: Windows,
        *,
        settings: AdapterSettings,
        network: NetworkT,
        groups: Groups,
        ranks: Ranks = ALONE,
    ) -> None:
        self.segmenter, self.windows, self.settings, self.ranks = segmenter, windows, settings, ranks
        self.device = segmenter.device
        self._model: Any = segmenter.model
        self.network = network
        self.averaged: NetworkT = copy.deepcopy(network).eval().requires_grad_(False)
        self.optimizer = torch.optim.Adam([{"params": list(params), "scale": scale} for params, scale in groups])
        self.step, self.seconds = 0, 0.0
        self.best_score, self.best_epoch, self.peak_epoch = -1.0, 0, 0
        self.best: dict[str, Tensor] = copy.deepcopy(self.averaged.state_dict())
        encoder: Any = self._model.sam_prompt_encoder
        self._pe: Tensor = encoder.get_dense_pe().detach()

    @abstractmethod
    def answers(
        self,
        network: NetworkT,
        batch: Batch,
        prompts: tuple[Tensor, Tensor],
        *,
        generator: torch.Generator | None,
    ) -> AdaptedOutput:
        """What a network makes of a batch's objects; gradients pass.

        Args:
            prompts: sparse B x n x C and dense B x C x h x w embeddings.
        """

    # --- where the run stands -----------------------------------------------------------------------------------------

    @property
    def steps_per_epoch(self) -> int:
        per_step = self.settings.batch * self.settings.accumulate
        return max(1, -(-len(self.windows) // per_step))

    @property
    def epoch(self) -> int:
        """Whole epochs done."""
        return self.step // self.steps_per_epoch

    @property
    def share_done(self) -> float:
        share = self.step / (self.settings.epochs * self.steps_per_epoch)
        if self.settings.minutes is not None:
            share = max(share, self.seconds / (60 * self.settings.minutes))
        return min(1.0, share)

    @property
    def has_points(self) -> bool:
        """Whether the warm-up without hard points is over."""
        return self.share_done >= WARM_UP_EPOCHS / PAPER_EPOCHS

    def learning_rate(self) -> float:
        return self.settings.learning_rate * (DECAY if self.share_done >= DECAY_EPOCH / PAPER_EPOCHS else 1.0)

    # --- a step -------------------------------------------------------------------------------------------------------

    def train_step(self) -> list[LossParts]:
        """One optimiser step; the losses of this process's passes (a short last step may leave it without any).

        Raises:
            DivergedError: the loss or its gradients are not finite; with several processes in all of them.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate() * group["scale"]
        self.network.train()
        self.optimizer.zero_grad(set_to_none=True)
        parts = []
        for part, numbers in self.ranks.own(list(enumerate(self._numbers()))):
            rng = np.random.default_rng((self.settings.seed, self.step, part))
            found = self._pass(self._batch(numbers), rng)
            (found.total / self.settings.accumulate).backward()
            parts.append(replace(found, total=found.total.detach()))  # the graph must not outlive the step
        self.ranks.sum_gradients(list(self.network.parameters()))
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        losses = (part.total for part in parts)
        check_step([norm, *losses], step=self.step, learning_rate=self.settings.learning_rate)
        self.optimizer.step()
        self._average()
        self.step += 1
        return parts

    @torch.no_grad()
    def _average(self) -> None:
        decay = min(EMA_DECAY, (1 + self.step) / (10 + self.step))
        for kept, new in zip(self.averaged.parameters(), self.network.parameters(), strict=True):
            kept.lerp_(new, 1 - decay)

    def _numbers(self) -> list[list[int]]:
        """The windows of this step's passes: an epoch goes through all of them in an order of its own."""
        order = np.random.default_rng((self.settings.seed, 1_000_000, self.epoch)).permutation(len(self.windows))
        batch, accumulate = self.settings.batch, self.settings.accumulate
        first = (self.step % self.steps_per_epoch) * batch * accumulate
        starts = [first + n * batch for n in range(accumulate)]
        return [order[s : s + batch].tolist() for s in starts if s < len(order)]

    def _pass(self, batch: Batch, rng: np.random.Generator) -> LossParts:
        drawn = draw_batch(draw_kind(rng), batch.masks, rng)
        previous = None if drawn.masks is None else torch.from_numpy(drawn.masks)[:, None].to(self.device)
        if drawn.kind is Kind.CORRECTION:
            drawn, previous = self._corrected(batch, drawn, rng)
        generator = torch.Generator(self.device).manual_seed(int(rng.integers(2**62)))
        found = self.decode(batch, drawn.points, previous, generator=generator)
        return adapter_loss(
            found.masks.float(),
            found.iou.float(),
            found.maps,
            batch.target,
            batch.band,
            is_ambiguous=drawn.is_ambiguous,
        )

    @torch.no_grad()
    def _corrected(self, batch: Batch, drawn: DrawnPrompts, rng: np.random.Generator) -> tuple[DrawnPrompts, Tensor]:
        """The network's own answers, each fed back with one more click on it; the last is still to come."""
        self.network.eval()
        rounds = 1 + int(rng.choice(len(ROUND_SHARES), p=ROUND_SHARES))
        answers = self._rounds(batch, drawn.points, rng, rounds, network=self.network, correct=sloppy_correction)
        previous, points = list(answers)[-1]
        self.network.train()
        return DrawnPrompts(Kind.CORRECTION, points, None), previous

    def _rounds(
        self,
        batch: Batch,
        points: Points,
        rng: np.random.Generator,
        rounds: int,
        *,
        network: NetworkT,
        correct: Callable[[BoolArray, BoolArray, np.random.Generator], Point],
    ) -> Iterator[tuple[Tensor, Points]]:
        """Answers B x 1 x q x q, each with the points so far and the next one on it; they are fed back."""
        half = np.ascontiguousarray(batch.masks[:, 1::2, 1::2]).astype(bool)
        is_click = len(points[0]) == 1
        previous: Tensor | None = None
        for turn in range(rounds):
            found = self.decode(batch, points, previous, network=network)
            index = _shown(found, is_click=is_click and turn == 0)
            previous = found.masks.float().gather(1, index).clamp(-FED_BACK_LIMIT, FED_BACK_LIMIT)
            answer = F.interpolate(previous, half.shape[1:], mode="bilinear", align_corners=False)[:, 0] > 0
            predicted = answer.cpu().numpy()
            points = [[*own, correct(predicted[i], half[i], rng)] for i, own in enumerate(points)]
            yield previous, points

    def decode(
        self,
        batch: Batch,
        points: Points,
        previous: Tensor | None,
        *,
        network: NetworkT | None = None,
        generator: torch.Generator | None = None,
    ) -> AdaptedOutput:
        """Decode a batch's objects.

        Args:
            points: per object, all of the same length; previous: B x 1 x q x q logits or None.
            network: None takes the one in training.
        """
        prompts = self._embedded(points, previous, batch.thumbnail)
        with mixed_precision(self.device):
            return self.answers(network or self.network, batch, prompts, generator=generator)

    @torch.no_grad()
    def _embedded(self, points: Points, previous: Tensor | None, thumbnail: Tensor) -> tuple[Tensor, Tensor]:
        """The frozen prompt encoder's sparse and dense embeddings, as the engine makes them."""
        given: tuple[Tensor, Tensor] | None = None
        if points[0]:
            flat = torch.tensor(points, dtype=torch.float32, device=self.device)
            given = (flat[..., :2], flat[..., 2].int())
        elif self.segmenter.dense_prompt:
            count = len(points)
            empty = torch.zeros(count, 1, 2, device=self.device)
            given = (empty, -torch.ones(count, 1, device=self.device, dtype=torch.int))
        if self.segmenter.dense_prompt:
            assert given is not None
            previous = draw_prompts(self.segmenter.dense_prompt, *given, thumbnail, previous)
            given = (given[0] - 0.5, given[1])
        sparse, dense = self._model.sam_prompt_encoder(points=given, boxes=None, masks=previous)
        return sparse.expand(len(points), -1, -1), dense.expand(len(points), -1, -1, -1)

    def _batch(self, numbers: list[int]) -> Batch:
        windows = [self.windows[number] for number in numbers]
        return batch_of(windows, self.device)

    # --- validation ---------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def validate(self, windows: Windows) -> dict[str, float]:
        """Mean IoU and boundary IoU over the windows' objects, always with the same prompts.

        From a box, from a click, and after :data:`VALIDATION_CLICKS` clicks, each where the answer before it was wrong.
        ``mean`` is that of the three boundary IoUs, ``error`` its standard error over the objects.
        """
        last = f"click_{VALIDATION_CLICKS}"
        values: dict[str, list[float]] = {}
        for first in range(0, len(windows), self.settings.batch):
            numbers = range(first, min(first + self.settings.batch, len(windows)))
            batch = batch_of([windows[n] for n in numbers], self.device)
            rng = np.random.default_rng((self.settings.seed, 2_000_000, first))
            for kind, rounds in ((Kind.BOX, 1), (Kind.CLICK, VALIDATION_CLICKS)):
                points = draw_batch(kind, batch.masks, rng).points
                turns = self._rounds(batch, points, rng, rounds, network=self.averaged, correct=exact_correction)
                answers = [found for found, _ in turns]
                shown = {"box": answers[0]} if kind is Kind.BOX else {"click_1": answers[0], last: answers[-1]}
                for name, logits in shown.items():
                    size = batch.masks.shape[1:]
                    large = F.interpolate(logits, size, mode="bilinear", align_corners=False)[:, 0] > 0
                    for answer, truth in zip(large.cpu().numpy(), batch.masks.astype(bool), strict=True):
                        values.setdefault(name, []).append(iou(answer, truth))
                        values.setdefault(f"{name}_biou", []).append(boundary_iou(answer, truth))
        figures = {name: float(np.mean(found)) for name, found in values.items()}
        of_objects = np.mean([found for name, found in values.items() if name.endswith("_biou")], axis=0)
        error = float(np.std(of_objects) / np.sqrt(len(of_objects)))
        return {"mean": float(of_objects.mean()), "error": error, **figures}

    def keep_if_best(self, score: float, *, error: float = 0.0) -> bool:
        """Remember the weights, unless an earlier epoch was better by more than chance.

        The later of two epochs that are about as good is kept: with a falling rate and averaged weights the end of a
        run is better than its middle, but a few windows cannot tell (docs/adr/0009-prompt-adapter.md).

        Args:
            error: the score's standard error.
        """
        if score > self.best_score:
            self.best_score, self.peak_epoch = score, self.epoch
        if score < self.best_score - error:
            return False
        self.best_epoch = self.epoch
        self.best = {name: tensor.detach().cpu().clone() for name, tensor in self.averaged.state_dict().items()}
        return True

    @property
    def is_exhausted(self) -> bool:
        """Whether validation has not become better for as many epochs as the settings allow."""
        return self.epoch - self.peak_epoch >= self.settings.patience

    # --- state --------------------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        return {
            "settings": asdict(self.settings),
            "network": self.network.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
            "best": self.best,
            "best_score": self.best_score,
            "best_epoch": self.best_epoch,
            "peak_epoch": self.peak_epoch,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        self.network.load_state_dict(state["network"])
        self.averaged.load_state_dict(state["averaged"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.seconds = int(state["step"]), float(state["seconds"])
        self.best, self.best_score = state["best"], float(state["best_score"])
        self.best_epoch, self.peak_epoch = int(state["best_epoch"]), int(state["peak_epoch"])


def _shown(found: AdaptedOutput, *, is_click: bool) -> Tensor:
    """Index B x 1 x q x q of the mask that the person would see: the best rated candidate of a click, else mask 0."""
    masks = found.masks
    index = found.iou[:, 1:].argmax(1) + 1 if is_click else torch.zeros_like(found.iou[:, 0], dtype=torch.long)
    return index[:, None, None, None].expand(-1, 1, *masks.shape[-2:])
