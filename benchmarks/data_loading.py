"""Loading pictures for training: ours beside transformers' processor in a plain torch DataLoader.

    python benchmarks/data_loading.py

Both sides read the same dataset of JPEG photos with questions from the disk, decode, resize, cut into patches and
tokenise with two worker processes, and hand batches to this process; ours also packs, and makes labels and positions.
Correctness comes first: tokens and grids of every sample are equal, patches to 1e-6. Then both run in turn, several
times; images per second are counted once every worker has begun (so starting them is left out on both sides), the best
of each. The last line is JSON; ``ratio`` is our images per second over theirs.

transformers' own class of this processor wants torchvision only for clips; it is given none, and no clips.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import platform
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from mimovl.data import Mixture, PackedLoader, Processor, build_index, indices_by_source
from mimovl.model.hf_checkpoint import read_config, read_side_files
from mimovl.pipeline.assets import embedded_base
from mimovl.pipeline.inputs import IndexedSamples
from mimovl.store import Dataset, DatasetWriter
from mimovl.types import Media, Message, Part, Sample

LENGTH = 8192
SIZES = ((640, 480), (800, 600), (1024, 768), (1280, 960), (768, 1024), (600, 450), (1600, 1200))


def photo(number: int) -> Media:
    """A JPEG with smooth and rough parts, about as large as photos of its size are."""
    rng = np.random.default_rng(number)
    width, height = SIZES[number % len(SIZES)]
    coarse = Image.fromarray(rng.integers(0, 256, (height // 32, width // 32, 3), dtype=np.uint8))
    base = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), dtype=np.int16)
    grain = rng.normal(0, 12, (height, width, 1)) * (base[..., :1] > 128)
    buffer = io.BytesIO()
    Image.fromarray((base + grain).clip(0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=85)
    data = buffer.getvalue()
    return Media(hashlib.sha256(data).hexdigest(), "image", data, width, height)


def write(folder: Path, samples: int) -> Dataset:
    """A dataset: one or two photos a sample, a question and an answer."""
    with DatasetWriter(folder) as writer:
        for number in range(samples):
            photos = [photo(2 * number + place) for place in range(1 + number % 2)]
            question = "What can be seen here, and where? " * (1 + number % 4)
            parts = (*(Part("image", media=media.sha256) for media in photos), Part("text", text=question))
            messages = (Message("user", parts), Message("assistant", (Part("text", text="A photo. " * 8),)))
            media = {one.sha256: one for one in photos}
            writer.add(Sample(f"p{number}", messages, media, source="photos"))
    return Dataset.open(folder)


class Peer:
    """transformers' processor as a ``collate_fn``."""

    def __init__(self, processor: Processor) -> None:
        self.template = processor.template
        self.files = processor.tokenizer.files
        self.pixels = processor.image.min_pixels, processor.image.max_pixels
        self._made: Any = None

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_made": None}

    def __call__(self, samples: list[Sample]) -> dict[str, torch.Tensor]:
        """Samples as one padded batch."""
        if self._made is None:
            torch.set_num_threads(1)
            self._made = self._make()
        images = [Image.open(io.BytesIO(media.data)) for sample in samples for media in sample.media.values()]
        texts = [self.template.render(sample.messages) for sample in samples]
        return dict(self._made(text=texts, images=images, padding=True, return_tensors="pt"))

    def _make(self) -> Any:
        import tokenizers
        from transformers import PreTrainedTokenizerFast
        from transformers.models.qwen2_5_vl.processing_qwen2_5_vl import Qwen2_5_VLProcessor
        from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

        class WithoutClips(Qwen2_5_VLProcessor):  # type: ignore[misc]
            def check_argument_for_proper_class(self, name: str, argument: Any) -> Any:
                return type(argument)

        backend = tokenizers.Tokenizer.from_str(self.files["tokenizer.json"].decode())
        tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="<|endoftext|>", padding_side="right")
        least, most = self.pixels
        image = Qwen2VLImageProcessorPil(min_pixels=least, max_pixels=most)
        return WithoutClips(image_processor=image, tokenizer=tokenizer, video_processor=None)


class Shuffled(torch.utils.data.Dataset[Sample]):
    """The dataset in an endless shuffled order."""

    def __init__(self, dataset: Dataset, count: int) -> None:
        self.dataset = dataset
        order = np.random.default_rng(0)
        self.order = np.concatenate([order.permutation(len(dataset)) for _ in range(-(-count // len(dataset)))])

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, index: int) -> Sample:
        return self.dataset[int(self.order[index])]


def check(dataset: Dataset, processor: Processor) -> None:
    """Stop unless both sides make the same tokens, grids and patches of every sample."""
    peer = Peer(processor)
    worst = 0.0
    for sample in dataset:
        ours, theirs = processor.encode(sample), peer([sample])
        if ours.tokens.tolist() != theirs["input_ids"][0].tolist():
            raise SystemExit(f"{sample.id}: tokens differ")
        if [list(grid) for grid in ours.grid_thw] != theirs["image_grid_thw"].tolist():
            raise SystemExit(f"{sample.id}: grids differ")
        worst = max(worst, float((torch.cat(ours.patches) - theirs["pixel_values"]).abs().max()))
    if worst > 1e-6:
        raise SystemExit(f"patches differ by {worst}")
    print(f"{len(dataset)} samples: tokens and grids equal, patches within {worst:.1e}")


@dataclass
class Rate:
    """What came in how many seconds, the first batches left out."""

    images: int
    samples: int
    seconds: float

    @property
    def images_per_second(self) -> float:
        """The figure compared."""
        return self.images / self.seconds


def cpu_seconds(dataset: Dataset, processor: Processor, batch: int, count: int = 24) -> tuple[float, float]:
    """CPU seconds an image takes in one process, ours and theirs; holds on a machine that does other work as well."""
    peer = Peer(processor)
    samples = [dataset[number % len(dataset)] for number in range(count)]
    images = sum(len(sample.media) for sample in samples)
    peer(samples[:1])
    began = time.process_time()
    for sample in samples:
        processor.encode(sample)
    middle = time.process_time()
    for start in range(0, count, batch):
        peer(samples[start : start + batch])
    return (middle - began) / images, (time.process_time() - middle) / images


def measure(batches: Iterator[tuple[int, int]], images: int, workers: int) -> Rate:
    """Take batches, given as (images, samples), until so many images came after every worker had begun."""
    for _ in range(2 * workers):
        next(batches)
    rate = Rate(0, 0, 0.0)
    began = time.perf_counter()
    while rate.images < images:
        count, samples = next(batches)
        rate.images += count
        rate.samples += samples
    rate.seconds = time.perf_counter() - began
    return rate


def ours(samples: IndexedSamples, processor: Processor, images: int, workers: int) -> Rate:
    """Our loader, packing by an index of lengths."""
    index = build_index(samples, processor, samples.path)
    mixture = Mixture(indices_by_source(samples.sources), {"photos": 1}, seed=0)
    loader = PackedLoader(
        samples.__getitem__, mixture, processor, LENGTH, workers=workers, window=32, lengths=index.tokens,
        peek=samples.peek,
    )  # fmt: skip
    iterator = iter(loader)
    try:
        return measure(((len(batch.grid_thw), len(batch.sample_ids)) for batch, _ in iterator), images, workers)
    finally:
        iterator.close()


def theirs(dataset: Dataset, processor: Processor, images: int, workers: int, batch: int) -> Rate:
    """A plain DataLoader around transformers' processor."""
    loader = torch.utils.data.DataLoader(
        Shuffled(dataset, 4 * images + 64), batch_size=batch, num_workers=workers, collate_fn=Peer(processor),
        multiprocessing_context="spawn", prefetch_factor=2,
    )  # fmt: skip
    iterator = iter(loader)
    return measure(((len(values["image_grid_thw"]), len(values["input_ids"])) for values in iterator), images, workers)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=96)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()

    start = embedded_base().folder
    processor = Processor.from_files(read_side_files(start), read_config(start), where=str(start))
    with tempfile.TemporaryDirectory() as folder:
        dataset = write(Path(folder) / "photos", arguments.samples)
        check(dataset, processor)
        samples = IndexedSamples(dataset)
        index = build_index(samples, processor, dataset.path)
        print(f"index of lengths: {index.rate:,.0f} samples/s, {float(np.mean(index.tokens)):.0f} tokens a sample")
        batch = max(1, round(LENGTH / float(np.mean(index.tokens))))
        cpu = cpu_seconds(dataset, processor, batch)
        print(f"CPU time an image, one process: ours {1000 * cpu[0]:.1f} ms, transformers {1000 * cpu[1]:.1f} ms")
        best: dict[str, Rate] = {}
        for _ in range(arguments.repeats):
            for name, rate in (
                ("ours", ours(samples, processor, arguments.images, arguments.workers)),
                ("transformers", theirs(dataset, processor, arguments.images, arguments.workers, batch)),
            ):
                print(
                    f"  {name:12s} {rate.images_per_second:6.1f} images/s  {rate.samples / rate.seconds:6.1f} samples/s"
                )
                if name not in best or rate.images_per_second > best[name].images_per_second:
                    best[name] = rate
    result: dict[str, Any] = {
        "benchmark": "data_loading",
        "workers": arguments.workers,
        "cores": os.cpu_count(),
        "machine": platform.processor() or platform.machine(),
        "index_samples_per_s": round(index.rate),
        "cpu_ratio": round(cpu[1] / cpu[0], 2),
    }
    for name, rate in best.items():
        result[f"{name}_images_per_s"] = round(rate.images_per_second, 1)
        result[f"{name}_samples_per_s"] = round(rate.samples / rate.seconds, 1)
    result["ratio"] = round(best["ours"].images_per_second / best["transformers"].images_per_second, 2)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
