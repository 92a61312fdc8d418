"""Real tokens a second of supervised fine-tuning: ours, packed, beside TRL padded and sorted, and transformers packed.

    pip install 'mimovl[benchmarks]'
    python benchmarks/sft_throughput.py [--passes 1] [--length 8192] [--threads 2]

A Qwen2.5-VL-shaped model of 30 million parameters, float32, AdamW, everything trained; 512 samples with one picture
(60 %), two (10 %) or none (30 %), of 56 to 448 pixels a side, and answers of log-normal length, median 120 tokens, as
short captions and long reasoning together have; the answer carries loss. All sides start from one checkpoint and are
handed tensors, so none decodes or tokenizes.

    ours          train_stage: packs of 8,192 tokens, as in MiMo-VL's stages 1 to 3, with loader, logs and gauges;
                  as mimovl run does it with two workers, in two processes of one thread, whose start is not counted
                  (--processes 1: in one of two threads, like the peers)
    trl           trl.SFTTrainer, eight samples a step in random order, padded to the longest
    trl_sorted    the same in the order of transformers' length-grouped sampling over all 512
    hand_packed   a plain loop over transformers' class, on packs like ours: position_ids [4, 1, L], whose first row
                  starts again with each sample, no mask, no cache, sdpa. transformers finds the samples by that row
                  and builds a dense block-diagonal mask, so attention is that of the samples alone (checked below; with
                  its cache on, as it is by default, it would leak), at the cost of every pair in the pack

TRL's defaults are changed in its favour: no gradient checkpointing, float32 as everywhere here. Its loss, metrics,
fused output head and dataloader are its own.

First the losses of ours and theirs must agree to 1e-4 on the same samples, one by one, padded, and packed by hand. Then
every side goes over all 512 samples, ``passes`` times in turns; the packed sides in whole packs, the last of which ours
fills from the next pass. A few steps of each side come first and are not counted. Tokens are counted without padding.
The last line is JSON: ``ratio`` is ours over TRL's padded speed, of all passes together; the other ratios stand beside
it.
"""

from __future__ import annotations

import argparse
import functools
import importlib.metadata
import importlib.util
import json
import math
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mimovl.data import Encoded, Processor, VisualSpan, collate, mrope_positions, pack
from mimovl.model import LanguageConfig, ModelConfig, VisionConfig, VisionLanguageModel, build_model, save_checkpoint
from mimovl.pipeline.assets import embedded_base
from mimovl.team import Team, run_team
from mimovl.train import StageConfig, language_model_loss, train_stage
from mimovl.types import IGNORE_INDEX, Message, Part, Sample

SAMPLES = 512
BATCH = 8
LONGEST = 2048
"""Tokens of an answer; of 4,096, a padded batch of eight does not fit into 24 GB on TRL's side."""
RATE = 1e-5
PARTS: tuple[Any, ...] = ("vision", "projector", "language")
TOLERANCE = 1e-4

BASE = Processor.load(embedded_base().folder)
TOKEN_IDS = {name: value for name, value in vars(BASE.config).items() if name.endswith("_token_id")}
CONFIG = ModelConfig(
    vision=VisionConfig(depth=6, hidden_size=256, intermediate_size=704, num_heads=4, full_attention_blocks=(2, 5)),
    language=LanguageConfig(
        num_layers=12,
        hidden_size=384,
        intermediate_size=1024,
        num_heads=6,
        num_kv_heads=2,
        vocab_size=8192,
        mrope_section=(8, 12, 12),
        rope_theta=1e6,
        max_position=32_768,
    ),
).with_vocabulary(8192, **TOKEN_IDS)


@functools.cache
def draw_samples(count: int, seed: int = 0) -> list[Encoded]:
    """Samples as tensors: pictures of varied size and shape, prompts of 12 tokens, answers of at least 8."""
    rng = np.random.default_rng(seed)
    drawn = []
    for number in range(count):
        tokens: list[int] = []
        visuals: list[VisualSpan] = []
        for _ in range(rng.choice([0, 1, 2], p=[0.3, 0.6, 0.1])):
            rows, columns = (2 * max(2, round(float(np.exp(rng.uniform(*np.log((56, 448))))) / 28)) for _ in range(2))
            tokens.append(CONFIG.vision_start_token_id)
            visuals.append(VisualSpan(len(tokens), (1, rows, columns), 0.0))
            tokens += [CONFIG.image_token_id] * (rows * columns // 4) + [CONFIG.vision_end_token_id]
        prompt = len(tokens) + 12
        answer = int(np.clip(rng.lognormal(np.log(120), 1.2), 8, LONGEST))
        tokens += rng.integers(1280, CONFIG.language.vocab_size, 12 + answer).tolist()
        labels = torch.full((len(tokens),), IGNORE_INDEX)
        labels[prompt - 1 : -1] = torch.tensor(tokens[prompt:])
        grids = [visual.grid_thw for visual in visuals]
        pixels = [torch.from_numpy(rng.standard_normal((h * w, 1176), dtype=np.float32)) for _, h, w in grids]
        positions = mrope_positions(len(tokens), visuals, CONFIG)
        drawn.append(Encoded(str(number), "mixed", torch.tensor(tokens), positions, labels, pixels, grids))
    return drawn


# ---------------------------------------------------------------- what transformers is handed


def visual_inputs(samples: Sequence[Encoded]) -> dict[str, torch.Tensor]:
    grids = [grid for sample in samples for grid in sample.grid_thw]
    patches = [patch for sample in samples for patch in sample.patches]
    return {"pixel_values": torch.cat(patches), "image_grid_thw": torch.tensor(grids)} if grids else {}


def shifted(sample: Encoded) -> torch.Tensor:
    """Labels at the places of their own tokens, as transformers wants them."""
    return torch.cat([torch.tensor([IGNORE_INDEX]), sample.labels[:-1]])


def padded(samples: Sequence[Encoded]) -> dict[str, torch.Tensor]:
    """A right-padded batch."""

    def stack(rows: list[torch.Tensor], fill: int) -> torch.Tensor:
        return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=fill)

    ids = stack([sample.tokens for sample in samples], CONFIG.pad_token_id)
    return {
        "input_ids": ids,
        "attention_mask": stack([torch.ones_like(sample.tokens) for sample in samples], 0),
        "labels": stack([shifted(sample) for sample in samples], IGNORE_INDEX),
        "mm_token_type_ids": (ids == CONFIG.image_token_id).int(),
        **visual_inputs(samples),
    }


def packed_by_hand(samples: Sequence[Encoded]) -> dict[str, Any]:
    """One row without padding; the first row of the positions counts each sample from 0."""
    text = torch.cat([torch.arange(sample.num_tokens) for sample in samples])
    positions = torch.cat([sample.positions for sample in samples], dim=1)
    return {
        "input_ids": torch.cat([sample.tokens for sample in samples])[None],
        "position_ids": torch.cat([text[None], positions])[:, None],
        "labels": torch.cat([shifted(sample) for sample in samples])[None],
        "use_cache": False,
        **visual_inputs(samples),
    }


# ---------------------------------------------------------------- the sides: each trains and returns (tokens, seconds)

Side = Callable[[int], tuple[int, float]]


class Ready(Processor):
    """Samples that are tensors already."""

    def encode(self, sample: Sample) -> Encoded:
        """As it was drawn."""
        return sample.meta["encoded"]  # type: ignore[no-any-return]


class Samples(list[Sample]):
    """A dataset in memory, as the trainer sees it."""

    @property
    def sources(self) -> list[str]:
        """All of one source."""
        return [sample.source for sample in self]


def ours(samples: Sequence[Encoded], length: int, processes: int) -> Side:
    """train_stage, as ``mimovl run`` calls it with so many ``workers``; none of them the peers' process.

    The trainer has the C library keep freed memory, from which the peers would gain in the same process.
    """
    whole = math.ceil(sum(sample.num_tokens for sample in samples) / (length * processes))

    def run(rep: int) -> tuple[int, float]:
        if rep < 0:
            return 0, 0.0
        steps = whole + 1  # the first step is not counted, for which memory is new
        with tempfile.TemporaryDirectory() as folder:
            work = (processes, _train, (length, steps, processes, rep, folder))
            child = multiprocessing.get_context("spawn").Process(target=run_team, args=work)
            child.start()
            child.join()
            first, *_, last = map(json.loads, (Path(folder) / "metrics.jsonl").read_text().splitlines())
        return last["tokens"] - first["tokens"], last["seconds"] - first["seconds"]

    return run


def _train(team: Team, length: int, steps: int, packs: int, seed: int, folder: str) -> None:
    """One process of ours; all draw the same samples and weights."""
    said = (Message("assistant", (Part("text", "tensors already"),)),)
    data = Samples(Sample(one.id, said, source=one.source, meta={"encoded": one}) for one in draw_samples(SAMPLES))
    stage = StageConfig(
        name="sft",
        train=PARTS,
        learning_rate=dict.fromkeys(PARTS, RATE),
        mixture={"mixed": 1},
        length=length,
        packs=packs,
        steps=steps,
        schedule="constant",
        warmup=0,
        save_seconds=1e9,
    )
    processor = Ready(BASE.tokenizer, BASE.template, CONFIG)
    train_stage(build_model(CONFIG, seed=0), processor, data, stage, Path(folder), seed=seed, team=team)


def hand_packed(twin: Any, samples: Sequence[Encoded], length: int) -> Side:
    packs = pack([sample.num_tokens for sample in samples], length)
    optimizer = torch.optim.AdamW(twin.parameters(), lr=RATE, betas=(0.9, 0.95), weight_decay=0.1, fused=True)

    def run(rep: int) -> tuple[int, float]:
        chosen = [[samples[number] for number in members] for members in (packs[:1] if rep < 0 else packs)]
        started = time.perf_counter()
        for members in chosen:
            twin(**packed_by_hand(members)).loss.backward()
            torch.nn.utils.clip_grad_norm_(twin.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        seconds = time.perf_counter() - started
        return sum(sample.num_tokens for members in chosen for sample in members), seconds

    return run


def trl(twin: Any, batches: Callable[[int], list[list[Encoded]]]) -> Side:
    from transformers import TrainerCallback

    class Clock(TrainerCallback):  # type: ignore[misc]
        seconds = 0.0

        def on_train_begin(self, *_: Any, **__: Any) -> None:
            self.seconds -= time.perf_counter()

        def on_train_end(self, *_: Any, **__: Any) -> None:
            self.seconds += time.perf_counter()

    def run(rep: int) -> tuple[int, float]:
        samples = [sample for batch in batches(rep) for sample in batch]
        clock = Clock()
        with tempfile.TemporaryDirectory() as folder:
            trainer = trl_trainer(twin, samples, Path(folder))
            trainer.add_callback(clock)
            trainer.train()
        return sum(sample.num_tokens for sample in samples), clock.seconds

    return run


def trl_trainer(twin: Any, samples: Sequence[Encoded], folder: Path) -> Any:
    """TRL's trainer over samples in the order given; each row is tokens and the sample's number."""
    from datasets import Dataset, disable_progress_bars
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast
    from trl import SFTConfig, SFTTrainer

    disable_progress_bars()
    rows = {"input_ids": [one.tokens.tolist() for one in samples], "number": list(range(len(samples)))}
    config = SFTConfig(
        str(folder),
        per_device_train_batch_size=BATCH,
        num_train_epochs=1,
        learning_rate=RATE,
        lr_scheduler_type="constant",
        weight_decay=0.1,
        adam_beta2=0.95,
        max_grad_norm=1.0,
        max_length=None,
        train_sampling_strategy="sequential",
        gradient_checkpointing=False,
        bf16=False,
        use_cpu=True,
        dataloader_pin_memory=False,
        remove_unused_columns=False,
        logging_strategy="no",
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )
    words = {f"t{number}": number for number in range(CONFIG.language.vocab_size)}
    special = {"pad_token": f"t{CONFIG.pad_token_id}", "eos_token": f"t{CONFIG.eos_token_id}"}
    return SFTTrainer(
        twin,
        args=config,
        train_dataset=Dataset.from_dict(rows),
        data_collator=lambda rows: padded([samples[row["number"]] for row in rows]),
        processing_class=PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel(words)), **special),
    )


def random_batches(samples: Sequence[Encoded], rep: int) -> list[list[Encoded]]:
    """A pass in random order; two batches of it before the first."""
    order = np.random.default_rng(abs(rep)).permutation(len(samples)).tolist()
    return _batches(samples, order[: 2 * BATCH] if rep < 0 else order)


def sorted_batches(samples: Sequence[Encoded], rep: int) -> list[list[Encoded]]:
    """A pass in transformers' length-grouped order, as ``train_sampling_strategy="group_by_length"`` draws it."""
    from transformers.trainer_pt_utils import get_length_grouped_indices

    lengths = [sample.num_tokens for sample in samples]
    order = get_length_grouped_indices(lengths, BATCH, generator=torch.Generator().manual_seed(abs(rep)))
    return _batches(samples, order[-2 * BATCH :] if rep < 0 else order)


def _batches(samples: Sequence[Encoded], order: Sequence[int]) -> list[list[Encoded]]:
    return [[samples[number] for number in order[start : start + BATCH]] for start in range(0, len(order), BATCH)]


def padding(batches: Iterable[list[Encoded]]) -> float:
    """Share of a batch's room that is padding."""
    real = room = 0
    for batch in batches:
        real += sum(sample.num_tokens for sample in batch)
        room += len(batch) * max(sample.num_tokens for sample in batch)
    return 1 - real / room


# ---------------------------------------------------------------- correctness, before anything is timed


@torch.no_grad()
def check(model: VisionLanguageModel, twin: Any, samples: Sequence[Encoded], with_trl: bool) -> dict[str, float]:
    """Largest differences of the loss on the same samples; stops where one is above the tolerance."""
    visual = (CONFIG.image_token_id, CONFIG.video_token_id)
    alone = []
    for sample in samples:
        loss = language_model_loss(model, collate([sample], visual_token_ids=visual))
        alone.append(float(loss.total / loss.num_tokens))
    labels = [sample.num_labels for sample in samples]
    mean = sum(loss * count for loss, count in zip(alone, labels, strict=True)) / sum(labels)
    together = language_model_loss(model, collate(samples, visual_token_ids=visual))
    theirs = [float(twin(**padded([sample])).loss) for sample in samples]
    differences = {
        "unpacked": max(abs(one - other) for one, other in zip(alone, theirs, strict=True)),
        "ours_packed": abs(float(together.total / together.num_tokens) - mean),
        "padded": abs(float(twin(**padded(samples)).loss) - mean),
        "hand_packed": abs(float(twin(**packed_by_hand(samples)).loss) - mean),
    }
    if with_trl:
        with tempfile.TemporaryDirectory() as folder:
            trainer = trl_trainer(twin, samples, Path(folder))
            differences["trl"] = abs(float(trainer.compute_loss(twin, padded(samples))) - mean)
    print(f"loss {mean:.4f} on {len(samples)} samples; largest differences:", differences)
    if not max(differences.values()) <= TOLERANCE:
        sys.exit(f"the losses differ by {max(differences.values())}, more than {TOLERANCE}; nothing is timed")
    return {f"difference_{name}": float(f"{value:.1e}") for name, value in differences.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--passes", type=int, default=1, help="over the 512 samples, of each side")
    parser.add_argument("--length", type=int, default=8192, help="tokens of a pack; no sample is longer than 2,700")
    parser.add_argument("--threads", type=int, default=2, help="of the peers' process")
    parser.add_argument("--processes", type=int, help="of ours, a thread each (1: one of --threads); default --threads")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    samples = draw_samples(SAMPLES)
    lengths = [sample.num_tokens for sample in samples]
    processes = args.processes or args.threads
    report: dict[str, Any] = {"benchmark": "sft_throughput", "ratio": None}
    try:
        import transformers
    except ImportError:
        print(
            "transformers is not installed, so there is nothing to compare with; run: pip install 'mimovl[benchmarks]'"
        )
        print(json.dumps(report))
        return
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    has_trl = importlib.util.find_spec("trl") is not None
    if not has_trl:
        print("TRL is not installed, so there is no ratio to it; run: pip install 'mimovl[benchmarks]'")

    model = build_model(CONFIG, seed=0)
    with tempfile.TemporaryDirectory() as folder:
        save_checkpoint(model, folder + "/twin", side_files=BASE.files())
        read = transformers.Qwen2_5_VLForConditionalGeneration.from_pretrained
        twins = {
            name: read(folder + "/twin", dtype=torch.float32, attn_implementation="sdpa").train()
            for name in ("hand_packed", *(["trl", "trl_sorted"] if has_trl else []))
        }
    size = sum(model.num_parameters().values())
    grouped = {"trl": random_batches, "trl_sorted": sorted_batches}
    about = f"{SAMPLES} samples of {statistics.mean(lengths):.0f} tokens"
    print(f"{size / 1e6:.1f} M parameters, {about}, packs of {args.length}")
    report |= check(model.train(), twins["trl" if has_trl else "hand_packed"], samples[:BATCH], has_trl)

    sides: dict[str, Side] = {
        "ours": ours(samples, args.length, processes),
        "hand_packed": hand_packed(twins["hand_packed"], samples, args.length),
        **{name: trl(twins[name], functools.partial(grouped[name], samples)) for name in grouped if has_trl},
    }
    measured: dict[str, list[tuple[int, float]]] = {name: [] for name in sides}
    for side in sides.values():
        side(-1)
    for rep in range(args.passes):
        for name in list(sides)[:: 1 if rep % 2 == 0 else -1]:
            tokens, seconds = sides[name](rep)
            measured[name].append((tokens, seconds))
            speed = tokens / seconds
            print(
                f"pass {rep + 1}  {name:12s} {tokens:7,d} real tokens in {seconds:7.2f} s {speed:8,.0f} /s", flush=True
            )
    speeds = {name: sum(one[0] for one in runs) / sum(one[1] for one in runs) for name, runs in measured.items()}
    for name in measured:
        report[f"{name}_tokens_per_s"] = round(speeds[name], 1)
        if name != "ours":
            report[f"ratio_{name}"] = round(speeds["ours"] / speeds[name], 2)
    for name in grouped if has_trl else ():
        batches = (batch for rep in range(args.passes) for batch in grouped[name](samples, rep))
        report[f"padding_{name}"] = round(padding(batches), 3)
    report["ratio"] = report.get("ratio_trl")
    versions = {"torch": torch.__version__, "transformers": transformers.__version__}
    versions |= {"trl": importlib.metadata.version("trl")} if has_trl else {}
    report |= {"parameters": size, "samples": SAMPLES, **vars(args), "processes": processes, **versions}
    print(json.dumps(report))


if __name__ == "__main__":
    main()
