"""Kill it, fill its disk, start it twice, run it long, give it hostile files:   .venv/bin/python tools/soak.py

Everything that is written is written in a folder of its own, and must afterwards be what it would have been. What was tried and what held goes into
figures/robustness.csv, which nbs/robustness.ipynb shows; --only kills,disks,pairs,memory,hostile does some of it, --seed draws other moments.
Trainings are tiny and start as forks of this process, so that one takes seconds. A full disk is a tmpfs where this process may mount one (root on
Linux), else the write that would have filled it raises ENOSPC.
"""
import argparse, contextlib, hashlib, json, os, platform, random, resource, shutil, signal, subprocess, sys, tempfile, time, traceback
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT)); sys.path.insert(0, str(ROOT/'tools'))
os.environ['OMP_NUM_THREADS'] = '1'   # what is compared bit for bit needs the same number of threads
HOME = Path(tempfile.mkdtemp(prefix='soak-'))
os.environ['IFAM_HOME'] = str(HOME)
KINDS = ('kills', 'disks', 'pairs', 'memory', 'hostile')


# -- processes

def child(do):
    "Start `do` in a fork; its error is left as json."
    said = Path(tempfile.mktemp(dir=HOME, suffix='.said'))
    if pid := os.fork(): return pid, said
    os.setpgid(0, 0)
    try:
        null = os.open(os.devnull, os.O_WRONLY); os.dup2(null, 1); os.dup2(null, 2)
        value = do(); said.write_text(json.dumps(dict(value=value), default=str)); code = 0
    except BaseException as error:
        said.write_text(json.dumps(dict(error=type(error).__name__, text=str(error)[:400], trace=traceback.format_exc()[-1500:]))); code = 1
    os._exit(code)


def ended(pid, said):
    "Wait for it: whether it was killed, and what it said."
    status = os.waitpid(pid, 0)[1]
    told = json.loads(said.read_text()) if said.exists() and said.stat().st_size else {}
    said.unlink(missing_ok=True)
    return os.WIFSIGNALED(status), told


def in_child(do):
    "What `do` gives, in a process that leaves nothing behind in this one."
    killed, told = ended(*child(do))
    if killed or 'error' in told: raise AssertionError(told.get('trace', 'it was killed'))
    return told['value']


def killed_after(seconds, do):
    "Whether the process was still at work when it was killed."
    pid, said = child(do); time.sleep(seconds); os.kill(pid, signal.SIGKILL)
    return ended(pid, said)[0]


def hooked(hook):
    "Call `hook(path, after)` before and after each file gets its name."
    for name in ('replace', 'rename'):
        real = getattr(os, name)
        def named(source, target, *rest, real=real, **more):
            hook(Path(target), False); real(source, target, *rest, **more); hook(Path(target), True)
        setattr(os, name, named)


def names_given(do):
    "How many files get their name while `do` runs."
    seen = []
    hooked(lambda path, after: seen.append(path.name) if after else None); do()
    return len(seen)


def killed_at(number, after, do):
    "Killed just before or after the file of that number gets its name."
    def run():
        count = [0]
        def hook(path, done):
            if count[0] == number and done == after: os.kill(os.getpid(), signal.SIGKILL)
            count[0] += done
        hooked(hook); do()
    return ended(*child(run))[0]


# -- what is there

def whole(folder):
    "Every file that has its name can be read to its end; raises for one that cannot."
    import pandas as pd, torch
    from PIL import Image
    from safetensors import safe_open
    def tensors(f):
        with safe_open(f, 'pt') as opened: [opened.get_tensor(k) for k in opened.keys()]
    def picture(f):
        with Image.open(f) as p: p.load()
    def page(f): assert f.read_text().rstrip().endswith('</html>'), 'it has no end'
    look = {'.json': lambda f: json.loads(f.read_text()), '.safetensors': tensors, '.parquet': pd.read_parquet, '.png': picture, '.jpg': picture, '.html': page,
            '.pt': lambda f: torch.load(f, weights_only=True), '.jsonl': lambda f: [json.loads(x) for x in f.read_text().splitlines()], '.csv': pd.read_csv}
    for f in sorted(Path(folder).rglob('*')):
        if not f.is_file() or f.name.startswith('.') or any(p.startswith('.') for p in f.relative_to(folder).parts): continue
        try: look.get(f.suffix, lambda f: f.read_bytes())(f)
        except Exception as error: raise AssertionError(f'{f.name} is half written: {error!r}') from None


def content(folder):
    "Names and bytes of all files, hidden ones too, a hash each; the folder's own path in a file counts for nothing."
    own = str(folder).encode()
    return {str(f.relative_to(folder)): hashlib.sha256(f.read_bytes().replace(own, b'')).hexdigest() for f in sorted(Path(folder).rglob('*')) if f.is_file()}


def litter(folder): return [f.name for f in Path(folder).rglob('.*') if f.suffix in ('.tmp', '.part', '.partial', '.unpacking')]


class Record:
    "What was tried and what held, a row a case."
    def __init__(self): self.rows = []

    def note(self, kind, what, wrong='', said=''):
        shown = lambda text: ''.join(c if c.isprintable() else '?' for c in ' '.join(text.split()))
        clean = lambda text: shown(str(text).replace(str(HOME), '...').replace(str(ROOT), '...'))[:300]
        self.rows.append(dict(kind=kind, what=what, held=not wrong, wrong=clean(wrong), said=clean(said)))
        if wrong: print(f'  NOT HELD {kind}, {what}: {wrong[:1500]}', flush=True)

    def tried(self, kind, what, do):
        "A case that holds where `do` raises nothing; it gives what was said."
        try: self.note(kind, what, said=do() or '')
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt): raise
            self.note(kind, what, wrong=''.join(traceback.format_exception_only(error)))


# -- jobs: what writes, each into a folder of its own

SMALL = dict(twin_size=0.02, epochs=1, K=2, weights='none', micro_batch=8, batch_size=8, image_size=32, precision='32-true')
PHASED = ('ifam', 'erm', 'jtt', 'george', 'masktune', 'dfr', 'disc', 'lle', 'group_dro')
LESS = dict(lle=dict(ensemble_epochs=1), disc=dict(explore_epochs=1, concept_images=6))


def configured(method, **settings):
    from ifam.methods.contract import configure, preset, setting_names
    known = setting_names(method)
    return configure(**preset('demo', method=method) | {k: v for k, v in {**SMALL, **LESS.get(method, {}), **settings}.items() if k in known})


def training(method, **settings):
    def do(folder):
        from ifam.training.loop import train
        train(configured(method, **settings), folder)
    return do


def twin(folder):
    from ifam.twins.generate import generate
    generate('metashift', folder, seed=1, share=.02, workers=1)


def prepared(folder):
    from ifam.datasets.preparation import note
    note('metashift', Path(shutil.copytree(HOME/'made/twin', folder, dirs_exist_ok=True))/'MetaDatasetCatDog')


def shared(folder):
    from ifam.training.opened import load
    load(HOME/'made/run').save_pretrained(folder)


def predicted(folder):
    from ifam import predict
    predict(HOME/'made/run', HOME/'made/pictures').save(folder)


def unpacked(folder):
    from ifam.datasets.archives import unpack
    unpack(HOME/'made/a.tar', Path(folder)/'a')


def stamped(folder):
    from ifam.paper.grid import runs_of, stamps, write_stamps
    write_stamps(Path(folder)/'stamps', stamps([r for r in runs_of('quick') if r.dataset == 'waterbirds'][:3], 'quick'))


def planned(folder):
    from ifam.paper.grid import runs_of
    from ifam.paper.reproduce import write_plan
    write_plan(Path(folder), [r for r in runs_of('quick') if r.dataset == 'metashift'][:1], 'quick', root=Path(HOME/'made'))


def kept(folder):
    from ifam.core.runs import Run
    from ifam.paper.kept import keep
    from ifam.paper.reproduce import write_results
    keep(Run(HOME/'made/run'), Path(folder)/'runs', 'one'); write_results(folder)


def reported(folder):
    import pandas as pd
    from ifam.core.runs import atomic
    from ifam.show.plots import theme
    from ifam.show.reports import Report
    import matplotlib.pyplot as plt
    theme(); Path(folder).mkdir(parents=True, exist_ok=True)
    fig, ax = plt.subplots(figsize=(2, 2)); ax.plot([1, 2])
    with atomic(Path(folder)/'a.png') as file: fig.savefig(file, format='png', metadata={'Software': ''})
    page = Report('a'); page.table(pd.DataFrame(dict(a=[1]))); page.figure(fig); page.save(Path(folder)/'report.html')


def calibrated(folder):
    from ifam.analysis.interventions import ready
    from ifam.core.runs import Run
    from ifam.training.data import data_folder, load_split
    from ifam.training.opened import load
    shutil.copytree(HOME/'made/run', folder, dirs_exist_ok=True)
    run = Run(folder); ready(load(folder), run, lambda: load_split(run.config, data_folder(run.config), 'train'))


JOBS = dict(twin=twin, prepared=prepared, hub=shared, predict=predicted, unpack=unpacked, stamps=stamped, plan=planned, kept=kept, report=reported, calibration=calibrated)


def executed(folder):
    "A step of the grid, as its workflow calls it: the training page, in a kernel of its own."
    settings = dict(preset='demo', dataset='waterbirds', method='erm') | {k: v for k, v in SMALL.items() if k != 'K'}
    stamp = Path(folder)/'stamp.json'
    if not stamp.is_file():
        stamp.parent.mkdir(parents=True, exist_ok=True)
        import dataclasses
        stamp.write_text(json.dumps(dict(notebook='train', parameters=settings, config=dataclasses.asdict(configured('erm')), data={}, recipes={})))
    subprocess.run([sys.executable, str(ROOT/'tools/grid.py'), 'execute', str(stamp), str(Path(folder)/'run/train.html')], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def setting_up():
    "What the jobs begin with: a twin, a trained run, pictures, an archive."
    import tarfile, numpy as np
    from PIL import Image
    from ifam.training.data import data_folder
    (HOME/'made/pictures').mkdir(parents=True)
    for i in range(2): Image.fromarray(np.random.default_rng(i).integers(0, 256, (40, 50, 3), np.uint8)).save(HOME/f'made/pictures/p{i}.png')
    with tarfile.open(HOME/'made/a.tar', 'w') as tar:
        for i in range(2): tar.add(HOME/f'made/pictures/p{i}.png', f'in/p{i}.png')
    in_child(lambda: str(data_folder(configured('ifam')))); in_child(lambda: twin(HOME/'made/twin')); in_child(lambda: training('ifam')(HOME/'made/run'))


REFERENCES = {}


def reference(name, do):
    "What the job leaves where nobody disturbs it, and how many seconds it takes."
    if name not in REFERENCES:
        folder, start = HOME/'whole'/name, time.time()
        in_child(lambda: do(folder)); seconds = time.time() - start
        REFERENCES[name] = content(folder), seconds
    return REFERENCES[name]


def the_same(name, folder, do):
    "After a disturbance: what has a name is whole, and the same command leaves what an undisturbed one leaves, and no litter of its own."
    if folder.exists(): in_child(lambda: whole(folder))
    in_child(lambda: do(folder))
    found, wanted = content(folder), reference(name, do)[0]
    differ = sorted(k for k in found.keys() | wanted.keys() if found.get(k) != wanted.get(k) and not k.rpartition('/')[2].startswith('.'))
    assert not differ, f'after it was done again, other than undisturbed: {differ[:5]}'


# -- the five kinds

def kills(record, o):
    draw, moments = random.Random(o.seed), dict.fromkeys(o.methods.split(',') if o.methods else PHASED, 2)
    for method, times in moments.items():
        do, folder = training(method), HOME/'killed'/method
        seconds = reference(method, do)[1]
        for n in range(times):
            def case():
                for late in [draw.uniform(.1, .9) * .4**k for k in range(6)]:
                    if killed_after(late * seconds, lambda: do(folder)): break
                    shutil.rmtree(folder)  # it was done before: that was no kill
                else: raise AssertionError('it was always done before it was killed')
                if folder.exists(): in_child(lambda: whole(folder))
                if n == times - 1: the_same(method, folder, do); assert not litter(folder), litter(folder)
                return f'at {late:.0%} of its time'
            record.tried('kills', f'training, {method}', case)
        print(f'  {method}: {seconds:.1f} s undisturbed', flush=True)
    if o.methods: return
    for name, do in dict(erm=training('erm'), **JOBS).items():
        count = in_child(lambda: names_given(lambda: do(HOME/'counted'/name)))
        numbers = [(n, after) for n in range(count) for after in (False, True)]
        for n, after in draw.sample(numbers, min(len(numbers), 8 if name == 'erm' else 5)):
            def case():
                folder = HOME/'killed'/f'{name}-{n}-{after}'
                assert killed_at(n, after, lambda: do(folder)), 'it was not killed'
                the_same(name, folder, do)
                return f'{"after" if after else "before"} file {n + 1} of {count} had its name'
            record.tried('kills', f'at a write, {name}', case)
    for n in range(o.grid):
        def case():
            folder = HOME/'killed'/f'grid-{n}'
            pid, said = child(lambda: executed(folder)); time.sleep(draw.uniform(2, 12))
            os.killpg(pid, signal.SIGKILL); ended(pid, said)  # its kernel ends when it sees that
            in_child(lambda: whole(folder/'run')) if (folder/'run').exists() else None
            time.sleep(2); in_child(lambda: executed(folder))
            assert content(folder/'run')['model.safetensors'] == reference('erm', training('erm'))[0]['model.safetensors'], 'other weights'
        record.tried('kills', 'a step of the grid', case)


@contextlib.contextmanager
def small_disk(megabytes):
    "A folder on a small tmpfs, and how to fill it; where nothing may be mounted, a folder whose next write raises ENOSPC."
    disk = Path(tempfile.mkdtemp(dir=HOME, prefix='disk-'))
    mounted = subprocess.run(['mount', '-t', 'tmpfs', '-o', f'size={megabytes}m', 'tmpfs', str(disk)], capture_output=True).returncode == 0
    def fill():
        if not mounted: return no_space()
        with open(disk/'.ballast', 'ab', buffering=0) as file:
            for piece in (2**20, 4096):
                with contextlib.suppress(OSError):
                    while True: file.write(bytes(piece))
    try: yield disk, fill, mounted
    finally:
        if mounted: subprocess.run(['umount', '-l', str(disk)], check=True)
        shutil.rmtree(disk, ignore_errors=True)


def no_space():
    "From now on no file of this process can grow."
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))


def filled_at(wanted, fill, do):
    "Run `do`; the disk is full from the moment on at which the file of that name is begun."
    real = tempfile.mkstemp
    def begun(*args, prefix='', **more):
        if prefix == f'.{wanted}.': fill()
        return real(*args, prefix=prefix, **more)
    tempfile.mkstemp = begun
    do()


FULL = dict(jtt=('config.json', 'state.pt', 'metrics.jsonl', 'known.safetensors', 'model.safetensors', 'predictions.parquet'),
            hub=('model.safetensors', 'README.md', 'config.json'), predict=('predictions.csv', 'predictions.json', 'overlay.png', 'mask.png', 'part_0.png'),
            calibration=('calibration.safetensors',), kept=('one.parquet', 'one.json', 'results.parquet', 'results.csv'), report=('a.png', 'report.html'),
            plan=('plan.json',), prepared=('prepared.json',), twin=('',), unpack=('',))


def disks(record, o):
    for name, files in FULL.items():
        do = JOBS.get(name) or training(name)
        for wanted in files:
            def case():
                reference(name, do)
                with small_disk(256) as (disk, fill, mounted):
                    folder = disk/'out'
                    if wanted: job = lambda: filled_at(wanted, fill, lambda: do(folder))
                    else: job = lambda: (fill(), do(folder))
                    killed, told = ended(*child(job))
                    assert not killed and 'error' in told, 'a full disk was not noticed'
                    (disk/'.ballast').unlink(missing_ok=True)
                    if folder.exists(): in_child(lambda: whole(folder)); assert not litter(folder), litter(folder)
                    the_same(name, folder, do)
                    return ('' if mounted else 'no tmpfs may be mounted: ENOSPC by RLIMIT_FSIZE. ') + f'{told["error"]}: {told["text"]}'
            record.tried('disks', f'{name}, {wanted or "from the beginning"}', case)
    def stamps_full():
        with small_disk(1) as (disk, fill, mounted):
            killed, told = ended(*child(lambda: (Path(disk/'out/stamps/train').mkdir(parents=True), fill(), stamped(disk/'out'))))
            assert 'error' in told; (disk/'.ballast').unlink(missing_ok=True); the_same('stamps', disk/'out', stamped)
            return f'{told["error"]}: {told["text"]}'
    reference('stamps', stamped); record.tried('disks', 'stamps', stamps_full)


def pairs(record, o):
    for name, do in dict(erm=training('erm'), jtt=training('jtt'), **JOBS).items():
        def case():
            wanted, folder = reference(name, do)[0], HOME/'twice'/name
            folder.parent.mkdir(exist_ok=True)
            said = [ended(*c)[1] for c in [child(lambda: do(folder)), child(lambda: do(folder))]]
            wrong = [s for s in said if 'error' in s]
            assert len(wrong) < 2, wrong
            for s in wrong: assert s['error'] == 'BlockingIOError', s['trace']
            in_child(lambda: whole(folder))
            visible = lambda c: {k: v for k, v in c.items() if not k.rpartition('/')[2].startswith('.')}
            assert visible(content(folder)) == visible(wanted), 'together they left something else'
            return wrong[0]['text'] if wrong else 'both did it, one after the other'
        record.tried('pairs', f'two of {name}', case)
    if o.grid:
        def case():
            folder = HOME/'twice/grid'
            said = [ended(*c)[1] for c in [child(lambda: executed(folder)), child(lambda: (time.sleep(1), executed(folder)))]]
            assert not any('error' in s for s in said), said
            assert content(folder/'run')['model.safetensors'] == reference('erm', training('erm'))[0]['model.safetensors']
            return 'the second waited'
        record.tried('pairs', 'two of a step of the grid', case)


def resident(): return int(Path('/proc/self/statm').read_text().split()[1]) * os.sysconf('SC_PAGE_SIZE') / 2**20


def flat(sizes, what):
    "Memory in MB, sampled evenly: its second half rises by little more than noise."
    import numpy as np
    half = np.asarray(sizes[len(sizes)//2:])
    rise = float(np.polyfit(np.linspace(0, 1, len(half)), half, 1)[0])
    assert rise < 16, f'{what}: {rise:.1f} MB more in the second half: {[round(s) for s in sizes]}'
    return f'{what}: {sizes[0]:.0f} MB at first, {sizes[-1]:.0f} MB at last, a rise of {max(rise, 0):.1f} MB over the second half'


def memory(record, o):
    import numpy as np
    def predictions():
        from ifam import predict
        from ifam.training.opened import load
        model, sizes = load(HOME/'made/run'), []
        pictures = [np.random.default_rng(i).integers(0, 256, (32, 32, 3), np.uint8) for i in range(100)]
        for _ in range(100): predict(model, pictures, batch_size=50); sizes.append(resident())
        return flat(sizes[5:], '10,000 predictions')
    def steps():
        from ifam.training.loop import train
        sizes = []
        class Bar:
            def __init__(self, batches=None, **more): self.batches = batches
            def __iter__(self): return iter(self.batches)
            def __enter__(self): return self
            def __exit__(self, *error): pass
            def close(self): pass
            def update(self, n=1): sizes.append(resident())
        train(configured('erm', batch_size=1, micro_batch=1, epochs=36, select='last'), HOME/'memory', Bar)
        assert len(sizes) >= 1000, len(sizes)
        return flat(sizes[50::20], f'{len(sizes):,} training steps')
    def results():
        import pandas as pd
        from ifam.core.runs import read_predictions
        from ifam.measures.evaluation import summary
        rng, sizes = np.random.default_rng(0), []
        table = pd.DataFrame(dict(index=np.arange(100_000), label=rng.integers(0, 2, 100_000), group=rng.integers(0, 4, 100_000), logit_0=rng.normal(size=100_000), logit_1=rng.normal(size=100_000)))
        table.to_parquet(HOME/'many.parquet', index=False)
        for _ in range(16): summary(read_predictions(HOME/'many.parquet')); sizes.append(resident())
        return flat(sizes[2:], '100,000 rows of results, read and measured 16 times')
    for what, do in (('10,000 predictions', predictions), ('1,000 training steps', steps), ('100,000 rows of results', results)):
        record.tried('memory', what, lambda: in_child(do))


def hostile(record, o):
    from hostile import CASES  # beside this file
    for name, do in CASES[::o.every]:
        folder = HOME/'hostile'/str(len(record.rows)); folder.mkdir(parents=True)
        def case():
            before = content(HOME/'made')
            said = in_child(lambda: do(folder))
            beside = [p.name for p in (*HOME.iterdir(), *(HOME/'hostile').iterdir()) if p.name not in ('made', 'data', 'hostile', folder.name)]
            assert content(HOME/'made') == before and not beside, f'written outside: {beside}'
            assert not list(HOME.rglob('EXECUTED')), 'something was executed'
            return said
        record.tried('hostile', name, case)
        shutil.rmtree(HOME/'hostile')


def write_record(out, kind, rows, added, about):
    "Put the rows of a kind, and how they came about, into the record; other kinds stay, and where rows are added those of this kind."
    import pandas as pd
    from ifam.core.runs import atomic, read_json, write_json
    out.mkdir(parents=True, exist_ok=True)
    table, notes = out/'robustness.csv', out/'robustness.json'
    before = pd.read_csv(table, keep_default_na=False) if table.is_file() else pd.DataFrame(columns=list(rows[0]))
    joined = pd.concat([before if added else before[before['kind'] != kind], pd.DataFrame(rows)], ignore_index=True)
    with atomic(table) as file: joined.to_csv(file, index=False)
    known = read_json(notes) if notes.is_file() else {}
    if added and kind in known: about['seconds'] += known[kind]['seconds']
    write_json(notes, known | {kind: about})


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--only', default=','.join(KINDS), help='of ' + ', '.join(KINDS))
    parser.add_argument('--out', default=str(ROOT/'figures'), help='gets robustness.csv and robustness.json')
    parser.add_argument('--seed', type=int, default=0, help='of the moments')
    parser.add_argument('--grid', type=int, default=1, help='kills of a step of the grid, which takes a notebook')
    parser.add_argument('--methods', default='', help='kills: only of trainings of these methods, added to the record')
    parser.add_argument('--every', type=int, default=1, help='hostile inputs: only each so many-th')
    o = parser.parse_args()
    asked, record = o.only.split(','), Record()
    if unknown := set(asked) - set(KINDS): sys.exit(f'--only {",".join(sorted(unknown))}: there are {", ".join(KINDS)}')
    try:
        import torch, ifam.show.prediction, ifam.training.loop, ifam.paper.reproduce, ifam.datasets.preparation  # once, before the forks
        from ifam.core.runs import versions
        from ifam.methods.contract import method, methods
        for m in methods(): method(m)
        setting_up()
        for kind in asked:
            before, began = len(record.rows), time.time(); print(f'== {kind}', flush=True)
            globals()[kind](record, o)
            mine = record.rows[before:]
            print(f'{sum(r["held"] for r in mine)} of {len(mine)} held, in {time.time() - began:.0f} s', flush=True)
            write_record(Path(o.out), kind, mine, bool(o.methods), dict(
                when=time.strftime('%Y-%m-%d'), machine=f'{platform.system()} {platform.machine()}, {len(os.sched_getaffinity(0))} core', seconds=round(time.time() - began),
                seed=o.seed, versions=versions()))
    finally: shutil.rmtree(HOME, ignore_errors=True)
    sys.exit(not all(r['held'] for r in record.rows))


if __name__ == '__main__': main()
