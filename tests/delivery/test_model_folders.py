"""`stellwerk model new`, `list` and `check`: a folder from a template, what the files say, the contract suite."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import pytest

from delivery.clients.frameworks import Interpreter
from delivery.errors import DeliveryError
from delivery.operations import new_model
from delivery.operations.check import checks
from delivery.session import Session
from infra.contract.model import Framework, Models
from infra.contract.release import Releases
from infra.services.training import staged
from infra.values import ROOT
from tests.support.checkout import FIRST, MODEL, Checkout
from tests.support.engine import FakeEngine
from tests.support.session import Command, FakeSession, Words
from training.check import suite

TEMPLATES = sorted(new_model.templates())


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_new_model_holds_at_once(template: str, project: Checkout, stellwerk: Command, tmp_path: Path) -> None:
    code, out, err = stellwerk("model", "new", "parcels", "--template", template)
    assert code == 0
    folder = project.root / "models" / "parcels"
    written = sorted(file.relative_to(project.root).as_posix() for file in folder.rglob("*") if file.is_file())
    assert out.split() == written
    assert {f"models/parcels/{name}" for name in ("README.md", "model.yaml", "train.py", "tests/test_train.py")} <= {
        *written
    }
    assert template not in (folder / "README.md").read_text().partition("\n")[0]
    assert "parcels: {release: null}" in err
    models = Models(project.root / "models")
    document = models.load("parcels")
    lacking = Interpreter(ROOT, document.framework, folder, {}).lacking
    seen = suite(staged(models, "parcels", tmp_path / "parcels"), "models/parcels")
    failed = [check.check for check in seen if not check.passed]
    assert failed == (["framework"] if lacking else [])


def test_the_lines_that_are_shown_are_all_that_an_environment_needs(project: Checkout, stellwerk: Command) -> None:
    _, _, err = stellwerk("model", "new", "parcels", "--template", TEMPLATES[0])
    assert "  under stellwerk:training:  parcels: {}\n  under stellwerk:models:    parcels: {release: null}" in err
    project.edit(
        "dev",
        lambda config: (config["training"].update(parcels={}), config["models"].update(parcels={"release": None})),
    )
    assert set(project.project().served("dev")) == {MODEL, "parcels"}


def test_a_checkout_without_environments_gets_its_first_model(project: Checkout, stellwerk: Command) -> None:
    shutil.rmtree(project.root / "stacks")
    code, _, err = stellwerk("model", "new", "parcels", "--template", TEMPLATES[0])
    assert code == 0
    assert "two lines in stacks/Pulumi.<environment>.yaml:" in err
    assert stellwerk("model", "list")[0] == 0
    code, _, err = stellwerk("demo", "parcels", "--first", "epochs=3")
    assert (code, err.splitlines()[0][:41]) == (1, "error: this checkout has no environment: ")


@pytest.mark.parametrize(
    ("name", "template", "reason"),
    [
        ("Parcels", "torch", "model name \"Parcels\": not allowed; allowed: lower-case letters, digits and '-'"),
        ("../parcels", "torch", 'model name "../parcels": not allowed'),
        ("parcels-", "torch", 'model name "parcels-": not allowed'),
        ("p" * 41, "torch", "at most 40 characters"),
        ("parcels", "torhc", "template 'torhc': not known; did you mean torch?\n"),
        (MODEL, "torch", f"models/{MODEL}: there is such a folder already, it stays as it is"),
    ],
)
def test_what_cannot_be_made_is_refused_and_nothing_is_touched(
    name: str, template: str, reason: str, project: Checkout, stellwerk: Command
) -> None:
    before = sorted(project.root.rglob("*"))
    code, out, err = stellwerk("model", "new", name, "--template", template)
    assert (code, out) == (1, "")
    assert reason in err
    assert sorted(project.root.rglob("*")) == before


def test_without_a_template_they_are_listed(stellwerk: Command) -> None:
    code, _, err = stellwerk("model", "new", "parcels")
    assert code == 1
    assert "  torch: pytorch, a small network, four measurements to three classes\n" in err


def test_a_template_of_a_framework_without_adapter_is_not_offered(tmp_path: Path) -> None:
    for name, framework in (("known", Framework.PYTORCH.value), ("later", "a-framework-of-tomorrow")):
        folder = tmp_path / name
        folder.mkdir()
        text = (new_model.TEMPLATES / "torch" / "model.yaml").read_text()
        text = text.replace("name: torch", f"name: {name}").replace("framework: pytorch", f"framework: {framework}")
        (folder / "model.yaml").write_text(text)
    assert set(new_model.templates(tmp_path)) == {"known"}


def test_the_list_says_where_a_model_is_served_and_trained(
    project: Checkout, releases: Releases, stellwerk: Command
) -> None:
    project.point("dev", FIRST)
    stellwerk("model", "new", "parcels", "--template", TEMPLATES[0])
    code, out, _ = stellwerk("model", "list", "--json")
    assert code == 0
    models = json.loads(out)["models"]
    assert models[MODEL]["environments"]["dev"] == {"release": FIRST, "trains": True}
    assert models[MODEL]["environments"]["prod"] == {"release": None, "trains": False}
    assert models["parcels"]["owner"] == "the team that answers for it"
    assert not any(state["trains"] or state["release"] for state in models["parcels"]["environments"].values())
    code, out, _ = stellwerk("model", "list")
    assert code == 0
    for word in ("parcels", MODEL, FIRST[:2], "multicl"):
        assert word in out


def test_a_check_runs_in_a_process_of_its_own(stellwerk: Command) -> None:
    code, out, _ = stellwerk("model", "check", MODEL, "--json")
    report = json.loads(out)
    assert (code, report["passed"]) == (0, True)
    assert [check["check"] for check in report["checks"]][:3] == ["document", "code", "data"]
    assert report["checks"][-1] == {
        "check": "determinism",
        "passed": True,
        "value": "two fits, one digest",
        "places": [],
    }


def test_a_check_that_fails_names_the_line(project: Checkout, stellwerk: Command) -> None:
    file = project.root / "models" / MODEL / "train.py"
    file.write_text(
        file.read_text().replace(
            "    bunch =", "    print('noise')\n    raise ValueError('[red]no rows[/red]')\n    bunch ="
        )
    )
    number = file.read_text().splitlines().index("    raise ValueError('[red]no rows[/red]')") + 1
    code, out, _ = stellwerk("model", "check", MODEL)
    assert code == 1
    assert out.splitlines()[-2:] == [
        "✗ data        ValueError: [red]no rows[/red]", f"    models/{MODEL}/train.py:{number}"
    ]  # fmt: skip
    assert "noise" not in out


def test_a_document_that_is_not_valid_is_a_failed_check(project: Checkout, stellwerk: Command) -> None:
    file = project.root / "models" / MODEL / "model.yaml"
    file.write_text(file.read_text().replace("owner: ml-engineers", "owner: 5"))
    code, out, _ = stellwerk("model", "check", MODEL)
    assert code == 1
    assert out.startswith(f"✗ document    models/{MODEL}/model.yaml:")
    code, out, err = stellwerk("model", "check", "digit")
    assert (code, out) == (1, "")
    assert "did you mean digits?" in err


@pytest.mark.parametrize("status", [0, 1, 3])
def test_code_that_ends_the_process_is_an_error(
    status: int, project: Checkout, stellwerk: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    file = project.root / "models" / MODEL / "train.py"
    file.write_text(file.read_text().replace("    bunch =", f"    import os\n    os._exit({status})\n    bunch ="))
    code, _, err = stellwerk("model", "check", MODEL)
    assert code == 1
    assert f"the checks ended with {status} before their last one" in err
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("source", ["requirements.in", "requirements-serve.in"])
def test_packages_of_the_models_own_need_a_lock(source: str, project: Checkout, stellwerk: Command) -> None:
    (project.root / "models" / MODEL / source).write_text("tqdm\n")
    code, out, _ = stellwerk("model", "check", MODEL)
    assert (code, out) == (1, f"✗ document    models/{MODEL}/{source}: it has no lock; run `make lock`\n")


class Bare(FakeSession):
    """A session whose interpreter lacks the framework."""

    def interpreter(self, model: str) -> Interpreter:
        made = Session.interpreter(self, model)
        return Lacking(ROOT, made.framework, made.folder, os.environ | {"XDG_CACHE_HOME": str(self.project.root)})


class Lacking(Interpreter):
    lacking: Sequence[str] = ("a-framework 1",)


@pytest.mark.skipif(find_spec("torch") is not None, reason="this environment has PyTorch")
def test_without_the_framework_code_and_data_are_checked(project: Checkout, pulumi: FakeEngine, words: Words) -> None:
    results = list(checks(Bare(project.project(), pulumi), MODEL, lambda _: False, words.console))
    assert [result.check for result in results if result.passed] == ["document", "code", "data"]
    assert results[-1].check == "framework"
    assert "pytorch is not installed" in results[-1].value
    assert "(a-framework 1); the same command with --yes makes an environment" in words


def test_packages_that_are_not_installed_are_named(tmp_path: Path) -> None:
    room = tmp_path / "training" / "frameworks" / "pytorch"
    room.mkdir(parents=True)
    (tmp_path / "training" / "requirements.txt").write_text("")
    (room / "requirements.in").write_text("-c ../../requirements.txt\nnot-a-package==1\nnumpy\n")
    (room / "requirements.txt").write_text(
        "not-a-package==1 \\\n    --hash=sha256:00\nnumpy==0.1 ; python_version > '3'\n"
    )
    interpreter = Interpreter(tmp_path, Framework.PYTORCH, tmp_path / "model", {"XDG_CACHE_HOME": str(tmp_path)})
    assert interpreter.lacking == ["not-a-package 1", "numpy 0.1"]
    assert interpreter.python is None
    place = interpreter.environment
    assert place.parent == tmp_path / "stellwerk" / "frameworks"
    (place / "bin").mkdir(parents=True)
    os.symlink(sys.executable, place / "bin" / "python")
    assert interpreter.python == place / "bin" / "python"
    (room / "requirements.txt").write_text("numpy==0.2\n")
    assert Interpreter(tmp_path, Framework.PYTORCH, tmp_path, {"XDG_CACHE_HOME": str(tmp_path)}).environment != place


def test_an_environment_is_made_of_the_locks(tmp_path: Path, words: Words) -> None:
    """By the real uv, of a package on this disk."""
    room = tmp_path / "training" / "frameworks" / "pytorch"
    room.mkdir(parents=True)
    wheel = tmp_path / "wheels" / "measure-1.0-py3-none-any.whl"
    wheel.parent.mkdir()
    described = {
        "measure.py": "LENGTH = 3\n",
        "measure-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: measure\nVersion: 1.0\n",
        "measure-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "measure-1.0.dist-info/RECORD": "",
    }
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in described.items():
            archive.writestr(name, text)
    (tmp_path / "training" / "requirements.txt").write_text("")
    (room / "requirements.in").write_text("measure\n")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    (room / "requirements.txt").write_text(f"measure==1.0 \\\n    --hash=sha256:{digest}\n")
    variables = {"XDG_CACHE_HOME": f"{tmp_path}/cache", "UV_NO_INDEX": "1", "UV_FIND_LINKS": str(wheel.parent)}
    interpreter = Interpreter(tmp_path, Framework.PYTORCH, tmp_path / "model", os.environ | variables)
    assert (interpreter.lacking, interpreter.python) == (["measure 1.0"], None)
    interpreter.make(words.console)
    assert "pytorch: installing training/frameworks/pytorch/requirements.txt" in words
    command = [str(interpreter.python), "-c", "import measure; print(measure.LENGTH)"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "3\n"
    assert [place.name for place in interpreter.environment.parent.iterdir()] == [interpreter.environment.name]
    (room / "requirements.txt").write_text(f"measure==1.0 \\\n    --hash=sha256:{'0' * 64}\n")
    other = Interpreter(tmp_path, Framework.PYTORCH, tmp_path / "model", os.environ | variables)
    with pytest.raises(DeliveryError, match=r"^training/frameworks/pytorch/requirements\.txt: `uv pip install` ended"):
        other.make(words.console)
    assert [place.name for place in interpreter.environment.parent.iterdir()] == [interpreter.environment.name]
