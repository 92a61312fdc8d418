"""The verbs of curation; ``cli`` adds them to the command line.

mimovl curate RECIPE --out DIR                        sources → steps → a dataset, resumable
mimovl curate explain ID                              what each step made of one sample
mimovl curate metadata --corpus FILE --out FILE       what captions are balanced by, from any corpora
mimovl decontaminate DATASET --against FOLDER_OR_TASK leave out what a benchmark asks about, with an audit
mimovl data view DATASET                              counts, lengths and pictures of a dataset as one page
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

__all__ = ["add_curation", "curate_app", "progress_line"]


class _RunByDefault(TyperGroup):
    """``mimovl curate RECIPE`` is short for ``mimovl curate run RECIPE``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] != "--help":
            args = ["run", *args]
        return super().parse_args(ctx, args)


_SETTINGS: dict[str, Any] = dict(
    add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True, rich_markup_mode=None
)
curate_app = typer.Typer(
    cls=_RunByDefault,
    help="Turn sources into a dataset as a recipe says: mimovl curate RECIPE --out DIR.",
    **_SETTINGS,
)
data_app = typer.Typer(help="Look at datasets.", **_SETTINGS)


def add_curation(app: typer.Typer) -> None:
    """Add the verbs."""
    curate_app.command("metadata")(curate_metadata)
    app.add_typer(curate_app, name="curate")
    app.add_typer(data_app, name="data")
    app.command()(decontaminate)


@data_app.callback()
def _data() -> None:
    """Look at datasets."""


@data_app.command("view")
def data_view(
    dataset: Annotated[Path, typer.Argument(metavar="DATASET", help="A dataset folder; left as it is.")],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="The page; else DATASET.html beside the folder.")
    ] = None,
) -> None:
    """Write a dataset as one HTML page: counts, drops, lengths, samples with their boxes; print its path."""
    from mimovl.report.data_view import write_data_view

    print(write_data_view(dataset, out))


@curate_app.command("run")
def curate_run(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="A recipe, e.g. recipes/curate-bccd.yaml.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="The dataset's folder; an unfinished one resumes.")],
    allow_network: Annotated[
        bool, typer.Option("--allow-network", help="Fetch media that records name by URL; else they are dropped.")
    ] = False,
    workers: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="Processes; the output does not depend on it.")
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="A.B=VALUE", help="Override a value of the recipe; may be given again."),
    ] = None,
) -> None:
    """Read the recipe's sources, apply its steps and write the dataset; what is dropped is listed with its reason."""
    from mimovl.pipeline.curate import run_curation

    extra = [f"workers={workers}"] if workers is not None else []
    print(run_curation(recipe, out, [*(overrides or []), *extra], allow_network=allow_network))


@curate_app.command("explain")
def curate_explain(
    sample: Annotated[str, typer.Argument(metavar="ID", help="A sample's id, kept or dropped.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="The dataset; without it the one here or below that knows the id."),
    ] = None,
) -> None:
    """Tell what each step of a curation made of one sample."""
    from mimovl.curate.pipeline.story import explain, find_curation

    print(explain(out or find_curation(sample, Path()), sample))


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
