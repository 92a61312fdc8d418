"""Greedy completions and log-probabilities equal those of ``transformers``."""

import json

import pytest
import torch

from mimovl.data import Processor
from mimovl.generate import Engine, read_messages, score_messages
from mimovl.model import load_checkpoint, save_checkpoint
from mimovl.types import Request, Sample, SamplingParams
from tests.data import small
from tests.parity import referee

PROCESSOR = small.processor()


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """Our model, that of ``transformers``, and the checkpoint both come from."""
    folder = tmp_path_factory.mktemp("both") / "model"
    model = small.model(text_after_video="spatial")  # their rule
    with torch.no_grad():
        model.language.lm_head.weight[small.tokenizer().im_end] *= 2  # some answers end
    save_checkpoint(model, folder, side_files=PROCESSOR.files())
    return load_checkpoint(folder), referee.hugging_face(folder), folder


def questions():
    """One picture, several, none, a clip, different sizes."""
    media = [
        [],
        [small.picture(56, 84)],
        [small.picture(131, 97), small.picture(28, 28)],
        [small.clip(5, 2.0)],
        [small.picture(252, 140)],
        [small.picture(84, 56, 4), small.clip(4, 1.0, seed=2), small.picture(56, 56)],
    ]
    texts = ["How many red circles?", "Where is the blue square?", "有多少个?"]
    return [
        Sample(f"{n}-{text}", (small.user(text, *items),), {item.sha256: item for item in items})
        for n, items in enumerate(media)
        for text in texts
    ]


def test_greedy_completions_are_identical(both):
    ours, theirs, folder = both
    processor = Processor.load(folder)
    samples = questions()
    answers = Engine(ours, processor, slots=4).generate([Request(s, SamplingParams(max_tokens=14)) for s in samples])
    reasons = set()
    for sample, (completion,) in zip(samples, answers, strict=True):
        encoded = processor.encode_prompt(sample.messages, sample.media)
        clips = [referee.seconds_per_pair(m, processor) for m in sample.media.values() if m.kind == "video"]
        out = theirs.generate(
            **referee.inputs(encoded, processor),
            **({"second_per_grid_ts": torch.tensor(clips)} if clips else {}),
            max_new_tokens=14,
            do_sample=False,
            suppress_tokens=list(ours.config.visual_token_ids),
            eos_token_id=[small.tokenizer().im_end, small.tokenizer().end_of_text],
            pad_token_id=small.tokenizer().end_of_text,
        )
        assert list(completion.tokens) == out[0, encoded.num_tokens :].tolist(), sample.id
        reasons.add(completion.finish_reason)
    assert reasons == {"stop", "length"}


def test_logprobs_equal_their_log_softmax(both, tmp_path):
    """Worst measured: 3e-6; the product promises 1e-4."""
    ours, theirs, folder = both
    pictures = [small.picture(131, 97), small.picture(56, 56)]
    for number, item in enumerate(pictures):
        (tmp_path / f"{number}.png").write_bytes(item.data)
    clip = small.clip(5, 2.0)
    (tmp_path / "clip.png").write_bytes(clip.data)
    parts = [
        {"type": "image", "image": "0.png"},
        {"type": "image_url", "image_url": {"url": f"file://{tmp_path}/1.png"}},
        {"type": "video", "video": "clip.png"},
        {"type": "text", "text": "How many red circles are there? 有多少个?"},
    ]
    (tmp_path / "m.json").write_text(
        json.dumps([{"role": "user", "content": parts}, {"role": "assistant", "content": "There are 12."}])
    )
    scored = score_messages(folder, tmp_path / "m.json", tmp_path / "out.json")
    processor = Processor.load(folder)
    messages, media = read_messages(tmp_path / "m.json")
    encoded = processor.encode_prompt(messages, media, generate=False)
    assert scored["tokens"] == encoded.tokens.tolist()
    seconds = torch.tensor([referee.seconds_per_pair(media[clip.sha256], processor)])
    logits = referee.logits(theirs, encoded, processor, second_per_grid_ts=seconds)
    expected = logits[:-1].log_softmax(-1).gather(-1, encoded.tokens[1:, None])[:, 0]
    difference = (torch.tensor(scored["logprobs"][1:]) - expected).abs().max().item()
    assert difference < 1e-4
