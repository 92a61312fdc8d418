"""For ``swift rlhf --external_plugins``: importing this file adds ``mimovl`` and ``mimovl_async`` to its rewards."""

from __future__ import annotations

from mimovl.reward.adapters.ms_swift import register


def _register() -> None:
    from swift.rewards import ORM, AsyncORM, orms

    register(orms, ORM, AsyncORM)


_register()
