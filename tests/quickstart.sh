#!/usr/bin/env bash
# The README's first command on a copy of the checkout's sample, and a second run that must do nothing.
set -euo pipefail
kith="${1:?usage: quickstart.sh PATH-OF-KITH}"
project="$(mktemp -d)"
trap 'rm -rf "$project"' EXIT
cp -r mappings connectors config "$project"
mkdir -p "$project/tests/data" && cp -r tests/data/retail "$project/tests/data/"
cd "$project"
"$kith" run --once
"$kith" --format json run --once > second.json
python3 - <<'P'
import json
run = json.loads(open("second.json").read().strip().splitlines()[-1])
assert run["conservation_gap"] == 0, run
assert run["this_run"]["received"] == 0 and run["this_run"]["written"] == 0 and run["this_run"]["decided"] == 0, run["this_run"]
assert run["received"] == run["delivered"] + run["parked"] + run["dropped"] + run["erased"] + run["in_flight"], run
print("the second run did nothing")
P
"$kith" audit verify
python3 "$OLDPWD/ops/audit/verify.py" state/log state/keys/log.pub
