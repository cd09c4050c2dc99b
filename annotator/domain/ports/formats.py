"""A file format as a row of data: the window, the command line, the documentation and tests are made from rows.

A package adds one by an entry point of the group ``annotator.formats`` whose name is the row's id and whose target is a
:class:`FormatSpec`. The module of the row should import nothing heavy: its functions are imported when they are used.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from annotator.domain.brevity import brief
from annotator.domain.errors import ExportError
from annotator.domain.ports.jobs import Progress

OptionValue = str | bool | int | float


class Holds(StrEnum):
    """What a format can keep of an object."""

    MASKS = "masks"
    """every pixel"""
    HOLES = "holes"
    POLYGONS = "polygons"
    BOXES = "boxes"


class Report(Protocol):
    """What an export or import says about itself."""

    def lines(self) -> list[str]:
        """For the command line and the window, the most important first."""
        ...


class Export(Protocol):
    """What :attr:`FormatSpec.export` names.

    Raises:
        UserError: nothing was written, or what was written is not usable; an existing file is untouched.
    """

    def __call__(
        self,
        store: Any,
        out_path: Path,
        *,
        include_unfinished: bool,
        all_images: bool,
        progress: Progress | None,
        **options: Any,
    ) -> Report:
        """
        Args:
            store: the project, a :class:`annotator.io.project.queries.ProjectQueries`, open for reading.
            out_path: the file or folder to write.
            include_unfinished: also images in progress, as far as they have objects.
            all_images: also images without objects that nobody marked done or empty.
            progress: what it raises stops the export, which must leave nothing half-written.
            options: a value for every one of the row's options.
        """
        ...


class ImportReport(Report, Protocol):
    """What an import took in, and what it skipped."""

    @property
    def objects(self) -> int: ...
    @property
    def already_there(self) -> int: ...
    @property
    def skipped(self) -> int: ...


class Import(Protocol):
    """What :attr:`FormatSpec.import_` names. ``store`` is a :class:`annotator.io.project.store.ProjectStore`.

    Raises:
        UserError: nothing was changed.
    """

    def __call__(self, store: Any, path: Path, *, progress: Progress | None) -> ImportReport: ...


@dataclass(frozen=True, slots=True)
class Choice:
    """One value of an option: its name on the command line, in the window, and what it is good for."""

    value: str
    title: str
    help: str = ""


@dataclass(frozen=True, slots=True)
class FormatOption:
    """Something to choose about an export.

    Attributes:
        name: the keyword of the export function; ``--name`` on the command line, with hyphens.
        title: in the window; help: a sentence.
        default: also states the type.
        choices: of a text; empty for any.
        minimum, maximum: of numbers, None for no limit.
        is_consent: whether it is a person's consent: it is given anew each time, never remembered.
    """

    name: str
    title: str
    default: OptionValue
    help: str = ""
    choices: tuple[Choice, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    is_consent: bool = False

    @property
    def flag(self) -> str:
        return f"--{self.name.replace('_', '-')}"

    def checked(self, value: object) -> OptionValue:
        """A value of the option's type, from that type or from text (``yes`` and ``no`` for a switch).

        Raises:
            ExportError: it is none.
        """
        found = self._converted(value)
        names = [choice.value for choice in self.choices]
        is_number = isinstance(found, int | float) and not isinstance(found, bool)
        is_low = is_number and self.minimum is not None and not float(found or 0) >= self.minimum
        is_high = is_number and self.maximum is not None and not float(found or 0) <= self.maximum
        if found is None or (names and found not in names) or is_low or is_high:
            raise ExportError(f"{self.flag} cannot be {brief(value)!r}.", f"Use {self.values()}.")
        return found

    def values(self) -> str:
        """What it can be, in words."""
        if self.choices:
            return " | ".join(choice.value for choice in self.choices)
        if isinstance(self.default, bool):
            return "yes | no"
        if isinstance(self.default, str):
            return "a text"
        limits = [f"from {self.minimum:g}"] if self.minimum is not None else []
        limits += [f"to {self.maximum:g}"] if self.maximum is not None else []
        return " ".join(["a whole number" if isinstance(self.default, int) else "a number", *limits])

    def _converted(self, value: object) -> OptionValue | None:
        if isinstance(self.default, bool):
            return value if isinstance(value, bool) else {"yes": True, "no": False}.get(str(value))
        if isinstance(self.default, str):
            return value if isinstance(value, str) else None
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            return None
        try:
            return int(value) if isinstance(self.default, int) else float(value)
        except ValueError:
            return None


@dataclass(frozen=True, slots=True)
class FormatSpec:
    """A format.

    Attributes:
        id: on the command line and in the settings; lower case.
        title: such as "COCO"; summary: what is written, such as "one JSON file".
        is_folder: whether an export is a folder.
        suffix: of the file that is written, with its dot; empty for a folder.
        holds: what it keeps of an object.
        options: of the export.
        export, import_: ``module:function``, empty where there is none; see :class:`Export`, :class:`Import`.
        import_name: the file that an import is given: a suffix (".json") or a whole name ("data.yaml"); several are
            parted by blanks.
        claims: ``module:function`` that says of a path whether it is of this format, where names do not tell.
        readers: who reads it, for the documentation.
        is_beside: whether what is written would be taken for images where the images are: it goes somewhere else.
    """

    id: str
    title: str
    summary: str
    is_folder: bool
    suffix: str
    holds: frozenset[Holds]
    options: tuple[FormatOption, ...] = ()
    export: str = ""
    import_: str = ""
    import_name: str = ""
    claims: str = ""
    readers: str = ""
    is_beside: bool = False

    def suggested_name(self, project_stem: str) -> str:
        """The file or folder that an export of a project is written to unless another is named."""
        return f"{project_stem}-{self.id}{self.suffix}"

    def fits_import(self, path: Path) -> bool:
        """Whether a file is by its name one that this format imports."""
        name = path.name.lower()
        wanted = self.import_name.lower().split()
        return bool(self.import_) and any(name.endswith(one) if one.startswith(".") else name == one for one in wanted)

    def import_patterns(self) -> list[str]:
        """What file dialogs show for it."""
        return [f"{'*' * one.startswith('.')}{one}" for one in self.import_name.split()]

    def checked_options(self, values: dict[str, Any]) -> dict[str, OptionValue]:
        """A value for every option: the given one, else the default.

        Raises:
            ExportError: there is no such option, or a value is of another type.
        """
        known = {option.name: option for option in self.options}
        for name in values:
            if name not in known:
                raise ExportError(f"{self.title} has no option {brief(name)!r}.", "Leave it out.")
        return {name: option.checked(values.get(name, option.default)) for name, option in known.items()}

    def held(self) -> str:
        """What it holds, in words."""
        return ", ".join(kind for kind in Holds if kind in self.holds)
