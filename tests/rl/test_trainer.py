from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import pytest
import torch

from mimovl.data import Processor
from mimovl.errors import CheckpointError, DataError, TrainingError, UsageError
from mimovl.generate import Engine
from mimovl.model import VisionLanguageModel, load_checkpoint
from mimovl.reward import RewardRouter
from mimovl.rl import RLConfig, train_policy
from mimovl.rl import trainer as rl_trainer
from mimovl.team import ALONE, run_team
from mimovl.train import Optimizer
from mimovl.types import Gold, Outcome, Sample, Verdict
from tests import tiny
from tests.data import small
from tests.interrupt import Interrupt, Plug

FIELDS = {
    *("step", "steps", "reward", "reward_by_task", "length_by_task", "groups_sampled", "groups_kept", "kept_by_task"),
    "logprob_gap",
    *("entropy", "grad_norm", "loss", "tokens_per_second", "seconds", "seconds_generate", "seconds_update"),
    *("skipped", "seconds_monitors", "groups_started", "idle", "empty_slots", "waste", "truncated", "dropped"),
}
TIMES = {
    *("tokens_per_second", "seconds", "seconds_generate", "seconds_update", "seconds_monitors"),
    *("groups_started", "idle", "empty_slots", "waste"),
}


def config(**changes: object) -> RLConfig:
    values: dict[str, object] = {
        "tasks": {"counting": 1.0},
        "thinking": {"counting": 0.0},
        "steps": 4,
        "groups": 4,
        "samples": 6,
        "max_tokens": 10,
        "train": ["language"],
        "learning_rate": {"language": 3e-3},
        **changes,
    }
    return RLConfig.model_validate(values)


def is_three(sample: Sample, text: str) -> Verdict:
    """The toy task: say 3, whatever was asked."""
    right = text.endswith("3")
    return Verdict(float(right), Outcome.CORRECT if right else Outcome.WRONG, text[-1:], "ends in 3")


TOY = RewardRouter({"counting": is_three})


@pytest.fixture(scope="module")
def prompts() -> list[Sample]:
    return tiny.questions("world/counting", 8)


@pytest.fixture
def improve(tiny_trained: Path, prompts):
    """Run reinforcement learning from the trained checkpoint."""

    def run(out: Path, *, router=TOY, progress=None, asked=None, heldout=(), seed=0, **changes) -> VisionLanguageModel:
        return train_policy(
            load_checkpoint(tiny_trained),
            Processor.load(tiny_trained),
            asked or prompts,
            config(**changes),
            out,
            router=router,
            heldout=heldout,
            seed=seed,
            progress=progress,
        )

    return run


def lines(out: Path, name: str = "metrics.jsonl") -> list[dict]:
    return [json.loads(line) for line in (out / name).read_bytes().split(b"\n")[:-1]]


def figures(out: Path) -> list[dict]:
    return [{name: value for name, value in line.items() if name not in TIMES} for line in lines(out)]


def equal(one: VisionLanguageModel, two: VisionLanguageModel) -> bool:
    return all(torch.equal(value, two.state_dict()[name]) for name, value in one.state_dict().items())


# ---------------------------------------------------------------- learning


def test_the_reward_of_a_toy_task_rises(improve, tmp_path) -> None:
    improve(tmp_path, steps=10)
    rewards = [line["reward"] for line in lines(tmp_path)]
    assert sum(rewards[-2:]) / 2 > sum(rewards[:2]) / 2 + 0.3


def test_pictures_are_read_by_the_gradient_too(improve, tiny_trained, tmp_path) -> None:
    """All three parts learn when all three are trained, and only those that are."""
    before = load_checkpoint(tiny_trained).state_dict()
    rates = {"vision": 1e-3, "projector": 1e-3, "language": 1e-3}
    everything = improve(tmp_path / "all", steps=1, train=list(rates), learning_rate=rates)
    language = improve(tmp_path / "language", steps=1)
    for model, parts in ((everything, {*rates}), (language, {"language"})):
        for part in rates:
            changed = [
                not torch.equal(value, before[name])
                for name, value in model.state_dict().items()
                if name.startswith(part) and value.ndim == 2
            ]
            assert all(changed) if part in parts else not any(changed)


def test_prompts_without_pictures_teach_a_frozen_language_model_nothing(improve, tiny_trained, tmp_path) -> None:
    plain = [
        Sample(f"t{n}", (small.user(f"How many circles? {n}"),), task="counting", gold=Gold("count", 3))
        for n in range(4)
    ]
    rates = {"projector": 1e-2}
    model = improve(tmp_path, asked=plain, steps=1, train=["projector"], learning_rate=rates, dynamic_sampling=False)
    assert equal(model, load_checkpoint(tiny_trained))


def test_every_update_is_one_step_on_rollouts_of_the_very_parameters_it_changes(improve, tmp_path, monkeypatch) -> None:
    events: list[tuple[str, float]] = []
    model: list[VisionLanguageModel] = []
    submit, step = Engine.submit, Optimizer.step

    def spied_submit(self, request):
        model[:] = [self.model]
        events.append(("generate", _checksum(self.model)))
        return submit(self, request)

    def spied_step(self, factor=1.0):
        events.append(("step", _checksum(model[0])))
        return step(self, factor)

    monkeypatch.setattr(Engine, "submit", spied_submit)
    monkeypatch.setattr(Optimizer, "step", spied_step)
    improve(tmp_path, steps=3)
    updates = [place for place, (kind, _) in enumerate(events) if kind == "step"]
    assert len(updates) == 3
    for start, end in zip([-1, *updates[:-1]], updates, strict=True):
        rounds = events[start + 1 : end]
        assert rounds and {kind for kind, _ in rounds} == {"generate"}
        assert {total for _, total in rounds} == {events[end][1]}
    assert len({events[place][1] for place in updates}) == 3
    assert all(line["logprob_gap"] < 1e-5 for line in lines(tmp_path))


def _checksum(model: VisionLanguageModel) -> float:
    return sum(parameter.detach().double().abs().sum().item() for parameter in model.parameters())


def test_the_gap_tells_when_rollouts_are_not_of_the_parameters(improve, tmp_path, monkeypatch) -> None:
    """The check of on-policy training would notice: parameters are changed behind the engine's back."""
    update = rl_trainer.update_policy

    def late(engine, *arguments, **options):
        with torch.no_grad():
            engine.model.language.norm.weight.mul_(1.02)
        return update(engine, *arguments, **options)

    monkeypatch.setattr(rl_trainer, "update_policy", late)
    improve(tmp_path, steps=1)
    assert lines(tmp_path)[0]["logprob_gap"] > 1e-4


# ---------------------------------------------------------------- dynamic sampling


def test_dynamic_sampling_keeps_exactly_the_informative_groups(improve, tmp_path, monkeypatch) -> None:
    seen: list[tuple[list, list]] = []
    collect = rl_trainer._collect

    def spy(*arguments):
        batch = collect(*arguments)
        seen.append((batch.kept, batch.sampled))
        return batch

    monkeypatch.setattr(rl_trainer, "_collect", spy)
    improve(tmp_path, steps=3, groups=5, samples=4, max_rounds=2)
    for line, (kept, sampled) in zip(lines(tmp_path), seen, strict=True):
        mixed = [group for group in sampled if len({rollout.reward for rollout in group.rollouts}) > 1]
        assert kept == mixed[:5]
        assert (line["groups_sampled"], line["groups_kept"]) == (len(sampled), len(kept))
        assert all(group.policy_version == line["step"] - 1 for group in sampled)
        # Shares of all that was sampled, not of what was kept.
        rewards = [rollout.reward for group in sampled for rollout in group.rollouts]
        assert line["reward"] == pytest.approx(sum(rewards) / len(rewards))
    assert any(len(kept) < len(sampled) for kept, sampled in seen)


def test_rewards_that_differ_by_less_than_the_least_spread_are_drawn_again(improve, tmp_path, monkeypatch) -> None:
    """A reward that differs by a little from text to text, and by a lot where an answer was cut off."""
    nearly = RewardRouter({"counting": lambda sample, text: Verdict(1 - len(text) % 7 / 50, Outcome.CORRECT)})
    seen: list[tuple[list, list]] = []
    collect = rl_trainer._collect

    def spy(*arguments):
        batch = collect(*arguments)
        seen.append((batch.kept, batch.sampled))
        return batch

    monkeypatch.setattr(rl_trainer, "_collect", spy)
    improve(tmp_path, router=nearly, steps=3, groups=5, samples=2, min_spread=0.2)

    def spread(group) -> float:
        rewards = [rollout.reward for rollout in group.rollouts]
        return max(rewards) - min(rewards)

    for kept, sampled in seen:
        assert kept == [group for group in sampled if spread(group) > 0.2][:5]
    assert any(0 < spread(group) <= 0.2 for _, sampled in seen for group in sampled)


def test_without_it_every_group_sampled_is_used(improve, tmp_path) -> None:
    improve(tmp_path, steps=2, samples=2, dynamic_sampling=False)
    assert [(line["groups_sampled"], line["groups_kept"]) for line in lines(tmp_path)] == [(4, 4), (4, 4)]


def test_rewards_that_never_differ_are_one_clear_error(improve, tmp_path) -> None:
    flat = RewardRouter({"counting": lambda sample, text: Verdict(0.5, Outcome.WRONG)})
    with pytest.raises(
        DataError,
        match=r"\d+ prompts in 2 rounds all earned one reward .* min_spread \(0.001\) apart.* check the rewards",
    ):
        improve(tmp_path, router=flat, max_rounds=2)
    assert not (tmp_path / "done.json").exists()


# ---------------------------------------------------------------- vanilla GRPO, and easy prompts


def test_vanilla_grpo_learns_the_toy_task_in_several_updates_a_batch(improve, tmp_path) -> None:
    improve(tmp_path, steps=6, vanilla={"updates": 2, "kl": 0.01})
    rewards = [line["reward"] for line in lines(tmp_path)]
    assert sum(rewards[-2:]) / 2 > sum(rewards[:2]) / 2 + 0.2
    for line in lines(tmp_path):
        assert set(line) == FIELDS | {"clipped", "kl"} and line["logprob_gap"] < 1e-5
    assert lines(tmp_path)[-1]["kl"] > lines(tmp_path)[0]["kl"] >= 0


def test_vanilla_grpo_resumed_measures_its_distance_from_the_same_reference(improve, tmp_path) -> None:
    settings = {"vanilla": {"updates": 2, "kl": 0.1}}
    whole = improve(tmp_path / "whole", **settings)
    with pytest.raises(Interrupt):
        improve(tmp_path / "part", progress=Plug(2), save_seconds=1e-9, **settings)
    assert equal(improve(tmp_path / "part", **settings), whole)
    assert figures(tmp_path / "part") == figures(tmp_path / "whole")


def test_always_solved_prompts_are_asked_by_their_share_only_and_a_resumed_run_knows_them(
    improve, prompts, tmp_path
) -> None:
    solved = {prompts[0].id, prompts[1].id}

    def reward(sample: Sample, text: str) -> Verdict:
        return Verdict(1.0, Outcome.CORRECT) if sample.id in solved else is_three(sample, text)

    asked: list[str] = []

    def spied(sample: Sample, text: str) -> Verdict:
        asked.append(sample.id)
        return reward(sample, text)

    options = {"router": RewardRouter({"counting": spied}), "steps": 5, "groups": 3}
    improve(tmp_path / "off", **options)
    before = sum(name in solved for name in asked) / len(asked)
    asked.clear()
    improve(tmp_path / "on", easy_share=0.02, **options)
    assert sum(name in solved for name in asked) / len(asked) < before / 2
    with pytest.raises(Interrupt):
        improve(tmp_path / "part", easy_share=0.02, progress=Plug(3), save_seconds=1e-9, **options)
    improve(tmp_path / "part", easy_share=0.02, **options)
    assert figures(tmp_path / "part") == figures(tmp_path / "on")


# ---------------------------------------------------------------- what is written


def test_metrics_rollouts_checkpoint_and_done_are_those_of_the_run_directory(improve, prompts, tmp_path) -> None:
    model = improve(tmp_path, steps=2, logged_groups=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *("done.json", "metrics.jsonl", "model", "rollouts.jsonl")
    ]
    for number, line in enumerate(lines(tmp_path), start=1):
        assert set(line) == FIELDS and (line["step"], line["steps"]) == (number, 2)
        assert set(line["reward_by_task"]) == set(line["length_by_task"]) == {"counting"}
        assert line["reward_by_task"]["counting"] == pytest.approx(line["reward"])
        assert 1 <= line["length_by_task"]["counting"] <= 10 and line["entropy"] > 0
    by_id = {sample.id: sample for sample in prompts}
    written = lines(tmp_path, "rollouts.jsonl")
    assert [line["step"] for line in written] == [1, 1, 2, 2]
    for line in written:
        assert set(line) == {"step", "task", "sample_id", "prompt", "media", "gold", "completions"}
        sample = by_id[line["sample_id"]]
        assert line["prompt"] == sample.messages[-1].text + " /no_think"
        assert line["media"] == list(sample.media) and line["task"] == "counting"
        assert line["gold"] == {"kind": "count", "answer": sample.gold.answer, "options": dict(sample.gold.options)}
        assert len(line["completions"]) == 6
        for completion in line["completions"]:
            assert set(completion) == {"text", "reward", "advantage", "outcome"}
            right = completion["outcome"] == "CORRECT"
            assert right == (completion["reward"] == 1) and (completion["advantage"] <= 0 or right)
            assert completion["text"].endswith("3") or not right
    done = json.loads((tmp_path / "done.json").read_text())
    assert set(done) == {"steps", "prompts", "seconds", "trained", "learning_rate", "length", "skipped"}
    assert (done["steps"], done["trained"], done["learning_rate"]) == (2, ["language"], {"language": 3e-3})
    assert equal(load_checkpoint(tmp_path / "model"), model)
    assert Processor.load(tmp_path / "model").template.source == tiny.processor().template.source


def test_a_reward_of_ones_own_needs_no_gold(improve, prompts, tmp_path) -> None:
    bare = [Sample(sample.id, sample.messages, sample.media, "free") for sample in prompts]
    improve(
        tmp_path,
        asked=bare,
        router=RewardRouter({"free": is_three}),
        steps=1,
        tasks={"free": 1},
        thinking={"free": 0},
    )
    assert {line["gold"] for line in lines(tmp_path, "rollouts.jsonl")} == {None}


def test_without_gold_and_without_a_reward_of_ones_own_the_sample_is_named(improve, prompts, tmp_path) -> None:
    bare = [Sample("lost", prompts[0].messages, prompts[0].media, "counting")]
    with pytest.raises(DataError, match="sample 'lost' of task 'counting' has no gold"):
        improve(tmp_path, asked=bare, router=None)


def test_the_default_rewards_are_the_graders(improve, tmp_path) -> None:
    improve(tmp_path, router=None, steps=1, dynamic_sampling=False)
    for line in lines(tmp_path, "rollouts.jsonl"):
        for completion in line["completions"]:
            right = completion["text"].endswith(f"</think>\n\n{line['gold']['answer']}")
            cut = completion["outcome"] == "TRUNCATED"
            assert completion["reward"] == float(right and not cut), completion


# ---------------------------------------------------------------- monitors


BLANKED = {"blanked": {"share": 1.0, "least": 8}, "heldout": {"every": 2, "questions": 3}, "window": 1}


def test_monitors_change_nothing_of_what_is_learned(improve, whole, tmp_path) -> None:
    """Whatever they ask besides: same weights, rewards and rollouts to the bit as without them."""
    for name, monitors in (("all", BLANKED), ("none", {"enabled": False})):
        model = improve(tmp_path / name, monitors=monitors, heldout=tiny.questions("world/counting", 12)[8:])
        assert equal(model, whole[0]), name
        assert lines(tmp_path / name, "rollouts.jsonl") == lines(whole[1], "rollouts.jsonl")
    without, watched = lines(tmp_path / "none"), lines(tmp_path / "all")
    assert {field for line in without for field in line} == FIELDS - {"seconds_monitors"}
    assert [field in line for line in watched for field in ("heldout_reward",)] == [True, False, True, False]
    assert all(0 <= line["blanked_same_by_task"]["counting"] <= 1 for line in watched)
    assert not (tmp_path / "none" / "alerts.jsonl").exists()


def test_a_toy_reward_for_whatever_picture_is_found_out_by_the_blanked_prompts(improve, tmp_path) -> None:
    """The toy task pays for a word, whatever is shown: that is what the policy learns, and what is said about it."""
    improve(tmp_path, steps=6, monitors=BLANKED)
    alerts = [alert for line in lines(tmp_path) for alert in line.get("alerts", ())]
    assert "blanked" in {alert["monitor"] for alert in alerts}
    written = [line for line in lines(tmp_path, "alerts.jsonl") if line["monitor"] == "blanked"]
    assert written[0]["groups"] and written[0]["groups"][0]["media"]


def test_monitors_resumed_say_what_they_would_have_said(improve, tmp_path) -> None:
    improve(tmp_path / "whole", steps=6, monitors=BLANKED)
    with pytest.raises(Interrupt):
        improve(tmp_path / "part", steps=6, monitors=BLANKED, progress=Plug(4), save_seconds=1e-9)
    improve(tmp_path / "part", steps=6, monitors=BLANKED)
    assert figures(tmp_path / "part") == figures(tmp_path / "whole")
    assert (tmp_path / "part" / "alerts.jsonl").exists() == (tmp_path / "whole" / "alerts.jsonl").exists()


# ---------------------------------------------------------------- tasks beside each other


def test_a_task_with_a_budget_writes_no_more_than_it_and_the_others_as_much_as_all(improve, prompts, tmp_path) -> None:
    asked = [*prompts, *tiny.questions("world/arithmetic", 4)]
    changes = {"tasks": {"counting": 1, "arithmetic": 1}, "thinking": {}, "groups": 8, "logged_groups": 20}
    improve(tmp_path, asked=asked, router=None, steps=1, dynamic_sampling=False, budgets={"counting": 3}, **changes)
    [line] = lines(tmp_path)
    assert line["length_by_task"]["counting"] <= 3 < line["length_by_task"]["arithmetic"] <= 10
    assert set(line["kept_by_task"]) == {"counting", "arithmetic"}


@pytest.mark.parametrize("scale", ["none", "task", "quantile"])
def test_other_scales_learn_the_toy_task_too_and_go_on_after_a_kill(scale, improve, tmp_path) -> None:
    model = improve(tmp_path / "whole", steps=6, scale=scale)
    rewards = [line["reward"] for line in lines(tmp_path / "whole")]
    assert sum(rewards[-2:]) / 2 > sum(rewards[:2]) / 2 + 0.2
    with pytest.raises(Interrupt):
        improve(tmp_path / "part", steps=6, scale=scale, progress=Plug(3), save_seconds=1e-9)
    assert equal(improve(tmp_path / "part", steps=6, scale=scale), model)


def test_gradients_of_the_tasks_are_measured_at_their_updates(improve, prompts, tmp_path) -> None:
    asked = [*prompts, *tiny.questions("world/arithmetic", 4)]
    both = RewardRouter({"counting": is_three, "arithmetic": is_three})
    changes = {"tasks": {"counting": 1, "arithmetic": 1}, "thinking": {}, "groups": 8, "steps": 3}
    improve(tmp_path, asked=asked, router=both, dynamic_sampling=False, interference={"every": 2}, **changes)
    written = lines(tmp_path)
    assert ["gradient_cosines" in line for line in written] == [True, False, True]
    for line in written[::2]:
        [(pair, cosine)] = line["gradient_cosines"].items()
        assert pair == "arithmetic counting" and -1 <= cosine <= 1
        assert set(line["gradient_norm_by_task"]) == {"arithmetic", "counting"}


# ---------------------------------------------------------------- spikes


def test_a_gradient_far_out_changes_nothing_where_the_policy_says_skip(improve, tmp_path, monkeypatch) -> None:
    """Norms of the first updates are made alike, so that any real one is far above them."""
    watched = rl_trainer.SpikeWatch
    spikes = {"far_above": "skip", "window": 8, "patience": 3}
    monkeypatch.setattr(rl_trainer, "SpikeWatch", lambda *args, **state: watched(*args, **(state or LOW)))
    with pytest.raises(TrainingError, match=r"gradient norm .* 3 steps in a row were skipped"):
        improve(tmp_path, steps=4, spikes=spikes)
    assert [line["skipped"] for line in lines(tmp_path)] == [1, 2]
    assert [line["action"] for line in lines(tmp_path, "spikes.jsonl")] == ["skip", "skip", "stop"]
    named = lines(tmp_path, "spikes.jsonl")[0]["samples"]
    assert named and all(one["source"] == "counting" for one in named)


LOW = {"losses": [0.0] * 8, "norms": [1e-6] * 8}


def test_what_the_spike_watch_has_seen_survives_a_kill(improve, tmp_path, monkeypatch) -> None:
    """The resume point is of the first update: the second is made again, and judged by as many norms as before."""
    judged: list[int] = []
    accepts = rl_trainer.SpikeWatch.accepts

    def spy(self, *arguments, **options):
        judged.append(len(self.norms))
        return accepts(self, *arguments, **options)

    monkeypatch.setattr(rl_trainer.SpikeWatch, "accepts", spy)
    with pytest.raises(Interrupt):
        improve(tmp_path, progress=Plug(2), save_seconds=1e-9, steps=3)
    improve(tmp_path, steps=3)
    assert judged == [0, 1, 1, 2]


# ---------------------------------------------------------------- interruptions


@pytest.fixture(scope="module")
def whole(tiny_trained, prompts, tmp_path_factory):
    out = tmp_path_factory.mktemp("whole")
    model = train_policy(
        load_checkpoint(tiny_trained), Processor.load(tiny_trained), prompts, config(), out, router=TOY
    )
    return model, out


@pytest.mark.parametrize("after", [1, 2, 3])
def test_resumed_after_any_update_gives_the_same_rewards_and_weights_to_the_bit(
    after, improve, whole, tmp_path
) -> None:
    model, out = whole
    with pytest.raises(Interrupt):
        improve(tmp_path, progress=Plug(after), save_seconds=1e-9)
    assert equal(improve(tmp_path), model)
    assert figures(tmp_path) == figures(out)
    assert lines(tmp_path, "rollouts.jsonl") == lines(out, "rollouts.jsonl")


def test_another_seed_draws_other_prompts_and_tokens(improve, whole, tmp_path) -> None:
    improve(tmp_path, seed=1)
    assert lines(tmp_path, "rollouts.jsonl") != lines(whole[1], "rollouts.jsonl")


def test_a_finished_step_is_loaded_not_run_again(improve, whole, tmp_path) -> None:
    model, out = whole
    shutil.copytree(out, tmp_path / "done")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "done").rglob("*")}
    assert equal(improve(tmp_path / "done", progress=Plug(1)), model)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "done").rglob("*")} == before


def test_a_damaged_resume_point_is_one_clear_error(improve, tmp_path) -> None:
    with pytest.raises(Interrupt):
        improve(tmp_path, progress=Plug(2), save_seconds=1e-9)
    (tmp_path / "resume" / "resume.pt").write_bytes(b"?")
    with pytest.raises(CheckpointError, match=r"resume\.pt: cannot go on from it"):
        improve(tmp_path)


# ---------------------------------------------------------------- a team


def _in_a_team(team, checkpoint: Path, asked: list[Sample], out: Path) -> None:
    changes = {"scale": "task", "interference": {"every": 2}, "monitors": BLANKED, "spikes": {"far_above": "skip"}}
    train_policy(
        load_checkpoint(checkpoint),
        Processor.load(checkpoint),
        asked,
        config(steps=2, **changes),
        out,
        router=RewardRouter({"counting": is_three}),
        heldout=asked[:3],
        team=team,
    )


def test_a_team_is_told_by_its_monitors_what_one_process_is_told(tiny_trained, prompts, tmp_path) -> None:
    """Blanked and held-out prompts are shared out like all others; sums of gradients differ in their last bits."""
    _in_a_team(ALONE, tiny_trained, prompts, tmp_path / "one")
    run_team(2, _in_a_team, (tiny_trained, prompts, tmp_path / "two"))
    one, two = lines(tmp_path / "one")[0], lines(tmp_path / "two")[0]
    for name in ("reward", "blanked_same_by_task", "blanked_reward_by_task", "heldout_reward", "kept_by_task"):
        assert one[name] == two[name], name
    assert one["grad_norm"] == pytest.approx(two["grad_norm"], rel=1e-4)
    assert one.get("alerts") == two.get("alerts")


# ---------------------------------------------------------------- seamless rollout

SEAMLESS = {"continuous": True, "asynchronous_rewards": True, "early_termination": True}


def slowly(sample: Sample, text: str) -> Verdict:
    """The toy task, its rewards taking longer for some answers than for others."""
    time.sleep(0.03 * (len(text) % 4))
    return is_three(sample, text)


def accepted(out: Path) -> list:
    """What no latency may change."""
    return [{name: line[name] for name in ("reward", "groups_kept", "loss", "grad_norm")} for line in lines(out)]


def test_seamless_training_is_the_same_to_the_bit_whenever_rewards_arrive(improve, tmp_path) -> None:
    models = [
        improve(tmp_path / name, router=RewardRouter({"counting": reward}), rollout=SEAMLESS, groups=5, slots=24)
        for name, reward in (("at once", is_three), ("late", slowly))
    ]
    assert equal(*models) and figures(tmp_path / "at once") == figures(tmp_path / "late")
    short = improve(tmp_path / "short", rollout={"continuous": True, "early_termination": True}, groups=5, slots=24)
    assert equal(short, models[0]) and accepted(tmp_path / "short") == accepted(tmp_path / "late")
    assert all(line["logprob_gap"] < 1e-5 for line in lines(tmp_path / "late"))


def test_seamless_training_stopped_within_a_step_goes_on_from_its_queue_to_the_same_bits(
    improve, tmp_path, monkeypatch
) -> None:
    options = {"rollout": SEAMLESS, "groups": 5, "slots": 24}
    whole = improve(tmp_path / "whole", **options)
    save, submit = rl_trainer.save_queue, Engine.submit
    submitted: list[int] = []

    def deadly(path, state):
        save(path, state)
        if state["version"] == 2 and len(state["finished"]) >= 3:
            raise Interrupt

    monkeypatch.setattr(rl_trainer, "save_queue", deadly)
    with pytest.raises(Interrupt):
        improve(tmp_path / "part", save_seconds=1e-9, **options)
    queue = torch.load(tmp_path / "part" / "resume" / "queue.pt", weights_only=True)
    done = {number for number, *_ in queue["finished"]}
    assert len(done) >= 3 and queue["running"]
    monkeypatch.setattr(rl_trainer, "save_queue", save)
    monkeypatch.setattr(
        Engine, "submit", lambda self, request: submitted.append(request.sampling.seed) or submit(self, request)
    )
    assert equal(improve(tmp_path / "part", **options), whole)
    assert figures(tmp_path / "part") == figures(tmp_path / "whole")
    assert not done & set(submitted[: len(queue["running"])])
    assert not (tmp_path / "part" / "resume" / "queue.pt").exists()


def test_a_group_dropped_for_a_fault_is_named_in_a_file_of_its_own(improve, prompts, tmp_path) -> None:
    def moody(sample: Sample, text: str) -> Verdict:
        if sample.id == prompts[2].id:
            raise OSError("the judge is away")
        return is_three(sample, text)

    improve(tmp_path, router=RewardRouter({"counting": moody}), rollout={**SEAMLESS, "max_dropped": 0.5}, steps=3)
    named = lines(tmp_path, "dropped.jsonl")
    assert named and {line["sample_id"] for line in named} == {prompts[2].id}
    assert {(line["task"], line["reason"]) for line in named} == {("counting", "reward-raised")}
    assert "OSError: the judge is away (3 tries)" in named[0]["message"]
    counted = sum(line["dropped"].get("reward-raised", 0) for line in lines(tmp_path))
    assert counted == len(named)


def test_servers_that_do_not_answer_are_named_before_anything_is_sampled(improve, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("mimovl.generate.vllm.VLLMEngine.refresh", _unanswered)
    with pytest.raises(UsageError, match="nobody at http://127.0.0.1:9"):
        improve(tmp_path, rollout={"servers": ["http://127.0.0.1:9"]})
    with pytest.raises(UsageError, match="addresses of vLLM servers"):
        improve(tmp_path / "wrong", rollout={"servers": ["nowhere"]})


def _unanswered(self, model) -> None:
    raise UsageError(f"nobody at {self._servers[0].url}")
