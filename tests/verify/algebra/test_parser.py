import pytest
from hypothesis import given
from hypothesis import strategies as st

from mimovl.verify.algebra import Node, NotAnExpression, normalise, parse_expression


def parsed(text: str) -> Node:
    return parse_expression(normalise(text))


def written(node: Node) -> str:
    """A tree as text with every bracket."""
    if node.op == "number":
        return str(node.value)
    return node.name if node.op == "name" else f"{node.op}({','.join(written(one) for one in node.args)})"


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("1+2*3", "add(1,mul(2,3))"),
        ("-x^2", "neg(pow(x,2))"),
        ("2^3^2", "pow(2,pow(3,2))"),
        ("2^{-3}", "pow(2,neg(3))"),
        ("2^-3", "pow(2,neg(3))"),
        ("1/2x", "mul(div(1,2),x)"),
        ("2xy", "mul(mul(2,x),y)"),
        ("x(x+1)", "mul(x,add(x,1))"),
        (r"\frac12", "div(1,2)"),
        (r"\frac1{2x}", "div(1,mul(2,x))"),
        (r"\frac{a}b", "div(a,b)"),
        (r"1\frac{1}{2}", "3/2"),
        ("1 1/2", "3/2"),
        (r"2\frac{x}{2}", "mul(2,div(x,2))"),
        (r"2\frac{3}{2}", "mul(2,div(3,2))"),
        (r"\sqrt2x", "mul(sqrt(2),x)"),
        (r"\sqrt[3]{x}", "root(3,x)"),
        (r"\sin 2x", "sin(mul(2,x))"),
        (r"\sin x\cos x", "mul(sin(x),cos(x))"),
        (r"\sin^2 x", "pow(sin(x),2)"),
        (r"\sin^{-1} x", "arcsin(x)"),
        (r"\sin(x)+1", "add(sin(x),1)"),
        (r"\ln 2 + 1", "add(ln(2),1)"),
        (r"\log_2 8", "log(2,8)"),
        (r"\log_{10} x", "log(10,x)"),
        (r"\lg 5", "lg(10,5)"),
        ("|x-1|", "abs(add(x,neg(1)))"),
        (r"\left|x\right|+1", "add(abs(x),1)"),
        ("2|x|", "mul(2,abs(x))"),
        ("n!", "factorial(n)"),
        ("50%", "div(50,100)"),
        ("30°", "degree(30)"),
        (r"\binom{n}{2}", "binom(n,2)"),
        (r"\lfloor x\rfloor", "floor(x)"),
        (r"x_1+x_{12}", "add(x_1,x_12)"),
        (r"\alpha\beta", "mul(alpha,beta)"),
        (r"f'", "f'"),
        ("{x+1}^2", "pow(add(x,1),2)"),
    ],
)
def test_an_expression_has_the_tree_its_readers_see(text: str, tree: str) -> None:
    assert written(parsed(text)) == tree


@pytest.mark.parametrize(
    "text",
    ["", "1+", "(1", "1)", "2 3", "x 2", r"\frac{1}", r"\foo{1}", "1,2", "x=1", "()", r"\sqrt", "^2", "|x", "C(5,2)"]
    + ["(" * 300 + "1" + ")" * 300, "-" * 300 + "1", "1+" * 600 + "1"],
)
def test_what_is_outside_the_grammar_or_its_bounds_is_no_expression(text: str) -> None:
    with pytest.raises(NotAnExpression):
        parsed(text)


@given(st.text(alphabet="0123456789xyπ√²+-*/^(){}[]|!%°_, \\fracsqrtinlog", max_size=60))
def test_any_text_is_a_tree_or_refused(text: str) -> None:
    try:
        node = parsed(text)
    except NotAnExpression:
        return
    assert node.op
