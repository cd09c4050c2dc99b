"""Builds the window and all its parts. It is up before torch is imported, which happens on the engine thread."""

from __future__ import annotations

import argparse
import gc
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication

from annotator.domain.brevity import brief
from annotator.domain.errors import ProjectError, ProjectFolderError, UserError
from annotator.domain.media import is_video_path
from annotator.domain.ports.engine import Engine, EngineFactory
from annotator.domain.project import ImageRecord
from annotator.engine.offer import ModelOffer, find_offer
from annotator.engine.remote.address import is_address
from annotator.engine.sam2.adapter_shelf import AdapterShelf
from annotator.files.places import log_dir
from annotator.io.images.reading import is_supported, warm_up
from annotator.io.project import agreed
from annotator.io.project.numbering import NumberedWish
from annotator.io.project.picking import OpeningWish
from annotator.io.project.place import SUFFIX
from annotator.io.settings import Settings
from annotator.ui.adapters.control import AdapterControl
from annotator.ui.adapters.memory import AdapterMemory
from annotator.ui.adapters.training_fact import TrainingFact
from annotator.ui.adapters.training_job import TrainingJob
from annotator.ui.canvas.tools.specs import FIRST_TOOL
from annotator.ui.dialogs.model_download import Fetch, fetch_model
from annotator.ui.labelling.feedback import EngineFeedback
from annotator.ui.labelling.find_like import FindLike
from annotator.ui.labelling.frame_counting import FrameCounting
from annotator.ui.labelling.like_folder import LikeFolder
from annotator.ui.labelling.loop import LoopCommands
from annotator.ui.labelling.panel_controls import ControlParts, make_controls
from annotator.ui.labelling.patient_marks import PatientMarks
from annotator.ui.labelling.proposal_keys import ProposalKeys
from annotator.ui.labelling.proposal_marks import ProposalMarks
from annotator.ui.labelling.proposals import Proposals
from annotator.ui.labelling.review import Review
from annotator.ui.labelling.sight_control import SightControl
from annotator.ui.labelling.sizes import ObjectSizes
from annotator.ui.labelling.tracks import Tracks
from annotator.ui.labelling.upkeep import NoticeUpkeep
from annotator.ui.labelling.views import Views
from annotator.ui.labelling.window_level import WindowLevel
from annotator.ui.labelling.words import Words
from annotator.ui.labelling.workbench import SessionSink, Workbench
from annotator.ui.look.theme import Theme
from annotator.ui.program import Program, find_models, user_name
from annotator.ui.project.added_actions import AddedActions
from annotator.ui.project.closing import ClosingGate
from annotator.ui.project.files import FileActions
from annotator.ui.project.model_menu import ListModels, ModelMenu
from annotator.ui.project.model_offer import OfferedModel
from annotator.ui.project.session import ProjectSession
from annotator.ui.project.switch import ProjectSwitch
from annotator.ui.refine.controller import RefineController
from annotator.ui.refine.patience import Patience
from annotator.ui.shell.crash import CrashHandler
from annotator.ui.shell.keymap import presets
from annotator.ui.shell.main_window import MainWindow
from annotator.ui.threads.loading import ImageLoader, ThumbnailLoader
from annotator.ui.threads.worker import EngineClient

_SWITCH_INTERVAL_S = 0.001
FactoryFor = Callable[[str], EngineFactory]
"""Gives the engine factory for a model's name; an empty name stands for the best one that is there."""


def build_program(
    settings: Settings,
    engine_factory: EngineFactory,
    *,
    factory_for: FactoryFor | None = None,
    list_models: ListModels | None = None,
    fetch: Fetch = fetch_model,
    shelf: AdapterShelf | None = None,
    offer: Callable[[], ModelOffer | None] | None = None,
    is_model_named: bool = False,
) -> Program:
    """The whole window, wired and with its engine starting, with its parts; ``program.window`` is not shown yet.

    Args:
        engine_factory: called on the engine thread.
        factory_for: for choosing another model in the menu; None leaves that out.
        list_models, fetch: the models there are, and how one is downloaded.
        shelf: where prompt adapters lie; None leaves them out.
        offer: what larger model to offer once; None offers nothing.
        is_model_named: whether the person named the model for this run; then projects do not choose theirs.
    """
    app = QApplication.instance()
    if not isinstance(app, QApplication):
        raise RuntimeError("a QApplication is needed before a window")
    theme = Theme(app, settings.get("theme"))
    author = settings.get("author") or user_name()
    session, client, loader, thumbs = ProjectSession(author=author), EngineClient(), ImageLoader(), ThumbnailLoader()
    sink = SessionSink(session)
    refine = RefineController(client, sink, author=author)
    with theme.styled_at_the_end():
        window = MainWindow(theme, presets()[settings.get("keymap")], ask_thumbnail=thumbnail_asker(thumbs, session))
    for part in (session, client, loader, thumbs, refine):
        # They go with it: what listens to them is kept by them, and would keep the window.
        part.setParent(window)
    views = Views(window, session)
    notices = window.notices
    NoticeUpkeep(notices, session, refine, canvas=window.canvas, objects=window.objects, parent=window)
    patience = Patience(notices, refine, session.attempts, window)
    proposals = Proposals(window, session, client, settings)
    proposal_keys = ProposalKeys(window, session, refine, proposals)
    views.proposals = proposal_keys
    words = Words(window, session, proposal_keys, settings, clicks=lambda: tuple(refine.state.prompts.points))
    proposals.changed.connect(views.update_actions)
    commands = LoopCommands(window, session, refine, views=views, patience=patience, proposals=proposal_keys)
    sink.adjusted = commands.edits.without_overlap
    bench = Workbench(
        window,
        session,
        refine,
        loader=loader,
        views=views,
        commands=commands,
        feedback=EngineFeedback(client, notices, status=window.status, busy=window.area.busy),
        settings=settings,
    )
    bench.picture_shown.connect(lambda _id: proposals.show_image(bench.picture))
    like = FindLike(window, session, client, refine, proposal_keys)
    folder_search = LikeFolder(
        session,
        client,
        loader,
        find=like,
        proposals=proposals,
        marks=ProposalMarks(session, proposals, window.film, parent=window),
        notices=notices,
        board=window.jobs,
        parent=window,
    )
    review = Review(
        session,
        refine,
        notices,
        canvas=window.canvas,
        objects=window.objects,
        bench=bench,
        key_of=window.key_of,
    )
    tracks = Tracks(window, session, refine, client, loader)
    commands.steps.stop_run = commands.stop_run = tracks.stop
    views.is_carrying = lambda: tracks.carrying.is_running
    tracks.carrying.changed.connect(views.update_actions)

    def leave_project() -> None:
        tracks.carrying.leave()
        bench.leave_project()

    switch = ProjectSwitch(session, patience, leave=leave_project, board=window.jobs, parent=window)
    files = FileActions(
        window,
        session,
        settings,
        patience=patience,
        switch=switch,
        client=client,
        models=ModelMenu(
            window.menus["Model"],
            notices,
            last=window.actions_by_id["adapters"],
            list_models=list_models if factory_for else None,
            fetch=fetch,
            board=window.jobs,
            parent=window,
        ),
    )
    FrameCounting(window, session, refine, commands.slices, bench, reopen=files.open_again)
    words.models_wanted.connect(files.models.show_all)
    session.large.lasting.connect(window.jobs.add)
    if offer is not None:
        offered = OfferedModel(settings, client, notices, find=offer, menu=files.models, parent=window)
        window.closing.connect(offered.shut_down)
    commands.watch.open_wanted.connect(files.open_path)
    bench.folder_refused.connect(files.folder_question.ask)
    ClosingGate(window, patience, session=session, settings=settings)
    adapters = AdapterControl(client, refine, notices, views=views, status=window.status, shelf=shelf, parent=window)
    adapters.training.project = session.training_source
    window.status.insertPermanentWidget(1, TrainingFact(adapters.training))
    TrainingJob(adapters.training, window.jobs, notices, parent=window)
    memory = AdapterMemory(session, client, notices, use=adapters.use, fitting=adapters.fitting, parent=window)
    adapters.listed.connect(lambda *_: memory.on_listed())
    greys = WindowLevel(window, session, bench, loader=loader)
    parts = ControlParts(
        window=window,
        session=session,
        refine=refine,
        loader=loader,
        bench=bench,
        commands=commands,
        greys=greys,
        settings=settings,
    )
    program = Program(
        window,
        theme=theme,
        settings=settings,
        session=session,
        client=client,
        refine=refine,
        loader=loader,
        thumbnails=thumbs,
        bench=bench,
        commands=commands,
        files=files,
        views=views,
        adapters=adapters,
        review=review,
        added=AddedActions(window, session),
        proposals=proposal_keys,
        like=like,
        folder_search=folder_search,
        words=words,
        greys=greys,
        controls=make_controls(parts),
        tracks=tracks,
        factory_for=factory_for,
        is_model_named=is_model_named,
    )
    PatientMarks(window, session, bench)
    sights = SightControl(window.canvas, bench, refine, window.notices, window)
    proposals.seeing.look = sights.seen
    sights.came.connect(proposals.seeing.go_on)
    window.closing.connect(sights.shut_down)
    sizes = ObjectSizes(window, session)
    refine.state_changed.connect(sizes.show_refine)
    window.closing.connect(sizes.shut_down)
    commands.set_tool(FIRST_TOOL)
    # Not before the window is painted: importing torch holds the GUI thread up for a moment.
    QTimer.singleShot(0, program, lambda: program.start_engine(engine_factory))
    return program


def thumbnail_asker(thumbnails: ThumbnailLoader, session: ProjectSession) -> Callable[[ImageRecord], None]:
    """Asks for the thumbnails of the open project's images; a path that leaves the folder has none."""

    def ask(image: ImageRecord) -> None:
        try:
            thumbnails.request(image.id, session.image_path(image), frame=image.frame)
        except ProjectFolderError:
            return  # asked above the canvas; when it is allowed the project is opened again
        except ProjectError as error:
            thumbnails.refuse(image.id, error)

    return ask


def default_factory(model: str, *, config: str | None, device: str | None, settings: Settings) -> EngineFactory:
    """The real engine; torch is imported when the factory is called, and not for a model on a server."""
    ram_bytes = int(settings.get("cache_ram_mib")) << 20
    disk_bytes = int(settings.get("cache_disk_gib") * (1 << 30)) if settings.get("cache_disk_enabled") else 0

    def factory(progress: Callable[[str], None]) -> Engine:
        if is_address(model):
            from annotator.engine.remote.segmenter import make_remote_engine

            return make_remote_engine(model, ram_bytes=ram_bytes, progress=progress)
        progress("Loading the model…")
        from annotator.engine.load import make_engine

        return make_engine(
            model=model or None,
            device=device,
            config=config,
            progress=progress,
            ram_bytes=ram_bytes,
            disk_bytes=disk_bytes,
        )

    return factory


def run(args: argparse.Namespace) -> int:
    """Open the window and stay until it is closed.

    Raises:
        UserError: the folder or project named on the command line does not exist.
    """
    target = named_place(args.target) if getattr(args, "target", None) else None
    app = make_application()
    # So long the window's thread waits for its turn: the default is a third of a frame, which has several turns.
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    settings = Settings.load()
    agreed.begin()
    warm_up()
    device = getattr(args, "device", None) or settings.get("device")
    named, config = getattr(args, "model", None), getattr(args, "config", None)

    def factory_for(model: str) -> EngineFactory:
        own_config = config if model == first_model else None
        return default_factory(model, config=own_config, device=None if device == "auto" else device, settings=settings)

    first_model = named or settings.get("model")
    program = build_program(
        settings,
        factory_for(first_model),
        factory_for=factory_for,
        list_models=find_models,
        shelf=AdapterShelf(),
        offer=find_offer,
        is_model_named=bool(named),
    )
    crash = CrashHandler(log_dir())
    no_log = crash.install()
    crash.crashed.connect(lambda text: program.window.notices.warn(text, about="crash"))
    program.files.restore_window()
    # What is there once the model is loaded stays: the collector need not stop the window to look through all of torch.
    program.client.ready.connect(lambda _info: gc.freeze())
    program.window.show()
    for warning in (*settings.warnings, *([no_log] if no_log else [])):
        program.window.notices.tell(warning, about="settings")
    folder = target or (Path(settings.get("last_folder")) if settings.get("last_folder") else None)
    if folder is not None and is_there(folder):
        place = Path(args.project).expanduser().absolute() if getattr(args, "project", None) else None
        # After the first paint, so that the window is there at once.
        QTimer.singleShot(0, program, lambda: program.files.open_path(folder, project_path=place, wish=wish_of(args)))
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    return app.exec()


def wish_of(args: argparse.Namespace) -> OpeningWish:
    """What the command line says of numbered files, and of frames of the video that it names, else of all."""
    numbered, pick = NumberedWish(takes_all=bool(getattr(args, "numbered", False))), getattr(args, "pick", None)
    name = Path(str(getattr(args, "target", ""))).name
    return OpeningWish(numbered, pick, frozenset({name} if pick is not None and is_video_path(name) else ()))


def named_place(text: str) -> Path:
    """The folder or project that the command line names, or the folder of an image; absolute, as it is remembered for
    starts from elsewhere.

    Raises:
        UserError: there is nothing of that name.
    """
    path = Path(text).expanduser()
    if not is_there(path):
        raise UserError(f"There is no folder or project {brief(path)}.", "Check the name.")
    if "\0" in text or not is_text(text):
        raise UserError(
            f"The name of {brief(path)} is no valid text (UTF-8), so it cannot stand in a project.",
            "Rename the folder, for example with convmv.",
        )
    path = path.absolute()
    is_image = path.is_file() and path.suffix.lower() != SUFFIX and is_supported(path)
    return path.parent if is_image else path


def is_there(path: Path) -> bool:
    """Whether there is something of that name; no system has one that is too long for it."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def is_text(text: str) -> bool:
    """Whether a name can be written as UTF-8; that of a file need not be."""
    return not any("\ud800" <= sign <= "\udfff" for sign in text)


def make_application() -> QApplication:
    """The one QApplication, with the program's names."""
    app = QApplication.instance()
    if not isinstance(app, QApplication):
        app = QApplication(["annotator"])
    app.setApplicationName("annotator")
    app.setApplicationDisplayName("Annotator")
    app.setDesktopFileName("annotator")
    return app
