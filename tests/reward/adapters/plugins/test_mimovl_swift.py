"""The plugin as ms-swift loads it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import mimovl.reward.adapters.plugins
from tests.reward.adapters.installed import ROOT, run_beside
from tests.reward.running import RunningService

FILE = Path(mimovl.reward.adapters.plugins.__path__[0]) / "mimovl_swift.py"

SWIFT = '''
"""Stands where swift is not installed: its documented names, and nothing else."""
class ORM:
    def __init__(self, args=None, **kwargs):
        self.args = args
class AsyncORM(ORM):
    pass
orms = {}
'''

LOAD = """
import importlib.util, sys
sys.path.insert(0, sys.argv[2])
sys.path.insert(0, sys.argv[1].rpartition("/")[0])  # swift does, so what lies beside the file goes before all else
spec = importlib.util.spec_from_file_location("_swift_external_0", sys.argv[1])
spec.loader.exec_module(importlib.util.module_from_spec(spec))
from swift.rewards import orms
print(sorted(orms), orms["mimovl"](args=None)(["3", "4"], gold=["3", "3"], task=["counting"] * 2))
for name in ("trl", "verl", "openrlhf", "ms_swift"):
    found = importlib.util.find_spec(name)
    assert found is None or "mimovl" not in str(found.origin), f"{found} hides a trainer"
"""

REGISTRY = """
import asyncio, json, sys
from swift.utils import import_external_file
from swift.rewards import AsyncORM, ORM, orms
import_external_file(sys.argv[1])
one, other = orms["mimovl"](args=None), orms["mimovl_async"](args=None)
assert isinstance(one, ORM) and isinstance(other, AsyncORM)
columns = dict(gold=["3", "3"], task=["counting"] * 2)
print("FOUND", json.dumps([one(["3", "4"], **columns), asyncio.run(other(["3", "4"], **columns))]))
"""


def test_loading_the_file_registers_the_rewards_and_hides_no_trainer(tmp_path: Path) -> None:
    (tmp_path / "swift").mkdir()
    (tmp_path / "swift" / "__init__.py").touch()
    (tmp_path / "swift" / "rewards.py").write_text(SWIFT, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", LOAD, str(FILE), str(tmp_path)],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"},
    )
    assert done.stdout == "['mimovl', 'mimovl_async'] [1.0, 0.0]\n", done.stderr


@pytest.mark.engines
def test_swift_finds_our_rewards_in_its_registry(running: RunningService) -> None:
    said = run_beside("swift", REGISTRY, str(FILE), needs=("modelscope",), MIMOVL_REWARD_URL=running.url)
    assert json.loads(said.partition("FOUND ")[2]) == [[1.0, 0.0], [1.0, 0.0]]
