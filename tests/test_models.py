"""`lakeport models serve`: the identity and the token file of Model Serving."""

from pathlib import Path

import pytest
import requests

from kit.api import Api
from kit.runner import Runner
from kit.server import Server
from kit.waiting import eventually

SERVER = Path(__file__).with_name("model_server.py")
MLMODEL = """
flavors:
  python_function:
    loader_module: mlflow.pyfunc.model
resources:
  api_version: '1'
  databricks:
    lakebase:
    - name: shop
{flag}
"""


def model(tmp_path: Path, text: str) -> Path:
    folder = tmp_path / "my_model"
    folder.mkdir()
    (folder / "MLmodel").write_text(text)
    return folder


def serve(server: Server, tmp_path: Path, folder: Path, *arguments: str) -> Runner:
    return Runner(
        server,
        tmp_path / "log",
        "model",
        *("models", "serve", str(folder), "--port", "0", *arguments),
        *("--", "python", str(SERVER), "$PORT"),
        venv="memory",
    )


def answer(runner: Runner, path: str) -> dict[str, str]:
    got = requests.get(runner.url() + path, timeout=120)
    assert got.status_code == 200, got.json()["error"] + runner.text
    return got.json()


def test_a_model_is_served_as_in_model_serving(apps_server: Server, tmp_path: Path) -> None:
    api = Api(apps_server.http, apps_server.token)
    api.create_instance("shop")
    api.wait_for_state("shop", "AVAILABLE")
    folder = model(tmp_path, MLMODEL.format(flag="      on_behalf_of_user: true"))
    credentials = tmp_path / "credentials"
    runner = serve(apps_server, tmp_path, folder, "--credentials-dir", str(credentials))
    try:
        runner.url()
        app = api.ok("GET", "/api/2.0/apps/model-my-model")
        assert answer(runner, "/")["user"] == app["service_principal_client_id"]
        assert answer(runner, "/user")["user"] == api.user_name()

        token_file = credentials / "model-dependencies-oauth-token"
        assert token_file.stat().st_mode & 0o777 == 0o600
        first = token_file.read_text()
        eventually(token_file.read_text, "the token is renewed", until=first.__ne__)
        assert api.ok("GET", "/api/2.0/apps/model-my-model")["app_status"]["state"] == "RUNNING"
    finally:
        runner.close()
    assert runner.process.returncode == 0
    # Served again, it is the same identity.
    again = serve(apps_server, tmp_path, folder)
    try:
        assert answer(again, "/")["user"] == app["service_principal_client_id"]
    finally:
        again.close()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("flavors: {}\n", "declares no Lakebase resource"),
        ("resources:\n  databricks:\n    lakebase: shop\n", "line 3"),
        (MLMODEL.format(flag="").replace("shop", "nowhere"), "not found"),
    ],
)
def test_a_model_that_cannot_be_served_says_why(
    server: Server, api: Api, tmp_path: Path, text: str, problem: str
) -> None:
    runner = serve(server, tmp_path, model(tmp_path, text))
    assert runner.ends() != 0
    assert problem in runner.text
    api.refused(404, "GET", "/api/2.0/apps/model-my-model")


def test_a_folder_without_a_model(server: Server, tmp_path: Path) -> None:
    runner = serve(server, tmp_path, tmp_path)
    assert runner.ends() == 2
    assert "MLmodel" in runner.text
