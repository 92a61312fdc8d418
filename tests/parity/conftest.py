import warnings

import pytest


@pytest.fixture(scope="session", autouse=True)
def transformers():
    """The referee, imported once."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # not ours to mend
        return pytest.importorskip("transformers", reason="transformers is the referee of the parity tests")
