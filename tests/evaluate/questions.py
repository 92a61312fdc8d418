"""Questions and scripted models for the evaluation tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mimovl.types import Completion, Gold, Media, Message, Part, Request, Sample

Answering = Callable[[Request], str]


def question(
    name: str, task: str, gold: Gold | None, *, scene: str = "", picture: str = "", source: str = ""
) -> Sample:
    media = {picture: Media(picture, "image", b"", 56, 28)} if picture else {}
    shown = (Part("image", media=picture),) if picture else ()
    return Sample(
        id=name,
        messages=(Message("user", (*shown, Part("text", f"{task} {name}?"))),),
        media=media,
        task=task,
        source=source or f"world/{task}",
        gold=gold,
        meta={"scene": scene} if scene else {},
    )


def counting(count: int) -> list[Sample]:
    """``count`` counting questions, two to a scene, with gold 1 to 6."""
    return [
        question(f"c{i}", "counting", Gold("count", 1 + i % 6), scene=f"s{i // 2}", picture=f"p{i // 2}")
        for i in range(count)
    ]


class Scripted:
    """A ``Generate`` that answers by a function and remembers what it was asked."""

    def __init__(self, answer: Answering, *, fail_after: int | None = None) -> None:
        self.answer = answer
        self.fail_after = fail_after
        self.chunks: list[list[Request]] = []

    def generate(self, requests: Sequence[Request]) -> list[list[Completion]]:
        if self.fail_after is not None and len(self.chunks) >= self.fail_after:
            raise KeyboardInterrupt
        self.chunks.append(list(requests))
        texts = [self.answer(request) for request in requests]
        return [
            [Completion(text.removesuffix("✂"), "length" if text.endswith("✂") else "stop", tuple(range(len(text))))]
            for text in texts
        ]


def always_right(request: Request) -> str:
    from mimovl.reward import golden_answer

    assert request.sample.gold is not None
    thought = "so" if request.thinking else ""
    return f"<think>\n{thought}\n</think>\n\n{golden_answer(request.sample.gold)}"
