"""Times Splink on a model and two tables: `splink_speed.py MODEL LEFT RIGHT THREADS [PAIRS.parquet]`. One line of JSON: pairs, seconds and processor
seconds of `predict()` alone (blocking and scoring, the tables being loaded already), peak memory in MB.
"""

import json
import logging
import resource
import sys
import time

logging.disable(logging.WARNING)

import duckdb  # noqa: E402
from splink import DuckDBAPI, Linker  # noqa: E402

model, left, right, threads = sys.argv[1:5]
connection = duckdb.connect()
connection.execute(f"set threads = {int(threads)}")
for name, path in [("people_a", left), ("people_b", right)]:
    connection.execute(f"create table {name} as select * from read_csv('{path}', all_varchar = true, nullstr = '')")
with open(model, encoding="utf-8") as file:
    settings = json.load(file)
linker = Linker(["people_a", "people_b"], settings, DuckDBAPI(connection=connection))


def processor():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


before, start = processor(), time.perf_counter()
found = linker.inference.predict()
seconds, cpu = time.perf_counter() - start, processor() - before
name = found.physical_name
pairs, weights = connection.execute(f"select count(*), sum(match_weight) from {name}").fetchall()[0]
if len(sys.argv) > 5:
    connection.execute(f"copy {name} to '{sys.argv[5]}' (format parquet)")
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"pairs": pairs, "weights": weights, "seconds": seconds, "cpu": cpu, "peak_mb": peak}))
