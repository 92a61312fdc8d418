"""Rollouts: the embedded engine beside transformers and vLLM, on one checkpoint.

    python benchmarks/rollout_throughput.py [--peer transformers|batch|vllm] [--preset small] [--threads 2]

``transformers``: ``generate`` with images in batches of 16, as TRL samples without a server. Groups of eight samples a
prompt, one picture each; lengths are skewed (a set of tokens ends an answer, whose mean is about 60 of at most 384).
``batch``: ``generate_batch``, transformers' continuous batching (needs psutil), without images: a length for each.
``vllm``: vLLM on the CPU in an environment of its own, whose Python ``--python`` names; groups of eight with pictures.

Correctness first: greedy tokens of both sides are identical. Then both sides sample in turn, several times, the best of
each; where the draws are a side's own, its tokens are counted. Weights are drawn by seed, so no answer makes sense and
every length is chance. The last line is JSON; ``ratio`` is our tokens a second over theirs by the clock, ``ratio_cpu``
by CPU seconds, which other work on the machine disturbs less.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
import time
import warnings
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from mimovl.curate.world import WorldConfig, build_item, to_questions
from mimovl.data import Processor
from mimovl.generate import Engine
from mimovl.model import PRESETS, VisionLanguageModel, build_model, save_checkpoint
from mimovl.pipeline.assets import embedded_base
from mimovl.types import Sample, SamplingParams

BATCH = 16
LONGEST = 384
STOP_SHARE = 1 / 60
"""Part of the vocabulary that ends an answer."""


def build(preset: str, folder: Path) -> tuple[VisionLanguageModel, Processor]:
    """A model of the preset's shape with the embedded tokenizer, and its checkpoint."""
    processor = Processor.fresh(Processor.load(embedded_base().folder).tokenizer, PRESETS[preset])
    model = build_model(processor.config, seed=0).eval()
    save_checkpoint(model, folder, side_files=processor.files())
    return model, processor


def prompts(count: int, *, pictures: bool) -> list[Sample]:
    source = "world/counting" if pictures else "world/arithmetic"
    items = (build_item(source, seed=4, index=n, split="heldout", config=WorldConfig()) for n in range(count))
    return [to_questions(item)[0] for item in items]


class Referee:
    """The Hugging Face model on our prompts."""

    def __init__(
        self,
        folder: Path,
        processor: Processor,
        *,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        from transformers import Qwen2_5_VLForConditionalGeneration

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model: Any = Qwen2_5_VLForConditionalGeneration.from_pretrained(folder, dtype=dtype)
        self.model = model.to(device).eval()
        self.processor, self.device = processor, device

    def inputs(self, samples: list[Sample]) -> dict[str, Any]:
        """Padded on the left, each sequence with its own pictures, as ``generate`` wants them."""
        config = self.processor.config
        encoded = [self.processor.encode_prompt(s.messages, s.media, id=s.id) for s in samples]
        longest = max(one.num_tokens for one in encoded)
        ids = torch.full((len(encoded), longest), config.pad_token_id)
        mask = torch.zeros_like(ids)
        for row, one in enumerate(encoded):
            ids[row, longest - one.num_tokens :] = one.tokens
            mask[row, longest - one.num_tokens :] = 1
        inputs: dict[str, Any] = {"input_ids": ids, "attention_mask": mask}
        inputs["mm_token_type_ids"] = (ids == config.image_token_id).int()
        patches = [part for one in encoded for part in one.patches]
        if patches:
            inputs["pixel_values"] = torch.cat(patches)
            inputs["image_grid_thw"] = torch.tensor([thw for one in encoded for thw in one.grid_thw])
        return {name: value.to(self.device) for name, value in inputs.items()}

    def generate(self, samples: list[Sample], stop: list[int], max_tokens: int, *, greedy: bool) -> list[list[int]]:
        """Tokens of each sequence, up to the one that ends it."""
        inputs = self.inputs(samples)
        out = self.model.generate(
            **inputs,
            max_new_tokens=max_tokens,
            do_sample=not greedy,
            **({} if greedy else {"top_k": 0, "top_p": 1.0, "temperature": 1.0}),
            suppress_tokens=list(self.processor.config.visual_token_ids),
            eos_token_id=stop,
            pad_token_id=self.processor.config.pad_token_id,
        )[:, inputs["input_ids"].shape[1] :].tolist()
        return [until(row, stop) for row in out]


def until(tokens: list[int], stop: list[int]) -> list[int]:
    ends = [place for place, token in enumerate(tokens) if token in stop]
    return tokens[: ends[0] + 1] if ends else tokens


def same_tokens(ours: list[list[int]], theirs: list[list[int]], peer: str) -> None:
    different = [number for number, (one, two) in enumerate(zip(ours, theirs, strict=True)) if one != two]
    if different:
        raise SystemExit(
            f"greedy tokens of {len(different)} of {len(ours)} prompts differ from {peer}: {different[:5]}"
        )


def race(sides: dict[str, Callable[[int], int]], repeats: int) -> dict[str, tuple[float, float]]:
    """Each side's best tokens a second, by the clock and by CPU seconds, over interleaved runs."""
    best = dict.fromkeys(sides, (0.0, 0.0))
    for repeat in range(repeats):
        for name, run in sides.items():
            clock, cpu = time.perf_counter(), time.process_time()
            tokens = run(repeat)
            speeds = tokens / (time.perf_counter() - clock), tokens / (time.process_time() - cpu)
            best[name] = max(best[name][0], speeds[0]), max(best[name][1], speeds[1])
            print(f"{name:>14}: {tokens:6} tokens, {speeds[0]:9.1f} a second, {speeds[1]:9.1f} a CPU second")
    return best


def against_transformers(args: argparse.Namespace, folder: Path) -> dict[str, tuple[float, float]]:
    model, processor = build(args.preset, folder)
    referee = Referee(folder, processor)
    samples = prompts(args.prompts, pictures=True)
    stop = list(range(0, processor.config.language.vocab_size, round(1 / STOP_SHARE)))
    engine = Engine(model, processor, slots=args.slots)
    engine.stop_ids = set(stop)

    checked = samples[:BATCH]
    answers = engine.generate(checked, SamplingParams(max_tokens=24))
    theirs = referee.generate(checked, stop, 24, greedy=True)
    same_tokens([list(group[0].tokens) for group in answers], theirs, "transformers.generate")

    def ours(repeat: int) -> int:
        settings = [
            SamplingParams(temperature=1.0, max_tokens=args.longest, seed=1000 * repeat + n)
            for n in range(len(samples))
        ]
        groups = engine.generate(samples, settings, args.samples)
        return sum(len(completion.tokens) for group in groups for completion in group)

    def peer(repeat: int) -> int:
        torch.manual_seed(repeat)
        everything = [sample for sample in samples for _ in range(args.samples)]
        batches = [everything[start : start + BATCH] for start in range(0, len(everything), BATCH)]
        return sum(len(row) for batch in batches for row in referee.generate(batch, stop, args.longest, greedy=False))

    return race({"mimovl": ours, "transformers": peer}, args.repeats)


def against_batch(args: argparse.Namespace, folder: Path) -> dict[str, tuple[float, float]]:
    """Greedy, a length for each prompt, so that every timed run can be compared too."""
    from transformers import GenerationConfig

    model, processor = build(args.preset, folder)
    referee = Referee(folder, processor)
    samples = prompts(args.prompts, pictures=False)
    rng = random.Random(0)
    lengths = [min(args.longest, max(8, int(rng.lognormvariate(3.6, 1.0)))) for _ in samples]
    tokens = [processor.encode_prompt(s.messages, s.media, id=s.id).tokens.tolist() for s in samples]
    engine = Engine(model, processor, slots=args.slots)
    engine.stop_ids = set()
    engine.forbidden = engine.forbidden[:0]  # continuous batching there cannot forbid tokens
    found: dict[str, list[list[int]]] = {}

    def ours(repeat: int) -> int:
        answers = engine.generate(samples, [SamplingParams(max_tokens=length) for length in lengths])
        found["ours"] = [list(group[0].tokens) for group in answers]
        return sum(map(len, found["ours"]))

    def peer(repeat: int) -> int:
        settings = GenerationConfig(
            max_new_tokens=args.longest,
            do_sample=False,
            eos_token_id=-1,
            pad_token_id=processor.config.pad_token_id,
        )
        manager = referee.model.init_continuous_batching(generation_config=settings)
        manager.start()
        try:
            names = [
                manager.add_request(row, max_new_tokens=length) for row, length in zip(tokens, lengths, strict=True)
            ]
            results: dict[str, list[int]] = {}
            while len(results) < len(names):
                result = manager.get_result(timeout=60)
                if result is not None and result.is_finished():
                    results[result.request_id] = list(result.generated_tokens)
        finally:
            manager.stop(block=True)
        found["theirs"] = [results[name] for name in names]
        return sum(map(len, found["theirs"]))

    ours(0), peer(0)
    same_tokens(found["ours"], found["theirs"], "generate_batch")
    best = race({"mimovl": ours, "generate_batch": peer}, args.repeats)
    same_tokens(found["ours"], found["theirs"], "generate_batch")
    return best


VLLM = """
import io, json, sys, time
from PIL import Image
from vllm import LLM, SamplingParams
job = json.load(open(sys.argv[1]))
llm = LLM(job["folder"], dtype="float32", max_model_len=2048, max_num_seqs=job["slots"], enforce_eager=True,
          max_num_batched_tokens=8192, disable_log_stats=True, mm_processor_cache_gb=0, seed=0)
inputs = [{"prompt_token_ids": p["tokens"], "multi_modal_data": {"image": Image.open(p["image"]).convert("RGB")}}
          for p in job["prompts"]]
bad = {str(token): -100 for token in job["visual"]}
def run(**settings):
    bias = {int(token): value for token, value in bad.items()}
    sampling = SamplingParams(logit_bias=bias, stop_token_ids=job["stop"], ignore_eos=True, **settings)
    return llm.generate(inputs, sampling, use_tqdm=False)
print("READY", flush=True)
for line in sys.stdin:
    ask = json.loads(line)
    clock = time.perf_counter()
    out = run(**ask)
    seconds = time.perf_counter() - clock
    print("RESULT", json.dumps({"seconds": seconds, "tokens": [[list(o.token_ids) for o in r.outputs] for r in out]}),
          flush=True)
"""


def against_vllm(args: argparse.Namespace, folder: Path) -> dict[str, tuple[float, float]]:
    """The peer in its own process; only the clock can be compared."""
    if not args.python:
        raise SystemExit("--peer vllm needs --python, the Python of an environment with vLLM")
    model, processor = build(args.preset, folder)
    samples = prompts(args.prompts, pictures=True)
    stop = list(range(0, processor.config.language.vocab_size, round(1 / STOP_SHARE)))
    engine = Engine(model, processor, slots=args.slots)
    engine.stop_ids = set(stop)
    asked = []
    for number, sample in enumerate(samples):
        # vLLM expands the placeholder itself.
        tokens, places, parts = processor.placed(sample.id, sample.messages, sample.media, generate=True)
        file = folder.parent / f"{number}.png"
        file.write_bytes(sample.media[parts[0].media].data)
        asked.append({"tokens": tokens, "image": str(file)})
    job = folder.parent / "job.json"
    job.write_text(json.dumps({"folder": str(folder), "slots": args.slots, "prompts": asked, "stop": stop,
                               "visual": list(processor.config.visual_token_ids)}))  # fmt: skip
    # GiB, where by itself it takes most of what there is; threads are not bound, which virtual machines may refuse.
    environment = {**os.environ, "VLLM_CPU_KVCACHE_SPACE": "4", "VLLM_CPU_OMP_THREADS_BIND": "nobind"}
    environment.pop("PYTHONPATH", None)
    child = subprocess.Popen(
        [args.python, "-c", VLLM, str(job)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**environment, "OMP_NUM_THREADS": str(args.threads)},
    )
    assert child.stdin and child.stdout
    stdin, stdout = child.stdin, child.stdout

    def answer(word: str) -> str:
        said = deque[str](maxlen=60)
        for line in stdout:
            if line.startswith(word):
                return line[len(word) :]
            said.append(line)
        print(*said, sep="", end="", flush=True)
        raise SystemExit(f"vLLM ended with exit code {child.wait()} before it answered; its messages are above")

    def ask(**settings: Any) -> dict[str, Any]:
        stdin.write(json.dumps(settings) + "\n")
        stdin.flush()
        result: dict[str, Any] = json.loads(answer("RESULT"))
        return result

    try:
        answer("READY")
        theirs = [group[0] for group in ask(temperature=0.0, max_tokens=24)["tokens"]]
        mine = engine.generate(samples, SamplingParams(max_tokens=24))
        same_tokens([list(group[0].tokens) for group in mine], theirs, "vLLM")

        def ours(repeat: int) -> int:
            settings = [
                SamplingParams(temperature=1.0, max_tokens=args.longest, seed=1000 * repeat + n)
                for n in range(len(samples))
            ]
            groups = engine.generate(samples, settings, args.samples)
            return sum(len(completion.tokens) for group in groups for completion in group)

        def peer(repeat: int) -> int:
            # No seed of its own: vLLM's CPU worker dies where a seeded prompt is prefilled in pieces.
            groups = ask(temperature=1.0, max_tokens=args.longest, n=args.samples)["tokens"]
            return sum(len(row) for group in groups for row in group)

        return race({"mimovl": ours, "vllm": peer}, args.repeats)
    finally:
        stdin.close()
        child.wait(timeout=60)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer", choices=("transformers", "batch", "vllm"), default="transformers")
    parser.add_argument("--preset", choices=("tiny", "small"), default="small")
    parser.add_argument("--prompts", type=int, default=16)
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--longest", type=int, default=LONGEST)
    parser.add_argument("--slots", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--python", help="Python of the vLLM environment")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    sides = {"transformers": against_transformers, "batch": against_batch, "vllm": against_vllm}
    with tempfile.TemporaryDirectory() as folder:
        best = sides[args.peer](args, Path(folder) / "model")
    (mine, theirs), (mine_cpu, theirs_cpu) = zip(*best.values(), strict=True)
    result = {
        "benchmark": "rollout_throughput",
        "peer": args.peer,
        "ratio": round(mine / theirs, 2),
        "ratio_cpu": None if args.peer == "vllm" else round(mine_cpu / theirs_cpu, 2),
        "tokens_per_second": {name: round(speeds[0], 1) for name, speeds in best.items()},
        "preset": args.preset,
        "prompts": args.prompts,
        "samples": args.samples if args.peer != "batch" else 1,
        "threads": args.threads,
        "torch": torch.__version__,
        "machine": platform.processor() or platform.machine(),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    sys.exit(main())
