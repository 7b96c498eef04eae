"""What an image was built from: a label, a build argument, and what training pods carry."""

from collections.abc import Mapping

from components.kit.names import REVISION
from infra.revision import UNKNOWN
from tests.program.harness import Recording

LABEL = "org.opencontainers.image.revision"


def test_every_image_of_this_checkout_says_what_it_was_built_from(programs: Mapping[str, Recording]) -> None:
    """The checkout of these tests is none of git's."""
    images = {
        key.rpartition("::")[2].removesuffix("-image"): inputs
        for key, inputs in programs["dev"].inputs.items()
        if key.startswith("docker-build:index:Image::")
    }
    unlabelled = {name for name, inputs in images.items() if LABEL not in inputs.get("labels", {})}
    assert unlabelled == {"base-python"}, "the base is made of packages, not of this checkout"
    stated = [
        (images[name]["labels"][LABEL], images[name]["buildArgs"]["REVISION"]) for name in images.keys() - unlabelled
    ]
    assert set(stated) == {(UNKNOWN, UNKNOWN)}
    template = programs["dev"].of_kind("CronJob")["train-digits"]
    pod = template["spec"]["jobTemplate"]["spec"]["template"]
    assert pod["metadata"]["annotations"] == {REVISION: UNKNOWN}
