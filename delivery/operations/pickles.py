"""Pickles in files of any name: what runs code as it is opened is found by content, without opening it.

None of it is a proof that a file is harmless: the digests of a release say whose file it is.
"""

import bz2
import lzma
import pickletools
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from numpy.lib import format as npy

_REASON = "which runs any code as it is opened"
# Protocols 2 to 5 begin so; of tensors, too, one in some thousands does, but does not go on like a pickle.
_BINARY = re.compile(rb"\x80[\x02-\x05]")
_LIKE_A_PICKLE = 3
# Protocols 0 and 1 are lines of text: a whole file that reads as one, and names something to import.
_IMPORTS = {"GLOBAL", "INST", "STACK_GLOBAL"}
_TEXT_BYTES = 1 << 20
_HEAD = 4096
_ZIP, _NPY, _HDF5 = b"PK\x03\x04", b"\x93NUMPY", b"\x89HDF\r\n\x1a\n"
_COMPRESSED: dict[bytes, Callable[[], object]] = {
    b"\x1f\x8b": lambda: zlib.decompressobj(31),
    b"\x78": zlib.decompressobj,
    b"BZh": bz2.BZ2Decompressor,
    b"\xfd7zXZ": lzma.LZMADecompressor,
    b"\x5d\x00\x00": lambda: lzma.LZMADecompressor(lzma.FORMAT_ALONE),
}
# Keras keeps the code of such a layer in its file.
_LAMBDA = re.compile(rb'"class_name": ?"Lambda"')
_CHUNK = 1 << 20
# What PyTorch writes of tensors alone, as its own reader of nothing but weights allows it.
_OF_TENSORS = re.compile(
    r"collections OrderedDict|torch(\.storage)? \w+Storage|torch (Size|device|[a-z]+[0-9]+)"
    r"|torch\._utils _rebuild_(tensor(_v[23])?|parameter)|torch\.serialization _get_layout"
)


def pickle_in(path: Path) -> str | None:
    """Return how a file holds a pickle, or code like one, None if it does not."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
        if head.startswith(_ZIP):
            return _in_archive(path)
        file.seek(0)
        if head.startswith(_NPY):
            return f"its array is of Python objects, a pickle, {_REASON}" if _has_objects(file) else None
        if head.startswith(_HDF5) or path.name in ("keras_metadata.pb", "config.json"):
            return "it has a Lambda layer, whose code runs as it is opened" if _has_lambda(file) else None
        if _is_pickle(head) or _is_text_pickle(file, path.stat().st_size):
            return f"it is a pickle, {_REASON}"
        file.seek(0)
        return f"it is a compressed pickle, {_REASON}" if _is_pickle(_decompressed(file, head)) else None


def _in_archive(path: Path) -> str | None:
    try:
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                with archive.open(name) as member:
                    reason = _in_member(name, member)
                if reason:
                    return reason
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        return f"it is an archive that cannot be looked into: {error}"
    return None


def _in_member(name: str, member: IO[bytes]) -> str | None:
    head = member.read(_HEAD)
    if head.startswith(_NPY):
        member.seek(0)
        return f"{name} in it is an array of Python objects, a pickle, {_REASON}" if _has_objects(member) else None
    if name.endswith(".json"):
        member.seek(0)
        return f"{name} in it has a Lambda layer, whose code runs as it is opened" if _has_lambda(member) else None
    if name.endswith((".pkl", ".pickle")) or _is_pickle(head):
        return f"{name} in it is a pickle, {_REASON}"
    return None


def imports_beyond_tensors(archive: IO[bytes]) -> list[str]:
    """Return what an archive of `torch.save` imports as it is read, but for what tensors are made of.

    Raise ValueError when it is none.
    """
    try:
        with zipfile.ZipFile(archive) as inner:
            pickles = [inner.read(name) for name in inner.namelist() if name.endswith(".pkl")]
        given = [argument for content in pickles for argument in _imports(content)]
    except zipfile.BadZipFile as error:
        raise ValueError(str(error)) from None
    return sorted({argument for argument in given if not _OF_TENSORS.fullmatch(argument)})


def _imports(content: bytes) -> Iterator[str]:
    for opcode, argument, _ in pickletools.genops(content):
        if opcode.name in _IMPORTS:
            # What the stack names, only running it would tell.
            yield str(argument) if argument else opcode.name


def _is_pickle(head: bytes) -> bool:
    if not _BINARY.match(head):
        return False
    names = []
    try:
        for opcode, _, _ in pickletools.genops(head):
            names.append(opcode.name)
    # Cut off, or no pickle.
    except Exception:
        return len(names) >= _LIKE_A_PICKLE or "FRAME" in names
    return True


def _is_text_pickle(file: IO[bytes], size: int) -> bool:
    if size > _TEXT_BYTES:
        return False
    content = file.read()
    try:
        operations = list(pickletools.genops(content))
    # Whatever it cannot make sense of: it is no pickle then.
    except Exception:
        return False
    ends = operations[-1][2] == len(content.rstrip()) - 1
    return ends and any(opcode.name in _IMPORTS for opcode, _, _ in operations)


def _has_objects(file: IO[bytes]) -> bool:
    """Return whether an array's own header says so; one that cannot be read is taken for one that does."""
    try:
        version = npy.read_magic(file)
        reader = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        return bool(reader(file)[2].hasobject)
    except ValueError:
        return True


def _has_lambda(file: IO[bytes]) -> bool:
    kept = b""
    while chunk := file.read(_CHUNK):
        if _LAMBDA.search(kept + chunk):
            return True
        kept = chunk[-_HEAD:]
    return False


def _decompressed(file: IO[bytes], head: bytes) -> bytes:
    """Return the first bytes of what is compressed in a file, none where nothing is."""
    make = next((make for magic, make in _COMPRESSED.items() if head.startswith(magic)), None)
    if make is None:
        return b""
    try:
        decompressor = make()
        return bytes(decompressor.decompress(file.read(_CHUNK), _HEAD))  # type: ignore[attr-defined]
    except (zlib.error, OSError, EOFError, lzma.LZMAError, ValueError):
        return b""
