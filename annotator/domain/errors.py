"""Errors of the user's world: one clear message that says what to do. Everything else is a bug of ours."""

from __future__ import annotations

from annotator.domain.brevity import brief_message


class UserError(Exception):
    """Something outside the program is wrong (a file, a disk, an input); the session stays usable.

    Args:
        message: what happened, in one sentence, naming the file or value (as :func:`annotator.domain.brevity.brief` has
            it: both texts are cut in the middle when they are longer than anybody reads).
        advice: what the person can do about it, in one sentence; may be empty.
    """

    def __init__(self, message: str, advice: str = "") -> None:
        super().__init__(message)
        self.message = brief_message(message)
        self.advice = brief_message(advice)

    def __str__(self) -> str:
        return f"{self.message} {self.advice}".strip()


class ImageError(UserError):
    """An image cannot be read, or is not one."""


class ModelError(UserError):
    """A model is missing, damaged or does not fit."""


class ServerAwayError(ModelError):
    """A server that has the model does not answer just now: the same can be asked later."""


class ProjectError(UserError):
    """The project file cannot be opened or written."""


class ProjectReadOnlyError(ProjectError):
    """The project was opened read-only (another program holds it, or the disk forbids writing)."""


class ProjectBusyError(ProjectError):
    """Another program has the project file locked just now: nothing was written, and the same can be done later."""


class ProjectUnsoundError(ProjectError):
    """The project file is damaged, or holds what would run by itself: a plain copy of its rows may be made."""


class ProjectElsewhereError(ProjectError):
    """The project file belongs to another folder of images: its masks must not be shown on the images of this one."""


class ProjectFolderError(ProjectError):
    """The project names a folder outside of its own for its images, and the person has not agreed to it."""


class ProjectReplacedError(ProjectError):
    """Another file has taken the place of the project that is open: nothing is written there any more."""


class RowGoneError(ValueError):
    """A change begins with a row that is not there any more: it was deleted, or the step that made it was undone."""


class RowTakenError(ValueError):
    """A change would make a row whose id is taken: in a history that does not belong to these rows, or made twice."""


class ImportFormatError(UserError):
    """A file to import is not what it claims to be."""


class ExportError(UserError):
    """An export could not be written, or did not pass its self-check."""


class PromptError(UserError):
    """A prompt is not usable (not finite, an empty box, nothing at all)."""


class DeviceMemoryError(UserError):
    """The computing device ran out of memory, and so did the fallback."""


class DivergedError(UserError):
    """A training's loss or gradients are not finite any more: its weights are of no use."""


class EncodeCancelled(Exception):  # noqa: N818 - a signal between threads, not a failure
    """An encode yielded to more urgent work; asked for by the caller, nothing is wrong."""
