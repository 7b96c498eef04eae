"""Which forge, and which repository of it, a checkout is of."""

import subprocess
from pathlib import Path

import pytest

from delivery.clients.forges import connect, forge
from delivery.clients.forges.data_center import BitbucketDataCenter
from delivery.clients.forges.github import GitHub
from delivery.clients.forges.origin import Origin, origin
from delivery.errors import DeliveryError
from delivery.project import Project
from infra.contract.forge import ForgeKind, ForgeValues
from infra.contract.problems import ConfigError

GITHUB, GITLAB, BITBUCKET = ForgeKind
VALUES = ForgeValues.model_validate(
    {"kind": BITBUCKET, "url": "https://git.example.com/", "repository": "ML/models", "tokenVariable": "GIT_TOKEN"}
)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    subprocess.run(["git", "init", "--quiet", "--template=", tmp_path], check=True)
    return tmp_path


def add_remote(checkout: Path, address: str) -> None:
    subprocess.run(["git", "remote", "add", "origin", address], cwd=checkout, check=True)


@pytest.mark.parametrize(
    ("address", "kind", "page"),
    [
        ("https://github.com/team/models.git", GITHUB, "https://github.com/team/models"),
        ("https://me:canary@github.com/team/models", GITHUB, "https://github.com/team/models"),
        ("git@github.com:team/models.git", GITHUB, "https://github.com/team/models"),
        ("ssh://git@ssh.github.com:443/team/models.git", GITHUB, "https://github.com/team/models"),
        ("git@gitlab.com:group/sub/models.git", GITLAB, "https://gitlab.com/group/sub/models"),
        ("ssh://git@gitlab.com/group/models/", GITLAB, "https://gitlab.com/group/models"),
        ("https://me@bitbucket.org/team/models.git", BITBUCKET, "https://bitbucket.org/team/models"),
    ],
)
def test_the_remote_s_address_says_it(checkout: Path, address: str, kind: ForgeKind, page: str) -> None:
    add_remote(checkout, address)
    repository = origin(checkout, None, {})
    assert (repository.kind, repository.page, repository.variable) == (kind, page, f"{kind.upper()}_TOKEN")


@pytest.mark.parametrize(
    ("variables", "page"),
    [
        ({"GITHUB_REPOSITORY": "team/models"}, "https://github.com/team/models"),
        (
            {"GITHUB_REPOSITORY": "team/models", "GITHUB_SERVER_URL": "https://git.example.com"},
            "https://git.example.com/team/models",
        ),
        (
            {"CI_PROJECT_PATH": "group/sub/models", "CI_SERVER_URL": "https://gitlab.example.com"},
            "https://gitlab.example.com/group/sub/models",
        ),
        ({"BITBUCKET_REPO_FULL_NAME": "team/models"}, "https://bitbucket.org/team/models"),
    ],
)
def test_a_pipeline_s_variables_say_it(checkout: Path, variables: dict[str, str], page: str) -> None:
    add_remote(checkout, "https://runner:canary@10.0.0.1/cache/models.git")
    assert origin(checkout, None, variables).page == page


def test_values_say_it_before_anything_else(checkout: Path) -> None:
    add_remote(checkout, "git@github.com:team/models.git")
    repository = origin(checkout, VALUES, {"GITHUB_REPOSITORY": "other/models"})
    assert repository == Origin(BITBUCKET, "https://git.example.com", "ML/models", "GIT_TOKEN")
    assert isinstance(connect(repository, {"GIT_TOKEN": "t"}), BitbucketDataCenter)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        (None, "this checkout has no remote `origin`"),
        ("https://me:canary@git.example.com/team/models.git", "is https://git.example.com/team/models.git; known"),
        ("/srv/git/models.git", "is /srv/git/models.git; known"),
        ("https://github.com/models", "is https://github.com/models; known"),
    ],
)
def test_where_nothing_says_it_the_error_names_the_section(checkout: Path, address: str | None, said: str) -> None:
    if address:
        add_remote(checkout, address)
    with pytest.raises(DeliveryError) as caught:
        origin(checkout, None, {})
    assert said in str(caught.value)
    assert "stacks/base.yaml: `stellwerk:forge: {kind:" in str(caught.value)
    assert "canary" not in str(caught.value)


def test_a_forge_needs_a_token(checkout: Path) -> None:
    add_remote(checkout, "git@github.com:team/models.git")
    with pytest.raises(
        DeliveryError, match=r"GitHub: https://github.com/team/models: there is no token; .*GITHUB_TOKEN"
    ):
        forge(checkout, None, {"GITHUB_TOKEN": " "})
    assert isinstance(forge(checkout, None, {"GITHUB_TOKEN": "t"}), GitHub)


def test_the_base_says_it_even_where_an_environment_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "stacks").mkdir()
    (tmp_path / "stacks" / "Pulumi.prod.yaml").write_text("config: {stellwerk:environment: 1}")
    assert Project(tmp_path).forge is None
    base = tmp_path / "stacks" / "base.yaml"
    values = "{kind: gitlab, url: 'https://gitlab.example.com', repository: team/models}"
    base.write_text(f"config:\n  stellwerk:forge: {values}\n")
    read = Project(tmp_path).forge
    assert read is not None and (read.kind, read.repository) == (GITLAB, "team/models")
    base.write_text(f"config:\n  stellwerk:forge: {values.replace('gitlab,', 'gitea,')}\n")
    with pytest.raises(ConfigError, match=r"stacks/base.yaml:2: stellwerk:forge.kind\n  given:   \"gitea\""):
        _ = Project(tmp_path).forge


@pytest.mark.parametrize(
    ("repository", "form"),
    [
        (Origin(GITHUB, "https://github.com", "t/m", ""), "https://github.com/t/m/compare/main...a/b?expand=1"),
        (
            Origin(GITLAB, "https://gitlab.com", "t/m", ""),
            "https://gitlab.com/t/m/-/merge_requests/new?merge_request%5Bsource_branch%5D=a%2Fb&merge_request%5Btarget_branch%5D=main",
        ),
        (
            Origin(BITBUCKET, "https://bitbucket.org", "t/m", ""),
            "https://bitbucket.org/t/m/pull-requests/new?source=a%2Fb&dest=main",
        ),
        (
            Origin(BITBUCKET, "https://git.example.com", "T/m", ""),
            "https://git.example.com/projects/T/repos/m/pull-requests?create&sourceBranch=refs%2Fheads%2Fa%2Fb&targetBranch=refs%2Fheads%2Fmain",
        ),
    ],
)
def test_a_person_can_open_a_pull_request_by_hand(repository: Origin, form: str) -> None:
    assert repository.form("a/b", "main") == form
