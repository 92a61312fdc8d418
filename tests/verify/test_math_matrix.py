import pytest

from mimovl.verify.algebra import rational_value
from mimovl.verify.math_forms import Matrix, Quantity
from mimovl.verify.math_matrix import read_matrix


@pytest.mark.parametrize(
    "text",
    [
        r"\begin{pmatrix}1&2\\3&4\end{pmatrix}",
        r"\begin{bmatrix} 1 & 2 \\ 3 & 4 \end{bmatrix}",
        r"\left(\begin{array}{cc}1&2\\3&4\end{array}\right)",
        r"A^{-1} = \begin{pmatrix}1&2\\3&4\end{pmatrix}",
        r"\frac{1}{2}\begin{pmatrix}2&4\\6&8\end{pmatrix}",
        "[[1,2],[3,4]]",
    ],
)
def test_a_matrix_is_read_from_every_environment(text: str) -> None:
    [matrix] = read_matrix(text)
    assert isinstance(matrix, Matrix)
    assert [[rational_value(entry) for entry in row] for row in matrix.rows] == [[1, 2], [3, 4]]


def test_a_determinant_is_its_value() -> None:
    [value] = read_matrix(r"\begin{vmatrix}2&0&0\\0&3&1\\0&1&3\end{vmatrix}")
    assert isinstance(value, Quantity) and rational_value(value.node) == 16


def test_a_system_comes_back_as_a_list_of_equations() -> None:
    assert read_matrix(r"\begin{cases}x=1\\y=2\end{cases}") == "x=1, y=2"


@pytest.mark.parametrize(
    "text", ["1", r"\begin{pmatrix}1&2\\3\end{pmatrix}", r"\begin{pmatrix}hello\end{pmatrix}", "[[1],2]"]
)
def test_other_text_is_no_matrix(text: str) -> None:
    assert not [form for form in read_matrix(text) if isinstance(form, Matrix) and len(form.rows) > 1]
