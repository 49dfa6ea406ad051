"""The gateway against PgBouncer and against PostgreSQL's own TLS: queries and new connections.

Behind each are the same server version, settings and rows. Clients and servers share this machine.
"""

import re
import secrets
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from bench import pgbouncer
from bench.figures import Bound, Figure, Series, at_least, in_turns
from bench.home import Home
from bench.lakeport import Lakeport
from bench.pgbench import Target
from bench.pgbouncer import PgBouncer
from bench.plan import Plan
from bench.postgres import Postgres, programs, settings_of, version
from bench.report import Report
from bench.tls import certificate

# The version that the system's packages bring with TLS.
MAJOR = 15
OURS, BOUNCER, DIRECT = "Lakeport", "PgBouncer", "PostgreSQL's own TLS"
GATEWAY_PORT = 5432
ROLE, DATABASE = "bench", "bench"
STAGE_NAMES = {
    "startup": "TLS and start-up packet",
    "token": "the check of the token",
    "route": "finding the instance",
    "backend": "login to PostgreSQL",
}
STAGES = [*STAGE_NAMES, "total"]


def measure(lakeport: Lakeport, home: Home, plan: Plan, report: Report) -> None:
    bin = programs(home, MAJOR)
    if bin is None:
        report.note(f"gateway: left out, there is no PostgreSQL {MAJOR} (run `make setup` as root)")
        return
    report.facts["PostgreSQL of the gateway's figures"] = version(bin)
    with ExitStack() as stack:
        targets = contestants(lakeport, home, bin, report, stack)
        for target in (targets[OURS], targets[DIRECT]):  # PgBouncer's is DIRECT's.
            target.initialize(plan.scale)
        lakeport.settle()
        throughput(targets, plan, report)
        connections(targets, plan, report)
        stages(lakeport, targets[OURS], plan, report)


def contestants(
    lakeport: Lakeport, home: Home, bin: Path, report: Report, stack: ExitStack
) -> dict[str, Target]:
    """All of them serving; `stack` ends them."""
    name = "gateway"
    lakeport.create(name, pg_version=f"PG_VERSION_{MAJOR}")
    stack.callback(lakeport.delete, name)
    login = lakeport.login(lakeport.until(name, "AVAILABLE"))
    with login.connect() as connection:
        settings = settings_of(connection)
    ours = Target(bin, login.host, GATEWAY_PORT, login.user, login.password, login.dbname)

    pair = certificate(home)
    backend = bare_with_tls(home, bin, settings, pair)
    stack.callback(backend.stop)
    password = secrets.token_urlsafe(24)
    prepare(backend, password)
    targets = {OURS: ours, DIRECT: at_loopback(bin, backend.port, password)}

    program = pgbouncer.program()
    if program is None:
        report.note("PgBouncer: left out, not installed (run `scripts/setup.sh bench` as root)")
        return targets
    bouncer = PgBouncer(home, program, backend, ROLE, pair)
    stack.callback(bouncer.stop)
    targets[BOUNCER] = at_loopback(bin, bouncer.port, password)
    return targets


def at_loopback(bin: Path, port: int, password: str) -> Target:
    return Target(bin, "127.0.0.1", port, ROLE, password, DATABASE)


def bare_with_tls(
    home: Home, bin: Path, settings: dict[str, str], pair: tuple[str, str]
) -> Postgres:
    backend = Postgres(home, bin, "gateway-peer")
    hba = "local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n"
    tls = {"listen_addresses": "127.0.0.1", "ssl": "on"}
    tls |= {"ssl_cert_file": pair[0], "ssl_key_file": pair[1]}
    backend.initdb(settings | tls, hba)
    backend.start()
    backend.first_query()
    return backend


def prepare(backend: Postgres, password: str) -> None:
    with backend.connect() as connection:
        connection.execute(f"CREATE ROLE {ROLE} LOGIN PASSWORD '{password}'")
        connection.execute(f"CREATE DATABASE {DATABASE} OWNER {ROLE}")


# --- Measurements ---------------------------------------------------------------------------------


def throughput(targets: dict[str, Target], plan: Plan, report: Report) -> None:
    for clients in (1, 16):
        compare(
            f"pgbench select-only, prepared, {named(clients)}",
            "queries/s",
            plan.throughput_rounds,
            targets,
            lambda target, clients=clients: target.throughput(clients, plan.throughput_seconds),
            {BOUNCER: at_least(1), DIRECT: None},
            report,
        )


def connections(targets: dict[str, Target], plan: Plan, report: Report) -> None:
    for clients in (1, 8):
        compare(
            f"New connections with one query each, {named(clients)}",
            "connections/s",
            plan.connection_rounds,
            targets,
            lambda target, clients=clients: target.connections(clients, plan.connection_seconds),
            {DIRECT: at_least(2), BOUNCER: None},
            report,
        )


def stages(lakeport: Lakeport, target: Target, plan: Plan, report: Report) -> None:
    """What a login spends where, by the server's own clock: its histograms at /metrics."""
    found: dict[str, list[float]] = {stage: [] for stage in STAGES}
    for _ in range(plan.connection_rounds):
        before = metrics(lakeport)
        target.connections(1, plan.connection_seconds)
        after = metrics(lakeport)
        for stage in STAGES:
            seconds, count = (after[stage][i] - before[stage][i] for i in (0, 1))
            found[stage].append(seconds / count * 1_000)
    whole = Series("the whole login", found["total"])
    for stage in STAGES[:-1]:
        what = f"Of a login by token, in the gateway: {STAGE_NAMES[stage]}"
        report.add(Figure(what, "ms", Series(OURS, found[stage]), whole))


def metrics(lakeport: Lakeport) -> dict[str, tuple[float, float]]:
    """Seconds and count of each stage up to now."""
    text = lakeport.api.send("GET", "/metrics").text
    return {stage: (sample(text, "sum", stage), sample(text, "count", stage)) for stage in STAGES}


def sample(text: str, what: str, stage: str) -> float:
    name = f'lakeport_login_duration_seconds_{what}{{stage="{stage}"}} '
    found = re.search(f"^{re.escape(name)}(.*)$", text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def named(clients: int) -> str:
    return "1 client" if clients == 1 else f"{clients} clients"


def compare(
    what: str,
    unit: str,
    rounds: int,
    targets: dict[str, Target],
    run: Callable[[Target], float],
    peers: dict[str, Bound | None],
    report: Report,
) -> None:
    runs = {name: lambda target=target: run(target) for name, target in targets.items()}
    found = in_turns(rounds, runs)
    report.add(
        *(
            Figure(what, unit, found[OURS], found[peer], wanted)
            for peer, wanted in peers.items()
            if peer in found
        )
    )
