"""The site of `make docs`: whole, with links that lead somewhere, on its own, and readable on a telephone."""
import importlib, json, os, re, shutil, sys

import pytest, yaml

from conftest import ROOT
from test_explorer import browser  # noqa: F401

sys.path.insert(0, str(ROOT / "tools"))
import docs  # noqa: E402

FEW = "index.ipynb", "train.ipynb", "00_config.ipynb", "06_losses.ipynb", "table_1a.ipynb", "README.md"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    "All of it, by nbconvert; about half a minute."
    folder, path = tmp_path_factory.mktemp("docs") / "site", os.environ["PATH"]
    os.environ["PATH"] = os.pathsep.join(p for p in path.split(os.pathsep) if not os.path.exists(os.path.join(p, "quarto")))
    try: assert docs.build(ROOT, folder) == [], "links that lead nowhere"
    finally: os.environ["PATH"] = path
    return folder


def test_every_page_is_there_and_loads_nothing_from_elsewhere(site):
    texts = {p: p.read_text() for p in site.rglob("*.html")}
    notebooks = [p.relative_to(ROOT) for folder in ("nbs", "data_prep") for p in (ROOT / folder).rglob("*.ipynb") if ".ipynb_checkpoints" not in p.parts]
    assert {p.with_suffix(".html").as_posix() for p in notebooks} - {p.relative_to(site).as_posix() for p in texts} <= {"nbs/index.html"}
    loads = re.compile(r'<(?:script|img|link|iframe|source)\b[^>]*(?:src|href)="(?:https?:)?//|url\(["\']?https?:|@import', re.I)
    for page, text in texts.items():
        assert not (found := loads.search(text)), (page, found[0])
        main = re.sub(r"<pre.*?</pre>", "", text.partition("<main>")[2], flags=re.S)
        assert "skip_exec" not in main and "KeyboardInterrupt caught" not in main and "IPKernelApp" not in main, page
    assert not loads.search((site / "style.css").read_text())


def test_every_exported_symbol_has_its_parameters(site):
    for module in docs.modules(ROOT):
        page = (site / f"api/{module}.html").read_text()
        for name, symbol in docs.exported(importlib.import_module(module)).items(): assert f'id="{name}"' in page, (module, name)
    page = (site / "api/ifam.training.loop.html").read_text()
    assert re.search(r"<code>folder</code></td>\s*<td><code>str or pathlib.Path</code></td>\s*<td>of the run</td>", page)
    assert '<a href="../api/ifam.methods.contract.html#Method">' in page


def test_the_index_of_the_search_names_pages(site):
    listed = json.loads(re.match(r"const PAGES=(.*);\n", (site / "search.js").read_text())[1])
    assert len(listed) > 100 and all((site / url).is_file() for url, *_ in listed)


def test_code_of_a_run_is_folded_and_mathematics_is_drawn(site):
    train, losses = (site / "nbs/train.html").read_text(), (site / "nbs/02_model/06_losses.html").read_text()
    assert "lines of code</summary>" in train and losses.count("<math") > 5 and "$$" not in losses


def test_no_page_scrolls_sideways_and_the_search_finds(site, browser):  # noqa: F811
    "At two widths, light and dark; files of the machine are all that is asked for."
    for width, scheme in ((1200, "light"), (400, "dark")):
        page = browser.new_page(viewport=dict(width=width, height=900), color_scheme=scheme)
        asked = []
        page.on("request", lambda r: asked.append(r.url)); page.on("pageerror", lambda e: asked.append(str(e)))
        for file in [site / "index.html", *sorted(site.glob("nbs/*.html")), *sorted(site.glob("api/*.html"))[::4], *sorted(site.glob("nbs/0*/*.html"))[::4]]:
            page.goto(file.as_uri())
            assert page.evaluate("document.documentElement.scrollWidth") <= width, file
        assert all(a.startswith(("file:", "data:")) for a in asked), asked
        page.close()
    page = browser.new_page(viewport=dict(width=1200, height=900))
    page.goto((site / "nbs/train.html").as_uri())
    page.fill(".search", "worst_group_accuracy"); page.click(".found a")
    assert page.url.endswith("api/ifam.measures.metrics.html#worst_group_accuracy")
    page.close()


def test_quarto_gets_the_same_pages(tmp_path, monkeypatch):
    "A stub in its place, which says what it was given."
    root = tmp_path / "code"
    for name in ("nbs", "data_prep", "figures", "workflow"): (root / name).parent.mkdir(exist_ok=True); (root / name).symlink_to(ROOT / name)
    for name in ("LICENSE", "CITATION.cff"): shutil.copy(ROOT / name, root)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/quarto").write_text('#!/bin/sh\necho "$@" > "$(dirname "$0")/said"\n'); (tmp_path / "bin/quarto").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    docs.build(root, only=lambda path: path.name in FEW)
    work = root / docs.PREPARED
    assert (tmp_path / "bin/said").read_text().split() == ["render", str(work), "--no-execute"]
    settings = yaml.safe_load((work / "_quarto.yml").read_text())
    assert settings["format"]["html"]["html-math-method"] == "mathml" and [s["section"] for s in settings["website"]["sidebar"]["contents"]] == ["Guide", "Reproduction", "API"]
    listed = [p for s in settings["website"]["sidebar"]["contents"] for g in s["contents"] for p in g["contents"]]
    assert "index.ipynb" in listed and all((work / p).is_file() for p in listed) and "skip_exec" not in (work / "nbs/train.ipynb").read_text()
