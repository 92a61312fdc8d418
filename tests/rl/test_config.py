import pytest
from pydantic import ValidationError

from mimovl.rl import RLConfig

GOOD = {"tasks": {"counting": 1.0}, "steps": 2, "train": ["language"], "learning_rate": {"language": 1e-4}}


def test_the_defaults_are_fully_on_policy() -> None:
    config = RLConfig.model_validate(GOOD)
    assert (config.temperature, config.dynamic_sampling, config.optimizer.weight_decay) == (1.0, True, 0.0)


@pytest.mark.parametrize(
    ("field", "value", "complaint"),
    [
        ("train", ["vision", "language"], "morl trains vision but gives it no learning_rate"),
        ("learning_rate", {"language": 1, "vision": 1}, "gives vision a learning_rate but does not train it"),
        ("thinking", {"grounding": 0.5}, "thinking names task grounding, which is not among tasks"),
        ("thinking", {"counting": 1.5}, "thinking"),
        ("tasks", {}, "tasks"),
        ("tasks", {"counting": -1}, "tasks"),
        ("samples", 1, "samples"),
        ("slots", 7, "slots 7 are fewer than samples 8, and a prompt's samples run at once; raise slots or lower"),
        ("min_spread", 1.0, "min_spread"),
        ("temperature", 0, "temperature"),
        ("oversample", 0.5, "oversample"),
        ("clip", 0.2, "clip"),
        ("easy_share", 2, "easy_share"),
        ("vanilla", {"clip_low": 1.0}, "clip_low"),
        ("vanilla", {"updates": 0}, "updates"),
    ],
)
def test_impossible_values_are_named(field: str, value: object, complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        RLConfig.model_validate({**GOOD, field: value})


def test_vanilla_defaults_are_those_of_mimo_7b() -> None:
    vanilla = RLConfig.model_validate({**GOOD, "vanilla": {}}).vanilla
    assert vanilla and (vanilla.updates, vanilla.kl, vanilla.normaliser) == (16, 0.0, "group")
    assert vanilla.clip_high > vanilla.clip_low


def test_a_budget_is_of_a_known_task_and_within_the_longest_rollout() -> None:
    assert RLConfig.model_validate({**GOOD, "budgets": {"counting": 32}}).budgets == {"counting": 32}
    with pytest.raises(ValidationError, match="budgets names task grounding, which is not among tasks"):
        RLConfig.model_validate({**GOOD, "budgets": {"grounding": 32}})
    with pytest.raises(ValidationError, match="budgets gives task counting 300 tokens, more than max_tokens 192"):
        RLConfig.model_validate({**GOOD, "budgets": {"counting": 300}})


def test_vllm_servers_are_asked_at_temperature_1_only() -> None:
    """At another one they tell log-probabilities of another distribution than the policy's own."""
    rollout = {"servers": ["http://node1:8000"]}
    assert RLConfig.model_validate({**GOOD, "rollout": rollout}).rollout.servers
    with pytest.raises(ValidationError, match="temperature is 0.7, but vLLM servers .* at temperature 1 only; set it"):
        RLConfig.model_validate({**GOOD, "rollout": rollout, "temperature": 0.7})
