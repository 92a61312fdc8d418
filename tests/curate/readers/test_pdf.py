"""PDF files become documents, or are dropped with the reason; never a crash."""

from __future__ import annotations

import gzip
import io
import random
from pathlib import Path

import pytest
from reportlab.lib import pdfencrypt
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from mimovl.curate.interleaved.blocks import blocks_of
from mimovl.curate.readers.pdf import PdfReader
from mimovl.curate.step import Dropped
from mimovl.media_check import check_media
from mimovl.types import Sample
from tests.curate.interleaved.pdf_pages import draw_page, photo, write_pdf

PAGE = "The process of reading a page is one that asks for some care, and this is the text of it."


def simple(words: str = PAGE, picture: bool = True, **options: object) -> bytes:
    buffer = io.BytesIO()
    canvas = Canvas(buffer, pagesize=(500, 300), **options)
    canvas.setTitle("A Title")
    if words:
        canvas.drawString(40, 250, words)
    if picture:
        canvas.drawImage(ImageReader(io.BytesIO(photo(1))), 40, 100, 160, 120)
        canvas.drawString(40, 80, "Figure 1: blocks")
    canvas.showPage()
    canvas.save()
    return buffer.getvalue()


def read(folder: Path, **options: object) -> list[tuple[str, Sample | Dropped]]:
    reader = PdfReader(path=str(folder), **options)
    return [record for unit in reader.units() for record in reader.read(unit)]


def reason(folder: Path, data: bytes) -> str:
    (folder / "x.pdf").write_bytes(data)
    ((name, found),) = read(folder)
    assert name == "x.pdf" and isinstance(found, Dropped) and "x.pdf" in found.detail
    return found.reason


def test_a_file_is_a_document_with_pictures_in_place(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(simple())
    (tmp_path / "b.pdf.gz").write_bytes(gzip.compress(simple()))
    for (name, sample), expected in zip(read(tmp_path), ("a.pdf", "b.pdf.gz"), strict=True):
        assert name == expected and isinstance(sample, Sample)
        assert [block.kind for block in blocks_of(sample)] == ["text", "picture", "caption"]
        assert (sample.language, sample.source, sample.meta["title"]) == ("en", "pdf", "A Title")
        check_media(sample)


def test_pictures_may_be_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(simple())
    ((_, sample),) = read(tmp_path, pictures=False)
    assert isinstance(sample, Sample) and not sample.media


def test_a_long_file_becomes_several_records(tmp_path: Path) -> None:
    rng = random.Random(0)
    pages = [draw_page(rng, columns=1, number=n + 1, pictures=False) for n in range(5)]
    (tmp_path / "a.pdf").write_bytes(write_pdf(pages, rng))
    found = read(tmp_path, pages_per_sample=2)
    assert [name for name, _ in found] == ["a.pdf#p1", "a.pdf#p3", "a.pdf#p5"]
    assert [one.id for _, one in found if isinstance(one, Sample)] == [name for name, _ in found]


def test_a_locked_file_is_no_reason_to_call_the_next_one_locked(tmp_path: Path) -> None:
    locked = simple(encrypt=pdfencrypt.StandardEncryption("user", "owner"))
    buffer = io.BytesIO()
    Canvas(buffer).save()  # no page at all
    assert reason(tmp_path, locked) == "password"
    assert reason(tmp_path, buffer.getvalue()) in ("damaged_pdf", "no_pages")


def test_reading_twice_gives_the_same(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(simple())
    assert read(tmp_path) == read(tmp_path)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "empty_file"),
        (b"<html>", "not_pdf"),
        (b"%PDF-1.4\nrubbish", "damaged_pdf"),
        (simple(encrypt=pdfencrypt.StandardEncryption("user", "owner")), "password"),
        (simple(words="", picture=False), "no_text"),
    ],
    ids=["empty", "other", "damaged", "password", "blank"],
)
def test_what_cannot_be_used_is_dropped_with_the_reason(tmp_path: Path, data: bytes, why: str) -> None:
    assert reason(tmp_path, data) == why


def raw(*objects: str) -> bytes:
    """A file of these objects, numbered from 1; the first is the catalogue."""
    data, places = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        places.append(len(data))
        data += f"{number} 0 obj\n{body}\nendobj\n".encode()
    table = "".join(f"{place:010d} 00000 n \n" for place in places)
    count = len(objects) + 1
    end = f"xref\n0 {count}\n0000000000 65535 f \n{table}trailer<</Size {count}/Root 1 0 R>>\n"
    return data + f"{end}startxref\n{len(data)}\n%%EOF".encode()


def stream(body: str, head: str = "") -> str:
    return f"<<{head}/Length {len(body)}>>stream\n{body}\nendstream"


FORM = "/Type/XObject/Subtype/Form/BBox[0 0 9 9]/Resources<</XObject<</F 4 0 R>>>>"
PAGES = "<</Type/Pages/Kids[3 0 R]/Count 1>>"
CATALOGUE = "<</Type/Catalog/Pages 2 0 R>>"
LOOPS = {
    "no pages": raw(CATALOGUE, "<</Type/Pages/Kids[]/Count 0>>"),
    "pages that hold themselves": raw(CATALOGUE, "<</Type/Pages/Kids[2 0 R]/Count 1>>"),
    "a count that lies": raw(CATALOGUE, "<</Type/Pages/Kids[3 0 R]/Count 3000>>", "<</Type/Page/Parent 2 0 R>>"),
    "a form that draws itself": raw(
        CATALOGUE, PAGES,
        "<</Type/Page/Parent 2 0 R/MediaBox[0 0 99 99]/Contents 5 0 R/Resources<</XObject<</F 4 0 R>>>>>>",
        stream("/F Do", FORM), stream("/F Do"),
    ),
    "contents that are the page": raw(CATALOGUE, PAGES, "<</Type/Page/Parent 2 0 R/Contents 3 0 R>>"),
    "a parent that is a child": raw(CATALOGUE, "<</Type/Pages/Kids[3 0 R]/Count 1/Parent 3 0 R>>",
                                    "<</Type/Pages/Kids[2 0 R]/Count 1/Parent 2 0 R>>"),
    "a length that is itself": raw(CATALOGUE, PAGES, "<</Type/Page/Parent 2 0 R/Contents 4 0 R>>",
                                   "<</Length 4 0 R>>stream\nx\nendstream"),
}  # fmt: skip


@pytest.mark.parametrize("data", LOOPS.values(), ids=LOOPS.keys())
def test_a_file_that_goes_in_circles_ends_in_a_drop(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.pdf").write_bytes(data)
    found = read(tmp_path)
    assert found and all(isinstance(one, Dropped) for _, one in found)


def test_cut_and_garbled_files_are_read_or_dropped_and_never_crash(tmp_path: Path) -> None:
    rng = random.Random(1)
    whole = [simple(), write_pdf([draw_page(rng, columns=2)], rng)]
    number = 0
    for data in whole:
        for _ in range(60):
            broken = bytearray(data[: rng.randrange(len(data))] if rng.random() < 0.4 else data)
            for _ in range(rng.choice((0, 1, 20, 300))):
                if broken:
                    broken[rng.randrange(len(broken))] = rng.randrange(256)
            (tmp_path / f"{number:03d}.pdf").write_bytes(broken)
            number += 1
    found = read(tmp_path)
    assert len({name.split("#")[0] for name, _ in found}) == number, "each file is accounted for"
    reasons = {one.reason for _, one in found if isinstance(one, Dropped)}
    assert reasons <= {"empty_file", "not_pdf", "damaged_pdf", "no_pages", "no_text", "garbled_text", "password"}
    assert reasons & {"damaged_pdf", "no_text"}
    for _, one in found:
        if isinstance(one, Sample):
            check_media(one)
