"""The settings of a person: one table for dialog, command line and documentation; a TOML file of differences."""

from __future__ import annotations

import logging
import math
import reprlib
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError

from annotator.domain import budget
from annotator.domain.brevity import brief
from annotator.domain.errors import UserError
from annotator.files import places
from annotator.files.atomic import put_in_place, write_atomic
from annotator.files.private import keep_private, make_private_folder

_log = logging.getLogger(__name__)

SettingValue = str | int | float | bool | list[str]

"""Names a folder that takes the place of the system's folder for settings (tests, portable installations)."""

FILE_NAME = "settings.toml"
RECENT_FOLDERS = 10
_MAX_TEXT = 1 << 16
_MAX_ITEMS = 100


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of the table.

    Attributes:
        key: as in the file.
        default: also states the type.
        group: heading in the dialog; "state" is what the program remembers by itself (not in the dialog).
        description: one sentence, with the unit.
        choices: allowed texts, empty for any.
        minimum, maximum: of numbers, None for no limit.
        is_restart_needed: whether it works only from the next start.
    """

    key: str
    default: SettingValue
    group: str
    description: str
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    is_restart_needed: bool = False


SETTINGS: tuple[Setting, ...] = (
    Setting("theme", "dark", "Appearance", "Colours of the window.", choices=("dark", "light", "system")),
    Setting("mask_opacity", 0.45, "Appearance", "Opacity of object masks, 0 to 1.", minimum=0, maximum=1),
    Setting(
        "outline_width_px", 2.0, "Appearance", "Width of outlines in screen pixels; 0 for none.", minimum=0, maximum=10
    ),
    Setting("cross_hair", False, "Appearance", "Lines through the pointer, with tools that aim."),
    Setting("keymap", "annotator", "Keyboard", "Preset of the keys.", choices=("annotator", "x-anylabeling", "isat")),
    Setting("author", "", "Project", "Your name as kept with every object; empty: the system's user name."),
    Setting("max_image_megapixels", 400, "Project", "Larger images are refused.", minimum=1, maximum=4000),
    Setting(
        "dicom_uids",
        False,
        "Project",
        "Keep the UIDs of DICOM images in projects and exports. In an archive they lead to the patient.",
    ),
    Setting(
        budget.SETTING,
        0,
        "Project",
        "Memory for one image, mask or model file, in MiB; 0: a quarter of all.",
        minimum=0,
        maximum=1 << 22,
    ),
    Setting("model", "", "Model", "Name or file of the model; empty: the best one that is there."),
    Setting(
        "device",
        "auto",
        "Model",
        "Where the model runs.",
        choices=("auto", "cpu", "cuda", "mps"),
        is_restart_needed=True,
    ),
    Setting("offer_model", True, "Model", "Offer a larger model when there is only the one that ships."),
    Setting("prefetch", True, "Model", "Prepare the next image while this one is worked on."),
    Setting(
        "cache_ram_mib",
        1024,
        "Cache",
        "Memory for prepared images, in MiB.",
        minimum=0,
        maximum=1 << 20,
        is_restart_needed=True,
    ),
    Setting("cache_disk_enabled", True, "Cache", "Keep prepared images on the disk.", is_restart_needed=True),
    Setting(
        "cache_disk_gib",
        20.0,
        "Cache",
        "Disk space for prepared images, in GiB.",
        minimum=0,
        maximum=1 << 20,
        is_restart_needed=True,
    ),
    Setting("last_folder", "", "state", "The folder that was open last."),
    Setting("recent_folders", [], "state", "Folders that were open, newest first."),
    Setting("export", "", "state", "Format and options of the last export (text of the window's own)."),
    Setting("knows_drafts_stay", False, "state", "Whether closing has said that unaccepted objects are kept."),
    Setting("proposals", "", "state", "Which proposals are shown (text of the window's own)."),
    Setting("check_images", False, "state", "Whether checks read the images, too."),
    Setting("words", [], "state", "What was looked for by words, newest first."),
    Setting("play_speed", 1.0, "state", "How fast series play, times the normal speed.", minimum=0.5, maximum=2),
    Setting("timeline", True, "state", "Whether small pictures and tracks stand under the slider of a series."),
    Setting("panels", "", "state", "Places and sizes of the window's panels (text of the window's own)."),
)

_BY_KEY: Mapping[str, Setting] = {setting.key: setting for setting in SETTINGS}


class Settings:
    """Values by key: the file's where it has a usable one, else the default. A change is written at once.

    ``warnings`` says, one sentence each, what in the file could not be used. Keys that are not in the table, comments
    and order stay in the file as they are, and so does what another window has changed meanwhile. A file that is not
    TOML is never written over: it is put aside first. Any thread may change them, one at a time.
    """

    def __init__(self, path: Path, warnings: tuple[str, ...] = ()) -> None:
        """Use :meth:`load`."""
        self.path = path
        self.warnings = warnings
        self._values: dict[str, SettingValue] = {}
        self._unsaved: set[str] = set()
        self._turn = threading.Lock()
        """Whose it is changes values and writes the file."""

    @classmethod
    def load(cls, path: Path | None = None) -> Settings:
        """Read the file (default: :func:`settings_path`); a missing one is no fault."""
        file = path or settings_path()
        keep_private(file)
        try:
            document = _read(file)
        except OSError as error:
            warning = f"The settings in {brief(file)} cannot be read ({error.strerror}); the defaults are used."
            return cls(file, (warning,))
        except (ValueError, RecursionError, TOMLKitError) as error:
            return cls(
                file, (f"The settings in {brief(file)} are damaged ({str(error)[:200]}); the defaults are used.",)
            )
        settings = cls(file)
        settings.warnings = settings._take(document.unwrap())
        return settings

    def get(self, key: str) -> Any:
        """The value, of the default's type (a list is a new one).

        Raises:
            KeyError: not in the table.
        """
        value = self._values.get(key, _BY_KEY[key].default)
        return list(value) if isinstance(value, list) else value

    def set(self, key: str, value: SettingValue) -> bool:
        """Change a value and write the file; the default is kept by leaving the key out.

        Returns:
            Whether anything changed.

        Raises:
            KeyError: not in the table.
            UserError: the value does not fit, or the file cannot be written (the value holds for this session).
        """
        setting = _BY_KEY[key]
        fitted = _fit(setting, value)
        if fitted is None:
            raise UserError(f"{brief(value)!r} is not a value for {key}.", _hint(setting))
        with self._turn:
            if fitted == self.get(key):
                return False
            if fitted == setting.default:
                self._values.pop(key, None)
            else:
                self._values[key] = fitted
            self._unsaved.add(key)
            self._save()
        return True

    def reset(self, key: str) -> bool:
        """Back to the default; as :meth:`set`."""
        return self.set(key, _BY_KEY[key].default)

    def remember_folder(self, folder: str) -> None:
        """Put a folder at the head of the recent ones and make it the last; as :meth:`set`."""
        if not _is_usable(folder):
            raise UserError(f"{folder[:80]!r} is not a value for last_folder.", _hint(_BY_KEY["last_folder"]))
        with self._turn:
            document = self._document_or_none()
            recent = [folder, *(other for other in self._recent_of_all(document) if other != folder)][:RECENT_FOLDERS]
            self._values.update(recent_folders=recent, last_folder=folder)
            self._unsaved |= {"recent_folders", "last_folder"}  # another window may have written its own
            self._save(document)

    def _document_or_none(self) -> tomlkit.TOMLDocument | None:
        """The file as it is now, where it can be read."""
        try:
            return _read(self.path)
        except (
            OSError,
            ValueError,
            RecursionError,
            TOMLKitError,
        ) as error:  # reported at the start, and again by saving
            _log.debug("cannot read the settings in %s: %r", self.path, error)
            return None

    def _recent_of_all(self, document: tomlkit.TOMLDocument | None) -> list[str]:
        """The recent folders of every window, where the file can be read."""
        found = None if document is None else document.unwrap().get("recent_folders", [])
        fitted = _fit(_BY_KEY["recent_folders"], found)
        return fitted if isinstance(fitted, list) else list(self.get("recent_folders"))

    def _take(self, found: dict[str, Any]) -> tuple[str, ...]:
        warnings: list[str] = []
        for key, value in found.items():
            setting = _BY_KEY.get(key)
            if setting is None:
                continue
            fitted = _fit(setting, value)
            if fitted is None:
                warnings.append(
                    f"{brief(self.path.name)}: {key} = {reprlib.repr(value)} cannot be used. {_hint(setting)}"
                )
            else:
                self._values[key] = fitted
        return tuple(warnings)

    def _save(self, document: tomlkit.TOMLDocument | None = None) -> None:
        """Write what was changed.

        Args:
            document: the file as it was read just now.
        """
        try:
            make_private_folder(self.path.parent, is_own=self.path.parent == places.system_config_dir())
            try:
                document = document or _read(self.path)
            except (ValueError, RecursionError, TOMLKitError):
                put_in_place(self.path, self.path.with_name(f"{self.path.name}.damaged"), is_durable=False)
                document = tomlkit.document()
            for key in sorted(self._unsaved):
                if key in self._values:
                    document[key] = self._values[key]
                else:
                    document.pop(key, None)
            write_atomic(self.path, tomlkit.dumps(document).encode("utf-8"), is_private=True)
        except OSError as error:
            message = f"The settings cannot be saved in {brief(self.path)} ({error.strerror})."
            raise UserError(message, "They hold until the program ends.") from error
        self._unsaved.clear()


def apply_memory_limit(settings: Settings) -> None:
    """What one thing out of a file may take, in this process and its readers."""
    budget.set_limit_bytes(int(settings.get(budget.SETTING)) << 20)


def settings_path() -> Path:
    return places.config_dir() / FILE_NAME


def _read(path: Path) -> tomlkit.TOMLDocument:
    """The file as it is now; an empty document when there is none.

    Raises:
        OSError, ValueError, RecursionError, TOMLKitError: it cannot be read, or is not TOML.
    """
    try:
        return tomlkit.parse(path.read_bytes().decode("utf-8-sig"))
    except FileNotFoundError:
        return tomlkit.document()


def _fit(setting: Setting, value: object) -> SettingValue | None:
    """The value in the setting's type, or None when it does not fit."""
    default = setting.default
    if isinstance(default, bool):
        return value if isinstance(value, bool) else None
    if isinstance(default, list):
        fits = isinstance(value, list) and all(isinstance(item, str) and _is_usable(item) for item in value)
        return [str(item) for item in value[:_MAX_ITEMS]] if fits and isinstance(value, list) else None
    if isinstance(default, str):
        fits = isinstance(value, str) and _is_usable(value) and (not setting.choices or value in setting.choices)
        return str(value) if fits else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, int) and abs(value) > 1 << 60:
        return None  # more than a float can hold
    if not math.isfinite(value) or (isinstance(default, int) and not float(value).is_integer()):
        return None
    low, high = setting.minimum, setting.maximum
    if (low is not None and value < low) or (high is not None and value > high):
        return None
    return int(value) if isinstance(default, int) else float(value)


def _is_usable(text: str) -> bool:
    return len(text) <= _MAX_TEXT and "\0" not in text


def _hint(setting: Setting) -> str:
    if setting.choices:
        return f"Use one of {', '.join(setting.choices)}."
    if isinstance(setting.default, bool):
        return "Use true or false."
    if isinstance(setting.default, int | float):
        kind = "a whole number" if isinstance(setting.default, int) else "a number"
        low = "" if setting.minimum is None else f" from {setting.minimum:g}"
        high = "" if setting.maximum is None else f" to {setting.maximum:g}"
        return f"Use {kind}{low}{high}."
    return "Use a list of texts." if isinstance(setting.default, list) else "Use a text."
