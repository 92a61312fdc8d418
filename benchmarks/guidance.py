"""The base's guided attention on packs of the reading stages: search for places, forward and backward.

    python benchmarks/guidance.py [--packs 8] [--device cuda]

The packs are those the embedded base reads; queries and keys are random. One thread on the CPU; the best of five. The
last line is JSON; its ``ratio`` is what the model it guides takes for the same batch, forward and backward, over what
guidance adds to it: it should be far above one.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time

import torch

from mimovl.curate.world import WorldConfig
from mimovl.data import Mixture, PackedLoader, Processor, indices_by_source
from mimovl.model import load_checkpoint
from mimovl.pipeline.assets import embedded_base
from mimovl.pipeline.attribute_reader import AttributeModel, AttributeProcessor
from mimovl.pipeline.base_reading import ENDLESS, _Attributed
from mimovl.pipeline.base_vision import VOCABULARY
from mimovl.pipeline.data import with_chains
from mimovl.pipeline.guide import COUNTING_LAYER, QUESTION_LAYER
from mimovl.train import language_model_loss
from mimovl.train.transfer import join_packs

MIXTURE = {
    "world/dense": 1.0,
    "world/attributes": 5.0,
    "world/grounding": 3.0,
    "world/counting": 12.0,
    "world/gui": 3.0,
    "world/clip": 3.0,
    "world/ocr": 0.5,
    "world/caption": 0.5,
    "world/reasoning": 2.0,
    "world/arithmetic": 5.0,
    "world/recall": 0.2,
    "world/text": 0.2,
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--packs", type=int, default=8, help="packs of 4,096 tokens")
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    torch.set_num_threads(1)
    device = torch.device(args.device)
    plain = Processor.load(embedded_base().folder)
    reader = AttributeModel(load_checkpoint(embedded_base().folder).config, VOCABULARY)
    processor = AttributeProcessor(
        plain.tokenizer, plain.template, plain.config, plain.image, plain.video, reader=reader
    )
    world = with_chains(WorldConfig(), 1.0)
    samples = _Attributed(dict.fromkeys(MIXTURE, ENDLESS), world, seed=1, thinking_share=0.5, turns=6)
    mixture = Mixture(indices_by_source(samples.sources), MIXTURE, seed=1)
    loader = PackedLoader(samples.__getitem__, mixture, processor, 4096)
    batch = join_packs([pack for pack, _ in itertools.islice(iter(loader), args.packs)])
    reader.guide_attention(plain.tokenizer, 0.3)
    guide, language = reader.guide, plain.config.language
    assert guide
    here = batch.to(device)
    times = []
    for _ in range(5):
        for layer in (guide.layer, QUESTION_LAYER, COUNTING_LAYER):
            q, k = (
                torch.randn(batch.num_tokens, heads, language.head_dim, device=device, requires_grad=True)
                for heads in (language.num_heads, language.num_kv_heads)
            )
            guide._seen[layer] = (q, k)
        clock = [_now(device)]
        found = [guide.boxes(batch), guide.questions(batch), guide.counts(batch)]
        clock.append(_now(device))
        loss = guide.loss(here)
        assert loss is not None
        clock.append(_now(device))
        loss.backward()
        clock.append(_now(device))
        times.append([end - start for start, end in itertools.pairwise(clock)])
    search, forward, backward = map(min, zip(*times, strict=True))
    reader.guide, own = None, []
    for _ in range(2):
        began = _now(device)
        language_model_loss(reader, here).total.backward()  # type: ignore[no-untyped-call]
        own.append(_now(device) - began)
    print(f"{batch.num_tokens} tokens, {len(batch.sources)} samples, {sum(map(len, found))} guided positions")
    report = {
        "benchmark": "guidance",
        "ratio": round(min(own) / (forward + backward), 1),
        "search_s": round(search, 4),
        "loss_s": round(forward, 4),
        "backward_s": round(backward, 4),
        "model_s": round(min(own), 3),
        "tokens": batch.num_tokens,
        "device": str(device),
        "torch": torch.__version__,
    }
    print(json.dumps(report))


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


if __name__ == "__main__":
    main()
