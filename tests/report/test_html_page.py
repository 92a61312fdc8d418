from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

import pytest
from jinja2 import UndefinedError

from mimovl.report import write_report
from mimovl.report.html_page import render_template, write_page


def test_a_page_without_its_content_is_an_error_not_a_hole() -> None:
    with pytest.raises(UndefinedError):
        render_template("report.html.j2")


def test_the_policy_names_the_script_that_is_inside(own_run: Path) -> None:
    finished_page = write_report(own_run).read_text("utf-8")
    script = re.search(r"<script>(.*?)</script>", finished_page, re.DOTALL)
    assert script is not None
    digest = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()
    assert f"sha256-{digest}" in finished_page


def test_a_page_is_replaced_in_one_go_and_a_failure_keeps_the_old_one(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "page.html"
    write_page(path, "old")
    write_page(path, "new \ud800")
    assert path.read_text("utf-8") == "new ?" and [*tmp_path.iterdir()] == [path]
    monkeypatch.setattr(Path, "replace", lambda self, other: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        write_page(path, "newer")
    assert path.read_text("utf-8") == "new ?" and [*tmp_path.iterdir()] == [path]
