"""Open Inference Protocol v2: requests to arrays, with names, types and shapes checked.

Source: https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from numpy.typing import NDArray

from serving.document import Document
from serving.errors import RequestError, brief, kind
from serving.model import Runner, Tensor, sizes

MAX_ID_LENGTH = 128


class Source(Protocol):
    """What a request is read from: its JSON without long lists (`fields`), and the values of its inputs."""

    @property
    def fields(self) -> dict[str, Any]:
        """The parsed JSON."""

    def array(self, tensor: Tensor, given: dict[str, Any], shape: list[int]) -> NDArray[Any]:
        """Return the values of an input; called in the order of the inputs. Raises RequestError."""

    def check_end(self) -> None:
        """Raise RequestError when there are values that belong to no input."""


class InferenceRequest(NamedTuple):
    """A checked request: `feeds` have dtype and shape of the model's inputs; `rows` is their first dimension.

    `outputs` are the names asked for; those that are to be returned as binary data are in `binary`, too.
    """

    id: str | None
    feeds: dict[str, NDArray[Any]]
    outputs: list[str]
    binary: frozenset[str]
    rows: int

    @property
    def size(self) -> tuple[int, ...]:
        """What the work of a run depends on, see sizes."""
        return sizes(self.feeds)


def check_id(text: object, where: str) -> str:
    """Return a request id; raises RequestError unless it is 1 to 128 printable ASCII characters."""
    if isinstance(text, str) and 0 < len(text) <= MAX_ID_LENGTH and text.isascii() and text.isprintable():
        return text
    raise RequestError(f"{where}: expected 1 to {MAX_ID_LENGTH} printable ASCII characters")


def decode(body: bytes | bytearray, model: Runner, json_bytes: int | None = None) -> InferenceRequest:
    """Return the request; raises RequestError that names the tensor, what is expected and what was given.

    `json_bytes` is how much of the body is JSON, when binary tensors follow it; None when all of it is.
    """
    return check(Document(body, json_bytes, model.takes_strings), model)


def check(document: Source, model: Runner) -> InferenceRequest:
    """Return the request that `document` is; raises RequestError as decode does."""
    fields = document.fields
    given = _named(fields.get("inputs"), "inputs", [tensor.name for tensor in model.inputs])
    for tensor in model.inputs:
        if tensor.name not in given:
            raise RequestError(f"input {tensor.name!r} is missing; given are: {', '.join(given)}")
    open_sizes: dict[str, int] = {}
    known = {tensor.name: tensor for tensor in model.inputs}
    arrays = {name: _array(known[name], entry, open_sizes, document) for name, entry in given.items()}
    document.check_end()
    outputs, binary = _outputs(fields, model.output_names)
    feeds = {tensor.name: arrays[tensor.name] for tensor in model.inputs}
    first = feeds[model.inputs[0].name]
    return InferenceRequest(
        id=check_id(fields["id"], "id") if fields.get("id") is not None else None,
        feeds=feeds,
        outputs=outputs,
        binary=binary,
        rows=first.shape[0] if first.ndim else 1,
    )


def _outputs(fields: dict[str, Any], known: list[str]) -> tuple[list[str], frozenset[str]]:
    every = _flag(fields, "binary_data_output", "the body", default=False)
    if not fields.get("outputs"):
        return known, frozenset(known if every else ())
    asked = _named(fields["outputs"], "outputs", known)
    for name, entry in asked.items():
        parameters = entry.get("parameters")
        for word in ("classification", "shared_memory_region"):
            if isinstance(parameters, dict) and word in parameters:
                raise RequestError(f"output {name!r}: {word} is not supported; the tensor itself is returned")
    binary = [name for name, entry in asked.items() if _flag(entry, "binary_data", f"output {name!r}", default=every)]
    return list(asked), frozenset(binary)


def _flag(entry: dict[str, Any], name: str, where: str, default: bool) -> bool:
    parameters = entry.get("parameters")
    value = parameters.get(name, default) if isinstance(parameters, dict) else default
    if type(value) is not bool:
        raise RequestError(f"{where}: expected {name} to be true or false, got {brief(value)}")
    return value


def _named(entries: object, where: str, known: Sequence[str]) -> dict[str, dict[str, Any]]:
    if not isinstance(entries, list) or not entries:
        raise RequestError(f"{where}: expected a list of tensors ({', '.join(known)}), got {kind(entries)}")
    named: dict[str, dict[str, Any]] = {}
    for entry in entries:
        name = entry.get("name") if isinstance(entry, dict) else None
        if not isinstance(name, str) or name not in known:
            raise RequestError(f"{where}: unknown tensor {brief(name)}; the model has: {', '.join(known)}")
        if name in named:
            raise RequestError(f"{where}: tensor {name!r} is given twice")
        named[name] = entry
    return named


def _array(tensor: Tensor, given: dict[str, Any], open_sizes: dict[str, int], document: Source) -> NDArray[Any]:
    if given.get("datatype") != tensor.datatype:
        raise RequestError(f"{tensor.where}: expected datatype {tensor.datatype}, got {brief(given.get('datatype'))}")
    return document.array(tensor, given, _shape(tensor, given.get("shape"), open_sizes))


def _shape(tensor: Tensor, given: object, open_sizes: dict[str, int]) -> list[int]:
    if not isinstance(given, list) or len(given) != len(tensor.shape) or not {int}.issuperset(map(type, given)):
        raise _shape_error(tensor, given)
    for size, wanted in zip(given, tensor.shape, strict=True):
        # A named dimension has one size in all inputs of a request.
        bound = open_sizes.setdefault(wanted, size) if isinstance(wanted, str) else wanted
        if size < 1 or (bound is not None and size != bound):
            raise _shape_error(tensor, given)
    return given


def _shape_error(tensor: Tensor, given: object) -> RequestError:
    expected = tensor.metadata()["shape"]
    return RequestError(f"{tensor.where}: expected shape {expected} (-1 is any size), got {brief(given)}")
