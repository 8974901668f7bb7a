"""What decodes which transfer syntax: asked of pydicom, and told with what to install.

Always the same decoder is taken where several are installed. JPEG Baseline and JPEG 2000 go by
Pillow, uncompressed and RLE by pydicom itself, JPEG-LS by `pyjpegls` (MIT), which highdicom brings.
`ptxsweep[codecs]` brings `python-gdcm` (Apache-2.0), which decodes JPEG Lossless, and pylibjpeg's
plugin for JPEG 2000 (MIT), which decodes its high-throughput kind. pylibjpeg's plugin for JPEG is
GPL, so it is no dependency, and is asked only where it is installed and nothing else decodes a
file: it also decodes some pixels by one grey value differently, and the same files must give the
same data hash everywhere. JPEG Extended of 12 bits is what it alone decodes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pydicom.pixels.decoders.base import Decoder, get_decoder
from pydicom.uid import UID, JPEGExtended12Bit, JPEGLSTransferSyntaxes, JPEGTransferSyntaxes

EXTRA = "pip install 'ptxsweep[codecs]'"
#: PS3.5 A.4.14: pydicom 3.0 does not know it; `decoding` inflates it.
DEFLATED_FRAME = UID("1.2.840.10008.1.2.8.1")
#: Syntaxes of the standard that pydicom 3.0 has no name for.
_NAMES = {
    DEFLATED_FRAME: "Deflated Image Frame Compression",
    "1.2.840.10008.1.2.4.110": "JPEG XL Lossless",
    "1.2.840.10008.1.2.4.111": "JPEG XL JPEG Recompression",
    "1.2.840.10008.1.2.4.112": "JPEG XL",
}
#: Those of single images, as `ptxsweep doctor` lists them.
SYNTAXES = tuple(
    UID(f"1.2.840.10008.1.2{end}")
    for end in (
        *("", ".1", ".1.99", ".2", ".5", ".8.1", ".4.50", ".4.51", ".4.57", ".4.70", ".4.80"),
        *(".4.81", ".4.90", ".4.91", ".4.201", ".4.202", ".4.203", ".4.110", ".4.111", ".4.112"),
    )
)
_ORDER = ("pydicom", "pillow", "pyjpegls", "gdcm", "pylibjpeg")
#: What the extra brings, and what comes with the product itself and may be gone.
_BROUGHT = ("python-gdcm", "pylibjpeg-openjpeg", "pyjpegls", "pillow")
_GPL = "pylibjpeg-libjpeg"


@dataclass(frozen=True, kw_only=True)
class Readers:
    """What decodes a transfer syntax.

    Attributes:
        plugins: Those that are installed, in the order they are tried; "pydicom" or "ptxsweep"
            alone for what needs none; empty where nothing here decodes it.
        missing: Packages that bring others.
        is_known: Whether pydicom, or `decoding`, decodes it at all.
    """

    plugins: tuple[str, ...]
    missing: tuple[str, ...]
    is_known: bool

    @property
    def remedy(self) -> str | None:
        """What to install for more; None if nothing helps."""
        free = [package for package in self.missing if package in _BROUGHT]
        if free:
            return f"`{EXTRA}` brings {' and '.join(free)}"
        if _GPL in self.missing:
            return f"`pip install pylibjpeg {_GPL}` brings one under the GPL"
        return None


def readers_of(syntax: UID, *, bits_stored: int = 8) -> Readers:
    """Ask pydicom.

    Args:
        syntax: A transfer syntax.
        bits_stored: Bits of a sample; JPEG Extended of 12 bits is refused by most.
    """
    if syntax == DEFLATED_FRAME:
        return Readers(plugins=("ptxsweep",), missing=(), is_known=True)
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:
        return Readers(plugins=(), missing=(), is_known=False)
    if decoder.is_native:
        return Readers(plugins=("pydicom",), missing=(), is_known=True)
    able = [
        name
        for name in _ORDER
        if name == "pylibjpeg" or syntax != JPEGExtended12Bit or bits_stored == 8
    ]
    plugins = sorted(set(decoder.available_plugins) & set(able), key=_ORDER.index)
    if len(plugins) > 1 and syntax in (*JPEGTransferSyntaxes, *JPEGLSTransferSyntaxes):
        # libjpeg makes a picture of a frame that is cut off, which the others refuse.
        plugins = [plugin for plugin in plugins if plugin != "pylibjpeg"]
    return Readers(plugins=tuple(plugins), missing=_missing(decoder, able), is_known=True)


def _missing(decoder: Decoder, able: Sequence[str]) -> tuple[str, ...]:
    """Packages by the sentences of pydicom: `pylibjpeg - requires pylibjpeg>=2.0 and ...>=2.0`."""
    found = []
    for sentence in decoder.missing_dependencies:
        plugin, _, needs = sentence.partition(" - requires ")
        package = needs.rpartition(" ")[2].partition(">")[0]
        if plugin in able and package:
            found.append("python-gdcm" if package == "gdcm" else package)
    return tuple(found)


def list_readers() -> Iterator[tuple[str, Readers]]:
    """Name of each of `SYNTAXES` and what decodes it, JPEG Extended by the depth of its samples."""
    for syntax in SYNTAXES:
        if syntax == JPEGExtended12Bit:
            yield f"{name_of(syntax)}, 8 bits", readers_of(syntax)
            yield f"{name_of(syntax)}, 12 bits", readers_of(syntax, bits_stored=12)
        else:
            yield name_of(syntax), readers_of(syntax)


def name_of(syntax: UID) -> str:
    """Its name; "none" where none stands, "another" for an id that the standard does not know.

    Args:
        syntax: A transfer syntax.
    """
    if syntax in _NAMES:
        return _NAMES[syntax]
    return ("another" if syntax.name == str(syntax) else syntax.name) if syntax else "none"
