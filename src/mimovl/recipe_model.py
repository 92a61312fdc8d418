"""RecipeModel: what every section of a recipe inherits.

A section's model sits beside the code that reads it (``mimovl.train.config``, ``mimovl.curate.world.config``, …) and
documents each field by the string under it; ``mimovl recipe explain`` prints that string.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

__all__ = ["RecipeModel"]


class RecipeModel(BaseModel):
    """A recipe section: unknown keys refused, values frozen, no NaN or infinity.

    Python code may construct one leniently (a list for a tuple); a recipe file is read strictly (``"3"`` is no
    number), because there a wrong type is most often a slip.
    """

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        protected_namespaces=(),
    )
