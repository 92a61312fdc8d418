"""Small preferences: about pictures of the world, and in text alone."""

from __future__ import annotations

import random
from dataclasses import fields, replace
from functools import cache

from mimovl.curate.world.pairs import answer_pair
from mimovl.data import Preference
from mimovl.types import Media, Message, Part, Sample
from tests import tiny


class Pairs(list[Preference]):
    """A folder of pairs in memory, as the trainer sees it."""

    @property
    def sources(self) -> list[str]:
        return [pair.source for pair in self]

    @property
    def num_ties(self) -> int:
        return sum(pair.tie for pair in self)


def preference(
    *media: Media, id: str = "p", chosen: str = "3", rejected: str = "12", tie: bool = False, source: str = "test"
) -> Preference:
    """A question about all of the media, and two answers."""
    content = (*(Part(one.kind, media=one.sha256) for one in media), Part("text", "How many red circles?"))
    return Preference(
        id,
        (Message("user", content),),
        {one.sha256: one for one in media},
        source=source,
        chosen=chosen,
        rejected=rejected,
        tie=tie,
    )


@cache
def about_the_world(source: str, count: int, *, ties: bool = False) -> Pairs:
    """One pair an item, the first of every third item a tie if asked for."""
    found = Pairs()
    for number, question in enumerate(tiny.questions(source, count)):
        item = tiny.build_item(source, seed=4, index=number, split="heldout", config=tiny.WORLD)
        kind = "tie" if ties and number % 3 == 0 else "fair"
        pair = answer_pair(random.Random(number), item, item.turns[0], kind, tiny.WORLD)
        assert pair is not None
        values = {one.name: getattr(question, one.name) for one in fields(Sample)}
        found.append(
            Preference(
                **{**values, "gold": None, "meta": {"scene": str(number), "set": pair.set}},
                chosen=pair.first,
                rejected=pair.second,
                tie=pair.set == "tie",
            )
        )
    return found


def renamed(pairs: Pairs, name: str) -> Pairs:
    """The same pairs under other ids."""
    return Pairs(replace(pair, id=f"{name}-{pair.id}") for pair in pairs)
