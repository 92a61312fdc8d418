"""Ray's workers write what processes of this machine write, also when one is lost; the cluster is a process apart."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mimovl.curate.pipeline import curate
from mimovl.curate.pipeline.ray_pool import RayWorkers
from mimovl.errors import MissingExtraError
from tests.curate.pipeline.parts import Double, DropEven, Numbers, OnePerPicture, Shout
from tests.curate.pipeline.test_run import SMALL, bytes_of

ROOT = Path(__file__).parent.parent.parent.parent
HAS_RAY = importlib.util.find_spec("ray") is not None

PROGRAM = """
import sys, threading, time
from pathlib import Path
from ray.cluster_utils import Cluster
from mimovl.curate.pipeline import curate
from mimovl.curate.pipeline.ray_pool import RayWorkers
from tests.curate.pipeline.parts import Double, DropEven, Numbers, OnePerPicture, Shout
from tests.curate.pipeline.test_run import SMALL

if __name__ == "__main__":
    out = Path(sys.argv[1])
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
    pool = RayWorkers(cluster.address, 2)

    def lose():
        while len(list(out.with_name(out.name + ".curating").glob("segment-*/0*"))) < 2:
            time.sleep(0.01)
        cluster.remove_node(nodes[0], allow_graceful=False)
        print("lost a machine", flush=True)
        cluster.add_node(num_cpus=1)

    killer = threading.Thread(target=lose)
    killer.start()
    steps = [Shout(), OnePerPicture(), Double(), DropEven(slow=0.05)]
    curate([Numbers()], steps, out, pool=pool, limits=SMALL)
    killer.join()
    pool.close()
    cluster.shutdown()
"""


@pytest.mark.skipif(HAS_RAY, reason="ray is installed")
def test_without_ray_the_line_to_install_it_is_said() -> None:
    with pytest.raises(MissingExtraError, match=r"pip install 'mimovl\[ray\]'"):
        RayWorkers("local", 2)


@pytest.mark.engines
@pytest.mark.skipif(not HAS_RAY, reason="ray is not installed: pip install 'mimovl[ray]'")
def test_two_workers_one_of_them_lost_write_the_same_bytes(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0"}
    command = [sys.executable, tmp_path / "program.py", tmp_path / "ray"]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "lost a machine" in done.stdout
    steps = [Shout(), OnePerPicture(), Double(), DropEven(slow=0.05)]
    curate([Numbers()], steps, tmp_path / "plain", workers=0, limits=SMALL)
    assert bytes_of(tmp_path / "ray") == bytes_of(tmp_path / "plain")
