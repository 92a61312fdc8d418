"""The verbs of curation; ``cli`` adds them to the command line.

mimovl decontaminate DATASET --against FOLDER_OR_TASK leave out what a benchmark asks about, with an audit
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["add_curation", "progress_line"]


def add_curation(app: typer.Typer) -> None:
    """Add the verbs."""
    app.command()(decontaminate)


def decontaminate(
    dataset: Annotated[Path, typer.Argument(metavar="DATASET", help="A training set's dataset folder; left as it is.")],
    against: Annotated[
        list[str],
        typer.Option(metavar="PATH_OR_TASK", help="Dataset, picture folder, JSONL, or evaluation task; repeatable."),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Folder to make; else DATASET-decontaminated.")
    ] = None,
) -> None:
    """Leave out what a benchmark asks about: its pictures in any orientation, its questions; audit.html shows pairs."""
    from mimovl.pipeline.decontaminate import decontaminate_dataset

    progress = progress_line("samples") if sys.stderr.isatty() else None
    audit, folder = decontaminate_dataset(dataset, against, out, progress=progress)
    print(audit)
    print(folder / "audit.html")


def progress_line(what: str) -> Callable[[int, int], None]:
    """A line on the terminal that counts up in place."""

    def show(done: int, total: int) -> None:
        print(f"\r{done} of {total} {what}", end="\n" if done == total else "", file=sys.stderr, flush=True)

    return show
