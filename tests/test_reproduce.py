"""`make reproduce`, as a user meets it: run twice, killed, with a run deleted, a preset touched, a step that fails, twice at once, and through Slurm."""
import copy, json, os, re, shutil, signal, subprocess, sys, time
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).resolve().parents[1]
ONLY = "waterbirds-erm-seed0,waterbirds-ifam-K4-seed0"


class Grid:
    "A copy of the checkout with its own runs and data, so that its code may be changed."
    def __init__(self, folder: Path):
        self.code, self.runs, self.made = folder / "code", folder / "runs" / "quick", folder / "code" / "figures" / "quick"
        for name in ("ifam", "nbs", "workflow", "tools", "settings.ini"):
            (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, _parent(self.code) / name)
        self.env = {**os.environ, "IFAM_HOME": str(folder), "PYTHONPATH": str(self.code), "IN_TEST": ""}

    def start(self, *more, only=ONLY, env={}):
        words = [sys.executable, self.code / "tools/grid.py", "reproduce", "--profile", "quick", "--runs", self.runs.parent, "--only", only, *more]
        return subprocess.Popen(words, env=self.env | env, cwd=self.runs.parents[1], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)

    def __call__(self, *more, **options):
        process = self.start(*more, **options)
        said, _ = process.communicate(timeout=600)
        return process.returncode, said

    def todo(self, more=(), **options) -> set:
        "What a dry run lists. It touches nothing."
        before = self.everything()
        code, said = self("--dry-run", *more, **options)
        assert code == 0 and self.everything() == before, said
        return {(step, name) for step, names in re.findall(r"^([\w-]+): (.+(?:\n  .+)*)", said, re.M) for name in names.split()}

    def everything(self) -> dict:
        "Each file and folder of the runs and the checkout, with its date and size; but what Python compiles."
        files = [f for top in (self.runs.parent, self.code) for f in [top, *top.rglob("*")] if "__pycache__" not in f.parts]
        return {f: (f.stat().st_mtime_ns, f.is_file() and f.stat().st_size) for f in files}

    def dates(self) -> dict:
        return {f: f.stat().st_mtime_ns for f in self.made.rglob("*") if f.is_file()}

    def rows(self, run: str) -> pd.DataFrame:
        return pd.read_parquet(self.made / f"runs/{run}.parquet")


def _parent(folder):
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    grid = Grid(tmp_path_factory.mktemp("grid"))
    code, said = grid()
    assert code == 0, said[-4000:]
    return grid


def test_everything_is_made(grid):
    "Tables as csv, Markdown and picture, every run's predictions and notebook, one page; an empty cell says what fills it."
    assert {"report.html", "results.csv", "results.parquet", "claims.csv", "table_1a.csv", "table_1a.md", "table_1a.png", "appendix_b.csv"} <= {f.name for f in grid.made.iterdir()}
    table = pd.read_csv(grid.made / "table_1a.csv")
    filled = table[table["value"].notna()]
    assert set(filled["method"]) == {"dinov2_vitb_finetuned", "resnet50_erm", "vitb_erm", "ifam"} and (filled["low"] <= filled["value"]).all() and "paper" not in table
    assert "make reproduce PROFILE=quick ONLY=waterbirds-pdiscoformer-K4-seed" in set(table["command"])
    assert (grid.runs / "runs/waterbirds-ifam-K4-seed0/train.html").stat().st_size > 10_000
    results = pd.read_parquet(grid.made / "results.parquet")
    assert {"run", "settings", "seed", "versions", "git", "data", "value", "low", "high", "n"} <= set(results) and set(results["run"]) == set(ONLY.split(","))


def test_the_second_time_nothing_is_done(grid):
    before, start = grid.dates(), time.time()
    code, said = grid()
    assert code == 0 and "To do: nothing" in said and time.time() - start < 30, said
    assert grid.dates() == before


def test_what_hangs_on_a_change_is_made_again_and_nothing_else(grid):
    "A run that is gone, a preset, a recipe; but not code whose recipe stayed, or a preset of other runs."
    erm, ifam = ONLY.split(",")
    everything = {("train", erm), ("train", ifam), ("intervene", ifam), ("pages", "table_1a"), ("pages", "table_methods"), ("pages", "appendix_b"), ("report", "report")}
    pages = {("pages", "table_1a"), ("pages", "table_methods"), ("pages", "appendix_b"), ("report", "report")}
    moved = grid.runs / "runs" / erm; moved.rename(moved.with_name("gone"))
    assert grid.todo() == {("train", erm), ("pages", "table_1a"), ("pages", "table_methods"), ("report", "report")}
    moved.with_name("gone").rename(moved)
    assert grid.todo() == set()

    def changed(file, old, new):
        path = grid.code / file
        text = path.read_text(); assert old in text, file
        path.write_text(text.replace(old, new, 1))
        try: return grid.todo()
        finally: path.write_text(text)
    assert changed("ifam/core/config.py", "lr_vit=1e-4", "lr_vit=2e-4") == everything
    assert changed("ifam/core/config.py", "metashift=dict(image_size=224", "metashift=dict(image_size=210") == set()          # no run of these
    assert changed("ifam/methods/erm.py", "    Options = ERMOptions", "    Options, recipe = ERMOptions, 2") == {("train", erm), ("pages", "table_1a"), ("pages", "table_methods"), ("report", "report")}
    assert changed("ifam/paper/reproduce.py", "PAGES_RECIPE = ", "PAGES_RECIPE = 1 + ") == pages
    assert changed("ifam/model/parts.py", "def run_blocks(", "def moved(): pass\n\n\ndef run_blocks(") == set()                # a function more, renamed or moved costs nothing
    assert grid.todo() == set()


def test_what_the_checkout_keeps_is_taken(grid, tmp_path):
    "On another machine KEPT=1 trains nothing, the tables have every row, and what opens a model came along; what was kept under another preset is not taken."
    erm, ifam = ONLY.split(",")
    other = copy.copy(grid)
    other.runs = _parent(tmp_path / "runs") / "quick"
    pages = {("pages", "table_1a"), ("pages", "table_methods"), ("pages", "appendix_b"), ("report", "report")}
    own = {("train", ifam), ("intervene", ifam), *pages}
    assert other.todo() == {("train", erm), *own}
    assert other.todo(more=["--kept"]) == pages - {("pages", "appendix_b")}
    assert other.todo(only=ifam) == own and not other.runs.exists()
    record = grid.made / f"runs/{erm}.json"
    text = record.read_text(); record.write_text(text.replace(json.loads(text)["stamps"]["train"], "older"))
    assert ("train", erm) in other.todo(more=["--kept"])
    record.write_text(text)


def test_killed_and_started_again_it_ends_the_same(grid):
    run = "waterbirds-ifam-K4-seed0"
    before = grid.rows(run)
    shutil.rmtree(grid.runs / "runs" / run)
    process, log = grid.start("--until", "keep"), grid.runs / f"logs/train/{run}.log"
    log.unlink(missing_ok=True)
    end = time.time() + 120
    while not (log.exists() and "step/s" in log.read_text() or log.exists() and "s/step" in log.read_text()):
        assert process.poll() is None and time.time() < end; time.sleep(.1)
    os.killpg(process.pid, signal.SIGKILL); process.wait()
    assert not (grid.runs / "runs" / run / "train.html").exists()
    code, said = grid("--until", "keep")  # the pages are made once, below
    assert code == 0, said[-3000:]
    pd.testing.assert_frame_equal(grid.rows(run), before)


def test_two_at_once_do_no_harm(grid):
    run = "waterbirds-erm-seed0"
    before = grid.rows(run)
    shutil.rmtree(grid.runs / "runs" / run)
    both = [grid.start("--until", "keep") for _ in range(2)]
    said = [p.communicate(timeout=600)[0] for p in both]
    assert [p.returncode for p in both] == [0, 0], said
    pd.testing.assert_frame_equal(grid.rows(run), before)


def test_a_step_that_fails_is_listed_and_the_rest_is_made(grid):
    notebook = grid.code / "nbs/tables/table_1a.ipynb"
    text = notebook.read_text()
    notebook.write_text(text.replace('tables.cells(\\"1a\\"', 'tables.cells(\\"1z\\"'))
    dates = lambda: {f.stem: f.stat().st_mtime_ns for f in (grid.runs / "pages").glob("*.html")}
    before = dates()
    code, said = grid()
    assert code and "NOT DONE pages/table_1a" in said and said.count("NOT DONE") == 1
    assert {page for page, date in dates().items() if before.get(page) != date} == {"table_methods", "appendix_b"}
    assert "There is no table '1z'" in (grid.runs / "logs/pages/table_1a.log").read_text()
    notebook.write_text(text)
    code, said = grid()
    assert code == 0, said[-3000:]


STUB = {
    "sbatch": """import os, subprocess, sys
folder = os.environ["STUB"]; job = str(len(os.listdir(folder)) + 1)
wrap = next(a.partition("=")[2] for a in sys.argv if a.startswith("--wrap"))
open(f"{folder}/{job}", "w").write("\\n".join(sys.argv[1:]))
code = subprocess.run(wrap, shell=True, env={**os.environ, "SLURM_JOB_ID": job}, stdout=open(f"{folder}.{job}.log", "w"), stderr=subprocess.STDOUT).returncode
open(f"{folder}.states", "a").write(f"{job}|{'FAILED' if code else 'COMPLETED'}\\n"); print(job)""",
    "sacct": "import os\nfile = os.environ['STUB'] + '.states'\nprint(open(file).read() if os.path.exists(file) else '')",
    "srun": "import os, sys\nwords = sys.argv[1:]\nwhile words[0].startswith('-'): words.pop(0)\nos.execvp(words[0], words)",
    "sinfo": "", "squeue": "", "scancel": "", "sacctmgr": "print('science')", "scontrol": "print('MinJobAge = 300 sec')"}


def test_slurm_gets_the_submissions(grid, tmp_path):
    "The same workflow through Snakemake's Slurm executor, with a stub in place of the scheduler that runs what is submitted."
    jobs = tmp_path / "jobs"; jobs.mkdir(); (tmp_path / "bin").mkdir()
    for name, program in STUB.items():
        file = tmp_path / "bin" / name
        file.write_text(f"#!{sys.executable}\n{program}\n"); file.chmod(0o755)
    shutil.rmtree(grid.runs / "runs/waterbirds-erm-seed0")
    code, said = grid("--gpus", "2", "--workflow-profile", str(grid.code / "workflow/profiles/slurm"), "--default-resources", "slurm_account=science", "slurm_partition=gpus",
                      "--latency-wait", "5", "--slurm-init-seconds-before-status-checks", "1",
                      only="waterbirds-erm-seed0", env=dict(STUB=str(jobs), PATH=f"{tmp_path / 'bin'}:{os.environ['PATH']}"))
    assert code == 0, said[-4000:] + "".join(f.read_text()[-1500:] for f in tmp_path.glob("jobs.*.log"))
    asked = [f.read_text() for f in jobs.iterdir()]
    training = next(a for a in asked if "rule_train" in a)
    assert all(w in training for w in ("science", "gpus", "-t\n2880", "--mem\n64000", "--nodes=1", "--gpus=2", "-D\n"))
    config = json.loads((grid.runs / "runs/waterbirds-erm-seed0/config.json").read_text())["config"]
    assert config["micro_batch"] == config["batch_size"] // 2  # two processes trained it together
    assert any("rule_page" in a for a in asked) and not any("rule_keep" in a for a in asked)
