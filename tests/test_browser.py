"""A real browser, headless Chromium, goes through the login pages for each generation of the Python SDK."""

import shutil
import subprocess
from pathlib import Path

import pytest

from kit.api import Api
from kit.identities import principal
from kit.names import unique
from kit.oauth import callback_port
from kit.server import REPO, Server, clean_environment

VENVS = REPO / "target" / "venv"
SDK_SCRIPT = Path(__file__).with_name("sdk_u2m_script.py")
BROWSER_SCRIPT = Path(__file__).with_name("browser_script.py")
PASSWORD = "correct horse battery"


@pytest.mark.parametrize("environment", ["sdk-0.61.0", "sdk-0.81.0", "kit"])
def test_login_with_chromium(
    server: Server, api: Api, environment: str, tmp_path: Path
) -> None:
    if shutil.which("chromium") is None:
        pytest.skip("this machine has no chromium")
    name = f"{unique('p')}@example.com"
    settings = {"DATABRICKS_HOST": server.http, "U2M_USER": name, "HOME": str(tmp_path)}
    with callback_port(), principal(api, "Users", userName=name, password=PASSWORD):
        sdk = subprocess.Popen(
            [VENVS / environment / "bin" / "python", SDK_SCRIPT],
            env=clean_environment() | settings,
            stdout=subprocess.PIPE,
            text=True,
        )
        with sdk:
            try:
                address = sdk.stdout.readline().strip()
                subprocess.run(
                    [VENVS / "browser" / "bin" / "python", BROWSER_SCRIPT, address, name, PASSWORD]
                    + [tmp_path],
                    check=True,
                    timeout=120,
                )
                assert sdk.stdout.read().splitlines() == ["ok"]
            finally:
                sdk.kill()
        pictures = {picture.name for picture in tmp_path.glob("*.png")}
        assert pictures == {"login.png", "refused.png", "consent.png"}
