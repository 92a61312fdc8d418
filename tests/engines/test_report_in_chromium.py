"""The report in a real browser: its script runs under its policy, it fits a phone, follows dark mode, and prints."""

from __future__ import annotations

import html
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from mimovl.report import write_report
from tests.report.run_directory import write_run

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run", "--enable-logging=stderr",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
MEASURE = """
<script>
  const width = document.documentElement.clientWidth;
  const wide = [...document.querySelectorAll("body *")].filter(
    (one) => one.getBoundingClientRect().right > width + 1 && !one.closest(".scroll, nav, .command, pre"));
  parent.document.getElementById("result").textContent =
    `${document.documentElement.scrollWidth - width} ${wide.slice(0, 5).map((one) => one.outerHTML.slice(0, 80))}`;
</script>
"""
USE = """
<script>
  const click = (key, value) => document.querySelector(`button[data-key="${key}"][data-value="${value}"]`).click();
  const open = () => [...document.querySelectorAll(".card:not([hidden])")];
  click("task", "grounding");
  click("outcome", "wrong");
  const right = open().every((card) => card.dataset.task === "grounding" && card.dataset.outcome === "wrong");
  click("outcome", "");
  const count = open().length;
  const box = document.querySelector("svg[data-plot]").getBoundingClientRect();
  const at = { clientX: box.left + box.width / 2, clientY: box.top + 40, bubbles: true };
  document.querySelector("svg[data-plot]").dispatchEvent(new PointerEvent("pointermove", at));
  document.title = `${right} ${count} ${document.getElementById("hint").textContent.replace("\\n", ", ")}`;
</script>
"""

pytestmark = [
    pytest.mark.engines,
    pytest.mark.skipif(BROWSER is None, reason="Chromium is not installed: apt-get install chromium"),
]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(write_run(tmp_path_factory.mktemp("runs") / "tiny"))


def browse(page: Path, profile: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    command = [str(BROWSER), *FLAGS, f"--user-data-dir={profile}", *flags, page.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)


def test_its_script_runs_and_nothing_complains(report: Path, tmp_path: Path) -> None:
    seen = browse(report, tmp_path, "--dump-dom")
    assert '<html lang="en" class="js">' in seen.stdout
    shown = re.search(r"(\d+) of (\d+) shown", seen.stdout)
    assert shown and shown[1] == shown[2] != "0"
    assert "CONSOLE" not in seen.stderr


@pytest.mark.parametrize("width", [320, 390, 768, 1024, 1280])
def test_nothing_sticks_out_at_the_side(report: Path, tmp_path: Path, width: int) -> None:
    text = re.sub(r"<meta http-equiv=[^>]*>", "", report.read_text("utf-8")).replace("</body>", f"{MEASURE}</body>")
    frame = f'<iframe width="{width}" height="900" style="border:0" srcdoc="{html.escape(text)}"></iframe>'
    wrapper = tmp_path / "wrapper.html"
    wrapper.write_text(f'<!doctype html><meta charset="utf-8"><p id="result"></p>{frame}', "utf-8")
    seen = browse(wrapper, tmp_path / "profile", "--window-size=1600,1000", "--dump-dom")
    result = re.search(r'<p id="result">(.*?)</p>', seen.stdout, re.DOTALL)
    assert result is not None
    assert result[1].strip() == "0", result[1]


def test_filters_and_values_under_the_pointer_work(report: Path, tmp_path: Path) -> None:
    text = re.sub(r"<meta http-equiv=[^>]*>", "", report.read_text("utf-8")).replace("</body>", f"{USE}</body>")
    (tmp_path / "used.html").write_text(text, "utf-8")
    title = re.search(r"<title>(.*?)</title>", browse(tmp_path / "used.html", tmp_path / "p", "--dump-dom").stdout)
    assert title is not None
    cards = re.findall(r'<[^>]*class="[^"]*\bcard\b[^>]*>', text)
    grounding = sum('data-task="grounding"' in card for card in cards)
    assert 0 < grounding < len(cards)
    assert re.fullmatch(rf"true {grounding} loss \d\.\d+, steps \d+", title[1]), title[1]


@pytest.mark.parametrize(("scheme", "paper"), [("1", (255, 255, 255)), ("0", (16, 19, 22))])
def test_it_follows_light_and_dark(report: Path, tmp_path: Path, scheme: str, paper: tuple[int, int, int]) -> None:
    shot = tmp_path / "shot.png"
    flags = (f"--blink-settings=preferredColorScheme={scheme}", "--window-size=1280,2400", f"--screenshot={shot}")
    browse(report, tmp_path / "profile", *flags)
    with Image.open(shot) as image:
        assert image.convert("RGB").getpixel((4, 4)) == paper
        colours = image.convert("RGB").getcolors(1 << 24)
    assert colours is not None and len(colours) > 200


def test_it_prints(report: Path, tmp_path: Path) -> None:
    paper = tmp_path / "report.pdf"
    browse(report, tmp_path / "profile", f"--print-to-pdf={paper}", "--no-pdf-header-footer")
    pages = len(re.findall(rb"/Type\s*/Page\b", paper.read_bytes()))
    assert 4 <= pages <= 25
