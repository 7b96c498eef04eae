"""The fixtures of the command's tests."""

from tests.support.checkout import no_variables_of_this_machine, project, releases
from tests.support.session import bench, clock, cluster, pulumi, stellwerk, target_variables, words
from tests.support.stores import ca, s3, stores

__all__ = [
    "bench",
    "ca",
    "clock",
    "cluster",
    "no_variables_of_this_machine",
    "project",
    "pulumi",
    "releases",
    "s3",
    "stellwerk",
    "stores",
    "target_variables",
    "words",
]
