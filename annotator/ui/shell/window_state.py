"""What can be done in the window now: one frozen value, made in one place, asked by every action."""

from __future__ import annotations

from dataclasses import dataclass, field

from annotator.domain.drafts.state import RefineState


@dataclass(frozen=True, slots=True)
class Document:
    """What the open project allows; all false without one."""

    has_project: bool = False
    has_image: bool = False
    is_writable: bool = False
    is_slice: bool = False
    is_video: bool = False
    """It is a frame of a video."""
    can_undo: bool = False
    can_redo: bool = False


@dataclass(frozen=True, slots=True)
class Hand:
    """What the person holds: a half-made drag, a stroke that is being drawn, selected objects, an operation that is
    tried out."""

    has_gesture: bool = False
    is_drawing: bool = False
    has_selection: bool = False
    is_trying: bool = False
    has_proposals: bool = False
    """The proposal tool, and there are some to take; keys are about those."""
    has_search: bool = False
    """The proposal tool, or a search for them that can be stopped."""
    is_carrying: bool = False
    """Objects are carried through a series."""


@dataclass(frozen=True, slots=True)
class WindowState:
    """Document, current object and hand, together."""

    document: Document = field(default_factory=Document)
    work: RefineState = field(default_factory=RefineState)
    hand: Hand = field(default_factory=Hand)

    @property
    def can_change(self) -> bool:
        """Whether an image of a writable project is open."""
        return self.document.has_image and self.document.is_writable


def always(_state: WindowState) -> bool:
    return True


def in_project(state: WindowState) -> bool:
    return state.document.has_project


def on_image(state: WindowState) -> bool:
    return state.document.has_image


def on_slice(state: WindowState) -> bool:
    """The image is a slice of a series."""
    return state.document.is_slice


def on_slice_writable(state: WindowState) -> bool:
    """The image is a slice of a series, in a project that can be changed."""
    return state.document.is_slice and state.can_change


def on_video_writable(state: WindowState) -> bool:
    """The image is a frame of a video, in a project that can be changed."""
    return state.document.is_video and state.can_change


def carrying(state: WindowState) -> bool:
    return state.hand.is_carrying


def writable(state: WindowState) -> bool:
    return state.can_change


def refining(state: WindowState) -> bool:
    """An object is in progress, or a stroke."""
    return state.work.is_active or state.hand.is_drawing


def acceptable(state: WindowState) -> bool:
    """There is something that the key which accepts ends or keeps."""
    return refining(state) or state.hand.is_trying or state.hand.has_proposals


def has_masks(state: WindowState) -> bool:
    """There are masks to change: the current object's, or those of selected ones."""
    return state.can_change and (state.work.is_active or state.hand.has_selection)


def removable(state: WindowState) -> bool:
    """There is something that the key which takes away is about: the current object, or a proposal."""
    return refining(state) or state.hand.has_proposals


def reviewing(state: WindowState) -> bool:
    """Proposals are shown, and their tool is in the hand."""
    return state.hand.has_proposals


def choosing(state: WindowState) -> bool:
    """There are several candidates, or proposals."""
    candidates = state.work.candidates
    has_several = refining(state) and candidates is not None and len(candidates.items) > 1
    return has_several or state.hand.has_proposals


def cancellable(state: WindowState) -> bool:
    hand = state.hand
    held = hand.has_gesture or hand.has_selection or hand.is_trying
    return state.work.is_active or held or hand.has_search or hand.is_carrying


def selecting(state: WindowState) -> bool:
    """Objects are selected that can be changed."""
    return state.can_change and state.hand.has_selection


def has_selected(state: WindowState) -> bool:
    """Objects are selected, also of a project that cannot be changed."""
    return state.document.has_image and state.hand.has_selection


def undoable(state: WindowState) -> bool:
    return state.work.can_undo or state.work.is_active or state.hand.is_drawing or state.document.can_undo


def redoable(state: WindowState) -> bool:
    return state.work.can_redo or (not state.work.is_active and state.document.can_redo)
