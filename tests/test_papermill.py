"""The papermill notebooks, run as a user runs them, at a one-minute size."""
import os, shutil, subprocess, sys, time

import pandas as pd
import pytest, timm
from PIL import Image
from safetensors.torch import save_file

from conftest import ROOT

from ifam.training.opened import load


def papermill(notebook, out, *parameters, cwd):
    "Run a notebook; parameters are alternating names and values."
    words = [w for name, value in zip(parameters[::2], parameters[1::2]) for w in ("-p", name, str(value))]
    return subprocess.run([sys.executable, "-m", "papermill", str(ROOT / notebook), str(out), "--no-progress-bar", *words], cwd=cwd,
                          capture_output=True, text=True, timeout=900)


QUICK = ("twin_size", 0.02, "epochs", 1, "weights", "none", "batch_size", 8)


def test_train_then_evaluate_from_another_directory(house, tmp_path):
    done = papermill("nbs/train.ipynb", tmp_path / "train.ipynb", "K", 3, "run", "mine", *QUICK, "micro_batch", 8, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    run = house / "runs" / "mine"
    assert {"config.json", "metrics.jsonl", "model.safetensors", "predictions.parquet"} <= {f.name for f in run.iterdir()}
    done = papermill("nbs/evaluate.ipynb", tmp_path / "evaluate.ipynb", "run", "mine", cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    table = pd.read_csv(run / "summary.csv").set_index("metric")
    assert {"AA", "WGA", "Fg mIoU pooled", "kept"} <= set(table.index) and (run / "part_maps.png").stat().st_size > 10_000
    done = papermill("nbs/evaluate.ipynb", tmp_path / "evaluate.ipynb", "run", "mine", "split", "val", cwd=tmp_path)
    assert done.returncode == 0 and (run / "summary-val.md").exists(), done.stderr[-3000:]


def test_a_method_is_one_word(house, tmp_path):
    done = papermill("nbs/train.ipynb", tmp_path / "train.ipynb", "method", "pdiscoformer", *QUICK, "micro_batch", 8, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    assert list((house / "runs").glob("waterbirds-pdiscoformer-*/predictions.parquet"))


@pytest.mark.parametrize("parameters, sentence", [
    (("KK", 8), "Unknown parameter 'KK'. Did you mean 'K'?"),
    (("K", "eight"), "K='eight' is str, it must be int."),
    (("data", "/nowhere"), "data='/nowhere' is not a folder."),
])
def test_a_wrong_parameter_stops_the_run_at_once(house, tmp_path, parameters, sentence):
    "papermill only warns of an unknown parameter; the run must not go on with something other than what was asked."
    began = time.time()
    done = papermill("nbs/train.ipynb", tmp_path / "out.ipynb", *parameters, cwd=tmp_path)
    assert done.returncode and sentence in done.stderr, done.stderr[-2000:]
    assert time.time() - began < 60


def test_evaluate_says_what_a_run_is(house, tmp_path):
    done = papermill("nbs/evaluate.ipynb", tmp_path / "out.ipynb", "run", "absent", cwd=tmp_path)
    assert done.returncode and "it is not the folder of a finished run" in done.stderr


def test_a_run_is_corrected_and_audited(finished, tmp_path):
    "Both notebooks on a finished run: numbers in a csv, one page that needs nothing else; the model that comes back is calibrated."
    done = papermill("nbs/intervene.ipynb", tmp_path / "intervene.ipynb", "run", finished, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    table = pd.read_csv(finished / "interventions.csv")
    assert {"none", "drop 0", "drop 1", "q 0.99", "q 0.97"} <= set(table["intervention"]) and {"AA", "WGA", "Fg mIoU pooled", "kept"} <= set(table["metric"])
    predictions = pd.read_parquet(finished / "predictions-interventions.parquet")
    said = predictions[predictions["intervention"] == "drop 0"].filter(regex="^logit_").to_numpy().argmax(1)
    own = predictions.loc[predictions["intervention"] == "drop 0", "label"].to_numpy()
    assert abs(100 * (said == own).mean() - table.set_index(["intervention", "metric"])["value"]["drop 0", "AA"]) < 1e-6
    model = load(finished)
    with model.intervened(q=0.99): assert model.stage1.thresholds.values
    done = papermill("nbs/audit.ipynb", tmp_path / "audit.ipynb", "run", finished, "images", 24, "refills", 1, "curves", 4, "selection", 40, "maps", 3, "birds", 3, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    audit = pd.read_csv(finished / "audit.csv")
    assert set(audit["section"]) == {"exactness", "selection", "stability", "alone", "curves", "context", "quantus", "parts"}
    exact = audit[(audit["section"] == "exactness") & (audit["model"] == finished.name)].set_index("what")["value"]
    assert (exact == 0).all(), exact
    for name in ("interventions.html", "audit.html"):
        page = (finished / name).read_text()
        assert "Generated data" in page and "data:image/png" in page and "http" not in page


def test_pictures_are_predicted(finished, tmp_path):
    "The page and the command on a folder with a broken file: the same tables, a folder of PNGs for each picture."
    (tmp_path / "mine").mkdir()
    for name in ("a b.png", "wide.png"): Image.effect_noise((90, 60), 80).save(tmp_path / "mine" / name)
    (tmp_path / "mine" / "cut.png").write_bytes((tmp_path / "mine" / "wide.png").read_bytes()[:300])
    (tmp_path / "one.png").write_bytes((tmp_path / "mine" / "wide.png").read_bytes())
    done = papermill("nbs/predict.ipynb", tmp_path / "page.ipynb", "run", finished, "pictures", "one.png, mine", "out", "page", cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    done = subprocess.run([sys.executable, "-m", "ifam", "predict", str(finished), "one.png", "mine", "--out", "command"], cwd=tmp_path, capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert done.returncode == 1 and "mine/cut.png: is not a readable picture" in done.stderr, done.stderr[-3000:]
    for out in ("page", "command"):
        table = pd.read_csv(tmp_path / out / "predictions.csv")
        assert table["folder"].fillna("").tolist() == ["one", "a_b", "", "wide"] and table["error"].notna().tolist() == [False, False, True, False]
        assert {f.name for f in (tmp_path / out / "wide").iterdir()} == {"overlay.png", "mask.png", "part_0.png", "part_1.png"}


@pytest.mark.parametrize("notebook, parameters, sentence", [
    ("intervene", ("drop_parts", "9"), "this model's parts are 0 to 1"),
    ("intervene", ("quantiles", "97"), "q=97.0: give the share of training tokens that stay"),
    ("audit", ("imgaes", 9), "Unknown parameter 'imgaes'. Did you mean 'images'?"),
])
def test_a_wrong_intervention_is_one_sentence(finished, tmp_path, notebook, parameters, sentence):
    done = papermill(f"nbs/{notebook}.ipynb", tmp_path / "out.ipynb", "run", finished, *parameters, cwd=tmp_path)
    assert done.returncode and sentence in done.stderr, done.stderr[-2000:]


def test_the_benchmark_compares_side_by_side(house, tmp_path):
    done = papermill("nbs/benchmark.ipynb", tmp_path / "out.ipynb", "backbone", "vit_tiny_patch16_224", "image_size", 96, "batch", 3, "repeats", 1, "records", 12, "tokens", 1_000_000,
                     "out", tmp_path / "figures", cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    assert (pd.read_csv(tmp_path / "figures" / "benchmark.csv")["ratio"] > 0).all()


def test_the_demo_backbone_can_be_made_again(house, tmp_path, monkeypatch):
    "Cutting down and distilling at a one-minute size, from a teacher with random weights, writes a checkpoint and leaves the package's weights alone."
    teacher = "vit_small_patch14_dinov2.lvd142m"
    save_file(timm.create_model(teacher, img_size=196, num_classes=0).state_dict(), tmp_path / f"{teacher}.safetensors")
    monkeypatch.setenv("IFAM_WEIGHTS", str(tmp_path))
    weights = (ROOT / "ifam/assets/vit_demo_patch8_reg4.safetensors").read_bytes()
    done = papermill("nbs/pretrain_demo.ipynb", tmp_path / "out.ipynb", "share", 0.005, "photograph_crops", 1, "most", 96, "threads", 1, "batch", 8, "calibration", 16, "epochs", 1, "tested", 20,
                     "reported", 0.03, "out", tmp_path / "pretraining", cwd=ROOT / "nbs")
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / "pretraining" / "state.pt").exists() and (ROOT / "ifam/assets/vit_demo_patch8_reg4.safetensors").read_bytes() == weights
