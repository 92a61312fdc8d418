"""Runs code beside somebody else's trainer, in a process of its own: importing one changes and warns about much."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent.parent


def run_beside(trainer: str, code: str, *arguments: str, needs: tuple[str, ...] = (), **environment: str) -> str:
    """What the code prints. The test is skipped where the trainer or what it needs is not installed."""
    for name in (trainer, *needs):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed here; the test of the documented signature ran")
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        timeout=900,
        env={
            **os.environ,
            "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}",
            "HF_HUB_OFFLINE": "1",
            "CUDA_VISIBLE_DEVICES": "",
            **environment,
        },
    )
    absent = re.search(r"ModuleNotFoundError: No module named '([^'.]+)[^']*'\s*$", done.stderr)
    if absent and absent[1] != "mimovl":
        pytest.skip(f"{trainer} is installed without {absent[1]}; the test of the documented signature ran")
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


TINY_MODEL = """
import tokenizers
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM
words = ["<pad>", "<eos>", "<unk>", "How", "many", "?", "1", "2", "3", "4"]
inner = tokenizers.Tokenizer(tokenizers.models.WordLevel({word: n for n, word in enumerate(words)}, unk_token="<unk>"))
inner.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
tokenizer = PreTrainedTokenizerFast(
    tokenizer_object=inner, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>", padding_side="left"
)
"""
"""A tokenizer of ten words, for code of ``run_beside``."""
