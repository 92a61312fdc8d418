"""What the markers of a JPEG tell before anything is decoded: its kind, which way it is up, and where its scans end.

A progressive JPEG begins with a scan of the DC coefficients: the mean of every 8 × 8 block, a twelfth of the bytes.
Cut behind that scan, the file is a whole, valid JPEG that decodes to the picture at 1/8 scale (ITU-T T.81, annex G).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["MAX_SCANS", "JpegHeader", "dc_scan", "num_scans", "read_header"]

MAX_SCANS = 500
"""libjpeg-turbo's own fuzzers stop here; encoders write ten or so."""

_SOS, _EOI, _APP1, _APP14 = 0xDA, 0xD9, 0xE1, 0xEE
_NO_FRAMES = {0xC4, 0xC8, 0xCC}
"""Markers among the start-of-frame ones that start no frame."""
_AFTER_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
"""In coded data 0xFF is followed by 0 or by a restart number; anything else ends the scan."""


@dataclass(frozen=True)
class JpegHeader:
    """What stands before the first scan."""

    width: int
    height: int
    process: int
    """Last digit of the frame marker: 0 baseline, 1 extended, 2 progressive; more is rare (lossless, arithmetic)."""
    luma: int
    """Id of the first component."""
    is_grey_or_ycc: bool
    """8 bits, with brightness as the first component: its grey is the first component alone."""
    orientation: int
    """EXIF orientation, 1 to 8; 1 where none is said."""
    scan: int
    """Where the first scan's marker stands."""


def read_header(data: bytes) -> JpegHeader | None:
    """Read the markers up to the first scan; None where this is no whole JPEG header."""
    frame: tuple[int, bytes] | None = None
    orientation, adobe, jfif = 1, -1, False
    for marker, begin, end in _segments(data, 2) if data[:2] == b"\xff\xd8" else ():
        if marker == _SOS:
            return None if frame is None else _header(*frame, orientation, adobe, jfif, begin - 4)
        if 0xC0 <= marker <= 0xCF and marker not in _NO_FRAMES:
            if frame is not None or end - begin < 9:
                return None
            frame = marker, data[begin:end]
        elif marker == 0xE0 and data[begin : begin + 5] == b"JFIF\0":
            jfif = True
        elif marker == _APP1 and data[begin : begin + 6] == b"Exif\0\0":
            orientation = _orientation(data[begin + 6 : end])
        elif marker == _APP14 and data[begin : begin + 5] == b"Adobe" and end - begin >= 12:
            adobe = data[begin + 11]
    return None


def num_scans(data: bytes) -> int:
    """How many scans a JPEG has at most (its thumbnail's are counted too)."""
    return data.count(b"\xff\xda")


def dc_scan(data: bytes, header: JpegHeader) -> bytes | None:
    """A progressive JPEG cut behind the scan with the DC coefficients of brightness.

    Returns:
        A JPEG of that scan (and those before it); None where it is not progressive, has no such scan, or its end is
        missing, so that it must be decoded whole to know whether it is damaged.
    """
    if header.process != 2:
        return None
    for marker, begin, end in _segments(data, header.scan):
        if marker != _SOS:
            continue
        count = data[begin] if begin < end else 0
        if end - begin < 4 + 2 * count:
            return None
        stop = _AFTER_SCAN.search(data, end)
        first, last, bits = data[begin + 1 + 2 * count : begin + 4 + 2 * count]
        if stop is None:
            return None
        if (first, last, bits >> 4) == (0, 0, 0) and header.luma in data[begin + 1 : begin + 1 + 2 * count : 2]:
            whole = data.rfind(b"\xff\xd9") >= stop.start()
            return data[: stop.start()] + b"\xff\xd9" if whole else None
    return None


def _segments(data: bytes, place: int) -> Iterator[tuple[int, int, int]]:
    """Marker, begin and end of the content of each segment from a place on; behind a scan, at its end."""
    size = len(data)
    while place + 4 <= size:
        if data[place] != 0xFF:
            return
        marker = data[place + 1]
        if marker == 0xFF:  # filling
            place += 1
            continue
        if marker == _EOI:
            return
        end = place + 2 + int.from_bytes(data[place + 2 : place + 4], "big")
        if end > size or end < place + 4:
            return
        yield marker, place + 4, end
        place = end
        if marker == _SOS:
            stop = _AFTER_SCAN.search(data, end)
            if stop is None:
                return
            place = stop.start()


def _header(marker: int, frame: bytes, orientation: int, adobe: int, jfif: bool, scan: int) -> JpegHeader:
    height, width = int.from_bytes(frame[1:3], "big"), int.from_bytes(frame[3:5], "big")
    components = frame[6 : 6 + 3 * frame[5] : 3]
    is_rgb = not jfif and (adobe == 0 or (adobe < 0 and components == b"RGB"))
    plain = frame[0] == 8 and (frame[5] == 1 or (frame[5] == 3 and not is_rgb))
    return JpegHeader(width, height, marker & 0xF, components[0], plain, orientation, scan)


def _orientation(exif: bytes) -> int:
    """The orientation tag of the first directory of EXIF data; 1 where there is none that makes sense."""
    order = {b"II*\0": "little", b"MM\0*": "big"}.get(exif[:4])
    if order is None:
        return 1

    def number(place: int, size: int) -> int:
        return int.from_bytes(exif[place : place + size], order)  # type: ignore[arg-type]

    start = number(4, 4)
    for entry in range(start + 2, min(start + 2 + 12 * number(start, 2), len(exif) - 11), 12):
        if number(entry, 2) == 0x0112:
            value = number(entry + 8, 2)
            return value if 1 <= value <= 8 else 1
    return 1
