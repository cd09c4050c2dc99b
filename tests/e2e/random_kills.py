"""Kills the program at random moments, many times on one project, and checks that nothing is lost.

    python -m tests.e2e.random_kills FOLDER [--kills 200] [--steps 60] [--seed 0] [--real]

A child opens the folder in the real window and labels by real Qt events: clicks, strokes, accepts that do not wait for
their mask, other images, "mark empty" and its undo. It reports every step once its event was handled. The parent knows
the steps, too: after the kill the project file must hold what they lead to, the step in hand done or not. The next
child first visits all images and reports what has come back.

The engine is the tests' own with an answer that takes a while; ``--real`` takes the embedded model.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import select
import signal
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest

from annotator.domain.drafts.kept import accepted_of, work_of
from annotator.io.images import decoding
from annotator.io.images.reader import LoadedImage
from annotator.io.project.store import ProjectStore
from annotator.io.settings import Settings
from annotator.ui.app import build_program, default_factory, make_application
from annotator.ui.threads import loading
from tests.e2e.pictures import DISCS, IMAGES, write_pictures
from tests.fakes import FakeSegmenter, fake_engine

PATIENCE_S = 120
STROKE = ((20.0, 215.0), (34.0, 225.0))
"""Away from the discs and from where clicks take something away."""

Prompts = tuple[tuple[tuple[float, float, int], ...], int]
"""Points (x, y, 1 or 0) on whole pixels, and how many strokes."""
NOTHING: Prompts = ((), 0)
Step = tuple[Any, ...]


# --- what the steps lead to ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Held:
    """What the project must hold: accepted objects and the one in work, by image, and the image that is shown."""

    accepted: tuple[tuple[Prompts, ...], ...] = ((),) * len(IMAGES)
    work: tuple[Prompts, ...] = (NOTHING,) * len(IMAGES)
    shown: int = 0

    def after(self, step: Step) -> Held:
        kind, at = step[0], self.shown
        points, strokes = self.work[at]
        if kind == "click":
            return self._with(work=((*points, step[1:]), strokes))
        if kind == "stroke":
            return self._with(work=(points, strokes + 1))
        if kind == "back":
            return self._with(work=(points[:-1], strokes))
        if kind == "accept":
            return self._with(accepted=(*self.accepted[at], self.work[at]), work=NOTHING)
        if kind == "empty":
            return self._with(accepted=(), work=NOTHING)
        if kind == "go":
            return replace(self, shown=step[1])
        raise ValueError(kind)

    def _with(self, *, work: Prompts, accepted: tuple[Prompts, ...] | None = None) -> Held:
        def put(rows: tuple[Any, ...], value: Any) -> tuple[Any, ...]:
            return (*rows[: self.shown], value, *rows[self.shown + 1 :])

        rows = self.accepted if accepted is None else put(self.accepted, accepted)
        return replace(self, work=put(self.work, work), accepted=rows)

    def is_same(self, other: Held) -> bool:
        return self.work == other.work and [*map(Counter, self.accepted)] == [*map(Counter, other.accepted)]


@dataclass(frozen=True)
class Script:
    """One life of the program: what the project holds at its beginning, and what is done then."""

    seed: int
    held: Held
    steps: int

    def plan(self) -> Iterator[tuple[Step, Held]]:
        return plan(self.seed, self.held, self.steps)

    def states(self) -> list[Held]:
        """Before each step, and after the last."""
        rows = list(self.plan())
        last, before = rows[-1]
        end = rows[-2][1] if last == ("undo",) else before.after(last)
        return [*(held for _step, held in rows), end]


def plan(seed: int, held: Held, steps: int) -> Iterator[tuple[Step, Held]]:
    """Steps of one life of the program, and what the project must hold before each: "empty" is taken back at once."""
    dice = random.Random(seed)
    before_empty: Held | None = None
    for _ in range(steps):
        points, strokes = held.work[held.shown]
        if before_empty is not None:
            yield ("undo",), held
            held, before_empty = before_empty, None
            continue
        kind = dice.choices(("click", "accept", "go", "back", "stroke", "empty"), (8, 5, 3, 1, 2, 1))[0]
        if kind == "accept" and (points or strokes):
            step: Step = ("accept",)
        elif kind == "go":
            step = ("go", dice.choice([i for i in (held.shown - 1, held.shown + 1) if 0 <= i < len(IMAGES)]))
        elif kind == "back" and len(points) > 1 and not strokes:
            step = ("back",)
        elif kind == "stroke" and strokes < 2:
            step = ("stroke",)
        elif kind == "empty" and held.accepted[held.shown]:
            step, before_empty = ("empty",), held
        else:
            x, y = dice.choice(DISCS)
            away = points and dice.random() < 0.3
            step = ("click", 290.0 - len(points), 10.0, 0) if away else ("click", x - len(points), y, 1)
        yield step, held
        held = held.after(step)


def rounded(data: dict[str, Any] | None) -> Prompts:
    """Of draft data, and of an object's prompts."""
    data = data or {}
    points = tuple((float(round(x)), float(round(y)), int(sign)) for x, y, sign in data.get("points") or ())
    return points, len(data.get("strokes") or ())


def read_file(project: Path) -> Held:
    """What the project file holds; accepted objects whose mask is still to come count as accepted."""
    connection = sqlite3.connect(project)
    check, keys = connection.execute("PRAGMA integrity_check"), connection.execute("PRAGMA foreign_key_check")
    if check.fetchone() != ("ok",) or keys.fetchall():
        raise AssertionError("the project file is damaged")
    connection.close()
    with ProjectStore.open(project, read_only=True) as store:
        accepted, work = [], []
        for image in sorted(store.images(), key=lambda one: one.path):
            kept = store.draft(image.id)
            stored = [rounded(row.prompts) for row in store.annotations(image.id)]
            accepted.append((*stored, *map(rounded, accepted_of(kept))))
            work.append(rounded(work_of(kept)))
        return Held(tuple(accepted), tuple(work))


# --- the child: a person at the window ----------------------------------------------------------------------------


class SlowSegmenter(FakeSegmenter):
    """An answer takes a while, so that a kill finds accepts that wait for theirs."""

    def decode(self, *arguments: Any, **named: Any) -> Any:
        time.sleep(random.uniform(0, 0.04))
        return super().decode(*arguments, **named)


class Hands:
    def __init__(self, folder: Path, report: Any, *, is_real: bool) -> None:
        self._app = make_application()
        settings = Settings.load(folder.parent / "settings.toml")
        engine = default_factory("", config=None, device="cpu", settings=settings) if is_real else None
        self.program = build_program(settings, engine or fake_engine(SlowSegmenter(radius_px=20.0)))
        self.window, self._report = self.program.window, report
        self.window.show()
        self.window.activateWindow()
        self.program.files.open_path(folder)
        self.until(lambda: self.shown() >= 0 and self.program.client.info is not None)

    def until(self, condition: Any) -> None:
        end_s = time.monotonic() + PATIENCE_S
        while not condition():
            if time.monotonic() > end_s:
                raise TimeoutError("the window did not get there")
            self._app.processEvents()

    def shown(self) -> int:
        picture, image = self.program.bench.picture, self.program.session.image
        if picture is None or image is None or picture.image_id != image.id:
            return -1
        return IMAGES.index(image.path)

    def visit(self, shown: int) -> None:
        """Report what each image holds, once nothing waits there; end at the one that is wanted."""
        refine = self.program.refine
        for row in (*range(len(IMAGES)), shown):
            self.do(("go", row))
            self.until(lambda: refine.can_leave() and not refine.state.is_waiting)
            objects = [rounded(row.prompts) for row in self.program.session.annotations]
            self._report(["visited", row, objects, rounded(refine.state.prompts.to_json())])

    def do(self, step: Step) -> None:
        kind, refine = step[0], self.program.refine
        if kind == "click":
            button = Qt.MouseButton.LeftButton if step[3] else Qt.MouseButton.RightButton
            QTest.mouseClick(self._port, button, Qt.KeyboardModifier.NoModifier, self._at(step[1], step[2]))
        elif kind == "stroke":
            self._key(Qt.Key.Key_P)
            start, end = (self._at(*place) for place in STROKE)
            QTest.mousePress(self._port, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, start)
            QTest.mouseMove(self._port, end)
            QTest.mouseRelease(self._port, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, end)
            self._key(Qt.Key.Key_Q)
        elif kind == "accept":
            self._key(Qt.Key.Key_Return)
        elif kind == "back":
            self._key(Qt.Key.Key_Backspace)
        elif kind == "go":
            while self.shown() != step[1]:
                self._key(Qt.Key.Key_D if self.shown() < step[1] else Qt.Key.Key_A)
                self.until(lambda: self.shown() >= 0)
        else:
            self.until(refine.can_leave)
            self._key(*((Qt.Key.Key_X,) if kind == "empty" else (Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)))

    @property
    def _port(self) -> Any:
        return self.window.canvas.viewport()

    def _at(self, x: float, y: float) -> QPoint:
        return self.window.canvas.image_to_view(x, y).toPoint()

    def _key(self, key: Qt.Key, modifier: Any = Qt.KeyboardModifier.NoModifier) -> None:
        QTest.keyClick(self.window.focusWidget() or self.window.canvas, key, modifier)


def read_here(path: Path, *, is_native: bool = False, may_be_overview: bool = False, **named: Any) -> LoadedImage:
    """As the loader's own reading, in this process."""
    image = decoding.load_image(path, **named)
    return image if is_native else image.without_native()


def live(folder: Path, script: Script, *, out: int, is_real: bool) -> None:
    """One life; it ends by the parent's kill."""

    def report(line: list[Any]) -> None:
        os.write(out, json.dumps(line).encode() + b"\n")

    # In this process: readers of their own would have to start anew in every life.
    vars(loading).update(load_image=read_here, load_thumbnail=decoding.load_thumbnail)
    try:
        hands = Hands(folder, report, is_real=is_real)
        hands.visit(script.held.shown)
        for number, (step, _held) in enumerate(script.plan()):
            hands.do(step)
            report(["did", number])
        report(["end"])
        hands.until(lambda: False)
    except BaseException as error:
        report(["failed", repr(error)])
        raise


# --- the parent -----------------------------------------------------------------------------------------------------


@dataclass
class Life:
    """What a child reported before it was killed."""

    lines: list[list[Any]] = field(default_factory=list)

    @property
    def done(self) -> int:
        """Steps that were handled."""
        return sum(line[0] == "did" for line in self.lines)

    @property
    def visited(self) -> dict[int, tuple[list[Prompts], Prompts]]:
        def one(found: Any) -> Prompts:
            return tuple((x, y, sign) for x, y, sign in found[0]), found[1]

        return {line[1]: ([*map(one, line[2])], one(line[3])) for line in self.lines if line[0] == "visited"}


def live_and_die(folder: Path, script: Script, *, is_real: bool) -> Life:
    """Fork a child, and kill it after a random number of steps and a random moment more."""
    dice = random.Random(f"kill {script.seed}")
    wanted, more_s = dice.randrange(len(IMAGES) + 1 + script.steps), dice.uniform(0, 0.05)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        try:
            live(folder, script, out=writer, is_real=is_real)
        finally:
            os._exit(1)
    os.close(writer)
    life, text = Life(), b""
    try:
        end_s = time.monotonic() + PATIENCE_S
        while len(life.lines) < wanted and time.monotonic() < end_s and (piece := os.read(reader, 65536)):
            text += piece
            life.lines = [json.loads(line) for line in text.split(b"\n")[:-1]]
        time.sleep(more_s)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    while select.select([reader], [], [], 0)[0] and (piece := os.read(reader, 65536)):
        text += piece
    os.close(reader)
    life.lines = [json.loads(line) for line in text.split(b"\n")[:-1]]
    return life


def check(life: Life, script: Script, found: Held) -> Held:
    """What the project holds now.

    Raises:
        AssertionError: something was lost, or is there twice.
    """
    failed = [line for line in life.lines if line[0] == "failed"]
    if failed:
        raise AssertionError(failed)
    for row, (objects, work) in life.visited.items():
        if (Counter(objects), work) != (Counter(script.held.accepted[row]), script.held.work[row]):
            raise AssertionError(f"came back on {IMAGES[row]}: {objects} {work}, not {script.held}")
    allowed = script.states()[life.done : life.done + 2]
    fitting = next((state for state in allowed if state.is_same(found)), None)
    if fitting is None:
        raise AssertionError(f"in the file: {found}\nto be there: {allowed}")
    return fitting


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the pictures and the project are made")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--steps", type=int, default=60, help="most steps before a kill")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--real", action="store_true", help="the embedded model instead of the tests' own engine")
    args = parser.parse_args()
    write_pictures(args.folder)
    held, steps, waited, lost = Held(), 0, 0, 0
    for number in range(args.kills):
        script = Script(args.seed * 100_000 + number, held, args.steps)
        life = live_and_die(args.folder, script, is_real=args.real)
        project = args.folder / f"{args.folder.name}.annot"
        if not project.exists():
            continue  # killed before it was made
        found = read_file(project)
        steps += life.done
        with ProjectStore.open(project, read_only=True) as store:
            waited += sum(len(accepted_of(store.draft(image.id))) for image in store.images())
        try:
            held = check(life, script, found)
        except AssertionError as error:
            print(f"kill {number} (seed {script.seed}), after {life.done} steps: {error}")
            held, lost = replace(found, shown=0), lost + 1
    in_work = sum(work != NOTHING for work in held.work)
    objects = sum(map(len, held.accepted))
    print(f"{args.kills} kills, {steps} steps, {waited} accepts in flight: {lost} with a loss")
    print(f"now: {objects} objects, {in_work} in work")
    return 1 if lost else 0


if __name__ == "__main__":
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    sys.exit(main())
