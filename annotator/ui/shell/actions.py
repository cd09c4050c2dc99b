"""One table of everything the window can do: menus, tool strip, context menus and the shortcut sheet come from it.

A new action is one row here and one line in ``resources/keymap.toml``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from PySide6.QtCore import QObject
from PySide6.QtGui import QAction, QActionGroup, QKeySequence
from PySide6.QtWidgets import QMenu, QMenuBar, QWidget

from annotator.ui.look.icons import icon
from annotator.ui.look.theme import Tokens
from annotator.ui.shell.keymap import Keymap


class When(StrEnum):
    """What must hold for an action to be enabled."""

    ALWAYS = "always"
    PROJECT = "a folder is open"
    IMAGE = "an image is shown"
    WRITABLE = "an image of a writable project is shown"
    REFINING = "an object is in work"
    CANDIDATES = "several candidates to choose from"
    CANCELLABLE = "a drag, an object in work, or a selection"
    SELECTION = "objects are selected in a writable project"
    UNDO = "something to undo"
    REDO = "something to redo"


@dataclass(frozen=True, slots=True)
class ActionSpec:
    """One action. ``group`` names an exclusive choice; ``is_checkable`` a switch; ``tip`` says what it does."""

    id: str
    title: str
    menu: str
    when: When
    tip: str
    icon: str = ""
    is_checkable: bool = False
    group: str = ""
    is_held: bool = False
    starts_section: bool = False


A = ActionSpec
ACTIONS: tuple[ActionSpec, ...] = (
    A("open_folder", "Open folder…", "File", When.ALWAYS, "Open a folder of images", icon="folder"),
    A("open_project", "Open project file…", "File", When.ALWAYS, "Open a .annot project file"),
    A("open_samples", "Try the sample images", "File", When.ALWAYS, "Write sample images to a folder and open it"),
    A("save", "Save", "File", When.PROJECT, "Every accepted object is saved at once; this says so"),
    A("import", "Import COCO…", "File", When.PROJECT, "Bring objects of a COCO file in", "import", starts_section=True),
    A("export", "Export…", "File", When.PROJECT, "Write COCO or polygons, and check what was written", icon="export"),
    A("settings", "Settings…", "File", When.ALWAYS, "Change how the program behaves", "settings", starts_section=True),
    A("quit", "Quit", "File", When.ALWAYS, "Close the window; everything accepted is saved", starts_section=True),
    A("undo", "Undo", "Edit", When.UNDO, "Step back: a click or stroke in work, else the last change", icon="undo"),
    A("redo", "Redo", "Edit", When.REDO, "Step forward again", icon="redo"),
    A("delete", "Delete object", "Edit", When.SELECTION, "Delete the selected objects", "delete", starts_section=True),
    A("select_all", "Select all objects", "Edit", When.IMAGE, "Select every object of this image"),
    A("tool_click", "Click tool", "Object", When.WRITABLE, "Click an object to get its mask", "click", True, "tool"),
    A("tool_box", "Box tool", "Object", When.WRITABLE, "Drag a box around an object", "box", True, "tool"),
    A(
        "tool_brush",
        "Brush",
        "Object",
        When.WRITABLE,
        "Paint over the mask in work, or an object",
        "brush",
        True,
        "tool",
    ),
    A("tool_eraser", "Eraser", "Object", When.WRITABLE, "Take away from the mask in work", "eraser", True, "tool"),
    A("tool_select", "Select tool", "Object", When.IMAGE, "Select accepted objects", "select", True, "tool"),
    A("toggle_sign", "Removing clicks", "Object", When.WRITABLE, "The left button removes", "sign", True),
    A("brush_larger", "Larger brush", "Object", When.WRITABLE, "Also Ctrl and the wheel"),
    A("brush_smaller", "Smaller brush", "Object", When.WRITABLE, "Also Ctrl and the wheel"),
    A("accept", "Accept", "Object", When.REFINING, "Keep the mask as an object", "accept", starts_section=True),
    A("cancel", "Cancel", "Object", When.CANCELLABLE, "Drop the object in work, or the selection", icon="cancel"),
    A("remove_last", "Remove last click", "Object", When.REFINING, "Take the newest click or stroke away", "backspace"),
    A("next_candidate", "Next candidate", "Object", When.CANDIDATES, "Part, whole or group", icon="candidates"),
    A("previous_candidate", "Previous candidate", "Object", When.CANDIDATES, "The candidate before"),
    A("refine_selected", "Refine selected object", "Object", When.SELECTION, "Take it up again with clicks"),
    A("suggest_click", "Suggested next click", "Object", When.REFINING, "Go to it; Enter places it", "suggest"),
    A("find_class", "Find class…", "Object", When.PROJECT, "Choose a class by name", "search", starts_section=True),
    A("next_image", "Next image", "Image", When.PROJECT, "Go to the next image", icon="next"),
    A("previous_image", "Previous image", "Image", When.PROJECT, "Go to the image before", icon="previous"),
    A("next_unfinished", "Next unfinished image", "Image", When.PROJECT, "Go to the next image that is not done"),
    A("review_next", "Least certain object", "Image", When.PROJECT, "From object to object over all images"),
    A("review_previous", "Previous in review", "Image", When.PROJECT, "Back to the object before"),
    A("done_next", "Done and next", "Image", When.WRITABLE, "Mark it done and go on", "done-next", starts_section=True),
    A("mark_empty", "Mark empty", "Image", When.WRITABLE, "Nothing to annotate: objects go", icon="empty"),
    A("hide_masks", "Hide masks", "View", When.ALWAYS, "Hide or show all masks", "eye", True),
    A("peek", "Peek at the bare image", "View", When.ALWAYS, "Hold the key to see the image alone", is_held=True),
    A("show_doubt", "Show doubt", "View", When.IMAGE, "Where the mask may be wrong, as a heat layer", "heat", True),
    A("compare_base", "Compare with the base", "View", When.ALWAYS, "Hold: the mask without the adapter", is_held=True),
    A("fit", "Fit image", "View", When.IMAGE, "Show the whole image", "fit", starts_section=True),
    A("zoom_in", "Zoom in", "View", When.IMAGE, "Closer", icon="zoom-in"),
    A("zoom_out", "Zoom out", "View", When.IMAGE, "Further away", icon="zoom-out"),
    A("panel_objects", "Objects panel", "View", When.ALWAYS, "Show or hide it", "panel", True, starts_section=True),
    A("panel_classes", "Classes panel", "View", When.ALWAYS, "Show or hide it", "panel", True),
    A("panel_images", "Images panel", "View", When.ALWAYS, "Show or hide it", "panel", True),
    A("full_screen", "Full screen", "View", When.ALWAYS, "Whole screen", "fullscreen", True, starts_section=True),
    A("adapters", "Adapters…", "Model", When.ALWAYS, "Choose, import, export and remove prompt adapters", "model"),
    A("keys", "Keys", "Help", When.ALWAYS, "All keys on one sheet", icon="keys"),
    A("about", "About Annotator", "Help", When.ALWAYS, "Version, model, licences", icon="info"),
)
REPEATING = frozenset(
    {"undo", "redo", "remove_last", "next_candidate", "previous_candidate", "next_image", "previous_image"}
    | {"next_unfinished", "review_next", "review_previous", "suggest_click", "zoom_in", "zoom_out"}
    | {"brush_larger", "brush_smaller"}
)
"""Served again and again while the key stays down. The others change something each time: one press, one change."""
MENUS = ("File", "Edit", "Object", "Image", "View", "Model", "Help")
TOOL_STRIP = (
    "tool_click", "tool_box", "tool_brush", "tool_eraser", "tool_select", "",
    "toggle_sign", "accept", "cancel", "", "undo", "redo", "",
    "hide_masks", "fit", "", "mark_empty", "done_next",
)  # fmt: skip


class ActionSet(QObject):
    """The QActions of one window, made from the table and a keymap.

    Args:
        handlers: one callable per action id; checkable actions pass their new state.

    Raises:
        ValueError: an action has no handler, or a handler no action.
    """

    def __init__(self, keymap: Keymap, handlers: Mapping[str, Callable[..., object]], parent: QWidget) -> None:
        super().__init__(parent)
        names = {spec.id for spec in ACTIONS}
        if names != set(handlers):
            raise ValueError(f"actions and handlers differ: {sorted(names ^ set(handlers))}")
        self.specs = {spec.id: spec for spec in ACTIONS}
        self.actions: dict[str, QAction] = {}
        self.keymap = keymap
        groups: dict[str, QActionGroup] = {}
        for spec in ACTIONS:
            action = QAction(spec.title, self)
            action.setObjectName(spec.id)
            action.setCheckable(spec.is_checkable)
            action.setAutoRepeat(spec.id in REPEATING)
            action.setIconVisibleInMenu(not spec.is_checkable)
            if spec.group:
                groups.setdefault(spec.group, QActionGroup(self)).addAction(action)
            _connect(action, handlers[spec.id], is_checkable=spec.is_checkable)
            self.actions[spec.id] = action
            parent.addAction(action)
        self.set_keymap(keymap)

    def __getitem__(self, name: str) -> QAction:
        return self.actions[name]

    def set_keymap(self, keymap: Keymap) -> None:
        """Use other keys; tooltips teach them."""
        self.keymap = keymap
        for name, action in self.actions.items():
            spec = self.specs[name]
            # A held key needs its release, which a shortcut does not report: the key gate serves it.
            action.setShortcuts([] if spec.is_held else _sequences(keymap.keys(name)))
            keys = keymap.label(name)
            action.setToolTip(f"{spec.title.rstrip('…')}  {keys}\n{spec.tip}" if keys else f"{spec.title}\n{spec.tip}")
            action.setStatusTip("")
            # Qt shows no key that is held, and calls the Enter key by its other name.
            action.setText(f"{spec.title}\t{keys}" if spec.is_held or "Enter" in keys else spec.title)
            action.setIconText(spec.title)

    def set_tokens(self, tokens: Tokens) -> None:
        for name, action in self.actions.items():
            if self.specs[name].icon:
                action.setIcon(icon(self.specs[name].icon, tokens))

    def enable(self, conditions: Iterable[When]) -> None:
        """Enable what is possible under these conditions."""
        holding = {When.ALWAYS, *conditions}
        for name, action in self.actions.items():
            action.setEnabled(self.specs[name].when in holding)

    def fill_menu_bar(self, bar: QMenuBar) -> dict[str, QMenu]:
        """All menus; "Model" stays empty for the window to fill."""
        menus = {title: bar.addMenu(f"&{title}") for title in MENUS}
        for spec in ACTIONS:
            menu = menus[spec.menu]
            if spec.starts_section and menu.actions():
                menu.addSeparator()
            menu.addAction(self.actions[spec.id])
        return menus


def _sequences(keys: Iterable[str]) -> list[QKeySequence]:
    """Key sequences; a sign such as "?" also with Shift, which most keyboards need for it."""
    found = []
    for key in keys:
        found.append(QKeySequence(key))
        if len(key) == 1 and not key.isalnum():
            found.append(QKeySequence(f"Shift+{key}"))
    return found


def _connect(action: QAction, handler: Callable[..., object], *, is_checkable: bool) -> None:
    if is_checkable:
        action.triggered.connect(lambda checked: handler(checked))
    else:
        action.triggered.connect(lambda _checked: handler())
