"""Loss and gradient equal eq. 1 written out sequence by sequence; packing and shared pictures change nothing."""

from __future__ import annotations

import pytest
import torch

from mimovl.generate import Engine
from mimovl.model import VisionLanguageModel
from mimovl.rl import group_advantages, pack_groups, policy_terms
from mimovl.types import Outcome, Request, Rollout, RolloutGroup, Sample, SamplingParams, Verdict
from tests import tiny
from tests.data import small
from tests.generate import plain

VERDICT = Verdict(0.0, Outcome.WRONG)


def prompts() -> list[Sample]:
    """One picture, none, a clip, two pictures; answers of different lengths."""
    pair = [small.picture(56, 84, 1), small.picture(84, 56, 2)]
    return [
        *tiny.questions("world/counting", 2),
        tiny.questions("world/arithmetic", 1)[0],
        tiny.questions("world/clip", 1)[0],
        Sample("pair", (small.user("Which?", *pair),), {item.sha256: item for item in pair}),
    ]


@pytest.fixture(scope="module")
def groups() -> list[RolloutGroup]:
    """Real rollouts, four a prompt, rewarded by a made-up rule."""
    model = _model()
    with torch.no_grad():
        model.language.lm_head.weight[tiny.tokenizer().im_end] *= 4  # answers of different lengths
    requests = [
        Request(sample, SamplingParams(temperature=1.0, max_tokens=6 + n, seed=n), 4, thinking=(None, False)[n % 2])
        for n, sample in enumerate(prompts())
    ]
    made = []
    for request, completions in zip(requests, Engine(model, tiny.processor()).generate(requests), strict=True):
        rewards = [(sum(completion.tokens) % 7) / 6 for completion in completions]
        rollouts = [
            Rollout(completion, reward, VERDICT, advantage)
            for completion, reward, advantage in zip(completions, rewards, group_advantages(rewards), strict=True)
        ]
        made.append(RolloutGroup(request, rollouts, 0))
    assert len({len(rollout.completion.tokens) for group in made for rollout in group.rollouts}) > 3
    return made


def _model() -> VisionLanguageModel:
    return tiny.model(sharp=8)


def naive(model: VisionLanguageModel, groups: list[RolloutGroup]) -> torch.Tensor:
    """Eq. 1 of the report with one update a rollout: mean over groups of token means of advantage · log π."""
    total = torch.zeros((), dtype=torch.float64)
    for group in groups:
        num_tokens = sum(len(rollout.completion.tokens) for rollout in group.rollouts)
        prompt = plain.encoded(group.request)
        for rollout in group.rollouts:
            tokens = torch.tensor(rollout.completion.tokens)
            values = model.logits(model(tiny.batch([plain.continued(prompt, tokens.tolist())])))
            values[:, list(model.config.visual_token_ids)] = float("-inf")
            logprobs = values[prompt.num_tokens - 1 : -1].double().log_softmax(-1).gather(-1, tokens[:, None])
            total = total + rollout.advantage * logprobs.sum() / num_tokens
    return -total / len(groups)


def encoded(groups: list[RolloutGroup]):
    return [plain.encoded(group.request) for group in groups]


def gradients(model: VisionLanguageModel) -> torch.Tensor:
    return torch.cat([parameter.grad.flatten() for parameter in model.parameters()])


def forbidden(model: VisionLanguageModel) -> torch.Tensor:
    return torch.tensor(model.config.visual_token_ids)


@pytest.mark.parametrize("length", [64, 500, 100_000], ids=["a pack a group", "some packs", "one pack"])
def test_loss_and_gradient_equal_the_naive_computation(groups, length) -> None:
    reference, model = _model(), _model()
    expected = naive(reference, groups)
    expected.backward()
    packs = pack_groups(groups, encoded(groups), model, length)
    assert len(packs) == {64: 5, 100_000: 1}.get(length, len(packs)) and (length != 500 or 1 < len(packs) < 5)
    loss = 0.0
    for pack in packs:
        terms = policy_terms(model, pack, forbidden(model))
        terms.loss.backward()
        loss += terms.loss.item()
    assert loss == pytest.approx(expected.item(), abs=1e-6)
    difference = (gradients(model) - gradients(reference)).norm() / gradients(reference).norm()
    assert difference < 1e-5  # float32; 5e-7 measured


def test_in_float64_only_the_last_softmax_differs(groups) -> None:
    """The same with float64 parameters: what is left is the float32 of the logits; 4e-8 measured."""
    reference, model = _model().double(), _model().double()
    naive(reference, groups).backward()
    (pack,) = pack_groups(groups, encoded(groups), model, 100_000)
    policy_terms(model, pack, forbidden(model)).loss.backward()
    difference = (gradients(model) - gradients(reference)).norm() / gradients(reference).norm()
    assert difference < 1e-6


def test_every_token_of_a_group_weighs_the_same_and_every_group_too(groups) -> None:
    (pack,) = pack_groups(groups, encoded(groups), _model(), 100_000)
    where = pack.batch.labels >= 0
    weights = pack.batch.loss_weights
    assert (weights[~where] == 0).all()
    expected = [
        rollout.advantage / (len(groups) * sum(len(other.completion.tokens) for other in group.rollouts))
        for group in groups
        for rollout in group.rollouts
        for _ in rollout.completion.tokens
    ]
    assert weights[where].tolist() == pytest.approx(expected)
    labels = [token for group in groups for rollout in group.rollouts for token in rollout.completion.tokens]
    assert pack.batch.labels[where].tolist() == labels
    logprobs = [value for group in groups for rollout in group.rollouts for value in rollout.completion.logprobs]
    assert pack.sampled_logprobs.tolist() == pytest.approx(logprobs)


def test_a_picture_is_held_and_encoded_once_a_group(groups, monkeypatch) -> None:
    model = _model()
    (pack,) = pack_groups(groups, encoded(groups), model, 100_000)
    assert len(pack.batch.grid_thw) == sum(len(prompt.grid_thw) for prompt in encoded(groups)) == 5
    assert len(pack.visual_rows) == len(pack.batch.visual_index) == len(pack.batch.patches)  # four rollouts, 2×2 merged
    calls = []
    encode = VisionLanguageModel.encode
    monkeypatch.setattr(
        VisionLanguageModel, "encode", lambda self, *args: (calls.append(len(args[0])), encode(self, *args))[1]
    )
    policy_terms(model, pack, forbidden(model))
    assert calls == [len(pack.batch.patches)]


def test_a_group_of_some_counts_as_in_the_whole(groups) -> None:
    """Groups dealt out to several processes add up to the loss of all of them."""
    model = _model()
    parts = [groups[:2], groups[2:]]
    losses = [
        policy_terms(model, pack, forbidden(model)).loss.item()
        for part in parts
        for pack in pack_groups(part, encoded(part), model, 100_000, num_groups=len(groups))
    ]
    assert sum(losses) == pytest.approx(naive(model, groups).item(), abs=1e-6)


def test_the_gap_between_sampling_and_training_is_rounding(groups) -> None:
    """The parameters that sampled: but for one row they are those of the fixture."""
    model = _model()
    with torch.no_grad():
        model.language.lm_head.weight[tiny.tokenizer().im_end] *= 4
    (pack,) = pack_groups(groups, encoded(groups), model, 100_000)
    terms = policy_terms(model, pack, forbidden(model))
    assert terms.num_tokens == len(pack.sampled_logprobs)
    assert terms.logprob_gap / terms.num_tokens < 1e-5
    other = policy_terms(tiny.model(seed=1, sharp=8), pack, forbidden(model))
    assert other.logprob_gap / other.num_tokens > 0.1


def test_entropy_is_that_of_what_may_be_sampled(groups) -> None:
    model = tiny.model()
    with torch.no_grad():
        model.language.lm_head.weight.zero_()
    (pack,) = pack_groups(groups, encoded(groups), model, 100_000)
    terms = policy_terms(model, pack, forbidden(model))
    size = model.config.language.vocab_size - len(model.config.visual_token_ids)
    assert terms.entropy / terms.num_tokens == pytest.approx(torch.tensor(float(size)).log().item(), rel=1e-5)


def test_no_advantage_no_gradient(groups) -> None:
    model = _model()
    idle = [
        RolloutGroup(group.request, [Rollout(r.completion, 1.0, VERDICT, 0.0) for r in group.rollouts], 0)
        for group in groups
    ]
    (pack,) = pack_groups(idle, encoded(idle), model, 100_000)
    policy_terms(model, pack, forbidden(model)).loss.backward()
    assert gradients(model).abs().max() == 0


def test_a_group_is_never_split(groups) -> None:
    packs = pack_groups(groups, encoded(groups), _model(), 64)
    assert [len(pack.batch.sample_ids) for pack in packs] == [4] * 5
    assert [set(pack.batch.sample_ids) for pack in packs] == [{group.request.sample.id} for group in groups]
