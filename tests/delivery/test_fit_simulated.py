"""Random sets of pools and workloads on a cluster of simulated nodes alone, with the real scheduler and controllers."""

from collections.abc import Iterator
from functools import partial

import pytest

from delivery.clients.control_plane import control_plane
from tests.support.placements import Playground
from tests.support.simulated import asked, simulated_cluster, variables
from tests.support.situations import situation

pytestmark = [pytest.mark.tools, pytest.mark.timeout(1800)]
# With pools that are new, quotas, all three kinds of workload and pods left over; and one where all fits.
FEW = (18, 24)


@pytest.fixture(scope="module")
def playground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Playground]:
    folder = tmp_path_factory.mktemp("cluster")
    with simulated_cluster(folder) as plane:
        yield Playground(plane, asked(plane), partial(control_plane, variables(), folder))


def disagreements(playground: Playground, seeds: range | tuple[int, ...]) -> dict[int, object]:
    """Return by seed what is said not to fit and what then lacks pods, where these are not the same."""
    wrong: dict[int, object] = {}
    for seed in seeds:
        said, lacking = playground.play(situation(seed))
        refused = {each.name for each in said.placements if not each.fits}
        if refused != lacking or said.unseen:
            wrong[seed] = (refused, lacking, said.unseen)
    return wrong


def test_a_few_sets_fit_exactly_as_it_is_said(playground: Playground) -> None:
    assert disagreements(playground, FEW) == {}


@pytest.mark.long
def test_fifty_sets_fit_exactly_as_it_is_said(playground: Playground) -> None:
    assert disagreements(playground, range(50)) == {}
