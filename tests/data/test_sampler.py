from itertools import chain, pairwise

import pytest
from torch.utils.data import Dataset

from facialnet.data.sampler import BatchSampler, ResumableLoader
from facialnet.errors import UserError

SIZE, BATCH = 107, 10


def sampler(**changes):
    return BatchSampler(**({"size": SIZE, "batch_size": BATCH, "shuffle": True} | changes))


def epoch_of(one, epoch=0):
    one.set_epoch(epoch)
    return list(one)


def positions(batches):
    return [position for _, position in chain.from_iterable(batches)]


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize(
    ("size", "batch_size", "steps"),
    [(107, 10, 11), (100, 10, 10), (101, 10, 11), (1, 10, 1), (9, 10, 1), (10, 1, 10), (3, 64, 1)],
)
def test_every_picture_comes_once_in_batches_of_nearly_equal_size(size, batch_size, steps, shuffle):
    one = sampler(size=size, batch_size=batch_size, shuffle=shuffle)
    for epoch in (0, 1):
        batches = epoch_of(one, epoch)
        assert len(batches) == len(one) == one.steps == steps
        assert sorted(positions(batches)) == list(range(size))
        sizes = {len(batch) for batch in batches}
        assert max(sizes) <= batch_size
        assert max(sizes) - min(sizes) <= 1
        assert {number for batch in batches for number, _ in batch} == {epoch}


def test_without_shuffling_the_order_stays():
    one = sampler(shuffle=False)
    for epoch in (0, 3):
        assert positions(epoch_of(one, epoch)) == list(range(SIZE))


def test_batches_are_a_function_of_seed_and_epoch():
    seen = {}
    for seed in (0, 1, 2):
        one = sampler(seed=seed)
        for epoch in (3, 0, 1, 2):
            seen[seed, epoch] = tuple(positions(epoch_of(one, epoch)))
            again = epoch_of(sampler(seed=seed), epoch)
            assert tuple(positions(again)) == seen[seed, epoch]
    assert len(set(seen.values())) == len(seen)


def test_shuffling_mixes_all_places():
    """Over many epochs a picture is about as often in the first half as in the second."""
    one = sampler()
    first = sum(0 in positions(epoch_of(one, epoch))[: SIZE // 2] for epoch in range(200))
    assert 70 < first < 130


@pytest.mark.parametrize("world_size", [2, 3, 4])
@pytest.mark.parametrize("shuffle", [True, False])
def test_processes_share_the_batches_of_one(world_size, shuffle):
    alone = epoch_of(sampler(shuffle=shuffle), 5)
    ranks = [
        epoch_of(sampler(shuffle=shuffle, rank=rank, world_size=world_size), 5)
        for rank in range(world_size)
    ]
    for whole, *parts in zip(alone, *ranks, strict=True):
        assert sorted(chain.from_iterable(parts)) == sorted(whole)  # each once, none twice
        sizes = [len(part) for part in parts]
        assert max(sizes) - min(sizes) <= 1
        assert min(sizes) > 0


def test_too_few_pictures_for_the_processes():
    assert len(epoch_of(sampler(size=3, rank=2, world_size=3))[0]) == 1
    with pytest.raises(UserError, match="2 pictures of a split cannot be shared by 3"):
        sampler(size=2, world_size=3)


def test_a_batch_smaller_than_the_number_of_processes_grows_to_it():
    parts = [epoch_of(sampler(size=12, batch_size=2, rank=r, world_size=3)) for r in range(3)]
    assert [len(part) for part in parts] == [4, 4, 4]
    assert all(len(batch) == 1 for part in parts for batch in part)


@pytest.mark.parametrize("first_step", [0, 1, 10, 11])
def test_an_epoch_may_start_at_any_step(first_step):
    whole = epoch_of(sampler(), 2)
    late = sampler()
    late.first_step = first_step
    assert epoch_of(late, 2) == whole[first_step:]
    assert len(late) == 11


# --- the loader ----------------------------------------------------------------------------------


class Echo(Dataset):
    """Hands back what it was asked for."""

    def __len__(self):
        return SIZE

    def __getitems__(self, indices):
        return indices


def as_is(batch):
    return batch


def loader(num_workers=0):
    workers = {"multiprocessing_context": "fork", "persistent_workers": True} if num_workers else {}
    one = ResumableLoader(
        Echo(),
        batch_sampler=sampler(),
        num_workers=num_workers,
        collate_fn=as_is,
        **workers,
    )
    one.batches_done = lambda: 4
    return one


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_resumed_loader_gives_the_rest_and_then_whole_epochs(num_workers):
    whole = [epoch_of(sampler(), epoch) for epoch in range(4)]
    stopped = loader(num_workers)
    stopped.batch_sampler.set_epoch(2)
    batches = iter(stopped)
    assert [next(batches) for _ in range(6)] == whole[2][:6]  # two of them fetched ahead
    state = stopped.state_dict()
    assert state == {"epoch": 2, "batches": 4}
    del batches, stopped

    resumed = loader(num_workers)
    resumed.load_state_dict(state)
    resumed.batch_sampler.set_epoch(2)
    assert list(resumed) == whole[2][4:]
    resumed.batch_sampler.set_epoch(3)
    assert list(resumed) == whole[3]
    resumed.batch_sampler.set_epoch(2)
    assert list(resumed) == whole[2]  # a state is used up once


def test_the_state_of_another_epoch_is_ignored():
    one = loader()
    one.load_state_dict({"epoch": 1, "batches": 11})  # a checkpoint from the end of an epoch
    one.batch_sampler.set_epoch(2)
    assert list(one) == epoch_of(sampler(), 2)
    one.batch_sampler.set_epoch(1)
    assert list(one) == epoch_of(sampler(), 1)


def test_the_epoch_may_be_set_after_the_iterator_was_made():
    one = loader()
    batches = iter(one)
    one.batch_sampler.set_epoch(7)
    assert list(batches) == epoch_of(sampler(), 7)


def test_lightning_reaches_the_sampler_to_set_the_epoch():
    one = loader()
    one.batch_sampler.sampler.set_epoch(3)
    assert list(one) == epoch_of(sampler(), 3)


def test_epochs_do_not_repeat_each_other():
    orders = [positions(epoch_of(sampler(), epoch)) for epoch in range(5)]
    for first, second in pairwise(orders):
        same = sum(a == b for a, b in zip(first, second, strict=True))
        assert same < 10  # about one is expected by chance
