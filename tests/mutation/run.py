#!/usr/bin/env python3
"""Runs the tests once for each mutant of a build, and says which mutants no test notices.

usage: run.py BUILD TABLE RESULTS [NUMBER...]

RESULTS has one line a mutant that was tried: its line of TABLE, then "killed by <suite>" or "survived";
mutants that stand there already are not tried again. Two are tried at a time.
"""

import concurrent.futures
import os
import subprocess
import sys
import time
from pathlib import Path

UNIT = ["core/test_core", "codec/test_codec", "api/test_api"]
DRIVER = ["engine/test_engine", "connectors/test_connectors", "testing/test_testing", "crash/test_crash",
          "observability/test_observability", "engine/test_engine_clocks"]
SIMULATED = ["simulation/simulate --seeds 1..300"]
STORES = ["conformance/test_conformance"]
SUITES = {
    "codec": UNIT + STORES,
    "definition": UNIT + DRIVER,
    "async": DRIVER + STORES + SIMULATED,
    "common": UNIT + STORES + ["sqlite/test_sqlite", "postgres/test_postgres"],
    "core": UNIT + DRIVER + STORES + SIMULATED,
    "engine": DRIVER + STORES + SIMULATED + ["postgres/test_postgres --run_test=postgres_cluster"],
    "memory": STORES + DRIVER + SIMULATED,
    "sqlite": STORES + ["sqlite/test_sqlite", "engine/test_engine_clocks"],
    "postgres": ["postgres/test_postgres"],
}


def folder_of(file):
    """The folder of src that a file belongs to: each store has its own."""
    parts = file.split("/")[1:]
    return parts[1] if parts[0] == "stores" else parts[0]


def run(build, suite, mutant, limit):
    """None when the suite passes; otherwise how it failed. Ends at the first error that is reported."""
    program, *arguments = suite.split()
    if "--seeds" not in arguments:
        arguments += ["--log_level=error", "--report_level=no", "--color_output=no"]
    started = time.monotonic()
    process = subprocess.Popen([build / "tests" / program, *arguments], stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, start_new_session=True,
                               env={**os.environ, "PAWL_MUTANT": str(mutant)})
    failure = None
    with concurrent.futures.ThreadPoolExecutor(1) as reader:
        def read():
            for line in process.stdout:
                if b"error: in " in line or b"failed" in line and b"seed" in line:
                    return "an error"
            return None
        reading = reader.submit(read)
        try:
            failure = reading.result(limit)
        except concurrent.futures.TimeoutError:
            failure = f"no end after {int(time.monotonic() - started)} s"
        if failure:
            os.killpg(process.pid, 9)
    code = process.wait()
    return failure or (f"exit code {code}" if code else None)


def main():
    build, table, results = Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])
    wanted = {int(n) for n in sys.argv[4:]}
    mutants = [line.rstrip("\n").split("\t") for line in table.open()]
    known = {line.split("\t")[0] for line in results.open()} if results.exists() else set()
    mutants = [m for m in mutants if m[0] not in known and (not wanted or int(m[0]) in wanted)]

    limits = {}
    for suite in sorted({s for m in mutants for s in SUITES[folder_of(m[1])]}):
        started = time.monotonic()
        failure = run(build, suite, 0, 1800)
        if failure:
            sys.exit(f"{suite} fails without a mutant: {failure}")
        limits[suite] = 30 + 5 * (time.monotonic() - started)
        print(f"{suite}: {limits[suite] / 5 - 6:.1f} s", flush=True)

    def judge(mutant):
        for suite in SUITES[folder_of(mutant[1])]:
            failure = run(build, suite, mutant[0], limits[suite])
            if failure:
                return mutant, f"killed by {suite.split('/')[1].split()[0]}: {failure}"
        return mutant, "survived"

    with concurrent.futures.ThreadPoolExecutor(2) as pool, results.open("a") as out:
        for mutant, verdict in pool.map(judge, mutants):
            out.write("\t".join([*mutant, verdict]) + "\n")
            out.flush()
            if verdict == "survived":
                print("survived: " + "\t".join(mutant), flush=True)

    killed, tried = {}, {}
    for line in results.open():
        fields = line.rstrip("\n").split("\t")
        folder = folder_of(fields[1])
        tried[folder] = tried.get(folder, 0) + 1
        killed[folder] = killed.get(folder, 0) + (fields[5] != "survived")
    for folder in [*tried, None]:
        k, t = (killed[folder], tried[folder]) if folder else (sum(killed.values()), sum(tried.values()))
        print(f"{folder or 'all'}: {k} of {t} mutants noticed, {100 * k / t:.0f} %")


main()
