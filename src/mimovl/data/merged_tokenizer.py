"""The tokenizer of an assembled model: the language model's own, with every vision token under its published id.

Ids are rows of the embedding, so none can be moved: a token that is there must have the published id, and one that is
not takes its published id if that is free and the embedding has a row for it. MiMo-7B's tokenizer is Qwen2.5's and has
them all; a plain Qwen2 tokenizer ends before them and takes them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from tokenizers import AddedToken

from mimovl.data.chat_template import read_table
from mimovl.data.tokenizer import SPECIAL_TOKENS, Tokenizer
from mimovl.errors import CheckpointError

__all__ = ["MergedTokenizer", "merge_tokenizer"]

_FLAGS = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": True}


@dataclass(frozen=True)
class MergedTokenizer:
    """The tokenizer, and what was done to it."""

    tokenizer: Tokenizer
    added: dict[str, int]
    """Tokens that the language model's tokenizer did not have, with their ids."""


def merge_tokenizer(
    language: Mapping[str, bytes], vision: Mapping[str, bytes], vocab_size: int, *, where: tuple[str, str]
) -> MergedTokenizer:
    """Give a language model's tokenizer the control tokens of a vision-language model.

    Args:
        language: tokenizer files of the language model, by name.
        vision: those of the vision-language model, whose ids count.
        vocab_size: rows of the language model's embedding.
        where: both folders, for messages.

    Raises:
        CheckpointError: a file is missing, or a token cannot have its published id; names token, ids and folders.
    """
    own = Tokenizer.from_files(dict(language), where=where[0])
    published = {token: Tokenizer.from_files(dict(vision), where=where[1]).id(token) for token in SPECIAL_TOKENS}
    added: dict[str, int] = {}
    for token, wanted in sorted(published.items(), key=lambda pair: pair[1]):
        if wanted >= vocab_size:
            raise CheckpointError(
                f"{where[0]}: its embedding has {vocab_size} rows, {token} is number {wanted} in {where[1]}; "
                "the language model has no room for the vision tokens"
            )
        found = own.backend.token_to_id(token)
        if found is None:
            if (holder := own.backend.id_to_token(wanted)) is not None:
                raise CheckpointError(
                    f"{where[0]}: number {wanted} is {holder!r} there and {token} in {where[1]}; the two checkpoints "
                    "have different vocabularies"
                )
            own.backend.add_special_tokens([AddedToken(token, normalized=False, special=True)])
            found = own.id(token)
            added[token] = wanted
        if found != wanted:
            how = "would be" if token in added else "is"
            raise CheckpointError(
                f"{where[0]}: {token} {how} number {found} there and {wanted} in {where[1]}; ids are rows of the "
                "embedding and cannot be moved, so the two checkpoints do not go together"
            )
    if len(own) > vocab_size:
        raise CheckpointError(
            f"{where[0]}: the tokenizer has {len(own)} tokens, the embedding {vocab_size} rows; they belong to "
            "different checkpoints"
        )
    return MergedTokenizer(Tokenizer(own.backend, _files(own, added, where[0])), added)


def _files(own: Tokenizer, added: Mapping[str, int], where: str) -> dict[str, bytes]:
    """The language model's files with the added tokens in all of them, and without its chat template."""
    files = dict(own.files)
    config = read_table(files, "tokenizer_config.json", where=where)
    changed = config.pop("chat_template", None) is not None
    if added:
        files["tokenizer.json"] = own.backend.to_str().encode()
        described = {str(number): {"content": token, **_FLAGS} for token, number in added.items()}
        config["added_tokens_decoder"] = {**config.get("added_tokens_decoder", {}), **described}
        extra = [token for token in config.get("additional_special_tokens") or [] if token not in added]
        config["additional_special_tokens"] = [*extra, *added]
        if "added_tokens.json" in files:
            table = read_table(files, "added_tokens.json", where=where)
            files["added_tokens.json"] = json.dumps({**table, **added}, indent=2, ensure_ascii=False).encode()
    if changed or added:
        files["tokenizer_config.json"] = json.dumps(config, indent=2, ensure_ascii=False).encode()
    return files
