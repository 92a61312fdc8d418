from pathlib import Path

import pytest

from mimovl.errors import RecipeError, UsageError
from mimovl.reward.service_config import ServiceConfig, load_service_config


def written(folder: Path, text: str) -> Path:
    path = folder / "service.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_without_a_file_there_are_defaults_and_no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MIMOVL_REWARD_TOKEN", raising=False)
    config = load_service_config(None)
    assert config == ServiceConfig() and config.workers >= 2 and config.token() == ""
    assert load_service_config(None, workers=7).workers == 7


def test_a_file_names_rewards_beside_it(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(
        "from mimovl.types import Outcome, Verdict\n"
        "def haiku(sample, text): return Verdict(0.25, Outcome.CORRECT)\n"
        "class Model:\n"
        "    def __init__(self, scale): self.scale = scale\n"
        "    def score(self, samples, completions): return [self.scale for _ in samples]\n"
    )
    path = written(
        tmp_path,
        "workers: 3\nfunctions: {poetry: own.py:haiku}\nkinds: {chart_qa: number}\n"
        "models:\n  rlhf: {load: own.py:Model, arguments: {scale: 0.5}}\n",
    )
    config = load_service_config(path)
    assert config.workers == 3 and config.kinds == {"chart_qa": "number"}
    assert config.load_functions()["poetry"](None, "").score == 0.25  # type: ignore[arg-type]
    assert config.load_models()["rlhf"].score([], []) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("wokers: 3", "service.yaml:1: wokers: unknown key; did you mean 'workers'"),
        ("workers: 0", "service.yaml:1: workers: expected greater than or equal to 1, found 0"),
        ("max_items: many", "service.yaml:1: max_items: expected a whole number, found 'many'"),
        ("item_seconds: 0", "item_seconds: expected greater than 0"),
        ("kinds: {a: cuont}", "task 'a': unknown kind 'cuont'; did you mean 'count'"),
        ("models: {a: {}}", "models.a.load: required key is missing"),
    ],
)
def test_a_slip_is_named_with_file_line_and_field(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        load_service_config(written(tmp_path, text))
    assert message in str(caught.value)


def test_a_task_has_a_function_or_a_model_and_not_both(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="service.yaml: task 'a' stands under functions and under models"):
        load_service_config(written(tmp_path, "functions: {a: b.py:c}\nmodels: {a: {load: b.py:c}}"))


def test_a_model_that_cannot_score_is_named() -> None:
    config = ServiceConfig.model_validate({"models": {"rlhf": {"load": "builtins:dict"}}})
    with pytest.raises(UsageError, match="models.rlhf: builtins:dict gave dict, which has no method score"):
        config.load_models()


def test_the_token_comes_from_its_file_before_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIMOVL_REWARD_TOKEN", "outer")
    (tmp_path / "token.txt").write_text("inner\n")
    assert ServiceConfig().token() == "outer"
    assert load_service_config(written(tmp_path, "token_file: token.txt")).token() == "inner"


@pytest.mark.parametrize(("content", "message"), [(None, "cannot be read"), ("\n", "is empty")])
def test_a_token_file_that_holds_none_is_refused(tmp_path: Path, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / "token.txt").write_text(content)
    with pytest.raises(UsageError, match=f"token.txt {message}"):
        load_service_config(written(tmp_path, "token_file: token.txt")).token()
