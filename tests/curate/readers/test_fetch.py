"""Fetching is bounded and never reaches a private address, be it by name, number, redirect or a change of mind."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from mimovl.curate.readers import fetch
from mimovl.curate.readers.fetch import Fetcher, is_public
from mimovl.errors import MediaError
from tests.curate.readers.reading import encoded

PNG = encoded()


class Site(BaseHTTPRequestHandler):
    """A few pages."""

    def do_GET(self) -> None:
        self.server.seen.append(self.headers["Host"])  # type: ignore[attr-defined]
        match self.path:
            case "/a.png":
                self._answer(200, PNG, "image/png")
            case "/page":
                self._answer(200, b"<html>", "text/html")
            case "/big":
                self._answer(200, bytes(50_000), "image/png")
            case "/round":
                self._redirect("/round")
            case "/in":
                self._redirect("http://10.0.0.1/a.png")
            case "/once":
                self._redirect("/a.png")
            case _:
                self._answer(404, b"", "image/png")

    def _answer(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _redirect(self, target: str) -> None:
        self.send_response(302)
        self.send_header("Location", target)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[ThreadingHTTPServer]:
    """A server of this machine that the check takes for a public one; what it redirects to is checked as ever."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    server.seen = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setattr(fetch, "is_public", lambda address: address == "127.0.0.1" or is_public(address))
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def reason(fetcher: Fetcher, url: str) -> str:
    with pytest.raises(MediaError) as caught:
        fetcher.get(url, "x")
    return caught.value.reason


def test_a_picture_is_fetched_from_the_address_that_was_checked(
    site: ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = site.server_address[1]
    asked: list[str] = []

    def once(host: str, *_: Any, **__: Any) -> list[Any]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", port))]

    monkeypatch.setattr(fetch.socket, "getaddrinfo", once)
    assert Fetcher(10_000, 10).get(f"http://pictures.example:{port}/once", "x") == PNG
    assert site.seen == [f"pictures.example:{port}"] * 2  # type: ignore[attr-defined]
    assert asked == ["pictures.example", "127.0.0.1"] * 2  # the client behind it asks for the number that was checked


def test_what_is_no_small_picture_has_its_reason(site: ThreadingHTTPServer) -> None:
    base = f"http://127.0.0.1:{site.server_address[1]}"
    fetcher = Fetcher(10_000, 10)
    assert reason(fetcher, f"{base}/none") == "bad_status"
    assert reason(fetcher, f"{base}/page") == "wrong_type"
    assert reason(fetcher, f"{base}/big") == "too_large"
    assert reason(fetcher, f"{base}/round") == "fetch_failed"
    assert reason(fetcher, f"{base}/in") == "private_address"


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1/", "http://localhost/", "http://[::1]/", "http://0x7f000001/", "http://2130706433/"]
)
def test_this_machine_is_never_asked(url: str) -> None:
    assert reason(Fetcher(10_000, 5), url) in ("private_address", "fetch_failed")


@pytest.mark.parametrize("url", ["ftp://example.org/a", "http:///a", "http://[::1", "gopher://x/", "http://a:b/"])
def test_only_whole_http_urls_are_fetched(url: str) -> None:
    assert reason(Fetcher(10_000, 5), url) == "fetch_failed"


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("::1", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("::ffff:10.0.0.1", False),
        ("::ffff:8.8.8.8", True),
        ("2002:0a00:0001::", False),
        ("64:ff9b::7f00:1", False),
        ("no address", False),
    ],
)
def test_public_addresses_are_told_from_all_others(address: str, public: bool) -> None:
    assert is_public(address) is public
