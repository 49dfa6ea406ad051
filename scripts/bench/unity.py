"""Listing a schema with very many registered tables, page by page, over the REST API."""

import time
from concurrent.futures import ThreadPoolExecutor

import pyarrow

from bench.figures import Figure, Series, at_most
from bench.home import Home
from bench.lakeport import Lakeport
from bench.plan import Plan
from bench.report import Report
from kit.api import UNITY
from kit.delta import DeltaTables
from kit.synced import make_schema, register

SCHEMA = "wide.tables"
PAGE = 100


def measure(lakeport: Lakeport, home: Home, plan: Plan, report: Report) -> None:
    folder = home.path / "unity"
    folder.mkdir()
    rows = pyarrow.table({f"column_{number}": [number] for number in range(10)})
    location = DeltaTables(folder).write("t", rows)
    make_schema(lakeport.api, *SCHEMA.split("."))
    with ThreadPoolExecutor(8) as several:
        names = [f"{SCHEMA}.t{number:05}" for number in range(plan.catalog_tables)]
        list(several.map(lambda name: register(lakeport.api, name, location), names))
    pages = list(page_times(lakeport))
    assert len(pages) == plan.catalog_tables // PAGE, "a page is missing"
    what = f"A page of {PAGE} of {plan.catalog_tables:,} tables"
    report.add(Figure(what, "ms", Series("Lakeport", pages), wanted=at_most(100)))
    lakeport.api.ok("DELETE", f"{UNITY}/catalogs/wide", force="true")


def page_times(lakeport: Lakeport):
    """Milliseconds of each page, first to last."""
    catalog, schema = SCHEMA.split(".")
    query = {"catalog_name": catalog, "schema_name": schema, "max_results": PAGE}
    token = ""
    while token is not None:
        begun = time.perf_counter()
        page = lakeport.api.ok("GET", f"{UNITY}/tables", **query, page_token=token)
        yield (time.perf_counter() - begun) * 1000
        token = page.get("next_page_token")
