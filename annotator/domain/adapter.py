"""What a prompt adapter's file says about itself: plain text, readable without torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

FORMAT = "annotator-adapter-1"
DECIDING = "bIoU, all"
"""The measure that decides whether an adapter is installed: boundary IoU, mean of the box and of 1, 3 and 5 clicks."""


@dataclass(frozen=True, slots=True)
class AdapterInfo:
    """The card of an adapter.

    Attributes:
        name: what the person calls it; also the file's stem.
        domain: what it was trained for, in words ("nuclei in fluorescence images").
        base_name, base_sha256: the model it belongs to, and no other.
        config: the shape, as :class:`annotator.engine.sam2.adapter_network.AdapterConfig` takes it.
        data: what it was trained on, in counts (no paths).
        figures: of the gate on held-back images, for base and adapter; empty before it.
        epochs: passes over the training windows. date: ISO, UTC. licence: of the weights.
    """

    name: str
    domain: str
    base_name: str
    base_sha256: str
    config: Mapping[str, int | bool]
    data: str = ""
    figures: Mapping[str, Any] = field(default_factory=dict)
    epochs: float = 0.0
    date: str = ""
    licence: str = ""

    def to_metadata(self) -> dict[str, str]:
        """String metadata for a safetensors file."""
        return {
            "format": FORMAT,
            "name": self.name,
            "domain": self.domain,
            "base_name": self.base_name,
            "base_sha256": self.base_sha256,
            "config": json.dumps(dict(self.config), sort_keys=True),
            "data": self.data,
            "figures": json.dumps(dict(self.figures), sort_keys=True),
            "epochs": f"{self.epochs:g}",
            "date": self.date,
            "licence": self.licence,
        }

    @classmethod
    def from_metadata(cls, text: Mapping[str, str]) -> AdapterInfo:
        """The card in a file's metadata.

        Raises:
            ValueError: it is not an adapter's, or of a later format.
        """
        if text.get("format") != FORMAT:
            raise ValueError(f"its format is {text.get('format')!r}, not {FORMAT}")
        try:
            config, figures = json.loads(text["config"]), json.loads(text.get("figures", "{}"))
            if not isinstance(config, dict) or not isinstance(figures, dict):
                raise ValueError("its configuration or its figures are not a table")
            return cls(
                name=text["name"],
                domain=text.get("domain", ""),
                base_name=text["base_name"],
                base_sha256=text["base_sha256"],
                config=config,
                data=text.get("data", ""),
                figures=figures,
                epochs=float(text.get("epochs", "0")),
                date=text.get("date", ""),
                licence=text.get("licence", ""),
            )
        except KeyError as error:
            raise ValueError(f"it does not say its {error}") from error
