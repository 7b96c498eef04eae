"""The files beside a model: what a pod gets to know of them."""

import json

from tests.program.conftest import FIXTURES, Machine
from tests.program.harness import stack_values

RELEASE = "v2-3f2a9c1d"


def test_the_files_beside_a_model_are_named_to_fetcher_and_server(machine: Machine) -> None:
    digest = "cd" * 32
    file = {"digest": f"sha256:{digest}", "size": 2000, "key": f"heavy/sha256-{digest}.bin", "name": "weights.bin"}
    text = (FIXTURES / "digits" / f"{RELEASE}.yaml").read_text().replace("digits", "heavy")
    text = text.replace("stellwerk.dev/v1", "stellwerk.dev/v2").replace("artefact:", f"artefact:\n  files: {[file]}")
    release = machine.root / "stacks" / "releases" / "heavy" / f"{RELEASE}.yaml"
    release.parent.mkdir()
    release.write_text(text)
    given = stack_values("prod")
    given["models"] = {"heavy": given["models"]["digits"] | {"release": RELEASE}}
    predictor = machine.run(given, "prod").of_kind("InferenceService")["heavy"]["spec"]["predictor"]
    for container in (predictor["model"], predictor["initContainers"][0]):
        (variable,) = [item for item in container["env"] if item["name"] == "ARTEFACT_FILES"]
        assert json.loads(variable["value"]) == [file]
