"""Every dataset, from a generated folder to its own metric, through the notebooks a user runs."""
import shutil

import pandas as pd
import pytest

from test_papermill import QUICK, papermill

from ifam.training import data as training
from ifam.methods.contract import configure, preset
from ifam.datasets import load
from ifam.datasets.found import mask_folder
from ifam.datasets.loading import place
from ifam.training.loop import train
from ifam.twins.generate import generate

TRAINED = ("cub", "metashift", "siim_acr", "imagenet")  # waterbirds is everywhere else in these tests
METRIC = dict(cub="AA", metashift="WGA", siim_acr="AUC", imagenet="AA")


@pytest.mark.parametrize("dataset", TRAINED)
def test_a_dataset_is_one_word(house, tmp_path, dataset):
    "Trained and evaluated on its twin, each with its own metric; then on the dataset that is evaluated after it."
    small = (*QUICK, "micro_batch", 8, "K", 2)
    done = papermill("nbs/train.ipynb", tmp_path / "train.ipynb", "dataset", dataset, "run", f"data-{dataset}", *small, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    after = dict(cub="waterbirds200", imagenet="imagenet9").get(dataset)
    for other in [(), ("dataset", after)][:1 + bool(after)]:
        done = papermill("nbs/evaluate.ipynb", tmp_path / "evaluate.ipynb", "run", f"data-{dataset}", *other, cwd=tmp_path)
        assert done.returncode == 0, done.stderr[-3000:]
    run = house / "runs" / f"data-{dataset}"
    assert METRIC[dataset] in set(pd.read_csv(run / "summary.csv")["metric"])
    if after: assert {"imagenet9": "BG-GAP", "waterbirds200": "AA"}[after] in set(pd.read_csv(run / f"summary-{after}.csv")["metric"])


def test_masks_that_were_found_stand_in_for_annotated_ones(house, tmp_path, monkeypatch):
    "Made on first use beside the twin, of all its images, and noted in the run; on somebody's data their absence is one sentence."
    monkeypatch.setitem(training.DEMO_TRAINING, "iterations", 2)
    settings = dict(preset("demo", "metashift", "late_mask"), masks="found", twin_size=0.02, epochs=1, weights="none", batch_size=8, micro_batch=8)
    run = train(configure(**settings), tmp_path / "run")
    images = house / "data" / "twin-metashift-x0.02" / "MetaDatasetCatDog"
    masks = mask_folder(images)
    assert {f.relative_to(masks) for f in masks.rglob("*.png")} == {f.relative_to(images).with_suffix(".png") for f in images.rglob("*.jpg")}
    assert run.finished and run.saved["data"]["masks"]["settings"]["iterations"] == 2
    shutil.copytree(images, tmp_path / "MetaDatasetCatDog")
    with pytest.raises(FileNotFoundError, match="found_masks.ipynb makes it, with -p data"): train(configure(**settings, data=str(tmp_path)), tmp_path / "other")


def test_your_own_folders_train(house, tmp_path):
    "Class folders that no dataset of the paper has: named by the folder, scored on their own second split."
    root = generate("imagenet", house / "data" / "twin-imagenet-0.95-x0.02", seed=2, share=0.02, correlation=0.95)
    settings = dict(preset("demo", "folder"), data=str(root), epochs=1, weights="none", batch_size=8, micro_batch=8, K=2)
    run = train(configure(**settings), tmp_path / "run")
    assert run.finished and run.saved["data"]["scored"] == "val" and run.saved["data"]["train"]["name"] == "folder"


@pytest.mark.parametrize("dataset, notebook", [("waterbirds", "waterbirds"), ("cub", "cub"), ("metashift", "metashift"), ("siim_acr", "siim_acr"),
                                               ("imagenet", "imagenet"), ("imagenet9", "imagenet9"), ("imagenet", "folder")])
def test_a_preparation_counts_checks_and_notes(house, tmp_path, dataset, notebook):
    "On a twin, nothing is fetched; the note is written, says that this is not the published set, and runs would carry it."
    root = generate(dataset, tmp_path / "data", share=0.02)
    (root / "prepared.json").unlink()
    if dataset in ("waterbirds", "cub"): root = root.parent  # what would be fetched is looked for in the folder that holds CUB_200_2011
    done = papermill(f"data_prep/{notebook}.ipynb", tmp_path / "out.ipynb", "root", root, "samples", 3, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    assert list(root.rglob("prepared.json")) and '"published": false' in next(root.rglob("prepared.json")).read_text()


@pytest.mark.parametrize("dataset, archive, around", [("metashift", "metashifts", "metashifts/metashifts"), ("siim_acr", "archive", "films")])
def test_an_archive_lands_where_the_grid_looks(house, tmp_path, dataset, archive, around):
    "Otherwise the grid plans the runs of a dataset that was prepared as its page says, and each of them fails."
    twin, inside, root = generate(dataset, tmp_path / "data", share=0.02), tmp_path / "all" / around, tmp_path / "DATA" / dataset
    (twin / "prepared.json").unlink(); inside.mkdir(parents=True); twin.rename(inside / twin.name)
    shutil.make_archive(root / "archives" / archive, "zip", tmp_path / "all")
    done = papermill(f"data_prep/{dataset}.ipynb", tmp_path / "out.ipynb", "root", root, "samples", 3, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    assert len(load(dataset, place(tmp_path / "DATA", dataset), "train")) and not [p.name for p in root.iterdir() if p.name.startswith("tmp")]


def test_a_twin_is_one_command(house, tmp_path):
    done = papermill("data_prep/demo.ipynb", tmp_path / "demo.ipynb", "dataset", "metashift", "out", tmp_path / "data", "share", 0.02, "samples", 3, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / "data" / "MetaDatasetCatDog" / "prepared.json").exists()


@pytest.mark.parametrize("notebook, sentence", [("metashift", "metashifts.zip is missing. Fetch it from"), ("siim_acr", "archive.zip is missing. Log in to Kaggle"),
                                                ("imagenet", "ILSVRC2012_img_train.tar is missing. Log in at image-net.org")])
def test_where_a_licence_stands_before_the_data_it_says_what_to_do(tmp_path, notebook, sentence):
    done = papermill(f"data_prep/{notebook}.ipynb", tmp_path / "out.ipynb", "root", tmp_path / "empty", cwd=tmp_path)
    assert done.returncode and sentence in done.stderr, done.stderr[-2000:]
    assert not list(tmp_path.rglob("prepared.json"))
