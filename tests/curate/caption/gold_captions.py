"""The labelled captions of ``gold/``: our own texts, each under a heading that gives label, language and reason."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent / "gold"
LABELS = {"clean", "mixed", "other_language", "loop"}


@dataclass(frozen=True)
class GoldCaption:
    """A caption and what a filter should say of it."""

    text: str
    label: str
    language: str
    why: str


def gold_captions() -> list[GoldCaption]:
    """All of them, in the order of the files."""
    found = []
    for path in sorted(FOLDER.glob("*.txt")):
        heading = ["", "", ""]
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.startswith("## "):
                heading = [part.strip() for part in line[3:].split(" | ")]
                assert heading[0] in LABELS and len(heading) == 3, line
            elif line and not line.startswith("# "):
                text = re.sub("‹(.*?)›\\*(\\d+)", lambda match: match[1] * int(match[2]), line).replace("\\n", "\n")
                found.append(GoldCaption(text.strip(), *heading))
    return found
