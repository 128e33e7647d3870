"""A Singer tap with the habits of bad ones. `records` to give from `from` on, and what to do among them:
{"until": 100, "state_every": 10, "die_at": 35, "noise_at": [3], "sleep_at": 20, "hang_at": 20, "exit": 1}. Says every value on its standard error,
as taps do."""

import json
import os
import sys
import time


def argument(name):
    return sys.argv[sys.argv.index(name) + 1] if name in sys.argv else None


config = json.load(open(argument("--config")))
state = json.load(open(argument("--state"))) if argument("--state") else {}
assert oct(os.stat(argument("--config")).st_mode & 0o777) == "0o600", "the configuration is open to others"
assert not [name for name in os.environ if name.startswith("KITH")], "the service's environment came along"
runs = config["runs"]
with open(runs, "a") as log:
    log.write(json.dumps({"from": state.get("next", 1), "pid": os.getpid()}) + "\n")
first_run = sum(1 for _ in open(runs)) == 1


def say(message):
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


say({"type": "SCHEMA", "stream": "tickets", "schema": {"properties": {}}, "key_properties": ["url"]})
say({"type": "SCHEMA", "stream": "others", "schema": {"properties": {}}, "key_properties": []})
say({"type": "ACTIVATE_VERSION", "stream": "tickets", "version": 1})
for n in range(state.get("next", 1), config["until"] + 1):
    if first_run and n == config.get("die_at"):
        sys.stderr.write(f"ERROR Request failed for Grace Hopper, grace@example.com, token {config['token']}\n")
        os._exit(config.get("exit", 3))
    if n in config.get("noise_at", []):
        print("Fetching", n, "of Grace Hopper")
    if n == config.get("hang_at") and (first_run or config.get("always")):
        open(runs + ".hangs", "w").close()
        time.sleep(600)
    url = f"https://helpdesk.example/t/{n}"
    record = {"url": url, "author_id": n, "author_name": f"Name {n}", "text": f"where is order {n}?", "created_at": "2026-09-01T10:00:00Z", "public": True}
    say({"type": "RECORD", "stream": "tickets", "record": record, "time_extracted": "2026-09-01T10:00:00Z"})
    say({"type": "RECORD", "stream": "others", "record": {"n": n}})
    if n % config.get("state_every", 10) == 0:
        say({"type": "STATE", "value": {"next": n + 1, "exact": 1.10}})
if config.get("batch"):
    say({"type": "BATCH", "stream": "tickets", "manifest": []})
