"""A Streamlit app on SQLAlchemy; each new connection asks for an access token of the workspace."""

import json
import os

import streamlit as st
from databricks.sdk import WorkspaceClient
from sqlalchemy import URL, create_engine, event, text


@st.cache_resource
def engine():
    workspace = WorkspaceClient()
    made = create_engine(
        URL.create(
            "postgresql+psycopg",
            username=os.environ["PGUSER"],
            host=os.environ["PGHOST"],
            port=int(os.environ["PGPORT"]),
            database=os.environ["PGDATABASE"],
        ),
        pool_pre_ping=True,
    )

    @event.listens_for(made, "do_connect")
    def with_token(_dialect, _record, _arguments, parameters):
        parameters["password"] = workspace.config.oauth_token().access_token

    return made


with engine().begin() as connection:
    connection.execute(text("CREATE SCHEMA IF NOT EXISTS streamlit_app"))
    connection.execute(text("CREATE TABLE IF NOT EXISTS streamlit_app.visits (at timestamptz)"))
    connection.execute(text("INSERT INTO streamlit_app.visits VALUES (now())"))
    visits = connection.scalar(text("SELECT count(*) FROM streamlit_app.visits"))
    user = connection.scalar(text("SELECT current_user"))

st.text(json.dumps({"greeting": os.environ["GREETING"], "user": user, "visits": visits}))
