"""Rewards for people who keep their trainer: one small file for each, none of them importing the trainer.

| trainer  | file       | how it is named there                                                            |
|----------|------------|----------------------------------------------------------------------------------|
| TRL      | trl.py     | ``reward_funcs=trl_reward(task="math")``                                         |
| verl     | verl.py    | ``custom_reward_function.path=pkg://mimovl.reward.adapters.verl``                |
| ms-swift | ms_swift.py| ``--external_plugins …/adapters/plugins/mimovl_swift.py --reward_funcs mimovl``   |
| OpenRLHF | openrlhf.py| ``--reward.remote_url http://…/v1/openrlhf``, or the path of that file           |

Each takes the router in this process, or a service where ``MIMOVL_REWARD_URL`` (or an argument) names one.
"""

from mimovl.reward.adapters.columns import Columns
from mimovl.reward.adapters.trl import trl_async_reward, trl_reward

__all__ = ["Columns", "trl_async_reward", "trl_reward"]
