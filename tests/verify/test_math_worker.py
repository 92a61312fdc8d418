import pytest

from mimovl.verify.math_process import MathProcess, math_verify_installed

pytestmark = pytest.mark.skipif(not math_verify_installed(), reason="needs the math extra")


@pytest.fixture(scope="module")
def process() -> object:
    process = MathProcess()
    yield process
    process.close()


def test_expressions_are_compared_symbolically(process: MathProcess) -> None:
    assert process.compare(r"\frac{\sqrt{2}}{2}", r"\frac{1}{\sqrt{2}}") == "equal"
    assert process.compare("x^2", "x^3") == "different"


def test_text_that_is_no_expression_is_unread_and_not_fatal(process: MathProcess) -> None:
    assert process.compare(r"\sqrt{2}", r"\begin{nonsense} \frac \frac ^^") in ("unread", "different")
    assert process.compare(r"\sqrt{2}", r"\sqrt{2}") == "equal"


def test_python_in_an_answer_is_not_run(process: MathProcess, tmp_path: object) -> None:
    target = f"{tmp_path}/written"
    process.compare("1", f"__import__('pathlib').Path('{target}').touch()")
    process.compare("1", rf"\text{{__import__('os').system('touch {target}')}}")
    import os

    assert not os.path.exists(target)
