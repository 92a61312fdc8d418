"""A real vLLM server on loopback, in an environment of its own, and a checkpoint it can run on the CPU."""

from __future__ import annotations

import dataclasses
import os
import signal
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest

from mimovl.data import Processor
from mimovl.model import VisionLanguageModel, build_model, save_checkpoint
from tests import tiny

VARIABLE = "MIMOVL_VLLM_PYTHON"
PATIENCE = 600.0


def python() -> str:
    """The Python of an environment with vLLM, or the test is skipped for want of it."""
    found = os.environ.get(VARIABLE, "")
    if not found:
        pytest.skip(f"{VARIABLE} does not name the Python of an environment with vLLM")
    if not Path(found).is_file():
        pytest.skip(f"{VARIABLE} names {found}, which is not there")
    return found


def processor() -> Processor:
    """Of a model whose heads are wide enough for vLLM's attention on the CPU."""
    config = tiny.config()
    language = dataclasses.replace(config.language, num_heads=2, num_kv_heads=1, mrope_section=(4, 6, 6))
    return Processor.fresh(tiny.tokenizer(), dataclasses.replace(config, language=language))


def model(seed: int) -> VisionLanguageModel:
    return build_model(processor().config, seed=seed)


class VLLMServer:
    """Started at once; ``ready`` waits for it. It ends with the test, or by ``kill``."""

    def __init__(self, folder: Path, log: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = log
        save_checkpoint(model(0), folder, side_files=processor().files())
        environment = {
            **os.environ,
            "VLLM_SERVER_DEV_MODE": "1",
            "VLLM_CPU_KVCACHE_SPACE": "1",
            "VLLM_CPU_OMP_THREADS_BIND": "nobind",
            "HF_HUB_OFFLINE": "1",
        }
        environment.pop("PYTHONPATH", None)
        command = [python(), "-m", "vllm.entrypoints.openai.api_server", "--model", str(folder), "--dtype", "float32"]
        command += ["--max-model-len", "2048", "--max-num-seqs", "16", "--enforce-eager", "--host", "127.0.0.1"]
        command += ["--port", str(self.port), "--served-model-name", "policy"]
        command += ["--logprobs-mode", "processed_logprobs"]
        with log.open("wb") as file:
            # A group of its own: the server has processes below it, which must end with it.
            self.process = subprocess.Popen(command, stdout=file, stderr=file, env=environment, start_new_session=True)

    def ready(self) -> VLLMServer:
        deadline = time.monotonic() + PATIENCE
        while True:
            assert self.process.poll() is None, self.log.read_text(errors="replace")[-3000:]
            try:
                with urllib.request.urlopen(f"{self.url}/health", timeout=5):
                    return self
            except OSError:
                assert time.monotonic() < deadline, "vLLM did not start in time"
                time.sleep(0.5)

    def kill(self) -> None:
        """SIGKILL to the server and all it has started."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
