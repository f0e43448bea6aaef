"""Inputs that mean harm, for tools/soak.py: each case holds where nothing is executed, nothing is written outside its folder, and it is read right or refused with one error of the project."""
import io, json, os, pickle, re, shutil, struct, tarfile, zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image

HOME = Path(os.environ['IFAM_HOME'])
RUN = HOME/'made/run'
NAMES = {'a script': '<script>open("EXECUTED")</script>', 'an image that acts': '"><img src=x onerror=alert(1)>', 'a formula': '=cmd|"/c calc"!A0', 'a sum': '@SUM(1+1)*cmd', 'a climb': '../../climbed',
         'a long name': 'x' * 240, 'a new line': 'duck\n- [x](javascript:alert(1))\n---\nlicense: mit', 'a terminal\'s command': '\x1b]0;title\x07', 'markdown': '`$(touch EXECUTED)`|[a](b)', 'a template': '{{7*7}}${7*7}%(x)s{0}'}


class Bomb:
    "A pickle that acts."
    def __reduce__(self): return os.mkdir, (str(HOME/'hostile/EXECUTED'),)


def refused(do, *words):
    "The one error that `do` raises, in words; it must be the project's and name what it is of."
    try: do()
    except (ValueError, TypeError, FileNotFoundError, FloatingPointError) as error:
        assert type(error).__name__ not in ('UnicodeDecodeError', 'JSONDecodeError'), repr(error)
        assert any(w in str(error) for w in words), f'names none of {words}: {error}'
        return str(error)
    raise AssertionError('it was taken')


def copied(folder): return Path(shutil.copytree(RUN, folder/'run'))


def with_classes(folder, name):
    "A run whose classes have such names."
    run = copied(folder); saved = json.loads((run/'config.json').read_text())
    saved['data'] |= dict(classes=[name, 'b'], groups=[name, 'b', 'c', 'd']); (run/'config.json').write_text(json.dumps(saved))
    return run


def inert_html(text, name):
    body = re.sub(r'<style.*?</style>|<script>document\.querySelectorAll.*?</script>', '', text, flags=re.S)
    assert '<script' not in body and '<img src=x' not in body, 'it would be executed'


# -- a name, and where it appears

def in_predictions(folder, name):
    from ifam import predict
    found = predict(with_classes(folder, name), [HOME/'made/pictures/p0.png'])
    inert_html(found._repr_html_(), name); found.save(folder/'out')
    first = [line[:1] for row in pd.read_csv(folder/'out/predictions.csv', dtype=str, keep_default_na=False).values.tolist() for line in row]
    assert not set(first) & set('=+-@\t\r'), 'a spreadsheet would compute it'
    assert json.loads((folder/'out/predictions.json').read_text())['classes'] == [name, 'b']


def in_a_card(folder, name):
    from ifam.training.opened import load
    card = (load(with_classes(folder, name)).save_pretrained(folder/'hub')/'README.md').read_text()
    inert_html(card, name); assert card.count('\n---\n') == 1 and 'license: mit' not in card.split('---')[1], 'the front matter was changed'


def in_a_report(folder, name):
    from ifam.show.reports import Report
    page = Report(name, name); page.heading(name); page.text(name); page.table(pd.DataFrame({name: [name]}), name)
    Image.new('RGB', (2, 2)).save(folder/'p.png'); page.picture(folder/'p.png', name); page.save(folder/'report.html')
    inert_html((folder/'report.html').read_text(), name)


def in_class_folders(folder, name):
    from ifam.datasets.loading import check, load_dataset
    if '/' in name or len(name.encode()) > 250: name = name.replace('/', '_')[:200].lstrip('.')
    for split in ('train', 'test'):
        for kind in (name, 'b'):
            (folder/'data'/split/kind).mkdir(parents=True); Image.new('RGB', (9, 9)).save(folder/'data'/split/kind/'a.png')
    assert sorted([name, 'b']) == load_dataset('folder', folder/'data').classes and check('folder', folder/'data').empty


def in_a_csv(folder, name):
    from ifam.datasets.loading import load_dataset
    Image.new('RGB', (9, 9)).save(folder/'a.png'); Image.new('RGB', (8, 8)).save(folder/'b.png')
    pd.DataFrame(dict(path=['a.png', 'b.png'], label=[name, 'b'], split=['train', 'train'])).to_csv(folder/'data.csv', index=False)
    load = lambda: load_dataset('folder', folder/'data.csv')
    if re.search(r'[\x00-\x1f]', name): return refused(load, 'data.csv')
    assert sorted([name, 'b']) == sorted(load().classes)


def as_a_picture(folder, name):
    from ifam.__main__ import main
    import contextlib
    file = folder/'in'/f"{name.replace('/', '_')[:200]}.png"; file.parent.mkdir(); Image.new('RGB', (9, 9)).save(file)
    with contextlib.redirect_stdout(out := io.StringIO()): code = main(['predict', str(RUN), str(file), '--out', str(folder/'out')])
    assert code == 0 and '\x1b' not in out.getvalue() and out.getvalue().count('\n') == 2
    assert {p.name for p in folder.iterdir()} == {'in', 'out'}


# -- a run folder of somebody else

def config(setting, value):
    def case(folder):
        from ifam.training.opened import load
        run = copied(folder); saved = json.loads((run/'config.json').read_text())
        place = saved['data'] if setting in ('classes', 'mean') else saved['config']
        place[setting] = value; (run/'config.json').write_text(json.dumps(saved))
        return refused(lambda: load(run), setting, str(value), 'model.safetensors', str(run))
    return case


def file_of_run(name, content):
    def case(folder):
        from ifam.training.opened import load
        run = copied(folder); (run/name).write_bytes(content() if callable(content) else content)
        return refused(lambda: load(run), name)
    return case


def header(length, text=b'{}'): return struct.pack('<Q', length) + text


def extra_files(folder):
    "A shared model with pickles, code and links beside it: what is read is what is expected."
    from ifam.training.opened import load
    run = copied(folder)
    for name in ('pytorch_model.bin', 'state.pt', 'model.pkl', 'modeling_ifam.py', '__init__.py', 'sitecustomize.py', 'calibration.pkl'):
        (run/name).write_bytes(pickle.dumps(Bomb()) if not name.endswith('.py') else b'import os; os.mkdir("EXECUTED")')
    load(run)


def pickled_state(folder):
    from ifam.core.runs import Run
    run = copied(folder); (run/'state.pt').write_bytes(pickle.dumps(Bomb()))
    return refused(Run(run).load_state, 'state.pt')


def zipped_state(folder):
    from ifam.core.runs import Run
    run = copied(folder); torch.save(dict(a=Bomb()), run/'state.pt')
    return refused(Run(run).load_state, 'state.pt')


def another_state(folder):
    from ifam.core.runs import Run
    run = copied(folder); torch.save([1, 2], run/'state.pt')
    return refused(Run(run).load_state, 'state.pt')


def pickled_weights(folder):
    from ifam.model.backbones import read_state_dict
    torch.save(dict(model=Bomb()), folder/'w.pth')
    return refused(lambda: read_state_dict(folder/'w.pth'), 'w.pth')


def pickled_tubes(folder):
    from ifam.datasets.siim_acr import read_tubes
    (folder/'cxr_tube_dict.pkl').write_bytes(pickle.dumps({'1.2.3': Bomb()}, 2))
    return refused(lambda: read_tubes(folder/'cxr_tube_dict.pkl'), 'cxr_tube_dict.pkl')


def pickled_mask(folder):
    from ifam.datasets.imagenet import _foreground
    (folder/'fg_mask').mkdir(); np.save(folder/'fg_mask/a.npy', np.array([Bomb()], object), allow_pickle=True)
    return refused(lambda: _foreground(folder, 'original/a.jpeg', (9, 9)), 'a.npy')


def table(columns):
    def case(folder):
        from ifam.core.runs import Run
        from ifam.paper.kept import rows_of
        run = copied(folder); pd.DataFrame(columns).to_parquet(run/'predictions.parquet')
        return refused(lambda: rows_of(Run(run)), 'predictions.parquet')
    return case


def broken_table(folder):
    from ifam.core.runs import Run
    from ifam.paper.kept import rows_of
    run = copied(folder); (run/'predictions.parquet').write_bytes(b'PAR1' + b'\xff' * 40 + struct.pack('<I', 2**31 - 1) + b'PAR1')
    return refused(lambda: rows_of(Run(run)), 'predictions.parquet')


# -- data of somebody else

def run_lengths(text):
    def case(folder):
        from ifam.datasets.siim_acr import decode_rle
        return refused(lambda: decode_rle(text, 1024, 1024), 'expected -1 or pairs', 'ends at pixel')
    return case


def a_million_runs(folder):
    from ifam.datasets.siim_acr import decode_rle
    assert decode_rle('0 1 ' * 10**6, 1024, 1024).sum() == 10**6  # as many as there is room for


def images_txt(line):
    def case(folder):
        from ifam.datasets.cub import CUB
        home = folder/'CUB_200_2011'; (home/'images').mkdir(parents=True); Image.new('RGB', (9, 9)).save(home/'images/a.jpg')
        for name, text in {'images.txt': line, 'classes.txt': '1 a', 'image_class_labels.txt': '1 1', 'train_test_split.txt': '1 1'}.items(): (home/name).write_text(text + '\n')
        return refused(lambda: CUB(home), 'images.txt')
    return case


def archive(fill, kind='tar'):
    def case(folder):
        from ifam.datasets.archives import unpack
        path = folder/f'a.{kind}'; fill(path)
        said = refused(lambda: unpack(path, folder/'out'), 'a.tar', 'a.zip')
        assert not (folder/'out').exists(), 'something was unpacked'
        return said
    return case


def member(name, kind=tarfile.REGTYPE, link=''):
    def fill(path):
        with tarfile.open(path, 'w') as tar:
            info = tarfile.TarInfo(name); info.type, info.linkname, info.size = kind, link, 3 if kind == tarfile.REGTYPE else 0
            tar.addfile(info, io.BytesIO(b'abc'))
    return fill


def bomb(path):
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as z: z.writestr('a', bytes(200 * 2**20))


def climbing_zip(path):
    with zipfile.ZipFile(path, 'w') as z: z.writestr('../../EXECUTED', b'x')


def picture(content, *words):
    def case(folder):
        from ifam.core.pictures import read_image
        (folder/'p.png').write_bytes(content())
        return refused(lambda: read_image(folder/'p.png'), 'p.png')
    return case


def png(width, height, data=b'x'):
    import zlib
    chunk = lambda kind, body: struct.pack('>I', len(body)) + kind + body + struct.pack('>I', zlib.crc32(kind + body))
    return b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0)) + chunk(b'IDAT', zlib.compress(data)) + chunk(b'IEND', b'')


def run_name(name):
    def case(folder):
        from ifam.core.runs import run_folder
        return refused(lambda: run_folder(name), f'run={name!r}')
    return case


def mapping(text):
    def case(folder):
        from ifam.datasets.imagenet import read_mapping
        (folder/'in_to_in9.json').write_text(text)
        return refused(lambda: read_mapping(folder/'in_to_in9.json'), 'in_to_in9.json')
    return case


CASES = [(f'{what} as {where.__name__.replace("in_", "a name in ").replace("as_a_picture", "the name of a picture").replace("_", " ")}', lambda folder, where=where, name=name: where(folder, name))
         for where in (in_predictions, in_a_card, in_a_report, in_class_folders, in_a_csv, as_a_picture) for what, name in NAMES.items()]
CASES += [(f'config.json: {s} is {str(v)[:30]}', config(s, v)) for s, v in (
    ('K', 10**9), ('K', -1), ('K', '8'), ('K', 10**40), ('image_size', 10**7), ('image_size', 8 * 10**6), ('image_size', 0), ('image_size', 1e300), ('backbone', '../../x'), ('backbone', 'vit_giant_patch14_dinov2.lvd142m'),
    ('backbone', 'os.system'), ('method', 'os'), ('method', '__init__'), ('method', ['ifam']), ('augmentation', '__import__'), ('epochs', None), ('classes', 'ab'), ('classes', ['a'] * 10**5), ('classes', [1, 2]), ('mean', 'xyz'), ('prototype_scale', 'NaN'))]
CASES += [(f'{n}: {w}', file_of_run(n, c)) for n, w, c in (
    ('config.json', 'a hundred thousand brackets', b'[' * 10**5), ('config.json', 'a number of a million digits', b'{"config": ' + b'9' * 10**6 + b'}'), ('config.json', 'no text', b'\xff\xfe\0'), ('config.json', 'a name twice', b'{"config": {}, "config": {}}'),
    ('model.safetensors', 'a header of 2^60 bytes', header(2**60)), ('model.safetensors', 'a header of 100 MB that is not there', header(10**8)), ('model.safetensors', 'a tensor beyond the end', header(77, b'{"a":{"dtype":"F32","shape":[9999999999999999],"data_offsets":[0,99999999999]}}')),
    ('model.safetensors', 'a pickle', lambda: pickle.dumps(Bomb())), ('model.safetensors', 'a pointer of Git LFS', b'version https://git-lfs.github.com/spec/v1\n'),
    ('calibration.safetensors', 'a header of 2^60 bytes', header(2**60)), ('calibration.safetensors', 'a pickle', lambda: pickle.dumps(Bomb())))]
CASES += [('a shared model with pickles and code beside it', extra_files), ('state.pt: a pickle', pickled_state), ('state.pt: a pickle in its zip', zipped_state), ('state.pt: a list', another_state), ('weights: a pickle', pickled_weights),
          ('notes on tubes: a pickle that acts', pickled_tubes), ('a mask of objects', pickled_mask), ('predictions.parquet: broken', broken_table)]
CASES += [(f'predictions.parquet: {w}', table(c)) for w, c in (('of something else', dict(city=['a'], price=[1.])), ('without labels', dict(index=[0], logit_0=[1.])), ('labels in words', dict(index=[0], label=['<script>'], logit_0=[1.])), ('empty', {}))]
CASES += [(f'run lengths: {w}', run_lengths(t)) for w, t in (('a run of 1e12', '0 1000000000000'), ('1e12 in short', '1e12 1'), ('below zero', '-5 3'), ('beyond the picture', '0 1048577'), ('of digits of another script', '² 3'), ('an odd number', '1 2 3'))]
CASES += [('run lengths: a million runs', a_million_runs)]
CASES += [(f'images.txt: {w}', images_txt(t)) for w, t in (('a climb', '1 ../../../etc/passwd'), ('an absolute path', '1 /etc/passwd'), ('a number of 400 digits', '9' * 400 + ' a.jpg'), ('a number too large to be told', '9007199254740993 a.jpg'), ('a null byte', '1 a\0.jpg'))]
CASES += [(f'an archive: {w}', archive(f, k)) for w, f, k in (
    ('a climb', member('../EXECUTED'), 'tar'), ('an absolute path', member('/EXECUTED'), 'tar'), ('a link', member('a', tarfile.SYMTYPE, '/etc'), 'tar'), ('a hard link', member('a', tarfile.LNKTYPE, '/etc/passwd'), 'tar'), ('a device', member('a', tarfile.CHRTYPE), 'tar'),
    ('a new line in a name', member('a\nb'), 'tar'), ('a bomb', bomb, 'zip'), ('a climb in a zip', climbing_zip, 'zip'))]
CASES += [(f'a picture: {w}', picture(c)) for w, c in (('of 2^31 pixels a side', lambda: png(2**31 - 1, 2**31 - 1)), ('of 60,000 by 60,000', lambda: png(60000, 60000)), ('that is a page', lambda: b'<html><script>1</script>'), ('a pickle', lambda: pickle.dumps(Bomb())))]
CASES += [(f'a run called {n!r}', run_name(n)) for n in ('', '.', '..', '/')]
CASES += [(f'a class map: {w}', mapping(t)) for w, t in (('a class twice', '{"0": 1, "0": 2}'), ('deep', '[' * 10**5), ('1e999', '{"0": 1e999}'), ('empty', '{}'))]
