"""The notebooks and the API as a site in _site/:   .venv/bin/python tools/docs.py

Quarto renders it where it is installed; else nbconvert's filters and ifam/show/pages. Neither asks the network for anything. With names of executed
notebooks it writes the page of each beside it instead.
"""
import dataclasses, html, importlib, inspect, json, os, re, shutil, subprocess, sys
from pathlib import Path
from urllib.parse import unquote

import nbformat
from fastcore.docments import docments

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from ifam.show import pages  # noqa: E402
from readme import to_root  # noqa: E402

SITE, PREPARED = '_site', '_proc'
GUIDE = 'train', 'evaluate', 'intervene', 'audit', 'predict', 'explore', 'pretrain_demo', 'rooms'
LINK = re.compile(r'(?<=[ "])(href|src)="([^"#]*)(#[^"]*)?"')


# -- what is on it

def number(path: Path) -> list: return [int(x) if x.isdigit() else x for x in re.split(r'(\d+)', path.stem)]


def sections(root: Path) -> dict[str, dict[str, list[Path]]]:
    "Section to heading to notebooks and texts, relative to the root, in reading order."
    found = lambda pattern: sorted((p.relative_to(root) for p in root.glob(pattern)), key=number)
    rooms = [p.relative_to(root) for p in sorted((root/'nbs').glob('[0-9]*/'))]
    named = lambda names: [p for p in (Path(f'nbs/{n}.ipynb') for n in names) if (root/p).exists()]
    texts = [Path(p) for p in ('CONTRIBUTING.md', 'CHANGELOG.md') if (root/p).exists()]
    guide = {'Start': named(['index', *GUIDE]) + texts, 'Data': found('data_prep/*.ipynb') + found('data_prep/*.md')}
    guide |= {r.name[3:].title(): found(f'{r}/*.ipynb') for r in rooms if r.name[3:] != 'paper'}
    paper = {'The grid': found('nbs/*_paper/*.ipynb') + named(['report', 'photographs', 'benchmark', 'robustness'])}
    return dict(Guide=guide, Reproduction=paper | {n.title(): found(f'nbs/{n}/*.ipynb') for n in ('tables', 'figures')})


def read(path: Path):
    "A notebook; a text is one of a single cell. The first page stands at the root."
    if path.suffix == '.ipynb':
        note = nbformat.read(path, 4)
        for c in note.cells if path.name == 'index.ipynb' else ():
            if c.cell_type == 'markdown': c.source = to_root(c.source)
            for data in (o.data for o in c.get('outputs', []) if 'data' in o): data.update({k: to_root(v) for k, v in data.items() if k.startswith('text/')})
        return note
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(path.read_text())])


# -- the API, from docments

def kind(anno) -> str:
    "A type as a cell of a table has room for it."
    if anno in (None, inspect.Parameter.empty): return ''
    return f"`{anno if isinstance(anno, str) else inspect.formatannotation(anno)}`".replace(' | ', ' or ')


def row(*cells) -> str: return '| ' + ' | '.join(c.replace('|', '&#124;').replace('\n', ' ') for c in cells) + ' |'


def entry(name: str, symbol) -> str:
    "A symbol's heading, signature, docstring and table of parameters."
    out, short = [f'## {name}'], name.split('.')[-1]
    text = '' if dataclasses.is_dataclass(symbol) and '(' in (symbol.__doc__ or '').split(':')[0] else inspect.getdoc(symbol) or ''
    if isinstance(symbol, property): return '\n\n'.join([*out, 'A property.', text])
    params = docments(symbol, full=True, returns=True)
    given = {k: p for k, p in params.items() if k not in ('self', 'return')}
    default = lambda p: '' if p.default is inspect.Parameter.empty else getattr(p.default, '__name__', repr(p.default))
    said = [k + (f'={d}' if (d := default(p)) else '') for k, p in given.items()]
    call = f"{short}({', '.join(said)})"
    if len(call) > 90: call = f'{short}(\n    ' + ',\n    '.join(said) + ')'
    out += [f'```python\n{call}\n```', text]
    rows = [row(f'`{k}`', kind(p.anno), p.docment or '') for k, p in given.items()]
    if (back := params.get('return')) and (kind(back.anno) or back.docment): rows.append(row('*returns*', kind(back.anno), back.docment or ''))
    return '\n\n'.join([*out, '\n'.join(['| | type | |', '|---|---|---|', *rows]) if rows else ''])


def exported(module) -> dict:
    "Public symbols by name: what `__all__` lists, and public methods of its classes and those patched in."
    from ifam._modidx import d
    own, name = {n: getattr(module, n) for n in module.__all__}, module.__name__
    for full in d['syms'].get(name, {}):
        parts, symbol = full.removeprefix(f'{name}.').split('.'), module
        if any(p.startswith('_') for p in parts): continue
        try:
            for p in parts: symbol = inspect.getattr_static(symbol, p) if inspect.isclass(symbol) else getattr(symbol, p)
        except AttributeError: continue
        own['.'.join(parts)] = getattr(symbol, '__func__', symbol)
    return own


def api(module_name: str, notebook: str) -> str:
    "The page of a module, as Markdown."
    module = importlib.import_module(module_name)
    symbols = exported(module)
    asked = {n: s for n, s in symbols.items() if inspect.isclass(s) or inspect.isfunction(s) or isinstance(s, property)}
    values = [row(f'<code id="{n}">{n}</code>', f"`{re.sub(r'[`|]', ' ', s if len(s := repr(v)) < 120 else s[:117] + '...')}`") for n, v in symbols.items() if n not in asked]
    top = [f'# {module_name}', f"> {(module.__doc__ or '').strip()}", f'Explained and tested in [{notebook}](../nbs/{notebook}).']
    table = ['\n'.join(['| value | |', '|---|---|', *values])] if values else []
    order = sorted(asked, key=lambda n: (list(symbols).index(n.split('.')[0]) if n.split('.')[0] in symbols else 999, n.count('.')))
    return '\n\n'.join([*top, *table, *(entry(n, asked[n]) for n in order)])


def modules(root: Path) -> dict[str, str]:
    "Module to the notebook that exports it, in reading order."
    out = {}
    for path in sorted((root/'nbs').glob('[0-9]*/[0-9]*.ipynb')):
        if m := re.search(r'#\| default_exp ([\w.]+)', path.read_text()): out[f'ifam.{m[1]}'] = str(path.relative_to(root/'nbs'))
    return out


# -- the site

def menu(listed: dict, titles: dict, page: str) -> str:
    "The links of a page to all others."
    here, out = os.path.dirname(page), []
    link = lambda p: f'''<li><a href="{os.path.relpath(p, here or '.')}"{' aria-current="page"' if p == page else ''}>{html.escape(titles[p])}</a></li>'''
    for section, groups in listed.items():
        out.append(f'<strong>{section}</strong>')
        for name, links in groups.items():
            opened = ' open' if page in links or name == 'Start' else ''
            out.append(f"<details{opened}><summary>{html.escape(name)}</summary><ul>{''.join(map(link, links))}</ul></details>")
    return '\n'.join(out)


SEARCH = """const box=document.querySelector(".search"),out=document.querySelector(".found"),up=document.body.dataset.up;
box.oninput=()=>{const words=box.value.toLowerCase().split(/\\s+/).filter(Boolean);out.replaceChildren();if(!words.length)return;
const score=([url,title,heads,text])=>words.reduce((s,w)=>{const f=v=>v.toLowerCase().includes(w),n=4*f(title)+2*f(heads)+f(text);return s&&n?s+n:0},1);
const hits=PAGES.map(p=>[score(p),p]).filter(h=>h[0]).sort((a,b)=>b[0]-a[0]).slice(0,12);
for(const [s,[url,title,heads]] of hits){const li=document.createElement("li"),a=document.createElement("a"),w=words[words.length-1];a.textContent=title;
const head=heads.split("\\n").find(h=>h.toLowerCase().includes(w));a.href=up+url+(head?"#"+head.replace(/ /g,"-"):"");li.append(a);
if(head){const t=document.createElement("small");t.textContent=head;li.append(t)}out.append(li)}
if(!hits.length)out.textContent="Nothing found."}"""


def linked(body: str, page: str, symbols: dict) -> str:
    "Links to notebooks and texts lead to their pages, names of the library to the API."
    turn = lambda m: m[0] if re.match(r'[a-z]+:', m[2]) else f'{m[1]}="{re.sub(r"[.](ipynb|md)$", ".html", m[2])}{m[3] or ""}"'
    up = os.path.relpath('.', os.path.dirname(page) or '.')
    def name(m): return f'<a href="{up}/{symbols[m[1]]}">{m[0]}</a>' if m[1] in symbols else m[0]
    parts = re.split(r'(<pre.*?</pre>|<a .*?</a>)', LINK.sub(turn, body), flags=re.S)
    return ''.join(p if i % 2 else re.sub(r'<code>(ifam\.[\w.]+)(?:\(\))?</code>', name, p) for i, p in enumerate(parts))


def frame(title: str, body: str, links: str, page: str) -> str:
    "A whole page."
    up = os.path.relpath('.', os.path.dirname(page) or '.') + '/'
    return f'''<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{html.escape(title)} · iFAM</title>
<link rel="stylesheet" href="{up}style.css"></head><body class="shell" data-up="{up}"><input type="checkbox" id="menu"><label for="menu">☰ All pages</label>
<nav><input class="search" type="search" placeholder="Search" aria-label="Search"><ul class="found"></ul>
{links}</nav><main>{body}</main><script src="{up}search.js"></script></body></html>
'''


def settle(site: Path, root: Path) -> list[str]:
    "Copy the files that pages link; which links lead nowhere."
    wrong, texts = [], {p: re.sub(r'<pre.*?</pre>', '', p.read_text(), flags=re.S) for p in sorted(site.rglob('*.html'))}
    ids = {p: set(re.findall(r' id="([^"]+)"', text)) for p, text in texts.items()}
    for page, text in texts.items():
        for _, target, part in LINK.findall(text):
            if re.match(r'(https?|mailto|data):', target): continue
            place = Path(os.path.normpath(page.parent/unquote(html.unescape(target)))) if target else page
            if part and place in ids and html.unescape(unquote(part[1:])) not in ids[place]: wrong.append(f'{page.relative_to(site)}: {target}{part}')
            inside = place.is_relative_to(site)
            if inside and not place.exists() and (source := root/place.relative_to(site)).is_file():
                place.parent.mkdir(parents=True, exist_ok=True); shutil.copyfile(source, place)
            if not inside or not place.is_file(): wrong.append(f'{page.relative_to(site)}: {target}')
    return wrong


def build(root: Path = ROOT, site: Path = None, only=lambda path: True) -> list[str]:  # links that lead nowhere
    "Write the site. Pages for which `only` is false are left out of it, for a test."
    site = site or root/SITE
    shutil.rmtree(site, ignore_errors=True); site.mkdir(parents=True)
    place = lambda p: 'index.html' if p.name == 'index.ipynb' else str(p.with_suffix('.html'))
    listed = {s: {name: [place(p) for p in paths if only(p)] for name, paths in groups.items()} for s, groups in sections(root).items()}
    made, symbols = {place(p): p for groups in sections(root).values() for paths in groups.values() for p in paths if only(p)}, {}
    written = {f'api/{m}.html': (m, notebook) for m, notebook in modules(root).items() if only(Path(f'nbs/{notebook}'))}
    listed['API'] = {}
    for page, (m, _) in written.items(): listed['API'].setdefault(m.split('.')[1], []).append(page)
    notes = {page: read(root/p) for page, p in made.items()}
    for page, (m, notebook) in written.items():
        notes[page] = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(api(m, notebook))])
        symbols |= {m: page, **{f'{m}.{n}': f'{page}#{n}' for n in exported(importlib.import_module(m))}}
    titles = {page: pages.title_of(n) if page not in written else written[page][0] for page, n in notes.items()}
    if shutil.which('quarto'): return quarto(root, site, notes, listed)
    index = []
    for page, note in notes.items():
        body = pages.body(note, pages.FOLD if page in made and not made[page].name[:1].isdigit() else 0)
        (site/page).parent.mkdir(parents=True, exist_ok=True)
        (site/page).write_text(frame(titles[page], linked(body, page, symbols), menu(listed, titles, page), page))
        plain = [re.sub(r'<[^>]+>', '', html.unescape(h)) for h in re.findall(r'<h[2-4][^>]*>(.*?)<a class', body, re.S)]
        words = ' '.join(c.source for c in note.cells if c.cell_type == 'markdown' or page.startswith('api'))
        index.append([page, titles[page], '\n'.join(plain), ' '.join(sorted(set(re.findall(r'[\w.-]{3,}', words.lower()))))])
    (site/'search.js').write_text(f'const PAGES={json.dumps(index, ensure_ascii=False)};\n{SEARCH}\n')
    (site/'style.css').write_text(pages.style())
    return settle(site, root)


def quarto(root: Path, site: Path, notes: dict, listed: dict) -> list[str]:  # links that lead nowhere
    "The same pages by Quarto, which executes nothing and makes its own search."
    import yaml
    work = root/PREPARED
    shutil.rmtree(work, ignore_errors=True)
    source = lambda page: str(Path(page).with_suffix('.ipynb'))
    for page, note in notes.items():
        note = pages.tidied(note)
        for c in (c for c in note.cells if c.cell_type == 'markdown'):
            c.source = re.sub(r'(\]\([^):#]+)\.md(?=[)#])', r'\1.ipynb', c.source)
        (work/page).parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(note, work/source(page))
    menu = [dict(section=s, contents=[dict(section=n, contents=[*map(source, links)]) for n, links in groups.items() if links]) for s, groups in listed.items()]
    look = dict(theme=dict(light='cosmo', dark='darkly'), toc=True, **{'html-math-method': 'mathml', 'code-fold': True, 'code-overflow': 'scroll'})
    website = dict(title='iFAM', search=True, sidebar=dict(style='docked', contents=menu))
    settings = dict(project={'type': 'website', 'output-dir': str(site.absolute())}, website=website, format=dict(html=look), execute=dict(enabled=False))
    (work/'_quarto.yml').write_text(yaml.safe_dump(settings, sort_keys=False))
    subprocess.run(['quarto', 'render', str(work), '--no-execute'], check=True)
    return settle(site, root)


def main(notebooks: list[str]):
    for name in notebooks: pages.write_page(nbformat.read(name, 4), Path(name).with_suffix('.html'))
    if notebooks: return
    wrong = build()
    if wrong: sys.exit('Links that lead nowhere:\n' + '\n'.join(wrong))
    print(f'{ROOT/SITE}/index.html')


if __name__ == '__main__': main(sys.argv[1:])
