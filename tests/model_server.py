"""A model server for test_models.py: each request is a login with what Model Serving gives.

    model_server.py PORT
"""

import json
import sys
import traceback
import uuid
from http.server import BaseHTTPRequestHandler, HTTPServer

import psycopg
from databricks.sdk import WorkspaceClient

INSTANCE = "shop"


def login(workspace: WorkspaceClient) -> str:
    """The role that the workspace's identity is in the instance."""
    credential = workspace.database.generate_database_credential(
        request_id=str(uuid.uuid4()), instance_names=[INSTANCE]
    )
    with psycopg.connect(
        host=workspace.database.get_database_instance(INSTANCE).read_write_dns,
        user=workspace.current_user.me().user_name,
        password=credential.token,
        dbname="databricks_postgres",
        sslmode="require",
    ) as connection:
        return connection.execute("SELECT current_user").fetchone()[0]


def on_behalf_of_user() -> WorkspaceClient:
    from databricks_ai_bridge import ModelServingUserCredentials

    return WorkspaceClient(credentials_strategy=ModelServingUserCredentials())


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        try:
            workspace = on_behalf_of_user() if self.path == "/user" else WorkspaceClient()
            status, answer = 200, {"user": login(workspace)}
        except Exception:  # noqa: BLE001 - shown to the test
            status, answer = 500, {"error": traceback.format_exc()}
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())


HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
