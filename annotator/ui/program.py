"""The running program: its parts, which actions reach by their paths, settings that change, and an orderly end."""

from __future__ import annotations

import getpass
import logging
import os
from collections.abc import Callable
from operator import attrgetter
from types import SimpleNamespace
from typing import Any

from PySide6.QtCore import QObject

from annotator.domain.errors import UserError
from annotator.domain.image_filter import ImageFilter
from annotator.domain.ports.engine import EngineFactory, ModelInfo
from annotator.domain.ports.requests import LOAD_EPOCH, EngineFailure
from annotator.io.project.identifiers import KEPT, LEFT_OUT, UIDS_KEY, keeps_uids
from annotator.io.settings import Settings, SettingValue, apply_memory_limit
from annotator.ui.adapters.control import AdapterControl
from annotator.ui.labelling.find_like import FindLike
from annotator.ui.labelling.like_folder import LikeFolder
from annotator.ui.labelling.loop import LoopCommands
from annotator.ui.labelling.proposal_keys import ProposalKeys
from annotator.ui.labelling.review import Review
from annotator.ui.labelling.track_edits import TrackEdits
from annotator.ui.labelling.tracks import Tracks
from annotator.ui.labelling.views import Views
from annotator.ui.labelling.window_level import WindowLevel
from annotator.ui.labelling.words import Words
from annotator.ui.labelling.workbench import Workbench
from annotator.ui.look.theme import Theme
from annotator.ui.panels.film_filter import KEEPS_TO
from annotator.ui.project.added_actions import AddedActions
from annotator.ui.project.files import FileActions
from annotator.ui.project.model_memory import ModelMemory
from annotator.ui.project.project_jobs import ProjectJobs
from annotator.ui.project.server_watch import ServerWatch
from annotator.ui.project.session import ProjectSession
from annotator.ui.refine.controller import RefineController
from annotator.ui.shell.action_rows import ActionRow
from annotator.ui.shell.keymap import presets
from annotator.ui.shell.main_window import MainWindow
from annotator.ui.threads.loading import ImageLoader, ThumbnailLoader
from annotator.ui.threads.worker import EngineClient

_log = logging.getLogger(__name__)
HUNG_EXIT = 70
"""The exit status after an engine that did not end; the number is what ``sysexits.h`` has for such failures."""
_AT_START = (
    "mask_opacity",
    "outline_width_px",
    "cross_hair",
    "max_image_megapixels",
    "memory_limit_mib",
    "dicom_uids",
    "play_speed",
    "timeline",
)
"""Settings that nothing else has taken by then."""


class Program(QObject):
    """The parts that live as long as the window, which owns this."""

    def __init__(
        self,
        window: MainWindow,
        *,
        theme: Theme,
        settings: Settings,
        session: ProjectSession,
        client: EngineClient,
        refine: RefineController,
        loader: ImageLoader,
        thumbnails: ThumbnailLoader,
        bench: Workbench,
        commands: LoopCommands,
        files: FileActions,
        views: Views,
        adapters: AdapterControl,
        review: Review,
        added: AddedActions,
        proposals: ProposalKeys,
        like: FindLike,
        folder_search: LikeFolder,
        greys: WindowLevel,
        controls: SimpleNamespace,
        tracks: Tracks,
        words: Words,
        factory_for: Callable[[str], EngineFactory] | None,
        is_model_named: bool = False,
    ) -> None:
        super().__init__(window)
        self.window, self.theme, self.settings, self.session, self.client = window, theme, settings, session, client
        self.refine, self.loader, self.thumbnails, self.bench = refine, loader, thumbnails, bench
        self.commands, self.files, self.views, self.adapters = commands, files, views, adapters
        self.review, self.added, self.proposals, self.greys = review, added, proposals, greys
        self.controls = controls
        """Of panels, by their ids."""
        self.like, self.folder_search = like, folder_search
        self.tracks, self.track_edits = tracks, TrackEdits(window, session)
        bench.picture_shown.connect(self.track_edits.on_picture)
        self.words = words
        self.project_jobs = ProjectJobs(window, session)
        self._factory_for = factory_for
        self._is_over = False
        self.server = ServerWatch(
            client,
            window.notices,
            wanted=lambda: str(settings.get("model")),
            come_back=self._come_back,
            use_own=lambda: self._on_model_wanted(""),
            parent=self,
        )
        self._is_other_awaited = False
        """Whether another model is being loaded in the place of the one in use."""
        self._memory: ModelMemory | None = None
        if factory_for is not None and not is_model_named:
            self._memory = ModelMemory(
                session,
                client,
                window.notices,
                usual=lambda: str(settings.get("model")),
                is_here=is_model_here,
                load=self._load,
                parent=self,
            )
        self._connect()
        window.status.set_engine(None)
        for key in _AT_START:
            self._on_setting(key)
        views.on_opened()

    def _connect(self) -> None:
        window = self.window
        window.asked.connect(self.run)
        window.closing.connect(self.shut_down)
        window.film.filtered.connect(self._on_filtered)
        self.session.opened.connect(self._forget_pictures)
        self.session.opened.connect(self._show_whether_uids_are_kept)
        self.thumbnails.ready.connect(window.film.set_thumbnail)
        self.thumbnails.failed.connect(window.film.set_unreadable)
        self.client.ready.connect(self._on_model)
        self.client.moved.connect(self._on_model)
        self.client.failed.connect(self._on_engine_failure)
        self.files.setting_changed.connect(self._on_setting)
        window.objects.opacity.opacity_tried.connect(window.canvas.set_opacity)
        window.objects.opacity.opacity_chosen.connect(lambda opacity: self._change_setting("mask_opacity", opacity))
        self.files.models.wanted.connect(self._on_model_wanted)
        self.commands.slices.speed_chosen.connect(lambda speed: self._change_setting("play_speed", speed))

    def run(self, row: ActionRow, is_on: bool) -> None:
        """Do what an action's row says."""
        handler = attrgetter(row.run)(self)
        if row.is_switch or row.is_held:
            handler(*row.args, is_on)
        else:
            handler(*row.args)

    def set_cross_hair(self, is_shown: bool) -> None:
        """Lines through the pointer; remembered."""
        self._change_setting("cross_hair", is_shown)

    def set_timeline(self, is_shown: bool) -> None:
        """Small pictures and tracks under the slider of a series; remembered."""
        self._change_setting("timeline", is_shown)

    def _change_setting(self, key: str, value: SettingValue) -> None:
        """By an action of the window: it holds also when it cannot be written, which is said."""
        try:
            self.settings.set(key, value)
        except UserError as error:
            self.files.show_error(str(error), is_error=False)
        self._on_setting(key)

    def start_engine(self, factory: EngineFactory) -> None:
        """Load the first model, unless the window was closed before."""
        if not self._is_over:
            self.client.start(factory)

    def shut_down(self) -> None:
        """End everything in order; what was accepted is on the disk already."""
        if self._is_over:
            return
        self._is_over = True
        self.files.remember_window()
        self.tracks.shut_down()  # it writes what is done
        self.window.jobs.shut_down()
        self.files.shut_down()
        self.added.shut_down()
        self.adapters.shut_down()
        self.review.shut_down()
        for control in vars(self.controls).values():
            control.shut_down()
        self.folder_search.shut_down()
        self.words.shut_down()
        self.proposals.proposals.shut_down()
        self.views.shut_down()
        self.commands.masks.shut_down()
        self.commands.naming.shut_down()
        self.commands.clipboard.shut_down()
        self.commands.watch.shut_down()
        self.commands.damage.shut_down()
        self.greys.shut_down()
        self.server.shut_down()
        self.loader.shut_down()
        self.commands.slices.timeline.shut_down()
        self.thumbnails.shut_down()
        has_ended = self.client.stop()
        self.session.close(is_replaced=True)
        if not has_ended:
            # A call into the engine does not come back; destroying its running thread would abort the process.
            _log.error("the engine thread did not end; leaving without it")
            os._exit(HUNG_EXIT)

    def _show_whether_uids_are_kept(self) -> None:
        store = self.session.store
        self.window.status.uids.setVisible(store is not None and keeps_uids(store))

    def _forget_pictures(self) -> None:
        self.loader.clear()
        self.thumbnails.clear()

    def _on_filtered(self, wanted: ImageFilter) -> None:
        self.session.image_filter = wanted
        self.session.reported.emit(KEEPS_TO if wanted.is_set else "All images are shown.")

    def _on_model(self, info: ModelInfo) -> None:
        self._is_other_awaited = False
        self.files.models.info = info

    def _on_engine_failure(self, failure: EngineFailure) -> None:
        if failure.epoch == LOAD_EPOCH:
            self._is_other_awaited = False

    def _come_back(self, address: str) -> None:
        """A server that was away answers again."""
        if self._factory_for is not None and not self._is_over:
            self.client.restart(self._factory_for(address))

    def _on_model_wanted(self, name: str) -> None:
        if self._factory_for is None:
            return
        info = self.client.info
        # Loading the model in use again would only take its adapter out.
        if info is None or info.source != name or self._is_other_awaited:
            self._load(name)
        if self._memory is not None:
            self._memory.keep(name)
        try:
            self.settings.set("model", name)
        except UserError as error:
            # Not in the status line: what loading a model says comes there at once.
            self.files.show_error(str(error), is_error=False)

    def _load(self, name: str) -> None:
        if self._factory_for is not None:
            self._is_other_awaited = True
            self.client.restart(self._factory_for(name))

    def _set_author(self, author: str) -> None:
        """Who accepts and changes objects from now on."""
        self.session.author = self.refine.author = author
        if self.session.store is not None:
            self.session.store.author = author

    def _on_setting(self, key: str) -> None:
        """Apply a setting at once."""
        if key == "theme":
            self.theme.apply(self.settings.get("theme"))
        elif key == "keymap":
            self.window.set_keymap(presets()[self.settings.get("keymap")])
        elif key == "author":
            self._set_author(self.settings.get("author") or user_name())
        elif key == "dicom_uids":
            self.session.keeps_uids = bool(self.settings.get(key))
            self.session.remember(UIDS_KEY, KEPT if self.session.keeps_uids else LEFT_OUT)
            self._show_whether_uids_are_kept()
        elif key == "mask_opacity":
            self.window.canvas.set_opacity(self.settings.get("mask_opacity"))
            self.window.objects.opacity.show_opacity(self.settings.get("mask_opacity"))
        elif key == "outline_width_px":
            self.window.canvas.set_outline_width(self.settings.get("outline_width_px"))
        elif key == "cross_hair":
            self.window.canvas.set_cross_hair(bool(self.settings.get(key)))
            self.window.actions_by_id["cross_hair"].setChecked(bool(self.settings.get(key)))
        elif key == "play_speed":
            self.commands.slices.show_speed(float(self.settings.get(key)))
        elif key == "timeline":
            self.commands.slices.timeline.switch(bool(self.settings.get(key)))
            self.window.actions_by_id["timeline"].setChecked(bool(self.settings.get(key)))
        elif key == "max_image_megapixels":
            frames = self.commands.slices.timeline.frames
            frames.max_pixels = self.loader.max_pixels = self.thumbnails.max_pixels = (
                int(self.settings.get(key)) * 1_000_000
            )
            self.bench.try_again()
        elif key == "memory_limit_mib":
            apply_memory_limit(self.settings)
            self.bench.try_again()
        elif key == "model":
            self._on_model_wanted(self.settings.get("model"))


def find_models() -> list[Any]:
    """All models of the registry that answer clicks; call it off the GUI thread (it hashes files)."""
    from annotator.engine import weights

    return list(weights.list_segmenters())


def is_model_here(name: str) -> bool:
    """Whether a name is that of a model of the registry whose file is there; nothing is hashed."""
    from annotator.engine import weights

    entry = weights.registry().get(name)
    return entry is not None and (not entry.file or weights.find_file(entry) is not None)


def user_name() -> str:
    """The system's name of the person; empty when it has none."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return ""
