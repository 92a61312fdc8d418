"""Log-probabilities recorded while sampling against those the update computes: on-policy means they are the same.

    python benchmarks/logprob_gap.py [--preset tiny]

Rollouts in groups with pictures from the embedded engine (pages, continuous batching, prompts shared), then the
update's own forward pass (packs, prompts shared another way). Mean absolute difference a token in float32 and
bfloat16, against the aims of 1e-5 and 5e-3. The last line is JSON; ``ratio`` is the smaller of aim over measured.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys

import torch

from mimovl.curate.world import WorldConfig, build_item, to_questions
from mimovl.data import Processor
from mimovl.generate import Engine
from mimovl.model import PRESETS, build_model, load_checkpoint
from mimovl.pipeline.assets import embedded_base
from mimovl.rl import pack_groups, policy_logprobs
from mimovl.types import Outcome, Request, Rollout, RolloutGroup, SamplingParams, Verdict

AIMS = {torch.float32: 1e-5, torch.bfloat16: 5e-3}


def gap(preset: str, dtype: torch.dtype, prompts: int) -> tuple[float, float, int]:
    """Mean and largest difference, and the number of tokens."""
    processor = Processor.load(embedded_base().folder)
    if preset == "tiny":
        model = load_checkpoint(embedded_base().folder)
    else:
        processor = Processor.fresh(processor.tokenizer, PRESETS[preset])
        model = build_model(processor.config, seed=0)
    model = model.to(dtype)
    items = (
        build_item(source, seed=4, index=n, split="heldout", config=WorldConfig())
        for source in ("world/counting", "world/grounding", "world/arithmetic")
        for n in range(prompts)
    )
    asked = [
        Request(to_questions(item)[0], SamplingParams(temperature=1.0, max_tokens=120, seed=number), 8)
        for number, item in enumerate(items)
    ]
    engine = Engine(model, processor, slots=64)
    groups = [
        RolloutGroup(request, [Rollout(c, 0.0, Verdict(0.0, Outcome.WRONG)) for c in completions], 0)
        for request, completions in zip(asked, engine.generate(asked), strict=True)
    ]
    encoded = [processor.encode_prompt(r.sample.messages, r.sample.media, id=r.sample.id) for r in asked]
    differences = []
    with torch.no_grad():
        for pack in pack_groups(groups, encoded, model, 4096):
            logprobs, _ = policy_logprobs(model, pack, engine.forbidden)
            differences.append((logprobs - pack.sampled_logprobs).abs())
    every = torch.cat(differences)
    return float(every.mean()), float(every.max()), len(every)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", choices=("tiny", "small"), default="tiny")
    parser.add_argument("--prompts", type=int, default=8, help="of each of three tasks")
    args = parser.parse_args()
    measured = {}
    for dtype, aim in AIMS.items():
        mean, largest, tokens = gap(args.preset, dtype, args.prompts)
        measured[dtype] = mean
        print(f"{dtype}: mean {mean:.2e} of {tokens} tokens, largest {largest:.2e}; the aim is {aim:.0e}")
    result = {
        "benchmark": "logprob_gap",
        "ratio": round(min(aim / max(measured[dtype], 1e-12) for dtype, aim in AIMS.items()), 2),
        "float32": measured[torch.float32],
        "bfloat16": measured[torch.bfloat16],
        "preset": args.preset,
        "torch": torch.__version__,
        "machine": platform.processor() or platform.machine(),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    sys.exit(main())
