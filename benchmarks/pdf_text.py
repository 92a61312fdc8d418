"""Text of PDF pages in reading order: pages a second on one core, beside pdfplumber, on the same generated pages.

    python benchmarks/pdf_text.py [--pages 120] [--peer-pages 12] [FILE.pdf ...]

Correctness first: on pages of one and of two columns, English and Chinese, with tables, figures, headings, hyphens,
running headers and page numbers, written into the file shuffled, across the columns or in order, the share of
neighbours in reading order that come out as neighbours must be at least .98; pdfplumber's is shown beside it. Then the
time, of processor and not of the clock, interleaved and the best of three each. Ours includes columns, tables,
paragraphs, headers and hyphens; theirs is ``page.extract_text()``, which has none of these. Files named on the command
line are timed as well. The last line is JSON; ``ratio`` is our pages a second over theirs.
"""

from __future__ import annotations

import argparse
import io
import json
import logging
import random
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from mimovl.curate.interleaved.pdf_document import open_pdf, read_pdf
from tests.curate.interleaved.pdf_pages import Page, draw_page, order_kept, tokens, write_pdf

AIM_ORDER, AIM_PAGES, AIM_RATIO = 0.98, 300, 40
WRITTEN = ("natural", "shuffled", "across")


def make(columns: int, language: str, written: str, count: int, *, pictures: bool) -> tuple[list[Page], bytes]:
    rng = random.Random(f"{columns} {language} {written}")
    pages = [draw_page(rng, columns=columns, language=language, number=n + 1, pictures=pictures) for n in range(count)]
    return pages, write_pdf(pages, rng, language=language, written=written)


def ours(data: bytes | str, pictures: bool = False) -> list[list[str]]:
    """Tokens of each page."""
    pdf = open_pdf(data, name="benchmark")
    pages: list[list[str]] = [[] for _ in range(len(pdf))]
    for piece in read_pdf(pdf, pictures=pictures):
        for block in piece.blocks:
            pages[block.page - 1] += tokens([block])
    pdf.close()
    return pages


def theirs(source: bytes | str, count: int) -> list[str]:
    import pdfplumber

    with pdfplumber.open(io.BytesIO(source) if isinstance(source, bytes) else source) as pdf:
        texts = []
        for page in pdf.pages[:count]:
            texts.append(page.extract_text())
            page.close()
        return texts


def order() -> dict[str, float]:
    """Mean share of neighbours kept, ours and theirs."""
    worst = 1.0
    for columns in (1, 2):
        for language in ("en", "zh"):
            kept = []
            for written in WRITTEN:
                pages, data = make(columns, language, written, 20, pictures=True)
                found = ours(data, pictures=True)
                kept += [order_kept(page.tokens(), read) for page, read in zip(pages, found, strict=True)]
            mean = sum(kept) / len(kept)
            worst = min(worst, mean)
            print(f"  order, {columns} column(s), {language}: {mean:.4f} (worst page {min(kept):.3f})")
    pages, data = make(2, "en", "natural", 6, pictures=False)
    peer = [order_kept(page.tokens(), text.split()) for page, text in zip(pages, theirs(data, 6), strict=True)]
    print(f"  order, 2 columns, en, pdfplumber: {sum(peer) / len(peer):.4f}")
    return {"order": round(worst, 4), "order_peer_two_columns": round(sum(peer) / len(peer), 4)}


def timed(name: str, source: bytes | str, count: int, peer_count: int) -> tuple[float, float]:
    """Pages a second, ours and theirs."""
    best = [0.0, 0.0]
    for _ in range(3):
        start = time.process_time()
        pdf = open_pdf(source, name=name)
        for _piece in read_pdf(pdf, pictures=False, max_pages=count):
            pass
        pages = min(count, len(pdf))
        pdf.close()
        best[0] = max(best[0], pages / (time.process_time() - start))
        start = time.process_time()
        read = len(theirs(source, peer_count))
        best[1] = max(best[1], read / (time.process_time() - start))
    print(f"  {name}: {best[0]:.0f} pages/s, pdfplumber {best[1]:.1f}, {best[0] / best[1]:.0f} times")
    return best[0], best[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", help="PDF files of your own to time as well")
    parser.add_argument("--pages", type=int, default=120)
    parser.add_argument("--peer-pages", type=int, default=12)
    arguments = parser.parse_args()
    logging.getLogger("pdfminer").setLevel(logging.ERROR)
    try:
        import pdfplumber  # noqa: F401
    except ImportError:
        raise SystemExit("this compares with pdfplumber; run: pip install 'mimovl[benchmarks]'") from None
    result = order()
    rates = []
    for columns in (1, 2):
        _, data = make(columns, "en", "natural", arguments.pages, pictures=False)
        rates.append(timed(f"{columns} column(s)", data, arguments.pages, arguments.peer_pages))
    for file in arguments.files:
        timed(Path(file).name, file, arguments.pages, arguments.peer_pages)
    own = len(rates) / sum(1 / one for one, _ in rates)
    peer = len(rates) / sum(1 / two for _, two in rates)
    result |= {"pages_per_second": round(own), "peer_pages_per_second": round(peer, 1), "ratio": round(own / peer, 1)}
    missed = [
        f"{name} {result[key]} (aim {aim})"
        for name, key, aim in (
            ("order", "order", AIM_ORDER),
            ("pages/s", "pages_per_second", AIM_PAGES),
            ("ratio", "ratio", AIM_RATIO),
        )
        if result[key] < aim
    ]
    print("  aims missed: " + ", ".join(missed) if missed else "  all aims reached")
    print(json.dumps({"benchmark": "pdf_text", **result}))
    if result["order"] < AIM_ORDER:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
