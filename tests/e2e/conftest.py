"""What the tests that start the real program share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.warm import Warm


@pytest.fixture(scope="session")
def warm() -> Iterator[Warm]:
    warm = Warm(threads=2)
    yield warm
    warm.stop()
