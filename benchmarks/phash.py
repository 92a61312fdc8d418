"""Perceptual hashes of JPEGs: ours beside imagehash, and beside the decode that neither can do without.

    python -m venv peers && peers/bin/pip install -e '.[curate,benchmarks]' && peers/bin/python benchmarks/phash.py

All read the same files in memory, in one process, in turn; CPU seconds, the best of several rounds. The floor is
simplejpeg's grey 1/8 decode alone. Progressive files are hashed from their DC scan and from a full decode of our own.
Before anything is timed, hashes are compared with imagehash's and with those of full decodes. The last line is JSON;
``ratio`` is our pictures per second over imagehash's.
"""

from __future__ import annotations

import argparse
import io
import json
import time
from collections.abc import Callable

import imagehash
import numpy as np
import numpy.typing as npt
import simplejpeg
from PIL import Image

from mimovl.curate.grey import read_grey
from mimovl.curate.phash import hash_cells, hash_images

MOST_BITS = 8


def photo(seed: int, progressive: bool) -> bytes:
    """512 × 512, quality 85, 4:2:0, about 59 kB: content at every scale and grain, as a camera gives."""
    rng = np.random.default_rng(seed)
    total = np.zeros((512, 512, 3))
    for cells in (4, 8, 16, 32, 64, 128, 256):
        coarse = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        total += np.asarray(coarse.resize((512, 512), Image.Resampling.BICUBIC), dtype=np.float64) / cells**0.6
    low, high = np.percentile(total, (1, 99))
    scaled = (total - low) / (high - low) * 255 + rng.normal(0, 5, (512, 512, 1))
    buffer = io.BytesIO()
    Image.fromarray(scaled.clip(0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=85, progressive=progressive)
    return buffer.getvalue()


def theirs(files: list[bytes]) -> list[int]:
    return [int(str(imagehash.phash(Image.open(io.BytesIO(data)))), 16) for data in files]


def floor(files: list[bytes]) -> None:
    for data in files:
        simplejpeg.decode_jpeg(data, "GRAY", min_height=64, min_width=64)


def check(files: list[bytes], progressive: list[bytes]) -> None:
    """No ratio of wrong hashes: a bit or two may differ by rounding.

    Raises:
        SystemExit: they differ by more.
    """
    sides = {
        "imagehash's": np.bitwise_count(hash_images(files) ^ np.array(theirs(files), np.uint64)),
        "those of full decodes of progressive files": from_full(progressive, 64),
        "those of full decodes, 256 bits": from_full(files, 256),
    }
    for name, bits in sides.items():
        if bits.max() > MOST_BITS:
            raise SystemExit(f"our hashes differ from {name} by up to {bits.max()} bits, more than {MOST_BITS}")


def from_full(files: list[bytes], bits: int) -> npt.NDArray[np.int64]:
    """Bits of each file's hash that a full decode changes."""
    full = hash_cells([read_grey(data, dc_only=False) for data in files], bits).reshape(len(files), -1)
    ours = hash_images(files, bits=bits).reshape(len(files), -1)
    changed: npt.NDArray[np.int64] = np.bitwise_count(ours ^ full).sum(axis=1, dtype=np.int64)
    return changed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    files = [photo(seed, False) for seed in range(arguments.images)]
    progressive = [photo(seed, True) for seed in range(min(arguments.images, 300))]
    check(files[:100], progressive[:100])
    sides: dict[str, tuple[Callable[[], object], int]] = {
        "imagehash": (lambda: theirs(files), len(files)),
        "floor": (lambda: floor(files), len(files)),
        "ours": (lambda: hash_images(files), len(files)),
        "ours_256": (lambda: hash_images(files, bits=256), len(files)),
        "progressive_dc": (lambda: hash_images(progressive), len(progressive)),
        "progressive_full": (
            lambda: hash_cells([read_grey(data, dc_only=False) for data in progressive], 64),
            len(progressive),
        ),
    }
    rates: dict[str, float] = {}
    for _ in range(arguments.repeats):
        for name, (work, count) in sides.items():
            start = time.process_time()
            work()
            rates[name] = max(rates.get(name, 0.0), count / (time.process_time() - start))
    bits = np.bitwise_count(hash_images(files) ^ np.array(theirs(files), np.uint64))
    for name, rate in rates.items():
        print(f"  {name:16s} {rate:8.0f} pictures/s a core")
    result = {
        "benchmark": "phash",
        "images": len(files),
        "mean_kilobytes": round(float(np.mean([len(data) for data in files])) / 1000, 1),
        **{f"{name}_per_s": round(rate, 1) for name, rate in rates.items()},
        "share_of_floor": round(rates["ours"] / rates["floor"], 3),
        "progressive_ratio": round(rates["progressive_dc"] / rates["progressive_full"], 2),
        "mean_bits_from_imagehash": round(float(bits.mean()), 3),
        "share_within_2_bits": round(float((bits <= 2).mean()), 4),
        "most_bits_from_full_decode": int(from_full(progressive, 64).max()),
        "ratio": round(rates["ours"] / rates["imagehash"], 2),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
