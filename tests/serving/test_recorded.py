"""The server answers as it was recorded: status, headers and body, to good and bad requests made from a seed."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.serving.compare import RECORDED_MODELS, ask, recorded, servers, shortened
from tests.serving.exchanges import exchange


def test_answers_are_those_that_were_recorded(tmp_path: Path) -> None:
    wanted = recorded()
    with servers(tmp_path, names=RECORDED_MODELS) as running, ThreadPoolExecutor(4) as pool:
        answers = dict(zip(wanted, pool.map(lambda number: shortened(ask(running, number)), wanted), strict=True))
    assert len(wanted) >= 250
    unlike = [number for number in wanted if answers[number] != wanted[number]]
    assert not unlike, [(exchange(number), answers[number], wanted[number]) for number in unlike[:3]]
