"""One finished run for all tests of the report; tests that change a run copy it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.report.run_directory import write_run


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("runs") / "tiny")


@pytest.fixture
def own_run(finished_run: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(finished_run, tmp_path / "tiny"))
