"""Prompts the policy always solves: set aside, and asked again now and then (MiMo-7B §3.3).

Dynamic sampling drops a prompt whose every rollout is right, more and more of them as the policy improves; leaving them
out for good makes training unstable. So they are kept in a pool, and with probability α a prompt is drawn from it. One
that is no longer always solved goes back to the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch

__all__ = ["EasyPool"]


class EasyPool:
    """Names of prompts that are always solved, in the order they became so.

    Args:
        share: probability α that a prompt is drawn from here.
        seed: fixes when and which.
        names: of the pool as it was, to go on from it.
    """

    def __init__(self, share: float, *, seed: int = 0, names: Iterable[str] = ()) -> None:
        self.share = share
        self.seed = seed
        self._names = dict.fromkeys(names)

    @property
    def names(self) -> list[str]:
        """For the resume point."""
        return list(self._names)

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def __len__(self) -> int:
        return len(self._names)

    def note(self, name: str, rewards: Sequence[float]) -> None:
        """A prompt's rewards, each in [0, 1]: all 1 puts it into the pool, anything else takes it out."""
        if min(rewards) >= 1.0 - 1e-3:
            self._names.setdefault(name)
        else:
            self._names.pop(name, None)

    def draw(self, number: int) -> str | None:
        """The name of the prompt to ask at draw ``number``, or None for one of the rest."""
        if not self._names or not self.share:
            return None
        generator = torch.Generator().manual_seed((self.seed * 15_485_863 + number) % 2**63)
        if float(torch.rand(1, generator=generator)) >= self.share:
            return None
        place = int(torch.randint(len(self._names), (1,), generator=generator))
        return list(self._names)[place]
