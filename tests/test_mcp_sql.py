"""The SQL tools: what an agent sees, what it may change, and that reading changes nothing."""

import signal
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest

from kit.api import Api
from kit.login import Login
from kit.mcp import STATELESS, StdioMcp
from kit.names import unique
from kit.server import Server

QUERY = "lakebase_query"
EXECUTE = "lakebase_execute"

SET_UP = """
CREATE TABLE {0}.items (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text, n int);
COMMENT ON TABLE {0}.items IS 'Things';
INSERT INTO {0}.items (name, n) SELECT 'item ' || g, g FROM generate_series(1, 1000) g;
CREATE INDEX items_by_name ON {0}.items (name);
CREATE SEQUENCE {0}.counter;
CREATE FUNCTION {0}.writes() RETURNS int LANGUAGE sql VOLATILE AS
  $$ INSERT INTO {0}.items (name) VALUES ('from a function') RETURNING 1 $$;
CREATE FUNCTION {0}.writes_definer() RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS
  $$ BEGIN DELETE FROM {0}.items; END $$;
CREATE FUNCTION {0}.escapes() RETURNS void LANGUAGE plpgsql AS
  $$ BEGIN PERFORM set_config('transaction_read_only', 'off', true); DELETE FROM {0}.items; END $$;
CREATE PROCEDURE {0}.commits() LANGUAGE plpgsql AS
  $$ BEGIN COMMIT; DELETE FROM {0}.items; COMMIT; END $$;
CREATE VIEW {0}.trap AS SELECT {0}.writes() AS x;
"""


class Database:
    """A schema of one test module, seen from the side that the tools do not use."""

    def __init__(self, api: Api, instance: dict[str, Any]) -> None:
        self.instance = instance["name"]
        self.login = Login.to(api, instance)
        self.schema = unique("s")
        with self.login.connect() as connection:
            connection.execute(f"CREATE SCHEMA {self.schema}")
            connection.execute(SET_UP.format(self.schema))

    def state(self) -> list[Any]:
        """Everything that an attack might have changed."""
        with self.login.connect() as connection:
            return [
                connection.execute(query).fetchall()
                for query in (
                    f"SELECT count(*), sum(n), max(id) FROM {self.schema}.items",
                    f"SELECT last_value, is_called FROM {self.schema}.counter",
                    "SELECT relname, relkind FROM pg_class WHERE relnamespace ="
                    f" '{self.schema}'::regnamespace OR relname LIKE 'attack%' ORDER BY 1",
                    "SELECT rolname FROM pg_roles WHERE rolname LIKE 'attack%'",
                    "SELECT count(*) FROM pg_largeobject_metadata",
                    "SELECT extname FROM pg_extension ORDER BY 1",
                    "SELECT datname FROM pg_database ORDER BY 1",
                    "SELECT setconfig FROM pg_db_role_setting ORDER BY 1",
                    "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'",
                    "SELECT count(*) FROM pg_prepared_xacts",
                )
            ]


@pytest.fixture(scope="module")
def database(api: Api, instance: dict[str, Any]) -> Database:
    return Database(api, instance)


@pytest.fixture(scope="module")
def reader(server: Server) -> Iterator[StdioMcp]:
    with StdioMcp(server, "--max-rows", "100", era=STATELESS) as client:
        yield client


@pytest.fixture(scope="module")
def writer(server: Server) -> Iterator[StdioMcp]:
    with StdioMcp(server, "--access", "write", era=STATELESS) as client:
        yield client


# --- Reading ---------------------------------------------------------------------------------------


def test_values_keep_their_types(reader: StdioMcp, database: Database) -> None:
    seen = reader.call(
        QUERY,
        instance_name=database.instance,
        query="SELECT 1 AS i, 9007199254740993 AS l, 1.10 AS d, true AS b, NULL AS z, 'ü' AS t, "
        "'{\"a\": [1]}'::jsonb AS j, ARRAY[1, 2] AS a, DATE '2026-11-25' AS day, 'NaN'::float AS f, "
        "$1::int + 1 AS p, current_user AS who",
        parameters=["41"],
    )
    types = [column["type"] for column in seen["columns"]]
    assert types[:5] == ["integer", "bigint", "numeric", "boolean", "text"]
    assert seen["rows"] == [
        [1, "9007199254740993", "1.10", True, None, "ü", {"a": [1]}, "{1,2}", "2026-11-25", "NaN",
         42, database.login.user]
    ]  # fmt: skip
    assert seen["row_count"] == 1 and seen["truncated"] is False and "cursor" not in seen


def test_json_loses_no_digit_and_no_key(
    reader: StdioMcp, writer: StdioMcp, database: Database
) -> None:
    texts = [
        '{"balance": 10000000000000000.01}',
        '{"price": 1.10}',
        "[9007199254740993]",
        '{"a": 1, "a": 2}',
    ]
    columns = ", ".join(f"$${text}$$::json" for text in texts)
    query = f"SELECT {columns}, '{{\"price\": 1.10}}'::jsonb, '{{\"a\": [0.5, \"1.10\"]}}'::jsonb"
    wanted = [[*texts, '{"price": 1.10}', {"a": [0.5, "1.10"]}]]
    assert reader.call(QUERY, instance_name=database.instance, query=query)["rows"] == wanted
    table = f"{database.schema}.digits"
    with database.login.connect() as connection:
        connection.execute(f"CREATE TABLE {table} (id int)")
    statement = f"INSERT INTO {table} VALUES (1) RETURNING {query[7:]}"
    done = writer.call(EXECUTE, instance_name=database.instance, statement=statement)
    with database.login.connect() as connection:
        connection.execute(f"DROP TABLE {table}")
    assert done["rows"] == wanted


def test_pages_show_one_moment(reader: StdioMcp, database: Database) -> None:
    items = f"{database.schema}.items"
    page = reader.call(
        QUERY, instance_name=database.instance, query=f"SELECT id FROM {items} ORDER BY id"
    )
    ids = [row[0] for row in page["rows"]]
    assert len(ids) == 100 and page["truncated"] is True
    with database.login.connect() as connection:
        connection.execute(f"INSERT INTO {items} (name) VALUES ('later')")
    while cursor := page.get("cursor"):
        page = reader.call(QUERY, cursor=cursor)
        ids += [row[0] for row in page["rows"]]
    assert ids == list(range(1, 1001)), "a row of later is seen, or one is missing"
    used = reader.fails(QUERY, cursor=cursor or "absent")
    assert used["error_code"] == "RESOURCE_DOES_NOT_EXIST"


def test_an_answer_has_a_size(reader: StdioMcp, database: Database) -> None:
    long = reader.call(
        QUERY, instance_name=database.instance, query="SELECT repeat('x', 100000) AS x"
    )
    assert long["values_cut"] == 1 and len(long["rows"][0][0]) < 20_000
    many = "SELECT repeat('x', 10000) FROM generate_series(1, 50)"
    page = reader.call(QUERY, instance_name=database.instance, query=many)
    count = page["row_count"]
    assert 0 < count < 50 and page["truncated"] is True
    while cursor := page.get("cursor"):
        page = reader.call(QUERY, cursor=cursor)
        count += page["row_count"]
    assert count == 50
    huge = reader.fails(
        QUERY, instance_name=database.instance, query="SELECT repeat('x', 20000000)"
    )
    assert "MiB" in huge["error"]


def test_cursors_are_few(reader: StdioMcp, database: Database) -> None:
    query = f"SELECT * FROM {database.schema}.items"
    cursors = [
        reader.call(QUERY, instance_name=database.instance, query=query)["cursor"]
        for _ in range(5)
    ]
    assert "cursor" in reader.fails(QUERY, cursor=cursors[0])["error"]
    for cursor in cursors[1:]:
        assert reader.call(QUERY, cursor=cursor)["row_count"] == 100


def test_a_statement_ends_in_time(server: Server, database: Database) -> None:
    with StdioMcp(server, "--statement-timeout", "200ms") as client:
        late = client.fails(
            QUERY, instance_name=database.instance, query="SELECT pg_sleep(600)"
        )
        assert late["error_code"] == "57014"
        for side_door in ("set_config('statement_timeout', '0', false)",):
            query = f"SELECT {side_door}"
            assert client.fails(QUERY, instance_name=database.instance, query=query)


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("SELECT", None),
        ("SELEC 1", "25006"),
        ("SELECT 1 +", "42601"),
        ("SELECT * FROM absent", "42P01"),
        ("SELECT absent FROM pg_class", "42703"),
        ("SELECT 1/0", "22012"),
        ("SELECT $1::int", "08P01"),
        ("", "INVALID_PARAMETER_VALUE"),
        ("-- nothing", "INVALID_PARAMETER_VALUE"),
        ("SELECT 'open", "42601"),
    ],
)
def test_errors_are_postgresqls_own(
    reader: StdioMcp, database: Database, query: str, code: str | None
) -> None:
    result = reader.result(QUERY, instance_name=database.instance, query=query)
    assert result.get("isError", False) is (code is not None)
    if code:
        assert result["structuredContent"]["error_code"] == code


def test_where_nobody_can_connect(reader: StdioMcp, api: Api, own_instance: dict) -> None:
    name = own_instance["name"]
    error = reader.fails(QUERY, instance_name=name, database_name="absent", query="SELECT 1")
    assert error["error_code"] == "3D000"
    api.ok(
        "PATCH", f"/api/2.0/database/instances/{name}", {"stopped": True}, update_mask="stopped"
    )
    api.wait_for_state(name, "STOPPED")
    error = reader.fails(QUERY, instance_name=name, query="SELECT 1")
    assert error["error_code"] == "INVALID_STATE" and "stopped" in error["error"]
    assert "absent" in reader.fails(QUERY, instance_name="absent", query="SELECT 1")["error"]
    assert "query" in reader.fails(QUERY, instance_name=name)["error"]


# --- The attacks -----------------------------------------------------------------------------------

ATTACKS = [
    # Plainly writing
    "INSERT INTO {0}.items (name) VALUES ('x')",
    "UPDATE {0}.items SET n = 0",
    "DELETE FROM {0}.items",
    "TRUNCATE {0}.items",
    "MERGE INTO {0}.items USING (SELECT 1) s ON true WHEN MATCHED THEN DELETE",
    "DROP TABLE {0}.items",
    "CREATE TABLE {0}.attack (a int)",
    "CREATE TEMP TABLE attack AS SELECT 1",
    "ALTER TABLE {0}.items DROP COLUMN n",
    "CREATE ROLE attack",
    "GRANT ALL ON {0}.items TO PUBLIC",
    "COMMENT ON TABLE {0}.items IS 'x'",
    # Writing inside of what reads
    "WITH gone AS (DELETE FROM {0}.items RETURNING *) SELECT * FROM gone",
    "WITH a AS (UPDATE {0}.items SET n = 0 RETURNING 1), b AS (SELECT 1) SELECT * FROM a, b",
    "WITH a AS (INSERT INTO {0}.items (name) VALUES ('x') RETURNING id) TABLE a",
    "SELECT * INTO {0}.attack FROM {0}.items",
    "SELECT * FROM {0}.items FOR UPDATE",
    "EXPLAIN ANALYZE DELETE FROM {0}.items",
    "EXPLAIN (ANALYZE, FORMAT JSON) INSERT INTO {0}.items (name) VALUES ('x')",
    "EXPLAIN ANALYZE CREATE TABLE {0}.attack AS SELECT 1",
    # More than one statement, and tricks with what a statement is
    "SELECT 1; DELETE FROM {0}.items",
    "SELECT 1; COMMIT; DELETE FROM {0}.items",
    "COMMIT; DROP TABLE {0}.items",
    "ROLLBACK; BEGIN READ WRITE; DELETE FROM {0}.items; COMMIT",
    "SELECT ';' /* ; */; DELETE FROM {0}.items --",
    "SELECT 1 \\; DELETE FROM {0}.items",
    "SELECT $$a$$; DELETE FROM {0}.items; SELECT $$b$$",
    "SELECT E'\\'; DELETE FROM {0}.items; --'; DELETE FROM {0}.items",
    "/* SELECT */ DELETE FROM {0}.items",
    "(DELETE FROM {0}.items)",
    # Switching the wall off
    "SET TRANSACTION READ WRITE",
    "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE",
    "SET transaction_read_only = off",
    "SELECT set_config('transaction_read_only', 'off', false), {0}.writes()",
    "SELECT \"set_config\"('transaction_read_only', 'off', true), {0}.writes()",
    "SELECT U&\"\\0073et_config\"('transaction_read_only', 'off', true), {0}.writes()",
    "SELECT {0}.escapes()",
    "SET ROLE pg_database_owner",
    "RESET ALL",
    # Functions, rules and procedures that write
    "SELECT {0}.writes()",
    "SELECT * FROM {0}.trap",
    "SELECT * FROM {0}.writes_definer()",
    "SELECT n FROM {0}.items WHERE {0}.writes() = 1",
    "CALL {0}.commits()",
    "DO $$ BEGIN DELETE FROM {0}.items; END $$",
    "DO $$ BEGIN COMMIT; DELETE FROM {0}.items; END $$",
    "SELECT nextval('{0}.counter')",
    "SELECT setval('{0}.counter', 1000)",
    "SELECT query_to_xml('DELETE FROM {0}.items', true, true, '')",
    "SELECT * FROM ts_stat('DELETE FROM {0}.items RETURNING to_tsvector(name)')",
    # Prepared statements, cursors, notifications
    "PREPARE attack AS DELETE FROM {0}.items",
    "EXECUTE attack",
    "DECLARE attack CURSOR WITH HOLD FOR SELECT {0}.writes()",
    "PREPARE TRANSACTION 'attack'",
    "LISTEN attack",
    "SELECT pg_notify('attack', 'x')",
    # Out of the database
    "COPY {0}.items TO PROGRAM 'touch attack'",
    "COPY {0}.items FROM PROGRAM 'echo 1'",
    "COPY {0}.items TO '/tmp/attack'",
    "COPY {0}.items FROM STDIN",
    "COPY (SELECT {0}.writes()) TO STDOUT",
    "SELECT lo_import('/etc/passwd')",
    "SELECT lo_create(0)",
    "SELECT lo_from_bytea(0, 'x')",
    "SELECT lo_export(1, '/tmp/attack')",
    "SELECT pg_read_file('/etc/passwd')",
    "SELECT * FROM pg_ls_dir('/')",
    "SELECT * FROM dblink('dbname=postgres', 'DELETE FROM {0}.items') AS t(a int)",
    "SELECT dblink_exec('dbname=postgres', 'DELETE FROM {0}.items')",
    "CREATE EXTENSION dblink",
    "CREATE DATABASE attack",
    "ALTER SYSTEM SET work_mem = '1GB'",
    "ALTER DATABASE databricks_postgres SET default_transaction_read_only = off",
    # Other sessions, locks, the server
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity",
    "SELECT pg_cancel_backend(pid) FROM pg_stat_activity",
    "SELECT pg_advisory_lock(1)",
    "SELECT pg_try_advisory_lock_shared(1)",
    "LOCK TABLE {0}.items IN ACCESS EXCLUSIVE MODE",
    "SELECT pg_reload_conf()",
    "SELECT pg_logical_emit_message(false, 'attack', 'x')",
    "SELECT pg_create_physical_replication_slot('attack')",
    "SELECT pg_export_snapshot()",
    "VACUUM {0}.items",
    "CHECKPOINT",
    "LOAD 'auto_explain'",
    "REFRESH MATERIALIZED VIEW {0}.trap",
]


def test_attacks_change_nothing(reader: StdioMcp, database: Database) -> None:
    before = database.state()
    with database.login.connect() as bystander:
        for attack in ATTACKS:
            statement = attack.format(database.schema)
            error = reader.fails(QUERY, instance_name=database.instance, query=statement)
            assert error["hint" if "hint" in error else "error"], statement
            assert bystander.execute("SELECT 1").fetchone() == (1,), statement
    assert database.state() == before


def test_attacks_on_explain_change_nothing(reader: StdioMcp, database: Database) -> None:
    before = database.state()
    for attack in ATTACKS:
        statement = attack.format(database.schema)
        for analyze in (False, True):
            arguments = {"query": statement, "analyze": analyze}
            reader.result("lakebase_explain", instance_name=database.instance, **arguments)
        reader.fails(
            "lakebase_explain", instance_name=database.instance, query=f"ANALYZE {statement}"
        )
    assert database.state() == before


def test_the_database_holds_without_the_words(reader: StdioMcp, database: Database) -> None:
    """What the look at the words refuses, PostgreSQL refuses as well where it is a matter of data."""
    before = database.state()
    with database.login.connect() as connection:
        for attack in ATTACKS:
            connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            connection.execute("SELECT 1")
            statement = attack.format(database.schema)
            touches_data = database.schema in statement and ";" not in statement
            if touches_data and not statement.startswith(("COPY", "LOCK", "PREPARE", "DO", "CALL")):
                try:
                    connection.execute(statement.encode())
                except psycopg.Error:
                    pass
            connection.execute("ROLLBACK")
    assert database.state() == before


def test_names_that_only_look_like_attacks(reader: StdioMcp, database: Database) -> None:
    for query in (
        "SELECT 'DELETE FROM items; COMMIT' AS drop",
        "SELECT count(*) AS set_config FROM pg_class -- DROP TABLE",
        'WITH "delete" AS (SELECT 1 AS update) SELECT * FROM "delete"',
        "SELECT $a$ ; COPY t TO PROGRAM 'x' $a$",
        "TABLE pg_database",
        "SHOW server_version",
        "EXPLAIN SELECT 1",
    ):
        assert reader.call(QUERY, instance_name=database.instance, query=query)["rows"], query


# --- Looking around --------------------------------------------------------------------------------


def test_schema(reader: StdioMcp, database: Database) -> None:
    overview = reader.call("lakebase_schema", instance_name=database.instance)
    assert {"databricks_postgres", "postgres"} <= set(overview["databases"])
    mine = [one for one in overview["relations"] if one["schema"] == database.schema]
    assert {one["name"] for one in mine} == {"items", "trap"}
    assert all("columns" not in one for one in mine)
    schema = {"instance_name": database.instance, "schema_name": database.schema}
    (items,) = [
        one
        for one in reader.call("lakebase_schema", **schema)["relations"]
        if one["name"] == "items"
    ]
    assert items["columns"] == "id bigint, name text, n integer"
    assert items["comment"] == "Things" and items["kind"] == "table" and items["bytes"] > 0
    table = reader.call("lakebase_schema", **schema, table_name="items")["table"]
    assert [column["name"] for column in table["columns"]] == ["id", "name", "n"]
    assert table["columns"][0]["nullable"] is False
    assert [index["name"] for index in table["indexes"]] == ["items_by_name", "items_pkey"]
    assert "SELECT" in table["privileges"] and table["owner"] == database.login.user
    by_name = reader.call(
        "lakebase_schema", instance_name=database.instance, table_name=f"{database.schema}.items"
    )
    assert by_name["table"] == table
    for wrong in ({"schema_name": "absent"}, {"table_name": "absent"}):
        error = reader.fails("lakebase_schema", instance_name=database.instance, **wrong)
        assert error["error_code"] == "RESOURCE_DOES_NOT_EXIST" and next(iter(wrong)) in error["error"]


def test_explain(reader: StdioMcp, database: Database) -> None:
    query = f"SELECT * FROM {database.schema}.items WHERE n = 5"
    arguments = {"instance_name": database.instance, "query": query}
    planned = reader.call("lakebase_explain", **arguments)["plan"][0]
    assert planned["Plan"]["Node Type"] == "Seq Scan" and "Execution Time" not in planned
    measured = reader.call("lakebase_explain", **arguments, analyze=True)["plan"][0]
    assert measured["Plan"]["Actual Rows"] == 1
    delete = arguments | {"query": f"DELETE FROM {database.schema}.items"}
    assert reader.call("lakebase_explain", **delete)["plan"]
    assert reader.fails("lakebase_explain", **delete, analyze=True)["error_code"] == "25006"


def test_health(reader: StdioMcp, database: Database) -> None:
    blocker, waiter = database.login.connect(autocommit=False), database.login.connect()
    with blocker, waiter:
        blocker.execute(f"LOCK TABLE {database.schema}.items")
        waiter.execute("SET application_name = 'waits'")
        seen = reader.call("lakebase_health", instance_name=database.instance)
        assert seen["measurements"]["connections"] >= 3
        assert seen["measurements"]["max_connections"] > 3
        assert isinstance(seen["findings"], list)
        blocker.rollback()


# --- Writing ---------------------------------------------------------------------------------------


def test_writing_tools_are_there_for_writers_only(server: Server, database: Database) -> None:
    for level, expected in (("observe", False), ("manage", False), ("write", True)):
        with StdioMcp(server, "--access", level) as client:
            tools = client.tools()
            assert (EXECUTE in tools) is expected
            assert ("lakebase_connect" in tools) is expected
            assert tools[QUERY]["annotations"]["readOnlyHint"] is True
    with StdioMcp(server) as client, pytest.raises(Exception, match=EXECUTE):
        client.call(EXECUTE, instance_name=database.instance, statement="SELECT 1")


def test_life_of_a_table(writer: StdioMcp, database: Database) -> None:
    table = f"{database.schema}.{unique('t')}"
    where = {"instance_name": database.instance}
    made = writer.call(EXECUTE, **where, statement=f"CREATE TABLE {table} (a int, b text)")
    assert made["status"] == "COMMITTED" and made["command"] == "CREATE TABLE"
    inserted = writer.call(
        EXECUTE, **where, statement=f"INSERT INTO {table} VALUES ($1, $2), (2, 'y') RETURNING a",
        parameters=["1", "x"],
    )  # fmt: skip
    assert inserted["command"] == "INSERT 0 2" and inserted["rows"] == [[1], [2]]

    update = {"statement": f"UPDATE {table} SET b = 'z' WHERE a < 3"}
    plan = writer.call(EXECUTE, **where, **update)
    assert plan["status"] == "CONFIRMATION_REQUIRED" and plan["command"] == "UPDATE 2"
    assert database.login.value(f"SELECT count(*) FROM {table} WHERE b = 'z'") == 0
    done = writer.call(EXECUTE, **where, **update, confirm_token=plan["confirm_token"])
    assert (done["status"], done["command"]) == ("COMMITTED", "UPDATE 2")
    used = writer.fails(EXECUTE, **where, **update, confirm_token=plan["confirm_token"])
    assert used["error_code"] == "CONFIRMATION_REFUSED"

    # What the statement would do has changed since it was shown.
    delete = {"statement": f"DELETE FROM {table}"}
    token = writer.call(EXECUTE, **where, **delete)["confirm_token"]
    writer.call(EXECUTE, **where, statement=f"INSERT INTO {table} VALUES (3, 'w')")
    stale = writer.fails(EXECUTE, **where, **delete, confirm_token=token)
    assert stale["error_code"] == "CONFIRMATION_REFUSED" and "changed" in stale["error"]
    assert database.login.value(f"SELECT count(*) FROM {table}") == 3
    # Nor is it for another statement.
    token = writer.call(EXECUTE, **where, **delete)["confirm_token"]
    other = {"statement": f"DROP TABLE {table}"}
    assert "arguments" in writer.fails(EXECUTE, **where, **other, confirm_token=token)["error"]
    assert writer.confirmed(EXECUTE, **where, **other)["command"] == "DROP TABLE"


def test_all_of_a_statement_or_nothing(writer: StdioMcp, database: Database) -> None:
    where = {"instance_name": database.instance}
    items = f"{database.schema}.items"
    before = database.state()
    for statement, code in (
        (f"INSERT INTO {items} (name) SELECT 1/0::text FROM generate_series(1, 3)", "42883"),
        (f"INSERT INTO {items} (name, n) SELECT 'x', 1/(3-g) FROM generate_series(1, 3) g", "22012"),
        ("BEGIN", "0A000"),
        ("COMMIT", "0A000"),
        (f"COPY {items} FROM STDIN", "0A000"),
        (f"INSERT INTO {items} (name) VALUES ('a'); SELECT 1", "42601"),
        ("SET ROLE pg_database_owner", "0A000"),
        (f"DROP TABLE {items}_absent", "42P01"),
    ):
        assert writer.fails(EXECUTE, **where, statement=statement)["error_code"] == code, statement
    after = database.state()
    assert after[2:] == before[2:] and after[0][0][:2] == before[0][0][:2]


def test_many_returned_rows_are_all_written(writer: StdioMcp, database: Database) -> None:
    table = f"{database.schema}.{unique('t')}"
    where = {"instance_name": database.instance}
    writer.call(EXECUTE, **where, statement=f"CREATE TABLE {table} (a int)")
    insert = f"INSERT INTO {table} SELECT generate_series(1, 5000) RETURNING a"
    done = writer.call(EXECUTE, **where, statement=insert)
    assert done["command"] == "INSERT 0 5000" and done["truncated"] is True
    assert database.login.value(f"SELECT count(*) FROM {table}") == 5000


def test_a_person_confirms_statements_too(server: Server, database: Database) -> None:
    statement = {"instance_name": database.instance, "statement": f"DELETE FROM {database.schema}.items"}
    flags = ("--access", "write", "--protect", database.instance)
    with StdioMcp(server, *flags, era=STATELESS) as mute:
        token = mute.call(EXECUTE, **statement)["confirm_token"]
        refused = mute.fails(EXECUTE, **statement, confirm_token=token)
        assert refused["error_code"] == "PERMISSION_DENIED"
    answer = {"action": "accept", "content": {"name": database.instance}}
    empty = {"statement": f"DELETE FROM {database.schema}.items WHERE false"}
    with StdioMcp(server, *flags, era=STATELESS, answer=lambda _: answer) as client:
        assert client.confirmed(EXECUTE, **(statement | empty))["command"] == "DELETE 0"


def test_a_connection_without_a_token(writer: StdioMcp, database: Database) -> None:
    door = writer.call("lakebase_connect", instance_name=database.instance)
    assert "token" not in str(door).replace("tokens", "") and "password" not in door["connection_string"]
    with psycopg.connect(door["connection_string"]) as connection:
        row = connection.execute("SELECT current_user, 1.5::numeric").fetchone()
        assert row == (database.login.user, Decimal("1.5"))
    again = writer.call("lakebase_connect", instance_name=database.instance)
    assert again["host"] == door["host"]


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT, None])
def test_no_socket_is_left_behind(server: Server, database: Database, end: int | None) -> None:
    with StdioMcp(server, "--access", "write") as client:
        door = client.call("lakebase_connect", instance_name=database.instance)
        assert Path(door["host"]).is_dir()
        if end:
            client.process.send_signal(end)
            client.process.wait(timeout=30)
    assert not Path(door["host"]).exists()


def test_a_role_that_reads_less(server: Server, database: Database) -> None:
    role = unique("reader")
    with database.login.connect() as connection:
        connection.execute(f"CREATE ROLE {role} NOLOGIN")
        connection.execute(f"GRANT {role} TO CURRENT_USER")
        connection.execute(f"GRANT USAGE ON SCHEMA {database.schema} TO {role}")
    where = {"instance_name": database.instance}
    with StdioMcp(server, "--read-role", role) as client:
        assert client.call(QUERY, **where, query="SELECT current_user")["rows"] == [[role]]
        denied = client.fails(QUERY, **where, query=f"SELECT * FROM {database.schema}.items")
        assert denied["error_code"] == "42501"
    with StdioMcp(server, "--read-role", "absent") as client:
        assert client.fails(QUERY, **where, query="SELECT 1")["error_code"] == "22023"
