"""Byte-level BPE with Qwen's pre-tokeniser and special tokens, on the ``tokenizers`` library.

``train_tokenizer`` learns one from a run's own corpus; ``Tokenizer`` reads any Qwen checkpoint's ``tokenizer.json``.
Any Unicode text encodes; digits are single tokens, coordinates in brackets may be whole ones.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path

import tokenizers
from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers, trainers

from mimovl.errors import CheckpointError, DataError

__all__ = ["SPECIAL_TOKENS", "Tokenizer", "train_tokenizer"]

SPECIAL_TOKENS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|object_ref_start|>",
    "<|object_ref_end|>",
    "<|box_start|>",
    "<|box_end|>",
    "<|quad_start|>",
    "<|quad_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
"""Qwen2.5's control tokens, in its order."""
STRUCTURE_TOKENS = (
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
"""Those that only a chat template writes: they open turns and hold places for pictures."""
PLAIN_TOKENS = ("<think>", "</think>")
"""Single tokens that are ordinary text: they survive decoding."""

_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+"
    r"|(?<=[\[,])\p{N}{1,3}(?=[,\]])|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""Qwen2.5's pre-tokeniser with one addition, ours: a number of up to three digits within brackets, as in
[12,34,156,78], may be one token. A box is then nine tokens instead of seventeen and each coordinate one decision;
all other digits stay apart, as worked arithmetic needs them."""


class Tokenizer:
    """Text to ids and back.

    Args:
        backend: a ``tokenizers.Tokenizer``.
        files: the files it came from, by name, kept verbatim for the next checkpoint.
    """

    def __init__(self, backend: tokenizers.Tokenizer, files: dict[str, bytes] | None = None) -> None:
        self.backend = backend
        self.files = files or _checkpoint_files(backend)
        self.im_start = self.id("<|im_start|>")
        self.im_end = self.id("<|im_end|>")
        self.end_of_text = self.id("<|endoftext|>")

    @classmethod
    def from_files(cls, files: dict[str, bytes], *, where: str) -> Tokenizer:
        """Read ``tokenizer.json`` among a checkpoint's files.

        Raises:
            CheckpointError: it is missing or unreadable.
        """
        data = files.get("tokenizer.json")
        if data is None:
            raise CheckpointError(f"{where}: tokenizer.json is missing; copy the tokenizer files beside the weights")
        try:
            backend = tokenizers.Tokenizer.from_str(data.decode("utf-8"))
        except Exception as error:  # the library raises bare Exception
            raise CheckpointError(f"{where}: tokenizer.json cannot be read ({error})") from None
        own = ("tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt", "added_tokens.json")
        return cls(backend, {name: files[name] for name in (*own, "special_tokens_map.json") if name in files})

    @classmethod
    def from_folder(cls, path: str | Path) -> Tokenizer:
        """The tokenizer of a checkpoint folder."""
        from mimovl.model.hf_checkpoint import read_side_files

        return cls.from_files(read_side_files(path), where=str(path))

    @cached_property
    def special_ids(self) -> frozenset[int]:
        """Tokens that are no text: they are left out where tokens are read."""
        added = self.backend.get_added_tokens_decoder()
        return frozenset(number for number, token in added.items() if token.special)

    def __len__(self) -> int:
        return int(self.backend.get_vocab_size(with_added_tokens=True))

    def number(self, text: str) -> int | None:
        """The id of a text that is one token."""
        found: int | None = self.backend.token_to_id(text)
        return found

    def id(self, token: str) -> int:
        """The id of a token.

        Raises:
            CheckpointError: the vocabulary lacks it.
        """
        number = self.number(token)
        if number is None:
            raise CheckpointError(f"the tokenizer has no token {token!r}; it is not a Qwen2.5-VL tokenizer")
        return number

    def numbers(self) -> dict[int, int]:
        """Tokens that are a whole number in decimal digits: id to value."""
        found = {number: self.decode([number]) for number in range(len(self))}
        return {number: int(text) for number, text in found.items() if text.isascii() and text.isdecimal()}

    def encode(self, text: str) -> list[int]:
        """Ids of a text; control tokens written in it become their ids.

        Raises:
            DataError: the text is not valid Unicode (a lone surrogate).
        """
        try:
            return list(self.backend.encode(text, add_special_tokens=False).ids)
        except TypeError:
            raise DataError(f"text with a lone surrogate cannot be encoded: {ascii(text[:80])}") from None

    def decode(self, ids: Sequence[int], *, keep_special: bool = False) -> str:
        """The text of ids, without control tokens unless asked."""
        return str(self.backend.decode(list(ids), skip_special_tokens=not keep_special))


def train_tokenizer(texts: Iterable[str], vocab_size: int) -> Tokenizer:
    """Learn a byte-level BPE vocabulary.

    Args:
        texts: the corpus.
        vocab_size: size including bytes and special tokens; less if the corpus has no more pairs to merge.

    Raises:
        DataError: not even the bytes and special tokens fit.
    """
    if vocab_size < (least := 256 + len(SPECIAL_TOKENS) + len(PLAIN_TOKENS)):
        raise DataError(f"a vocabulary of {vocab_size} has no room for 256 bytes and control tokens; at least {least}")
    backend = tokenizers.Tokenizer(models.BPE())
    backend.normalizer = normalizers.NFC()
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size - len(SPECIAL_TOKENS) - len(PLAIN_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        min_frequency=2,
        show_progress=False,
    )
    # Control tokens are cut out first, as in use: otherwise "<think>\n\n" teaches merges that never occur again.
    control = re.compile("|".join(map(re.escape, SPECIAL_TOKENS + PLAIN_TOKENS)))
    backend.train_from_iterator((piece for text in texts for piece in control.split(text) if piece), trainer)
    backend.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in SPECIAL_TOKENS])
    backend.add_tokens([AddedToken(token, normalized=False, special=False) for token in PLAIN_TOKENS])
    return Tokenizer(backend)


def _checkpoint_files(backend: tokenizers.Tokenizer) -> dict[str, bytes]:
    """The files ``Qwen2Tokenizer`` and other readers of a checkpoint expect."""
    description = json.loads(backend.to_str())
    model = description["model"]
    merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in model["merges"]]
    added = {
        str(token["id"]): {key: token[key] for key in token if key != "id"} for token in description["added_tokens"]
    }
    config = {
        "tokenizer_class": "Qwen2Tokenizer",
        "added_tokens_decoder": added,
        "additional_special_tokens": list(SPECIAL_TOKENS[1:]),
        "bos_token": None,
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "unk_token": None,
        "add_bos_token": False,
        "add_prefix_space": False,
        "clean_up_tokenization_spaces": False,
        "errors": "replace",
        "split_special_tokens": False,
        "model_max_length": 131072,
    }
    return {
        "tokenizer.json": json.dumps(description, ensure_ascii=False).encode(),
        "tokenizer_config.json": json.dumps(config, indent=2, ensure_ascii=False).encode(),
        "vocab.json": json.dumps(model["vocab"], ensure_ascii=False).encode(),
        "merges.txt": ("#version: 0.2\n" + "\n".join(merges) + "\n").encode(),
    }
