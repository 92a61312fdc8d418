import math
import pickle
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from mimovl.curate.caption.balance import Balance, entry_probabilities, keep_probabilities, tail_threshold
from mimovl.curate.caption.metadata_file import Entry, write_metadata
from mimovl.curate.step import Dropped
from mimovl.errors import DataError
from mimovl.types import Sample
from tests.curate.caption.sample import ToolsOfTests, caption, run_whole


@pytest.fixture
def metadata(tmp_path: Path) -> str:
    entries = [
        Entry("cat", "en"),
        Entry("axolotl", "en"),
        Entry("猫", "zh"),
        Entry("北极熊", "zh"),
        Entry("photo", "en"),
    ]
    write_metadata(tmp_path / "metadata.tsv", entries)
    return str(tmp_path / "metadata.tsv")


def captions() -> list[Sample]:
    texts = ["a cat"] * 4000 + ["一只猫"] * 2000 + ["an axolotl"] * 50 + ["北极熊在冰上"] * 30 + ["nothing known"] * 20
    texts += ["photo of a cat and an axolotl"] * 10
    return [caption(text, f"id-{number}") for number, text in enumerate(texts)]


def kept(step: Balance, shards: list[list[Sample]], seed: int = 0) -> list[str]:
    results = run_whole(step, shards, ToolsOfTests(seed=seed))
    return [result.id for shard in results for result in shard if isinstance(result, Sample)]


def test_a_tail_entry_is_kept_whole_and_a_head_entry_near_the_threshold(metadata: str) -> None:
    samples = captions()
    texts = {sample.id: sample.messages[0].text for sample in samples}
    counts = Counter(texts[name] for name in kept(Balance(metadata=metadata, threshold=100), [samples]))
    assert counts["an axolotl"] == 50 and counts["北极熊在冰上"] == 30
    assert counts["photo of a cat and an axolotl"] == 10  # one tail entry is enough
    assert counts["nothing known"] == 0
    for text, total in (("a cat", 4010), ("一只猫", 2000)):
        assert abs(counts[text] - 100) <= 3 * math.sqrt(100 * (1 - 100 / total))


def test_the_same_captions_are_kept_for_any_shards_and_order(metadata: str) -> None:
    samples, step = captions(), Balance(metadata=metadata, threshold=100)
    whole = kept(step, [samples])
    for size in (1000, 77):
        assert kept(step, [samples[start : start + size] for start in range(0, len(samples), size)]) == whole
    assert sorted(kept(step, [samples[::-1]])) == sorted(whole)
    assert kept(step, [samples], seed=1) != whole


def test_a_drop_says_why(metadata: str) -> None:
    results = run_whole(Balance(metadata=metadata, threshold=100), [captions()], ToolsOfTests())[0]
    reasons = Counter(result.reason for result in results if isinstance(result, Dropped))
    assert set(reasons) == {"balanced_away", "no_entry"} and reasons["no_entry"] == 20
    detail = next(result.detail for result in results if isinstance(result, Dropped))
    assert "kept with probability 0.0249" in detail and "'cat', in 4010 captions" in detail
    every = run_whole(Balance(metadata=metadata, threshold=10_000, unmatched="keep"), [captions()], ToolsOfTests())[0]
    assert all(isinstance(result, Sample) for result in every)


def test_one_share_gives_each_language_a_threshold_with_that_share_in_its_tail(tmp_path: Path) -> None:
    entries = [Entry(f"w{number}", "en") for number in range(40)] + [Entry(chr(0x4E00 + n), "zh") for n in range(40)]
    write_metadata(tmp_path / "m.tsv", entries)
    samples = [
        caption(entry.text, f"{entry.text}-{copy}")
        for entry, rank in zip(entries, [*range(40)] * 2, strict=True)
        for copy in range((rank + 1) * (1 if entry.language == "en" else 3))
    ]
    step = Balance(metadata=str(tmp_path / "m.tsv"), tail_share=0.25)
    tools = ToolsOfTests()
    decision = step.settle(iter([step.observe(samples, tools)]), tools)
    assert decision.thresholds["zh"] >= 2 * decision.thresholds["en"]
    assert all(0.25 <= share < 0.30 for share in decision.tail_shares.values())
    assert pickle.loads(pickle.dumps(decision)).thresholds == decision.thresholds


def test_probabilities_are_those_of_independent_dice() -> None:
    assert entry_probabilities(np.array([0, 5, 10, 40]), 10).tolist() == [1, 1, 1, 0.25]
    rows, drawn = np.array([0, 0, 3]), np.array([0.5, 0.2, 0.1])
    assert keep_probabilities(5, rows, drawn) == pytest.approx([1 - 0.5 * 0.8, 0, 0, 0.1, 0])
    assert keep_probabilities(2, rows[:0], drawn[:0]).tolist() == [0, 0]


def test_the_tail_threshold_is_the_least_that_reaches_the_share() -> None:
    counts = np.array([1, 2, 3, 4, 0])
    for share, threshold in ((0.05, 2), (0.1, 2), (0.25, 3), (0.6, 4), (0.99, 5)):
        assert tail_threshold(counts, share) == threshold
        assert counts[counts < threshold].sum() >= share * counts.sum()
        assert counts[counts < threshold - 1].sum() < share * counts.sum()
    assert tail_threshold(np.zeros(3, dtype=np.int64), 0.5) == 1


def test_either_a_threshold_or_a_share_is_given() -> None:
    for both in ({}, {"threshold": 3, "tail_share": 0.5}):
        with pytest.raises(ValueError, match="one of both"):
            Balance(metadata="m.tsv", **both)


def test_metadata_changed_between_counting_and_deciding_is_refused(metadata: str) -> None:
    step, tools, samples = Balance(metadata=metadata, threshold=5), ToolsOfTests(), captions()
    decision = step.settle(iter([step.observe(samples, tools)]), tools)
    write_metadata(Path(metadata), [Entry("cat", "en")])
    with pytest.raises(DataError, match="has 1 entries, 5 when"):
        step.decide(samples, 0, decision, tools)
