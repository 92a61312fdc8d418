"""Reinforcement learning of a 7B-shaped policy on one GPU: rollouts beside transformers, and the update's MFU.

    python benchmarks/gpu_rl.py                                    MiMo-VL-7B's shape in bfloat16, on one GPU
    python benchmarks/gpu_rl.py --preset tiny --vocabulary 0       the same steps on a CPU, in minutes

Weights are drawn by seed, so no answer makes sense and every length is chance: a part of the vocabulary ends an
answer, whose mean is about 60 tokens of at most 384. Groups of eight answers to a prompt with a picture; transformers'
``generate`` samples the same prompts in batches of 16, as TRL does without a server; each side's tokens are counted.

Correctness first, in float32 on a model of the same width with two layers: greedy tokens of both sides are identical,
but for ties.
Then rollouts of the whole model, and ``update_policy`` on them: on-policy GRPO, shared prompts, bfloat16 parameters and
states. FLOPs of the update are those of ``mimovl.plan`` for the tokens of its packs (what checkpointing repeats does
not count, nor what sharing the prompt saves). The log-probability gap is that of these very rollouts.

The last line is JSON; ``ratio`` is our tokens a second over theirs, ``mfu`` the update's share of the card's peak. It
is printed without the ratio before transformers' turn, whose checkpoint takes a minute to write and read at full size.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import pstats
import random
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from gpu_train import show_profile, wait
from rollout_throughput import BATCH, LONGEST, STOP_SHARE, Referee, prompts

from mimovl.data import Processor
from mimovl.generate import Engine
from mimovl.model import ModelConfig, VisionLanguageModel, build_model, preset, save_checkpoint
from mimovl.pipeline.assets import embedded_base
from mimovl.plan import Load, count_flops
from mimovl.rl import RLConfig, group_advantages, pack_groups
from mimovl.rl.packing import PolicyPack
from mimovl.rl.placement import place_policy
from mimovl.rl.update import update_policy
from mimovl.team import ALONE
from mimovl.train.config import OptimizerConfig
from mimovl.train.distributed import own_device
from mimovl.train.parallel_config import ParallelConfig
from mimovl.train.peak import machine_peak
from mimovl.types import Outcome, Request, Rollout, RolloutGroup, Sample, SamplingParams, Verdict

CHECKED = 24
"""Greedy tokens compared."""
TIE = 1e-3
"""Logits nearer than that are a tie: either token is right. Among 151,680 random ones some always are."""


def build(config: ModelConfig, processor: Processor, dtype: torch.dtype) -> VisionLanguageModel:
    model = build_model(config, seed=0, device=own_device()).to(dtype).eval()
    model.side_files = processor.files()
    return model


def shallow(config: ModelConfig, layers: int) -> ModelConfig:
    """As wide, with so many layers and blocks."""
    vision = replace(config.vision, depth=layers, full_attention_blocks=(layers - 1,))
    return replace(config, vision=vision, language=replace(config.language, num_layers=layers))


def peer_of(model: VisionLanguageModel, processor: Processor) -> Referee:
    """Transformers' model with the same weights, on the same device."""
    with tempfile.TemporaryDirectory() as folder:
        save_checkpoint(model, Path(folder) / "model", side_files=processor.files())
        return Referee(Path(folder) / "model", processor, dtype=model.dtype, device=model.device)


@torch.no_grad()
def preference(peer: Referee, sample: Sample, written: list[int], one: int, other: int) -> float:
    """Log-odds of two tokens behind what is written."""
    given = peer.inputs([sample])
    more = torch.tensor([written], dtype=torch.long, device=peer.device)
    fills = {"input_ids": more, "attention_mask": more * 0 + 1, "mm_token_type_ids": more.int() * 0}
    given |= {name: torch.cat([given[name], fill], dim=1) for name, fill in fills.items()}
    logits = peer.model(**given).logits[0, -1]
    return float(logits[one] - logits[other])


def check(config: ModelConfig, processor: Processor, stop: list[int]) -> None:
    """Greedy tokens of a shallow model in float32."""
    torch.backends.cudnn.allow_tf32 = False  # the default, in which transformers' patches would be convolved
    model = build(shallow(config, 2), processor, torch.float32)
    samples = prompts(BATCH, pictures=True)
    engine = Engine(model, processor, slots=BATCH)
    engine.stop_ids = set(stop)
    mine = [list(group[0].tokens) for group in engine.generate(samples, SamplingParams(max_tokens=CHECKED))]
    peer = peer_of(model, processor)
    theirs, ties = peer.generate(samples, stop, CHECKED, greedy=True), [0.0]
    for number, (one, two) in enumerate(zip(mine, theirs, strict=True)):
        if one != two:
            place = next((n for n, pair in enumerate(zip(one, two, strict=False)) if pair[0] != pair[1]), None)
            odds = float("inf")
            if place is not None:
                odds = abs(preference(peer, samples[number], two[:place], one[place], two[place]))
            if odds > TIE:
                raise SystemExit(
                    f"greedy tokens of prompt {number} differ from transformers' at {place}: odds {odds:.1e}"
                )
            ties.append(odds)
    print(f"greedy tokens of {len(mine)} prompts in float32: {len(ties) - 1} part, at ties of {max(ties):.0e} at most")


def rollouts(
    engine: Engine, samples: list[Sample], args: argparse.Namespace, seed: int
) -> tuple[list[RolloutGroup], float]:
    """Groups with random rewards, and the seconds they took."""
    requests = [
        Request(sample, SamplingParams(temperature=1.0, max_tokens=args.longest, seed=seed + number), args.samples)
        for number, sample in enumerate(samples)
    ]
    wait(engine.model.device)
    began = time.perf_counter()
    answers = engine.generate(requests)
    wait(engine.model.device)
    seconds = time.perf_counter() - began
    rng, groups = random.Random(seed), []
    for request, completions in zip(requests, answers, strict=True):
        rewards = [rng.random() for _ in completions]
        pairs = zip(completions, rewards, group_advantages(rewards), strict=True)
        made = [Rollout(c, reward, Verdict(reward, Outcome.WRONG), advantage) for c, reward, advantage in pairs]
        groups.append(RolloutGroup(request, made, 0))
    return groups, seconds


def load_of(pack: PolicyPack, config: ModelConfig) -> Load:
    """What a pack of families asks: an answer sees itself and the whole prompt."""
    load = Load.of_batch(pack.batch, config)
    pairs = 0.0
    for family in pack.families:
        pairs += family.prompt * (family.prompt + 1) / 2
        pairs += sum(length * (length + 1) / 2 + length * family.prompt for length in family.answers)
    return replace(load, pairs=pairs, labels=float(len(pack.targets)))


def num_tokens(groups: list[RolloutGroup]) -> int:
    return sum(len(rollout.completion.tokens) for group in groups for rollout in group.rollouts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cuda = torch.cuda.is_available()
    parser.add_argument("--preset", default="mimo-vl-7b" if cuda else "tiny")
    parser.add_argument("--layers", type=int, help="decoder layers; all of the preset if not given")
    parser.add_argument("--vocabulary", type=int, default=151_680, help="0 for that of the embedded tokenizer")
    parser.add_argument("--dtype", default="bfloat16" if cuda else "float32", choices=("float32", "bfloat16"))
    parser.add_argument("--prompts", type=int, default=64 if cuda else 4)
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--longest", type=int, default=LONGEST)
    parser.add_argument("--slots", type=int, default=256)
    parser.add_argument("--length", type=int, default=8192, help="tokens of a pack of the update")
    parser.add_argument("--checkpointing", default="selective", choices=["none", "selective", "full"])
    parser.add_argument("--compile", action=argparse.BooleanOptionalAction, default=False)
    parser.add_argument("--updates", type=int, default=2)
    parser.add_argument("--batches", type=int, default=2, help="batches of 16 that transformers samples; 0 for none")
    parser.add_argument("--profile", type=int, default=0, help="print so many of the operations that take longest")
    args = parser.parse_args()
    device, dtype = own_device(), getattr(torch, args.dtype)

    fresh = Processor.fresh(Processor.load(embedded_base().folder).tokenizer, preset(args.preset))
    language = fresh.config.language
    language = replace(language, vocab_size=args.vocabulary or language.vocab_size)
    config = replace(fresh.config, language=replace(language, num_layers=args.layers or language.num_layers))
    processor = Processor(fresh.tokenizer, fresh.template, config, fresh.image)
    stop = list(range(0, language.vocab_size, round(1 / STOP_SHARE)))
    report: dict[str, Any] = {
        "benchmark": "gpu_rl",
        "device": torch.cuda.get_device_name() if cuda else "cpu",
        "torch": torch.__version__,
        "preset": args.preset,
        "layers": config.language.num_layers,
        "vocabulary": language.vocab_size,
        "dtype": args.dtype,
    }
    if args.batches:
        check(config, processor, stop)

    model = build(config, processor, dtype)
    engine = Engine(model, processor, slots=args.slots)
    engine.stop_ids = set(stop)
    samples = prompts(args.prompts, pictures=True)
    rollouts(engine, samples, args, seed=10_000)  # graphs are recorded, kernels compiled
    groups, seconds = rollouts(engine, samples, args, seed=0)
    if args.profile:
        profile = cProfile.Profile()
        profile.runcall(rollouts, engine, samples, args, 20_000)
        pstats.Stats(profile).sort_stats("tottime").print_stats(args.profile)
    mine = num_tokens(groups) / seconds
    print(f"mimovl: {num_tokens(groups)} tokens in {seconds:.2f} s, {mine:.0f} a second", flush=True)
    report |= {"tokens_per_s": round(mine, 1), "slots": args.slots, "groups": args.prompts, "samples": args.samples}
    rates = dict.fromkeys(("vision", "projector", "language"), 1e-6)
    parallel = ParallelConfig(
        dtype=args.dtype,
        parameter_dtype=args.dtype,
        gradient_dtype=args.dtype,
        optimizer_dtype=args.dtype,
        activation_checkpointing=args.checkpointing,
        compile=args.compile,
    )
    rl = RLConfig(tasks={"counting": 1}, steps=1, learning_rate=rates, length=args.length)
    adamw = OptimizerConfig(name="adamw", weight_decay=0.0)
    parts = dict(model.train().named_children())
    optimizer = place_policy(model, parts, rates, adamw, parallel, team=ALONE, seed=0)
    encoded = [processor.encode_prompt(s.messages, s.media, id=s.id) for s in samples]
    packs = pack_groups(groups, encoded, model, args.length)
    flops = [
        part.model
        for pack in packs
        for part in count_flops(config, load_of(pack, config), checkpointing=args.checkpointing).values()
    ]

    def update() -> tuple[dict[str, Any], float]:
        wait(device)
        began = time.perf_counter()
        figures = update_policy(engine, optimizer, groups, rl, 1.0, ALONE)
        wait(device)
        return figures, time.perf_counter() - began

    figures, _ = update()  # that of the policy that sampled
    times = [update()[1] for _ in range(args.updates)]
    if args.profile and cuda:
        show_profile(args.profile, update)
    seconds = min(times)
    speed = sum(flops) / seconds
    report |= {
        "update_s": round(seconds, 3),
        "packs": len(packs),
        "pack_tokens": sum(pack.batch.num_tokens for pack in packs),
        "sampled_tokens": num_tokens(groups),
        "update_tflops": round(speed / 1e12, 2),
        "logprob_gap": figures["logprob_gap"],
        "checkpointing": args.checkpointing,
    }
    if cuda:
        mfu = machine_peak(device, dtype).utilisation(sum(flops), seconds)
        report |= {"mfu": round(mfu, 4), "memory_gb": round(torch.cuda.max_memory_allocated() / 1e9, 2)}
    print(json.dumps(report), flush=True)  # what follows may take longer than there is
    if args.batches:
        model.eval()
        for parameter in model.parameters():
            parameter.grad = None
        del optimizer
        peer = peer_of(model, processor)
        everything = [sample for sample in samples for _ in range(args.samples)]
        peer.generate(everything[:BATCH], stop, 8, greedy=False)
        torch.manual_seed(0)
        wait(device)
        began, count = time.perf_counter(), 0
        for start in range(0, args.batches * BATCH, BATCH):
            part = everything[start : start + BATCH]
            count += sum(len(row) for row in peer.generate(part, stop, args.longest, greedy=False))
        wait(device)
        theirs = count / (time.perf_counter() - began)
        print(f"transformers: {count} tokens, {theirs:.0f} a second", flush=True)
        report |= {"peer": "transformers.generate", "peer_tokens_per_s": round(theirs, 1)}
        report["ratio"] = round(mine / theirs, 2)
    print(json.dumps(report))


if __name__ == "__main__":
    main()
