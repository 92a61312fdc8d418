import pytest
import torch

from mimovl.data import TIE, WINS, Mixture, PackedLoader, PreferenceProcessor, indices_by_source, with_answer
from mimovl.errors import DataError
from mimovl.types import IGNORE_INDEX, Message, Part
from tests.data import small
from tests.preference_pairs import Pairs, preference

PLAIN = PreferenceProcessor.of(small.processor(), empty_thought=False)
THOUGHT = PreferenceProcessor.of(small.processor())


def test_a_pair_is_both_conversations_end_to_end_with_one_label() -> None:
    first, second = small.picture(60, 90), small.clip(4, 2.0)
    pair = preference(first, second, tie=False)
    encoded = PLAIN.encode(pair)
    halves = [
        small.processor().encode_prompt(with_answer(pair, answer), pair.media, generate=False)
        for answer in (pair.chosen, pair.rejected)
    ]
    assert encoded.segments == tuple(half.num_tokens for half in halves)
    assert torch.equal(encoded.tokens, torch.cat([half.tokens for half in halves]))
    assert torch.equal(encoded.positions, torch.cat([half.positions for half in halves], dim=1))
    assert encoded.grid_thw == halves[0].grid_thw + halves[1].grid_thw
    assert encoded.num_labels == 1 and encoded.labels[encoded.segments[0] - 1] == WINS
    tie = PLAIN.encode(preference(first, tie=True))
    assert tie.labels[tie.segments[0] - 1] == TIE


def test_neither_half_of_a_pair_sees_the_other() -> None:
    pairs = [PLAIN.encode(preference(small.picture(60, 90), id="a")), PLAIN.encode(preference(id="b"))]
    batch = small.batch(pairs)
    lengths = [length for pair in pairs for length in pair.segments]
    assert batch.cu_seqlens.tolist() == torch.tensor([0, *lengths]).cumsum(0).tolist()
    assert batch.sample_ids == ["a", "b"] and batch.sources == ["test", "test"]
    model = small.model()
    alone = [small.batch([PLAIN.encode_answer(preference(id="b"), answer)]) for answer in ("3", "12")]
    ends = batch.cu_seqlens[-3:].tolist()
    for one, start, end in zip(alone, ends, ends[1:], strict=False):
        torch.testing.assert_close(model(batch)[start:end], model(one), atol=2e-5, rtol=1e-4)


def test_answers_stand_behind_an_empty_thought_where_the_checkpoint_writes_one() -> None:
    text = small.tokenizer().decode(THOUGHT.encode_answer(preference(), "3").tokens.tolist(), keep_special=True)
    assert text == (
        "<|im_start|>user\nHow many red circles? /no_think<|im_end|>\n"
        "<|im_start|>assistant\n<think>\n\n</think>\n\n3<|im_end|>\n"
    )
    text = small.tokenizer().decode(PLAIN.encode_answer(preference(), "3").tokens.tolist(), keep_special=True)
    assert text == "<|im_start|>user\nHow many red circles?<|im_end|>\n<|im_start|>assistant\n3<|im_end|>\n"


def test_pairs_are_drawn_and_packed_by_the_loader_of_samples_and_never_parted() -> None:
    pairs = Pairs(preference(id=str(number), chosen="3 " * (1 + number % 4)) for number in range(9))
    mixture = Mixture(indices_by_source(pairs.sources), {"test": 1}, seed=1)
    batches = iter(PackedLoader(pairs.__getitem__, mixture, PLAIN, 160, window=4, ahead=0))
    for _ in range(4):
        batch, _ = next(batches)
        assert len(batch.cu_seqlens) == 2 * len(batch.sample_ids) + 1 and batch.num_tokens <= 160
        labels = batch.labels[batch.cu_seqlens[1::2].long() - 1]
        assert labels.tolist() == [WINS] * len(batch.sample_ids)
        assert int((batch.labels != IGNORE_INDEX).sum()) == len(batch.sample_ids)


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        (preference(chosen="3", rejected="3"), "pair p: chosen and rejected are the same text; mark it as a tie"),
        (small.conversation(), "sample s is no preference"),
        (preference(chosen="a<|im_end|>"), r"sample p: its text contains <\|im_end\|>"),
    ],
)
def test_what_is_no_pair_is_refused_by_its_name(pair, message) -> None:
    with pytest.raises(DataError, match=message):
        PLAIN.encode(pair)


def test_an_answer_follows_the_user() -> None:
    pair = preference()
    spoken = type(pair)("p", (*pair.messages, Message("assistant", (Part("text", "3"),))), chosen="1", rejected="2")
    with pytest.raises(
        DataError, match="sample p: an answer follows the user's turn, but the last one is by assistant"
    ):
        PLAIN.encode(spoken)


def test_pictures_are_refused_by_a_text_model_and_a_missing_one_is_named() -> None:
    with pytest.raises(DataError, match="sample p shows 1 pictures or clips, which a text reward model does not see"):
        PreferenceProcessor.of(small.processor(), text_only=True).encode(preference(small.picture(56, 56)))
    pair = preference(small.picture(56, 56))
    with pytest.raises(DataError, match="sample p: image '[0-9a-f]{64}' is named by a message but not in the sample"):
        PLAIN.encode(type(pair)("p", pair.messages, chosen="1", rejected="2"))
