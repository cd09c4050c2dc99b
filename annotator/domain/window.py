"""Which part of a picture's values is shown, and how: a value, which :mod:`annotator.domain.windowing` applies.

Brightness and contrast of an 8-bit picture are the same thing in other words: see :meth:`Window.brightness_contrast`.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal, cast, get_args

from annotator.domain.greys import linear_limits

Function = Literal["LINEAR", "LINEAR_EXACT", "SIGMOID"]
FUNCTIONS: tuple[Function, ...] = get_args(Function)
LEAST_GAMMA, GREATEST_GAMMA = 0.1, 10.0
GREATEST_CLAHE = 10.0
_WIDER_PX = 160.0
"""A drag this far widens the window e times."""
_CENTRE_PX = 320.0
"""A drag this far moves the centre by one width."""
_FINE = 4.0
_VERSION = 1


@dataclass(frozen=True, slots=True)
class Window:
    """What of the values is shown, and how.

    Attributes:
        centre, width: in the values' own units (Hounsfield, counts, 0..255); the width is greater than 0.
        function: of DICOM's VOI LUT (PS3.3 C.11.2.1.2 and .3).
        is_inverted: bright becomes dark.
        gamma: 0.1..10; the greater, the brighter the middle. 1 changes nothing.
        clahe: local contrast, as the clip limit of adaptive histogram equalisation, 0..10; 0: none.

    Raises:
        ValueError: one of these does not hold.
    """

    centre: float
    width: float
    function: Function = "LINEAR_EXACT"
    is_inverted: bool = False
    gamma: float = 1.0
    clahe: float = 0.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.centre) and math.isfinite(self.width) and self.width > 0):
            raise ValueError(f"no window: centre {self.centre}, width {self.width}")
        if self.function not in FUNCTIONS:
            raise ValueError(f"no function of a window: {self.function}")
        if not LEAST_GAMMA <= self.gamma <= GREATEST_GAMMA or not 0.0 <= self.clahe <= GREATEST_CLAHE:
            raise ValueError(f"gamma {self.gamma} or local contrast {self.clahe} is out of range")

    @classmethod
    def of_range(cls, low: float, high: float) -> Window:
        """From black to white; a range without a width gets a small one around it."""
        if not high > low:
            high = low + max(abs(low) * 1e-6, 1e-6)
        return cls(low / 2 + high / 2, min(high - low, 1e308))

    @property
    def limits(self) -> tuple[float, float]:
        """The last black and the first white (of a sigmoid, where its middle slope would meet them)."""
        if self.function == "LINEAR":
            return linear_limits(self.centre, self.width)
        return self.centre - self.width / 2, self.centre + self.width / 2

    def with_limits(self, low: float, high: float, *, least_width: float = 0.0) -> Window:
        """All else as it is; limits that are too close, or in the wrong order, are put apart around their middle."""
        more = 1.0 if self.function == "LINEAR" else 0.0
        middle, width = low / 2 + high / 2, max(high - low + more, least_width, 1e-9, more)
        return replace(self, centre=middle + more / 2, width=width)

    def dragged(self, dx_px: float, dy_px: float, within: tuple[float, float], *, is_fine: bool = False) -> Window:
        """After a drag in the view: to the right is wider, up is brighter.

        The steps are shares of the width, so that a hand is as exact in a narrow window as in a wide one.

        Args:
            within: least and greatest value that there is; the window keeps to them.
        """
        if is_fine:
            dx_px, dy_px = dx_px / _FINE, dy_px / _FINE
        span = max(within[1] - within[0], 1e-9)
        wider = math.exp(min(max(dx_px / _WIDER_PX, -50.0), 50.0))
        width = min(max(self.width * wider, span * 1e-4, self.least_width), span * 8)
        return self._kept(self.centre + dy_px / _CENTRE_PX * self.width, width, within)

    @property
    def least_width(self) -> float:
        """Below it the function has no meaning."""
        return 1.0 if self.function == "LINEAR" else 1e-9

    def _kept(self, centre: float, width: float, within: tuple[float, float]) -> Window:
        low, high = within
        return replace(self, centre=min(max(centre, low - width / 2), high + width / 2), width=width)

    def brightness_contrast(self, whole: Window) -> tuple[float, float]:
        """What a photographer would call it, both -1..1 where ``whole`` shows everything as it is: (0, 0) is that
        window, contrast 1 sixteen times as steep, brightness 1 a whole width brighter."""
        contrast = math.log(whole.width / self.width) / math.log(16.0)
        brightness = (whole.centre - self.centre) / whole.width
        return min(max(brightness, -1.0), 1.0), min(max(contrast, -1.0), 1.0)

    def with_brightness_contrast(self, brightness: float, contrast: float, whole: Window) -> Window:
        """The inverse of :meth:`brightness_contrast`; gamma and the rest stay."""
        return replace(self, centre=whole.centre - brightness * whole.width, width=whole.width / 16.0**contrast)

    def words(self, unit: str = "") -> str:
        """In one line: "window 400 / level 40 HU, inverted"."""
        extra = [
            self.function.lower().replace("_", " ") if self.function == "SIGMOID" else "",
            "inverted" if self.is_inverted else "",
            f"gamma {self.gamma:.2g}" if self.gamma != 1.0 else "",
            f"local contrast {self.clahe:.2g}" if self.clahe else "",
        ]
        tail = f" {unit}" if unit else ""
        return ", ".join([f"window {self.width:.4g} / level {self.centre:.4g}{tail}", *filter(None, extra)])

    def key(self) -> str:
        """Tells windows apart, in the key of an embedding: exact, and the same on every machine."""
        numbers = "/".join(float(number).hex() for number in (self.centre, self.width, self.gamma, self.clahe))
        return f"{numbers}/{self.function}/{int(self.is_inverted)}"

    def to_json(self) -> str:
        """One line of JSON, for the project file."""
        return json.dumps(
            {
                "version": _VERSION,
                "centre": self.centre,
                "width": self.width,
                "function": self.function,
                "inverted": self.is_inverted,
                "gamma": self.gamma,
                "clahe": self.clahe,
            },
            sort_keys=True,
        )


@lru_cache(maxsize=256)
def window_from_json(text: str) -> Window | None:
    """What :meth:`Window.to_json` wrote; None for anything else, such as a later version's."""
    try:
        data: Any = json.loads(text)
        if not isinstance(data, dict) or data.get("version") != _VERSION or not isinstance(data["inverted"], bool):
            return None
        numbers = [float(data[name]) for name in ("centre", "width", "gamma", "clahe")]
        return Window(
            numbers[0], numbers[1], cast(Function, data["function"]), data["inverted"], numbers[2], numbers[3]
        )
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None


@dataclass(frozen=True, slots=True)
class Preset:
    """A window with a name."""

    title: str
    centre: float
    width: float


CT_PRESETS = (
    Preset("Brain", 40, 80),
    Preset("Lung", -600, 1500),
    Preset("Bone", 400, 1800),
    Preset("Abdomen", 50, 400),
    Preset("Liver", 30, 150),
)
"""In Hounsfield units, as reading rooms use them."""
