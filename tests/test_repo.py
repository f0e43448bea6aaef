"""The repository itself: notebooks clean, executed and in step with ifam/, versions and licences as stated, README current.

Each check is a function of a root folder that returns what is wrong, in words. It must find nothing here, and it must find what `test_checks_can_fail`
breaks in a copy.
"""
import ast, builtins, configparser, hashlib, re, shutil, statistics, subprocess, symtable, sys, tomllib
from pathlib import Path

import nbformat, pytest, yaml

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
sys.path.insert(0, str(ROOT/'tools'))
from readme import readme  # noqa: E402

SKIPPED_CELLS = 0  # cells of module notebooks that nbdev_test leaves out; each states its reason in the line below the directive
FLAGS = 'eval: *false', 'notest', 'slow', 'gpu'  # what makes it leave one out: settings.ini, tst_flags
FUNCTION_LINES, NOTEBOOK_BYTES = 40, 400_000


# -- reading

def notebooks(root: Path) -> list[Path]:
    "Every notebook that is committed, or would be."
    return sorted(p for folder in ('nbs', 'data_prep') for p in (root/folder).rglob('*.ipynb') if '.ipynb_checkpoints' not in p.parts)


def is_module(path: Path) -> bool: return path.name[:1].isdigit()


def code(path: Path) -> list: return [c for c in nbformat.read(path, 4).cells if c.cell_type == 'code']


def with_parameters(root: Path) -> list[Path]:
    "Notebooks that papermill runs: all but the modules, the index and the list of rooms."
    return [p for p in notebooks(root) if not is_module(p) and p.name not in ('index.ipynb', 'rooms.ipynb')]


def directive(source: str, what: str) -> bool: return re.search(rf'^#\| *{what}\b', source, re.M) is not None


def copy(root: Path, to: Path) -> Path:
    "What the checks read, without data, runs and environment."
    for name in ('nbs', 'data_prep', 'ifam'):
        if (root/name).exists(): shutil.copytree(root/name, to/name, ignore=shutil.ignore_patterns('__pycache__', '.ipynb_checkpoints', 'assets'))
    for name in ('settings.ini', 'pyproject.toml'): shutil.copy(root/name, to/name)
    return to


def tool(name: str, *args: str, cwd: Path):
    subprocess.run([BIN/name, *args], cwd=cwd, check=True, capture_output=True)


# -- checks

def unclean(root: Path, tmp: Path) -> list[str]:
    "Notebooks that nbdev_clean would change."
    tidy = copy(root, tmp/'tidy')
    for folder in ('nbs', 'data_prep'):
        if (tidy/folder).exists(): tool('nbdev_clean', '--fname', folder, cwd=tidy)
    return [f'{p.relative_to(root)}: not clean; run nbdev_clean' for p in notebooks(root) if p.read_bytes() != (tidy/p.relative_to(root)).read_bytes()]


def out_of_sync(root: Path, tmp: Path) -> list[str]:
    "Modules that differ from what the notebooks export, that are missing, or that no notebook exports."
    fresh = copy(root, tmp/'fresh')
    for p in fresh.glob('ifam/**/*.py'):
        if p.name != '__init__.py': p.unlink()
    tool('nbdev_export', cwd=fresh)
    modules = {p.relative_to(base) for base in (root, fresh) for p in base.glob('ifam/**/*.py')}
    text = lambda p: p.read_text() if p.exists() else None
    return [f'{m}: not what the notebooks export; run nbdev_export' for m in sorted(modules) if text(root/m) != text(fresh/m)]


def untagged(root: Path, tmp: Path) -> list[str]:
    "Notebooks for papermill without exactly one cell tagged `parameters`, before or after nbdev_clean; papermill would run the defaults in silence."
    tidy = copy(root, tmp/'tagged')
    for folder in ('nbs', 'data_prep'):
        if (tidy/folder).exists(): tool('nbdev_clean', '--fname', folder, cwd=tidy)
    tags = lambda p: sum('parameters' in c.metadata.get('tags', []) for c in code(p))
    return [f'{p.relative_to(base)}: {tags(p)} cells tagged parameters{when}' for base, when in ((root, ''), (tidy, ', after nbdev_clean'))
            for p in with_parameters(base) if tags(p) != 1]


def left_to_papermill(root: Path) -> list[str]:
    "Notebooks for papermill that a plain nbdev_test would run too, at their full size."
    first = lambda p: nbformat.read(p, 4).cells[0]
    return [f'{p.relative_to(root)}: its first cell must be raw, with skip_exec: true' for p in with_parameters(root) if p.is_relative_to(root/'nbs')
            and not (first(p).cell_type == 'raw' and 'skip_exec: true' in first(p).source)]


def skipped(root: Path) -> tuple[int, list[str]]:
    "The number of cells that nbdev_test leaves out, and those among them that do not say why."
    n, silent = 0, []
    for path in filter(is_module, notebooks(root)):
        for cell in code(path):
            lines = cell.source.split('\n')
            for i, line in enumerate(lines):
                if any(directive(line, flag) for flag in FLAGS):
                    n += 1
                    if not re.match(r'# *skipped: *\S', ''.join(lines[i+1:i+2])): silent.append(f'{path.name}: {line!r} without "# skipped: why" below it')
            if 'nbdev_export(' in cell.source and len([x for x in lines if x.strip()]) > 2: n += 1; silent.append(f'{path.name}: nbdev_export() shares its cell: the rest of it is never tested')
        text = path.read_text()
        if 'skip_exec' in text: n += 1; silent.append(f'{path.name}: skip_exec leaves the whole notebook out')
    return n, silent + [f'{p.relative_to(root)}: leaves a folder out' for p in (root/'nbs').rglob('.notest')]


def not_executed(root: Path) -> list[str]:
    "Notebooks committed without outputs, with an error in one, or with an output missing where a cell prints or displays."
    def shows(cell) -> bool:
        try: body = ast.parse(re.sub(r'^[%!].*$', '', cell.source, flags=re.M)).body
        except SyntaxError: return False
        return any(isinstance(s, ast.Expr) and isinstance(s.value, ast.Call) and getattr(s.value.func, 'id', '') in ('print', 'display') for s in body)
    wrong = []
    for path in notebooks(root):
        cells, name = code(path), path.relative_to(root)
        if path.parent.name in ('tables', 'figures') and not list((root/'figures/demo').glob(f'{path.stem}.*')): continue  # `make reproduce` has not made it yet
        if path.name != 'index.ipynb' and not any(c.outputs for c in cells): wrong.append(f'{name}: no cell has an output; execute it')
        if any(o.output_type == 'error' for c in cells for o in c.outputs): wrong.append(f'{name}: an output is an error')
        wrong += [f'{name}: no output under {c.source[:60]!r}; execute it' for c in cells if shows(c) and not c.outputs]
    return wrong


def shape(root: Path) -> list[str]:
    "Module notebooks that are too large or untitled, hold a function too long to read, or test nothing."
    wrong = [f'{p.relative_to(root)}: {p.stat().st_size//1000} kB' for p in notebooks(root) if p.stat().st_size > NOTEBOOK_BYTES]
    for path in notebooks(root):
        first = next((c.source for c in nbformat.read(path, 4).cells if c.cell_type == 'markdown'), '')
        if not re.match(r'# .+\n+> .+', first): wrong.append(f'{path.relative_to(root)}: must begin with "# Title" and "> what it is"')
    for path in filter(is_module, notebooks(root)):
        sources = [c.source for c in code(path)]
        if not any(re.search(r'\bassert |\btest_\w+\(', s) for s in sources if not directive(s, 'export')): wrong.append(f'{path.name}: tests nothing')
        for source in (s for s in sources if directive(s, 'exporti?')):
            for f in (f for f in ast.walk(ast.parse(source)) if isinstance(f, ast.FunctionDef)):
                if f.end_lineno - f.lineno >= FUNCTION_LINES: wrong.append(f'{path.name}: {f.name} has more than {FUNCTION_LINES} lines')
    return wrong


def place(path: Path) -> tuple[int, int] | None:
    "Room and number of a module notebook: nbs/02_model/03_parts.ipynb is (2, 3)."
    found = re.search(r'/(\d+)_\w+/(\d+)_\w+\.ipynb$', path.as_posix())
    return (int(found[1]), int(found[2])) if found else None


def wanted(source: str):
    "The modules that a cell imports, lazily or not."
    for node in ast.walk(ast.parse(re.sub(r'^[%!].*$', '', source, flags=re.M))):
        if isinstance(node, ast.Import): yield from (a.name for a in node.names)
        if isinstance(node, ast.ImportFrom) and not node.level: yield from (node.module, *(f'{node.module}.{a.name}' for a in node.names))


def upward_imports(root: Path) -> list[str]:
    "Pages that use a later page of their room or a later room, in test cells too. The twins, the last room, hand `generate` to all."
    pages, places = [p for p in notebooks(root) if is_module(p) and place(p)], {}
    for p in pages:
        exported = next((c.source.split()[2] for c in code(p) if c.source.startswith('#| default_exp')), None)
        if exported: places[f'ifam.{exported}'] = p
    return [f'{p.relative_to(root)} imports {name}' for p in pages for c in code(p) for name in wanted(c.source)
            if name in places and name != 'ifam.twins.generate' and place(places[name]) > place(p)]


def doubled(root: Path) -> list[str]:
    "Public names that two modules export."
    homes = {}
    for path in sorted((root/'ifam').rglob('*.py')):
        said = re.search(r'^__all__ = (\[.*?\])', path.read_text(), re.S | re.M)
        for name in ast.literal_eval(said[1]) if said else (): homes.setdefault(name, []).append(path.relative_to(root/'ifam').as_posix())
    return [f'{name}: {" and ".join(files)}' for name, files in homes.items() if len(files) > 1]


def undefined(root: Path) -> list[str]:
    "Names that a module reads and nobody gives it: an import that a move has lost."
    def read(scope): return {s.get_name() for s in scope.get_symbols() if s.is_global() and s.is_referenced()} | {n for c in scope.get_children() for n in read(c)}
    wrong = []
    for path in sorted((root/'ifam').rglob('*.py')):
        top = symtable.symtable(path.read_text(), str(path), 'exec')
        given = {s.get_name() for s in top.get_symbols() if s.is_assigned() or s.is_imported() or s.is_namespace()}
        own = {s.get_name() for s in top.get_symbols() if s.is_referenced()}
        wrong += [f'{path.relative_to(root)}: {name}' for name in sorted((read(top) | own) - given - set(dir(builtins)) - {'__class__', '__file__', '__path__', '__spec__'})]
    return wrong


FOREIGN = 'forward', 'backward', 'train'  # methods of torch's classes that ours override


def undocumented(root: Path) -> list[str]:
    "Parameters of public functions without a docment beside or above. What overrides a method, or says `See ...`, has its words there."
    trees = {p: ast.parse(p.read_text()) for p in sorted((root/'ifam').rglob('*.py'))}
    classes = {c.name: c for tree in trees.values() for c in tree.body if isinstance(c, ast.ClassDef)}
    has = lambda c, name: any(isinstance(f, ast.FunctionDef) and f.name == name for f in c.body)
    def overrides(c, name):
        bases = [classes.get(b.id) if isinstance(b, ast.Name) else None for b in c.bases]
        return any(name in FOREIGN if b is None else has(b, name) or overrides(b, name) for b in bases)
    wrong = []
    for path, tree in trees.items():
        lines = path.read_text().split('\n')
        def look(node):
            for n in node.body:
                if isinstance(n, ast.ClassDef) and not n.name.startswith('_'): look(n)
                if not isinstance(n, ast.FunctionDef) or n.name.startswith('_') and n.name != '__init__': continue
                if isinstance(node, ast.ClassDef) and overrides(node, n.name) or (ast.get_docstring(n) or '').startswith('See `'): continue
                above = lambda a: a.lineno > n.lineno and lines[a.lineno - 2].strip().startswith('#')
                beside = lambda a: a.lineno > n.lineno and '#' in lines[a.lineno - 1][a.col_offset:]
                bare = [a.arg for a in (*n.args.args, *n.args.kwonlyargs) if a.arg not in ('self', 'cls') and not beside(a) and not above(a)]
                if bare: wrong.append(f'{path.relative_to(root)}: {n.name}({", ".join(bare)})')
        look(tree)
    return wrong


CELL_LINES, MEDIAN_LINES, LINE = 40, 15, 140

def wide(root: Path) -> list[str]:
    "Exported cells that are too long to read at a glance, and lines that are too long for a screen."
    lengths, wrong = [], []
    for path in notebooks(root):
        for c in code(path):
            lines = c.source.split('\n')
            wrong += [f'{path.relative_to(root)}: a line of {len(x)}: {x.strip()[:60]}' for x in lines if len(x) > LINE]
            if is_module(path) and directive(c.source, 'exporti?'):
                lengths.append(len(lines) - 1)
                if lengths[-1] > CELL_LINES: wrong.append(f'{path.relative_to(root)}: an exported cell of {lengths[-1]} lines, {lines[1][:60]}')
    return wrong + [f'the median exported cell has {m} lines' for m in [statistics.median(lengths or [0])] if m > MEDIAN_LINES]


def versions(root: Path) -> list[str]:
    "Direct dependencies that environment.yml lacks or pins otherwise than the lock."
    normal = lambda name: re.sub(r'[-_.]+', '-', name).lower()
    locked = {normal(n): v for n, v in re.findall(r'^([\w.-]+)==([^\s;\\]+)', (root/'requirements.lock').read_text(), re.M)}
    project = tomllib.loads((root/'pyproject.toml').read_text())['project']
    direct = {normal(re.match(r'[\w.-]+', d)[0]) for d in project['dependencies'] + [d for extra in project['optional-dependencies'].values() for d in extra] if not d.startswith('ifam[')}
    conda = yaml.safe_load((root/'environment.yml').read_text())['dependencies']
    pip = next(d['pip'] for d in conda if isinstance(d, dict))
    pinned = {normal(n): v for n, _, v in (x.partition('==') for x in pip) if v}
    return ([f'{n}: environment.yml pins {v}, the lock {locked.get(n)}' for n, v in pinned.items() if locked.get(n) != v]
            + [f'{n}: in pyproject.toml, not in environment.yml' for n in sorted(direct - set(pinned))]
            + [f'{n}: in environment.yml, not in pyproject.toml' for n in sorted(set(pinned) - direct)]
            + [f'conda takes {d}, the lock is for Python 3.11' for d in conda if isinstance(d, str) and d.startswith('python=') and d != 'python=3.11'])


IMPORTED_AS = {'lightning-fabric': 'lightning_fabric', 'pillow': 'PIL', 'pyyaml': 'yaml', 'scikit-image': 'skimage', 'scikit-learn': 'sklearn'}
UNIMPORTED = {  # used without an import: where, and the words that use it
    'execnb': ('pyproject.toml', r'"nbdev==2\.4'),  # both are held back for nbdev, whose last 2.4 names no upper bound
    'ghapi': ('pyproject.toml', r'"nbdev==2\.4'),
    'ipykernel': ('nbs/**/*.ipynb', r'kernel_name='),
    'jupyterlab': ('tests/*.py', r'"-m", "jupyterlab"'),
    'pyarrow': ('nbs/**/*.ipynb', r'\.to_parquet\('),
    'pytest-xdist': ('tools/*.py', r"'--dist'"),
    'snakemake': ('nbs/**/*.ipynb', r'\\"-m\\", \\"snakemake\\"'),
    'snakemake-executor-plugin-slurm': ('workflow/profiles/*/*.yaml', r'executor: slurm'),
}


def declared(root: Path) -> set[str]:
    "Packages that pyproject.toml and settings.ini ask for."
    project = tomllib.loads((root/'pyproject.toml').read_text())['project']
    asked = project.get('dependencies', []) + [d for extra in project.get('optional-dependencies', {}).values() for d in extra]
    (settings := configparser.ConfigParser(interpolation=None)).read(root/'settings.ini')
    asked += [d for key in ('requirements', 'pip_requirements', 'dev_requirements') for d in settings['DEFAULT'].get(key, '').split()]
    return {re.match(r'[\w.-]+', d)[0].lower() for d in asked}


def imported(root: Path) -> set[str]:
    "Top-level packages that a notebook, a tool or a test imports."
    sources = [c.source for p in notebooks(root) for c in code(p)]
    sources += [p.read_text() for folder in ('tests', 'tools') for p in (root/folder).glob('*.py')]
    nodes = [n for s in sources for n in ast.walk(ast.parse(re.sub(r'^[%!].*$', '', s, flags=re.M)))]
    names = [a.name for n in nodes if isinstance(n, ast.Import) for a in n.names]
    names += [n.module for n in nodes if isinstance(n, ast.ImportFrom) and not n.level]
    return {name.split('.')[0] for name in names}


def unused(root: Path) -> list[str]:
    "Dependencies that are declared and that nothing imports, nor uses by the words in `UNIMPORTED`."
    found = imported(root)
    def used(name):
        where, words = UNIMPORTED.get(name, ('', ''))
        if IMPORTED_AS.get(name, name.replace('-', '_')) in found: return True
        return bool(where) and any(re.search(words, p.read_text()) for p in root.glob(where))
    return [f'{name}: declared, and nothing uses it' for name in sorted(declared(root)) if not used(name)]


def unthemed(root: Path) -> list[str]:
    "Pages that draw without `theme()` of ifam.show.plots, or `open_page`, which calls it."
    text = lambda p: '\n'.join(c.source for c in code(p))
    draws, themed = r'\b(plt|sns)\.|_(figure|bars)\(', r'\b(theme\(\)|open_page\()'
    return [f'{p.relative_to(root)}: draws without theme()' for p in with_parameters(root) if re.search(draws, text(p)) and not re.search(themed, text(p))]


def strays(root: Path, files: list[Path]) -> list[str]:
    "Files that name a folder of somebody's machine, or a place to get packages from."
    here = [re.escape(str(p)) for p in {ROOT, Path(sys.prefix).resolve(), Path.home()} if len(p.parts) > 2]
    stray = re.compile('|'.join([*here, r'/(?:home|Users)/\w', r'/root/', r'(?<![\w.])/tmp/\w\w', r'[A-Z]:\\Users', r'\bfile:/', r'lib/python3\.\d+/site-packages', r'(?<![\w.])/(?:work|farm|scratch|mnt|opt)/\w', r'ipykernel_\d',
                                 r'\bpypi\.[a-z]+', r'pythonhosted\.', r'download\.pytorch\.', r'anaconda\.(?:org|com)', r'(?:extra-)?index-url', r'find-links']))
    wrong = []
    for path in files:
        if path == Path(__file__): continue  # it holds the patterns
        try: found = stray.search(path.read_text())
        except (UnicodeDecodeError, IsADirectoryError, FileNotFoundError): continue
        if found: wrong.append(f'{path.relative_to(root)}: {found[0]!r}')
    return wrong


def tracked(root: Path) -> list[Path]:
    "Files under version control, and new ones that are not ignored."
    out = subprocess.run(['git', 'ls-files', '-z', '--cached', '--others', '--exclude-standard'], cwd=root, capture_output=True, text=True, check=True).stdout
    return [root/f for f in out.split('\0') if f]


# -- tests

def expect_none(wrong: list[str]): assert not wrong, '\n' + '\n'.join(wrong)


def test_notebooks_are_clean(tmp_path): expect_none(unclean(ROOT, tmp_path))
def test_exports_are_in_sync(tmp_path): expect_none(out_of_sync(ROOT, tmp_path))
def test_parameters_are_tagged(tmp_path): expect_none(untagged(ROOT, tmp_path))
def test_papermill_notebooks_are_left_to_papermill(): expect_none(left_to_papermill(ROOT))
def test_notebooks_are_executed(): expect_none(not_executed(ROOT))
def test_notebooks_keep_their_shape(): expect_none(shape(ROOT))
def test_pages_use_lower_rooms_only(): expect_none(upward_imports(ROOT))
def test_a_name_has_one_home(): expect_none(doubled(ROOT))
def test_names_are_given(): expect_none(undefined(ROOT))
def test_parameters_have_docments(): expect_none(undocumented(ROOT))
def test_cells_and_lines_are_short(): expect_none(wide(ROOT))
def test_environment_matches_lock(): expect_none(versions(ROOT))
def test_dependencies_are_used(): expect_none(unused(ROOT))
def test_pages_draw_in_one_theme(): expect_none(unthemed(ROOT))
def test_nothing_of_this_machine_is_committed(): expect_none(strays(ROOT, tracked(ROOT)))


def test_skipped_cells_say_why():
    n, silent = skipped(ROOT)
    expect_none(silent)
    assert n == SKIPPED_CELLS


def test_readme_is_current():
    assert (ROOT/'README.md').read_text() == readme(ROOT), 'README.md is not what nbs/index.ipynb says; run make readme'


def test_readme_links_and_mentions():
    text = (ROOT/'README.md').read_text()
    links = re.findall(r'(?:\]\(|src="|href=")(?![a-z]+:|#)([^)"#\s]+)', text)
    expect_none([f'README.md links {x}, which does not exist' for x in links if not (ROOT/x).exists()])
    assert len(re.sub(r'```.*?```', '', text, flags=re.S).split()) <= 1600
    listed = (ROOT/'nbs/rooms.ipynb').read_text()
    expect_none([f'{p.name} is not in nbs/rooms.ipynb; execute it' for p in notebooks(ROOT) if p.name not in ('index.ipynb', 'rooms.ipynb') and f'{p.parent.name}/{p.name}'.removeprefix('nbs/') not in listed])
    for command in ('make demo', 'make test', 'papermill nbs/train.ipynb'): assert command in text


def test_licence_is_apache_2():
    text = (ROOT/'LICENSE').read_bytes()  # the hash of apache.org/licenses/LICENSE-2.0.txt
    assert hashlib.sha256(text).hexdigest() == 'cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30'


def test_citation_names_the_paper():
    cited = yaml.safe_load((ROOT/'CITATION.cff').read_text())
    assert cited['cff-version'] == '1.2.0' and {'message', 'title', 'authors'} <= set(cited)
    paper = cited['preferred-citation']
    assert paper['title'] == 'Inherently Faithful Attention Maps for Vision Transformers' and paper['year'] == 2025 and '2506.08915' in paper['url']
    present = 'Two-stage Vision Transformers and Hard Masking offer Robust Object Representations'
    assert f'{present} (ICPR 2026)' in paper['notes'] and present in (ROOT/'README.md').read_text()
    assert [f"{a['given-names']} {a['family-names']}" for a in paper['authors']] == ['Ananthu Aniraj', 'Cassio F. Dantas', 'Dino Ienco', 'Diego Marcos']


# -- the checks themselves

def small_repo(root: Path) -> Path:
    "A sound repository with two modules and one notebook for papermill."
    v4 = nbformat.v4
    def write(name, *cells):
        (root/'nbs'/name).parent.mkdir(parents=True, exist_ok=True)
        for i, c in enumerate(cells): c['id'] = f'cell{i}'
        for c in cells:
            if c.cell_type == 'code' and 'print(' in c.source: c.outputs = [v4.new_output('stream', name='stdout', text='1\n')]
        nbformat.write(v4.new_notebook(cells=list(cells), metadata=dict(kernelspec=dict(display_name='python3', language='python', name='python3'))), root/'nbs'/name)
    def module(room, name, body):
        write(f'{room}_{name}/00_{name}.ipynb', v4.new_markdown_cell(f'# {name}\n\n> A module.'), v4.new_code_cell(f'#| default_exp {name}.{name}'), v4.new_code_cell(f'#| export\n{body}'),
              v4.new_code_cell('assert True\nprint(1)'))
    for folder in ('nbs', 'ifam'): (root/folder).mkdir(parents=True)
    (root/'ifam/__init__.py').write_text('__version__ = "0.1.0"\n')
    shutil.copy(ROOT/'settings.ini', root)
    (root/'pyproject.toml').write_text('[project]\nname = "ifam"\ndependencies = []\n')
    module('01', 'low', 'def low(): return 1')
    module('02', 'high', 'from ifam.low.low import low')
    write('train.ipynb', v4.new_raw_cell('---\nskip_exec: true\n---'), v4.new_markdown_cell('# Train\n\n> One run.'),
          v4.new_code_cell('K: int = 8  # parts', metadata=dict(tags=['parameters'])), v4.new_code_cell('print(1)'))
    tool('nbdev_clean', '--fname', 'nbs', cwd=root); tool('nbdev_export', cwd=root)
    return root


def edit(root: Path, name: str, change):
    "Change one notebook of the copy."
    nb = nbformat.read(root/'nbs'/name, 4); change(nb); nbformat.write(nb, root/'nbs'/name)


def replace(root: Path, name: str, old: str, new: str):
    text = (root/name).read_text(); assert old in text
    (root/name).write_text(text.replace(old, new))


BREAKS = {  # what is broken: (how, the check that must see it)
    'execution count': (lambda r: edit(r, '01_low/00_low.ipynb', lambda nb: nb.cells[3].update(execution_count=3)), unclean),
    'edited module': (lambda r: replace(r, 'ifam/low/low.py', 'return 1', 'return 2'), out_of_sync),
    'forgotten export': (lambda r: edit(r, '01_low/00_low.ipynb', lambda nb: nb.cells[2].update(source='#| export\ndef low(): return 3')), out_of_sync),
    'stray module': (lambda r: (r/'ifam/other.py').write_text(''), out_of_sync),
    'missing module': (lambda r: (r/'ifam/low/low.py').unlink(), out_of_sync),
    'no tag': (lambda r: edit(r, 'train.ipynb', lambda nb: nb.cells[2].metadata.pop('tags')), untagged),
    'two tags': (lambda r: edit(r, 'train.ipynb', lambda nb: nb.cells[3].metadata.update(tags=['parameters'])), untagged),
    'tags not allowed': (lambda r: replace(r, 'settings.ini', 'allowed_cell_metadata_keys = tags', 'allowed_cell_metadata_keys ='), untagged),
    'not left to papermill': (lambda r: edit(r, 'train.ipynb', lambda nb: nb.cells.pop(0)), left_to_papermill),
    'silent skip': (lambda r: edit(r, '01_low/00_low.ipynb', lambda nb: nb.cells[3].update(source='#| eval: false\nassert False')), lambda r: skipped(r)[1]),
    'flagged skip': (lambda r: edit(r, '01_low/00_low.ipynb', lambda nb: nb.cells[3].update(source='#|slow\nassert False')), lambda r: skipped(r)[1]),
    'test beside nbdev_export': (lambda r: edit(r, '01_low/00_low.ipynb', lambda nb: nb.cells[3].update(source='import nbdev\nnbdev.nbdev_export()\nassert False')), lambda r: skipped(r)[1]),
    'not executed': (lambda r: edit(r, 'train.ipynb', lambda nb: nb.cells[3].update(outputs=[])), not_executed),
    'error output': (lambda r: edit(r, '01_low/00_low.ipynb', lambda nb: nb.cells[3].outputs.append(nbformat.v4.new_output('error', ename='E', evalue='', traceback=[]))), not_executed),
    'no test': (lambda r: edit(r, '01_low/00_low.ipynb', lambda nb: nb.cells[3].update(source='print(1)')), shape),
    'long function': (lambda r: edit(r, '01_low/00_low.ipynb', lambda nb: nb.cells[2].update(source='#| export\ndef low():\n' + '    x = 1\n'*60)), shape),
    'import from above': (lambda r: edit(r, '01_low/00_low.ipynb', lambda nb: nb.cells[3].update(source='from ifam.high.high import low\nassert True')), upward_imports),
    'a name twice': (lambda r: replace(r, 'ifam/high/high.py', '__all__ = []', "__all__ = ['low']"), doubled),
    'a lost import': (lambda r: replace(r, 'ifam/low/low.py', 'return 1', 'return one()'), undefined),
    'a bare parameter': (lambda r: replace(r, 'ifam/low/low.py', 'def low()', 'def low(x)'), undocumented),
    'a bare method': (lambda r: replace(r, 'ifam/low/low.py', 'def low(): return 1', 'class Low(Base):\n    def low(self, x): return 1  # y'), undocumented),
    'a long line': (lambda r: edit(r, 'train.ipynb', lambda nb: nb.cells[3].update(source='x = 1  # ' + 'x'*140)), wide),
    'a long cell': (lambda r: edit(r, '01_low/00_low.ipynb', lambda nb: nb.cells[2].update(source='#| export\n' + 'x = 1\n'*41)), wide),
    'unused dependency': (lambda r: replace(r, 'pyproject.toml', '[]', '["scikit-image>=0.24"]'), unused),
    'dependency of settings.ini': (lambda r: replace(r, 'settings.ini', '[DEFAULT]', '[DEFAULT]\nrequirements = pooch>=1.8'), unused),
    'dependency whose words are gone': (lambda r: replace(r, 'pyproject.toml', '[]', '["pyarrow>=16"]'), unused),
    'no theme': (lambda r: edit(r, 'train.ipynb', lambda nb: nb.cells[3].update(source='plt.plot([1])')), unthemed),
    'path': (lambda r: (r/'nbs/note.md').write_text('see /' + 'home/me/data'), lambda r: strays(r, [r/'nbs/note.md'])),
}


@pytest.fixture(scope='module')
def sound(tmp_path_factory): return small_repo(tmp_path_factory.mktemp('sound')/'repo')


def problems(check, root: Path, tmp: Path) -> list[str]:
    return check(root, tmp) if check in (unclean, out_of_sync, untagged) else check(root)


@pytest.mark.parametrize('what', BREAKS)
def test_checks_can_fail(what, sound, tmp_path):
    broken = shutil.copytree(sound, tmp_path/'repo')
    breaks, check = BREAKS[what]
    (broken/'nbs/note.md').write_text('')
    assert problems(check, broken, tmp_path/'before') == []
    breaks(broken)
    assert len(problems(check, broken, tmp_path/'after')) >= 1
