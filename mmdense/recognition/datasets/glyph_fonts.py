"""Font faces with ideographs: where they are, their family and licence."""

import os
import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

SUFFIXES = ('.ttf', '.otf', '.ttc', '.otc')
FONT_FOLDERS = (
    '/usr/share/fonts',
    '/usr/local/share/fonts',
    '~/.fonts',
    '~/.local/share/fonts',
    '/Library/Fonts',
    '/System/Library/Fonts',
    '~/Library/Fonts',
    'C:/Windows/Fonts',
)
LICENCES = ('ofl', 'apache', 'public-domain', 'other')

# The blocks of unified ideographs. The blocks of compatibility ideographs,
# F900-FAFF and 2F800-2FA1F, are left out: nearly all of them are a second
# code point for the shape of a unified one.
_BLOCKS = (
    range(0x3400, 0x4DC0),
    range(0x4E00, 0xA000),
    range(0x20000, 0x2F800),
    range(0x2FA20, 0x32400),
)

# Fonts whose name table has no licence, by PostScript name. From what their
# authors publish, as collected in the copyright files of the Debian packages
# fonts-seto, fonts-kouzan-mouhitsu, fonts-aoyagi-kouzan-t,
# fonts-aoyagi-soseki, fonts-hanazono, fonts-sawarabi-mincho and
# fonts-yozvox-yozfont-standard-kana.
_PUBLISHED_LICENCES = (
    (r'SetoFont(-ex)?', 'ofl'),
    (r'HanaMin[AB]', 'ofl'),
    (r'SawarabiMincho-\w+', 'ofl'),
    (r'YOzS\w*', 'ofl'),
    (r'KouzanBrushFont\w*', 'public-domain'),
    (r'AoyagiKouzanFontT', 'public-domain'),
    (r'AoyagiSosekiFont2', 'public-domain'),
)

# Words of a family name that tell faces of one design apart.
_VARIANT_WORDS = re.compile(
    r'\b(thin|(extra|ultra|semi|demi)?[ -]?(light|bold)|regular|normal|book|'
    r'medium|heavy|black|italic|oblique|condensed|mono|sharp|jp|kr|sc|tc|hk|'
    r'cn|tw|mbe|ex|ext|[a-gp])\b',
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Face:
    """One face of a font file.

    Attributes:
        path: The file.
        index: Number of the face in a collection, else 0.
        name: PostScript name, such as `NotoSansCJKjp-Bold`.
        family: Name of the design, without weight, width and region.
        style: Such as `Bold`.
        weight: OS/2 weight class, 400 is regular.
        version: As the font says.
        licence: One of :data:`LICENCES`.
        credit: Copyright line of the font.
        codepoints: Unified ideographs in its cmap, ascending; the cmap may
            promise glyphs that are blank.
    """

    path: Path
    index: int
    name: str
    family: str
    style: str
    weight: int
    version: str
    licence: str
    credit: str
    codepoints: tuple[int, ...]


def is_ideograph(codepoint: int) -> bool:
    """Whether a code point is in a block of unified ideographs."""
    return any(codepoint in block for block in _BLOCKS)


def classify_licence(text: str, postscript_name: str = '') -> str:
    """One of :data:`LICENCES`, from the licence fields of the name table.

    Args:
        text: Licence description and address.
        postscript_name: Looked up when `text` says nothing.
    """
    text = text.lower()
    if re.search(r'open font licen[cs]e|\bofl\b|openfontlicense', text):
        return 'ofl'
    if re.search(r'apache(\.org/licenses| licen[cs]e)', text):
        return 'apache'
    if re.search(r'public domain|\bcc0\b|creativecommons.org/public', text):
        return 'public-domain'
    # A filler such as '----' says nothing either.
    if not re.search(r'licen|copyright|permi|gpl|http', text):
        for pattern, licence in _PUBLISHED_LICENCES:
            if re.fullmatch(pattern, postscript_name):
                return licence
    return 'other'


def family_of(name: str) -> str:
    """The design behind a family name, without its variants.

    Examples:
        >>> family_of('Noto Sans Mono CJK JP'), family_of('BIZ UDPGothic')
        ('Noto Sans CJK', 'BIZ UDGothic')
    """
    # Proportional kana do not change the ideographs.
    bare = re.sub(r'P(?=Gothic|Mincho)', '', name)
    bare = re.sub(r'(?<=[a-z])[AB]$', '', bare)  # HanaMinA, HanaMinB
    bare = re.sub(r'(?<=\w)[-_](?=\w)', ' ', bare)
    # The first word stays: in 'TW-Kai' the region is part of the name.
    first, _, rest = bare.partition(' ')
    bare = f'{first} {_VARIANT_WORDS.sub("", rest)}'
    bare = re.sub(r'[\s-]+', ' ', bare).strip()
    return bare


def find_font_files(places: Iterable[str | Path] | None) -> list[Path]:
    """Font files in `places`, sorted, each once.

    Args:
        places: Files and folders; None: :data:`FONT_FOLDERS`.

    Raises:
        FileNotFoundError: One of `places` does not exist.
    """
    if places is None:
        roots = [Path(place).expanduser() for place in FONT_FOLDERS]
        roots = [root for root in roots if root.is_dir()]
    else:
        roots = [Path(place).expanduser() for place in places]
    found = set()
    for root in roots:
        if root.is_file():
            found.add(root.resolve())
        elif root.is_dir():
            for folder, _, names in os.walk(root):
                for name in names:
                    if name.lower().endswith(SUFFIXES):
                        # Resolved: alternatives are links to the same file.
                        found.add(Path(folder, name).resolve())
        else:
            raise FileNotFoundError(f'no such font file or folder: {root}')
    return sorted(found, key=lambda path: (path.name, str(path)))


def find_faces(
    places: Sequence[str | Path] | None = None,
) -> list[Face]:
    """Faces with ideographs, sorted by name.

    Args:
        places: Files and folders; None: the usual font folders.

    Raises:
        FileNotFoundError: One of `places` does not exist.
        ImportError: fontTools is not installed.
        ValueError: A file named in `places` is no font.
    """
    named = {
        Path(place).expanduser().resolve()
        for place in places or ()
        if Path(place).expanduser().is_file()
    }
    by_name: dict[str, Face] = {}
    for path in find_font_files(places):
        try:
            for face in _faces_of_file(path):
                if face.codepoints:
                    # The same face may be installed twice; the first stays.
                    by_name.setdefault(face.name, face)
        # fontTools raises all sorts on broken files, also plain assertions.
        except Exception as error:
            if isinstance(error, ImportError):
                raise
            problem = f'{path} cannot be read as a font: {error!r}'
            if path in named:
                raise ValueError(problem) from error
            warnings.warn(f'{problem}; passed over', stacklevel=2)
    return sorted(by_name.values(), key=lambda face: face.name)


def _faces_of_file(path: Path) -> Iterator[Face]:
    try:
        from fontTools.ttLib import TTCollection, TTFont
    except ImportError as error:
        raise ImportError(
            'reading fonts needs fontTools, which is not installed. Run: '
            "pip install fonttools, or -e '.[optional]'"
        ) from error

    count = 1
    if path.suffix.lower() in ('.ttc', '.otc'):
        with TTCollection(path, lazy=True) as collection:
            count = len(collection.fonts)
    for index in range(count):
        with TTFont(path, fontNumber=index, lazy=True) as font:
            yield _describe(path, index, font)


def _describe(path: Path, index: int, font) -> Face:
    names = font['name']

    def text(*ids: int) -> str:
        # The first that is there; fields hold line breaks and control codes.
        for name_id in ids:
            value = names.getDebugName(name_id)
            if value and value.strip():
                return ' '.join(
                    ''.join(
                        c if c.isprintable() else ' ' for c in value
                    ).split()
                )
        return ''

    cmap = font.getBestCmap() or {}
    # Some cmaps list code points that they map to the missing glyph.
    codepoints = tuple(
        sorted(
            code
            for code, glyph in cmap.items()
            if is_ideograph(code) and glyph != '.notdef'
        )
    )
    name = text(6, 4) or f'{path.stem}-{index}'
    return Face(
        path=path,
        index=index,
        name=name,
        family=family_of(text(16, 1) or path.stem),
        style=text(17, 2) or 'Regular',
        weight=font['OS/2'].usWeightClass if 'OS/2' in font else 400,
        version=text(5),
        licence=classify_licence(f'{text(13)} {text(14)}', name),
        credit=text(0)[:200],
        codepoints=codepoints,
    )
