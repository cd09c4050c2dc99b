"""A graphics card made of main memory: what is put on ``cuda:0`` keeps a card's rules, on a machine that has none.

Its tensors say that they are on ``cuda:0``; numpy refuses them; an operation on one of them and on a tensor that was
left behind is refused, as torch refuses it; a generator must be the card's own. The arithmetic is the processor's, so
answers can be compared. What is not shown: a card's own kernels, their rounding and speed, streams, its memory's end.

Only code that names its device with a number (``cuda:0``) can run: torch asks the driver for the number of ``cuda``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

CARD = torch.device("cuda:0")
_aten: Any = torch.ops.aten
_COPIES = {_aten.copy_.default, _aten._to_copy.default}
_NO_SCALARS = {_aten.cat.default, _aten.stack.default}
"""Elsewhere a card takes the processor's scalars."""
_INDEXING = {_aten.index.Tensor, _aten.index_put.default, _aten.index_put_.default, _aten._unsafe_index.Tensor}
"""A card's tensor may be indexed by the processor's."""


class OnCard(torch.Tensor):
    """A tensor of the card; what it holds is kept in main memory."""

    held: torch.Tensor

    @staticmethod
    def __new__(cls, data: torch.Tensor) -> OnCard:
        with torch.inference_mode(data.is_inference()):  # a view of an ordinary tensor stays one
            made: Any = torch.Tensor._make_wrapper_subclass(
                cls,
                data.shape,
                strides=data.stride(),
                storage_offset=data.storage_offset(),
                dtype=data.dtype,
                device=torch.device("cpu"),  # for torch's own threads; people and their programs see the property below
            )
        made.held = data
        return made  # type: ignore[no-any-return]

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return CARD

    @property
    def is_cuda(self) -> bool:  # type: ignore[override]
        return True

    def numpy(self, *, force: bool = False) -> Any:
        raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() first.")

    def __array__(self, dtype: Any = None) -> Any:
        return self.numpy()

    def tolist(self) -> Any:
        return self.held.tolist()

    def cpu(self, memory_format: Any = None) -> torch.Tensor:
        return self.held.detach().clone()

    def to(self, *args: Any, **kwargs: Any) -> Any:
        if args and isinstance(args[0], torch.Tensor):
            args = (args[0].device, args[0].dtype, *args[1:])
        device, dtype, _, _ = torch._C._nn._parse_to(*args, **kwargs)
        if device is not None and device.type == "cpu":
            return self.cpu().to(dtype or self.dtype)
        return self if dtype is None else super().to(dtype=dtype)

    def new_tensor(self, data: Any, dtype: Any = None, *_: Any, **__: Any) -> torch.Tensor:
        return torch.tensor(data, dtype=dtype or self.dtype, device=CARD)

    def __repr__(self, **_: Any) -> str:  # type: ignore[override]
        return f"OnCard({self.held!r})"

    def __deepcopy__(self, memo: dict[int, Any]) -> OnCard:
        if id(self) not in memo:
            copied: Any = OnCard(self.held.detach().clone()).requires_grad_(self.requires_grad)
            if isinstance(self, torch.nn.Parameter):
                copied._is_param = True
            memo[id(self)] = copied
        return memo[id(self)]  # type: ignore[no-any-return]

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.held.detach().__reduce_ex__(protocol)  # in a file it is a tensor like any other

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        return _run(func, args, kwargs or {})


class _CardGenerator(torch.Generator):
    """A source of random numbers that belongs to the card."""


_PlainGenerator = torch.Generator


class _Generator(torch.Generator):
    """Takes the place of ``torch.Generator``, which would ask the driver."""

    def __new__(cls, device: torch.device | str = "cpu") -> torch.Generator:  # type: ignore[misc]
        kind = _CardGenerator if torch.device(device).type == "cuda" else _PlainGenerator
        return kind.__new__(kind)


class _Rules(TorchDispatchMode):
    """Sees every operation, also those that bring a tensor to the card or make one there."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


class _Chance(TorchFunctionMode):
    """Sees that a random tensor comes from a generator of its own device."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        generator = (kwargs or {}).get("generator")
        if generator is not None and isinstance(generator, _CardGenerator) is not isinstance(found, OnCard):
            raise RuntimeError(f"{func}: the generator is on another device")
        return found


def _run(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """Do an operation in main memory, after looking whether a card would do it."""
    is_on_card = _is_on_card(func, args, kwargs)
    device = kwargs.get("device")
    # Torch's own backward passes name the device that they see; what leaves the card goes through OnCard.to.
    is_for_card = is_on_card or (device is not None and torch.device(device).type == "cuda")
    if device is not None:
        kwargs = {**kwargs, "device": torch.device("cpu")}
    found = func(*map(_held, args), **{name: _held(value) for name, value in kwargs.items()})
    if _writes_to_the_first(func):
        return args[0] if func._schema.returns else None
    return _taken(found) if is_for_card else found


@cache  # a training asks a hundred thousand times
def _writes_to_the_first(func: Any) -> bool:
    return bool(func._schema.is_mutable) and func._schema.name.endswith("_")


def _is_on_card(func: Any, args: Any, kwargs: dict[str, Any]) -> bool:
    """Whether an operation's tensors are the card's.

    Raises:
        RuntimeError: some are and some are not.
    """
    if func is _aten.copy_.default:
        return isinstance(args[0], OnCard)
    tensors = [*_tensors(args), *_tensors(kwargs.values())]
    is_on_card = any(isinstance(t, OnCard) for t in tensors)
    if not is_on_card or func in _COPIES:
        return is_on_card
    may_stay: list[Any] = list(args[1]) if func in _INDEXING and isinstance(args[0], OnCard) else []
    left_behind = [
        tuple(t.shape)
        for t in tensors
        if not isinstance(t, OnCard) and (t.dim() > 0 or func in _NO_SCALARS) and not any(t is i for i in may_stay)
    ]
    if left_behind:
        raise RuntimeError(f"{func}: expected all tensors to be on cuda:0, but those of shape {left_behind} are not")
    return True


def _tensors(values: Iterable[Any]) -> Iterator[torch.Tensor]:
    """Of an operation's arguments, which are plain or lists."""
    for value in values:
        if isinstance(value, torch.Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(value)


def _held(value: Any) -> Any:
    """An argument as main memory has it."""
    if isinstance(value, OnCard):
        return value.held
    return type(value)(map(_held, value)) if isinstance(value, list | tuple) else value


def _taken(found: Any) -> Any:
    """What an operation gave, on the card."""
    if isinstance(found, torch.Tensor):
        return OnCard(found)
    return type(found)(map(_taken, found)) if isinstance(found, list | tuple) else found


@contextmanager
def strict_card(monkeypatch: pytest.MonkeyPatch) -> Iterator[torch.device]:
    """The card, for as long as the context lasts and in this thread alone."""
    autocast = torch.autocast
    rules: Any = _Rules  # torch has no types here
    with monkeypatch.context() as patch, rules(), _Chance():
        patch.setattr(torch.cuda, "_lazy_init", lambda: None)
        patch.setattr(torch.cuda, "synchronize", lambda _device=None: None)
        patch.setattr(torch.cuda, "is_bf16_supported", lambda *_, **__: True)
        patch.setattr(torch, "Generator", _Generator)
        patch.setattr(torch, "autocast", lambda _kind, *args, **kwargs: autocast("cpu", *args, **kwargs))
        lifts_only = torch._C._only_lift_cpu_tensors()
        overwrites = torch.__future__.get_overwrite_module_params_on_conversion()
        torch._C._set_only_lift_cpu_tensors(True)  # torch.tensor(..., device=) asks no driver
        torch.__future__.set_overwrite_module_params_on_conversion(True)  # a module's move makes parameters of ours
        try:
            yield CARD
        finally:
            torch._C._set_only_lift_cpu_tensors(lifts_only)
            torch.__future__.set_overwrite_module_params_on_conversion(overwrites)
