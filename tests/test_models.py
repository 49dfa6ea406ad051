"""`lakeport models serve`: the identity and the token file of Model Serving."""

import os
import subprocess
from pathlib import Path

import pytest
import requests

from kit.api import Api
from kit.runner import Runner
from kit.names import unique
from kit.server import REPO, Server, clean_environment
from kit.waiting import eventually

MLFLOW = REPO / "target/venv/mlflow"
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


# --- What serves a model if nothing else is named ----------------------------------------------

# The same model as in the guide, logged by MLflow itself.
LOG_A_MODEL = """
import sys
import mlflow
from mlflow.models.resources import DatabricksLakebase

class Agent(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input: list[str]) -> list[str]:
        from databricks.sdk import WorkspaceClient
        return [WorkspaceClient().current_user.me().user_name for _ in model_input]

mlflow.pyfunc.save_model(
    path=sys.argv[1],
    python_model=Agent(),
    resources=[DatabricksLakebase(database_instance_name=sys.argv[2])],
)
"""


def usual(server: Server, tmp_path: Path, folder: Path, venv: str) -> Runner:
    arguments = ("models", "serve", str(folder), "--port", "0", "--name", unique("m"))
    return Runner(server, tmp_path / "log", "model", *arguments, venv=venv)


def test_mlflow_serves_a_model(server: Server, api: Api, instance: dict, tmp_path: Path) -> None:
    if not (MLFLOW / "bin/mlflow").exists():
        pytest.skip("no MLflow: python -m venv target/venv/mlflow and pip install mlflow there")
    folder = tmp_path / "agent"
    made = subprocess.run(
        [MLFLOW / "bin/python", "-c", LOG_A_MODEL, folder, instance["name"]],
        env=clean_environment() | {"HOME": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert made.returncode == 0, made.stderr
    runner = usual(server, tmp_path, folder, "mlflow")
    try:
        url = runner.url() + "/invocations"
        answer = requests.post(url, json={"inputs": ["who are you?"]}, timeout=120)
        assert answer.status_code == 200, answer.text + runner.text
        (user,) = answer.json()["predictions"]
        apps = api.ok("GET", "/api/2.0/apps")["apps"]
        assert user in [app["service_principal_client_id"] for app in apps]
    finally:
        runner.close()


def test_without_mlflow_it_is_said_what_to_install(
    server: Server, instance: dict, tmp_path: Path
) -> None:
    assert not any((Path(p) / "mlflow").exists() for p in os.environ["PATH"].split(":"))
    folder = model(tmp_path, MLMODEL.format(flag="").replace("shop", instance["name"]))
    runner = usual(server, tmp_path, folder, "kit")
    assert runner.ends() == 1
    said = f"mlflow models serve --model-uri {folder} --env-manager local --host 127.0.0.1 --port "
    assert f"starting: {said}" in runner.text
    assert "error: `mlflow` cannot be started" in runner.text
    assert "pip install mlflow, or say after `--`" in runner.text
