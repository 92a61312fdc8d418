import pickle

import pytest

from mimovl import errors
from mimovl.errors import DataError, MediaError, MissingExtraError, plain_warning

KINDS = [kind for kind in (getattr(errors, name) for name in errors.__all__) if isinstance(kind, type)]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in (MediaError, MissingExtraError)])
def test_an_error_survives_its_way_between_processes(kind) -> None:
    arrived = pickle.loads(pickle.dumps(kind("sample s1: 3 of 4")))
    assert type(arrived) is kind and str(arrived) == "sample s1: 3 of 4"


def test_the_reason_of_a_media_error_survives_too() -> None:
    arrived = pickle.loads(pickle.dumps(MediaError("film: too short", reason="empty_video")))
    assert (type(arrived), str(arrived), arrived.reason) == (MediaError, "film: too short", "empty_video")


def test_the_install_line_of_a_missing_library_survives_too() -> None:
    error = MissingExtraError("PyAV", "video", "reading film.mp4")
    arrived = pickle.loads(pickle.dumps(error))
    assert type(arrived) is MissingExtraError and str(arrived) == str(error)


def test_what_a_user_can_mend_is_a_value_error() -> None:
    others = (errors.MimovlError, errors.Stopped, MissingExtraError)
    assert all(issubclass(kind, ValueError) for kind in KINDS if kind not in others)
    assert issubclass(MediaError, DataError) and issubclass(MissingExtraError, ImportError)


def test_a_warning_is_one_line_for_people() -> None:
    assert plain_warning("no classifier is named", UserWarning, "a.py", 3) == "warning: no classifier is named\n"
