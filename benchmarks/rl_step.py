"""One whole step of reinforcement learning with pictures: ours beside TRL's ``GRPOTrainer`` with ``generate``.

    python benchmarks/rl_step.py [--preset small | --checkpoint DIR] [--prompts 16] [--samples 8] [--threads 2]

A step is everything between two updates: 16 prompts of the embedded world drawn, their pictures decoded and
preprocessed, eight answers sampled to each, rewarded through our ``RewardRouter`` on both sides, and one AdamW update
of every parameter in float32. Ours is ``train_policy`` with its logs, dynamic sampling off, so that both sides update
on equal numbers of rollouts. Theirs is ``GRPOTrainer.train`` on transformers' model and processor of the same
checkpoint: ``bnpo``, one update, so that no old log-probabilities are computed; no KL, no gradient checkpointing; all
128 answers in one call of ``generate``, then backward in micro-batches of ``--micro-batch``. Start-up of a trainer
(loading, building) and its last checkpoint are not timed; every run begins with the checkpoint's parameters.

By default weights are drawn by seed and a set of tokens ends an answer (mean about 60 of at most 384); a reward by the
digits in an answer takes the place of the grader, to which all such answers are equally wrong. With ``--checkpoint``
lengths and rewards are a trained policy's own.

Draws are each side's own, so tokens differ by chance. Compared are generated tokens a second of the whole step: a side
that happened to draw longer answers is not slower for it. Equal lengths could only be had by replacing one side's
sampler. Per token says the same as per step only if both sample the same distribution: the run ends in an error where
mean lengths lie more than five standard errors apart; tokens and lengths are reported.

Correctness first: prompts' token ids are equal and their pixels within 1e-5; greedy tokens are identical; on rollouts
of our policy gradients differ by at most 1e-4 of their norm, both as the step computes them and with old
log-probabilities some way off, where the losses differ by at most 1e-5. Then both sides run in turn, the best of each.
The last line is JSON; ``ratio`` is our tokens a second over theirs by the clock, ``ratio_cpu`` by CPU seconds.
"""

from __future__ import annotations

import argparse
import io
import json
import multiprocessing
import platform
import random
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from grpo_update import CONFIG, NOTHING, padded, with_old_logprobs
from PIL import Image
from rollout_throughput import LONGEST, STOP_SHARE, Referee, build, prompts, same_tokens

from mimovl.data import Encoded, Processor
from mimovl.generate import Engine
from mimovl.model import VisionLanguageModel, load_checkpoint
from mimovl.reward import RewardRouter
from mimovl.rl import RLConfig, clipped_loss, group_advantages, pack_groups, policy_terms, train_policy
from mimovl.rl.algorithm import Algorithm
from mimovl.rl.on_policy import on_policy_loss
from mimovl.train.config import OptimizerConfig
from mimovl.types import Completion, Outcome, Request, Rollout, RolloutGroup, Sample, SamplingParams, Verdict

RATE = 1e-6
BETAS = (0.9, 0.95)
CHECKED = 4
"""Prompts whose greedy answers and rollouts are compared."""


class Lengths(RewardRouter):
    """Our rewards, noting how many tokens each rewarded answer has."""

    def __init__(self, *, digits: Sequence[str]) -> None:
        super().__init__(dict.fromkeys(digits, share_of_digits))
        self.found: list[int] = []

    def start(self, sample: Sample, completion: Completion | str) -> Any:
        """As the router does; every completion passes here."""
        assert isinstance(completion, Completion)
        self.found.append(len(completion.tokens))
        return super().start(sample, completion)


def share_of_digits(sample: Sample, text: str) -> Verdict:
    """A rule by which answers without sense differ."""
    return Verdict(sum(letter.isdigit() for letter in text) / max(1, len(text)), Outcome.WRONG)


class Clock:
    """Seconds by the clock and of the CPU at the beginning of a run's first step and at the end of each."""

    def __init__(self) -> None:
        self.marks: list[tuple[float, float]] = []

    def mark(self) -> None:
        """Note this moment."""
        self.marks.append((time.perf_counter(), time.process_time()))

    def update(self, done: float, total: float, text: str) -> None:
        """Our trainer's progress, told after each step."""
        self.mark()

    def seconds(self, steps: int) -> tuple[float, float]:
        """Of all steps together."""
        if len(self.marks) != steps + 1:
            raise SystemExit(f"{len(self.marks) - 1} steps ended where {steps} were to run")
        (clock, cpu), (last_clock, last_cpu) = self.marks[0], self.marks[-1]
        return last_clock - clock, last_cpu - cpu


def train_ours(
    folder: Path, samples: Sequence[Sample], stop: set[int], router: Lengths, args: argparse.Namespace, seed: int
) -> Clock:
    """``train_policy`` for some steps; timed from the moment it has its engine."""
    model = load_checkpoint(folder)
    processor = Processor.load(folder)
    clock = Clock()

    class Timed(Engine):
        """The trainer's engine, ended by the benchmark's tokens."""

        def __init__(self, *arguments: Any, **settings: Any) -> None:
            super().__init__(*arguments, **settings)
            self.stop_ids = stop
            clock.mark()

    config = RLConfig(
        tasks={sample.task: 1.0 for sample in samples},
        steps=args.steps,
        groups=args.prompts,
        samples=args.samples,
        dynamic_sampling=False,
        max_tokens=args.longest,
        learning_rate={"vision": RATE, "projector": RATE, "language": RATE},
        warmup=0.0,
        optimizer=OptimizerConfig(betas=BETAS, weight_decay=0.0),
        slots=args.slots,
        save_seconds=1e9,
    )
    with tempfile.TemporaryDirectory() as out, patch("mimovl.rl.trainer.Engine", Timed):
        train_policy(model, processor, samples, config, Path(out) / "rl", router=router, seed=seed, progress=clock)
    return clock


def train_apart(
    folder: Path, samples: Sequence[Sample], stop: set[int], digits: Sequence[str], args: argparse.Namespace, seed: int
) -> tuple[list[tuple[float, float]], list[int]]:
    """The marks of the clock, and the lengths of the rewarded answers."""
    torch.set_num_threads(args.threads)
    router = Lengths(digits=digits)
    return train_ours(folder, samples, stop, router, args, seed).marks, router.found


def peer_processor(folder: Path) -> Any:
    """Transformers' processor without its videos, which would need torchvision."""
    from transformers import AutoTokenizer, Qwen2_5_VLProcessor
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
    from transformers.processing_utils import ProcessorMixin

    class PictureProcessor(Qwen2_5_VLProcessor):
        """Sets what the class it derives from sets; a processor's parts are read from this signature."""

        def __init__(self, image_processor: Any = None, tokenizer: Any = None, chat_template: Any = None) -> None:
            self.image_token, self.video_token = "<|image_pad|>", "<|video_pad|>"
            self.image_token_id = tokenizer.convert_tokens_to_ids(self.image_token)
            self.video_token_id = tokenizer.convert_tokens_to_ids(self.video_token)
            ProcessorMixin.__init__(self, image_processor, tokenizer, chat_template=chat_template)

    return PictureProcessor(
        Qwen2VLImageProcessorPil.from_pretrained(folder),
        AutoTokenizer.from_pretrained(folder, padding_side="left", truncation_side="left"),
        chat_template=(folder / "chat_template.jinja").read_text(encoding="utf-8"),
    )


def conversation(sample: Sample) -> list[dict[str, Any]]:
    """A sample's turns as text; TRL puts the picture before the first."""
    return [{"role": message.role, "content": message.text} for message in sample.messages]


def picture(sample: Sample) -> Image.Image:
    (media,) = sample.media.values()
    return Image.open(io.BytesIO(media.data)).convert("RGB")


def build_peer(
    model: Any,
    folder: Path,
    samples: Sequence[Sample],
    stop: set[int],
    router: Lengths,
    args: argparse.Namespace,
    seed: int,
    clock: Clock,
) -> Any:
    """TRL's trainer."""
    from datasets import Dataset, Features, List, Value
    from datasets import Image as Picture
    from transformers import PrinterCallback, TrainerCallback
    from trl import GRPOConfig, GRPOTrainer

    class Marks(TrainerCallback):  # type: ignore[misc]
        """Tells the clock when the first step begins and when each ends."""

        def on_train_begin(self, *arguments: Any, **settings: Any) -> None:
            clock.mark()

        def on_step_end(self, *arguments: Any, **settings: Any) -> None:
            clock.mark()

    def reward(completions: list[Any], completion_ids: list[list[int]], index: list[int], **_: Any) -> list[float]:
        return [
            router.score(
                samples[number],
                Completion(said[0]["content"], "stop" if ids[-1] in stop else "length", tuple(ids)),
            ).score
            for said, ids, number in zip(completions, completion_ids, index, strict=True)
        ]

    visual = list(Processor.load(folder).config.visual_token_ids)
    config = GRPOConfig(
        output_dir=str(args.scratch), use_cpu=True, bf16=False, report_to=[], disable_tqdm=True, seed=seed,
        save_strategy="no", logging_steps=1, max_steps=args.steps, remove_unused_columns=False,
        loss_type="bnpo", beta=0.0, num_iterations=1, scale_rewards="group",
        epsilon=CONFIG.clip_low, epsilon_high=CONFIG.clip_high,
        num_generations=args.samples, per_device_train_batch_size=args.micro_batch,
        gradient_accumulation_steps=args.prompts * args.samples // args.micro_batch, gradient_checkpointing=False,
        max_completion_length=args.longest, temperature=1.0, top_p=1.0, top_k=0,
        generation_kwargs={"suppress_tokens": visual},
        learning_rate=RATE, lr_scheduler_type="constant", adam_beta1=BETAS[0], adam_beta2=BETAS[1],
        weight_decay=0.0, max_grad_norm=1.0,
    )  # fmt: skip
    turn = {"role": Value("string"), "content": Value("string")}
    rows = {
        "prompt": [conversation(sample) for sample in samples],
        "image": [picture(sample) for sample in samples],
        "index": list(range(len(samples))),
    }
    features = Features({"prompt": List(turn), "image": Picture(), "index": Value("int64")})
    model.generation_config.eos_token_id = sorted(stop)
    trainer = GRPOTrainer(
        model=model,
        reward_funcs=reward,
        args=config,
        train_dataset=Dataset.from_dict(rows, features=features),
        processing_class=peer_processor(folder),
        callbacks=[Marks()],
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def check_prompts(processor: Processor, encoded: Sequence[Encoded], peer: Any, samples: Sequence[Sample]) -> None:
    """The same prompts in numbers on both sides."""
    from trl.data_utils import prepare_multimodal_messages

    turns = [prepare_multimodal_messages(conversation(sample), images=[picture(sample)]) for sample in samples]
    theirs = peer.apply_chat_template(turns, add_generation_prompt=True, tokenize=True, return_dict=True)
    if [one.tokens.tolist() for one in encoded] != [list(row) for row in theirs["input_ids"]]:
        raise SystemExit("the two sides' prompts differ in their tokens")
    pixels = torch.as_tensor(theirs["pixel_values"])
    gap = float((pixels - torch.cat([patch for one in encoded for patch in one.patches])).abs().max())
    grids = torch.as_tensor(theirs["image_grid_thw"]).tolist()
    if gap > 1e-5 or grids != [list(thw) for one in encoded for thw in one.grid_thw]:
        raise SystemExit(f"the two sides' pictures differ: pixels by {gap:.1e}")
    print(f"{len(samples)} prompts: the same tokens; pixels differ by at most {gap:.1e}")


def rollouts_of(engine: Engine, samples: Sequence[Sample], args: argparse.Namespace) -> list[RolloutGroup]:
    """Sampled groups, rewarded by chance so that every group teaches something."""
    requests = [
        Request(sample, SamplingParams(temperature=1.0, max_tokens=args.longest, seed=number), args.samples)
        for number, sample in enumerate(samples)
    ]
    rng = random.Random(0)
    groups = []
    for request, completions in zip(requests, engine.generate(requests), strict=True):
        rewards = [rng.random() for _ in completions]
        advantages = group_advantages(rewards)
        rollouts = [
            Rollout(completion, reward, Verdict(reward, Outcome.WRONG), advantage)
            for completion, reward, advantage in zip(completions, rewards, advantages, strict=True)
        ]
        groups.append(RolloutGroup(request, rollouts, 0))
    return groups


def compare_updates(
    model: VisionLanguageModel,
    trainer: Any,
    groups: Sequence[RolloutGroup],
    encoded: Sequence[Encoded],
    processor: Processor,
) -> float:
    """Difference of the clipped losses on the same rollouts; gradients agree to 1e-4.

    TRL normalises over a micro-batch, the report over each group, so here a micro-batch is a group. On policy ours is
    written without the ratio, which is 1: another value with the same gradient, so gradients alone are compared.
    """
    trainer.current_gradient_accumulation_steps = len(groups)
    trainer.model.train()
    model.train()
    off = [with_old_logprobs(model, group, prompt) for group, prompt in zip(groups, encoded, strict=True)]
    cases: tuple[tuple[str, Sequence[RolloutGroup], Algorithm], ...] = (
        ("on policy", groups, on_policy_loss),
        ("off policy", off, lambda tokens: clipped_loss(tokens, CONFIG)),
    )
    gap = 0.0
    for name, chosen, algorithm in cases:
        model.zero_grad()
        trainer.model.zero_grad()
        losses = [0.0, 0.0]
        for pack in pack_groups(chosen, encoded, model, 4096):
            loss = policy_terms(model, pack, NOTHING, algorithm).loss
            loss.backward()
            losses[0] += float(loss.detach())
        for group, prompt in zip(chosen, encoded, strict=True):
            inputs = padded(group, prompt, processor)
            if name == "on policy":
                del inputs["old_per_token_logps"]
            loss = trainer._compute_loss(trainer.model, inputs)
            loss.backward()
            losses[1] += float(loss.detach())
        gradients = []
        for mine, other in (
            ("language.embed_tokens", "language_model.embed_tokens"),
            ("vision.patch_embed", "patch_embed"),
        ):
            own = next(p.grad for n, p in model.named_parameters() if n.startswith(mine)).flatten()
            ref = next(p.grad for n, p in trainer.model.named_parameters() if other in n).flatten()
            gradients.append(float((own - ref).norm() / ref.norm()))
        print(f"{name}: gradients differ by {gradients[0]:.1e} and {gradients[1]:.1e} of their norm")
        if name == "off policy":
            gap = abs(losses[0] - losses[1])
            print(f"{name}: losses {losses[0]:.8f} and {losses[1]:.8f}")
        if not (gap <= 1e-5 and all(one <= 1e-4 for one in gradients)):
            raise SystemExit("the two sides do not compute the same update")
    return gap


def check(folder: Path, samples: Sequence[Sample], stop: set[int], args: argparse.Namespace) -> float:
    """Prompts, greedy answers and updates agree; the difference of the losses."""
    model, processor = load_checkpoint(folder).eval(), Processor.load(folder)
    encoded = [processor.encode_prompt(sample.messages, sample.media, id=sample.id) for sample in samples]
    check_prompts(processor, encoded, peer_processor(folder), samples)
    engine = Engine(model, processor, slots=args.slots)
    engine.stop_ids = stop
    few = list(samples[:CHECKED])
    referee = Referee(folder, processor)
    ours = [list(answers[0].tokens) for answers in engine.generate(few, SamplingParams(max_tokens=24))]
    same_tokens(ours, referee.generate(few, sorted(stop), 24, greedy=True), "transformers.generate")
    groups = rollouts_of(engine, few, args)
    trainer = build_peer(referee.model, folder, samples, stop, Lengths(digits=()), args, 0, Clock())
    return compare_updates(model, trainer, groups, encoded[: len(few)], processor)


def check_lengths(lengths: dict[str, list[int]]) -> None:
    """Both sides sample the same distribution, as far as mean lengths tell."""
    ours, theirs = lengths.values()
    error = (statistics.variance(ours) / len(ours) + statistics.variance(theirs) / len(theirs)) ** 0.5
    apart = abs(statistics.mean(ours) - statistics.mean(theirs))
    if apart > 5 * error:
        raise SystemExit(
            f"answers are {statistics.mean(ours):.1f} and {statistics.mean(theirs):.1f} tokens long, "
            f"{apart / error:.1f} standard errors apart: the two sides do not sample alike"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", choices=("tiny", "small"), default="small")
    parser.add_argument("--checkpoint", type=Path, help="folder of a trained model, in the place of the preset")
    parser.add_argument("--prompts", type=int, default=16)
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--longest", type=int, default=LONGEST)
    parser.add_argument("--micro-batch", type=int, default=16, help="rollouts of one backward on TRL's side")
    parser.add_argument("--slots", type=int, default=128)
    parser.add_argument("--steps", type=int, default=1, help="steps of a run")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each side")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    if args.prompts * args.samples % args.micro_batch:
        parser.error(f"{args.prompts} × {args.samples} rollouts do not divide into micro-batches of {args.micro_batch}")
    torch.set_num_threads(args.threads)
    warnings.simplefilter("ignore")
    try:
        import trl  # noqa: F401
        from transformers import Qwen2_5_VLForConditionalGeneration
        from transformers.utils.logging import disable_progress_bar
    except ImportError as error:
        raise SystemExit(f"the peer is not installed ({error}); pip install 'mimovl[benchmarks]'") from None

    disable_progress_bar()
    samples = prompts(args.prompts, pictures=True)
    with tempfile.TemporaryDirectory() as name:
        args.scratch = Path(name) / "trl"  # never in the checkpoint's own folder
        folder = args.checkpoint or Path(name) / "model"
        if not args.checkpoint:
            build(args.preset, folder)
        processor = Processor.load(folder)
        stop = {processor.tokenizer.im_end, processor.tokenizer.end_of_text}
        if not args.checkpoint:
            stop.update(range(0, processor.config.language.vocab_size, round(1 / STOP_SHARE)))
        digits = () if args.checkpoint else tuple({sample.task for sample in samples})
        gap = check(folder, samples, stop, args)

        def ours(router: Lengths, repeat: int) -> Clock:
            # In a process of its own: the trainer has the C library keep freed memory, from which the peer would gain.
            clock = Clock()
            with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
                job = pool.submit(train_apart, folder, samples, stop, digits, args, repeat)
                clock.marks, router.found = job.result()
            return clock

        def peer(router: Lengths, repeat: int) -> Clock:
            model = Qwen2_5_VLForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
            clock = Clock()
            build_peer(model, folder, samples, stop, router, args, repeat, clock).train()
            return clock

        sides: dict[str, Callable[[Lengths, int], Clock]] = {"mimovl": ours, "trl": peer}
        best = dict.fromkeys(sides, (0.0, 0.0))
        step_seconds = dict.fromkeys(sides, 1e9)
        lengths: dict[str, list[int]] = {side: [] for side in sides}
        for repeat in range(args.repeats):
            for side, run in sides.items():
                router = Lengths(digits=digits)
                seconds = run(router, repeat).seconds(args.steps)
                if len(router.found) != args.steps * args.prompts * args.samples:
                    raise SystemExit(
                        f"{side} rewarded {len(router.found)} rollouts in {args.steps} steps of "
                        f"{args.prompts} × {args.samples}"
                    )
                tokens = sum(router.found)
                speeds = tokens / seconds[0], tokens / seconds[1]
                best[side] = max(best[side][0], speeds[0]), max(best[side][1], speeds[1])
                step_seconds[side] = min(step_seconds[side], seconds[0] / args.steps)
                lengths[side] += router.found
                print(
                    f"{side:>7}: {seconds[0] / args.steps:8.2f} s a step, {tokens:6} tokens, the longest "
                    f"{max(router.found)}; {speeds[0]:8.1f} a second, {speeds[1]:8.1f} a CPU second"
                )
        check_lengths(lengths)
    result = {
        "benchmark": "rl_step",
        "peer": "trl",
        "ratio": round(best["mimovl"][0] / best["trl"][0], 2),
        "ratio_cpu": round(best["mimovl"][1] / best["trl"][1], 2),
        "tokens_per_second": {side: round(speeds[0], 1) for side, speeds in best.items()},
        "seconds_per_step": {side: round(seconds, 2) for side, seconds in step_seconds.items()},
        "tokens": {side: sum(found) for side, found in lengths.items()},
        "mean_length": {side: round(statistics.mean(found), 1) for side, found in lengths.items()},
        "loss_difference": gap,
        "model": "a checkpoint" if args.checkpoint else args.preset,
        "prompts": args.prompts,
        "samples": args.samples,
        "longest": args.longest,
        "micro_batch": args.micro_batch,
        "threads": args.threads,
        "torch": torch.__version__,
        "machine": platform.processor() or platform.machine(),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    sys.exit(main())
