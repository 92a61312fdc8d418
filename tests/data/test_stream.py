import json
import shutil
from collections import Counter
from itertools import islice

import pytest
import torch

from mimovl.data import LoaderState, PackedLoader, SampleFolders, build_index, reshard
from mimovl.data.parquet_folder import ParquetFolder
from mimovl.data.stream import open_folder
from mimovl.errors import DataError, UsageError
from mimovl.store import Dataset, DatasetWriter
from tests.data import parquet_samples as plain
from tests.data import small
from tests.data.test_parquet_folder import spoil
from tests.data.worker_jobs import Reader

FIELDS = ("tokens", "positions", "cu_seqlens", "labels", "loss_weights", "patches", "grid_thw", "visual_index")
WEIGHTS = {"ours": 1, "web": 2}


def write_dataset(path, count=30):
    with DatasetWriter(path) as writer:
        for number in range(count):
            writer.add(Reader(count)(number))
    return path


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("stream")
    write_dataset(root / "ours")
    plain.write_folder(root / "web", 50, name="w")
    return {"ours": root / "ours", "web": root / "web"}


def loader(samples: SampleFolders, *, weights=None, seed=0, rows=16, length=300, **options) -> PackedLoader:
    mixture = samples.mixture(weights or WEIGHTS, seed=seed, rows=rows)
    return PackedLoader(
        samples.__getitem__, mixture, small.processor(), length, **{"window": 12, "peek": samples.peek, **options}
    )


def take(made: PackedLoader, count: int):
    iterator = iter(made)
    taken = list(islice(iterator, count))
    iterator.close()
    return taken


def same(one, two) -> bool:
    return one.sample_ids == two.sample_ids and all(torch.equal(getattr(one, n), getattr(two, n)) for n in FIELDS)


# ---------------------------------------------------------------- folders as one dataset


def test_folders_of_both_kinds_are_one_numbered_dataset(folders) -> None:
    samples = SampleFolders(folders)
    assert len(samples) == 80 and samples.counts == {"ours": 30, "web": 50}
    assert (samples[0].id, samples[29].id, samples[30].id, samples[79].id) == ("s0", "s29", "w0", "w49")
    assert (samples[1].source, samples[31].source) == ("test", "web"), "its own name, or the mixture's"
    with pytest.raises(IndexError, match="80 samples together, asked for number 80"):
        samples[80]
    for number in (1, 31):
        peeked, opens = samples.peek(number)
        assert peeked.messages == samples[number].messages and peeked.source == samples[number].source
        for key, media in samples[number].media.items():
            with opens(key) as file:
                assert file.read() == media.data


def test_what_is_in_a_folder_decides_how_it_is_read(folders, tmp_path) -> None:
    assert isinstance(open_folder(folders["ours"]), Dataset)
    assert isinstance(open_folder(folders["web"]), ParquetFolder)
    with pytest.raises(UsageError, match="no such folder of samples"):
        open_folder(tmp_path / "none")
    with pytest.raises(DataError, match=r"no manifest.json: not a dataset"):
        open_folder(tmp_path)
    with pytest.raises(DataError, match="no folder to read samples from"):
        SampleFolders({})


# ---------------------------------------------------------------- the stream


def test_sources_are_drawn_by_weight_and_each_has_epochs_of_its_own(folders) -> None:
    samples = SampleFolders(folders)
    drawn = list(islice(samples.mixture(WEIGHTS, seed=1, rows=16).stream(), 3000))
    ours, web = [n for n in drawn if n < 30], [n for n in drawn if n >= 30]
    assert 900 < len(ours) < 1100
    for indices, count in ((ours, 30), (web, 50)):
        epochs = [indices[start : start + count] for start in range(0, len(indices) - count, count)]
        assert all(sorted(epoch) == sorted(set(indices)) for epoch in epochs)
        assert epochs[0] != epochs[1]


def test_the_union_over_ranks_is_the_stream_of_a_single_process(folders) -> None:
    mixture = SampleFolders(folders).mixture(WEIGHTS, seed=1, rows=16)
    whole = list(islice(mixture.stream(), 600))
    for world_size in (2, 3, 8):
        ranks = [
            list(islice(islice(mixture.stream(rank), 0, None, world_size), 600 // world_size))
            for rank in range(world_size)
        ]
        assert [ranks[n % world_size][n // world_size] for n in range(600 // world_size * world_size)] == whole[
            : 600 // world_size * world_size
        ]


@pytest.mark.parametrize("stop", [1, 4, 30])
def test_a_stream_stopped_in_mid_epoch_goes_on_to_the_bit_from_a_little_json(folders, stop) -> None:
    whole = take(loader(SampleFolders(folders)), stop + 5)
    text = json.dumps(whole[stop - 1][1].state_dict())
    assert len(text) < 300
    state = LoaderState.from_state_dict(json.loads(text))
    resumed = take(loader(SampleFolders(folders), state=state), 5)
    assert all(same(one, two) and a == b for (one, a), (two, b) in zip(whole[stop:], resumed, strict=True))


def test_another_number_of_ranks_goes_on_with_the_very_samples_that_were_left(folders) -> None:
    samples = SampleFolders(folders)
    mixture = samples.mixture(WEIGHTS, seed=0, rows=16)
    seen: Counter[str] = Counter()
    states = []
    for rank, batches in enumerate((5, 7, 4)):
        taken = take(loader(samples, lane=(rank, 3)), batches)
        seen.update(name for batch, _ in taken for name in batch.sample_ids)
        states.append(taken[-1][1])
    after = reshard([LoaderState.from_state_dict(state.state_dict()) for state in states], 2, mixture)
    ends = []
    for rank, state in enumerate(after):
        taken = take(loader(samples, state=state, lane=(rank, 2)), 12)
        seen.update(name for batch, _ in taken for name in batch.sample_ids)
        ends.append(taken[-1][1])
    left = reshard(ends, 1, mixture)[0]
    drawn = Counter(samples[index].id for index in islice(mixture.stream(), left.next_draw))
    assert seen + Counter(samples[index].id for index in left.waiting) == drawn


def test_a_state_of_other_data_is_refused(folders, tmp_path) -> None:
    _, state = take(loader(SampleFolders(folders)), 1)[0]
    for changed in (
        loader_of(folders, seed=1),
        loader_of(folders, weights={"ours": 1, "web": 3}),
        loader_of(folders, rows=17),
        loader_of({**folders, "web": plain.write_folder(tmp_path / "web", 51, name="w")}),
    ):
        with pytest.raises(DataError, match="the loader's state is of other data .*: a folder, a shard, a weight, the"):
            changed(state)
    moved = {name: shutil.copytree(path, tmp_path / f"moved-{name}") for name, path in folders.items()}
    loader_of(moved)(state)  # where the folders lie does not matter


def loader_of(folders, **options):
    return lambda state: loader(SampleFolders(folders), state=state, **options)


def test_a_mixture_that_names_no_folder_is_refused(folders) -> None:
    with pytest.raises(DataError, match="names source 'books'; the dataset has: ours, web"):
        SampleFolders(folders).mixture({"books": 1}, seed=0)


def test_lengths_are_known_where_every_folder_holds_an_index(folders, tmp_path) -> None:
    copy = {name: shutil.copytree(path, tmp_path / name) for name, path in folders.items()}
    samples, processor = SampleFolders(copy), small.processor()
    build_index(open_folder(copy["ours"]), processor, copy["ours"])
    assert samples.lengths(processor) is None
    build_index(open_folder(copy["web"]), processor, copy["web"])
    lengths = samples.lengths(processor)
    assert lengths.tolist() == [processor.encode(samples[number]).num_tokens for number in range(80)]
    assert len(SampleFolders(copy)) == 80, "the index is no data"
    for (one, a), (two, b) in zip(
        take(loader(samples), 5), take(loader(samples, lengths=lengths, peek=None), 5), strict=True
    ):
        assert same(one, two) and a == b


# ---------------------------------------------------------------- damage


def damaged_copy(folders, tmp_path):
    copy = {name: shutil.copytree(path, tmp_path / name) for name, path in folders.items()}
    (copy["web"] / "train-00000-of-00003.parquet").write_bytes(b"PAR1")
    spoil(copy["web"] / "train-00002-of-00003.parquet", group=0)
    return copy


def test_a_damaged_shard_is_refused_with_its_name_and_the_cure(folders, tmp_path) -> None:
    with pytest.raises(
        DataError, match=r"source web: .*train-00000-of-00003.parquet cannot be read .*: drop\) to go on"
    ):
        SampleFolders(damaged_copy(folders, tmp_path))


def test_a_shard_damaged_inside_stops_the_stream_with_its_name(folders, tmp_path) -> None:
    copy = shutil.copytree(folders["web"], tmp_path / "web")
    spoil(copy / "train-00002-of-00003.parquet", group=0)
    with pytest.raises(DataError, match=r"train-00002-of-00003.parquet, row group 0 cannot be read"):
        take(loader(SampleFolders({"web": copy}), weights={"web": 1}), 40)


def test_the_other_shards_go_on_if_asked_and_what_is_left_out_is_counted_and_listed(folders, tmp_path) -> None:
    samples = SampleFolders(damaged_copy(folders, tmp_path), damaged="drop")
    assert len(samples.damaged) == 1 and "train-00000-of-00003.parquet cannot be read" in samples.damaged[0]
    made = loader(samples, damaged="drop")
    taken = take(made, 40)
    seen = {name for batch, _ in taken for name in batch.sample_ids}
    assert seen == {f"s{n}" for n in range(30)} | {f"w{n}" for n in (*range(16, 33), *range(41, 50))}
    ((reason, count),) = taken[-1][1].dropped
    assert reason == "unusable" and 0 < count <= len(made.dropped)
    assert all("train-00002-of-00003.parquet, row group 0" in one.detail for one in made.dropped)


def test_a_sample_whose_placeholders_are_not_its_pictures_is_refused_by_id_or_dropped(tmp_path) -> None:
    rows = [plain.row(number, pictures=1) for number in range(10)]
    rows[4]["messages"][0]["content"] = "<image><image> How many?"
    plain.write_file(tmp_path / "web" / "a.parquet", rows)
    samples = SampleFolders({"web": tmp_path / "web"})
    with pytest.raises(DataError, match="sample s4: its text holds 2 image placeholders, its column images 1"):
        take(loader(samples, weights={"web": 1}, rows=1), 20)
    made = loader(samples, weights={"web": 1}, damaged="drop")
    taken = take(made, 8)
    assert {name for batch, _ in taken for name in batch.sample_ids} == {f"s{n}" for n in range(10) if n != 4}
    ((reason, count),) = taken[-1][1].dropped
    assert reason == "unusable" and 0 < count <= len(made.dropped)
    assert {one.detail.partition(":")[0] for one in made.dropped} == {"sample s4"}
