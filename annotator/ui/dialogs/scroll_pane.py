"""Contents of a dialog that scroll when the screen is too low for them, so that its buttons stay in sight."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, QSize, Qt
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QAbstractSpinBox, QComboBox, QDialog, QFrame, QScrollArea, QWidget

BAR_ROOM_PX = 20
"""Margin that the content leaves at its right, where the scroll bar comes when there is one."""
_TITLE_BAR_PX = 40
_LEAST_HEIGHT_PX = 160


class ScrollPane(QScrollArea):
    """As large as its content where there is room. No frame, and the wheel scrolls it past fields that it turns."""

    def __init__(self, content: QWidget, *, takes_focus: bool = False) -> None:
        super().__init__()
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus if takes_focus else Qt.FocusPolicy.NoFocus)
        self.setWidgetResizable(True)
        self.viewport().setAutoFillBackground(False)
        self.set_content(content)

    def set_content(self, content: QWidget) -> None:
        """Show this; what was shown before is deleted."""
        self._content = content
        self.setWidget(content)
        content.setAutoFillBackground(False)
        self.viewport().setAutoFillBackground(False)

    def showEvent(self, event: QShowEvent) -> None:
        self.keep_wheel()
        super().showEvent(event)

    def keep_wheel(self) -> None:
        """Let the wheel scroll the pane past fields without focus; to be called again when there are others."""
        for field in [*self._content.findChildren(QComboBox), *self._content.findChildren(QAbstractSpinBox)]:
            field.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
            field.installEventFilter(self)

    def sizeHint(self) -> QSize:
        # Its least height: fields keep the one height that the style gives them.
        return QSize(self._content.sizeHint().width(), self._content.minimumSizeHint().height())

    def minimumSizeHint(self) -> QSize:
        content = self._content.minimumSizeHint()
        return QSize(content.width(), min(content.height(), _LEAST_HEIGHT_PX))

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        is_wheel = event.type() == QEvent.Type.Wheel
        if is_wheel and isinstance(watched, QComboBox | QAbstractSpinBox) and not watched.hasFocus():
            event.ignore()  # it goes on to the pane
            return True
        return super().eventFilter(watched, event)


def room_for(dialog: QDialog) -> QSize:
    """The largest size at which a dialog is wholly on its screen."""
    return dialog.screen().availableSize() - QSize(0, _TITLE_BAR_PX)


def fit_to_screen(dialog: QDialog) -> None:
    """Give a dialog the size that it wants, or what the screen has; left alone, Qt stops at two thirds of that."""
    dialog.resize(dialog.sizeHint().boundedTo(room_for(dialog)))


def fits_beside(dialog: QDialog, content: QWidget, *, margin_px: int) -> bool:
    """Whether ``content`` and ``margin_px`` beside it are not wider than a dialog's screen."""
    return content.minimumSizeHint().width() + margin_px <= room_for(dialog).width()
