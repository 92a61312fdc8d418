"""The whole caption recipe on a few hundred pictures, step after step, in two divisions into shards."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from mimovl.curate.caption import (
    Balance,
    CaptionLanguage,
    CaptionRepetition,
    CaptionText,
    PictureDuplicates,
    Recaption,
    TextDuplicates,
)
from mimovl.curate.caption.captions import caption_of
from mimovl.curate.step import Dropped, Step, WholeStep
from mimovl.types import Completion, Media, Request, Sample
from tests.curate.caption.sample import ToolsOfTests, caption, run_whole

THINGS = {"apple": "苹果", "bridge": "桥", "camel": "骆驼", "drum": "鼓"}


class Captioner:
    """Says what the raw text says, a little longer; gets caught in a loop, and in the other language, now and then."""

    def __init__(self) -> None:
        self.asked = 0

    def generate(self, requests: Sequence[Request]) -> list[list[Completion]]:
        self.asked += len(requests)
        return [[Completion(self._answer(request), "stop")] for request in requests]

    def _answer(self, request: Request) -> str:
        raw = request.sample.messages[0].text.split("<text>\n")[1].split("\n</text>")[0]
        if "loop" in raw:
            return "There is a thing. " * 8
        if "slip" in raw:
            return f"图中有一个东西。{raw} is in the middle of the picture."
        return f"图中有{raw}，背景是白色的墙。" if request.sample.language == "zh" else f"There is {raw} before a wall."


def jpeg(seed: int) -> Media:
    noise = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).resize((96, 96), Image.Resampling.BICUBIC).save(file, "JPEG")
    return Media(f"picture {seed}", "image", file.getvalue(), 96, 96)


def raw_captions() -> list[Sample]:
    texts = []
    for number in range(240):
        english, chinese = list(THINGS.items())[min(3, number % 9 // 2)]
        texts.append(f"an old {english} no {number}" if number % 3 else f"{chinese}，第{number}号")
    texts += ["IMG_0001.jpg", "image", "https://example.com/a.png"]
    texts += ["Click here to see our whole catalogue of things"] * 30
    texts += [f"the loop {number}" for number in range(4)] + [f"the slip {number}" for number in range(4)]
    samples = [replace(caption(text, f"id{n}", picture=b"x"), media={"image": jpeg(n)}) for n, text in enumerate(texts)]
    return [*samples, replace(samples[0], id="copy")]


def run(samples: list[Sample], size: int, tools: ToolsOfTests, metadata: Path) -> tuple[list[Sample], Counter[str]]:
    steps: list[Step | WholeStep] = [
        CaptionText(),
        TextDuplicates(copies=5, likeness=0.95),
        PictureDuplicates(),
        Recaption(model="captioner"),
        CaptionLanguage(),
        CaptionRepetition(),
        Balance(metadata=str(metadata), threshold=20),
    ]
    shards = [samples[start : start + size] for start in range(0, len(samples), size)]
    dropped: Counter[str] = Counter()
    for step in steps:
        results = (
            run_whole(step, shards, tools)
            if isinstance(step, WholeStep)
            else [step.open(tools)(shard) for shard in shards]
        )
        dropped.update(result.reason for shard in results for result in shard if isinstance(result, Dropped))
        shards = [[result for result in shard if isinstance(result, Sample)] for shard in results]
    return [sample for shard in shards for sample in shard], dropped


def test_raw_captions_become_a_balanced_set_and_every_drop_has_its_reason(tmp_path: Path) -> None:
    metadata, samples, captioner = tmp_path / "metadata.txt", raw_captions(), Captioner()
    metadata.write_text("\n".join([*THINGS, *THINGS.values()]), encoding="utf-8")
    tools = ToolsOfTests(tmp_path / "cache", {"captioner": captioner})
    kept, dropped = run(samples, 60, tools, metadata)
    asked = captioner.asked
    assert len(kept) + dropped.total() == len(samples)
    assert (dropped["file_name"], dropped["placeholder"], dropped["address"]) == (1, 1, 1)
    assert (dropped["text_duplicate"], dropped["picture_duplicate"]) == (25, 1)
    assert (dropped["repetition"], dropped["mixed_language"], dropped["no_entry"]) == (4, 4, 5)
    assert {sample.language for sample in kept} == {"en", "zh"}
    assert all(caption_of(sample) != sample.meta["raw_caption"] for sample in kept)
    counts = Counter(thing for sample in kept for thing in (*THINGS, *THINGS.values()) if thing in caption_of(sample))
    assert counts["鼓"] > 0 and max(counts.values()) <= 20 + 3 * 20**0.5
    # in other shards the same, and nothing is asked again
    assert run(samples, 17, tools, metadata) == (kept, dropped)
    assert captioner.asked == asked
