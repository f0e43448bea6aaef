"""The house as somebody who adds to it meets it: a method is one page, what users type is where it was, a changed loss asks for its recipe."""
import json, os, shutil, signal, subprocess, sys, time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TOY = ["""# Toy

> ERM with its loss doubled""", "#| default_exp methods.toy", """#| export
from dataclasses import dataclass

from ifam.methods.erm import ERMMethod, ERMOptions

@dataclass(frozen=True)
class ToyOptions(ERMOptions):
    "Settings of a toy."
    method: str = "toy"
    factor: float = 2.0  # of the loss

class ToyMethod(ERMMethod):
    label, source, Options, trained_on = "Toy", "nobody", ToyOptions, ("waterbirds",)

    def losses(self, model, batch):
        return {name: self.config.factor * loss for name, loss in super().losses(model, batch).items()}"""]
SHOW = """
import json, sys
from ifam.paper import kept, tables
from ifam.paper.grid import runs_of
from ifam.core.runs import Run
name = "waterbirds-toy-seed0"
assert name in [r.name for r in runs_of("demo")]
kept.keep(Run(sys.argv[1]), sys.argv[2], name)
table = tables.readable(tables.cells("1a", tables.Kept("demo", kept.read(sys.argv[2]))))
print(json.dumps(table.set_index("").loc["Toy"].to_dict()))
"""


@pytest.fixture(scope="module")
def copied(tmp_path_factory):
    "A copy of the checkout, to be changed."
    code = tmp_path_factory.mktemp("house") / "code"
    for name in ("ifam", "nbs", "workflow", "tools", "settings.ini", "pyproject.toml"):
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, _parent(code) / name)
    return code


def _parent(folder):
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def run(code, *words, ok=True, **options):
    "A command in the copy; its output."
    env = {**os.environ, "PYTHONPATH": str(code), "IFAM_HOME": str(code.parent), "OMP_NUM_THREADS": "1", "IN_TEST": ""}
    done = subprocess.run([*map(str, words)], cwd=code, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=600, **options)
    assert (done.returncode == 0) == ok, done.stdout[-3000:]
    return done.stdout


def test_a_method_is_one_page(copied):
    "One notebook and nothing else: it trains, goes on after a kill, is evaluated, and stands in the grid and in a table."
    import nbformat
    v4 = nbformat.v4
    nb = v4.new_notebook(cells=[v4.new_markdown_cell(TOY[0]), *(v4.new_code_cell(s) for s in TOY[1:])])
    nbformat.write(nb, copied / "nbs/04_methods/08_toy.ipynb")
    run(copied, Path(sys.executable).parent / "nbdev_export")
    small = [w for k, v in dict(method="toy", factor=3.0, twin_size=0.02, epochs=2, batch_size=8, micro_batch=8, weights="none").items() for w in ("-p", k, v)]
    papermill = [sys.executable, "-m", "papermill", "--no-progress-bar"]
    train = lambda name: [*papermill, "nbs/train.ipynb", copied.parent / f"{name}.ipynb", *small, "-p", "run", name]
    run(copied, *train("whole"))
    env = {**os.environ, "PYTHONPATH": str(copied), "IFAM_HOME": str(copied.parent), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([*map(str, train("killed"))], cwd=copied, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    state, end = copied.parent / "runs/killed/state.pt", time.time() + 120
    while not state.exists(): assert process.poll() is None and time.time() < end; time.sleep(.05)
    os.killpg(process.pid, signal.SIGKILL); process.wait()
    run(copied, *train("killed"))
    whole, killed = (copied.parent / "runs" / name for name in ("whole", "killed"))
    assert (whole / "predictions.parquet").read_bytes() == (killed / "predictions.parquet").read_bytes()
    assert json.loads((whole / "config.json").read_text())["config"]["factor"] == 3.0
    run(copied, *papermill, "nbs/evaluate.ipynb", copied.parent / "evaluate.ipynb", "-p", "run", "whole")
    assert "| AA |" in (whole / "summary.md").read_text()
    row = json.loads(run(copied, sys.executable, "-c", SHOW, whole, copied.parent / "kept").splitlines()[-1])
    assert row["Waterbirds WGA"] and row["Waterbirds AA"], row


def test_a_changed_loss_asks_for_its_recipe(copied):
    "The guard names the number to raise; a function that is renamed asks for nothing."
    losses = copied / "ifam/model/losses.py"
    text = losses.read_text()
    check = [sys.executable, "tools/recipes.py", "--check"]
    assert "_pool3" in text and "return 1 - _pool3" in text
    losses.write_text(text.replace("_pool3", "_pooled")); run(copied, *check, "pdiscoformer", "--datasets", "waterbirds")
    losses.write_text(text.replace("return 1 - _pool3", "return 2 - 2 * _pool3"))
    said = run(copied, *check, "erm", "pdiscoformer", "--datasets", "waterbirds", "metashift", ok=False)
    losses.write_text(text)
    assert "Raise the recipe of methods.pdiscoformer, then" in said, said


USED = """
import sys
import ifam
assert not {"torch", "pandas", "ifam.twins"} & set(sys.modules), "import ifam loads more than itself"
config = ifam.Config(method="ifam", K=4)
names = [ifam.load, ifam.train, ifam.predict, ifam.model.load, ifam.model.from_release, ifam.losses.presence, ifam.losses.equivariance, ifam.metrics.worst_group_accuracy,
         ifam.datasets.load, ifam.datasets.check, ifam.interventions.Intervention, ifam.interventions.leave_one_out]
assert config.K == 4 and all(map(callable, names))
"""
LIGHT = """
import sys
needed = {"torch", "torchvision", "timm", "numpy", "PIL", "safetensors"}
others = set(OTHERS.split()) - needed

sys.modules |= dict.fromkeys(others)  # as if they were not installed
import ifam, torch
model = ifam.load(sys.argv[1])
assert model(torch.zeros(1, 3, model.config.image_size, model.config.image_size)).mask.shape[0] == 1
assert ifam.predict(model, [torch.zeros(50, 40, 3).numpy()])["class"] == [model.explain(torch.zeros(50, 40, 3).numpy()).class_name]
"""
OTHERS = """captum execnb fastcore gdcm ipywidgets joblib kornia lightning_fabric matplotlib nbconvert nbdev pandas papermill pooch pyarrow pydicom scipy seaborn skimage sklearn
snakemake"""


def test_what_users_type_is_there(): run(ROOT, sys.executable, "-c", USED)


def test_a_trained_model_needs_little(finished):
    "Where nothing but the model's own packages is installed, `ifam.load` opens a run, and `ifam.predict` looks at pictures."
    run(ROOT, sys.executable, "-c", f"OTHERS = {OTHERS!r}\n" + LIGHT, finished)
