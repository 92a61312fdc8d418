"""answers.jsonl: a line for each question in each mode; appended as answers come, so a killed run loses nothing."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from mimovl.atomic import write_file
from mimovl.errors import UsageError

__all__ = ["Answer", "AnswerLog", "as_json", "read_answers", "write_json"]

Answer = dict[str, Any]
"""One line: id, task, mode, language, prompt, media, width, height, gold, completion, answer, score, reward, outcome,
rule, tokens, finish_reason, cluster, extra."""

_NEEDED = ("id", "mode", "task", "score", "reward", "outcome", "cluster")


def read_answers(path: Path | str) -> list[Answer]:
    """Read an answers.jsonl; a torn or damaged line is left out, of a repeated (id, mode) the first is kept.

    Raises:
        UsageError: there is no such file.
    """
    path = Path(path)
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise UsageError(f"cannot read {path} ({error.strerror}); run `mimovl evaluate` first") from error
    answers: dict[tuple[str, str], Answer] = {}
    for line in lines:
        try:
            answer = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(answer, dict) and all(name in answer for name in _NEEDED):
            answers.setdefault((str(answer["id"]), str(answer["mode"])), answer)
    return list(answers.values())


class AnswerLog:
    """The growing answers.jsonl of one evaluation; what it holds already is not asked again.

    Args:
        path: the file; made by the first answers.
        fingerprint: what identifies the model, kept in a file beside; empty for unknown.

    Raises:
        UsageError: the answers there are of a model with another fingerprint.
    """

    def __init__(self, path: Path | str, fingerprint: str = "") -> None:
        self.path = Path(path)
        self.answers: dict[tuple[str, str], Answer] = {}
        beside = self.path.with_name("model.json")
        if self.path.exists():
            known = _read_fingerprint(beside)
            if fingerprint and known and fingerprint != known:
                raise UsageError(
                    f"{self.path} holds answers of model {known[:40]!r}, not of {fingerprint[:40]!r}; "
                    "delete it or choose another folder"
                )
            self._mend()
            self.answers = {(str(answer["id"]), str(answer["mode"])): answer for answer in read_answers(self.path)}
        if fingerprint:
            write_json(beside, {"fingerprint": fingerprint})

    def _mend(self) -> None:
        """Cut off a last line that has no end: its writer was killed in it."""
        with self.path.open("r+b") as file:
            data = file.read()
            file.truncate(data.rfind(b"\n") + 1)

    def append(self, answers: Iterable[Answer]) -> None:
        """Write lines and put them on the disk before returning."""
        answers = [as_json(answer) for answer in answers]
        with self.path.open("ab") as file:
            for answer in answers:
                file.write(_encode(answer) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        for answer in answers:
            self.answers[str(answer["id"]), str(answer["mode"])] = answer

    def select(self, keys: Sequence[tuple[str, str]]) -> list[Answer]:
        """The answers with these (id, mode)."""
        return [self.answers[key] for key in keys]


def _read_fingerprint(path: Path) -> str:
    try:
        return str(json.loads(path.read_bytes())["fingerprint"])
    except (OSError, ValueError, TypeError, KeyError):
        return ""


def as_json(value: Any) -> Any:
    """The value as it will be read back: tuples are lists, numbers that JSON lacks are text."""
    return json.loads(_encode(value))


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file whole or not at all."""
    write_file(path, _encode(value, indent=1) + b"\n")


def _encode(value: Any, *, indent: int | None = None) -> bytes:
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, default=str, indent=indent)
    # a lone surrogate, which a byte-level tokenizer may emit, becomes the JSON escape \udXXX
    return text.encode("utf-8", errors="backslashreplace")
