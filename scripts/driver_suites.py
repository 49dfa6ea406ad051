"""The drivers' own tests, on a bare PostgreSQL and through the gateway, compared.

    target/venv/kit/bin/python scripts/driver_suites.py [SUITE …]

Whatever fails through the gateway fails on the bare server too, or is in docs/driver-suites.md with its reason;
whatever is there does fail. Some of these tests depend on time: a suite that differs otherwise runs once more on
both sides, and what fails through the gateway must do so both times. Takes the debug binary, or LAKEPORT_BIN. What is installed stays in
target/driver-suites (LAKEPORT_CACHE_DIR is respected), with the logs and the results of the last run.
"""

import json
import os
import re
import sys
from contextlib import AbstractContextManager
from fnmatch import fnmatchcase
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPO / "tests"))

from suites.place import Place, direct, gateway, make_database  # noqa: E402
from suites.suite import SUITES, Results, Suite  # noqa: E402

CACHE = Path(os.environ.get("LAKEPORT_CACHE_DIR", REPO / "target")) / "driver-suites"
PAGE = REPO / "docs/driver-suites.md"
# A suite, the test's name with `*` for what differs, and why.
ROW = re.compile(r"^\| (\S+) \| `([^`]+)` \| (.+) \|$", re.MULTILINE)


def run_all(suites: list[Suite], place: AbstractContextManager[Place]) -> dict[str, Results]:
    results = {}
    with place as where:
        for suite in suites:
            access = make_database(where, f"suite_{suite.name}", suite.setup)
            results[suite.name] = found = suite.results(access, suite.folder / f"{where.name}.log")
            text = json.dumps(found, indent=1, sort_keys=True)
            (suite.folder / f"{where.name}.json").write_text(text)
            counts = {state: list(found.values()).count(state) for state in sorted(set(found.values()))}
            print(f"{suite.name}, {where.name}: {counts}", flush=True)
    return results


def failures(results: Results) -> set[str]:
    return {name for name, state in results.items() if state == "failed"}


def judge(suite: str, direct: Results, gateway: Results) -> list[str]:
    """What the page should say otherwise."""
    own = failures(gateway) - failures(direct)
    missing = {name for name, state in direct.items() if state == "passed"} - gateway.keys()
    written = [pattern for name, pattern, _ in ROW.findall(PAGE.read_text()) if name == suite]
    wrong = [f"{suite}: did not run through the gateway: {name}" for name in sorted(missing)]
    for name in sorted(own):
        if not any(fnmatchcase(name, pattern) for pattern in written):
            wrong.append(f"{suite}: fails through the gateway only: {name}")
    for pattern in written:
        if not any(fnmatchcase(name, pattern) for name in own):
            wrong.append(f"{suite}: is on the page and does not fail: {pattern}")
    return wrong


def both_times(first: Results, second: Results) -> Results:
    return {
        name: second[name] if state == "failed" else state
        for name, state in first.items()
        if name in second
    }


def either_time(first: Results, second: Results) -> Results:
    return second | {name: state for name, state in first.items() if state == "failed"}


def main() -> int:
    known = {suite.name: suite for suite in SUITES}
    wanted = sys.argv[1:] or list(known)
    if unknown := set(wanted) - known.keys():
        sys.exit(f"no such suite: {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    suites = [known[name](CACHE) for name in wanted]
    for suite in suites:
        suite.prepare()
    bare, through = run_all(suites, direct()), run_all(suites, gateway())
    again = [suite for suite in suites if judge(suite.name, bare[suite.name], through[suite.name])]
    if again:
        for name, results in run_all(again, direct()).items():
            bare[name] = either_time(bare[name], results)
        for name, results in run_all(again, gateway()).items():
            through[name] = both_times(through[name], results)
    wrong = [line for name in wanted for line in judge(name, bare[name], through[name])]
    print("\n".join(wrong) or "what fails through the gateway alone is on the page")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
