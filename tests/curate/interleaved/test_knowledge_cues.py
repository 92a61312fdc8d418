"""The table of cues is whole: both languages for every kind, and no cue that matches anything."""

from __future__ import annotations

from mimovl.curate.interleaved.knowledge_cues import CUES, KINDS


def test_every_kind_has_cues_in_both_languages() -> None:
    for kind in KINDS:
        patterns = [cue.pattern.pattern for cue in CUES if cue.kind == kind]
        assert any(any(char > "\u4e00" for char in pattern) for pattern in patterns)
        assert any(pattern.isascii() for pattern in patterns)


def test_no_cue_matches_nothing() -> None:
    for cue in CUES:
        assert cue.pattern.search("") is None and cue.weight > 0 and cue.cap >= 1
        assert cue.pattern.search("xyzzy plugh") is None


def test_a_cue_is_not_slow_on_a_long_line() -> None:
    for cue in CUES:
        cue.pattern.findall("a " * 10_000 + "中" * 10_000 + "(" * 500)
