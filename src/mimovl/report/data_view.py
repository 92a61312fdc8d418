"""A dataset → one HTML file to look at it: counts, steps, drops, lengths, samples with their boxes.

    mimovl data view runs/photos     →     runs/photos.html

Written like the report: nothing is loaded from elsewhere, everything from the data is escaped, and the page's policy
lets only our own script run. The dataset's folder is left as it is.
"""

from __future__ import annotations

from pathlib import Path

from mimovl import __version__
from mimovl.report.dataset_facts import DatasetPage, dataset_page
from mimovl.report.html_page import render_template, write_page
from mimovl.store import Dataset

__all__ = ["render_dataset", "write_data_view"]


def write_data_view(dataset: Path, out: Path | None = None) -> Path:
    """Write a dataset's page and return its path.

    Args:
        dataset: the folder; files of it that are damaged are left out and named.
        out: the file; unset: the folder's name with ``.html`` beside it.

    Raises:
        UsageError: there is no such folder.
        DataError: it is no dataset.
    """
    page = dataset_page(Dataset.open(dataset, skip_damaged=True))
    path = out or dataset.absolute().with_name(f"{dataset.absolute().name}.html")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_page(path, render_dataset(page))
    return path


def render_dataset(page: DatasetPage) -> str:
    """The page as text."""
    return render_template("data.html.j2", page=page, version=__version__)
