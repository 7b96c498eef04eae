"""`stellwerk ci comment`: a fork's text on its pull request, by code that the fork has not written."""

from pathlib import Path

from delivery.operations.fork_comment import post
from tests.delivery.forges.conftest import client
from tests.support.forges.server import serve


def test_the_text_of_a_fork_is_one_comment_that_says_whose_it_is(tmp_path: Path) -> None:
    file = tmp_path / "preview.md"
    with serve("github") as server:
        forge = client(server)
        number = forge.open_pull_request("a-branch", "main", "title", "body").number
        file.write_bytes(b"prod: 1 restarted \xff\n<!-- stellwerk: drift-prod -->")
        post(forge, number, file)
        [comment] = server.state.pulls[0].comments
        assert "> Written by the fork's own code" in comment.body and "prod: 1 restarted \ufffd" in comment.body
        assert not comment.body.startswith("<!-- stellwerk: drift-prod -->")
        file.write_text("x" * 300_000)
        post(forge, number, file)
        assert len(comment.body) > 60_000 and comment.body.rstrip().endswith("an artefact of the run")
        assert len(server.state.pulls[0].comments) == 1
