"""From a call to the first answer: creating an instance, and starting a stopped one."""

from itertools import count

from bench.clock import seconds
from bench.figures import Figure, Series, at_most, in_turns
from bench.home import Home
from bench.lakeport import Lakeport
from bench.plan import Plan
from bench.postgres import Postgres, programs, settings_of, version
from bench.report import Report

OURS, PEER = "Lakeport", "bare PostgreSQL"


def measure(lakeport: Lakeport, home: Home, plan: Plan, report: Report) -> None:
    bare = bare_twin(lakeport, home, "ready")
    report.facts["PostgreSQL of the other figures"] = version(bare.bin)
    instances: list[str] = []
    try:
        report.add(*creation(lakeport, home, bare, plan, instances))
        report.add(in_a_row(lakeport, plan, instances))
        report.add(starting(lakeport, bare, plan, instances))
    finally:
        bare.stop()
        # Not before: without a journal, ext4 is slow to make files for minutes after deletions.
        for name in instances:
            lakeport.delete(name)


def bare_twin(lakeport: Lakeport, home: Home, name: str) -> Postgres:
    """A stopped PostgreSQL of an instance's version and settings: also what copies are made of."""
    model = f"{name}-model"
    lakeport.create(model)
    with lakeport.login(lakeport.until(model, "AVAILABLE")).connect() as connection:
        settings = settings_of(connection)
        major = connection.info.server_version // 10_000
    lakeport.delete(model)
    bin = programs(home, major)
    if bin is None:
        raise SystemExit(f"PostgreSQL {major} is not where it was expected: run `make setup`")
    bare = Postgres(home, bin, f"{name}-bare")
    bare.initdb(settings)
    return bare


# --- Create ---------------------------------------------------------------------------------------


def creation(
    lakeport: Lakeport, home: Home, template: Postgres, plan: Plan, instances: list[str]
) -> list[Figure]:
    """One at a time, with nothing else running and the pool filled up again in between."""
    number = count()

    def ours() -> float:
        name = f"ready-{next(number)}"
        instances.append(name)
        lakeport.settle()
        took = seconds(lambda: (lakeport.create(name), lakeport.first_query(name)))
        lakeport.set_stopped(name, True)
        lakeport.until(name, "STOPPED")
        return took

    def peer() -> float:
        copy = Postgres(home, template.bin, f"copy-{next(number)}")
        lakeport.settle()
        try:
            return seconds(lambda: (copy.copy_of(template), copy.start(), copy.first_query()))
        finally:
            copy.stop()

    found = in_turns(plan.creations, {OURS: ours, PEER: peer})
    what = "Create call to first query"
    against = Series("data directory copied, bare start", found[PEER].values)
    return [
        Figure(what, "s", found[OURS], wanted=at_most(0.5)),
        Figure(what, "s", found[OURS], against, at_most(1.5)),
    ]


def in_a_row(lakeport: Lakeport, plan: Plan, instances: list[str]) -> Figure:
    """The same without a pause: faster than clusters are prepared ahead."""
    names = [f"row-{number}" for number in range(plan.creations)]
    instances += names
    lakeport.settle()
    values = [
        seconds(lambda name=name: (lakeport.create(name), lakeport.first_query(name)))
        for name in names
    ]
    for name in names:
        lakeport.set_stopped(name, True)
    for name in names:
        lakeport.until(name, "STOPPED")
    return Figure(f"The same, {len(names)} without a pause", "s", Series(OURS, values))


# --- Start ----------------------------------------------------------------------------------------


def starting(lakeport: Lakeport, bare: Postgres, plan: Plan, instances: list[str]) -> Figure:
    name = instances[0]

    def ours() -> float:
        lakeport.settle()
        took = seconds(lambda: (lakeport.set_stopped(name, False), lakeport.first_query(name)))
        lakeport.set_stopped(name, True)
        lakeport.until(name, "STOPPED")
        return took

    def peer() -> float:
        lakeport.settle()
        took = seconds(lambda: (bare.start(), bare.first_query()))
        bare.stop()
        return took

    found = in_turns(plan.starts, {OURS: ours, PEER: peer})
    against = Series("bare start", found[PEER].values)
    what = "Start of a stopped instance to first query"
    return Figure(what, "s", found[OURS], against, at_most(2))
