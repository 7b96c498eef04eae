"""The memory that strings take: what is reserved for a body is enough, and a pod's limit holds."""

import json
import subprocess
import sys
import textwrap
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import orjson
import pytest
from onnx import TensorProto, helper

from serving.memory import MIB
from tests.support import plain_http
from tests.support.binary_strings import binary, packed
from tests.support.memory_group import memory_group
from tests.support.onnx_models import copy_model, onnx_model
from tests.support.project import ROOT
from tests.support.server import serve

TEXTS = ["", "a", "\x01", "\u00fc", "\u65e5", "\U0001f600", "sixteen letters."]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("returned", [True, False], ids=["strings out", "numbers out"])
def test_a_body_takes_no_more_memory_than_is_reserved_for_it(tmp_path: Path, text: str, returned: bool) -> None:
    count = 1_500_000 // len(json.dumps(text, ensure_ascii=False).encode())
    given = {"name": "given", "datatype": "BYTES", "shape": [count], "data": [text] * count}
    (tmp_path / "json").write_bytes(orjson.dumps({"inputs": [given]}))
    content, size = packed(binary(*[text.encode()] * count), [count])
    (tmp_path / "binary").write_bytes(content)
    value = helper.make_tensor_value_info
    counting = onnx_model(
        [helper.make_node("Shape", ["given"], ["same"])],
        [value("given", TensorProto.STRING, ["n"])],
        [value("same", TensorProto.INT64, [1])],
    )
    (tmp_path / "model").write_bytes(copy_model(TensorProto.STRING) if returned else counting)
    program = f"""
        from serving.document import factors, memory
        from serving.memory import return_large_blocks
        from serving.model import Model
        from serving.protocol import decode

        def kibibytes(name):
            return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(name))

        return_large_blocks()
        model = Model(open("model", "rb").read())
        model.warm_up()
        for name, json_bytes in (("json", None), ("binary", {size})):
            before = kibibytes("VmRSS")
            open("/proc/self/clear_refs", "w").write("5")
            content = open(name, "rb").read()
            model.run(decode(content, model, json_bytes).feeds, ["same"])
            print((kibibytes("VmHWM") - before) * 1024, memory(len(content), json_bytes, factors(model)))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    for line in done.stdout.splitlines():
        used, reserved = map(int, line.split())
        assert used < reserved, f"{used / len(content):.1f} for each byte, reserved are {reserved / len(content):.1f}"


def body(text: str, size: int, as_binary: bool) -> tuple[bytes, dict[str, str]]:
    """Return a body of `size` bytes at most, and its headers; the answer is of the same kind."""
    each = 4 + len(text.encode()) if as_binary else 1 + len(json.dumps(text, ensure_ascii=False).encode())
    values = [text] * ((size - 200) // each)
    if as_binary:
        data = binary(*[value.encode() for value in values])
        content, json_bytes = packed(data, [len(values)], parameters={"binary_data_output": True})
        return content, {"inference-header-content-length": str(json_bytes)}
    given = {"name": "given", "datatype": "BYTES", "shape": [len(values)], "data": values}
    return orjson.dumps({"inputs": [given]}), {}


def test_strings_stay_within_the_memory_of_a_pod(tmp_path: Path) -> None:
    bodies = [
        body(text, size, as_binary)
        for text in ("a", "\u65e5", "sixteen letters.")
        for size in (100_000, 3_700_000)
        for as_binary in (True, False)
    ]
    with (
        memory_group(512 * MIB) as join,
        serve(tmp_path, copy_model(TensorProto.STRING), join) as server,
        ThreadPoolExecutor(len(bodies)) as pool,
    ):
        url = f"{server.url}/v2/models/digits/infer"

        def post(sent: tuple[bytes, dict[str, str]]) -> int:
            return plain_http.post(url, content=sent[0], headers=sent[1], timeout=120).status_code

        statuses = Counter[int]()
        # What waits too long for memory, or finds none for its answer, is to come again; more of it on a busy machine.
        for _ in range(5):
            statuses += Counter(pool.map(post, bodies))
            assert server.process.poll() is None, f"the server ended: {statuses}"
            assert set(statuses) <= {200, 503}, statuses
            if statuses[200] >= len(bodies) / 3:
                break
        assert statuses[200] >= len(bodies) / 3, statuses
        assert post(bodies[-1]) == 200
