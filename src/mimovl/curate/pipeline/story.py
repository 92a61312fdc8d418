"""What happened to one sample of a curation, step by step, in words.

explain("runs/photos", "photos/7")
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from mimovl.curate.pipeline.finish import EVENTS_FILE
from mimovl.errors import DataError, UsageError
from mimovl.store import Dataset

__all__ = ["explain", "find_curation"]

_DEEP = 4


def explain(folder: Path | str, sample_id: str) -> str:
    """A sample's story, lines of text; where a step made it of another, that one's first.

    Raises:
        UsageError: the dataset has met no sample of that id, or was made by no curation.
    """
    dataset = Dataset.open(folder)
    if EVENTS_FILE not in dataset.manifest["files"]:
        raise UsageError(f"{folder} was not made by mimovl curate, so nothing is known of how its samples came about")
    labels = [step["step"] for step in dataset.manifest["steps"]]
    lines = _story(dataset.path, sample_id, labels, 0)
    if not lines:
        raise UsageError(f"{folder} has met no sample with the id {sample_id!r}")
    return "\n".join(lines)


def _story(folder: Path, sample_id: str, labels: Sequence[str], depth: int) -> list[str]:
    rows = _rows(folder, sample_id)
    parts: list[list[str]] = []
    for life in _lives(rows):
        first = life[0]
        lines: list[str] = []
        if first["what"] == "made" and depth < _DEEP and first["reason"] != sample_id:
            lines += _story(folder, first["reason"], labels, depth + 1)
        lines.append(sample_id)
        parts.append(lines + [f"  {line}" for line in _told(life, labels)])
    return [line for part in parts for line in part]


def _told(life: Sequence[dict[str, Any]], labels: Sequence[str]) -> list[str]:
    """One line a step."""
    by_step: dict[int, list[dict[str, Any]]] = {}
    for row in life:
        by_step.setdefault(row["step"], []).append(row)
    lines = []
    for step in range(life[0]["step"], len(labels) - 1):
        label = f"{labels[step + 1]:<20}"
        found = by_step.get(step, [])
        for row in found:
            match row["what"]:
                case "read":
                    lines.append(f"{label} from {row['detail']}")
                case "made":
                    why = f"; {row['detail']}" if row["detail"] else ""
                    lines.append(f"{label} made of {row['reason']}{why}")
                case "changed":
                    lines.append(f"{label} changed: {row['detail']}")
                case "split":
                    lines.append(f"{label} became {row['detail']}")
                case _:
                    detail = f": {row['detail']}" if row["detail"] else ""
                    lines.append(f"{label} dropped, {row['reason']}{detail}")
        if any(row["what"] in ("dropped", "split") for row in found):
            return lines
        if not found:
            lines.append(f"{label} kept" if step < len(labels) - 2 else f"{label} kept, in the dataset")
    return lines


def _lives(rows: Sequence[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Rows of one id apart where several samples shared it: a life begins by being read or made, or with its drop."""
    lives: list[list[dict[str, Any]]] = []
    for row in rows:
        if not lives or row["what"] in ("read", "made") or row["step"] < lives[-1][-1]["step"]:
            lives.append([])
        lives[-1].append(row)
    return lives


def _rows(folder: Path, sample_id: str) -> list[dict[str, Any]]:
    try:
        table = pq.read_table(folder / EVENTS_FILE, filters=[("id", "==", sample_id)])
    except (OSError, ValueError) as error:
        raise DataError(f"{folder / EVENTS_FILE} cannot be read ({error}); the dataset is damaged") from None
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


def find_curation(sample_id: str, below: Path) -> Path:
    """The one curated dataset at or below a folder (two levels down) that has met a sample.

    Raises:
        UsageError: there is none, or several.
    """
    manifests = [path for depth in ("", "*/", "*/*/") for path in sorted(below.glob(f"{depth}{EVENTS_FILE}"))]
    folders = list({path.resolve(): path.parent.parent for path in reversed(manifests)}.values())[::-1]
    found = [folder for folder in folders if _rows(folder, sample_id)]
    if len(found) == 1:
        return found[0]
    if found:
        listed = ", ".join(map(str, found))
        raise UsageError(f"{len(found)} datasets have met {sample_id!r}: {listed}; name one with --out")
    where = (
        f"none of the {len(folders)} curated datasets below {below} has"
        if folders
        else f"no curated dataset below {below} has"
    )
    raise UsageError(f"{where} met a sample with the id {sample_id!r}; name the dataset with --out DIR")
