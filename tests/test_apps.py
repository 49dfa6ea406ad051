"""Apps through the API: states as the SDK polls them, identity, rights in databases."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
import requests
from databricks.sdk import WorkspaceClient
from databricks.sdk.errors import NotFound
from databricks.sdk.service.apps import (
    App,
    AppDeployment,
    AppResource,
    AppResourceDatabase,
    AppResourceDatabaseDatabasePermission,
)
from psycopg import errors

from kit.api import Api
from kit.identities import SCIM, principal
from kit.login import Login
from kit.names import unique
from kit.oauth import Flow
from kit.server import Server
from kit.waiting import eventually

APPS = "/api/2.0/apps"
RUNS = "/api/2.0/lakeport/apps"
DATABASE = "databricks_postgres"
PASSWORD = "a long enough password"


def resource(instance: str, database: str = DATABASE, key: str = "lakebase") -> dict[str, Any]:
    return {
        "name": key,
        "database": {
            "instance_name": instance,
            "database_name": database,
            "permission": "CAN_CONNECT_AND_CREATE",
        },
    }


@contextmanager
def an_app(api: Api, *resources: dict[str, Any], **fields: Any) -> Iterator[dict[str, Any]]:
    body = {"name": unique("app"), "resources": list(resources), **fields}
    made_app = api.ok("POST", APPS, body)
    try:
        yield made_app
    finally:
        delete(api, made_app["name"])


def delete(api: Api, name: str) -> None:
    assert api.send("DELETE", f"{APPS}/{name}").status_code in (200, 404)
    eventually(
        lambda: api.send("GET", f"{APPS}/{name}").status_code,
        f"app {name} is gone",
        until=lambda status: status == 404,
    )


def token_of(api: Api, run: dict[str, Any]) -> str:
    """An access token of the app, as its process gets it."""
    answer = requests.post(
        f"{api.url}/oidc/v1/token",
        data={"grant_type": "client_credentials", "scope": "all-apis"},
        auth=(run["client_id"], run["client_secret"]),
        timeout=30,
    )
    assert answer.status_code == 200, answer.text
    return answer.json()["access_token"]


def login_of(api: Api, app: dict[str, Any], host: str, dbname: str = DATABASE) -> Login:
    run = api.ok("POST", f"{RUNS}/{app['name']}/runs", {})
    return Login(host, run["client_id"], token_of(api, run), dbname)


# --- The SDK's own way ----------------------------------------------------------------------------


def test_life_through_the_sdk(workspace: WorkspaceClient, instance: dict[str, Any]) -> None:
    name = unique("app")
    database = AppResourceDatabase(
        instance_name=instance["name"],
        database_name=DATABASE,
        permission=AppResourceDatabaseDatabasePermission.CAN_CONNECT_AND_CREATE,
    )
    app = workspace.apps.create(
        App(name=name, resources=[AppResource(name="lakebase", database=database)])
    ).result()
    assert app.compute_status.state.value == "ACTIVE"
    assert app.app_status.state.value == "UNAVAILABLE"
    assert "lakeport apps run" in app.app_status.message
    assert app.resources[0].database.as_dict() == database.as_dict()

    found = workspace.service_principals.get(str(app.service_principal_id))
    assert found.application_id == app.service_principal_client_id
    assert found.display_name == app.service_principal_name and name in found.display_name

    deployment = workspace.apps.deploy(name, AppDeployment(source_code_path="/srv/app")).result()
    assert deployment.status.state.value == "SUCCEEDED"
    assert workspace.apps.get(name).active_deployment.source_code_path == "/srv/app"
    again = workspace.apps.deploy(name, AppDeployment()).result()
    listed = [d.deployment_id for d in workspace.apps.list_deployments(name)]
    assert listed == [again.deployment_id, deployment.deployment_id]

    assert workspace.apps.stop(name).result().compute_status.state.value == "STOPPED"
    assert workspace.apps.start(name).result().compute_status.state.value == "ACTIVE"
    updated = workspace.apps.update(name, App(name=name, description="shows orders"))
    assert (updated.description, len(updated.resources)) == ("shows orders", 1)
    finished = workspace.apps.create_update(
        name, "description,resources", app=App(name=name, description="nothing")
    ).result()
    assert finished.status.state.value == "SUCCEEDED"
    assert (finished.description, finished.resources) == ("nothing", [])
    assert name in [a.name for a in workspace.apps.list()]

    workspace.apps.delete(name)
    with pytest.raises(NotFound):
        workspace.apps.get(name)
    with pytest.raises(NotFound):
        workspace.service_principals.get(str(app.service_principal_id))


def test_what_is_wrong_is_named_and_nothing_is_made(api: Api, instance: dict[str, Any]) -> None:
    good = resource(instance["name"])
    broken = {**good, "database": {**good["database"], "permission": "CAN_READ"}}
    for body, code, start in [
        ({}, "INVALID_PARAMETER_VALUE", "name: "),
        ({"name": "A"}, "INVALID_PARAMETER_VALUE", "name: "),
        ({"name": "x" * 31}, "INVALID_PARAMETER_VALUE", "name: "),
        ({"name": "bad-app", "color": 1}, "INVALID_PARAMETER_VALUE", "color: "),
        (
            {"name": "bad-app", "resources": [good, good]},
            "INVALID_PARAMETER_VALUE",
            "resources[1].name: ",
        ),
        (
            {"name": "bad-app", "resources": [broken]},
            "INVALID_PARAMETER_VALUE",
            "resources[0].database.permission: ",
        ),
        (
            {"name": "bad-app", "resources": [resource(instance["name"], "nowhere")]},
            "INVALID_PARAMETER_VALUE",
            "resources[0].database.database_name: ",
        ),
    ]:
        refusal = api.refused(400, "POST", APPS, body)
        assert refusal.code == code and refusal.message.startswith(start), refusal
    refusal = api.refused(404, "POST", APPS, {"name": "bad-app", "resources": [resource("nope")]})
    assert "nope" in refusal.message and "not found" in refusal.message
    job = {"name": "x", "job": {"id": "1", "permission": "CAN_VIEW"}}
    refusal = api.refused(400, "POST", APPS, {"name": "bad-app", "resources": [job]})
    assert refusal.message.startswith("resources[0].job: ")
    api.refused(404, "GET", f"{APPS}/bad-app")
    assert not api.ok(
        "GET", f"{SCIM}/ServicePrincipals", filter='displayName co "bad-app"'
    ).get("Resources")


def test_a_name_is_taken_once(api: Api) -> None:
    with an_app(api) as app:
        refusal = api.refused(409, "POST", APPS, {"name": app["name"]})
        assert "already exists" in refusal.message
        identity = f"{SCIM}/ServicePrincipals/{app['service_principal_id']}"
        assert api.send("DELETE", identity).status_code == 400


# --- Rights in databases --------------------------------------------------------------------------


def test_an_app_connects_and_creates(api: Api, instance: dict[str, Any]) -> None:
    with an_app(api, resource(instance["name"])) as app:
        login = login_of(api, app, instance["read_write_dns"])
        with login.connect() as session:
            assert session.execute("SELECT current_user").fetchone() == (login.user,)
            session.execute(f"CREATE SCHEMA {app['name']}")
            session.execute(f"CREATE TABLE {app['name']}.t (id int)")
            # As on the cloud service: what is not given by the permission is not given.
            with pytest.raises(errors.InsufficientPrivilege):
                session.execute("CREATE TABLE public.of_an_app (id int)")
        own = Api(api.url, login.password)
        credential = own.ok(
            "POST",
            "/api/2.0/database/credentials",
            {"instance_names": [instance["name"]], "request_id": "x"},
        )
        assert Login(login.host, login.user, credential["token"]).value("SELECT 1") == 1
        assert own.ok("GET", f"/api/2.0/database/instances/{instance['name']}")["name"]
        own.refused(404, "GET", f"{APPS}/{app['name']}")


def test_what_an_app_owned_is_handed_over(api: Api, own_instance: dict[str, Any]) -> None:
    name, host = own_instance["name"], own_instance["read_write_dns"]
    owner = Login.to(api, own_instance)
    with owner.connect() as session:
        session.execute("CREATE DATABASE shop")
        session.execute("CREATE DATABASE store")
    two = [resource(name, "shop", "shop"), resource(host, "store", "store")]
    with an_app(api, *two) as app:
        for database in ("shop", "store"):
            with login_of(api, app, host, database).connect() as session:
                session.execute("CREATE SCHEMA mine; CREATE TABLE mine.t (id int)")
        path = f"{APPS}/{app['name']}"

        # One of two databases: the other one stays as it was.
        left = api.ok("PATCH", path, {"resources": two[1:]})
        assert [r["name"] for r in left["resources"]] == ["store"]
        assert table_owner(owner, "shop") == owner.user
        assert table_owner(owner, "store") == app["service_principal_client_id"]
        with login_of(api, app, host, "store").connect() as session:
            session.execute("CREATE SCHEMA another")
        with login_of(api, app, host, "shop").connect() as session:
            with pytest.raises(errors.InsufficientPrivilege):
                session.execute("CREATE SCHEMA another")

        # The last one: the role goes, and with it every login.
        last = login_of(api, app, host, "store")
        api.ok("PATCH", path, {"resources": []})
        assert table_owner(owner, "store") == owner.user
        assert owner.value(
            f"SELECT count(*) FROM pg_roles WHERE rolname = '{last.user}'"
        ) == 0
        with pytest.raises(psycopg.OperationalError, match="authentication failed|does not exist"):
            last.connect()


def table_owner(owner: Login, database: str) -> str:
    with owner.connect(dbname=database) as session:
        found = session.execute("SELECT tableowner FROM pg_tables WHERE schemaname = 'mine'")
        return found.fetchone()[0]


def test_what_cannot_be_done_now_is_done_later(api: Api, own_instance: dict[str, Any]) -> None:
    name = own_instance["name"]
    app = api.ok("POST", APPS, {"name": unique("app"), "resources": [resource(name)]})
    path = f"{APPS}/{app['name']}"
    instances = f"/api/2.0/database/instances/{name}"
    api.ok("PATCH", instances, {"stopped": True}, update_mask="stopped")
    api.wait_for_state(name, "STOPPED")
    refusal = api.refused(400, "PATCH", path, {"resources": [resource(name, "postgres")]})
    assert "AVAILABLE" in refusal.message

    run = api.ok("POST", f"{RUNS}/{app['name']}/runs", {})
    api.ok("DELETE", path)
    seen = api.ok("GET", path)
    assert seen["compute_status"]["state"] == "DELETING"
    # The identity is dead from the first moment on.
    answer = requests.post(
        f"{api.url}/oidc/v1/token",
        data={"grant_type": "client_credentials"},
        auth=(run["client_id"], run["client_secret"]),
        timeout=30,
    )
    assert answer.status_code == 401, answer.text
    api.ok("PATCH", instances, {"stopped": False}, update_mask="stopped")
    api.wait_for_state(name, "AVAILABLE")
    delete(api, app["name"])
    count = Login.to(api, own_instance).value(
        f"SELECT count(*) FROM pg_roles WHERE rolname = '{run['client_id']}'"
    )
    assert count == 0


def test_public_schema_by_setting(apps_server: Server) -> None:
    api = Api(apps_server.http, apps_server.token)
    name = unique("i")
    api.create_instance(name)
    host = api.wait_for_state(name, "AVAILABLE")["read_write_dns"]
    with an_app(api, resource(name)) as app:
        with login_of(api, app, host).connect() as session:
            session.execute("CREATE TABLE public.of_an_app (id int)")
    api.delete_instance(name)


# --- Who may --------------------------------------------------------------------------------------


def test_an_app_needs_who_manages_the_instance(api: Api, instance: dict[str, Any]) -> None:
    person = {"userName": f"{unique('u')}@x.y", "password": PASSWORD}
    with principal(api, "Users", **person) as user:
        tokens = Flow(api.url).tokens(user["userName"], PASSWORD)
        theirs = Api(api.url, tokens["access_token"])
        body = {"name": unique("app"), "resources": [resource(instance["name"])]}
        theirs.refused(404, "POST", APPS, body)
        path = f"/api/2.0/permissions/database-instances/{instance['name']}"
        grant = {"user_name": user["userName"], "permission_level": "CAN_USE"}
        api.ok("PATCH", path, {"access_control_list": [grant]})
        theirs.refused(403, "POST", APPS, body)
        grant["permission_level"] = "CAN_MANAGE"
        api.ok("PATCH", path, {"access_control_list": [grant]})
        theirs.ok("POST", APPS, body)
        assert [a["name"] for a in theirs.ok("GET", APPS)["apps"]] == [body["name"]]

        # An app that became an administrator is not a way for its maker to become one.
        app = theirs.ok("GET", f"{APPS}/{body['name']}")
        admins = api.ok("GET", f"{SCIM}/Groups", filter='displayName eq "admins"')["Resources"][0]
        member = [{"value": str(app["service_principal_id"])}]
        operation = {"op": "add", "path": "members", "value": member}
        api.ok("PATCH", f"{SCIM}/Groups/{admins['id']}", {"Operations": [operation]})
        theirs.refused(403, "POST", f"{RUNS}/{body['name']}/runs", {})
        delete(api, body["name"])


# --- Runs -----------------------------------------------------------------------------------------


def test_a_run_reports_and_is_told(api: Api, instance: dict[str, Any]) -> None:
    with an_app(api, resource(instance["name"])) as app:
        runs = f"{RUNS}/{app['name']}/runs"
        first = api.ok("POST", runs, {})
        deployment = api.ok(
            "POST", f"{APPS}/{app['name']}/deployments", {"source_code_path": "/srv/app"}
        )
        assert deployment["status"]["state"] == "IN_PROGRESS"
        orders = api.ok("PUT", f"{runs}/{first['run_id']}", {"state": "STARTING"})
        assert orders["deployment"]["deployment_id"] == deployment["deployment_id"]
        assert orders["resources"] == {"lakebase": instance["read_write_dns"]}
        environment = orders["environment"]
        assert environment.pop("DATABRICKS_WORKSPACE_ID")
        assert environment == {
            "DATABRICKS_APP_NAME": app["name"],
            "DATABRICKS_CLIENT_ID": app["service_principal_client_id"],
            "LAKEBASE_INSTANCE_NAME": instance["name"],
            "PGAPPNAME": app["name"],
            "PGDATABASE": DATABASE,
            "PGHOST": instance["read_write_dns"],
            "PGPORT": "5432",
            "PGSSLMODE": "require",
            "PGUSER": app["service_principal_client_id"],
        }
        up = {
            "state": "RUNNING",
            "message": "up",
            "url": "http://localhost:8000",
            "deployment": {
                "deployment_id": deployment["deployment_id"],
                "succeeded": True,
                "message": "up",
            },
        }
        api.ok("PUT", f"{runs}/{first['run_id']}", up)
        seen = api.ok("GET", f"{APPS}/{app['name']}")
        assert (seen["app_status"]["state"], seen["url"]) == ("RUNNING", "http://localhost:8000")
        assert "pending_deployment" not in seen
        stopping = api.ok("POST", f"{APPS}/{app['name']}/stop", {})
        assert stopping["compute_status"]["state"] == "STOPPING"
        api.refused(400, "POST", f"{APPS}/{app['name']}/deployments", {})

        # A second run takes over: the first one hears of it, and its secret is dead.
        second = api.ok("POST", runs, {})
        refusal = api.refused(409, "PUT", f"{runs}/{first['run_id']}", {"state": "RUNNING"})
        assert "another one" in refusal.message
        answer = requests.post(
            f"{api.url}/oidc/v1/token",
            data={"grant_type": "client_credentials"},
            auth=(first["client_id"], first["client_secret"]),
            timeout=30,
        )
        assert answer.status_code == 401
        api.refused(400, "PUT", f"{runs}/{second['run_id']}", {"state": "HAPPY"})
        api.ok("DELETE", f"{runs}/{second['run_id']}")
        seen = api.ok("GET", f"{APPS}/{app['name']}")
        assert seen["app_status"]["state"] == "UNAVAILABLE"
        assert seen["compute_status"]["state"] == "STOPPED"
