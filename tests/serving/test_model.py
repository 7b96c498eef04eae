"""Models that start or do not, what they need while they do, and which of their runs are short."""

import hashlib
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, ValueInfoProto, helper, load_from_string, numpy_helper
from onnx.external_data_helper import set_external_data

from serving.errors import StartError
from serving.inline import LONG_NANOSECONDS, SHORT_NANOSECONDS, ShortRuns
from serving.memory import MIB
from serving.model import Model, ModelError, load
from tests.support.onnx_models import copy_model, digest_of, onnx_model, wide_model
from tests.support.project import ROOT

value = helper.make_tensor_value_info


def reshaping_model() -> bytes:
    """Return a model that takes FP32 [n] only if n is a multiple of 24."""
    to = numpy_helper.from_array(np.array([-1, 24]), "to")
    node = helper.make_node("Reshape", ["given", "to"], ["same"])
    outputs = [value("same", TensorProto.FLOAT, ["m", 24])]
    return onnx_model([node], [value("given", TensorProto.FLOAT, ["n"])], outputs, [to])


def convolution() -> bytes:
    """Return a model of images that must be three pixels high and wide at least."""
    weights = numpy_helper.from_array(np.ones((1, 3, 3, 3), np.float32), "w")
    node = helper.make_node("Conv", ["image", "w"], ["edges"])
    image = value("image", TensorProto.FLOAT, ["n", 3, "h", "w"])
    return onnx_model([node], [image], [value("edges", TensorProto.FLOAT, ["n", 1, "a", "b"])], [weights])


@pytest.mark.parametrize(
    ("content", "name", "shape"), [(reshaping_model(), "given", (48,)), (convolution(), "image", (2, 3, 8, 8))]
)
def test_a_warm_up_that_fails_is_no_reason_not_to_serve(content: bytes, name: str, shape: tuple[int, ...]) -> None:
    model = Model(content)
    assert model.warm_up() is not None
    assert not model.short_runs.covers(shape)
    feeds = {name: np.ones(shape, np.float32)}
    assert model.run(feeds, model.output_names)[0].size > 0
    assert model.warm_up(feeds) is None
    with pytest.raises(ModelError):
        model.run({name: np.ones([1 if size != 3 else 3 for size in shape], np.float32)}, model.output_names)


def test_one_long_row_is_not_short_because_one_short_row_is() -> None:
    model = Model(copy_model(TensorProto.FLOAT, ["clips", "samples"]))
    model.warm_up()
    assert not model.short_runs.covers((1, 160_000))
    assert not model.short_runs.covers((2, 1))


def test_sizes_are_short_up_to_what_was_measured_in_every_dimension() -> None:
    runs = ShortRuns()
    assert not runs.covers((1, 1))
    runs.record((4, 100), SHORT_NANOSECONDS)
    assert runs.covers((4, 100)) and runs.covers((1, 7))
    assert not runs.covers((5, 1)) and not runs.covers((1, 101))
    runs.record((1, 400), SHORT_NANOSECONDS + 1)
    assert not runs.covers((1, 400))


def test_a_size_that_was_much_too_long_has_to_be_short_more_often() -> None:
    runs = ShortRuns()
    runs.record((1,), 1)
    runs.record((1,), LONG_NANOSECONDS + 1)
    for needed in (2, 4):
        assert not runs.covers((1,))
        for _ in range(needed):
            assert not runs.covers((1,))
            runs.record((1,), 1)
        assert runs.covers((1,))
        runs.record((1,), LONG_NANOSECONDS + 1)


def test_sizes_do_not_pile_up() -> None:
    runs = ShortRuns()
    for size in range(1000):
        runs.record((size, 1000 - size), 1)
    assert sum(runs.covers((size, 1000 - size)) for size in range(1000)) == 64


def sequence_model() -> bytes:
    node = helper.make_node("SequenceConstruct", ["given"], ["list"])
    output = ValueInfoProto(name="list", type=helper.make_sequence_type_proto(helper.make_tensor_type_proto(1, ["n"])))
    return onnx_model([node], [value("given", TensorProto.FLOAT, ["n"])], [output])


def zip_map_model() -> bytes:
    node = helper.make_node("ZipMap", ["given"], ["scores"], domain="ai.onnx.ml", classlabels_int64s=[0, 1])
    mapping = helper.make_map_type_proto(TensorProto.INT64, helper.make_tensor_type_proto(TensorProto.FLOAT, []))
    output = ValueInfoProto(name="scores", type=helper.make_sequence_type_proto(mapping))
    return onnx_model([node], [value("given", TensorProto.FLOAT, ["n", 2])], [output])


def external_model(location: str) -> bytes:
    model = load_from_string(wide_model())
    (weights,) = model.graph.initializer
    set_external_data(weights, location=location, offset=0, length=len(weights.raw_data))
    weights.ClearField("raw_data")
    weights.data_location = TensorProto.EXTERNAL
    content: bytes = model.SerializeToString()
    return content


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (copy_model(TensorProto.BFLOAT16), r"input 'given' is a tensor\(bfloat16\), which is not served: cast it"),
        (sequence_model(), r"output 'list' is a seq\(.*sequences are not"),
        (zip_map_model(), r"output 'scores' is a seq\(map\(.*zipmap=False"),
        (external_model("weights.bin"), "ONNX external data"),
        (external_model("model.onnx"), "ONNX external data"),
        (external_model("../secret"), "ONNX external data"),
        (b"not a model", "cannot be run by ONNX Runtime"),
    ],
)
def test_what_cannot_be_served_is_refused_at_load_with_its_reason(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    # Nobody hashed it: it must not be read, though it stands beside the model.
    (tmp_path / "weights.bin").write_bytes(b"\0" * 16 * 256 * 4)
    with pytest.raises(StartError, match=message):
        load(path, digest_of(content))


def test_a_model_is_loaded_in_its_own_size_and_a_constant(tmp_path: Path) -> None:
    path, size, layers = tmp_path / "model.onnx", 1500, 10
    names = ["x", *(f"h{layer}" for layer in range(layers))]
    weights = np.random.default_rng(1).random((size, size), np.float32)
    content = onnx_model(
        [helper.make_node("MatMul", [names[at], f"w{at}"], [names[at + 1]]) for at in range(layers)],
        [value("x", TensorProto.FLOAT, ["n", size])],
        [value(names[-1], TensorProto.FLOAT, ["n", size])],
        [numpy_helper.from_array(weights, f"w{at}") for at in range(layers)],
    )
    path.write_bytes(content)
    program = f"""
        from pathlib import Path
        from serving.memory import return_large_blocks
        from serving.model import limit_runs, load
        return_large_blocks()
        limit_runs({64 * MIB})
        load(Path({str(path)!r}), {digest_of(content)!r}).warm_up()
        print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    most = int(done.stdout) * 1024
    assert most < 1.1 * len(content) + 100 * MIB, f"{most / MIB:.0f} MiB for a file of {len(content) / MIB:.0f} MiB"


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"the model cannot be read: .*model\.onnx"):
        load(tmp_path / "model.onnx", f"sha256:{hashlib.sha256(b'').hexdigest()}")
