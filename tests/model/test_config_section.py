import pytest

from mimovl.errors import CheckpointError
from mimovl.model.config_section import Section

TABLE = {"number": 3, "share": 0.5, "yes": True, "null": None, "inner": {"list": [1, 2], "words": ["a"]}, "ids": [7, 8]}
SECTION = Section(TABLE, "config.json")


def test_entries_are_read_by_type():
    assert SECTION.integer("number") == 3
    assert SECTION.number("share") == 0.5
    assert SECTION.number("number") == 3.0
    assert SECTION.table("inner").integers("list") == [1, 2]
    assert SECTION.token("ids", SECTION, 0) == 7


@pytest.mark.parametrize("key", ["absent", "null"])
def test_defaults_stand_in_for_absent_and_null_entries(key):
    assert SECTION.integer(key, 5) == 5
    assert SECTION.number(key, 1.5) == 1.5
    assert SECTION.table(key).data == {}
    assert SECTION.token(key, SECTION, 9) == 9
    SECTION.only(key, "anything", None)


@pytest.mark.parametrize(
    ("read", "message"),
    [
        (lambda s: s.integer("absent"), "config.json: absent is missing"),
        (lambda s: s.integer("share"), "config.json: share must be a whole number, it is 0.5"),
        (lambda s: s.integer("yes"), "config.json: yes must be a whole number, it is True"),
        (lambda s: s.number("ids"), r"config.json: ids must be a number, it is \[7, 8\]"),
        (lambda s: s.table("number"), "config.json: number must be a table, it is 3"),
        (lambda s: s.table("inner").integers("words"), r"config.json: inner.words must be a list of whole numbers"),
        (lambda s: s.token("share", s, 0), "config.json: share must be a token id"),
        (lambda s: s.only("number", 4, 5, None), "config.json: number is 3; supported: 4, 5"),
        (lambda s: s.only("inner", None), "supported: none"),
    ],
)
def test_complaints_name_the_file_and_the_entry(read, message):
    with pytest.raises(CheckpointError, match=message):
        read(SECTION)
