"""Pictures of boxes for tests: drawn at random, or a table laid by hand."""

import random

from mimovl.curate.grounding.expression import Thing

SIZE = (500, 400)


def thing(label: str, x: float, y: float, wide: float, tall: float, **attributes: str) -> Thing:
    return Thing(label, (x, y, x + wide, y + tall), tuple(sorted(attributes.items())))


TABLE = (
    thing("cup", 10, 100, 40, 50, colour="red"),
    thing("cup", 120, 105, 60, 70, colour="blue"),
    thing("cup", 260, 100, 50, 60, colour="red"),
    thing("plate", 100, 260, 120, 60),
    thing("person", 320, 20, 150, 300),
    thing("tie", 380, 100, 20, 60, colour="black"),
)


def random_things(rng: random.Random) -> list[Thing]:
    found = []
    for _ in range(rng.randint(1, 8)):
        wide, tall = rng.uniform(10, 150), rng.uniform(10, 150)
        x, y = rng.uniform(0, SIZE[0] - wide), rng.uniform(0, SIZE[1] - tall)
        colour = rng.choice((None, "red", "blue"))
        found.append(
            thing(rng.choice(("cup", "dog", "car")), x, y, wide, tall, **({"colour": colour} if colour else {}))
        )
    return found
