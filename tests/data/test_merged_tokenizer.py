"""Vision tokens in a language model's tokenizer: there under the published ids, added under them, or refused."""

from __future__ import annotations

import functools
import json
from typing import Any

import pytest
import tokenizers
from tokenizers import AddedToken

from mimovl.data import Tokenizer
from mimovl.data.merged_tokenizer import MergedTokenizer, merge_tokenizer
from mimovl.data.tokenizer import SPECIAL_TOKENS
from mimovl.errors import CheckpointError
from tests.data import small

TEXT = "<|im_start|>user\nHow many red circles? <|vision_start|><|image_pad|><|vision_end|><|im_end|>\n"
VISION = tuple(token for token in SPECIAL_TOKENS if "vision" in token or "pad" in token)


@functools.cache
def published() -> dict[str, bytes]:
    """A vision-language model's tokenizer: the text tokens, then the control tokens and nothing after them."""
    return with_tokens(SPECIAL_TOKENS)


@functools.cache
def with_tokens(tokens: tuple[str, ...]) -> dict[str, bytes]:
    """The small tokenizer's text tokens, followed by these."""
    description = json.loads(small.tokenizer().backend.to_str())
    description["added_tokens"] = []
    backend = tokenizers.Tokenizer.from_str(json.dumps(description))
    backend.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in tokens])
    return Tokenizer(backend).files


def merge(language: dict[str, bytes], vocab_size: int = 10_000) -> MergedTokenizer:
    return merge_tokenizer(language, published(), vocab_size, where=("mimo", "qwen"))


def test_a_tokenizer_that_has_them_all_stays_byte_for_byte() -> None:
    merged = merge(published())
    assert merged.added == {}
    assert merged.tokenizer.files == published()


def test_its_text_only_chat_template_is_taken_out() -> None:
    settings = json.loads(published()["tokenizer_config.json"])
    files = {**published(), "tokenizer_config.json": json.dumps({**settings, "chat_template": "{{ x }}"}).encode()}
    merged = merge(files)
    assert json.loads(merged.tokenizer.files["tokenizer_config.json"]) == settings
    assert merged.tokenizer.files["tokenizer.json"] == published()["tokenizer.json"]


def test_a_tokenizer_that_ends_before_the_vision_tokens_takes_them_under_their_ids() -> None:
    plain = with_tokens(SPECIAL_TOKENS[:3])  # a Qwen2 language model
    merged = merge(plain)
    theirs = Tokenizer.from_files(published(), where="qwen")
    assert merged.added == {token: theirs.id(token) for token in SPECIAL_TOKENS[3:]}
    assert set(VISION) - {"<|endoftext|>"} <= merged.added.keys()
    assert merged.tokenizer.encode(TEXT) == theirs.encode(TEXT)
    assert merged.tokenizer.decode(theirs.encode(TEXT)) == theirs.decode(theirs.encode(TEXT))


def test_every_file_knows_what_was_added() -> None:
    plain = {**with_tokens(SPECIAL_TOKENS[:3]), "added_tokens.json": b'{"<|im_end|>": 1}'}
    merged = merge(plain)
    read = Tokenizer.from_files(merged.tokenizer.files, where="merged")
    assert read.encode(TEXT) == merged.tokenizer.encode(TEXT)
    settings = json.loads(merged.tokenizer.files["tokenizer_config.json"])
    for token, number in merged.added.items():
        described = settings["added_tokens_decoder"][str(number)]
        assert (described["content"], described["special"]) == (token, True)
        assert token in settings["additional_special_tokens"]
    assert len(settings["additional_special_tokens"]) == len(set(settings["additional_special_tokens"]))
    assert json.loads(merged.tokenizer.files["added_tokens.json"]) == {"<|im_end|>": 1, **merged.added}


def test_transformers_reads_the_same_ids(tmp_path: Any) -> None:
    transformers = pytest.importorskip("transformers")
    merged = merge(with_tokens(SPECIAL_TOKENS[:3]))
    for name, data in merged.tokenizer.files.items():
        (tmp_path / name).write_bytes(data)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert theirs.encode(TEXT, add_special_tokens=False) == merged.tokenizer.encode(TEXT)


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("language", "problem"),
    [
        (SPECIAL_TOKENS[:9] + SPECIAL_TOKENS[10:], r"mimo: number \d+ is '<\|vision_end\|>' there and <\|vision_start"),
        (
            ("<|im_start|>", "<|endoftext|>", *SPECIAL_TOKENS[2:]),
            r"<\|endoftext\|> is number \d+ there and \d+ in qwen",
        ),
        ((*SPECIAL_TOKENS[:3], "<|tool|>"), r"number \d+ is '<\|tool\|>' there and <\|object_ref_start\|> in qwen"),
    ],
)
def test_an_id_that_is_taken_or_moved_is_refused(language: tuple[str, ...], problem: str) -> None:
    with pytest.raises(CheckpointError, match=problem):
        merge(with_tokens(language))


def test_a_vocabulary_that_would_leave_a_gap_is_refused() -> None:
    """The published ids lie further on than the next free one: they cannot be reached."""
    far = with_tokens((*SPECIAL_TOKENS[:3], "<|tool|>", *SPECIAL_TOKENS[3:]))
    problem = r"<\|object_ref_start\|> would be number \d+ there and \d+ in qwen; ids are rows of the embedding"
    with pytest.raises(CheckpointError, match=problem):
        merge_tokenizer(with_tokens(SPECIAL_TOKENS[:3]), far, 10_000, where=("mimo", "qwen"))


def test_an_embedding_with_too_few_rows_is_refused() -> None:
    wanted = Tokenizer.from_files(published(), where="qwen")
    first = wanted.id("<|vision_start|>")
    with pytest.raises(CheckpointError, match=rf"mimo: its embedding has {first} rows, <\|vision_start\|> is number"):
        merge(published(), first)
    more = with_tokens((*SPECIAL_TOKENS, "<|tool|>"))
    with pytest.raises(
        CheckpointError, match=rf"the tokenizer has {len(wanted) + 1} tokens, the embedding {len(wanted)}"
    ):
        merge(more, len(wanted))


def test_missing_files_are_named_with_their_folder() -> None:
    with pytest.raises(CheckpointError, match="mimo: tokenizer.json is missing"):
        merge({})
    with pytest.raises(CheckpointError, match="qwen: tokenizer.json is missing"):
        merge_tokenizer(published(), {}, 10_000, where=("mimo", "qwen"))
