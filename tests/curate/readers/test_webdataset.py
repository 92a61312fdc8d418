"""WebDataset tars: members of one name are one record; a torn tar gives what came before."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

from mimovl.curate.readers.webdataset import WebDataset
from tests.curate.readers.reading import encoded, kept, read_all, reasons, text_of, write


def tar_of(members: list[tuple[str, bytes]]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def test_picture_text_and_table_are_one_record(tmp_path: Path) -> None:
    members = [
        ("x/1.jpg", encoded(1, kind="JPEG")),
        ("x/1.txt", b"ein Hund\n"),
        ("x/1.json", b'{"id": "dog", "score": 3}'),
        ("x/2.png", encoded(2)),
        ("x/2.txt", b"two"),
        ("x/2.seg.png", encoded(3)),
    ]
    write(tmp_path / "a.tar", tar_of(members))
    found = kept(read_all(WebDataset(path=str(tmp_path))))
    assert list(found) == ["dog", "a.tar/x/2"]
    assert text_of(found["dog"]) == "ein Hund" and found["dog"].meta == {"score": 3} and len(found["dog"].media) == 1
    assert len(found["a.tar/x/2"].media) == 2


def test_torn_and_empty_tars_and_bad_members_have_their_reasons(tmp_path: Path) -> None:
    whole = tar_of([(f"{n}.{end}", data) for n in range(4) for end, data in (("png", encoded(n)), ("txt", b"t"))])
    write(tmp_path / "torn.tar", whole[: len(whole) // 2])
    write(tmp_path / "none.tar", tar_of([]))
    write(tmp_path / "zero.tar", b"")
    write(tmp_path / "text.tar", "no tar at all " * 100)
    write(tmp_path / "odd.tar", tar_of([("a.txt", b"\xff"), ("b.json", b"{"), ("c.png", b"GIF"), ("d.txt", b"fine")]))
    found = read_all(WebDataset(path=str(tmp_path)))
    assert sorted(reasons(found).values()) == [
        "bad_encoding", "bad_json", "not_an_image", "truncated_tar", *["unreadable_file"] * 3
    ]  # fmt: skip
    assert {"odd.tar/d", "torn.tar/0"} <= set(kept(found))
