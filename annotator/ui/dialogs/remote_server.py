"""Working with the model of another computer: its address, the token, and whether it answers."""

from __future__ import annotations

import time
from dataclasses import dataclass

from PySide6.QtWidgets import QLineEdit, QWidget

from annotator.domain.errors import ModelError
from annotator.engine.remote.address import ServerAddress, is_address, keep_token, parse_address, token_for
from annotator.jobs.job import Job
from annotator.ui.dialogs.work_dialog import WorkDialog
from annotator.ui.threads.jobs import JobBoard

_ROUNDS = 3
_HINT = "The images that you look at are sent to this server, and kept in its memory for a while."


@dataclass(frozen=True, slots=True)
class Reached:
    """A server that answered. ``round_trip_ms``: the quickest of a few short questions."""

    address: ServerAddress
    model: str
    device: str
    round_trip_ms: float

    def lines(self) -> list[str]:
        where = f"{self.address.place} answers in {self.round_trip_ms:.0f} ms"
        return [f"{where}: {self.model} on {self.device}.", "Clicks are answered there from now on."]


class RemoteServerDialog(WorkDialog):
    """``done_with`` carries a :class:`Reached`; its token is remembered then."""

    def __init__(self, address: str, parent: QWidget | None = None, *, board: JobBoard | None = None) -> None:
        super().__init__("Remote server", parent, board=board)
        self.address = QLineEdit(address if is_address(address) else "")
        self.address.setPlaceholderText("http://host:8765")
        self.address.setAccessibleName("Address")
        self.token = QLineEdit()
        self.token.setEchoMode(QLineEdit.EchoMode.Password)
        self.token.setAccessibleName("Token")
        self.token.setPlaceholderText("none")
        self.fields.addRow("Address", self.address)
        self.fields.addRow("Token", self.token)
        self.note.say(_HINT)
        self.start_button.setText("Use it")
        self.start_button.clicked.connect(self._try)
        self.address.editingFinished.connect(self._fill_token)
        self._fill_token()

    def _fill_token(self) -> None:
        """What was kept for this address, unless something was typed."""
        if self.token.text():
            return
        try:
            self.token.setText(token_for(parse_address(self.address.text())))
        except ModelError:
            return  # said when it is tried

    def _try(self) -> None:
        try:
            address = parse_address(self.address.text())
        except ModelError as error:
            self.note.say(str(error))
            self.address.setFocus()
            return
        self.note.say(_HINT)
        token = self.token.text().strip()

        def work(_job: Job) -> object:
            found = reach(address, token)
            keep_token(address, token)
            return found

        self.start(work, job=Job(f"Ask {address.place}"))


def reach(address: ServerAddress, token: str) -> Reached:
    """Ask who is there; not for the GUI thread.

    Raises:
        ModelError: nobody of ours, or the token is wrong.
    """
    from annotator.engine.remote.segmenter import RemoteSegmenter

    segmenter = RemoteSegmenter(address, token)
    try:
        took_ms = []
        for _ in range(_ROUNDS):
            started_s = time.perf_counter()
            segmenter.check()
            took_ms.append((time.perf_counter() - started_s) * 1e3)
        return Reached(address, segmenter.info.name, segmenter.info.device, min(took_ms))
    finally:
        segmenter.close()
