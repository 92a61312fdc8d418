"""The whole of mimovl in one sitting. Read it from top to bottom, or run it: about a minute on two CPU cores.

    python examples/walkthrough.py [FOLDER]

It tells the story of MiMo-VL (arXiv 2506.03569) with the real parts, only small: a drawn world for the web, 3 million
parameters for 7 billion, 60 steps for months. Each chapter names its section of the paper and the file to read next.
A whole run, with all four stages, is ``mimovl run recipes/tiny.yaml --out runs/tiny``.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
from pathlib import Path

import torch

from mimovl.curate.phash import phash64, remove_heldout_matches
from mimovl.curate.world import WorldConfig, build_item, to_questions, to_training_sample
from mimovl.data import Mixture, PackedLoader, Processor, indices_by_source
from mimovl.evaluate import evaluate
from mimovl.generate import Engine
from mimovl.model import build_model, load_checkpoint, save_checkpoint
from mimovl.pipeline.assets import embedded_base
from mimovl.reward import RewardRouter
from mimovl.rl import group_advantages, is_informative, pack_groups, policy_terms
from mimovl.train import Optimizer, OptimizerConfig, StageConfig, set_trainable, train_stage
from mimovl.types import Request, Rollout, RolloutGroup, Sample, SamplingParams
from mimovl.verify import grade

SOURCES = {"world/attributes": 160, "world/grounding": 160, "world/arithmetic": 40}
"""What is drawn, and how many of each: colours and places, boxes, sums."""


class Samples(list[Sample]):
    """A dataset in memory. On disk it is a folder: parquet for the records, tar for the pictures (``store.py``)."""

    @property
    def sources(self) -> list[str]:
        """Where each sample came from; mixtures weigh by it."""
        return [sample.source for sample in self]


def chapter(title: str, where: str) -> None:
    """Begin a chapter aloud."""
    print(f"\n{title}\n{'─' * len(title)}   {where}")


def main(folder: Path) -> dict[str, float]:
    """Everything, in order; returns the figures of the story."""
    figures: dict[str, float] = {}
    torch.manual_seed(0)

    chapter("1. Data", "P §2.2 → src/mimovl/curate/world/, curate/phash.py")
    # An item is a picture with questions whose answers are known exactly. Train and held-out never share a scene.
    world, rng = WorldConfig(), random.Random(0)
    drawn = [(source, number) for source, count in SOURCES.items() for number in range(count)]
    train = [build_item(source, seed=0, index=number, split="train", config=world) for source, number in drawn]
    heldout = [build_item(source, seed=0, index=number, split="heldout", config=world) for source, number in drawn[::8]]
    train.append(heldout[0])  # as happens to whoever collects data: a test picture has slipped in
    ours, theirs = ([(item.id, phash64(item.image)) for item in part if item.image] for part in (train, heldout))
    removed = remove_heldout_matches(ours, [phash for _, phash in theirs]).removed
    print(f"{len(train)} items drawn; dropped: {removed[-1]}, because its picture looks like a held-out one")
    # One item becomes one conversation: its questions in random order, some answered with thought, some /no_think.
    kept = [item for item in train if item.id not in removed]
    samples = Samples(to_training_sample(item, rng=rng, thinking_share=0.2, max_turns=6) for item in kept)
    shown = next(sample for sample in samples if sample.language == "en")
    for message in shown.messages[:2]:
        print(f"{message.role:>10}: {[part.text if part.type == 'text' else part.type for part in message.content]}")
    figures |= {"samples": len(samples), "dropped": len(removed)}

    chapter("2. The model", "P §2.1, appendix B → src/mimovl/model/vlm.py, decoder.py, vision_encoder.py")
    # A vision tower and a language model that were each trained alone; the projector between them is new.
    base = embedded_base().folder
    model, processor = load_checkpoint(base), Processor.load(base)
    model.projector.load_state_dict(build_model(model.config, seed=0).projector.state_dict())
    print("parameters:", ", ".join(f"{part} {count:,}" for part, count in model.num_parameters().items()))

    chapter("3. Packing", "P table 1 → src/mimovl/data/loader.py, packing.py")
    # Samples of any length and pictures of any size lie end to end: no padding, and nobody sees their neighbour.
    mixture = {"world/attributes": 2.0, "world/grounding": 2.0, "world/arithmetic": 0.5}
    draws = Mixture(indices_by_source(samples.sources), mixture, seed=0)
    batch, state = next(iter(PackedLoader(samples.__getitem__, draws, processor, 1024, ahead=0)))
    lengths = batch.cu_seqlens.diff().tolist()
    print(f"a pack of 1,024 tokens: {len(lengths)} samples of {lengths} tokens = {batch.num_tokens}")
    print(f"with {len(batch.grid_thw)} pictures; a resumed loader would go on with draw {state.next_draw}")
    figures["density"] = batch.num_tokens / 1024

    chapter("4. Training", "P table 1 → src/mimovl/train/trainer.py")
    # First the projector alone learns to translate, then everything learns. The paper has four stages; this is 1 and 3.
    common = {"mixture": mixture, "length": 1024, "optimizer": {"name": "muon"}}
    everything = {"vision": 5e-4, "projector": 3e-3, "language": 2e-3}
    for name, steps, rates in (("1-projector", 25, {"projector": 2e-2}), ("2-general", 35, everything)):
        settings = {"name": name, "train": list(rates), "learning_rate": rates, "steps": steps, **common}
        train_stage(model, processor, samples, StageConfig.model_validate(settings), folder / name, seed=0)
        # metrics.jsonl has a line a step: loss by source, gradient norm by part, speed, utilisation, waiting for data.
        lines = [json.loads(line) for line in (folder / name / "metrics.jsonl").read_text("utf-8").splitlines()]
        first, last = (sum(line["loss"] for line in part) / 5 for part in (lines[:5], lines[-5:]))
        print(f"{name:12} trains {', '.join(rates)}: loss {first:.2f} → {last:.2f}, MFU {lines[-1]['mfu']:.0%}")
        figures |= {f"{name}: first": first, f"{name}: last": last}

    chapter("5. Grading", "P §3.1 → src/mimovl/verify/ (pure functions), reward/router.py")
    # The same functions reward rollouts and score evaluations. Each says what it read, and which rule decided.
    number = "number", "<think>…</think> So it is \\boxed{3/4}.", 0.75
    box = "box", '[{"bbox_2d": [10, 10, 50, 50]}]', [12, 10, 50, 52]
    for kind, said, gold in (number, box, ("count", "I am not sure.", 3)):
        verdict = grade(kind, said, gold)
        print(f"{kind:>6} {said!r} against {gold}: {verdict.score:.2f} {verdict.outcome}, read as {verdict.answer!r}")

    chapter("6. Reinforcement learning", "P §3.3, equations 1 and 2 → src/mimovl/rl/trainer.py, generate/engine.py")
    # A group of answers to each question, drawn by the very parameters that will learn from them.
    questions = [to_questions(item)[0] for item in kept if item.source == "world/grounding"][:8]
    engine, router = Engine(model, processor, slots=64), RewardRouter()
    hot = SamplingParams(temperature=1.0, max_tokens=48, seed=0)
    requests = [Request(question, hot, num_samples=8, thinking=False) for question in questions]
    groups = []
    for request, completions in zip(requests, engine.generate(requests), strict=True):
        verdicts = [router.score(request.sample, completion) for completion in completions]
        rewards = [verdict.score for verdict in verdicts]
        parts = zip(completions, rewards, verdicts, group_advantages(rewards), strict=True)
        if is_informative(rewards):  # all alike would teach nothing
            groups.append(RolloutGroup(request, [Rollout(*part) for part in parts], policy_version=0))
    best = max(groups[0].rollouts, key=lambda rollout: rollout.reward)
    asked = [group.request.sample for group in groups]
    print(f"{asked[0].messages[-1].text!r}: best of 8 {best.completion.text!r}, reward {best.reward:.2f}")
    # One update: raise the probability of what did better than its group. No KL, no clip, no second model.
    set_trainable(model, everything)
    optimizer = Optimizer(dict(model.named_children()), dict.fromkeys(everything, 1e-4), OptimizerConfig())
    prompts = [processor.encode_prompt(one.messages, one.media, thinking=False) for one in asked]
    (pack,) = pack_groups(groups, prompts, model, 100_000)
    before = policy_terms(model, pack, engine.forbidden)
    before.loss.backward()
    optimizer.step()
    with torch.no_grad():
        after = policy_terms(model, pack, engine.forbidden)
    figures["gap"] = before.logprob_gap / before.num_tokens
    figures |= {f"objective {when}": -float(one.loss.detach()) for when, one in (("before", before), ("after", after))}
    print(f"sampling and training log-probabilities differ by {figures['gap']:.1e} a token: truly on-policy")
    print("one update takes Σ A·log π from {objective before:.4f} to {objective after:.4f}".format_map(figures))

    chapter("7. Evaluation", "P §4 → src/mimovl/evaluate/runner.py, statistics.py")
    # Held-out scenes only. A minute of training answers little; `make demo` trains for ten and answers most.
    unseen = [question for item in heldout for question in to_questions(item)[:1]]
    for task, score in evaluate(engine, unseen, None, folder / "scores", modes=["no_think"]).items():
        low, high = score["interval"]
        print(f"{task:16}{score['score']:.2f}  95 % interval [{low:.2f}, {high:.2f}]  n={score['n']}")

    chapter("8. Out into the world", "→ src/mimovl/model/hf_checkpoint.py")
    # A checkpoint is a Hugging Face Qwen2.5-VL folder: transformers, vLLM and llama.cpp's converter read it as it is.
    save_checkpoint(model, folder / "model", side_files=processor.files())
    again = load_checkpoint(folder / "model")
    with torch.no_grad():
        same = torch.equal(model.eval().logits(model(batch)), again.eval().logits(again(batch)))
    print(f"{folder / 'model'}: read back, its logits are {'the same to the bit' if same else 'NOT the same'}")
    return figures | {"same": float(same)}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        main(Path(sys.argv[1] if len(sys.argv) > 1 else temporary))
