import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mimovl.data import SPECIAL_TOKENS, Tokenizer, train_tokenizer
from mimovl.data.tokenizer import PLAIN_TOKENS, STRUCTURE_TOKENS
from mimovl.errors import CheckpointError, DataError
from tests.data import small

WORDS = small.tokenizer()
anything = st.text(st.characters(exclude_categories=("Cs",)))


@given(text=anything)
def test_any_text_survives_the_round_trip(text):
    """Up to Unicode composition (NFC), as in Qwen's tokenizer."""
    import unicodedata

    assert WORDS.decode(WORDS.encode(text), keep_special=True) == unicodedata.normalize("NFC", text)


@given(text=st.text("0123456789", min_size=1))
def test_digits_are_single_tokens(text):
    assert len(WORDS.encode(text)) == len(text)


@given(before=anything, after=anything, token=st.sampled_from(SPECIAL_TOKENS + PLAIN_TOKENS))
def test_control_tokens_are_cut_out_of_any_text(before, after, token):
    whole = WORDS.encode(before + token + after)
    if not any(other in before + token + after.replace(token, "") for other in SPECIAL_TOKENS if other != token):
        assert whole == [*WORDS.encode(before), WORDS.id(token), *WORDS.encode(after)]


def test_control_tokens_leave_no_trace_in_decoded_text_but_thoughts_do():
    text = "<|im_start|>assistant\n<think>\n3\n</think>\n\n4<|im_end|><|endoftext|>"
    ids = WORDS.encode(text)
    assert WORDS.decode(ids) == "assistant\n<think>\n3\n</think>\n\n4"
    assert WORDS.decode(ids, keep_special=True) == text


def test_ids_follow_qwens_order_behind_the_learned_vocabulary():
    ids = [WORDS.id(token) for token in SPECIAL_TOKENS]
    assert ids == list(range(ids[0], ids[0] + 14))
    assert [WORDS.id(token) for token in PLAIN_TOKENS] == [ids[-1] + 1, ids[-1] + 2]
    assert set(STRUCTURE_TOKENS) < set(SPECIAL_TOKENS)
    assert len(WORDS) == ids[-1] + 3


def test_the_vocabulary_is_as_large_as_asked_where_the_corpus_allows():
    corpus = [" ".join(f"{a}{b}{c}" for a in "abcdef" for b in "ghijkl" for c in "mnopqr")] * 3
    assert len(train_tokenizer(corpus, 320)) == 320
    assert 272 <= len(train_tokenizer(["a"], 5000)) < 280


def test_training_is_deterministic():
    assert train_tokenizer(small.CORPUS * 3, 400).files == train_tokenizer(small.CORPUS * 3, 400).files


def test_training_learns_no_merge_across_a_control_token():
    words = train_tokenizer(["x<think>y"] * 50, 400)
    assert words.encode("x<think>y") == [*words.encode("x"), words.id("<think>"), *words.encode("y")]
    assert not any("think" in token for token in words.backend.get_vocab(with_added_tokens=False))


def test_a_vocabulary_too_small_for_bytes_is_refused_with_both_numbers():
    with pytest.raises(DataError, match="a vocabulary of 100 has no room for 256 bytes .* at least 272"):
        train_tokenizer(["text"], 100)


def test_a_lone_surrogate_is_refused():
    with pytest.raises(DataError, match=r"lone surrogate .*\\ud800"):
        WORDS.encode("bad \ud800 text")


def test_files_make_the_same_tokenizer_and_are_kept_verbatim():
    again = Tokenizer.from_files({**WORDS.files, "model.safetensors": b""}, where="here")
    assert again.encode(small.CORPUS[3]) == WORDS.encode(small.CORPUS[3])
    assert again.files == WORDS.files
    assert set(WORDS.files) == {"tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt"}


def test_special_tokens_are_declared_for_other_readers():
    table = json.loads(WORDS.files["tokenizer_config.json"])
    assert (table["eos_token"], table["pad_token"], table["bos_token"]) == ("<|im_end|>", "<|endoftext|>", None)
    declared = {int(number): entry for number, entry in table["added_tokens_decoder"].items()}
    assert declared[WORDS.id("<|image_pad|>")]["special"] is True
    assert declared[WORDS.id("<think>")]["special"] is False


def test_a_folder_is_read(tmp_path):
    for name, data in WORDS.files.items():
        (tmp_path / name).write_bytes(data)
    assert len(Tokenizer.from_folder(tmp_path)) == len(WORDS)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "here: tokenizer.json is missing; copy the tokenizer files"),
        ({"tokenizer.json": b"{"}, "here: tokenizer.json cannot be read"),
        ({"tokenizer.json": b"\xff"}, "here: tokenizer.json cannot be read"),
    ],
)
def test_missing_and_broken_files_are_named(files, message):
    with pytest.raises(CheckpointError, match=message):
        Tokenizer.from_files(files, where="here")


def test_a_tokenizer_of_another_family_is_refused():
    table = json.loads(WORDS.files["tokenizer.json"])
    table["added_tokens"] = [token for token in table["added_tokens"] if token["content"] != "<|im_end|>"]
    with pytest.raises(CheckpointError, match=r"has no token '<\|im_end\|>'; it is not a Qwen2.5-VL tokenizer"):
        Tokenizer.from_files({"tokenizer.json": json.dumps(table).encode()}, where="here")


def test_it_can_be_handed_to_another_process():
    assert pickle.loads(pickle.dumps(WORDS)).encode("3 red circles") == WORDS.encode("3 red circles")
