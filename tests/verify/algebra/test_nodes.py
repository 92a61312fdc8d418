from mimovl.verify.algebra.nodes import Node, call, number, variables


def test_variables_are_the_names_that_are_no_constants() -> None:
    x, pi = Node("name", name="x"), Node("name", name="pi")
    assert variables(call("add", call("mul", number(2), x), pi)) == {"x"}
    assert variables(number(1)) == frozenset()
