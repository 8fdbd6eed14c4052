"""The figures of a run: shown at its end, and stored for the README."""

from collections.abc import Iterator

import pytest

from tests.chaos.figures import Figures, table

FIGURES = pytest.StashKey[Figures]()


@pytest.fixture(scope="session")
def figures(request: pytest.FixtureRequest) -> Iterator[Figures]:
    found = request.config.stash.setdefault(FIGURES, Figures())
    yield found
    found.store()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    found = terminalreporter.config.stash.get(FIGURES, None)
    if found is not None:
        terminalreporter.write_line(table(found.found))
