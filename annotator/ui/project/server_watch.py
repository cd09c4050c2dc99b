"""A server that has gone: said once, looked for until it is back, and then asked again what waits."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject, QTimer, Slot

from annotator.domain.errors import ModelError
from annotator.domain.ports.engine import ModelInfo
from annotator.domain.ports.requests import EngineFailure
from annotator.engine.remote.address import is_address, parse_address, token_for
from annotator.ui.dialogs.remote_server import reach
from annotator.ui.notices import Notices
from annotator.ui.threads.background import BackgroundWork
from annotator.ui.threads.worker import EngineClient

TOPIC = "server"
AGAIN_MS = 2000


class ServerWatch(QObject):
    """Args:
    wanted: the model that the person wants, which may be a server's address.
    come_back: load that model again: its images are opened and the clicks that wait are asked.
    use_own: work with the best model of this computer from now on.
    """

    def __init__(
        self,
        client: EngineClient,
        notices: Notices,
        *,
        wanted: Callable[[], str],
        come_back: Callable[[str], None],
        use_own: Callable[[], None],
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self._notices, self._wanted, self._come_back, self._use_own = notices, wanted, come_back, use_own
        self._probe: BackgroundWork | None = None
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(AGAIN_MS)
        self._timer.timeout.connect(self._look)
        client.failed.connect(self._on_failure)
        client.ready.connect(self._on_ready)  # as a method: the connection goes with this object

    @property
    def is_looking(self) -> bool:
        """Whether a server is away and looked for."""
        return self._timer.isActive() or self._probe is not None

    def shut_down(self) -> None:
        """The window closes; waits for a question under way, which ends after a few seconds."""
        self._end()
        if self._probe is not None:
            self._probe.wait()

    @Slot(object)
    def _on_failure(self, failure: EngineFailure) -> None:
        if not failure.is_away or self.is_looking:
            return
        self._notices.warn(
            f"{failure.message} It is asked again every {AGAIN_MS // 1000} s.",
            about=TOPIC,
            action=("Work on this computer", self._go_on_here),
        )
        self._timer.start()

    @Slot(object)
    def _on_ready(self, _info: ModelInfo) -> None:
        self._end()

    def _go_on_here(self) -> None:
        self._end()
        self._use_own()

    def _end(self) -> None:
        self._timer.stop()
        self._notices.withdraw(TOPIC)

    def _look(self) -> None:
        address = self._wanted()
        if not is_address(address):
            self._end()
            return
        work = BackgroundWork(lambda _job: _reached(address), self)
        work.succeeded.connect(lambda _found: self._on_answer(address))
        work.failed.connect(self._on_silence)
        work.finished.connect(self._on_asked)
        self._probe = work
        work.start()

    def _on_answer(self, address: str) -> None:
        if self._wanted() == address and self._notices.has(TOPIC):
            self._end()
            self._come_back(address)

    def _on_silence(self, error: Exception) -> None:
        if not isinstance(error, ModelError):
            raise error
        if self._notices.has(TOPIC):
            self._timer.start()

    def _on_asked(self) -> None:
        if self._probe is not None:
            self._probe.deleteLater()
            self._probe = None


def _reached(address: str) -> object:
    parsed = parse_address(address)
    return reach(parsed, token_for(parsed))
