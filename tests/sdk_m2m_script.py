"""A service principal at work through one version of the official SDK; run by test_oauth_m2m.py.

Needs DATABRICKS_HOST, DATABRICKS_CLIENT_ID and DATABRICKS_CLIENT_SECRET of an administrator. Ends with
the line "ok".
"""

import os
import uuid

import psycopg
from databricks.sdk import WorkspaceClient
from databricks.sdk.errors import NotFound
from databricks.sdk.service.database import DatabaseInstance


def main() -> None:
    w = WorkspaceClient()
    assert w.config.auth_type == "oauth-m2m", w.config.auth_type
    user = w.current_user.me().user_name
    assert user == os.environ["DATABRICKS_CLIENT_ID"], user
    assert w.get_workspace_id() > 0
    name = f"m2m{uuid.uuid4().hex[:10]}"
    made = w.database.create_database_instance(DatabaseInstance(name=name, capacity="CU_1"))
    try:
        host = made.result().read_write_dns
        log_in(host, user, access_token(w))
        credential = w.database.generate_database_credential(
            request_id=str(uuid.uuid4()), instance_names=[name]
        )
        log_in(host, user, credential.token)
    finally:
        w.database.delete_database_instance(name=name, purge=True)
    lists_end(w)
    print("ok")


def access_token(w: WorkspaceClient) -> str:
    return w.config.authenticate()["Authorization"].split(" ")[1]


def log_in(host: str, user: str, password: str) -> None:
    with psycopg.connect(
        host=host, dbname="databricks_postgres", user=user, password=password, sslmode="require"
    ) as connection:
        assert connection.execute("SELECT current_user").fetchone() == (user,)


def lists_end(w: WorkspaceClient) -> None:
    name = w.config.client_id
    found = list(w.service_principals.list(filter=f'applicationId eq "{name}"'))
    assert [sp.application_id for sp in found] == [name], found
    assert any(g.display_name == "admins" for g in w.groups.list())
    users = [u.id for u in w.users.list()]
    assert users and len(users) == len(set(users)), users
    try:
        w.users.get("1")
        raise AssertionError("an unknown user was found")
    except NotFound:
        pass


if __name__ == "__main__":
    main()
