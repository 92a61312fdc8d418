"""``mimovl curate metadata``: the entries captions are balanced by, English and Chinese, from any corpora.

    mimovl curate metadata --titles enwiki-titles.txt --corpus enwiki.jsonl --corpus zhwiki.parquet --out metadata.tsv

MetaCLIP (Xu et al. 2023, §3.1) takes WordNet's synsets, words and word pairs of Wikipedia, and its titles; MiMo-VL
says of its own Chinese and English metadata only that they are new. Ours come from what one has: titles as they are,
words met often enough, pairs of words and sequences of two to four Chinese characters that meet oftener than chance
(pointwise mutual information). A Chinese sequence must also have changing neighbours, or it is a piece of a longer
word. Words that only hold sentences together are no concepts and are left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mimovl.curate.caption.canonical import patterns
from mimovl.curate.caption.corpus import read_texts
from mimovl.curate.caption.counts import NgramCounts
from mimovl.curate.caption.metadata_file import Entry, write_metadata, writing_of
from mimovl.curate.caption.words_file import word_list
from mimovl.errors import DataError, UsageError

__all__ = ["MetadataSettings", "build_metadata", "metadata_entries"]

_ENGLISH = frozenset(word.rstrip("*") for word in word_list("english_grammar"))
_CHINESE = word_list("chinese_grammar")
_IN_BRACKETS = re.compile(r"\s*[（(][^（）()]*[)）]\s*$")
_LONGEST_TITLE = 60


@dataclass(frozen=True)
class MetadataSettings:
    """What makes a concept."""

    min_count: int = 20
    """Times an entry is met in the corpora (titles excepted)."""
    pmi: float = 5.0
    """Bits of mutual information of a pair of English words."""
    chinese_pmi: float = 4.0
    """Bits of mutual information of the parts of a Chinese sequence, at its weakest cut."""
    freedom: float = 1.0
    """Bits of entropy of the neighbours of a Chinese sequence, on the side where they change less."""
    limit: int = 500_000
    """Most entries of each origin; the commonest stay."""
    most: int = 20_000_000
    """Most rows of a table of counts; bounds memory."""
    column: str = ""
    """Field of the corpora's records; without it text, caption, content or title."""


def build_metadata(
    out: Path | str,
    corpora: Sequence[Path | str] = (),
    titles: Sequence[Path | str] = (),
    settings: MetadataSettings | None = None,
    *,
    progress: Callable[[str, int], None] | None = None,
) -> dict[str, Any]:
    """Count the corpora and write the metadata file.

    Args:
        out: file to make, whole or not at all.
        corpora: files of texts (``corpus`` says which kinds).
        titles: files of titles, each an entry as it stands, without brackets at its end.
        settings: limits.
        progress: told the file and the texts read of it, when it is done.

    Returns:
        Number of entries by language and origin, and of texts read.

    Raises:
        UsageError: there is neither corpus nor title file, or one is not there.
        DataError: a file cannot be read, or nothing in them is met often enough.
    """
    settings = settings or MetadataSettings()
    if not corpora and not titles:
        raise UsageError("metadata come from something: give --corpus or --titles, each may be given again")
    counts = NgramCounts(settings.most)
    texts = 0
    for name in corpora:
        read = counts.add(read_texts(Path(name), settings.column))
        texts += read
        if progress:
            progress(str(name), read)
    found = [title for name in titles for title in read_texts(Path(name))]
    entries = list(metadata_entries(counts, found, settings))
    if not entries:
        raise DataError(
            f"nothing in {texts} texts and {len(found)} titles makes an entry; give more, or lower --min-count "
            f"({settings.min_count})"
        )
    write_metadata(Path(out), entries)
    kinds: dict[str, int] = {}
    for entry in entries:
        kinds[f"{entry.language} {entry.origin}"] = kinds.get(f"{entry.language} {entry.origin}", 0) + 1
    return {"texts": texts, "titles": len(found), "entries": len(entries), "by_origin": dict(sorted(kinds.items()))}


def metadata_entries(counts: NgramCounts, titles: Iterable[str], settings: MetadataSettings) -> Iterator[Entry]:
    """Entries of all origins, each form once: titles first, then the commonest first."""
    groups: list[list[Entry]] = [list(_titles(titles)), [], [], []]
    for word, count in counts.words.items():
        if count >= settings.min_count and len(word) > 1 and word not in _ENGLISH and not word.isdecimal():
            groups[1].append(Entry(word, "en", "unigram", count))
    for one, other, count, bits in counts.word_pairs(settings.min_count):
        plain = one in _ENGLISH or other in _ENGLISH or (one.isdecimal() and other.isdecimal())
        if not plain and bits >= settings.pmi:
            groups[2].append(Entry(f"{one} {other}", "en", "bigram", count, bits))
    for run, count, cohesion, freedom in counts.sign_runs(settings.min_count):
        plain = run[0] in _CHINESE or run[-1] in _CHINESE
        if not plain and cohesion >= settings.chinese_pmi and freedom >= settings.freedom:
            groups[3].append(Entry(run, "zh", "ngram", count, cohesion))
    seen = {b""}
    for group in groups:
        group.sort(key=lambda entry: (-entry.count, entry.text))
        group = group[: settings.limit]
        for entry, form in zip(group, patterns([entry.text for entry in group]), strict=True):
            if form not in seen:
                seen.add(form)
                yield entry


def _titles(titles: Iterable[str]) -> Iterator[Entry]:
    for title in titles:
        text = " ".join(_IN_BRACKETS.sub("", title.replace("_", " ").replace("\t", " ")).split())
        words = text.lower().split()
        plain = all(word in _ENGLISH or word.isdecimal() or (len(word) == 1 and word.isascii()) for word in words)
        if not plain and len(text) <= _LONGEST_TITLE:
            yield Entry(text, writing_of(text))
