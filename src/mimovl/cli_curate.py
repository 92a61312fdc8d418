"""The verbs of curation; ``cli`` adds them to the command line.

mimovl decontaminate DATASET --against FOLDER_OR_TASK leave out what a benchmark asks about, with an audit
mimovl curate metadata --corpus FILE --out FILE       what captions are balanced by, from any corpora
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
    curate = typer.Typer(help="Raw files → samples.", no_args_is_help=True, rich_markup_mode=None)
    curate.command("metadata")(curate_metadata)
    app.add_typer(curate, name="curate")


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


def curate_metadata(
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Metadata file to make, e.g. metadata.tsv.")],
    corpus: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Texts: .txt, .jsonl (also .gz) or .parquet; may be given again."),
    ] = None,
    titles: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="Titles, each an entry as it stands; may be given again.")
    ] = None,
    min_count: Annotated[int, typer.Option(min=1, metavar="N", help="Times an entry is met in the corpora.")] = 20,
    pmi: Annotated[float, typer.Option(metavar="BITS", help="Mutual information of two English words.")] = 5.0,
    chinese_pmi: Annotated[float, typer.Option(metavar="BITS", help="Of the parts of a Chinese sequence.")] = 4.0,
    freedom: Annotated[float, typer.Option(metavar="BITS", help="Entropy of a Chinese sequence's neighbours.")] = 1.0,
    limit: Annotated[int, typer.Option(min=1, metavar="N", help="Most entries of each origin.")] = 500_000,
    column: Annotated[str, typer.Option(metavar="NAME", help="Field of the corpora that holds the text.")] = "",
) -> None:
    """Build what captions are balanced by: titles, words, English and Chinese n-grams that meet oftener than chance."""
    from mimovl.curate.caption import MetadataSettings, build_metadata

    settings = MetadataSettings(
        min_count=min_count, pmi=pmi, chinese_pmi=chinese_pmi, freedom=freedom, limit=limit, column=column
    )

    def told(name: str, read: int) -> None:
        print(f"{name}: {read} texts", file=sys.stderr)

    summary = build_metadata(out, corpus or [], titles or [], settings, progress=told)
    kinds = ", ".join(f"{count} {kind}" for kind, count in summary["by_origin"].items())
    print(f"{out}: {summary['entries']} entries ({kinds}) from {summary['texts']} texts, {summary['titles']} titles")


def progress_line(what: str) -> Callable[[int, int], None]:
    """A line on the terminal that counts up in place."""

    def show(done: int, total: int) -> None:
        print(f"\r{done} of {total} {what}", end="\n" if done == total else "", file=sys.stderr, flush=True)

    return show
