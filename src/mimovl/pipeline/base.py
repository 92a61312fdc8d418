"""The base step: a tokenizer, a vision tower and a language model of our own.

The published recipe starts from Qwen2.5-ViT and MiMo-7B; the tiny one from these. One core trains the vision tower on
dense attributes with a throwaway head (base_vision), the other the language model on text, worked arithmetic and
pictures described in words; then all of them train the language model to read pictures that are given by their
attributes (base_reading). The projector is not trained: every run draws its own, as the report does.

    DIR/base/model/     Hugging Face folder, half precision (package data of the tiny recipe)
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import time
from multiprocessing.connection import wait
from pathlib import Path

import torch

from mimovl.curate.world import WorldConfig
from mimovl.data import ChatTemplate, Processor, Tokenizer, chatml, train_tokenizer
from mimovl.errors import MimovlError
from mimovl.model import (
    build_model,
    load_checkpoint,
    preset,
    save_checkpoint,
    start_with_induction,
    start_with_numbers,
)
from mimovl.pipeline.base_reading import ENDLESS, learn_to_read, team_spread
from mimovl.pipeline.base_vision import vision_worker
from mimovl.pipeline.config import BaseConfig
from mimovl.pipeline.data import WorldSamples, with_chains
from mimovl.pipeline.progress import PartOf, StepProgress
from mimovl.team import ALONE, Team
from mimovl.train import Progress, train_stage
from mimovl.train.parallel_config import ParallelConfig

__all__ = ["build_base"]


def build_base(
    config: BaseConfig,
    world: WorldConfig,
    model_preset: str,
    folder: Path,
    *,
    seed: int,
    progress: StepProgress | None = None,
    team: Team = ALONE,
    parallel: ParallelConfig | None = None,
) -> Path:
    """Train both parts and write them as one checkpoint.

    Args:
        config: tokenizer, vision tower and language model.
        world: what the embedded world draws.
        model_preset: shapes.
        folder: DIR/base.
        seed: of data and weights.
        progress: shows how far it is.
        team: processes that share the stages of reading; its leader trains the parts before.
        parallel: gives the precision of matrix products and attention, and how many packs are computed at once.

    Returns:
        The checkpoint folder.
    """
    target = folder / "model"
    if team.broadcast((folder / "done.json").is_file()):
        return target
    started = time.monotonic()
    alone = sum(stage.steps for stage in config.language)
    together = sum(stage.steps for stage in config.reading)
    if team.leads:
        folder.mkdir(parents=True, exist_ok=True)
        show = progress or _Quiet()
        show.update(0, 1, "tokenizer")
        make_tokenizer(config, world, folder, seed)
        _train_parts(config, world, model_preset, folder, seed, parallel, PartOf(show, 0, alone, alone + together))
    team.wait()
    language = folder / config.language[-1].name / "model"
    if config.reading:
        shown = PartOf(progress, alone, together, alone + together) if progress else None
        language = learn_to_read(
            language, config, world, folder, seed=seed, progress=shown, team=team, parallel=parallel
        )
    if team.leads:
        model = load_checkpoint(language)
        model.vision.load_state_dict(torch.load(folder / "vision" / "vision.pt"))
        save_checkpoint(model, target, dtype=torch.float16)
        done = {
            "seconds": time.monotonic() - started,
            "vocabulary": model.config.language.vocab_size,
            "parameters": model.num_parameters(),
        }
        partial = folder / ".done.json.partial"
        partial.write_text(json.dumps(done, indent=2) + "\n", encoding="utf-8")
        os.replace(partial, folder / "done.json")
    team.wait()
    return target


class _Quiet:
    def update(self, done: float, total: float, text: str) -> None:
        """Nobody looks."""


def _train_parts(
    config: BaseConfig,
    world: WorldConfig,
    model_preset: str,
    folder: Path,
    seed: int,
    parallel: ParallelConfig | None,
    progress: Progress,
) -> None:
    """The tower and the language model at once, each in a process and on a core of its own."""
    context = multiprocessing.get_context("spawn")
    workers = {
        name: context.Process(target=worker, args=(config, world, model_preset, folder, seed, parallel), name=name)
        for name, worker in (("vision", vision_worker), ("language", _language_worker))
    }
    for worker in workers.values():
        worker.start()
    try:
        while running := [worker.sentinel for worker in workers.values() if worker.is_alive()]:
            wait(running, timeout=2)
            _report(config, folder, progress)
            if any(worker.exitcode for worker in workers.values()):
                break
        for name, worker in workers.items():
            if worker.exitcode:
                raise MimovlError(
                    f"the base {name} part stopped with exit code {worker.exitcode}; its message is above"
                )
    finally:
        for worker in workers.values():
            worker.terminate()
            worker.join()


def _report(config: BaseConfig, folder: Path, progress: Progress) -> None:
    """One bar for both parts: the mean of their shares."""
    shares, texts = [], []
    parts = {
        "vision": [(folder / "vision", config.vision.steps)],
        "language": [(folder / stage.name, stage.steps) for stage in config.language],
    }
    for name, steps in parts.items():
        done, loss = 0.0, float("nan")
        for path, _ in steps:
            log = path / "metrics.jsonl"
            lines = log.read_text(encoding="utf-8").splitlines() if log.is_file() else []
            try:
                last = json.loads(lines[-1]) if lines else {"step": 0, "loss": loss}
            except ValueError:
                return  # caught in the middle of a line
            done, loss = done + last["step"], last["loss"]
        shares.append(done / sum(count for _, count in steps))
        texts.append(f"{name} {loss:.3f}")
    progress.update(sum(shares) / 2, 1, "  ".join(texts))


def _corpus(config: BaseConfig, world: WorldConfig, seed: int) -> WorldSamples:
    counts = dict.fromkeys((source for stage in config.language for source in stage.mixture), ENDLESS)
    chains = with_chains(world, config.chain_weight)
    return WorldSamples(
        counts,
        chains,
        seed=seed,
        thinking_share=config.thinking_share,
        thinking=config.thinking,
        turns=config.turns,
        as_text=True,
    )


def make_tokenizer(config: BaseConfig, world: WorldConfig, folder: Path, seed: int) -> None:
    """Learn the tokenizer from a sample of the language model's own diet."""
    if (folder / "tokenizer" / "tokenizer.json").is_file():
        return
    samples = _corpus(config, world, seed)
    template = ChatTemplate(chatml())
    rng = random.Random(seed)
    sources = list(dict.fromkeys(samples.sources))
    weights = [config.language[-1].mixture.get(source, 1.0) for source in sources]
    texts = []
    for _ in range(config.tokenizer.samples):
        source = rng.choices(range(len(weights)), weights)[0]
        texts.append(template.render(samples[source * ENDLESS + rng.randrange(ENDLESS)].messages))
    tokenizer = train_tokenizer(texts, config.tokenizer.vocab_size)
    (folder / "tokenizer").mkdir(parents=True, exist_ok=True)
    for name, data in tokenizer.files.items():
        if name != "tokenizer.json":
            (folder / "tokenizer" / name).write_bytes(data)
    (folder / "tokenizer" / "tokenizer.json").write_bytes(tokenizer.files["tokenizer.json"])


def _language_worker(
    config: BaseConfig, world: WorldConfig, model_preset: str, folder: Path, seed: int, parallel: ParallelConfig | None
) -> None:
    torch.set_num_threads(1)
    tokenizer = Tokenizer.from_folder(folder / "tokenizer")
    processor = Processor.fresh(tokenizer, preset(model_preset))
    model = build_model(processor.config, seed=seed)
    start_with_induction(model.language, seed=seed)
    start_with_numbers(model.language, tokenizer.numbers(), seed=seed + 1)
    corpus = _corpus(config, world, seed)
    for stage in config.language:
        spread = team_spread(ALONE, parallel)
        model = train_stage(model, processor, corpus, stage, folder / stage.name, seed=seed, spread=spread)
