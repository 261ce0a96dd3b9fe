from types import SimpleNamespace

import albumentations as A
import numpy as np
import pandas as pd
import pytest
import torch

from facialnet.data.datamodule import FaceDataModule
from facialnet.data.dataset import FaceDataset, encode
from facialnet.data.protocol import Split
from facialnet.data.sampler import BatchSampler, ResumableLoader
from facialnet.data.store import open_store
from facialnet.data.store_writing import write_store
from facialnet.data.transforms import Augmentation, Preprocessing
from facialnet.errors import UserError
from facialnet.labels import AGE_GROUPS, GENDERS, Task

GENDER = Task("gender", "gender", GENDERS)
AGE = Task("age", "age_group", AGE_GROUPS, ordinal=True)


def augmentation():
    return Augmentation(
        steps={"light": A.RandomBrightnessContrast(p=1.0), "noise": A.GaussNoise(p=1.0)}
    )


@pytest.fixture
def dataset(store, preprocessing):
    return FaceDataset(store, np.arange(40)[::-1].copy(), [GENDER, AGE], preprocessing)


@pytest.fixture(scope="module")
def alike(photos, preprocessing, tmp_path_factory):
    """Store with one picture forty times: differences come from the augmentation alone."""
    folder = tmp_path_factory.mktemp("alike") / "set" / "store"
    rows = photos.rows.assign(path=photos.rows["path"][0])
    write_store(folder, key="k", rows=rows, root=photos.root, preprocessing=preprocessing, spec={})
    return open_store(folder)


# --- targets -------------------------------------------------------------------------------------


def test_targets_are_the_numbers_of_the_classes(photos, dataset):
    batch = dataset[(0, 5)]
    row = 40 - 1 - 5
    assert batch["rows"].tolist() == [row]
    for task, column, classes in (("gender", "gender", GENDERS), ("age", "age_group", AGE_GROUPS)):
        for position in range(40):
            label = photos.rows[column][39 - position]
            target = dataset[(0, position)]["targets"][task]
            assert target.dtype == torch.int64
            expected = classes.index(label) if isinstance(label, str) else -100
            assert target.tolist() == [expected]


def test_missing_labels_are_ignored(photos):
    targets = encode(photos.rows, GENDER)
    assert (targets == -100).tolist() == photos.rows["gender"].isna().tolist()
    assert 0 < (targets == -100).sum() < 40
    assert (encode(photos.rows, Task("race", "race", ("white", "black"))) == -100).all()


def test_the_order_of_the_classes_is_the_tasks(photos):
    turned = Task("gender", "gender", GENDERS[::-1])
    expected = [{0: 1, 1: 0, -100: -100}[target] for target in encode(photos.rows, GENDER)]
    assert encode(photos.rows, turned).tolist() == expected


def test_an_unknown_column_is_named(store, preprocessing):
    with pytest.raises(UserError, match=r"tasks\.mood\.column=smile: .*no such column.*gender"):
        FaceDataset(store, np.arange(3), [Task("mood", "smile", ("no", "yes"))], preprocessing)


# --- pixels --------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3])
def test_images_are_the_networks_view_channels_last(photos, tmp_path, channels):
    preprocessing = Preprocessing(size=24, margin=3, channels=channels)
    folder = tmp_path / "set" / "store"
    write_store(
        folder, key="k", rows=photos.rows, root=photos.root, preprocessing=preprocessing, spec={}
    )
    store = open_store(folder)
    dataset = FaceDataset(store, np.arange(10, 30), [GENDER], preprocessing)
    batch = dataset.__getitems__([(0, 4), (0, 0), (0, 19)])
    images = batch["images"]
    assert images.dtype == torch.uint8
    assert images.shape == (3, channels, 24, 24)
    assert images.is_contiguous(memory_format=torch.channels_last)
    assert images.stride() == (24 * 24 * channels, 1, 24 * channels, channels)
    assert batch["rows"].tolist() == [14, 10, 29]
    expected = store.pixels([14, 10, 29])[:, 3:27, 3:27].transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(images.numpy(), expected)


def test_without_augmentation_the_epoch_does_not_matter(dataset):
    indices = [3, 1, 2]
    first, second = (
        dataset.__getitems__([(epoch, index) for index in indices])["images"] for epoch in (0, 9)
    )
    assert torch.equal(first, second)


def test_augmentation_sees_the_margin(photos, preprocessing, store):
    """A shift by the margin must bring in real pixels from beyond the network's view."""
    shift = A.Affine(translate_px={"x": (3, 3), "y": (0, 0)}, p=1.0)
    shifted = FaceDataset(
        store, np.arange(40), [], preprocessing, augmentation=Augmentation(steps={"shift": shift})
    )
    expected = store.pixels([8])[0, 3:27, 0:24, 0]
    np.testing.assert_array_equal(shifted[(0, 8)]["images"][0, 0].numpy(), expected)


def test_a_share_of_a_batch_may_be_empty(store, preprocessing):
    dataset = FaceDataset(
        store, np.arange(40), [GENDER], preprocessing, augmentation=augmentation()
    )
    batch = dataset.__getitems__([])
    assert batch["images"].shape == (0, 1, 24, 24)
    assert batch["targets"]["gender"].shape == batch["rows"].shape == (0,)


# --- workers -------------------------------------------------------------------------------------


def as_is(batch):
    return batch


def epochs(dataset, workers, batch_size=7, count=2):
    """Load epochs: for each, the images in the order of the rows."""
    options = {}
    if workers:
        options = {"multiprocessing_context": "fork", "persistent_workers": True}
    sampler = BatchSampler(size=40, batch_size=batch_size, seed=3, shuffle=True)
    loader = ResumableLoader(
        dataset, batch_sampler=sampler, num_workers=workers, collate_fn=as_is, **options
    )
    loaded = []
    for epoch in range(count):
        sampler.set_epoch(epoch)
        batches = list(loader)
        rows = torch.cat([batch["rows"] for batch in batches])
        images = torch.cat([batch["images"] for batch in batches])
        loaded.append(images[rows.argsort()])
    return loaded


def augmented(store, preprocessing, seed=0):
    return FaceDataset(
        store, np.arange(40), [GENDER], preprocessing, augmentation=augmentation(), seed=seed
    )


def test_workers_do_not_change_the_pixels(store, preprocessing):
    dataset = augmented(store, preprocessing)
    expected = epochs(dataset, 0)
    for workers, batch_size in ((2, 7), (0, 16)):
        for first, second in zip(expected, epochs(dataset, workers, batch_size), strict=True):
            assert torch.equal(first, second)
    other = epochs(augmented(store, preprocessing, seed=1), 0)
    for first, second in zip(expected, other, strict=True):
        assert (first != second).flatten(1).any(1).all()


@pytest.mark.parametrize("workers", [0, 2])
def test_no_stream_is_repeated(alike, preprocessing, workers):
    """Neither by another worker nor by another epoch: forty equal pictures, eighty results."""
    first, second = epochs(augmented(alike, preprocessing), workers)
    results = {image.numpy().tobytes() for image in torch.cat([first, second])}
    assert len(results) == 80


# --- data module ---------------------------------------------------------------------------------


def test_only_training_pictures_are_augmented(store, preprocessing):
    rows = np.arange(40)
    split = Split(rows[:20], rows[20:30], rows[30:], "by hand")
    data = FaceDataModule(store, split, [GENDER], preprocessing, augmentation(), batch_size=6)
    assert data.steps_per_epoch() == len(data.train_dataloader()) == 4
    plain = torch.from_numpy(preprocessing.network_view(store.pixels(rows))).permute(0, 3, 1, 2)
    for loader, part, changed in (
        (data.train_dataloader(), split.train, True),
        (data.val_dataloader(), split.val, False),
        (data.test_dataloader(), split.test, False),
    ):
        seen = {}
        for batch in loader:
            seen |= dict(zip(batch["rows"].tolist(), batch["images"], strict=True))
        assert sorted(seen) == part.tolist()
        assert (list(seen) == part.tolist()) is not changed  # in order, unless shuffled
        same = [torch.equal(image, plain[row]) for row, image in seen.items()]
        assert not any(same) if changed else all(same)
    genders = store.manifest["gender"][:20].value_counts()
    assert data.class_counts(GENDER) == [genders["male"], genders["female"]]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batch_size": 0}, r"data\.batch_size=0 must be at least 1"),
        ({"num_workers": -1}, r"data\.num_workers=-1 must be at least 0"),
    ],
)
def test_impossible_settings_are_refused(store, preprocessing, settings, message):
    split = Split(np.arange(20), np.arange(20, 30), np.arange(30, 40), "by hand")
    with pytest.raises(UserError, match=message):
        FaceDataModule(store, split, [GENDER], preprocessing, Augmentation(), **settings)


def test_a_data_sets_weight_is_in_its_training_batches(store, preprocessing):
    sources = np.where(np.arange(40) % 4 == 0, "lfw", "photos")
    manifest = store.manifest.assign(source=pd.Series(sources, dtype="str"))
    weighted = SimpleNamespace(manifest=manifest, pixels=store.pixels)
    split = Split(np.arange(20), np.arange(20, 30), np.arange(30, 40), "by hand")
    arguments = (weighted, split, [GENDER], preprocessing, Augmentation())
    data = FaceDataModule(*arguments, batch_size=8, source_weights={"lfw": 0.25})
    for batch in data.train_dataloader():
        assert batch["weights"].dtype == torch.float32
        expected = [0.25 if row % 4 == 0 else 1.0 for row in batch["rows"].tolist()]
        assert batch["weights"].tolist() == expected
    assert "weights" not in next(iter(data.val_dataloader()))
    assert "weights" not in next(iter(data.test_dataloader()))
    for none in (None, {}):
        plain = FaceDataModule(*arguments, source_weights=none)
        assert "weights" not in next(iter(plain.train_dataloader()))


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (
            {"lfv": 0.5},
            r"data\.source_weights\.lfv: no picture is of this data set; there is photos",
        ),
        ({"photos": -1}, r"data\.source_weights\.photos=-1 must be at least 0"),
        ({"photos": float("nan")}, r"data\.source_weights\.photos=nan must be at least 0"),
    ],
)
def test_impossible_weights_are_refused(store, preprocessing, weights, message):
    split = Split(np.arange(20), np.arange(20, 30), np.arange(30, 40), "by hand")
    with pytest.raises(UserError, match=message):
        FaceDataModule(
            store, split, [GENDER], preprocessing, Augmentation(), source_weights=weights
        )


@pytest.mark.parametrize("empty", ["train", "val", "test"])
def test_an_empty_split_is_refused(store, preprocessing, empty):
    parts = {"train": np.arange(20), "val": np.arange(20, 30), "test": np.arange(30, 40)}
    split = Split(**{**parts, empty: np.arange(0)}, protocol="by hand")
    with pytest.raises(UserError, match=f"the {empty} split is empty"):
        FaceDataModule(store, split, [GENDER], preprocessing, Augmentation()).check_trainable()


def test_everything_may_be_tested_without_training(store, preprocessing):
    split = Split(np.arange(0), np.arange(0), np.arange(40), "all images")
    data = FaceDataModule(store, split, [GENDER], preprocessing, Augmentation(), batch_size=16)
    rows = np.concatenate([batch["rows"] for batch in data.test_dataloader()])
    assert rows.tolist() == list(range(40))


def test_the_margin_stays_on_where_crops_are_tested(store, preprocessing):
    split = Split(np.arange(20), np.arange(20, 30), np.arange(30, 40), "by hand")
    parts = [store, split, [GENDER], preprocessing, Augmentation()]
    narrow, wide = FaceDataModule(*parts), FaceDataModule(*parts, test_margin=True)
    margin, size = preprocessing.margin, preprocessing.size
    for loader in ("test_dataloader", "predict_dataloader"):
        cut = next(iter(getattr(narrow, loader)()))["images"]
        whole = next(iter(getattr(wide, loader)()))["images"]
        assert whole.shape[-1] == size + 2 * margin
        assert whole[..., margin : margin + size, margin : margin + size].equal(cut)
    assert next(iter(wide.val_dataloader()))["images"].shape[-1] == size
