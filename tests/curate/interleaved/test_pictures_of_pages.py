"""Addresses of pictures: inside the folder, inside the page, or not to be had."""

from __future__ import annotations

import base64

import pytest

from mimovl.curate.interleaved.pictures_of_pages import picture_loader, resolve
from mimovl.errors import MediaError
from tests.curate.interleaved.pdf_pages import photo


@pytest.mark.parametrize(
    ("address", "path"),
    [("a.png", "x/a.png"), ("../a%20b.png?v=1#f", "a b.png"), ("/a.png", "a.png"), ("./y/../a.png", "x/a.png")],
)
def test_an_address_is_a_path_from_the_root(address: str, path: str) -> None:
    assert resolve("x/page.html", address) == path


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("http://h/a.png", "elsewhere"),
        ("//h/a.png", "elsewhere"),
        ("file:///etc/passwd", "elsewhere"),
        ("../../a.png", "outside"),
        ("%2e%2e/%2e%2e/a.png", "outside"),
        ("http://[", "no_address"),
    ],
)
def test_what_lies_elsewhere_is_not_fetched(address: str, reason: str) -> None:
    with pytest.raises(MediaError) as caught:
        resolve("x/page.html", address)
    assert caught.value.reason == reason


def test_a_picture_in_the_address_itself_is_read() -> None:
    load = picture_loader("p.html", lambda path: photo(1))
    data = base64.b64encode(photo(2)).decode()
    assert load(f"data:image/jpeg;base64,{data}").data == photo(2)
    assert load("a.jpg").data == photo(1)
    with pytest.raises(MediaError):
        load("data:image/png;base64,AAAA")


def test_one_page_holds_no_more_than_so_many_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mimovl.curate.interleaved.pictures_of_pages.MAX_DOCUMENT_BYTES", len(photo(1)) + 10)
    load = picture_loader("p.html", lambda path: photo(1))
    load("a.jpg")
    with pytest.raises(MediaError) as caught:
        load("b.jpg")
    assert caught.value.reason == "picture_too_large"
