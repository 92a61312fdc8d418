"""Fixtures that several folders share: tiny checkpoints, made once a session."""

from pathlib import Path

import pytest

from tests import tiny


@pytest.fixture(scope="session")
def tiny_start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an untrained tiny checkpoint; not to be changed."""
    return tiny.checkpoint(tmp_path_factory.mktemp("start") / "model")
