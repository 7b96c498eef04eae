"""The server answers as it was recorded: status, headers and body, to good and bad requests made from a seed."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.serving.compare import RECORDED_MODELS, ask, recorded, servers, shortened
from tests.serving.exchanges import exchange


def test_answers_are_those_that_were_recorded(tmp_path: Path) -> None:
    wanted = recorded()
    with servers(tmp_path, names=RECORDED_MODELS) as running, ThreadPoolExecutor(4) as pool:
        answers = dict(zip(wanted, pool.map(lambda number: shortened(ask(running, number)), wanted), strict=True))
        # On a machine that stands still for a while an answer is missed: what is wrong is so a second time, with more
        # patience.
        wrong = [number for number in wanted if answers[number] != wanted[number]]
        unlike = {number: shortened(ask(running, number, quiet=3)) for number in wrong}
    assert len(wanted) >= 250
    unlike = {number: answer for number, answer in unlike.items() if answer != wanted[number]}
    assert not unlike, [(exchange(number), answer, wanted[number]) for number, answer in list(unlike.items())[:3]]
