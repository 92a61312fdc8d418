"""Monitors for the known failures of reinforcement learning: thresholds in the recipe, alerts with examples.

| monitor  | failure                                                              | file          |
|----------|----------------------------------------------------------------------|---------------|
| lengths  | answers of a task run away, collapse, or run against the limit       | `lengths.py`  |
| counting | 1, 2, 3, … whatever the picture shows                                | `counting.py` |
| blanked  | answers do not depend on the picture: some prompts are asked again   | `blanked.py`  |
| entropy  | the policy always says the same                                      | `health.py`   |
| gap      | sampling and training do not compute the same policy                 | `health.py`   |
| heldout  | the reward rises, held-out does not                                  | `heldout.py`  |
| language | answers in another script than the question's                        | `language.py` |
| spread   | rewards that do not differ within a group                            | `spread.py`   |
"""

from mimovl.rl.monitors.alert import Alert, Monitor, Update
from mimovl.rl.monitors.config import MonitorsConfig
from mimovl.rl.monitors.watch import ALERTS_FILE, Watch

__all__ = ["ALERTS_FILE", "Alert", "Monitor", "MonitorsConfig", "Update", "Watch"]
