"""The glyph converter, on fonts made here: no font of the machine is used."""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from PIL import Image, ImageDraw, ImageFont

from mmdense.recognition.datasets.glyph_file import read_glyph_file
from mmdense.recognition.datasets.glyph_fonts import (
    classify_licence,
    family_of,
    is_ideograph,
)

TOOL = (
    Path(__file__).resolve().parents[2]
    / 'tools'
    / 'dataset_converters'
    / 'glyphs.py'
)
OFL = 'This Font Software is licensed under the SIL Open Font License, 1.1.'
APACHE = 'Licensed under the Apache License, Version 2.0'
COMMON = list(range(0x4E00, 0x4E00 + 30))
BLANK = 0x4F00  # in the cmap of Alpha, without contours
NOTDEF = 0x4F01  # mapped to .notdef by name
NOTDEF_LIKE = 0x4F02  # mapped to a glyph that looks like .notdef
PLACEHOLDERS = range(0x4F10, 0x4F18)  # one shape for eight code points
TWIN = 0x4F20  # the shape of COMMON[0]
COMPATIBILITY = 0xF900


def load_tool():
    spec = importlib.util.spec_from_file_location('glyphs_tool', TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def cells(codepoint):
    """A pattern of 16 cells; the outer ones fix the extent."""
    bits = np.random.RandomState(codepoint).randint(0, 2, (4, 4))
    bits[0, 0] = bits[3, 3] = 1
    return np.argwhere(bits)


def draw_cells(where, left, right, grow=0, height=200):
    """Rectangles in cells of 200 units; `left`, `right` within the cell."""
    pen = TTGlyphPen(None)
    for x, y in where.tolist():
        x0, x1 = 100 + 200 * x + left - grow, 100 + 200 * x + right + grow
        y0, y1 = 200 * y - 20 - grow, 200 * y - 20 + height + grow
        pen.moveTo((x0, y0))
        for point in ((x0, y1), (x1, y1), (x1, y0)):
            pen.lineTo(point)
        pen.closePath()
    return pen.glyph()


def empty_glyph():
    return TTGlyphPen(None).glyph()


def make_font(
    path, family, codepoints, *, style='Regular', licence='', shape, extra=()
):
    """A font whose glyph of each code point is `shape(codepoint)`."""
    glyphs = {'.notdef': draw_cells(np.array([[1, 1], [2, 2]]), 0, 200)}
    cmap = {}
    for codepoint in codepoints:
        name = f'uni{codepoint:04X}'
        glyphs[name] = shape(codepoint)
        cmap[codepoint] = name
    for codepoint, glyph in extra:
        if isinstance(glyph, str):
            cmap[codepoint] = glyph
        else:
            glyphs[f'extra{codepoint:04X}'] = glyph
            cmap[codepoint] = f'extra{codepoint:04X}'
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder(list(glyphs))
    builder.setupCharacterMap(cmap)
    builder.setupGlyf(glyphs)
    builder.setupHorizontalMetrics(dict.fromkeys(glyphs, (1000, 100)))
    builder.setupHorizontalHeader(ascent=880, descent=-120)
    builder.setupNameTable(
        {
            'familyName': family,
            'styleName': style,
            'psName': f'{family}-{style}'.replace(' ', ''),
            'version': 'Version 1.5',
            'copyright': f'The {family} authors',
            **({'licenseDescription': licence} if licence else {}),
        }
    )
    builder.setupOS2(usWeightClass=700 if style == 'Bold' else 400)
    builder.setupPost()
    builder.save(path)


@pytest.fixture(scope='module')
def fonts(tmp_path_factory):
    """Three designs in five faces.

    Alpha (a regular that lies, and a bold), Copy (Alpha under another name),
    Beta (upright bars) and Gamma (level bars, few glyphs).
    """
    folder = tmp_path_factory.mktemp('fonts')
    box = np.array([[0, 0], [0, 3], [3, 0], [3, 3]])
    make_font(
        folder / 'alpha.ttf',
        'Alpha Sans',
        COMMON,
        licence=OFL,
        shape=lambda c: draw_cells(cells(c), 0, 200),
        extra=[
            (BLANK, empty_glyph()),
            (NOTDEF, '.notdef'),
            (NOTDEF_LIKE, draw_cells(np.array([[1, 1], [2, 2]]), 0, 200)),
            *((c, draw_cells(box, 0, 200)) for c in PLACEHOLDERS),
            (TWIN, draw_cells(cells(COMMON[0]), 0, 200)),
            (COMPATIBILITY, f'uni{COMMON[1]:04X}'),
        ],
    )
    make_font(
        folder / 'alpha-bold.ttf',
        'Alpha Sans',
        COMMON,
        style='Bold',
        licence=OFL,
        shape=lambda c: draw_cells(cells(c), 0, 200, grow=30),
    )
    make_font(
        folder / 'copy.ttf',
        'Copy',
        COMMON[:20],
        shape=lambda c: draw_cells(cells(c), 0, 175),
    )
    make_font(
        folder / 'beta.ttf',
        'Beta Mincho',
        [*COMMON, TWIN, BLANK, *PLACEHOLDERS],
        licence=APACHE,
        shape=lambda c: draw_cells(cells(c), 0, 60),
    )
    (folder / 'sub').mkdir()
    make_font(
        folder / 'sub' / 'gamma.ttf',
        'Gamma',
        COMMON[:24],
        licence='released into the public domain',
        shape=lambda c: draw_cells(cells(c), 0, 200, height=60),
    )
    return folder


def run(fonts, output, *options):
    load_tool().main(
        ['--fonts', str(fonts), '--output', str(output), *map(str, options)]
    )
    return read_glyph_file(output)


def plain_unpack(packed, size):
    image = np.zeros((size, size), np.uint8)
    for y in range(size):
        for x in range(size):
            byte = int(packed[y // 4 * size + x])
            image[y, x] = 85 * (byte // 4 ** (3 - y % 4) % 4)
    return image


@pytest.fixture(scope='module')
def built(fonts, tmp_path_factory):
    return run(fonts, tmp_path_factory.mktemp('built') / 'glyphs.npz')


def test_faces_and_families(built):
    faces = {face['name']: face for face in built.faces}
    assert {name: face['family'] for name, face in faces.items()} == {
        'AlphaSans-Bold': 'Alpha Sans',
        'AlphaSans-Regular': 'Alpha Sans',
        'BetaMincho-Regular': 'Beta Mincho',
        'Copy-Regular': 'Alpha Sans',  # found by rendering
        'Gamma-Regular': 'Gamma',
    }
    assert {name: face['licence'] for name, face in faces.items()} == {
        'AlphaSans-Bold': 'ofl',
        'AlphaSans-Regular': 'ofl',
        'BetaMincho-Regular': 'apache',
        'Copy-Regular': 'other',
        'Gamma-Regular': 'public-domain',
    }
    bold = faces['AlphaSans-Bold']
    assert bold['weight'] == 700
    assert bold['style'] == 'Bold'
    assert bold['version'] == 'Version 1.5'
    assert bold['credit'] == 'The Alpha Sans authors'
    assert bold['file'] == 'alpha-bold.ttf'


def test_only_real_glyphs_in_the_faces_that_have_them(built):
    have = {}
    for identity, face in zip(built.identity, built.face, strict=True):
        code = int(built.codepoint[identity])
        have.setdefault(code, set()).add(built.faces[face]['name'])
    # The blank, the missing and the placeholders of Alpha are in Beta alone,
    # and the twin of COMMON[0] would have its image. So only these are left.
    assert sorted(have) == COMMON
    everywhere = {face['name'] for face in built.faces}
    for i, code in enumerate(COMMON):
        missing = set()
        if i >= 20:
            missing.add('Copy-Regular')
        if i >= 24:
            missing.add('Gamma-Regular')
        assert have[code] == everywhere - missing


def test_blank_and_missing_glyphs_are_found_by_rendering(fonts, tmp_path):
    glyphs = run(
        fonts,
        tmp_path / 'a.npz',
        *('--faces', 'AlphaSans-Regular'),
        *('--min-faces', 1, '--min-families', 1),
    )
    assert glyphs.codepoint.tolist() == COMMON
    with_beta = run(
        fonts,
        tmp_path / 'b.npz',
        *('--faces', 'BetaMincho-*'),
        *('--min-faces', 1, '--min-families', 1),
    )
    assert set(with_beta.codepoint.tolist()) == {
        *COMMON,
        TWIN,
        BLANK,
        *PLACEHOLDERS,
    }


def test_of_lookalikes_the_one_in_most_faces_is_kept(fonts, tmp_path):
    options = ('--min-faces', 1, '--min-families', 1)
    glyphs = run(
        fonts,
        tmp_path / 'a.npz',
        *('--faces', 'AlphaSans-*', 'BetaMincho-*', *options),
    )
    codes = glyphs.codepoint.tolist()
    assert COMMON[0] in codes  # in three faces, its twin in two
    assert TWIN not in codes
    images = glyphs.images[:, :].tobytes()
    length = glyphs.images.shape[1]
    distinct = {images[i : i + length] for i in range(0, len(images), length)}
    assert len(distinct) == len(glyphs.images)


def test_images_are_what_pillow_draws(fonts, built):
    paths = {path.name: path for path in fonts.rglob('*.ttf')}
    size = built.size
    for row, packed in enumerate(built.images):
        face = built.faces[built.face[row]]
        font = ImageFont.truetype(
            str(paths[face['file']]),
            face['font_px'],
            layout_engine=ImageFont.Layout.BASIC,
        )
        canvas = Image.new('L', (200, 200))
        text = chr(built.codepoint[built.identity[row]])
        ImageDraw.Draw(canvas).text(
            (50, 120), text, fill=255, font=font, anchor='ls'
        )
        ink = canvas.crop(canvas.getbbox())
        assert max(ink.size) <= size
        expected = Image.new('L', (size, size))
        expected.paste(
            ink, ((size - ink.width) // 2, (size - ink.height) // 2)
        )
        level = np.rint(np.asarray(expected) / 85)
        np.testing.assert_array_equal(plain_unpack(packed, size), 85 * level)


def test_ink_leaves_a_margin(built):
    for packed in built.images:
        ys, xs = np.nonzero(plain_unpack(packed, built.size))
        assert min(ys.min(), xs.min()) >= 4
        assert max(ys.max(), xs.max()) <= built.size - 5


def test_an_oversized_glyph_is_shrunk_not_clipped(tmp_path):
    # 39 glyphs of 800 units set the size; one is three times as wide.
    wide = 0x4E00 + 39
    make_font(
        tmp_path / 'wide.ttf',
        'Wide',
        range(0x4E00, wide),
        shape=lambda c: draw_cells(cells(c), 0, 200),
        extra=[(wide, draw_cells(np.array([[-4, 0], [7, 3]]), 0, 200))],
    )
    glyphs = run(
        tmp_path,
        tmp_path / 'a.npz',
        *('--min-faces', 1, '--min-families', 1),
    )
    image = plain_unpack(
        glyphs.images[glyphs.codepoint.tolist().index(wide)], 48
    )
    xs = np.flatnonzero(image.any(axis=0))
    assert 36 <= xs[-1] - xs[0] + 1 <= 40


def test_equal_fonts_and_options_give_equal_bytes(fonts, tmp_path):
    elsewhere = tmp_path / 'moved'
    elsewhere.mkdir()
    for path in fonts.rglob('*.ttf'):
        (elsewhere / path.name).write_bytes(path.read_bytes())
    options = ('--identities', 20, '--unseen', 7, '--seed', 3)
    glyphs = run(fonts, tmp_path / 'a.npz', *options, '--workers', 1)
    run(elsewhere, tmp_path / 'b.npz', *options, '--workers', 2)
    data = (tmp_path / 'a.npz').read_bytes()
    assert data == (tmp_path / 'b.npz').read_bytes()
    assert str(tmp_path).encode() not in data
    assert len(glyphs.codepoint) == 20
    assert np.bincount(glyphs.split).tolist() == [13, 7]
    other = run(fonts, tmp_path / 'c.npz', *options[:-1], 4)
    assert other.codepoint.tolist() != glyphs.codepoint.tolist()


@pytest.mark.parametrize(('share', 'unseen'), [(0.5, 15), (0, 0), (30, 30)])
def test_share_or_count_of_unseen(fonts, tmp_path, share, unseen):
    glyphs = run(fonts, tmp_path / 'a.npz', '--unseen', share)
    assert int(glyphs.split.sum()) == unseen


def test_minimum_of_faces_and_families(fonts, tmp_path):
    five = run(fonts, tmp_path / 'a.npz', '--min-faces', 5)
    assert five.codepoint.tolist() == COMMON[:20]
    three = run(fonts, tmp_path / 'b.npz', '--min-families', 3)
    assert three.codepoint.tolist() == COMMON[:24]


def test_licence_and_face_filters(fonts, tmp_path):
    glyphs = run(
        fonts,
        tmp_path / 'a.npz',
        *('--licences', 'ofl', 'apache', '--exclude', '*-Bold'),
    )
    assert [face['name'] for face in glyphs.faces] == [
        'AlphaSans-Regular',
        'BetaMincho-Regular',
    ]


def test_size(fonts, tmp_path):
    glyphs = run(fonts, tmp_path / 'a.npz', '--size', 22)
    assert glyphs.size == 22
    assert glyphs.images.shape[1] == 6 * 22


def test_sheet_shows_the_images(fonts, tmp_path):
    glyphs = run(fonts, tmp_path / 'a.npz', '--sheet', tmp_path / 'a.png')
    sheet = np.asarray(Image.open(tmp_path / 'a.png'))
    for row in np.flatnonzero(glyphs.identity == 0):
        left = 80 + 50 * glyphs.face[row]
        np.testing.assert_array_equal(
            sheet[16:64, left : left + 48],
            plain_unpack(glyphs.images[row], 48),
        )


def test_list(fonts, capsys):
    load_tool().main(['--fonts', str(fonts), '--list'])
    rows = {
        line.split()[0]: line.split()
        for line in capsys.readouterr().out.splitlines()
        if '-Regular' in line
    }
    assert rows['AlphaSans-Regular'][-6:] == [
        'Sans',
        'ofl',
        'Regular',
        '31',
        '1',
        '9',
    ]
    assert rows['Copy-Regular'][1:4] == ['Alpha', 'Sans', 'other']


def refused(*options):
    with pytest.raises(SystemExit) as caught:
        load_tool().main([*map(str, options)])
    return str(caught.value)


def test_no_fonts_says_where_to_get_some(tmp_path):
    message = refused('--fonts', tmp_path, '--output', tmp_path / 'a.npz')
    assert 'no font with ideographs found' in message
    assert 'apt install fonts-noto-cjk' in message
    assert not (tmp_path / 'a.npz').exists()


def test_other_refusals(fonts, tmp_path):
    output = ('--output', tmp_path / 'a.npz')
    assert 'no such font file' in refused('--fonts', tmp_path / 'x', *output)
    given = ('--fonts', fonts, *output)
    assert "no face is named 'Delta'" in refused(*given, '--faces', 'Delta')
    assert 'none of 5 faces is left' in refused(*given, '--exclude', '*')
    assert '30 identities are in' in refused(*given, '--identities', 31)
    assert '0 identities are in' in refused(*given, '--min-faces', 6)
    assert 'cannot put 31 of 30' in refused(*given, '--unseen', 31)


@pytest.mark.parametrize(
    'options',
    [
        [],
        ['--list', '--sheet', 'a.png'],
        ['--output', 'a.npz', '--size', '0'],
        ['--output', 'a.npz', '--unseen', '1.5'],
        ['--output', 'a.npz', '--unseen', '-1'],
    ],
)
def test_bad_command_lines(options, capsys):
    assert refused(*options) == '2'
    assert 'error:' in capsys.readouterr().err


def test_without_fonttools_the_extra_is_named(fonts, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'fontTools.ttLib', None)
    message = refused('--fonts', fonts, '--output', tmp_path / 'a.npz')
    assert 'pip install fonttools' in message


def test_broken_font_files(fonts, tmp_path, capsys):
    (tmp_path / 'broken.ttf').write_bytes(b'no font at all')
    good = tmp_path / 'alpha.ttf'
    good.write_bytes((fonts / 'alpha.ttf').read_bytes())
    options = ('--min-faces', 1, '--min-families', 1)
    run(tmp_path, tmp_path / 'a.npz', *options)
    told = ''.join(capsys.readouterr().err.split())
    assert 'broken.ttfcannotbereadasafont' in told
    message = refused(
        *('--fonts', tmp_path / 'broken.ttf', '--output', tmp_path / 'b.npz')
    )
    assert 'cannot be read as a font' in message


def test_the_set_can_be_trained_on(fonts, tmp_path):
    from mmdense.recognition.datasets.glyphs import GlyphIdentities

    run(fonts, tmp_path / 'a.npz', '--unseen', 24)
    dataset = GlyphIdentities(tmp_path / 'a.npz', split='unseen', num_pairs=40)
    assert len(dataset.metainfo['classes']) == 24
    header = json.loads(np.load(tmp_path / 'a.npz')['header.json'])
    assert header['tool_version'] == 1
    assert header['seed'] == 0


@pytest.mark.parametrize(
    ('name', 'family'),
    [
        ('Noto Sans CJK JP', 'Noto Sans CJK'),
        ('Noto Sans Mono CJK SC', 'Noto Sans CJK'),
        ('BIZ UDPGothic', 'BIZ UDGothic'),
        ('IPAPMincho', 'IPAMincho'),
        ('Klee One SemiBold', 'Klee One'),
        ('LXGW WenKai Mono Light', 'LXGW WenKai'),
        ('AR PL UKai TW MBE', 'AR PL UKai'),
        ('WenQuanYi Zen Hei Sharp', 'WenQuanYi Zen Hei'),
        ('HanaMinB', 'HanaMin'),
        ('SetoFont-ex', 'SetoFont'),
        ('kiloji - B', 'kiloji'),
        ('kiloji-P', 'kiloji'),
        ('TW-Kai-Ext-B', 'TW Kai'),
        ('Black', 'Black'),
    ],
)
def test_family_of(name, family):
    assert family_of(name) == family


@pytest.mark.parametrize(
    ('text', 'name', 'licence'),
    [
        (OFL, '', 'ofl'),
        ('https://scripts.sil.org/OFL', '', 'ofl'),
        ('https://openfontlicense.org', '', 'ofl'),
        ('http://www.apache.org/licenses/LICENSE-2.0', '', 'apache'),
        (
            'http://creativecommons.org/publicdomain/zero/1.0/',
            '',
            'public-domain',
        ),
        ('ARPHIC PUBLIC LICENSE', '', 'other'),
        ('GPL2 with font embedding exception', 'SetoFont', 'other'),
        ('', 'SetoFont', 'ofl'),
        ('----', 'KouzanBrushFontSousyo', 'public-domain'),
        ('', 'Unheard-Of', 'other'),
    ],
)
def test_classify_licence(text, name, licence):
    assert classify_licence(text, name) == licence


@pytest.mark.parametrize(
    ('codepoint', 'expected'),
    [
        (0x33FF, False),
        (0x3400, True),
        (0x4DC0, False),
        (0x4E00, True),
        (0x9FFF, True),
        (0xA000, False),
        (0xF900, False),
        (0xFA0E, False),
        (0x20000, True),
        (0x2F800, False),
        (0x2FA1F, False),
        (0x30000, True),
        (0x41, False),
    ],
)
def test_is_ideograph(codepoint, expected):
    assert is_ideograph(codepoint) is expected
