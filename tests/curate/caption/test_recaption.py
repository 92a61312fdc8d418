from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from mimovl.curate.caption.captions import caption_of
from mimovl.curate.caption.recaption import Recaption, read_answer, read_prompt
from mimovl.curate.step import Dropped, Result
from mimovl.errors import RecipeError
from mimovl.types import Completion, Request, Sample
from tests.curate.caption.sample import ToolsOfTests, caption


class Captioner:
    """Answers by a function of the request, and remembers all it was asked."""

    def __init__(self, answer: Callable[[Request], Completion]) -> None:
        self.answer = answer
        self.asked: list[Request] = []

    def generate(self, requests: Sequence[Request]) -> list[list[Completion]]:
        self.asked += requests
        return [[self.answer(request)] for request in requests]


def says(text: str) -> Captioner:
    return Captioner(lambda request: Completion(text, "stop"))


def recaption(model: Captioner, folder: Path, samples: Sequence[Sample], step: Recaption | None = None) -> list[Result]:
    tools = ToolsOfTests(folder, {"captioner": model})
    return (step or Recaption(model="captioner")).open(tools)(samples)


def test_a_caption_is_written_from_picture_and_raw_text_and_the_raw_text_kept(tmp_path: Path) -> None:
    model = says("<think>hm</think>Description: A red car stands in the rain.")
    sample = caption("red car 2019 cheap!!", picture=b"1", origin="web")
    (found,) = recaption(model, tmp_path, [sample])
    assert isinstance(found, Sample)
    assert caption_of(found) == "A red car stands in the rain."
    assert found.meta == {"origin": "web", "raw_caption": "red car 2019 cheap!!", "captioner": "captioner"}
    assert found.media == sample.media and found.id == sample.id
    (message,) = model.asked[0].sample.messages
    assert [part.type for part in message.content] == ["image", "text"]
    assert "<text>\nred car 2019 cheap!!\n</text>" in message.text and model.asked[0].sample.media == sample.media


def test_the_prompt_is_in_the_language_of_the_raw_text_or_the_one_asked_for(tmp_path: Path) -> None:
    model = says("一辆红色的汽车停在雨里。")
    samples = [caption("一辆红色汽车", picture=b"1"), caption("a red car", picture=b"2"), caption("", picture=b"3")]
    found = recaption(model, tmp_path, samples)
    prompts = [request.sample.messages[0].text for request in model.asked]
    assert prompts[0].startswith("请用中文") and prompts[1].startswith("Describe") and "<text>" not in prompts[2]
    assert [result.language for result in found if isinstance(result, Sample)] == ["zh", "en", "en"]
    recaption(model, tmp_path, samples, Recaption(model="captioner", language="zh"))
    # the first was Chinese already, and its answer is known
    assert len(model.asked) == 5
    assert all(request.sample.messages[0].text.startswith("请用中文") for request in model.asked[3:])


def test_a_run_that_starts_again_asks_nothing_and_gives_the_same(tmp_path: Path) -> None:
    samples = [caption(f"car {number}", f"id{number}", picture=b"%d" % number) for number in range(40)]
    model = says("A car.")
    first = recaption(model, tmp_path, samples)
    again = says("Something else.")
    assert recaption(again, tmp_path, samples) == first
    assert len(model.asked) == 40 and again.asked == []
    assert recaption(again, tmp_path, [replace(samples[0], id="another")]) != []
    assert again.asked == []


def test_answers_that_cannot_be_used_are_asked_for_again_at_a_temperature(tmp_path: Path) -> None:
    def answer(request: Request) -> Completion:
        attempt = request.sampling.seed
        if "never" in request.sample.messages[0].text:
            return Completion("I'm sorry, I cannot help with that.", "stop")
        return [Completion("", "stop"), Completion("A car in", "length"), Completion("A car.", "stop")][attempt]

    model = Captioner(answer)
    samples = [caption("a car", picture=b"1"), caption("never", picture=b"2")]
    found = recaption(model, tmp_path, samples)
    assert isinstance(found[0], Sample) and caption_of(found[0]) == "A car."
    assert found[1] == Dropped("recaption_refused", "I'm sorry, I cannot help with that.")
    temperatures = [
        request.sampling.temperature for request in model.asked if "a car" in request.sample.messages[0].text
    ]
    assert temperatures == [0.0, 0.7, 0.7]
    again = says("unused")
    assert recaption(again, tmp_path, samples) == found
    assert again.asked == []


def test_a_caption_without_a_picture_is_dropped(tmp_path: Path) -> None:
    assert recaption(says("x"), tmp_path, [caption("text alone")]) == [Dropped("no_picture")]


@pytest.mark.parametrize(
    ("text", "finish", "caption_text", "reason"),
    [
        ("A cat.", "stop", "A cat.", ""),
        ('"A cat."', "stop", "A cat.", ""),
        ('"Stop" and "Go" on signs say "Go"', "stop", '"Stop" and "Go" on signs say "Go"', ""),
        ("Sure, here is the caption:\n\nA cat.", "stop", "A cat.", ""),
        ("图片描述：一只猫。", "stop", "一只猫。", ""),
        ("<think>x</think>\n\nA cat.", "stop", "A cat.", ""),
        ("A cat sits", "length", "A cat sits", "recaption_cut"),
        ("<think>x</think>", "stop", "", "recaption_empty"),
        ("抱歉，我无法查看图片。", "stop", "抱歉，我无法查看图片。", "recaption_refused"),
    ],
)
def test_an_answer_is_read_without_its_wrapping(text: str, finish: str, caption_text: str, reason: str) -> None:
    assert read_answer(Completion(text, finish)) == (caption_text, reason)  # type: ignore[arg-type]


def test_a_prompt_of_ones_own_needs_a_place_for_the_text(tmp_path: Path) -> None:
    path = tmp_path / "prompt.txt"
    path.write_text("Say what {text} is.", encoding="utf-8")
    assert read_prompt("recaption_en", str(path), "prompt_en") == "Say what {text} is."
    path.write_text("Say what it is.", encoding="utf-8")
    with pytest.raises(RecipeError, match=r"prompt_en: .* has no \{text\}"):
        read_prompt("recaption_en", str(path), "prompt_en")
    with pytest.raises(RecipeError, match="cannot be read"):
        read_prompt("recaption_zh", str(tmp_path / "gone"), "prompt_zh")


@pytest.mark.parametrize("name", ["recaption_en", "recaption_zh"])
def test_our_prompts_have_a_place_for_the_text(name: str) -> None:
    assert read_prompt(name).count("{text}") == 1
