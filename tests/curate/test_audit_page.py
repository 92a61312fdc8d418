import base64
import io
import re
from pathlib import Path

from PIL import Image

from mimovl.curate.audit_page import Shown, write_page
from tests.curate.pictures import encoded, small_photo


def test_the_page_holds_its_pictures_and_nothing_from_outside_becomes_markup(tmp_path: Path) -> None:
    photo = encoded(small_photo(1).resize((900, 600)))
    pairs = {
        "bench": [
            Shown("<script>alert(1)</script>", "i&1", "64-bit distance 2", photo, photo, "", ""),
            Shown("s2", "i2", "text", None, None, "<b>a text</b>" * 200, "中文"),
            Shown("s3", "i3", "broken", b"no picture", photo, "", ""),
        ],
        "clean": [],
    }
    write_page(tmp_path / "a.html", "1 < 2", pairs)
    text = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert "<script" not in text and "<b>" not in text and "1 &lt; 2" in text and "i&amp;1" in text
    assert "Nothing of it was found" in text and "中文" in text and "not a picture" in text
    pictures = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', text)
    assert len(pictures) == 3
    assert max(Image.open(io.BytesIO(base64.b64decode(pictures[0]))).size) == 240
    assert len(text) < 120_000
