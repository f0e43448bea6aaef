"""What `make test` runs:   .venv/bin/python tools/check.py

tests/ through pytest and each module notebook, whole, through nbdev_test; the last line counts them all.
"""
import importlib, os, subprocess, sys, tempfile, time, traceback, warnings
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parents[1]
PLAIN = dict(os.environ)
CORES = len(os.sched_getaffinity(0))
LONG = '02_recipes', '07_generate', 'test_reproduce', 'test_results', 'test_papermill', 'test_runs', 'test_data'  # minutes each: first, so that no core waits at the end
# Imported once, seconds each, before the notebooks' processes part from this one. Nothing of ours is
IMPORTED = ('torch', 'torchvision.transforms.v2', 'timm', 'pandas', 'matplotlib.pyplot', 'seaborn', 'scipy.ndimage', 'skimage', 'sklearn', 'lightning_fabric',
            'nbdev.test', 'execnb.shell')
WORKERS = max(1, min(CORES, 4))  # notebooks or files of tests at a time, each with its share of the cores
SHARE = dict(OMP_NUM_THREADS=str(max(1, CORES//WORKERS)))


def pytest() -> tuple[int, int, int]:
    "Passed, failed and skipped tests of tests/."
    files = sorted((ROOT/'tests').glob('test_*.py'), key=lambda f: (LONG.index(f.stem) if f.stem in LONG else len(LONG), f.stem))
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder)/'report.xml'
        code = subprocess.run([sys.executable, '-m', 'pytest', *files, '-n', str(WORKERS), '--dist', 'loadfile', '--no-loadscope-reorder',
                               '--durations=20', f'--junitxml={report}'], cwd=ROOT, env=PLAIN | SHARE).returncode
        if not report.exists(): return 0, 1, 0
        suites = ElementTree.parse(report).getroot().iter('testsuite')
        n, failed, skipped = (sum(x) for x in zip(*((int(s.get('tests')), int(s.get('failures')) + int(s.get('errors')), int(s.get('skipped'))) for s in suites)))
    return n - failed - skipped, max(failed, code != 0), skipped


def begun(notebook: Path) -> tuple[int, tuple]:
    "Run one notebook from top to bottom, alone in a fork of this process: its number, and what `notebooks` asks of it."
    said = tempfile.TemporaryFile('w+')
    if number := os.fork(): return number, (notebook, time.time(), said)
    code = 1
    try:
        os.dup2(said.fileno(), 1); os.dup2(said.fileno(), 2); os.chdir(ROOT)
        import nbdev.test
        nbdev.test.nbdev_test(path=str(notebook), n_workers=0, do_print=True)
        code = 0
    except SystemExit: pass  # it failed, and nbdev has said where
    except BaseException: traceback.print_exc()
    finally: sys.stdout.flush(); sys.stderr.flush(); os._exit(code)


def ended(running: dict[int, tuple]) -> tuple[Path, bool, float, str]:
    "Wait for the next that ends: did it pass, in how many seconds, what did it say?"
    number, status = os.wait()
    notebook, start, said = running.pop(number)
    said.seek(0); text = said.read()
    return notebook, status == 0 and f'- Completed {notebook}' in text, time.time() - start, text  # one that nbdev leaves out prints no such line


def notebooks() -> tuple[int, int]:
    "Passed and failed notebooks of nbs/: the modules and the index. Those with parameters run in tests/, through papermill."
    todo = [*sorted((ROOT/'nbs').glob('[0-9]*/[0-9]*.ipynb'), key=lambda f: (f.stem not in LONG, f)), ROOT/'nbs/index.ipynb']
    os.environ |= SHARE | dict(MPLBACKEND='agg', PYTHONWARNINGS='ignore'); warnings.simplefilter('ignore')
    for name in IMPORTED: importlib.import_module(name)
    passed, start, running, n = 0, time.time(), {}, len(todo)
    for i in range(1, n + 1):
        while todo and len(running) < WORKERS: running |= [begun(todo.pop(0))]
        notebook, ok, seconds, said = ended(running)
        passed, left = passed + ok, (time.time() - start)/i*(n - i)
        print(f"{'ok    ' if ok else 'FAILED'} {notebook.parent.name + '/' + notebook.stem:<32} {seconds:5.1f} s   [{i} of {n}, about {left:.0f} s left]", flush=True)
        if not ok: print(said, flush=True)
    return passed, n - passed


def main():
    print('== notebooks', flush=True)
    right, wrong = notebooks()
    print('== tests', flush=True)
    passed, failed, skipped = pytest()
    print(f'{right + passed} passed, {wrong + failed} failed' + (f', {skipped} skipped' if skipped else ''))
    sys.exit(wrong + failed > 0)


if __name__ == '__main__': main()
