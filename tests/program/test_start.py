"""What a program loads: each preview and update waits for it."""

import json
import subprocess
import sys
from pathlib import Path

from infra.targets.variables import KUBECONFIG
from tests.program.harness import PREFIX, ROOT, stack_values
from tests.support.documents import TEAM

# Each takes longer to load than a service to compose; what needs one loads it where it needs it.
HEAVY = (
    "cryptography",
    "jsonschema",
    "pulumi_aws",
    "pulumi_docker_build",
    "pulumi_kubernetes",
    "rich",
    "ruamel",
    "typer",
)
PROGRAM = f"""
import json, sys
sys.path.insert(0, {str(ROOT)!r})
from benchmarks import registration
registration.main(sys.argv[1], sys.argv[2])
print(json.dumps(sorted({{name.split(".")[0] for name in sys.modules}} & set({HEAVY!r}))))
"""
# What the entry point sends to the engine of a program that says something.
SAYING = f"""
import runpy, sys
import infra.program, pulumi.log, pulumi.runtime.settings
sent = []
pulumi.runtime.settings.get_engine = object
pulumi.log._log = lambda engine, severity, message, *more: sent.append(message)
infra.program.main = lambda: (pulumi.log.debug("of the SDK"), pulumi.log.warn("of ours"))
runpy.run_path({str(ROOT / "infra" / "__main__.py")!r}, run_name="__main__")
print(sent)
"""


def test_a_program_does_not_wait_for_messages_that_nobody_sees() -> None:
    done = subprocess.run([sys.executable, "-c", SAYING], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "['of ours']\n", done.stderr


def test_a_program_loads_nothing_that_it_does_not_need(tmp_path: Path) -> None:
    values = {
        f"{PREFIX}{key}": value if isinstance(value, str) else json.dumps(value)
        for key, value in stack_values("test").items()
    }
    document = {"project": "stellwerk", "stack": "test", "config": values, "secret": [f"{PREFIX}credentials"]}
    file = tmp_path / "values.json"
    file.write_text(json.dumps(document))
    named = {"name": "stellwerk"}
    kubeconfig = {"contexts": [{**named, "context": {"cluster": "stellwerk"}}], "clusters": [{**named, "cluster": {}}]}
    (tmp_path / "kubeconfig").write_text(json.dumps(kubeconfig))
    program = tmp_path / "program.py"
    program.write_text(f"from pathlib import Path\nfrom infra.program import main\nmain(Path({str(TEAM)!r}))\n")
    command = [sys.executable, "-c", PROGRAM, str(program), str(file)]
    variables = {KUBECONFIG: str(tmp_path / "kubeconfig")}
    done = subprocess.run(command, env=variables, cwd=ROOT, capture_output=True, text=True, check=True)
    registered, loaded = (json.loads(line) for line in done.stdout.splitlines())
    assert registered["objects"] > 20
    assert loaded == []
