"""``mimovl init``: the folder it makes, seen by ``transformers``, by training, and by whoever kills it half-way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from mimovl.cli import app
from mimovl.data import Processor
from mimovl.errors import CheckpointError, UsageError
from mimovl.model import load_checkpoint
from mimovl.model.vision_encoder import WindowPlan
from mimovl.pipeline.assemble import SYSTEM, assemble_checkpoint
from tests import parts
from tests.data import small
from tests.parity import referee

pytest.importorskip("transformers", reason="transformers writes the checkpoints that are put together")
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A Qwen2.5-VL and a MiMo-7B folder, in several files each and in the words of the releases."""
    folder = tmp_path_factory.mktemp("parts")
    written = parts.qwen(folder / "qwen", shard_size="100KB"), parts.mimo(folder / "mimo", shard_size="100KB")
    for one in written:
        parts.released(one)
        assert len(list(one.glob("*.safetensors"))) > 2
    return written


@pytest.fixture(scope="module")
def made(folders: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The result in float32; not to be changed."""
    out = tmp_path_factory.mktemp("made") / "mimo-vl"
    assemble_checkpoint(*folders, out, seed=1, dtype="fp32", shard_bytes=200_000)
    return out


def conversation() -> Any:
    return small.conversation(small.picture(131, 97), small.picture(252, 140), small.clip(6, 2.0, 84, 84))


# ---------------------------------------------------------------- what it is


def test_transformers_gives_the_logits_that_we_give(made: Path) -> None:
    processor = Processor.load(made)
    encoded = processor.encode(conversation())
    twin = referee.hugging_face(made)
    ours = referee.ours(load_checkpoint(made), [encoded])
    after = int((encoded.tokens == processor.config.video_token_id).nonzero().max()) + 1
    # Behind a clip newer transformers counts positions otherwise (docs/decisions/0002), so up to there.
    difference = (ours - referee.logits(twin, encoded, processor)).abs()[:after].max()
    assert difference < 1e-4
    pictures = processor.encode(small.conversation(small.picture(131, 97)))
    ours = referee.ours(load_checkpoint(made), [pictures])
    assert (ours - referee.logits(twin, pictures, processor)).abs().max() < 1e-4


def test_it_speaks_as_the_language_model_and_sees_as_the_vision_tower(made: Path, folders: tuple[Path, Path]) -> None:
    """Text alone gives the logits of ``MiMoForCausalLM``, pixels alone the features of the Qwen tower."""
    transformers = pytest.importorskip("transformers")
    model, processor = load_checkpoint(made), Processor.load(made)
    encoded = processor.encode(small.conversation())
    mimo = parts.mimo_classes()[1].from_pretrained(folders[1], dtype=torch.float32).eval()
    with torch.no_grad():
        theirs = mimo(input_ids=encoded.tokens[None]).logits[0]
    assert (referee.ours(model, [encoded]) - theirs).abs().max() < 1e-4
    qwen = transformers.Qwen2_5_VLForConditionalGeneration.from_pretrained(folders[0], dtype=torch.float32).eval()
    pixels = processor.encode(conversation())
    grids = torch.tensor(pixels.grid_thw)
    seen: list[torch.Tensor] = []
    merger = qwen.model.visual.merger
    handle = merger.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        qwen.model.visual(torch.cat(pixels.patches), grid_thw=grids)
        ours = model.vision(torch.cat(pixels.patches), grids)
    handle.remove()
    order = WindowPlan(grids, model.config.vision).order  # theirs reach the projector in the order of windows
    cells = ours.view(len(order), -1)[order]
    assert (cells.view_as(seen[0]) - seen[0]).abs().max() < 1e-4


def test_the_summary_says_what_came_from_where_and_what_was_left_out(
    folders: tuple[Path, Path], tmp_path: Path
) -> None:
    summary = assemble_checkpoint(*folders, tmp_path / "out")
    assert "206,664 parameters in 69 tensors, bf16" in summary
    assert "39,360 parameters in  16 tensors: the layers that predict further tokens (model.mtp_layers)" in summary
    assert "the language model's tokenizer has all vision tokens under their published ids" in summary
    assert load_checkpoint(tmp_path / "out", dtype=None).dtype == torch.bfloat16
    assert json.loads((tmp_path / "out" / "config.json").read_text())["torch_dtype"] == "bfloat16"


def test_template_processor_and_generation_settings_are_those_of_mimo_vl(
    made: Path, folders: tuple[Path, Path]
) -> None:
    transformers = pytest.importorskip("transformers")
    processor = Processor.load(made)
    assert processor.image.max_pixels == Processor.load(folders[0]).image.max_pixels == 12_845_056
    text = processor.template.render([small.user("How many?")], generate=True)
    system = f"<|im_start|>system\n{SYSTEM}<|im_end|>\n"
    assert text == f"{system}<|im_start|>user\nHow many?<|im_end|>\n<|im_start|>assistant\n"
    theirs = transformers.AutoTokenizer.from_pretrained(made)
    asked = [{"role": "user", "content": "How many?"}]
    assert theirs.apply_chat_template(asked, tokenize=False, add_generation_prompt=True) == text
    generation = json.loads((made / "generation_config.json").read_text())
    assert generation["eos_token_id"] == [processor.tokenizer.im_end, processor.tokenizer.end_of_text]
    config = json.loads((made / "config.json").read_text())
    assert (config["max_position_embeddings"], config["rope_theta"]) == (128_000, 640_000.0)
    assert "auto_map" not in config and "num_nextn_predict_layers" not in config


def test_the_same_seed_gives_the_same_bytes(made: Path, folders: tuple[Path, Path], tmp_path: Path) -> None:
    assemble_checkpoint(*folders, tmp_path / "again", seed=1, dtype="fp32", shard_bytes=200_000)
    contents = [{f.name: f.read_bytes() for f in folder.iterdir()} for folder in (made, tmp_path / "again")]
    assert contents[0] == contents[1]


def test_the_command_line_makes_it(folders: tuple[Path, Path], tmp_path: Path) -> None:
    arguments = ["init", "--vision", folders[0], "--language", folders[1], "--out", tmp_path / "out", "--seed", 3]
    result = CliRunner().invoke(app, [*map(str, arguments), "--dtype", "fp32"])
    assert (result.exit_code, result.stderr) == (0, "")
    assert f"{tmp_path / 'out'}: 206,664 parameters" in result.stdout and "drawn anew, seed 3" in result.stdout
    result = CliRunner().invoke(app, [*map(str, arguments)])
    assert result.exit_code == 2
    assert result.stderr == f"error: {tmp_path / 'out'} exists and is not empty; delete it or choose another folder\n"


# ---------------------------------------------------------------- what stops it


def test_what_cannot_be_used_leaves_nothing_behind(folders: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--dtype int8: weights are stored as bf16, fp16, fp32"):
        assemble_checkpoint(*folders, tmp_path / "out", dtype="int8")
    with pytest.raises(UsageError, match="a file of 0 bytes holds no weights"):
        assemble_checkpoint(*folders, tmp_path / "out", shard_bytes=0)
    with pytest.raises(CheckpointError, match="model_type is 'mimo'"):
        assemble_checkpoint(folders[1], folders[0], tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_a_file_that_reads_back_differently_is_never_called_done(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = Path.write_bytes
    monkeypatch.setattr(Path, "write_bytes", lambda self, data: write(self, data.replace(b"MiMo", b"MiMa")))
    with pytest.raises(CheckpointError, match=r"chat_template.jinja reads back differently"):
        assemble_checkpoint(*folders, tmp_path / "out")
    assert not list(tmp_path.iterdir())


KILLED = """
import os, signal, sys
from pathlib import Path
from mimovl.pipeline.assemble import assemble_checkpoint
vision, language, out = map(Path, sys.argv[1:])

def deadly(done, total):
    if done > total / 2:
        assert list(out.parent.glob(".out.writing-*/model-*.safetensors"))
        os.kill(os.getpid(), signal.SIGKILL)

assemble_checkpoint(vision, language, out, shard_bytes=100_000, progress=deadly)
"""


def test_a_killed_run_leaves_no_folder_that_looks_finished_and_the_next_one_tidies_up(
    folders: tuple[Path, Path], tmp_path: Path
) -> None:
    command = [sys.executable, "-c", KILLED, *map(str, folders), str(tmp_path / "out")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    ended = subprocess.run(command, capture_output=True, timeout=600, env=environment)
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()
    assert not (tmp_path / "out").exists() and list(tmp_path.iterdir())
    assemble_checkpoint(*folders, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    load_checkpoint(tmp_path / "out")


def test_an_interrupted_run_leaves_nothing(folders: tuple[Path, Path], tmp_path: Path) -> None:
    program = KILLED.replace("SIGKILL", "SIGINT")
    command = [sys.executable, "-c", program, *map(str, folders), str(tmp_path / "out")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    ended = subprocess.run(command, capture_output=True, timeout=600, env=environment)
    assert ended.returncode != 0 and b"KeyboardInterrupt" in ended.stderr
    assert not list(tmp_path.iterdir())


MEASURED = """
import json, sys
from mimovl.pipeline.assemble import assemble_checkpoint

def status(field):
    return next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith(field))

def make(out):
    assemble_checkpoint(*sys.argv[1:3], out, dtype="fp32", shard_bytes=int(sys.argv[4]))

before = status("VmRSS")
make(sys.argv[3])
print(json.dumps({"bytes": status("VmHWM") - before}))
"""


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="peak memory is read from Linux's /proc")
def test_peak_memory_stays_below_1_3_times_the_largest_shard(tmp_path: Path) -> None:
    """A child's high-water mark less what it holds before it begins; a checkpoint of five shards passes through.

    What is bounded does not grow with the checkpoint: one piece of a tensor, mapped and converted, the projector, and
    the tables of names: about 35 MB here, of which 7 are libraries that come on first use.
    """
    shard = 40_000_000
    text = {"hidden_size": 768, "intermediate_size": 2048, "num_hidden_layers": 8, "num_attention_heads": 12}
    folders = parts.qwen(tmp_path / "qwen"), parts.mimo(tmp_path / "mimo", shard_size="40MB", **text)
    command = [sys.executable, "-c", MEASURED, *map(str, folders), str(tmp_path / "out"), str(shard)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    ended = subprocess.run(command, capture_output=True, text=True, timeout=600, env=environment)
    assert ended.returncode == 0, ended.stderr
    written = sorted((tmp_path / "out").glob("*.safetensors"))
    assert len(written) >= 5
    largest = max(file.stat().st_size for file in written)
    assert 0.8 * shard < largest <= 1.01 * shard
    assert json.loads(ended.stdout)["bytes"] < 1.3 * largest
