"""A filter of one's own: drop captions that say little, and use it in a pipeline from Python and from a recipe.

    python examples/add_a_filter.py

A step is a class with its settings as fields. ``open`` gets ready once in each worker and returns what to call on
batches; the answer for each sample is that sample, a changed one, several, or ``Dropped`` with a reason. It may depend
on the sample and the settings alone: then any number of workers writes the same dataset.

In a recipe the same class is an entry that names its place:

    steps:
      - {step: "examples/add_a_filter.py:NotTooShort", words: 4}

next: src/mimovl/curate/step.py, then src/mimovl/curate/deduplicate.py for a step that must see everything.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field

from mimovl.curate.pipeline import curate, explain
from mimovl.curate.readers.json_lines import JsonLines
from mimovl.curate.step import Apply, Dropped, Result, Step, Tools
from mimovl.store import Dataset
from mimovl.types import Sample


class NotTooShort(Step):
    """Keep samples whose last message has enough words."""

    step: Literal["not_too_short"] = "not_too_short"
    words: int = Field(default=3, ge=1)
    """Words of the last message, at least."""

    def open(self, tools: Tools) -> Apply:
        """Nothing to get ready."""

        def apply(batch: Sequence[Sample]) -> list[Result]:
            return [self.judged(sample) for sample in batch]

        return apply

    def judged(self, sample: Sample) -> Result:
        """The sample, or why not."""
        count = len(sample.messages[-1].text.split())
        return sample if count >= self.words else Dropped("too_short", f"{count} words, {self.words} are the least")


def main() -> None:
    """Curate three captions and tell what became of one."""
    captions = ["a dog", "a dog runs after a ball", "two cats sleep on a red sofa"]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "captions.jsonl"
        file.write_text("".join(json.dumps({"id": f"c{n}", "caption": c}) + "\n" for n, c in enumerate(captions)))
        print(curate([JsonLines(path=str(file))], [NotTooShort(words=4)], f"{folder}/out", workers=2))
        print(Dataset.open(f"{folder}/out").ids)
        print(explain(f"{folder}/out", "c0"))


if __name__ == "__main__":
    main()
