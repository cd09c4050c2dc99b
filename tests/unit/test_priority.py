"""A training gives way to the window."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

AUTOGROUP = Path("/proc/self/autogroup")
CODE = """
import os
from annotator.commands.priority import give_way
give_way()
give_way()
print(os.nice(0))
"""


def told(code: str, *, has_own_session: bool) -> str:
    command = [sys.executable, "-c", code]
    return subprocess.run(
        command, capture_output=True, text=True, check=True, start_new_session=has_own_session
    ).stdout.strip()


@pytest.mark.skipif(sys.platform == "win32", reason="niceness is of POSIX systems")
@pytest.mark.parametrize("has_own_session", [True, False])
def test_a_process_that_gives_way_is_nice_and_no_nicer_the_second_time(*, has_own_session: bool) -> None:
    assert 10 <= int(told(CODE, has_own_session=has_own_session)) < 20


def group_after_giving_way(*, has_own_session: bool) -> str:
    """What the system says of the session's group; nothing where sessions are not grouped, or this one is not."""
    code = CODE + f"print('group', open({str(AUTOGROUP)!r}).read())"
    return told(code, has_own_session=has_own_session).partition("group")[2].strip()


@pytest.mark.skipif(not AUTOGROUP.exists(), reason="this system does not group sessions")
def test_a_session_that_is_not_the_process_s_own_keeps_its_weight() -> None:
    before = AUTOGROUP.read_text().strip()
    assert group_after_giving_way(has_own_session=False) == before
    assert AUTOGROUP.read_text().strip() == before


@pytest.mark.skipif(not AUTOGROUP.exists(), reason="this system does not group sessions")
def test_a_session_of_its_own_gives_way() -> None:
    group = group_after_giving_way(has_own_session=True)
    if not group:
        pytest.skip("this system does not group sessions")
    assert group.endswith(" nice 10")
