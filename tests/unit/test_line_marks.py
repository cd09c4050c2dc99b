"""What is marked as run is what a tracer sees, in every process, and the report says what is short."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from types import FrameType
from typing import Any

import pytest
from coverage.parser import PythonParser

from tests import coverage_report
from tests.line_marks import Marks, marked
from tests.line_marks_start import bound

SAMPLE = '''
    """A module."""
    from __future__ import annotations

    import functools
    from contextlib import suppress

    TABLE = [
        1,
        2,
    ]


    class Shape:
        """A class."""

        __sides = 3
        count: int = 0

        @property
        @functools.cache
        def sides(self) -> int:
            """A method."""
            return self.__sides


    def ends(kind):
        global TABLE
        try:
            if kind == 0:
                raise ValueError
            elif kind == 1:
                return [
                    one
                    for one in TABLE
                ]
            else:
                kind += 1
        except KeyError:
            kind = 7
        except (ValueError, TypeError):
            kind = 8
        else:
            kind += 10
        finally:
            TABLE = [*TABLE, kind]
        while kind > 100:
            kind -= 1
        else:
            kind = -kind
        return kind


    def named(what):
        match what:
            case 0:
                return "none"
            case [one, *_]:
                found = one
            case str() | bytes():
                found = "text"
            case _:
                found = None
        with suppress(KeyError):
            {}[found]
            found = "never"
        for _ in ():
            found = "never"
        return found


    def never():
        """Nobody calls it."""
        return 1
'''
CALLS = "ends(0), ends(1), ends(2), named('a'), named([3]), Shape().sides"


def test_marks_are_the_lines_that_a_tracer_sees() -> None:
    source = dedent(SAMPLE).lstrip()
    marks = bytearray(1000)
    names: dict[str, Any] = {"__name__": "sample"}
    exec(bound(marked(source, "sample.py", 500), marks), names)
    assert names["__doc__"] == "A module."
    assert names["Shape"].__doc__ == "A class."
    marked_results = eval(CALLS, names)
    seen: set[int] = set()

    def trace(frame: FrameType, event: str, _: object) -> Any:
        if frame.f_code.co_filename == "traced.py":
            if event == "line":
                seen.add(frame.f_lineno)
            return trace
        return None

    names = {"__name__": "sample"}
    before = sys.gettrace()
    sys.settrace(trace)
    try:
        exec(compile(source, "traced.py", "exec", dont_inherit=True), names)
        results = eval(CALLS, names)
    finally:
        sys.settrace(before)
    assert marked_results == results
    parser = PythonParser(text=source)
    parser.parse_source()
    first_lines = {parser.first_line(line) for line in seen} & parser.statements
    assert {line - 500 for line in range(1000) if marks[line]} & parser.statements == first_lines
    assert len(first_lines) > 30
    assert len(parser.statements - first_lines) > 5


LAST = """
class Last:
    def __del__(self):
        self.is_gone = True
"""


def test_what_a_process_ran_is_known_however_it_ends(tmp_path: Path) -> None:
    module, folder = tmp_path / "sample.py", tmp_path / "marks"
    module.write_text("import os\n\n\ndef kill():\n    os.kill(os.getpid(), 9)\n    print()\n\n\nSPARE = 1\n" + LAST)
    folder.mkdir()
    marks = Marks(folder, [module])
    assert marks.lines() == {str(module): []}
    kill = [sys.executable, "-c", "import sample; sample.kill()"]
    with marks.environment() as environment:
        environment["PYTHONPATH"] = str(tmp_path)
        # Also what is started by what is started.
        run = f"import subprocess; assert subprocess.run({kill!r}).returncode"
        subprocess.run([sys.executable, "-c", run], env=environment, check=True)
    assert marks.lines() == {str(module): [1, 4, 5, 9, 11, 12]}
    with marks.environment() as environment:
        environment["PYTHONPATH"] = str(tmp_path)
        # What goes at the very end goes after the names of modules.
        last = "import builtins, sample; builtins.last = sample.Last()"
        done = subprocess.run(
            [sys.executable, "-Wdefault", "-c", last], env=environment, check=True, capture_output=True
        )
    assert done.stderr == b""
    assert 13 in marks.lines()[str(module)]


def test_a_room_below_the_aim_fails_and_its_module_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = tmp_path / "annotator" / "domain" / "short.py"
    module.parent.mkdir(parents=True)
    module.write_text("\n".join(f"a = {number}" for number in range(100)))
    monkeypatch.setattr(coverage_report, "ROOT", tmp_path)
    monkeypatch.setattr(coverage_report, "ROOMS", ("domain",))
    assert not coverage_report.report({str(module): list(range(1, 91))}, tmp_path)
    assert "domain: 90.0% of 100 lines\n    domain/short.py: 90% of 100; not 91-100" in capsys.readouterr().out
    assert coverage_report.report({str(module): list(range(1, 96))}, tmp_path)
    assert capsys.readouterr().out == "domain: 95.0% of 100 lines\n"


def test_modules_of_a_room_that_is_met_are_named_where_that_is_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = {}
    for name, run, there in (("long", 990, 990), ("short", 5, 10)):
        module = tmp_path / "annotator" / "domain" / f"{name}.py"
        module.parent.mkdir(parents=True, exist_ok=True)
        module.write_text("\n".join(f"a = {number}" for number in range(there)))
        lines[str(module)] = list(range(1, run + 1))
    monkeypatch.setattr(coverage_report, "ROOT", tmp_path)
    monkeypatch.setattr(coverage_report, "ROOMS", ("domain",))
    assert coverage_report.report(lines, tmp_path, with_modules=False)
    assert capsys.readouterr().out == "domain: 99.5% of 1000 lines\n"
    assert coverage_report.report(lines, tmp_path, with_modules=True)
    assert "    domain/short.py: 50% of 10; not 6-10\n" in capsys.readouterr().out


@pytest.mark.parametrize("is_there", [False, True])
def test_what_cannot_run_without_an_extra_is_named_and_not_counted(
    is_there: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [tmp_path / "annotator" / "engine" / name for name in ("own.py", "hf/sam.py")]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("a = 1\nb = 2\n")
    monkeypatch.setattr(coverage_report, "ROOT", tmp_path)
    monkeypatch.setattr(coverage_report, "ROOMS", ("engine",))
    monkeypatch.setattr(coverage_report, "find_spec", lambda name: object() if is_there else None)
    assert coverage_report.report({str(paths[0]): [1, 2], str(paths[1]): [1]}, tmp_path) is not is_there
    said = capsys.readouterr().out
    if is_there:
        assert said == "engine: 75.0% of 4 lines\n    engine/hf/sam.py: 50% of 2; not 2\n"
    else:
        aside = "engine/hf: its library is not installed, 2 lines are not counted\n"
        assert said == f"{aside}engine: 100.0% of 2 lines\n"
