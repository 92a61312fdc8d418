"""A template of ours → one HTML file that needs nothing else, written in one go.

Styles and script are inside; everything else is escaped by the template engine, and the page's content security policy
lets nothing load and only our own script (by its hash) run.
"""

from __future__ import annotations

import base64
import hashlib
import os
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

__all__ = ["render_template", "write_page"]


def render_template(name: str, **content: Any) -> str:
    """A template of ``mimovl.report`` with its style and script and what it is to show, as text."""
    environment = Environment(
        loader=PackageLoader("mimovl.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    assert environment.loader is not None
    script, style = (environment.loader.get_source(environment, file)[0] for file in ("script.js", "style.css"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.get_template(name).render(
        style=Markup(style), script=Markup(script), script_hash=f"sha256-{digest}", **content
    )


def write_page(path: Path, text: str) -> None:
    """Put a page under its name in one go; whoever opens it sees the old one or the new one."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_text(text, "utf-8", errors="replace")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
