"""The GRPO update: ours beside TRL's loss step, eight samples of one prompt with one picture.

    python benchmarks/grpo_update.py [--preset tiny] [--samples 8] [--answer 129] [--sides 448 896] [--threads 2]

One group: a prompt with a square picture, eight answers of different lengths. A picture of 448 is 256 visual tokens,
one of 896 is 1,024, a quarter of what the report lets a picture have. How much can be saved depends on the prompt's
share of the tokens, so each size is a row, and the last one is the benchmark's ``ratio``.
Both sides compute the clipped surrogate with old log-probabilities some way off (so ratios are not 1 and some are
clipped), its loss normalised by all tokens of the group (TRL: ``bnpo``), and gradients of every parameter. TRL's side
is ``GRPOTrainer._compute_loss`` and backward; without TRL it is the same computation written out on the transformers
model: padded batch, pictures repeated for every sample.

Correctness first: losses agree to 1e-5, gradients to 1e-4 of their norm. Then both sides run in turn, the best of each.
The last line is JSON; ``ratio`` is their seconds over ours by the clock, ``ratio_cpu`` by CPU seconds.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import platform
import random
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from mimovl.data import Encoded, Processor
from mimovl.model import PRESETS, VisionLanguageModel, build_model, save_checkpoint
from mimovl.pipeline.assets import embedded_base
from mimovl.rl import VanillaConfig, clipped_loss, group_advantages, pack_groups, policy_logprobs, policy_terms
from mimovl.types import (
    Completion,
    Media,
    Message,
    Outcome,
    Part,
    Request,
    Rollout,
    RolloutGroup,
    Sample,
    Verdict,
)

CONFIG = VanillaConfig(clip_low=0.2, clip_high=0.28)
NOTHING = torch.zeros(0, dtype=torch.long)
"""TRL's softmax knows no forbidden tokens, so here ours forbids none either."""


def picture(side: int) -> Media:
    pixels = np.random.default_rng(0).integers(0, 255, (side, side, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    data = buffer.getvalue()
    return Media(hashlib.sha256(data).hexdigest(), "image", data, side, side)


def group_of(processor: Processor, samples: int, answer: int, side: int) -> tuple[RolloutGroup, Encoded]:
    """Answers of random tokens, lengths from a half to one and a half of ``answer``."""
    rng = random.Random(0)
    item = picture(side)
    words = " ".join(["how many red circles are there"] * 8)
    message = Message("user", (Part("image", media=item.sha256), Part("text", text=words)))
    sample = Sample("q", (message,), {item.sha256: item})
    rewards = [rng.random() for _ in range(samples)]
    rollouts = []
    for reward, advantage in zip(rewards, group_advantages(rewards), strict=True):
        tokens = tuple(rng.randrange(300, 1000) for _ in range(rng.randint(answer // 2, answer * 3 // 2)))
        completion = Completion("", "stop", tokens, (0.0,) * len(tokens))
        rollouts.append(Rollout(completion, reward, Verdict(reward, Outcome.WRONG), advantage))
    group = RolloutGroup(Request(sample), rollouts, 0)
    return group, processor.encode_prompt(sample.messages, sample.media, id="q")


def with_old_logprobs(model: VisionLanguageModel, group: RolloutGroup, prompt: Encoded) -> RolloutGroup:
    """Old log-probabilities up to a third off the policy's own: ratios of 0.7 to 1.4."""
    (pack,) = pack_groups([group], [prompt], model, 10**9)
    with torch.no_grad():
        logprobs, _ = policy_logprobs(model, pack, NOTHING)
    noise = torch.rand(len(logprobs), generator=torch.Generator().manual_seed(0)) * 0.66 - 0.33
    old, start, rollouts = (logprobs + noise).tolist(), 0, []
    for rollout in group.rollouts:
        end = start + len(rollout.completion.tokens)
        completion = Completion("", "stop", rollout.completion.tokens, tuple(old[start:end]))
        rollouts.append(Rollout(completion, rollout.reward, rollout.verdict, rollout.advantage))
        start = end
    return RolloutGroup(group.request, rollouts, 0)


def padded(group: RolloutGroup, prompt: Encoded, processor: Processor) -> dict[str, Any]:
    """What TRL's loss step is given: the prompt and its picture once for every sample."""
    config, count = processor.config, len(group.rollouts)
    longest = max(len(rollout.completion.tokens) for rollout in group.rollouts)
    ids = torch.full((count, longest), config.pad_token_id)
    mask, old = torch.zeros_like(ids), torch.zeros(count, longest)
    for row, rollout in enumerate(group.rollouts):
        size = len(rollout.completion.tokens)
        ids[row, :size] = torch.tensor(rollout.completion.tokens)
        mask[row, :size] = 1
        old[row, :size] = torch.tensor(rollout.completion.logprobs)
    prompts = prompt.tokens.expand(count, -1)
    kinds = torch.cat([prompts == config.image_token_id, torch.zeros_like(ids, dtype=torch.bool)], dim=1).int()
    return {
        "prompt_ids": prompts,
        "prompt_mask": torch.ones_like(prompts),
        "completion_ids": ids,
        "completion_mask": mask,
        "advantages": torch.tensor([rollout.advantage for rollout in group.rollouts]),
        "old_per_token_logps": old,
        "pixel_values": torch.cat(prompt.patches * count),
        "image_grid_thw": torch.tensor(prompt.grid_thw * count),
        "num_images": [len(prompt.grid_thw)] * count,
        "mm_token_type_ids": kinds,
        "num_items_in_batch": mask.sum(),
    }


def trl_loss(model: Any, folder: Path) -> Callable[[dict[str, Any]], torch.Tensor] | None:
    """TRL's own loss step, if TRL is installed."""
    try:
        from datasets import Dataset
        from transformers import AutoTokenizer
        from trl import GRPOConfig, GRPOTrainer
    except ImportError as error:
        print(f"TRL is not installed ({error}); the same computation written out takes its place")
        return None
    config = GRPOConfig(
        output_dir=str(folder / "trl"), use_cpu=True, bf16=False, report_to=[], beta=0.0, loss_type="bnpo",
        epsilon=CONFIG.clip_low, epsilon_high=CONFIG.clip_high, num_generations=8, per_device_train_batch_size=8,
        gradient_checkpointing=False, scale_rewards="group",
    )  # fmt: skip
    trainer = GRPOTrainer(
        model=model,
        reward_funcs=lambda completions, **_: [0.0] * len(completions),
        args=config,
        train_dataset=Dataset.from_list([{"prompt": "x"}] * 8),
        processing_class=AutoTokenizer.from_pretrained(folder),
    )
    trainer.current_gradient_accumulation_steps = 1
    trainer.model.train()
    return lambda inputs: trainer._compute_loss(trainer.model, inputs)


def written_out(model: Any, inputs: dict[str, Any]) -> torch.Tensor:
    """The padded computation without TRL."""
    ids = torch.cat([inputs["prompt_ids"], inputs["completion_ids"]], dim=1)
    mask = torch.cat([inputs["prompt_mask"], inputs["completion_mask"]], dim=1)
    size = inputs["completion_ids"].shape[1]
    logits = model(
        input_ids=ids, attention_mask=mask, pixel_values=inputs["pixel_values"],
        image_grid_thw=inputs["image_grid_thw"], mm_token_type_ids=inputs["mm_token_type_ids"],
        logits_to_keep=size + 1, use_cache=False,
    ).logits[:, :-1]  # fmt: skip
    logprobs = logits.log_softmax(-1).gather(-1, inputs["completion_ids"][..., None])[..., 0]
    ratio, advantages = (logprobs - inputs["old_per_token_logps"]).exp(), inputs["advantages"][:, None]
    held = ratio.clamp(1 - CONFIG.clip_low, 1 + CONFIG.clip_high) * advantages
    losses = -torch.minimum(ratio * advantages, held) * inputs["completion_mask"]
    return losses.sum() / inputs["completion_mask"].sum()


def measure(
    model: VisionLanguageModel,
    theirs: Any,
    processor: Processor,
    step: Callable[[dict[str, Any]], torch.Tensor] | None,
    side: int,
    args: argparse.Namespace,
) -> dict[str, Any]:
    """Both sides on a picture of so many pixels a side."""
    group, prompt = group_of(processor, args.samples, args.answer, side)
    group = with_old_logprobs(model, group, prompt)
    inputs = padded(group, prompt, processor)

    def ours() -> torch.Tensor:
        model.zero_grad()
        (pack,) = pack_groups([group], [prompt], model, 10**9)
        terms = policy_terms(model, pack, NOTHING, lambda tokens: clipped_loss(tokens, CONFIG))
        terms.loss.backward()
        return terms.loss.detach()

    def peer() -> torch.Tensor:
        theirs.zero_grad()
        loss = step(inputs) if step else written_out(theirs, inputs)
        loss.backward()
        return loss.detach()

    losses = float(ours()), float(peer())
    gap = abs(losses[0] - losses[1])
    pairs = (("language.embed_tokens", "language_model.embed_tokens"), ("vision.patch_embed", "patch_embed"))
    grads = []
    for mine, other in pairs:
        own = next(p.grad for n, p in model.named_parameters() if n.startswith(mine)).flatten()
        ref = next(p.grad for n, p in theirs.named_parameters() if other in n).flatten()
        grads.append(float((own - ref).norm() / ref.norm()))
    differ = f"gradients differ by {grads[0]:.1e} and {grads[1]:.1e}"
    print(f"picture of {side}: losses {losses[0]:.8f} and {losses[1]:.8f}; {differ}")
    if gap > 1e-5 or max(grads) > 1e-4:
        raise SystemExit("the two sides do not compute the same")
    best = {"mimovl": (1e9, 1e9), "peer": (1e9, 1e9)}
    for _ in range(args.repeats):
        for who, run in (("mimovl", ours), ("peer", peer)):
            clock, cpu = time.perf_counter(), time.process_time()
            run()
            seconds = time.perf_counter() - clock, time.process_time() - cpu
            best[who] = min(best[who][0], seconds[0]), min(best[who][1], seconds[1])
            print(f"{who:>7}: {seconds[0]:.3f} s, {seconds[1]:.3f} CPU seconds")
    return {
        "side": side,
        "prompt_tokens": prompt.num_tokens,
        "answer_tokens": sum(len(rollout.completion.tokens) for rollout in group.rollouts),
        "ratio": round(best["peer"][0] / best["mimovl"][0], 2),
        "ratio_cpu": round(best["peer"][1] / best["mimovl"][1], 2),
        "seconds": round(best["mimovl"][0], 3),
        "peer_seconds": round(best["peer"][0], 3),
        "loss_difference": gap,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", choices=("tiny", "small"), default="tiny")
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--answer", type=int, default=129)
    parser.add_argument("--sides", type=int, nargs="+", default=(448, 896), help="pixels of the picture")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    warnings.simplefilter("ignore")
    from transformers import Qwen2_5_VLForConditionalGeneration

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        processor = Processor.fresh(Processor.load(embedded_base().folder).tokenizer, PRESETS[args.preset])
        model = build_model(processor.config, seed=0).train()
        save_checkpoint(model, folder / "model", side_files=processor.files())
        theirs = Qwen2_5_VLForConditionalGeneration.from_pretrained(folder / "model", dtype=torch.float32).train()
        step = trl_loss(theirs, folder / "model")
        rows = [measure(model, theirs, processor, step, side, args) for side in args.sides]
    result = {
        "benchmark": "grpo_update",
        "peer": "trl" if step else "padded transformers",
        "ratio": rows[-1]["ratio"],
        "rows": rows,
        "preset": args.preset,
        "samples": args.samples,
        "threads": args.threads,
        "torch": torch.__version__,
        "machine": platform.processor() or platform.machine(),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
