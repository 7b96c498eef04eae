"""Edits of `stacks/Pulumi.<env>.yaml` that leave every other character as it is."""

import os
import re
import shutil
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from json import dumps
from pathlib import Path
from typing import Any

from delivery.document import ALIAS, MAPPING, SCALAR, Document, Node, leaves, load
from delivery.errors import DeliveryError, system_errors
from infra.values import NAMESPACE

_MODELS = f"{NAMESPACE}:models"
_TRAINING = f"{NAMESPACE}:training"
_CREDENTIALS = f"{NAMESPACE}:credentials"
Place = tuple[str, ...]
_PLAIN = re.compile(r"[A-Za-z0-9][\w.-]*")


def config(text: str, name: str) -> dict[str, Any]:
    """Return the values under `config:`, encrypted ones included; `name` is the file's name in messages."""
    values: dict[str, Any] = load(text, name)["config"]
    return values


def point(text: str, name: str, model: str, release: str | None, previous: str | None) -> str:
    """Return the file's text with the pointers of `model` changed, and not a character else.

    `name` is the file's name in messages. Raise DeliveryError, with file and line, when the environment does not serve
    the model, or when the way the file is written does not allow this edit alone.
    """
    document = Document(text, name)
    node = _own_model(document, model)
    pairs = {key: node.find(key) for key in ("release", "previous")}
    for key, wanted in (("release", release), ("previous", previous)):
        pair = pairs[key]
        if pair is not None:
            _set(document, *pair, wanted)
        elif key == "release":
            raise DeliveryError(f"{document.place(node)}: {_no_release(document, node, model)}")
        elif _inherited(document, model, key) != wanted:
            document.insert(node, pairs["release"], key, wanted or "null")  # type: ignore[arg-type]
    edited = document.edited()
    _verify(document, edited, model, {"release": release, "previous": previous})
    return edited


def _own_model(document: Document, model: str) -> Node:
    """Return the mapping of a model, written where it is used and nowhere else."""
    node = document.root
    for key in ("config", _MODELS, model):
        pair = node.find(key)
        if pair is None:
            models = ((document.tree or {}).get("config") or {}).get(_MODELS) or {}
            if key == model and model not in models:
                known = ", ".join(models) or "none"
                raise DeliveryError(
                    f"{document.name}: stellwerk:models has no {model!r}; models there: {known}; add it first"
                )
            raise DeliveryError(
                f"{document.place(node)}: {key} does not stand here itself, it is merged in (`<<:`); write it out first"
            )
        node = pair[1]
        if node.kind == ALIAS:
            raise DeliveryError(
                f"{document.place(node)}: {key} is an alias, *{node.value}: moving a pointer in it would move it "
                f"wherever &{node.value} stands; write it out instead: {key}: with its own `release:` and `previous:`"
            )
        if node.kind != MAPPING:
            raise DeliveryError(f"{document.place(pair[0])}: {key} must be a mapping (key: value)")
    return node


def _no_release(document: Document, node: Node, model: str) -> str:
    merged = node.find("<<")
    if merged and _inherited(document, model, "release") is not None:
        return (
            f"{model} takes its release from elsewhere (`<<:` in line {merged[0].line}), and a promotion must move "
            f"{model} alone; give it its own two lines first: `release: null` and `previous: null`"
        )
    return f"{model} has no `release:` of its own; write `release: null` there first"


def _inherited(document: Document, model: str, key: str) -> Any:
    """Return what the model has for a key that does not stand in it."""
    return document.tree["config"][_MODELS][model].get(key)


def _set(document: Document, key: Node, value: Node, wanted: str | None) -> None:
    """Replace one pointer, in the quotes that it has."""
    if value.kind not in (SCALAR, ALIAS) or value.style in ("|", ">"):
        raise DeliveryError(f"{document.place(value)}: {key.value} must be one word on its line: `{key.value}: null`")
    if value.anchor is not None:
        raise DeliveryError(
            f"{document.place(value)}: {key.value} is the anchor &{value.anchor}, and what repeats it would move too; "
            f"write the release ids out and leave the anchor away"
        )
    null = value.kind == SCALAR and value.style is None and value.value in ("", "~", "null", "Null", "NULL")
    if value.kind == SCALAR and (wanted is None if null else value.value == wanted):
        return
    quote = value.style if wanted is not None and value.style in ("'", '"') else ""
    document.replace(key, value, f"{quote}{wanted or 'null'}{quote}")


def _verify(document: Document, text: str, model: str, wanted: dict[str, str | None]) -> None:
    """Raise DeliveryError unless this model's pointers are what was asked for, and nothing else differs."""
    place = ("config", _MODELS, model)
    try:
        after = leaves(load(text, document.name))
    except DeliveryError:
        after = {}
    if any(after.get((*place, key), "None") != repr(value) for key, value in wanted.items()):
        raise DeliveryError(
            f"{document.name}: the pointers of {model} cannot be changed as they are written; write them as two lines, "
            "`release: null` and `previous: null`"
        )
    others = _others(document, after, {(*place, key) for key in wanted})
    if others:
        raise DeliveryError(
            f"{document.name}: moving the pointer of {model} would change {others}, too: they share it by an anchor "
            "(`&`, `*` or `<<:`); give each model its own `release:` and `previous:` first"
        )


def _others(document: Document, after: Mapping[Place, str], allowed: AbstractSet[Place]) -> str:
    """Return the places that differ without being allowed to, for a message."""
    different = {step for step, _ in leaves(document.tree).items() ^ after.items()}
    return ", ".join(sorted(_shown(step) for step in different if not any(step[: len(it)] == it for it in allowed)))


def _shown(step: Place) -> str:
    return ".".join(step[1:] if step[0] == "config" else step)


def add(text: str, name: str, values: dict[str, str]) -> str:
    """Return the file's text with texts of the namespace set; those of several lines become block scalars."""
    document = Document(text, name)
    node = _config(document)
    keys = {f"{NAMESPACE}:{word}": value for word, value in values.items()}
    for key, value in keys.items():
        pair = node.find(key)
        column = node.pairs[0][0].column if node.pairs else 2
        literal = _literal(value, column, document.newline) if not node.flow else dumps(value)
        if pair is not None:
            document.replace(*pair, literal)
        elif node.pairs:
            document.insert(node, node.pairs[-1], dumps(key) if node.flow else key, literal)
        else:
            raise DeliveryError(f"{document.place(node)}: config is empty; write `{NAMESPACE}:environment` first")
    edited = document.edited()
    _only_these_differ(document, edited, {("config", key) for key in keys})
    return edited


def without_model(text: str, name: str, model: str) -> str:
    """Return the file's text without the entries of a model, served or trained, and not a character else changed.

    Raise DeliveryError, with file and line, when the way the file is written does not allow this edit alone.
    """
    document = Document(text, name)
    node = _config(document)
    allowed: set[Place] = set()
    for key in (_MODELS, _TRAINING):
        if model not in ((document.tree["config"].get(key)) or {}):
            continue
        pair = node.find(key)
        entry = pair and pair[1].find(model)
        if pair is None or entry is None:
            place = document.place(pair[0]) if pair else document.name
            raise DeliveryError(f"{place}: {key} has {model} from elsewhere (`<<:` or `*`); write it out first")
        if len(pair[1].pairs) > 1:
            document.remove(pair[1], entry)
            allowed.add(("config", key, model))
        else:
            document.clear(pair[0], pair[1])
            allowed.add(("config", key))
    edited = document.edited()
    _only_these_differ(document, edited, allowed)
    return edited


def entry_of(text: str, name: str, model: str) -> str | None:
    """Return file and line of a model's entry, served or trained, as messages name them; None where it has none."""
    document = Document(text, name)
    config = document.root.find("config")
    for key in (_MODELS, _TRAINING):
        if config is not None and model in ((document.tree["config"] or {}).get(key) or {}):
            pair = config[1].find(key)
            entry = pair and pair[1].find(model)
            return document.place((entry or pair or config)[0])
    return None


def without_secrets(text: str, name: str) -> str:
    """Return the file's text without what only the passphrase of another stack opens."""
    document = Document(text, name)
    salt = document.root.find("encryptionsalt")
    if salt is None:
        return text
    document.remove(document.root, salt)
    node = _config(document)
    secret = node.find(_CREDENTIALS)
    if secret is not None:
        document.remove(node, secret)
    edited = document.edited()
    _only_these_differ(document, edited, {("encryptionsalt",), ("config", _CREDENTIALS)})
    return edited


def _config(document: Document) -> Node:
    pair = document.root.find("config")
    if pair is None or pair[1].kind != MAPPING:
        raise DeliveryError(f"{document.name}: `config:` must be a mapping (key: value) that stands in the file itself")
    return pair[1]


def _literal(value: str, column: int, newline: str) -> str:
    """Return a block scalar, or the word itself."""
    if "\n" not in value:
        return value if _PLAIN.fullmatch(value) else dumps(value)
    lines = [f"{' ' * (column + 2)}{line}".rstrip() for line in value.rstrip("\n").split("\n")]
    return newline.join(["|", *lines])


def _only_these_differ(document: Document, text: str, allowed: AbstractSet[Place]) -> None:
    others = _others(document, leaves(load(text, document.name)), allowed)
    if others:
        raise DeliveryError(
            f"{document.name}: this edit would change {others}, too; write what is shared by an anchor out"
        )


def write(file: Path, name: str, text: str) -> None:
    """Replace the file in one step; its mode stays. Raise DeliveryError when that fails."""
    with system_errors(f"writing {name}", "make the file and its folder writable, and try again"):
        target = file.resolve()
        partial = target.with_suffix(".partial")
        partial.write_bytes(text.encode("utf-8"))
        if target.exists():
            shutil.copymode(target, partial)
        os.replace(partial, target)
