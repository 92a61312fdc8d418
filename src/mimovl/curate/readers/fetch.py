"""Pictures from URLs, for runs that were allowed to: bounded in size and time, and never from a private address.

A name is looked up once and the connection goes to the address that was checked, so a name that changes its address
between check and connection gains nothing; every redirect is checked anew. Reasons of drops:

    private_address    the host is this machine, a local network, or otherwise not of the public internet
    bad_status         an answer other than 200
    wrong_type         the answer says it is no picture
    too_large          more bytes than the limit
    fetch_failed       no such host, no connection, too slow, too many redirects, no http
"""

from __future__ import annotations

import ipaddress
import socket
import time
from typing import Any
from urllib.parse import urljoin, urlsplit, urlunsplit

from mimovl.errors import MediaError, MissingExtraError

__all__ = ["Fetcher", "is_public"]

_REDIRECTS = 5
_CHUNK = 1 << 16


class Fetcher:
    """Fetches pictures.

    Args:
        max_bytes: of one.
        timeout: seconds of one, redirects and all.

    Raises:
        MissingExtraError: the extra ``client`` is not installed.
    """

    def __init__(self, max_bytes: int, timeout: float) -> None:
        try:
            import httpx
        except ImportError:
            raise MissingExtraError("httpx", "client", "fetching media from URLs") from None
        self.max_bytes, self.timeout = max_bytes, timeout
        self._errors = (httpx.HTTPError, httpx.InvalidURL)
        self._client = httpx.Client(follow_redirects=False, timeout=timeout, trust_env=False)

    def get(self, url: str, name: str) -> bytes:
        """The bytes behind a URL.

        Raises:
            MediaError: they cannot be had; ``reason`` is one of this module's.
        """
        deadline = time.monotonic() + self.timeout
        for _ in range(_REDIRECTS + 1):
            address, host, pinned = self._pinned(url, name)
            try:
                with self._client.stream(
                    "GET", pinned, headers={"Host": host}, extensions={"sni_hostname": urlsplit(url).hostname}
                ) as answer:
                    if answer.is_redirect and (target := answer.headers.get("location")):
                        url = urljoin(url, target)
                        continue
                    return self._body(answer, url, name, deadline)
            except self._errors as error:
                what = f"{type(error).__name__}: {error}"
                raise MediaError(f"{name}: {url:.200} at {address} ({what})", reason="fetch_failed") from None
        raise MediaError(f"{name}: more than {_REDIRECTS} redirects, the last to {url:.200}", reason="fetch_failed")

    def _body(self, answer: Any, url: str, name: str, deadline: float) -> bytes:
        if answer.status_code != 200:
            raise MediaError(f"{name}: {url:.200} answered {answer.status_code}", reason="bad_status")
        kind = answer.headers.get("content-type", "image/unknown").partition(";")[0].strip().lower()
        if not kind.startswith("image/") and kind != "application/octet-stream":
            raise MediaError(f"{name}: {url:.200} is of type {kind:.80}", reason="wrong_type")
        data = bytearray()
        for chunk in answer.iter_bytes(_CHUNK):
            data += chunk
            if len(data) > self.max_bytes:
                message = f"{name}: {url:.200} has more than {self.max_bytes:,} bytes"
                raise MediaError(message, reason="too_large")
            if time.monotonic() > deadline:
                raise MediaError(f"{name}: {url:.200} took over {self.timeout:g} s", reason="fetch_failed")
        return bytes(data)

    def _pinned(self, url: str, name: str) -> tuple[str, str, str]:
        """The address that was checked, the Host header, and the URL with the address in the host's place."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError as error:
            raise MediaError(f"{name}: {url:.200} is no URL ({error})", reason="fetch_failed") from None
        if parts.scheme not in ("http", "https") or not host:
            raise MediaError(f"{name}: {url:.200}: only http and https are fetched", reason="fetch_failed")
        try:
            found = socket.getaddrinfo(host, port or (443 if parts.scheme == "https" else 80), type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise MediaError(f"{name}: no address of {host:.100} ({error})", reason="fetch_failed") from None
        addresses = [str(entry[4][0]) for entry in found]
        if private := [address for address in addresses if not is_public(address)]:
            raise MediaError(f"{name}: {host:.100} is at {private[0]}, which is not public", reason="private_address")
        address = addresses[0]
        place = f"[{address}]" if ":" in address else address
        port_text = f":{port}" if port else ""
        pinned = urlunsplit((parts.scheme, place + port_text, parts.path or "/", parts.query, ""))
        bracketed = f"[{host}]" if ":" in host else host
        return address, bracketed + port_text, pinned


def is_public(address: str) -> bool:
    """Whether an address is one of the public internet; what is mapped or tunnelled inside is looked at as well."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if inner is None and ip in ipaddress.ip_network("64:ff9b::/96"):
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
    return ip.is_global and not ip.is_multicast
