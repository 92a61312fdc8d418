import pytest

from mimovl.verify.answer import Answer, after_marker, plain, read_answer, split_thought, to_ascii


@pytest.mark.parametrize(
    ("completion", "answer"),
    [
        ("7", "7"),
        ("<think>\nso\n</think>\n\n7", "7"),
        ("<think>\n\n</think>\n\n7", "7"),
        ("so</think>7", "7"),
        ("<think>so", None),
        ("", ""),
        ("<think></think>", ""),
        ("<think>a</think>7<think>b", None),
        ("<think>a</think>6<think>b</think>7", "7"),
        ("<think>a <think> b</think>7", "7"),
        ("7<|im_end|>", "7"),
        ("7 <|im_end|>\n<|endoftext|>", "7"),
    ],
)
def test_the_answer_stands_after_the_last_thought(completion: str, answer: str | None) -> None:
    assert split_thought(completion) == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("7", Answer("7", boxed=False)),
        (r"\boxed{7}", Answer("7", boxed=True)),
        (r"\boxed{a{b{c{d}}}}", Answer("a{b{c{d}}}", boxed=True)),
        (r"\boxed{\{1\}}", Answer(r"\{1\}", boxed=True)),
        (r"\boxed{1}\boxed{2}", Answer("2", boxed=True)),
        (r"\boxed{\boxed{2}}", Answer("2", boxed=True)),
        (r"\fbox{2}", Answer("2", boxed=True)),
        (r"\boxed{1}\boxed{2", None),
        (r"\boxed{}", None),
        (r"\boxed", Answer(r"\boxed", boxed=False)),
        ("  ", None),
        (r"\boxed{1\\}", Answer("1\\\\", boxed=True)),
    ],
)
def test_the_last_box_is_the_answer_whatever_it_nests(text: str, answer: Answer | None) -> None:
    assert read_answer(text) == answer


def test_digits_and_signs_of_any_script_become_ascii_and_superscripts_stay() -> None:
    assert to_ascii("７−３٤２²") == "7-342²"
    assert to_ascii("2½") == "2 1/2"
    assert to_ascii("plain") == "plain"


def test_the_last_marker_gives_the_rest_of_its_line() -> None:
    assert after_marker("Answer: 3\nno, the answer is **4**\nbye") == "4**"
    assert after_marker("答案是：四") == "四"
    assert after_marker("4") is None


@pytest.mark.parametrize("text", ["$7$", r"\(7\)", r"\text{7}", "**7**", "`7`", "```json\n7\n```", r"$\text{7}$."])
def test_wrappers_of_a_whole_answer_come_off(text: str) -> None:
    assert plain(text) == "7"
