"""The runner of curation: readers and steps → a dataset, the same bytes for any number of workers and any interruption.

    units ─ read ─▶ steps ─┬▶ shard        one folder a task, written whole or not at all
                           └▶ observed ─ settle ─▶ decision ─▶ decide ─▶ steps ─▶ shard ─▶ … ─▶ dataset

``plan`` cuts the input into tasks and the steps into segments, which end where a step must see everything. ``work``
does one task of one segment in any process. ``run`` hands tasks to a pool and puts the shards together (``finish``).
``story`` tells what happened to one sample.
"""

from mimovl.curate.pipeline.plan import Limits
from mimovl.curate.pipeline.run import Outcome, curate
from mimovl.curate.pipeline.story import explain

__all__ = ["Limits", "Outcome", "curate", "explain"]
