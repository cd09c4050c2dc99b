"""The status bar: a quiet line at the left, facts about the engine and the view at the right."""

from __future__ import annotations

from typing import TypeVar

from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import QLabel, QStatusBar, QWidget

from annotator.domain.ports.engine import ModelInfo, Travel
from annotator.ui.look.elided import ElidedLabel
from annotator.ui.look.still import StillLabel
from annotator.ui.notices import is_part_of

_Label = TypeVar("_Label", bound=QLabel)
_MESSAGE_MS = 8000
_CLICK_TIP = "Time from a click to its mask"
_ZOOM_TIP = "zoom: the object is small, so it was looked at again in an enlarged piece of the image"
_SIZE_TIP = (
    "Area and longest diameter (⌀) of the current object, else of the selected ones.\n"
    "Of a track also its volume and longest diameter through all slices."
)
_UIDS_TIP = (
    "The UIDs of DICOM images are kept in this project and its exports (Settings, Project).\n"
    "In the archive that the images came from they lead to the patient."
)
_PADDING_PX = 16
"""Left and right of a fact, as in the style sheet."""


class StatusLine(QStatusBar):
    """Messages fade after a while; facts stay."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setSizeGripEnabled(False)
        self.message = ElidedLabel()
        self.message.setObjectName("message")
        self.addWidget(self.message, 1)
        self.uids = self._fact("UIDs", _UIDS_TIP, QLabel())
        self.uids.setText("UIDs kept")
        self.uids.hide()
        self.engine = self._fact("Model and device", "", QLabel())
        self.encode = self._often("Encoding time", "Time the image took to be encoded; once per image")
        self.decode = self._often("Click time", _CLICK_TIP)
        self.extent = self._often("Size", _SIZE_TIP)
        self.extent.hide()
        self.place = self._often("Cursor position", "Image pixel under the cursor")
        self.zoom = self._often("Zoom", "Screen pixels per image pixel")
        self._topic = ""
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self.message.clear)
        self.message.setAccessibleName("Messages")
        # Room for the longest text, so that nothing beside them moves with the cursor.
        for label, longest in ((self.place, "00000, 00000"), (self.zoom, "0000 %")):
            label.hide()
            label.setMinimumWidth(label.fontMetrics().horizontalAdvance(longest) + _PADDING_PX)
        self.clear_times()
        self.set_place(None, None)

    def _often(self, name: str, tip: str) -> StillLabel:
        """A fact that changes all the time."""
        label = StillLabel()
        label.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        return self._fact(name, tip, label)

    def _fact(self, name: str, tip: str, label: _Label) -> _Label:
        label.setAccessibleName(name)
        label.setToolTip(tip)
        self.addPermanentWidget(label)
        return label

    def tell(self, text: str, *, stays: bool = False, topic: str = "") -> None:
        """Show a line; the next one replaces it. Lines that ``stay`` describe work under way.

        ``topic`` names what the line is about, so that it can be withdrawn when that is over.
        """
        self._topic = topic
        self.message.setText(text)
        if stays:
            self._timer.stop()
        else:
            self._timer.start(_MESSAGE_MS)

    def withdraw(self, topic: str) -> None:
        """Take the line away when it is about this, or about a part of it."""
        if is_part_of(self._topic, topic):
            self._timer.stop()
            self.message.clear()

    def set_engine(self, info: ModelInfo | None, *, adapter: str = "") -> None:
        if info is None:
            self.engine.setText("loading model")
            return
        mark = "" if info.is_verified else " (unverified)"
        dtype = {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16"}.get(info.dtype, info.dtype)
        device = info.server or {"cpu": "CPU", "cuda": "CUDA", "mps": "MPS"}.get(info.device, info.device)
        self.engine.setText(f"{device} · {info.name}{mark}{f' + {adapter}' if adapter else ''} · {dtype}")
        self.engine.setToolTip(info.note or f"{info.name}: {info.sha256[:16]}")

    def set_no_engine(self, reason: str, *, has_other: bool) -> None:
        """Loading a model failed; another one may still be in use."""
        if not has_other:
            self.engine.setText("no model")
            self.engine.setToolTip(reason)

    def clear_times(self, *, keeps_room: bool = False) -> None:
        """``keeps_room``: others come in a moment."""
        for label in (self.encode, self.decode):
            if keeps_room:
                label.blank()
            else:
                label.clear()
                label.hide()

    @staticmethod
    def _show(label: StillLabel, text: str) -> None:
        label.setText(text)
        label.show()

    def set_encode_ms(self, encode_ms: float, *, was_cached: bool) -> None:
        self._show(self.encode, f"encode {_ms(encode_ms)}{' cached' if was_cached else ''}")

    def set_encoding(self) -> None:
        self._show(self.encode, "encoding…")

    def set_decode_ms(self, decode_ms: float, *, looked_closer: bool = False, travel: Travel | None = None) -> None:
        """``looked_closer``: the mask was found in an enlarged piece of the image."""
        away = f" + {_ms(travel.network_ms)} network + {_ms(travel.queue_ms)} queue" if travel else ""
        self._show(self.decode, f"click {_ms(decode_ms)}{away}{' · zoom' if looked_closer else ''}")
        self.decode.setToolTip(f"{_CLICK_TIP}\n{_ZOOM_TIP}" if looked_closer else _CLICK_TIP)

    def set_zoom(self, scale: float) -> None:
        self._show(self.zoom, f"{scale * 100:.0f} %")
        self.place.show()

    def set_size(self, text: str) -> None:
        """How large the current object is, or what is selected; empty for neither."""
        self.extent.setText(text)
        self.extent.setVisible(bool(text))

    def set_place(self, x: float | None, y: float | None) -> None:
        self.place.setText("" if x is None or y is None else f"{int(x)}, {int(y)}")


def _ms(value: float) -> str:
    return f"{value / 1000:.1f} s" if value >= 1000 else f"{value:.0f} ms"
