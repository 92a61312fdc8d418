"""Tools of a worker: light to import, models made when asked."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mimovl.errors import UsageError
from mimovl.pipeline.curate_tools import make_tools

ROOT = Path(__file__).parent.parent.parent


def test_a_worker_imports_no_torch() -> None:
    program = (
        "import sys, mimovl.pipeline.curate_tools, mimovl.curate.pipeline.work, mimovl.curate.picture_steps, "
        "mimovl.curate.deduplicate, mimovl.curate.readers.parquet; print('torch' in sys.modules)"
    )
    environment = {"PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_a_model_is_made_when_it_is_asked_and_named_when_it_cannot_answer(tmp_path: Path) -> None:
    tools = make_tools(tmp_path / "cache", 3, {"x": {"load": "builtins:dict"}})
    assert tools.seed == 3 and tools.cache == tmp_path / "cache"
    with pytest.raises(UsageError, match="models.x: builtins:dict gave dict, which has no method generate"):
        tools.generate("x").generate([])
