from __future__ import annotations

import json

from mimovl.rl.rollout_log import rollout_record
from tests.rl import groups as made


def test_a_group_is_one_line_of_json_with_all_its_completions() -> None:
    for group in made.rolled():
        sample, line = group.request.sample, json.loads(json.dumps(rollout_record(3, group)))
        assert (line["step"], line["sample_id"], line["task"]) == (3, sample.id, sample.task)
        assert [one["text"] for one in line["completions"]] == [one.completion.text for one in group.rollouts]
        assert line["prompt"].endswith(" /no_think") == (group.request.thinking is False)
        assert line["media"] == list(sample.media)
