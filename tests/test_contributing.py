"""What CONTRIBUTING.md, the hooks and the workflow name is there."""
import importlib, re, shlex, subprocess, sys
from pathlib import Path

import pytest, yaml

from conftest import ROOT

TEXT = (ROOT / "CONTRIBUTING.md").read_text()
NAMED = re.findall(r"`([^`\n]+)`", TEXT)
TARGETS = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.M))


def test_four_things_are_added_in_five_lines_each():
    parts = re.split(r"^## ", TEXT, flags=re.M)[1:]
    assert [p.splitlines()[0] for p in parts] == [f"Add a {x}" for x in ("dataset", "method", "measure", "figure")]
    assert [len(re.findall(r"^\d\. ", p, re.M)) for p in parts] == [5] * 4


@pytest.mark.parametrize("name", sorted({n for n in NAMED if n.startswith("ifam.")}))
def test_a_name_of_the_library_is_one(name):
    module, _, attribute = name.rpartition(".")
    assert hasattr(importlib.import_module(module), attribute)


@pytest.mark.parametrize("path", sorted({w for n in NAMED for w in n.split() if re.match(r"(nbs|tools|tests|data_prep)/|\.pre-commit", w)}))
def test_a_file_is_there(path): assert (ROOT / path).exists()


def test_names_in_a_class_are_its_own():
    from ifam.datasets.records import ImageTable
    from ifam.methods.contract import Method
    from ifam.paper.figures import open_page
    from ifam.methods import contract
    for name in ("build", "losses", "phases", "draw", "memory", "hand_on"): assert hasattr(Method, name) and f"`{name}`" in TEXT
    for kind in contract.methods():
        for name in ("label", "source", "Options", "trained_on"): assert hasattr(contract.method(kind), name)
    from ifam.datasets.loading import registry
    for kind in registry.values():
        for name in ("name", "splits", "metric", "scored", "licence", "citation", "_read"): assert hasattr(kind, name), (kind, name)
        assert issubclass(kind, ImageTable)
    assert callable(open_page) and "figure_11" not in {p.stem for p in (ROOT / "nbs/figures").iterdir()}


@pytest.mark.parametrize("command", sorted({n for n in NAMED if n.startswith("make ")}))
def test_a_target_exists(command): assert shlex.split(command)[1] in TARGETS


def test_the_hooks_are_local_and_quick():
    hooks = [h for r in yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"] for h in r["hooks"] if r["repo"] == "local"]
    assert {h["id"] for h in hooks} == {"nbdev_clean", "nbdev_export", "repository"} and all(h["language"] == "system" for h in hooks)
    for words in (shlex.split(h["entry"]) for h in hooks if "pytest" in h["entry"]):
        assert words[1:5] == ["-m", "pytest", "-q", "tests/test_repo.py"] and set(re.findall(r"\w+", words[6])) <= {"not", "or", "and", "can_fail", "in_sync", "clean"}


def test_the_workflow_calls_make():
    workflow = yaml.safe_load((ROOT / ".github/workflows/test.yml").read_text())
    steps = workflow["jobs"]["test"]["steps"]
    assert all(re.fullmatch(r"actions/[\w-]+@v\d+", s["uses"]) for s in steps if "uses" in s)
    run = [shlex.split(s["run"]) for s in steps if "run" in s]
    assert run == [["make", "test"]] and all(words[1] in TARGETS for words in run)
    assert subprocess.run(["make", "-n", "READY=/dev/null", *run[0][1:]], cwd=ROOT, capture_output=True).returncode == 0


def test_make_in_a_copy_works_on_the_copy(tmp_path):
    "With the environment of another checkout, whose editable install points there."
    (tmp_path / "ifam").mkdir()
    (tmp_path / "ifam/__init__.py").write_text(""); (tmp_path / "Makefile").write_text((ROOT / "Makefile").read_text())
    rule = 'where: ; @$(BIN)/python -c "import ifam; print(ifam.__file__)"'
    said = subprocess.run(["make", "--no-print-directory", f"--eval={rule}", "where", f"BIN={Path(sys.executable).parent}"], cwd=tmp_path, capture_output=True, text=True)
    assert said.stdout.strip() == str(tmp_path / "ifam/__init__.py"), said.stderr
