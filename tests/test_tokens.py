"""Personal access tokens and the secrets of service principals."""

from databricks.sdk import WorkspaceClient

from kit.api import Api
from kit.identities import SCIM, machine
from kit.server import Server
from kit.waiting import eventually


def test_life_of_a_personal_token(server: Server, workspace: WorkspaceClient) -> None:
    made = workspace.tokens.create(comment="ci", lifetime_seconds=3600)
    lifetime = made.token_info.expiry_time - made.token_info.creation_time
    # Two clocks take part: the server's and its metadata database's.
    assert abs(lifetime - 3_600_000) < 60_000
    api = Api(server.http, made.token_value)
    assert api.user_name() == workspace.current_user.me().user_name
    listed = {t.token_id: t for t in workspace.tokens.list()}
    assert listed[made.token_info.token_id].comment == "ci"
    assert made.token_value not in str(listed)
    workspace.tokens.delete(token_id=made.token_info.token_id)
    assert api.send("GET", f"{SCIM}/Me").status_code == 401
    api = Api(server.http, server.token)
    api.refused(404, "POST", "/api/2.0/token/delete", {"token_id": made.token_info.token_id})


def test_token_without_an_end_and_with_a_short_one(api: Api) -> None:
    for_ever = api.ok("POST", "/api/2.0/token/create", {})
    assert for_ever["token_info"]["expiry_time"] == -1
    api.ok("POST", "/api/2.0/token/delete", {"token_id": for_ever["token_info"]["token_id"]})
    short = api.ok("POST", "/api/2.0/token/create", {"lifetime_seconds": 1})
    eventually(
        lambda: Api(api.url, short["token_value"]).send("GET", f"{SCIM}/Me").status_code,
        "the token ends",
        until=lambda status: status == 401,
    )
    for bad in (0, -1, 10**12):
        refusal = api.refused(400, "POST", "/api/2.0/token/create", {"lifetime_seconds": bad})
        assert "lifetime_seconds" in refusal.message


def test_secret_is_shown_once_and_ends_its_tokens(
    api: Api, workspace: WorkspaceClient
) -> None:
    with machine(api) as job:
        token = job.access_token(api.url)
        own = Api(api.url, token)
        assert own.user_name() == job.client_id
        secrets = list(workspace.service_principal_secrets_proxy.list(job.id))
        assert [s.id for s in secrets] == [job.secret_id]
        assert job.secret not in str(secrets)
        path = f"/api/2.0/accounts/servicePrincipals/{job.id}/credentials/secrets"
        api.refused(400, "POST", path, {"lifetime": "soon"})
        api.ok("DELETE", f"{path}/{job.secret_id}")
        assert own.send("GET", f"{SCIM}/Me").status_code == 401
        api.refused(404, "DELETE", f"{path}/{job.secret_id}")


def test_who_is_no_administrator_sees_itself_alone(api: Api) -> None:
    with machine(api) as job:
        own = Api(api.url, job.access_token(api.url))
        assert [sp["id"] for sp in own.ok("GET", f"{SCIM}/ServicePrincipals")["Resources"]] == [
            job.id
        ]
        assert own.ok("GET", f"{SCIM}/Users")["Resources"] == []
        admin = api.ok("GET", f"{SCIM}/Me")
        refused = [
            ("GET", f"{SCIM}/Users/{admin['id']}", None, 404),
            ("POST", f"{SCIM}/Users", {"userName": "x@example.com"}, 403),
            ("DELETE", f"{SCIM}/ServicePrincipals/{job.id}", None, 403),
            ("PUT", f"{SCIM}/ServicePrincipals/{job.id}", {"displayName": "x"}, 403),
            ("POST", "/api/2.0/database/instances", {"name": "x"}, 403),
            ("POST", "/api/2.0/database/credentials", {"instance_names": ["x"]}, 404),
            ("POST", "/api/2.1/unity-catalog/catalogs", {"name": "x"}, 403),
            ("POST", "/api/2.0/lakeport/login-links", {"user_name": admin["userName"]}, 403),
            (
                "POST",
                f"/api/2.0/accounts/servicePrincipals/{job.id}/credentials/secrets",
                {},
                403,
            ),
        ]
        for method, path, body, status in refused:
            assert own.send(method, path, body).status_code == status, (method, path)


def test_a_deleted_service_principal_is_out_at_once(api: Api) -> None:
    with machine(api) as job:
        own = Api(api.url, job.access_token(api.url))
        assert own.send("GET", f"{SCIM}/Me").status_code == 200
        api.send("DELETE", f"{SCIM}/ServicePrincipals/{job.id}")
        assert own.send("GET", f"{SCIM}/Me").status_code == 401
