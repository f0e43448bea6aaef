"""The explorer as a user meets it: nbs/explore.ipynb in JupyterLab, in a real browser without a window."""
import contextlib, io, os, re, secrets, shutil, socket, subprocess, sys, time, urllib.request
from pathlib import Path

import nbformat, pytest
from PIL import Image
from playwright.sync_api import expect, sync_playwright

from conftest import ROOT

BROWSERS = "chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"
expect.set_options(timeout=30_000)  # a busy machine is slow, not wrong


@pytest.fixture(scope="module")
def browser():
    "Playwright's own browser where it is installed, else one of the system."
    with sync_playwright() as p:
        found = [p.chromium.executable_path, *(shutil.which(n) for n in BROWSERS)]
        path = next((f for f in found if f and Path(f).is_file()), None)
        if path is None: pytest.skip("no browser: neither playwright's own (playwright install chromium) nor " + ", ".join(BROWSERS))
        with contextlib.closing(p.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-dev-shm-usage"])) as chromium: yield chromium


@contextlib.contextmanager
def lab(folder, home):
    "JupyterLab on a folder, on a free port, with a token and settings of its own; gives an address to which a path is added. Ends with its kernels."
    with socket.socket() as s: s.bind(("127.0.0.1", 0)); port = s.getsockname()[1]
    token, settings = secrets.token_hex(16), folder.parent / "jupyter"
    own = {f"JUPYTER{name}_DIR": str(settings / name.lower()) for name in ("_CONFIG", "_DATA", "_RUNTIME", "LAB_SETTINGS", "LAB_WORKSPACES")}
    quiet = settings / "lab_settings/@jupyterlab/apputils-extension/notification.jupyterlab-settings"  # no question about news, no look for updates
    quiet.parent.mkdir(parents=True); quiet.write_text('{"fetchNews": "false", "checkForUpdates": false}')
    env = {**os.environ, **own, "IFAM_HOME": str(home), "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]), "IPYTHONDIR": str(settings / "ipython")}
    words = ["--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}", "--ServerApp.port_retries=0",
             f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={folder}"]
    with open(settings / "log", "w") as log: server = subprocess.Popen([sys.executable, "-m", "jupyterlab", *words], env=env, cwd=folder, stdout=log, stderr=subprocess.STDOUT)
    address = lambda path: f"http://127.0.0.1:{port}/{path}?token={token}"
    try:
        answers(server, address("api/status"), settings / "log")
        yield address
    finally:
        server.terminate()  # it ends its kernels first
        try: server.wait(20)
        except subprocess.TimeoutExpired: server.kill(); server.wait()


def answers(server, address, log, seconds=60):
    "Wait for the server; what it said where it does not come up."
    end = time.time() + seconds
    while time.time() < end and server.poll() is None:
        with contextlib.suppress(OSError): return urllib.request.urlopen(address, timeout=5).read()
        time.sleep(0.2)
    raise AssertionError(f"JupyterLab did not start: {log.read_text()[-3000:]}")


@pytest.fixture
def page(browser, finished, tmp_path):
    "The notebook with a run of two parts, all its cells run."
    (tmp_path / "lab").mkdir()
    notebook = nbformat.read(ROOT / "nbs/explore.ipynb", 4)
    cell = next(c for c in notebook.cells if "parameters" in c.metadata.get("tags", []))
    assert '["demo"]' in cell.source
    cell.source = cell.source.replace('["demo"]', f'["{finished.name}"]')
    for c in notebook.cells: c.update({"outputs": []} if c.cell_type == "code" else {})  # what is seen below comes from this run of it
    nbformat.write(notebook, tmp_path / "lab/explore.ipynb")
    with lab(tmp_path / "lab", finished.parents[1]) as address:
        page = browser.new_page(viewport=dict(width=1500, height=1600))
        page.goto(address("lab/tree/explore.ipynb"))
        page.get_by_text("Python 3 (ipykernel) | Idle").wait_for(timeout=60_000)  # else Lab asks which kernel to run
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.locator(".lm-Menu-itemLabel").get_by_text("Run All Cells", exact=True).click()
        expect(page.get_by_text(re.compile(r"Kept: [\d.]+ % of the tokens"))).to_be_visible(timeout=60_000)
        yield page
        page.close()


def test_a_tick_and_an_upload_change_the_page(page):
    "Without this, the explorer may be right in Python and dead in the browser: ticks without effect, pictures that do not come, an upload that is lost."
    area = page.locator(".jp-OutputArea-output").filter(has_text="Kept:")
    kept, predictions, pictures = area.locator(".widget-html-content").filter(has_text="Kept:"), area.locator("table"), area.locator("img")
    expect(pictures).to_have_count(3); expect(predictions).to_have_count(2)
    shown = lambda: [pictures.nth(i).evaluate("x => x.complete && x.naturalWidth") for i in range(3)]
    assert shown() == [224] * 3, "the pictures are not drawn"
    before, said, seen = kept.text_content(), predictions.all_text_contents(), pictures.nth(2).get_attribute("src")

    shares = [int(re.search(r"(\d+)%", t)[1]) for t in area.locator(".widget-checkbox").all_inner_texts()]
    assert len(shares) == 2 and max(shares) > 0, shares
    tick = area.locator('.widget-checkbox input[type="checkbox"]').nth(shares.index(max(shares)))
    tick.uncheck()
    expect(kept).not_to_have_text(before)
    expect(pictures.nth(2)).not_to_have_attribute("src", seen)
    expect(predictions.nth(1)).not_to_have_text(said[1])
    area.get_by_role("button", name="drop all").click()
    expect(kept).to_contain_text("Kept: 0.0 %"); expect(kept).to_contain_text("without having seen")
    area.get_by_role("button", name="keep all").click()
    expect(kept).to_have_text(before); expect(predictions).to_have_text(said)

    area.get_by_role("button", name="your picture").click()
    choose = page.get_by_role("button", name="upload a picture")
    def give(file):
        with page.expect_file_chooser() as chooser: choose.click()
        chooser.value.set_files(file)
    give(dict(name="notes.txt", mimeType="text/plain", buffer=b"no picture"))
    expect(page.get_by_text("notes.txt is not a readable picture")).to_be_visible()
    picture = io.BytesIO(); Image.effect_mandelbrot((180, 130), (-2, -1, 1, 1), 60).save(picture, "PNG")
    give(dict(name="mandelbrot.png", mimeType="image/png", buffer=picture.getvalue()))
    expect(page.get_by_text("mandelbrot.png", exact=True)).to_be_visible()
    expect(page.get_by_text("is not a readable picture")).to_have_count(0); expect(pictures.nth(0)).to_be_visible()
    expect(predictions.nth(1)).not_to_have_text(said[1]); assert shown() == [224] * 3
    area.get_by_role("button", name="save what is seen").click()
    expect(page.get_by_text(re.compile("saved in .*explored/mandelbrot"))).to_be_visible()
