import pytest

from mimovl.curate.caption.junk import junk_reason, tidy
from tests.curate.caption.gold_captions import gold_captions


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        ("IMG_2034.JPG", "file_name"),
        ("red-shoes (1).webp", "file_name"),
        ("DSC_0012", "no_words"),
        ("微信图片_20230101", "no_words"),
        ("image", "placeholder"),
        ("图片", "placeholder"),
        ("No image!", "placeholder"),
        ("https://example.com/a?b=c", "address"),
        ("photo: www.example.com/one/two", "address"),
        ("***", "no_words"),
        ("12:30", "no_words"),
        ("x", "no_words"),
        ("word " * 2000, "too_long"),
        ("猫狗", ""),
        ("A cat. Photo by www.example.com and friends of cats", ""),
        ("Image of a cat", ""),
    ],
)
def test_what_is_no_caption_is_named(text: str, reason: str) -> None:
    assert junk_reason(text) == reason


def test_no_clean_caption_of_ours_is_junk() -> None:
    clean = [one.text for one in gold_captions() if one.label == "clean"]
    assert [text for text in clean if junk_reason(tidy(text))] == []


def test_mark_up_and_spaces_go_and_signs_of_smaller_and_larger_stay() -> None:
    assert tidy(" a <b>red</b>\n\t car<br/> ") == "a red car"
    assert tidy("3 < 5 and 7 > 2") == "3 < 5 and 7 > 2"
