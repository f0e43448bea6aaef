"""Every snippet of the README, extracted and run: Python in a fresh process beside a finished run named demo, commands as dry as they can be."""
import os, re, shlex, subprocess, sys
from pathlib import Path

import nbformat, pytest, torch
from safetensors.torch import load_file

from conftest import ROOT
from test_papermill import papermill

SNIPPETS = [(kind, text.strip()) for kind, text in re.findall(r"^```([^\n]*)\n(.*?)^```$", (ROOT / "README.md").read_text(), re.S | re.M)]
of_kind = lambda kind: [text for k, text in SNIPPETS if k == kind]
COMMANDS = sorted({line.partition("  #")[0].strip() for text in of_kind("bash") for line in text.splitlines() if line.strip()})
GIVEN = {  # what the words around a snippet give it
    "model(images)": "import torch; images = torch.rand(2, 3, model.config.image_size, model.config.image_size)",
    "checkpoint.pt": "import timm\n"  # the small ViT of the recorded release stands in for the authors'
                     "timm.create_model = lambda name, **k: timm.models.vision_transformer.VisionTransformer(img_size=56, patch_size=14, embed_dim=48, depth=3,"
                     "    num_heads=3, num_classes=0, reg_tokens=4, no_embed_class=True, init_values=.5)"}


def test_every_snippet_is_of_a_kind_that_is_run():
    assert {kind for kind, _ in SNIPPETS} == {"bash", "python", "bibtex"} and len(of_kind("bibtex")) == 1 and len(of_kind("python")) == 3


def test_photographs_are_what_their_records_say():
    "Without this the README may go on showing numbers of runs that are no longer kept."
    from ifam.paper.results import measure, read
    runs, said = read(ROOT / "figures/photographs"), next(p for p in (ROOT / "README.md").read_text().split("\n\n") if p.startswith("**On [photographs]"))
    value = lambda name, what: measure([r for n, r in runs.items() if n.rpartition("-seed")[0] == name], draws=1)[what].value
    for what, names in {"WGA": ("ifam-K4", "ifam-K4-small", "pdiscoformer-K4", "erm", "erm-x3", "erm-frozen"), "Fg mIoU pooled": ("ifam-K4", "ifam-K4-small", "ifam-K4-none", "pdiscoformer-K4")}.items():
        for name in names: assert f"{value(name, what):.1f}" in said, (name, what, value(name, what))
    assert f"for {value('ifam-K4-small', 'WGA') - value('ifam-K4-small-half', 'WGA'):.0f} points of WGA" in said


@pytest.fixture(scope="module")
def demo(finished, tmp_path_factory):
    "A folder with runs/demo: a small run in place of the demo's, calibrated by the notebook that the README names for it."
    folder = tmp_path_factory.mktemp("reader")
    (folder / "runs").mkdir()
    (folder / "runs/demo").symlink_to(finished)
    done = papermill("nbs/intervene.ipynb", folder / "intervene.ipynb", "run", finished, cwd=folder)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def released(path: Path):
    "The weights of the recorded release, as the authors' file holds them."
    recorded = load_file(ROOT / "nbs/golden/release.safetensors")
    torch.save({k.removeprefix("weights."): v for k, v in recorded.items() if k.startswith("weights.")}, path)


def test_the_python_snippets_run_in_order(demo):
    "In one session, as somebody would type them."
    released(demo / "checkpoint.pt")
    code = []
    for text in of_kind("python"): code += [given for words, given in GIVEN.items() if words in text] + [text]
    done = subprocess.run([sys.executable, "-c", "\n".join(code)], cwd=demo, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    assert re.search(r"\d+% \d+% kept", done.stdout) and list((demo / "answer").rglob("overlay.png")) and list((demo / "answer").glob("*.csv"))


def parameters_of(notebook: str) -> set[str]:
    "What a notebook takes: the names in its cell of parameters and, of a training, any setting."
    from ifam.methods.contract import methods, setting_names
    cell = next(c for c in nbformat.read(ROOT / notebook, 4).cells if "parameters" in c.metadata.get("tags", []))
    settings = {n for m in methods() for n in setting_names(m)} if notebook == "nbs/train.ipynb" else set()
    return set(re.findall(r"^(\w+)(?=:| *=)", cell.source, re.M)) | settings


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_is_one(command, tmp_path):
    "A command that no branch knows fails."
    words = shlex.split(command)
    if words[0] == "make":
        done = subprocess.run(["make", "-n", "READY=/dev/null", *words[1:]], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0 and done.stdout, done.stderr
    elif words[0] == ".venv/bin/papermill":
        notebook, out, *given = words[1:]
        assert out.endswith(".ipynb") and given[::3] == ["-p"] * (len(given) // 3) and set(given[1::3]) <= parameters_of(notebook), command
        done = subprocess.run([sys.executable, "-m", "papermill", "--help-notebook", notebook], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0 and "Parameters inferred" in done.stdout, done.stderr
    elif words[:2] == [".venv/bin/jupyter", "lab"]: assert (ROOT / words[2]).is_file()
    elif words[0] == "mkdir": subprocess.run(words, cwd=tmp_path, check=True)
    else: pytest.fail(f"README.md: nothing here knows how to try {command!r}")
