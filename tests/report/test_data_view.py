"""The page of a dataset is one file that loads nothing and runs nothing from the data."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from mimovl.errors import UsageError
from mimovl.report.data_view import write_data_view
from mimovl.store import DatasetWriter
from tests.curate.pipeline.parts import caption, picture

HOSTILE = '</style><script>alert("x")</script><img src="http://example.org/x.png" onerror="alert(1)">'
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def written(folder: Path) -> Path:
    with DatasetWriter(folder) as writer:
        for number in range(12):
            sample = caption(f"s{number}", HOSTILE * (number % 3), picture(number))
            writer.add(
                replace(sample, task=HOSTILE if number == 5 else "counting", source=HOSTILE, meta={"x": HOSTILE})
            )
        writer.drop(HOSTILE, HOSTILE, HOSTILE)
    return folder


def test_everything_is_inside_and_what_the_data_says_is_text(tmp_path: Path) -> None:
    path = write_data_view(written(tmp_path / "set"))
    html = path.read_text("utf-8")
    assert path == tmp_path / "set.html" and not list(tmp_path.glob(".*partial"))
    assert len(re.findall(r"<script", html)) == 1 and '<img src="http' not in html
    assert set(re.findall(r'(?:src|href)="([a-z]+:)', html)) == {"data:"}
    assert "default-src 'none'" in html and html.count('<article class="card') == 12


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such dataset folder"):
        write_data_view(tmp_path / "none")
    assert write_data_view(written(tmp_path / "set"), tmp_path / "a" / "b.html").is_file()


@pytest.mark.engines
@pytest.mark.skipif(BROWSER is None, reason="Chromium is not installed: apt-get install chromium")
def test_a_browser_filters_the_samples_and_complains_of_nothing(tmp_path: Path) -> None:
    path = write_data_view(written(tmp_path / "set"))
    click = "document.querySelector('button[data-value=\"counting\"]').click()"
    count = "document.querySelectorAll('.card:not([hidden])').length"
    html = path.read_text("utf-8")
    policy = re.search(r"script-src '[^']+'", html)
    assert policy is not None
    html = html.replace(policy[0], "script-src 'unsafe-inline'").replace(
        "</body>", f"<script>{click}; document.title = 'shown ' + {count}</script></body>"
    )
    path.write_text(html, "utf-8")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", f"--user-data-dir={tmp_path}/p"]
    command = [str(BROWSER), *flags, "--dump-dom", path.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert "<title>shown 11</title>" in done.stdout
    assert "CONSOLE" not in done.stderr
