"""A Flask app whose PostgreSQL password is an access token of the workspace."""

import os

import psycopg
from databricks.sdk import WorkspaceClient
from flask import Flask, jsonify

app = Flask(__name__)
workspace = WorkspaceClient()
SCHEMA = f'"{os.environ["PGAPPNAME"]}_schema_{os.environ["PGUSER"].replace("-", "")}"'


def connect() -> psycopg.Connection:
    # Host, port, user, database and sslmode come from the environment.
    return psycopg.connect(password=workspace.config.oauth_token().access_token, autocommit=True)


@app.get("/")
def visit():
    with connect() as connection:
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
        connection.execute(f"CREATE TABLE IF NOT EXISTS {SCHEMA}.visits (at timestamptz)")
        connection.execute(f"INSERT INTO {SCHEMA}.visits VALUES (now())")
        visits = connection.execute(f"SELECT count(*) FROM {SCHEMA}.visits").fetchone()[0]
        user = connection.execute("SELECT current_user").fetchone()[0]
    return jsonify(greeting=os.environ["GREETING"], user=user, visits=visits)
