"""Documents cut to size: nothing lost, nothing reordered, no picture parted from its caption."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from mimovl.curate.interleaved.blocks import Block, blocks_of, plain_text
from mimovl.curate.interleaved.cut import CutDocuments, bound_together, cut, estimated_tokens, picture_tokens
from mimovl.curate.step import Dropped
from mimovl.media_check import check_media
from mimovl.types import Sample
from tests.curate.interleaved.documents import Bench, make, show, text

SHOWN = show(1)


def block(letter: str) -> Block:
    return SHOWN if letter == "P" else text(letter, {"C": "caption", "H": "heading", "T": "table"}.get(letter, "text"))


def groups(letters: str) -> list[str]:
    return [
        "".join("P" if one.media else one.text for one in group) for group in bound_together(list(map(block, letters)))
    ]


def test_what_belongs_together_is_found() -> None:
    assert groups("xPCx") == ["x", "PC", "x"]
    assert groups("PCPC") == ["PC", "PC"]
    assert groups("CPCP") == ["CP", "CP"]
    assert groups("PPC") == ["PPC"]
    assert groups("PP") == ["P", "P"]
    assert groups("HHxHPC") == ["HHx", "HPC"]
    assert groups("TC") == ["TC"] and groups("CT") == ["CT"]
    assert groups("xH") == ["x", "H"]
    assert groups("") == []


@settings(max_examples=150)
@given(st.lists(st.sampled_from("PCHTxy"), max_size=12), st.integers(4, 30), st.integers(0, 60))
def test_nothing_is_lost_or_reordered_and_no_sample_is_over_the_budget(
    letters: list[str], budget: int, long: int
) -> None:
    blocks = [block(one) for one in letters]
    blocks = [
        text(f"One sentence {n}. " * (long // 10) + "End.") if one.text == "x" else one for n, one in enumerate(blocks)
    ]

    def measure(one: Block) -> int:
        return 5 if one.media else len(one.text)

    samples, left_out = cut(blocks, budget, measure)
    assert all(sum(map(measure, sample)) <= budget for sample in samples)
    flat = [one for sample in samples for one in sample]
    if not left_out and not any(measure(one) > budget for one in blocks if one.kind in ("caption", "table")):
        strip = lambda found: "".join("".join(one.text.split()) or "P" for one in found)  # noqa: E731
        assert strip(flat) == strip(blocks)
    for group in bound_together(blocks):
        if sum(map(measure, group)) <= budget and any(one.kind == "caption" for one in group):
            assert any(_holds(sample, group) for sample in samples)


def _holds(sample: list[Block], group: list[Block]) -> bool:
    return any(sample[start : start + len(group)] == group for start in range(len(sample)))


def run(step: CutDocuments, sample: Sample, folder: Path) -> list[Sample]:
    (result,) = step.open(Bench(folder))([sample])
    assert not isinstance(result, Dropped)
    return result if isinstance(result, list) else [result]


def test_a_long_document_becomes_samples_with_pictures_in_place(tmp_path: Path) -> None:
    blocks = [text("A sentence of some length, number one. " * 6), SHOWN, text("Figure 1: x", "caption")] * 4
    sample = make(*blocks)
    pieces = run(CutDocuments(budget=120), sample, tmp_path)
    assert [piece.id for piece in pieces] == [f"d/{n}" for n in range(len(pieces))] and len(pieces) > 2
    assert [piece.meta["piece"] for piece in pieces] == [[n, len(pieces)] for n in range(len(pieces))]
    kinds = [one.kind for piece in pieces for one in blocks_of(piece)]
    assert [kind for kind in kinds if kind != "text"] == ["picture", "caption"] * 4
    for piece in pieces:
        check_media(piece)
        assert blocks_of(piece)[0].kind != "caption"


def test_a_document_that_fits_stays_as_it_is(tmp_path: Path) -> None:
    sample = make(text("Short."), SHOWN)
    assert run(CutDocuments(), sample, tmp_path) == [sample]


def test_a_picture_over_the_budget_is_left_out_and_counted(tmp_path: Path) -> None:
    step = CutDocuments(budget=64)
    (left,) = run(step, make(text("Text."), show(1, (600, 400)), text("Fig. 1: x", "caption")), tmp_path)
    assert not left.media and left.meta["pictures_dropped"] == {"over_budget": 1}
    (result,) = step.open(Bench(tmp_path))([make(show(1, (600, 400)))])
    assert isinstance(result, Dropped) and result.reason == "nothing_left"


def test_a_text_is_cut_between_sentences_of_either_language(tmp_path: Path) -> None:
    for words in ("This is the sentence of the text. " * 40, "这是一个用来试验的句子，它不长。" * 40):
        pieces = run(CutDocuments(budget=100, unit="characters"), make(text(words.strip())), tmp_path)
        assert all(plain_text(blocks_of(piece)).endswith((".", "。")) for piece in pieces) and len(pieces) > 5


def test_a_text_without_sentences_is_cut_all_the_same(tmp_path: Path) -> None:
    pieces = run(CutDocuments(budget=100, unit="characters"), make(text("x" * 1000)), tmp_path)
    assert sum(len(plain_text(blocks_of(piece))) for piece in pieces) == 1000


def test_a_real_tokenizer_counts_where_one_is_named(tmp_path: Path, tiny_start: Path) -> None:
    from mimovl.data.tokenizer import Tokenizer

    tokenizer = Tokenizer.from_folder(tiny_start)
    pieces = run(
        CutDocuments(budget=64, tokenizer=str(tiny_start)), make(text("How many red circles? " * 60)), tmp_path
    )
    assert len(pieces) > 1
    assert all(len(tokenizer.encode(plain_text(blocks_of(piece)))) <= 64 for piece in pieces)


def test_sizes() -> None:
    assert estimated_tokens("四个汉字") == 3 and estimated_tokens("eight ch") == 2 and estimated_tokens("") == 0
    assert picture_tokens(280, 56, 4096 * 28 * 28) == 10 * 2 + 2
