"""Bytes become text in the encoding that fits."""

from __future__ import annotations

import pytest

from mimovl.curate.interleaved.html_text import decode_page, nesting

CHINESE = "命名管道是一个像管道一样的文件，先进先出。" * 5


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("é ü 中".encode(), "é ü 中"),
        ("\ufeffé".encode(), "é"),
        ("中文".encode("utf-16"), "中文"),
        (b'<meta charset="gb2312">' + "镕基".encode("gbk"), '<meta charset="gb2312">镕基'),
        (CHINESE.encode("gb18030"), CHINESE),
        ("café – naïve".encode("cp1252"), "café – naïve"),
        ('<meta charset="no-such-thing">é'.encode("cp1252"), '<meta charset="no-such-thing">é'),
    ],
)
def test_an_encoding_is_found(data: bytes, text: str) -> None:
    page = decode_page(data)
    assert page.text == text and page.broken == 0


def test_two_encodings_in_one_page_are_told_by_what_breaks() -> None:
    data = b'<meta charset="utf-8">' + CHINESE.encode() + b"\x81\xff\xfe\x81" * 20
    assert decode_page(data).broken > 0.01


def test_null_bytes_are_broken() -> None:
    assert decode_page(b"\x00\x01\x02abc" * 100).broken > 0.1


def test_nesting_counts_what_stays_open() -> None:
    assert nesting("<div>" * 50 + "</div>" * 50) == 50
    assert nesting("<p>a<p>b<li>c<br><img src=x>" * 50) == 0
    assert nesting("<div><b>x</b></div>" * 50) == 2
    assert nesting("</div>" * 9 + "<div>") == 1
