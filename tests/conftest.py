"""Fixtures that several folders share: tiny checkpoints and a whole run, made once a session.

What they need is imported inside them, so that tests of a light part stay light.
"""

import os
from pathlib import Path

import pytest
from hypothesis import settings

# Before torch is imported: matrices as small as here gain nothing from a second thread and lose much where cores are
# shared. Child processes inherit it.
os.environ["OMP_NUM_THREADS"] = "1"

# A machine that does other work as well is slow, not wrong. Everybody tries the same examples, so green stays green;
# HYPOTHESIS_PROFILE=explore looks for new ones, and what it finds becomes an @example.
settings.register_profile("mimovl", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "mimovl"))


@pytest.fixture(scope="session")
def tiny_start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an untrained tiny checkpoint; not to be changed."""
    from tests import tiny

    return tiny.checkpoint(tmp_path_factory.mktemp("start") / "model")


@pytest.fixture(scope="session")
def tiny_trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a checkpoint that answers questions about counting with some digit; not to be changed."""
    from mimovl.train import train_stage
    from tests import tiny

    folder = tmp_path_factory.mktemp("trained")
    stage = tiny.stage(
        train=["language"],
        learning_rate={"language": 1e-2},
        mixture={"world/counting": 1},
        steps=36,
        optimizer={"name": "muon"},
    )
    samples = tiny.samples("world/counting", 24, thinking_share=0.0, turns=2)
    train_stage(tiny.model(), tiny.processor(), samples, stage, folder)
    return folder / "model"


@pytest.fixture(scope="session")
def micro_run(tmp_path_factory: pytest.TempPathFactory, tiny_trained: Path) -> Path:
    """The folder of a whole finished run, its recipe beside it as micro.yaml; not to be changed."""
    from mimovl.pipeline.run import run
    from tests.pipeline import micro

    folder = tmp_path_factory.mktemp("micro")
    run(micro.write(folder / "micro.yaml", micro.recipe(tiny_trained)), folder / "out")
    return folder / "out"
