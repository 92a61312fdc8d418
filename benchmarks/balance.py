"""Matching captions with half a million metadata entries, English and Chinese, beside the loop one writes first.

    python benchmarks/balance.py [--entries 500000] [--captions 60000] [--naive 1000]

The naive loop is substring search entry by entry: an English entry between spaces in a text whose ASCII punctuation
was given spaces, a Chinese one anywhere. Correctness first, on ``--naive`` captions: every match of the loop is ours,
and each of ours beyond it is a word beside a Chinese character or a mark that is not ASCII, where the loop finds no
space. Words were planted in such places, and every one must be found. Speed is CPU time of one process, the median of
five passes over ``--captions``, folding included. The last line is JSON; ``ratio`` is our captions a second over the
loop's.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import string
import time
from itertools import accumulate

from mimovl.curate.caption.matching import Matcher

AIM = 100_000


class Drawn:
    """A made-up bilingual vocabulary with the usual steep frequencies, and captions written in it."""

    def __init__(self, rng: random.Random, entries: int) -> None:
        self.rng = rng
        words: set[str] = set()
        while len(words) < entries // 5:
            words.add("".join(rng.choices(string.ascii_lowercase, k=rng.randint(3, 10))))
        self.words = sorted(words)
        rng.shuffle(self.words)
        signs = [chr(code) for code in range(0x4E00, 0x9FA0)]
        rng.shuffle(signs)
        terms: set[str] = set(signs[: entries // 100])
        while len(terms) < entries * 2 // 5:
            terms.add("".join(rng.choices(signs[:6000], k=rng.choice((2, 2, 2, 3, 3, 4)))))
        self.terms = sorted(terms)
        rng.shuffle(self.terms)
        self._steep = {size: [*accumulate(1 / (rank + 5) for rank in range(size))] for size in (len(words), len(terms))}
        phrases: set[str] = set()
        while len(phrases) < entries - len(self.words) - len(self.terms):
            phrases.add(" ".join(self._draw(self.words, 2)))
        self.entries = [*self.words, *self.terms, *sorted(phrases)]
        rng.shuffle(self.entries)

    def _draw(self, some: list[str], count: int) -> list[str]:
        return self.rng.choices(some, cum_weights=self._steep[len(some)], k=count)

    def english(self) -> str:
        """A caption of words."""
        drawn = self._draw(self.words, self.rng.randint(6, 11))
        drawn[0] = drawn[0].capitalize()
        drawn[3] += self.rng.choice((",", "", "", " -"))
        return " ".join(drawn) + self.rng.choice((".", "", "!"))

    def chinese(self) -> tuple[str, str]:
        """A caption, and the English word that stands in it without spaces, or nothing."""
        drawn = self._draw(self.terms, self.rng.randint(4, 7))
        planted = ""
        if self.rng.random() < 0.3:
            planted = self._draw(self.words, 1)[0]
            place = self.rng.randrange(len(drawn))
            drawn[place] += self.rng.choice((planted, f"，{planted}", f"{planted.upper()}。", f"“{planted}”"))
        return "".join(drawn) + self.rng.choice(("。", "", "！")), planted


def naive_matches(text: str, entries: list[str]) -> set[str]:
    """Substring search, entry by entry."""
    lowered = text.lower()
    spaced = "".join(f" {sign} " if sign in string.punctuation else sign for sign in lowered)
    spaced = f" {' '.join(spaced.split())} "
    return {
        entry
        for entry in entries
        if (f" {entry} " in spaced if entry[0] in string.ascii_lowercase else entry in lowered)
    }


def beside_what_is_no_ascii(text: str, entry: str) -> bool:
    """Whether an entry stands in a text as a word, one neighbour at least being no ASCII character."""
    lowered, start = text.lower(), -1
    while (start := lowered.find(entry, start + 1)) >= 0:
        sides = lowered[start - 1 : start] + lowered[start + len(entry) : start + len(entry) + 1]
        if all(not (side.isascii() and side.isalnum()) for side in sides) and not sides.isascii():
            return True
    return False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", type=int, default=500_000)
    parser.add_argument("--captions", type=int, default=60_000)
    parser.add_argument("--naive", type=int, default=1_000)
    options = parser.parse_args()
    drawn = Drawn(random.Random(0), options.entries)
    begun = time.process_time()
    matcher = Matcher(drawn.entries)
    building = time.process_time() - begun

    captions, planted = [], []
    for number in range(max(options.captions, options.naive)):
        text, word = drawn.chinese() if number % 2 else (drawn.english(), "")
        captions.append(text)
        planted.append(word)
    few = captions[: options.naive]
    begun = time.process_time()
    loop = [naive_matches(text, drawn.entries) for text in few]
    naive_rate = len(few) / (time.process_time() - begun)
    ours: list[set[str]] = [set() for _ in few]
    for row, entry in zip(*matcher.pairs(few), strict=True):
        ours[row].add(drawn.entries[entry])
    more = 0
    for text, theirs, mine, word in zip(few, loop, ours, planted, strict=False):
        if not theirs <= mine:
            raise SystemExit(f"{text!r}: the loop also finds {sorted(theirs - mine)}")
        if wrong := [entry for entry in mine - theirs if not beside_what_is_no_ascii(text, entry)]:
            raise SystemExit(f"{text!r}: we also find {wrong}")
        if word and word not in mine:
            raise SystemExit(f"{text!r}: {word} was planted and not found")
        more += len(mine - theirs)
    same = sum(len(one) for one in loop)
    planted_here = sum(bool(word) for word in planted[: options.naive])
    print(f"{len(few)} captions: {same} matches in both, {more} only ours ({planted_here} words planted, all found)")

    rates = []
    for _ in range(5):
        begun = time.process_time()
        rows, _ = matcher.pairs(captions)
        rates.append(len(captions) / (time.process_time() - begun))
    rate = statistics.median(rates)
    print(f"{len(drawn.entries)} entries, automaton built in {building:.1f} s")
    print(
        f"ours {rate:,.0f} captions/s/core at {len(rows) / len(captions):.1f} entries a caption; loop {naive_rate:.1f}"
    )
    print(
        json.dumps(
            {
                "benchmark": "balance",
                "entries": len(drawn.entries),
                "captions_per_second": round(rate),
                "naive_captions_per_second": round(naive_rate, 2),
                "matches_of_both": same,
                "matches_only_ours": more,
                "matches_only_naive": 0,
                "entries_per_caption": round(len(rows) / len(captions), 2),
                "aim_captions_per_second": AIM,
                "reached": rate >= AIM,
                "ratio": round(rate / naive_rate, 1),
            }
        )
    )


if __name__ == "__main__":
    main()
