"""A dataset → one HTML file to look at it: counts, steps, drops, lengths, samples with their boxes.

    mimovl data view runs/photos     →     runs/photos.html

Written like the report: nothing is loaded from elsewhere, everything from the data is escaped, and the page's policy
lets only our own script run. The dataset's folder is left as it is.
"""

from __future__ import annotations

import base64
import hashlib
import os
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from mimovl import __version__
from mimovl.report.dataset_facts import DatasetPage, dataset_page
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
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_text(render_dataset(page), "utf-8", errors="replace")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path


def render_dataset(page: DatasetPage) -> str:
    """The page as text."""
    environment = Environment(
        loader=PackageLoader("mimovl.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    assert environment.loader is not None
    script = environment.loader.get_source(environment, "script.js")[0]
    style = environment.loader.get_source(environment, "style.css")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.get_template("data.html.j2").render(
        page=page, style=Markup(style), script=Markup(script), script_hash=f"sha256-{digest}", version=__version__
    )
