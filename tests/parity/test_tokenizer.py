"""Our trained ``tokenizer.json`` gives the same ids in ``transformers``."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mimovl.data.tokenizer import SPECIAL_TOKENS
from tests.data import small

ALPHABET = st.one_of(
    st.characters(exclude_categories=("Cs",)),
    st.sampled_from([" ", "  ", "\n", "\n\n", "\t", "'s", "12", "3", "圆", "é", "e\u0301", "🙂", "\u200b", "<think>"]),
    st.sampled_from(SPECIAL_TOKENS),
)
TEXTS = st.lists(ALPHABET, max_size=30).map("".join)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("tokenizer")
    for name, data in small.tokenizer().files.items():
        (path / name).write_bytes(data)
    return path


@pytest.fixture(scope="module")
def everyone(folder, transformers):
    return [
        transformers.AutoTokenizer.from_pretrained(folder),
        transformers.PreTrainedTokenizerFast.from_pretrained(folder),
        transformers.PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json")),
    ]


def test_the_class_is_qwens(everyone):
    assert type(everyone[0]).__name__.startswith("Qwen2Tokenizer")
    assert [len(words) for words in everyone] == [len(small.tokenizer())] * 3


@settings(max_examples=200)
@given(text=TEXTS)
def test_ids_are_equal(everyone, text):
    ours = small.tokenizer().encode(text)
    for words in everyone:
        assert words.encode(text, add_special_tokens=False) == ours
        assert words(text)["input_ids"] == ours  # nothing is added


@settings(max_examples=100)
@given(text=TEXTS)
def test_decoded_text_is_equal(everyone, text):
    ids = small.tokenizer().encode(text)
    for words in everyone[:2]:
        assert words.decode(ids, skip_special_tokens=True) == small.tokenizer().decode(ids)
        assert words.decode(ids, skip_special_tokens=False) == small.tokenizer().decode(ids, keep_special=True)


def test_thoughts_survive_skipping_special_tokens(everyone):
    text = "<|im_start|>assistant\n<think>\n3 + 4\n</think>\n\n7<|im_end|>"
    ids = everyone[0].encode(text)
    assert everyone[0].decode(ids, skip_special_tokens=True) == "assistant\n<think>\n3 + 4\n</think>\n\n7"
