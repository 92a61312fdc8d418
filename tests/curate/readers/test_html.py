"""HTML files become documents with the pictures beside them, or are dropped with the reason."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from mimovl.curate.interleaved.blocks import blocks_of
from mimovl.curate.readers.html import HtmlReader
from mimovl.curate.step import Dropped
from mimovl.media_check import check_media
from mimovl.types import Sample
from tests.curate.interleaved.pdf_pages import photo

TEXT = "<p>This is the text of the page, and it has all that one would want of it.</p>"


def read(folder: Path) -> dict[str, Sample | Dropped]:
    reader = HtmlReader(path=str(folder))
    return {name: found for unit in reader.units() for name, found in reader.read(unit)}


def test_a_page_is_a_document_with_its_pictures(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.jpg").write_bytes(photo(1))
    body = f'<title>T</title><link rel=canonical href="http://h/p">{TEXT}<img src="../a.jpg" alt="A"><img src="b.jpg">'
    more = '<img src="http://h/c.jpg"><img src="../../etc/passwd"><img src="x.html">'
    (tmp_path / "sub" / "x.html").write_text(f"<body>{body}{more}")
    sample = read(tmp_path)["sub/x.html"]
    assert isinstance(sample, Sample)
    assert [(block.kind, block.alt) for block in blocks_of(sample)] == [("text", ""), ("picture", "A")]
    assert sample.meta["pictures_dropped"] == {"elsewhere": 1, "missing_picture": 1, "not_an_image": 1, "outside": 1}
    assert (sample.meta["title"], sample.meta["url"], sample.meta["site"]) == ("T", "http://h/p", "sub")
    check_media(sample)


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret.jpg").write_bytes(photo(1))
    site = tmp_path / "site"
    site.mkdir()
    (site / "a.jpg").symlink_to(tmp_path / "secret.jpg")
    (site / "x.html").write_text(f'{TEXT}<img src="a.jpg">')
    sample = read(site)["x.html"]
    assert isinstance(sample, Sample) and sample.meta["pictures_dropped"] == {"outside": 1}


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "empty_file"),
        (b"<nav>Home</nav>", "no_text"),
        (bytes(range(256)) * 40, "binary_file"),
        (TEXT.encode() + "é中".encode() + b"\x81\xff\xfe\x81" * 5, "mixed_encodings"),
        (b"<div>" * 5000 + b"x", "too_deep"),
    ],
    ids=["empty", "menu", "binary", "mixed", "deep"],
)
def test_what_cannot_be_used_is_dropped_with_the_reason(tmp_path: Path, data: bytes, why: str) -> None:
    (tmp_path / "x.html").write_bytes(data)
    found = read(tmp_path)["x.html"]
    assert isinstance(found, Dropped) and found.reason == why


def test_garbled_pages_are_read_or_dropped_and_never_crash(tmp_path: Path) -> None:
    rng = random.Random(0)
    data = f"<html><body><table><tr><td>{TEXT}</td></tr></table><ul><li>a</ul><pre>x</pre>{TEXT}</body>".encode()
    for number in range(150):
        broken = bytearray(data)
        for _ in range(rng.choice((1, 5, 40))):
            broken[rng.randrange(len(broken))] = rng.choice(b'<>/"& \x00\xff') if rng.random() < 0.7 else 65
        (tmp_path / f"{number}.html").write_bytes(broken[: rng.randrange(1, len(broken))])
    assert len(read(tmp_path)) == 150
