"""The runner of curation beside a hand-written process pool, Ray Data and Daft: parquet → perceptual hashes.

    python -m venv peers && peers/bin/pip install -e '.[curate,ray]' daft pandas
    peers/bin/python benchmarks/curate_runner.py --peers

All read the same parquet files (ids, captions, JPEGs of 512²) with two processes and hash every picture with the same
function. Each peer comes in two kinds: one does what ours does (records with their hashes and the pictures on the
disk), ``bare_`` writes ids and hashes alone and keeps no picture. Peers that are not installed are
left out and said to be. Rates are pictures per second of wall time, after a warm-up that starts the processes where
the side lets them live; ``cpu`` is CPU seconds per thousand pictures, which other work on the machine disturbs less
(not known of Ray's processes, which are not ours).
The last line is JSON; ``ratio`` is our rate over the pool's.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import logging
import multiprocessing
import os
import resource
import shutil
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from mimovl.curate.phash import hash_images
from mimovl.curate.picture_steps import HashPictures
from mimovl.curate.pipeline import curate
from mimovl.curate.readers.parquet import Parquet
from mimovl.picture import image_size

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def photo(seed: int) -> bytes:
    """512 × 512, about 59 kB."""
    rng = np.random.default_rng(seed)
    total = np.zeros((512, 512, 3))
    for cells in (4, 8, 16, 32, 64, 128, 256):
        coarse = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        total += np.asarray(coarse.resize((512, 512), Image.Resampling.BICUBIC), dtype=np.float64) / cells**0.6
    low, high = np.percentile(total, (1, 99))
    scaled = (total - low) / (high - low) * 255 + rng.normal(0, 5, (512, 512, 1))
    buffer = io.BytesIO()
    Image.fromarray(scaled.clip(0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


def write_input(folder: Path, images: int, distinct: int) -> None:
    """Files of 2,000 rows in groups of 250; each picture's bytes are its own."""
    photos = [photo(seed) for seed in range(min(images, distinct))]
    for start in range(0, images, 2000):
        numbers = range(start, min(start + 2000, images))
        data = [photos[n % len(photos)] + n.to_bytes(8, "big") for n in numbers]
        table = pa.table(
            {"id": [f"p{n}" for n in numbers], "caption": [f"picture number {n}" for n in numbers], "image": data}
        )
        pq.write_table(table, folder / f"{start:08d}.parquet", row_group_size=250, compression="none")


# ---------------------------------------------------------------- by hand


def hash_group(job: tuple[str, int, str]) -> int:
    """Hash a row group and write ids and hashes."""
    path, group, out = job
    table = pq.ParquetFile(path).read_row_group(group, columns=["id", "image"], use_threads=False)
    hashes = hash_images(table["image"].to_pylist())
    result = pa.table({"id": table["id"], "phash": pa.array(hashes)})
    pq.write_table(result, f"{out}/{Path(path).stem}-{group}.parquet")
    return len(hashes)


def copy_group(job: tuple[str, int, str]) -> int:
    """Hash a row group and write records, the pictures and where they are, as a dataset needs them."""
    path, group, out = job
    table = pq.ParquetFile(path).read_row_group(group, use_threads=False)
    images = table["image"].to_pylist()
    hashes = hash_images(images)
    keys = [hashlib.sha256(data).hexdigest() for data in images]
    sizes = [image_size(data) for data in images]
    offsets = np.cumsum([0, *map(len, images)])[:-1]
    with open(f"{out}/{Path(path).stem}-{group}.bin", "wb") as file:
        for data in images:
            file.write(data)
        file.flush()
        os.fsync(file.fileno())
    columns = {"id": table["id"], "caption": table["caption"], "phash": pa.array(hashes), "key": keys}
    columns |= {"offset": offsets, "height": [h for h, _ in sizes], "width": [w for _, w in sizes]}
    pq.write_table(pa.table(columns), f"{out}/{Path(path).stem}-{group}.parquet", compression="zstd")
    return len(hashes)


def by_hand(function: Callable[[tuple[str, int, str]], int], folder: Path, out: Path) -> int:
    out.mkdir()
    jobs = [
        (str(path), group, str(out))
        for path in sorted(folder.glob("*.parquet"))
        for group in range(pq.read_metadata(path).num_row_groups)
    ]
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        return sum(pool.imap_unordered(function, jobs))


# ---------------------------------------------------------------- ours and peers


def ours(folder: Path, out: Path) -> int:
    manifest = curate([Parquet(path=str(folder))], [HashPictures()], out, workers=2).manifest
    return int(manifest["counts"]["kept"])


def ray_data(keep: list[str], folder: Path, out: Path) -> int:
    import ray.data

    def hashed(batch: dict[str, Any]) -> dict[str, Any]:
        return {**{name: batch[name] for name in keep}, "phash": hash_images(list(batch["image"]))}

    ray.data.read_parquet(str(folder)).map_batches(hashed, batch_size=250).write_parquet(str(out))
    return sum(pq.read_metadata(path).num_rows for path in out.glob("*.parquet"))


def daft(keep: list[str], folder: Path, out: Path) -> int:
    import daft

    @daft.func.batch(return_dtype=daft.DataType.uint64(), batch_size=250)
    def hashed(images: Any) -> Any:
        return hash_images(images.to_pylist())

    frame = daft.read_parquet(f"{folder}/*.parquet")
    frame.with_column("phash", hashed(frame["image"])).select(*keep, "phash").write_parquet(str(out))
    return sum(pq.read_metadata(path).num_rows for path in out.glob("*.parquet"))


def cpu_seconds() -> float:
    """Of this process and those it waited for."""
    whose = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(usage.ru_utime + usage.ru_stime for usage in map(resource.getrusage, whose))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--distinct", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--peers", action="store_true", help="Ray Data and Daft as well, where installed.")
    arguments = parser.parse_args()
    sides: dict[str, Callable[[Path, Path], int]] = {
        "bare_pool": lambda folder, out: by_hand(hash_group, folder, out),
        "pool": lambda folder, out: by_hand(copy_group, folder, out),
        "ours": ours,
    }
    if arguments.peers:
        for name, side, module in (("daft", daft, "daft"), ("ray_data", ray_data, "ray.data")):
            try:
                __import__(module)
                sides[f"bare_{name}"] = partial(side, ["id"])
                sides[name] = partial(side, ["id", "caption", "image"])
            except ImportError as error:
                print(f"  {name} is left out: {error}")
        if "daft" in sides:
            import daft as library

            library.set_runner_native()
        if "ray_data" in sides:
            import ray

            ray.init(num_cpus=2, include_dashboard=False, logging_level="error", log_to_driver=False)
            logging.getLogger("ray.data").setLevel(logging.ERROR)
    rates: dict[str, float] = {}
    cpu: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "in"
        folder.mkdir()
        write_input(folder, arguments.images, arguments.distinct)
        for _ in range(arguments.repeats):
            for name, side in sides.items():
                out = Path(scratch) / name
                begin, spent = time.perf_counter(), cpu_seconds()
                count = side(folder, out)
                seconds, spent = time.perf_counter() - begin, cpu_seconds() - spent
                assert count == arguments.images, f"{name} gave {count} of {arguments.images}"
                rates[name] = max(rates.get(name, 0.0), count / seconds)
                cpu[name] = min(cpu.get(name, 1e9), 1000 * spent / count)
                shutil.rmtree(out)
    for name, rate in rates.items():
        print(f"  {name:14s} {rate:8.0f} pictures/s   {cpu[name]:.2f} CPU s per thousand")
    result = {
        "benchmark": "curate_runner",
        "images": arguments.images,
        **{f"{name}_per_s": round(rate) for name, rate in rates.items()},
        **{f"{name}_cpu": round(spent, 3) for name, spent in cpu.items()},
        **{
            f"ratio_{name}": round(rates["ours"] / rate, 3)
            for name, rate in rates.items()
            if name not in ("ours", "pool")
        },
        "ratio_by_cpu": round(cpu["pool"] / cpu["ours"], 3),
        "ratio": round(rates["ours"] / rates["pool"], 3),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
