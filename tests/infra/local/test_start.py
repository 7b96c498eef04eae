"""Every command imports the commands about the local node: that must cost next to nothing."""

import subprocess
import sys

from infra.local.toolchain.paths import CHECKOUT

# Each takes a tenth of a second and more.
HEAVY = ("pydantic", "httpx", "yaml", "supervisor", "importlib.metadata")


def test_the_commands_about_the_node_load_nothing_heavy() -> None:
    program = (
        "import sys; import typer, rich.console, rich.table; before = set(sys.modules);"
        "import infra.local.cli, infra.local.cluster.environment, infra.local.doctor;"
        "print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    loaded = done.stdout.split()
    assert "infra.local.cli" in loaded
    assert [name for name in HEAVY if name in loaded] == []
