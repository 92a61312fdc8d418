"""On a pretended GPU generating, an RL update and training stages never mix devices, and say what the CPU says."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from mimovl.curate.world import WorldConfig
from mimovl.errors import Stopped
from mimovl.generate import Engine
from mimovl.model import VisionLanguageModel, build_model, load_checkpoint
from mimovl.pipeline.attribute_reader import AttributeModel, AttributeProcessor
from mimovl.pipeline.base_reading import _Attributed, learn_to_read
from mimovl.pipeline.base_vision import VOCABULARY, train_vision
from mimovl.pipeline.config import BaseConfig
from mimovl.reward import RewardRouter
from mimovl.rl import RLConfig, pack_groups, policy_terms, train_policy
from mimovl.train import train_stage
from mimovl.train.distributed import joined, own_device
from mimovl.train.fsdp import ShardedSpread
from mimovl.train.parallel_config import ParallelConfig
from mimovl.train.spread import ResumePoint, TeamSpread
from mimovl.types import Completion, Outcome, Request, Sample, SamplingParams, Verdict
from tests import tiny
from tests.pretend_cuda import pretend_cuda, waits
from tests.rl import groups as made

GPU = torch.device("cuda", 0)
NARROW = {"dtype": "bfloat16", "parameter_dtype": "bfloat16", "gradient_dtype": "bfloat16"}


def requests(temperature: float, count: int = 1, **sampling: Any) -> list[Request]:
    settings = SamplingParams(temperature=temperature, max_tokens=8, seed=3, **sampling)
    return [Request(sample, settings, count) for sample in made.prompts()]


def tokens(answers: list[list[Completion]]) -> list[tuple[int, ...]]:
    return [completion.tokens for group in answers for completion in group]


# ---------------------------------------------------------------- the pretended device


def test_it_refuses_what_cuda_refuses() -> None:
    with pretend_cuda():
        here, there = torch.ones(3), torch.ones(3, device=GPU)
        for mixed in (
            lambda: here + there,
            lambda: torch.stack([here, there]),
            lambda: here[torch.tensor([0], device=GPU)],
            lambda: torch.zeros(()).add_(there.sum()),
            lambda: torch.rand(3, device=GPU, generator=torch.Generator()),
            lambda: torch.ones(2, 2, dtype=torch.long, device=GPU) @ torch.ones(2, 2, dtype=torch.long, device=GPU),
        ):
            with pytest.raises(RuntimeError):
                mixed()  # type: ignore[no-untyped-call]
        with pytest.raises(TypeError, match="numpy"):
            there.numpy()


def test_it_allows_what_cuda_allows() -> None:
    with pretend_cuda():
        there = torch.arange(4.0, device=GPU)
        assert (there + torch.ones(()) * 2).tolist() == [2, 3, 4, 5]
        there[torch.tensor([1, 2])] = 7.0
        there[3:] += 1
        assert there.is_cuda and there.cpu().tolist() == there[[0, 1, 2, 3]].tolist() == [0, 7, 7, 4]
        assert type(there.cpu()) is torch.Tensor and there.to(GPU) is there
        assert torch.rand(2, device=GPU, generator=torch.Generator(GPU)).device == GPU


# ---------------------------------------------------------------- generating


def test_an_engine_answers_as_on_the_cpu() -> None:
    expected = Engine(made.sampler(), tiny.processor()).generate(requests(0.0))
    with pretend_cuda():
        assert tokens(Engine(made.sampler().to(GPU), tiny.processor()).generate(requests(0.0))) == tokens(expected)


def test_an_engine_in_bfloat16_samples_stops_and_is_cancelled() -> None:
    with pretend_cuda():
        model = build_model(tiny.config(), seed=0, device=GPU).bfloat16()
        engine = Engine(model, tiny.processor(), slots=6, prefill_tokens=100)
        engine.generate(requests(1.0, 3, top_p=0.8, top_k=20, stop=("a", "e")))
        tickets = [engine.submit(request) for request in requests(0.7, 2)]
        for _ in range(3):
            engine.step()
        for ticket in tickets[::2]:
            engine.cancel(ticket)
        while not engine.idle:
            engine.step()


# ---------------------------------------------------------------- reinforcement learning


def test_the_gradient_of_an_update_is_that_of_the_cpu() -> None:
    groups = made.rolled()
    found = []
    for device in (torch.device("cpu"), GPU):
        with pretend_cuda():
            model = made.policy().to(device)
            (pack,) = pack_groups(groups, made.encoded(groups), model, 100_000)
            policy_terms(model, pack, made.forbidden(model).to(device)).loss.backward()  # type: ignore[no-untyped-call]
            found.append(made.gradients(model).cpu())
    assert float((found[0] - found[1]).norm() / found[0].norm()) < 1e-5


@pytest.mark.parametrize(
    "changes",
    [
        {"parallel": {"dtype": "bfloat16", "parameter_dtype": "bfloat16"}},
        {"parallel": NARROW, "interference": {"method": "measure", "every": 1, "coordinates": 500}},
        {"interference": {"method": "pcgrad"}},
        {"vanilla": {"updates": 2, "kl": 0.1}, "monitors": {"heldout": {"every": 1, "questions": 2}}},
    ],
    ids=["narrow", "measured", "pcgrad", "vanilla"],
)
def test_a_policy_is_trained_and_goes_on_from_its_resume_point(changes: dict[str, Any], tmp_path: Path) -> None:
    rates = {"vision": 1e-3, "projector": 1e-3, "language": 1e-3}
    config = RLConfig.model_validate(
        {
            "tasks": {"counting": 1, "attributes": 1},
            "thinking": {"counting": 0, "attributes": 0},
            "steps": 2,
            "groups": 2,
            "samples": 3,
            "max_tokens": 5,
            "train": list(rates),
            "learning_rate": rates,
            "dynamic_sampling": False,
            "rollout": {"continuous": True, "asynchronous_rewards": True, "early_termination": True, "margin": 1},
            **changes,
        }
    )

    def even(sample: Sample, text: str) -> Verdict:
        return Verdict(float(sum(map(ord, text)) % 2), Outcome.CORRECT)

    def train(stop: bool) -> VisionLanguageModel:
        model = tiny.model(sharp=2).to(GPU, torch.bfloat16 if config.parallel else torch.float32)
        asked = tiny.questions("world/counting", 4) + tiny.questions("world/attributes", 4)
        router = RewardRouter({"counting": even, "attributes": even})
        options: dict[str, Any] = {"router": router, "heldout": asked, "stop_asked": lambda: stop}
        return train_policy(model, tiny.processor(), asked, config, tmp_path, **options)

    with pretend_cuda():
        with pytest.raises(Stopped):
            train(stop=True)
        assert train(stop=False).device == GPU
    assert load_checkpoint(tmp_path / "model").device.type == "cpu"


# ---------------------------------------------------------------- training


@pytest.mark.parametrize("sharded", [False, True], ids=["whole", "narrow"])
def test_a_stage_is_trained_and_goes_on_from_its_resume_point(sharded: bool, tmp_path: Path) -> None:
    """The second is FSDP's arrangement of one process, its dividing left out."""
    stage = tiny.stage(steps=2, packs=2, optimizer={"name": "muon"})
    start = tiny.checkpoint(tmp_path / "start")
    with pretend_cuda(), joined() as team:

        def train(stop: bool) -> VisionLanguageModel:
            options: dict[str, Any] = {"stop_asked": lambda: stop, "device": own_device()}
            if not sharded:
                spread: Any = TeamSpread(team, **options)
                model = load_checkpoint(start)
            else:
                points = ResumePoint(team)
                parallel = ParallelConfig.model_validate({**NARROW, "optimizer_dtype": "bfloat16", "micro_packs": 2})
                spread = ShardedSpread(team, parallel, stage, weights=start, checkpoints=points, **options)
                model = build_model(tiny.config(), device="meta")
            return train_stage(model, tiny.processor(), tiny.mixed(), stage, tmp_path / "out", spread=spread)

        with pytest.raises(Stopped):
            train(stop=True)
        assert train(stop=False).device == GPU


def test_of_a_pack_only_its_losses_are_waited_for(tmp_path: Path) -> None:
    """All else is known on the CPU; gradient norms are read once a step."""
    steps, packs = 2, 3
    stage = tiny.stage(steps=steps, packs=packs)
    reading = tiny.stage(
        **{"steps": steps, "packs": packs, "length": 512, "mixture": {"world/counting": 1}},
        **{"train": ["language", "attributes"], "learning_rate": {"language": 1e-3, "attributes": 1e-3}},
    )
    deeper = replace(tiny.config(), language=replace(tiny.config().language, num_layers=4))
    plain = tiny.processor()
    with pretend_cuda():
        reader = AttributeModel(deeper, VOCABULARY)
        reader.load_state_dict(build_model(deeper, seed=0).state_dict(), strict=False)
        reader.guide_attention(plain.tokenizer, 0.3)
        processor = AttributeProcessor(plain.tokenizer, plain.template, deeper, plain.image, plain.video, reader=reader)
        attributed = _Attributed({"world/counting": 50}, tiny.WORLD, seed=1, thinking_share=0.5, turns=4)
        for name, model, inputs, samples, what in (
            ("plain", tiny.model(), plain, tiny.mixed(), stage),
            ("reading", reader, processor, attributed, reading),
        ):
            waits.clear()
            train_stage(model, inputs, samples, what, tmp_path / name, spread=TeamSpread(device=GPU))
            places = Counter(place.split(":")[0] for place in waits.elements())
            saved = places.pop("model/hf_checkpoint.py")
            assert saved and places.pop("train/optimizer.py") == steps * (1 + len(what.train))
            assert places == {"train/trainer.py": steps * packs, "train/loss.py": steps * packs}


def test_tower_and_reading_of_the_base_are_trained(tmp_path: Path) -> None:
    reading = {"train": ["language", "attributes"], "learning_rate": {"language": 1e-3, "attributes": 1e-3}, "steps": 1}
    base = BaseConfig.model_validate(
        {
            "vision": {"sources": {"world/counting": 1, "world/clip": 1}, "steps": 2, "pictures": 3},
            "language": [{**tiny.stage().model_dump(), "name": "language"}],
            "reading": [
                {
                    "name": name,
                    "mixture": {"world/counting": 1},
                    "packs": 2,
                    "length": 512,
                    **reading,
                }
                for name in ("one", "two")
            ],
        }
    )
    with pretend_cuda():
        (tmp_path / "vision").mkdir()
        train_vision(tiny.model(), base.vision, WorldConfig(), tmp_path / "vision", seed=1)
        deeper = replace(tiny.config(), language=replace(tiny.config().language, num_layers=4))
        start = tiny.checkpoint(tmp_path / "start", build_model(deeper, seed=0))
        learn_to_read(start, base, tiny.WORLD, tmp_path, seed=1)
        assert (tmp_path / "two" / "model" / "config.json").is_file()
