"""What `lakeport serve` promises to everybody: its files, its endpoints, its start and its end."""

import socket
import stat
import subprocess
from pathlib import Path

import requests
from databricks.sdk import WorkspaceClient

from kit.api import Api
from kit.server import Server, binary


def test_discovery_and_health_need_no_token(server: Server) -> None:
    assert requests.get(f"{server.http}/healthz", timeout=5).status_code == 200
    found = requests.get(f"{server.http}/.well-known/databricks-config", timeout=5).json()
    assert found["oidc_endpoint"] == f"{server.http}/oidc"
    assert found["account_id"] and str(found["workspace_id"]).isdigit()


def test_https_is_served_under_the_written_authority(server: Server) -> None:
    answer = requests.get(f"{server.https}/healthz", verify=str(server.ca_file), timeout=5)
    assert answer.status_code == 200


def test_profile_is_secret(server: Server) -> None:
    assert stat.S_IMODE(server.config_file.stat().st_mode) == 0o600


def test_profile_is_all_an_official_client_needs(workspace: WorkspaceClient, api: Api) -> None:
    assert workspace.current_user.me().user_name == api.user_name() == "admin@lakeport.local"
    assert workspace.get_workspace_id() > 0


def test_me_carries_the_workspace_id(api: Api) -> None:
    answer = api.send("GET", "/api/2.0/preview/scim/v2/Me")
    assert int(answer.headers["X-Databricks-Org-Id"]) > 0


def test_taken_http_port_is_named(server: Server) -> None:
    address = server.http.removeprefix("http://")
    ended = run_to_its_end(Server(http_addr=address))
    assert ended.returncode != 0 and address in ended.stdout


def test_a_listener_on_all_addresses_is_named() -> None:
    with socket.create_server(("0.0.0.0", 0)) as other:
        port = other.getsockname()[1]
        ended = run_to_its_end(Server("--pg-port", str(port)))
    assert ended.returncode != 0
    assert "all addresses" in ended.stdout and f"sport = :{port}" in ended.stdout


def test_a_second_server_on_the_data_directory_is_refused(server: Server) -> None:
    command = [str(binary()), "serve", "--data-dir", str(server.data_dir)]
    ended = subprocess.run(
        [*command, "--http-addr", "127.0.0.1:0"], capture_output=True, text=True, timeout=60
    )
    assert ended.returncode != 0 and str(server.data_dir) in ended.stderr


def test_unknown_setting_is_refused(tmp_path: Path) -> None:
    settings = tmp_path / "lakeport.toml"
    settings.write_text('htp_addr = "127.0.0.1:0"\n')
    ended = run_to_its_end(Server("--config", str(settings)))
    assert ended.returncode != 0 and "htp_addr" in ended.stdout


def run_to_its_end(server: Server) -> subprocess.CompletedProcess[str]:
    try:
        return server.run_to_its_end()
    finally:
        server.close()


def test_stop_and_start_keep_instances_and_tokens(own_server: Server, name: str) -> None:
    api = Api(own_server.http, own_server.token)
    api.create_instance(name)
    before = api.wait_for_state(name, "AVAILABLE")
    assert own_server.stop() == 0
    own_server.start()
    # The token of before the restart: clients keep theirs for an hour.
    after = api.wait_for_state(name, "AVAILABLE")
    assert (after["uid"], after["read_write_dns"]) == (before["uid"], before["read_write_dns"])
