"""Machines log in by client credentials; their access tokens are PostgreSQL passwords too."""

import subprocess
from pathlib import Path
from typing import Any

import jwt
import psycopg
import pytest
import requests
from databricks.sdk import WorkspaceClient

from kit.api import Api
from kit.identities import SCIM, Machine, machine, patch
from kit.login import Login
from kit.server import REPO, Server, clean_environment
from kit.tokens import altered, signed_by_a_stranger, unsigned

VENVS = REPO / "target" / "venv"
SCRIPT = Path(__file__).with_name("sdk_m2m_script.py")


def post(api: Api, auth: tuple[str, str] | None = None, **form: Any) -> requests.Response:
    return requests.post(f"{api.url}/oidc/v1/token", data=form, auth=auth, timeout=30)


def granted(api: Api, job: Machine) -> dict[str, Any]:
    answer = post(api, (job.client_id, job.secret), grant_type="client_credentials")
    assert answer.status_code == 200, answer.text
    assert answer.headers["Cache-Control"] == "no-store"
    return answer.json()


def refused(answer: requests.Response, status: int, error: str) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"].startswith("application/json")
    body = answer.json()
    assert (body["error"], set(body)) == (error, {"error", "error_description"})


@pytest.mark.parametrize("environment", ["sdk-0.61.0", "sdk-0.81.0", "kit"])
def test_machine_at_work(server: Server, api: Api, environment: str) -> None:
    with machine(api, admin=True) as job:
        run = subprocess.run(
            [VENVS / environment / "bin" / "python", SCRIPT],
            env=clean_environment()
            | {
                "DATABRICKS_HOST": server.http,
                "DATABRICKS_CLIENT_ID": job.client_id,
                "DATABRICKS_CLIENT_SECRET": job.secret,
            },
            capture_output=True,
            text=True,
            timeout=300,
        )
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines()[-1] == "ok"


def test_discovery_leads_to_endpoints_that_answer(api: Api) -> None:
    metadata = requests.get(f"{api.url}/.well-known/databricks-config", timeout=30).json()
    assert metadata["oidc_endpoint"] == f"{api.url}/oidc"
    found = requests.get(
        f"{metadata['oidc_endpoint']}/.well-known/oauth-authorization-server", timeout=30
    ).json()
    for endpoint in ("token_endpoint", "authorization_endpoint", "revocation_endpoint"):
        assert found[endpoint].startswith(f"{api.url}/oidc/"), found
    with machine(api) as job:
        token = granted(api, job)["access_token"]
        key = jwt.PyJWKClient(found["jwks_uri"]).get_signing_key_from_jwt(token)
        audience = jwt.decode(token, options={"verify_signature": False})["aud"]
        claims = jwt.decode(token, key.key, algorithms=["ES256"], audience=audience)
    assert claims["sub"] == job.client_id
    assert claims["exp"] - claims["iat"] == 3600


def test_client_may_authenticate_in_the_form(api: Api) -> None:
    with machine(api) as job:
        form = {"client_id": job.client_id, "client_secret": job.secret}
        answer = post(api, grant_type="client_credentials", scope="all-apis", **form)
        assert answer.status_code == 200
        assert answer.json()["token_type"].lower() == "bearer"
        both = post(
            api, (job.client_id, job.secret), grant_type="client_credentials", **form
        )
        refused(both, 400, "invalid_request")


def test_malformed_requests_are_refused_in_json(api: Api) -> None:
    with machine(api) as job, machine(api) as other:
        right = (job.client_id, job.secret)
        credentials = {"grant_type": "client_credentials"}
        for wrong in (
            (job.client_id, "wrong"),
            (job.client_id, other.secret),
            (job.client_id, ""),
            ("unknown", job.secret),
            ("databricks-cli", job.secret),
        ):
            refused(post(api, wrong, **credentials), 401, "invalid_client")
        refused(post(api, right), 400, "invalid_request")
        refused(post(api, **credentials), 400, "invalid_request")
        refused(post(api, right, grant_type="password"), 400, "unsupported_grant_type")
        refused(post(api, right, scope="everything", **credentials), 400, "invalid_scope")
        public = post(api, client_id="databricks-cli", **credentials)
        refused(public, 400, "unauthorized_client")
        twice = requests.post(
            f"{api.url}/oidc/v1/token",
            data="grant_type=client_credentials&grant_type=client_credentials",
            headers={"Content-Type": "application/x-www-form-urlencoded"},
            auth=right,
            timeout=30,
        )
        refused(twice, 400, "invalid_request")
        as_json = requests.post(
            f"{api.url}/oidc/v1/token", json=credentials, auth=right, timeout=30
        )
        refused(as_json, 400, "invalid_request")


def test_sdk_reports_a_wrong_secret(server: Server, api: Api) -> None:
    with machine(api) as job:
        with pytest.raises(ValueError, match="invalid_client"):
            WorkspaceClient(
                host=server.http, client_id=job.client_id, client_secret="wrong"
            ).current_user.me()


def test_tampered_tokens_open_nothing(api: Api, instance: dict) -> None:
    with machine(api, admin=True) as job:
        token = granted(api, job)["access_token"]
        admin = api.ok("GET", f"{SCIM}/Me")
        for bad in (
            unsigned(token),
            altered(token, principal=int(admin["id"]), sub=admin["userName"]),
            signed_by_a_stranger(token),
            # Neither kind of token passes for the other.
            api.credential(instance["name"]),
        ):
            assert Api(api.url, bad).send("GET", f"{SCIM}/Me").status_code == 401
        for bad in (unsigned(token), altered(token, exp=2**31), signed_by_a_stranger(token)):
            with pytest.raises(psycopg.OperationalError, match="authentication failed"):
                Login(instance["read_write_dns"], job.client_id, bad).connect()


def test_access_token_opens_the_role_of_its_owner_alone(
    api: Api, instance: dict
) -> None:
    with machine(api, admin=True) as job:
        token = granted(api, job)["access_token"]
        # The token of one principal does not open the role of another.
        with pytest.raises(psycopg.OperationalError, match="authentication failed"):
            Login(instance["read_write_dns"], api.user_name(), token).connect()
    with machine(api) as stranger:
        token = granted(api, stranger)["access_token"]
        with pytest.raises(psycopg.OperationalError, match="authentication failed"):
            Login(instance["read_write_dns"], stranger.client_id, token).connect()


def test_revoked_access_token_is_refused(api: Api) -> None:
    with machine(api) as job, machine(api) as other:
        token = granted(api, job)["access_token"]
        revoke = f"{api.url}/oidc/v1/revoke"
        own = Api(api.url, token)
        foreign = requests.post(
            revoke, data={"token": token}, auth=(other.client_id, other.secret), timeout=30
        )
        assert (foreign.status_code, own.send("GET", f"{SCIM}/Me").status_code) == (200, 200)
        answer = requests.post(
            revoke, data={"token": token}, auth=(job.client_id, job.secret), timeout=30
        )
        assert (answer.status_code, own.send("GET", f"{SCIM}/Me").status_code) == (200, 401)


def test_deactivated_owner_logs_in_with_nothing(api: Api, name: str) -> None:
    with machine(api, admin=True) as job:
        token = granted(api, job)["access_token"]
        own = Api(api.url, token)
        own.create_instance(name)
        host = own.wait_for_state(name, "AVAILABLE")["read_write_dns"]
        logins = [Login(host, job.client_id, p) for p in (token, own.credential(name))]
        for login in logins:
            assert login.value("SELECT 1") == 1
        with logins[0].connect() as open_session:
            inactive = {"op": "replace", "path": "active", "value": False}
            patch(api, f"ServicePrincipals/{job.id}", inactive)
            for login in logins:
                with pytest.raises(psycopg.OperationalError, match="authentication failed"):
                    login.connect()
            assert open_session.execute("SELECT 1").fetchone() == (1,)
        refused(
            post(api, (job.client_id, job.secret), grant_type="client_credentials"),
            401,
            "invalid_client",
        )
    api.delete_instance(name)
