"""Airbyte's own runner on a list of cases: `manifest_peer.py CASES.json BASE_URL`. Prints a JSON object: case name → records and final state."""

import json
import logging
import os
import sys

import yaml
from airbyte_cdk.models import AirbyteMessageSerializer, AirbyteStateMessageSerializer, ConfiguredAirbyteCatalogSerializer
from airbyte_cdk.sources.declarative.concurrent_declarative_source import ConcurrentDeclarativeSource

logging.disable(logging.CRITICAL)
cases_file, base = sys.argv[1], sys.argv[2]
folder = os.path.dirname(os.path.abspath(cases_file))
with open(cases_file) as file:
    cases = json.load(file)
out = {}
for case in cases:
    with open(os.path.join(folder, case["manifest"])) as file:
        manifest = yaml.safe_load(file)
    config = {**case["config"], "base_url": base, "run": case["name"] + "-reference"}
    catalog = ConfiguredAirbyteCatalogSerializer.load(
        {
            "streams": [
                {
                    "stream": {"name": case["stream"], "json_schema": {}, "supported_sync_modes": ["full_refresh", "incremental"]},
                    "sync_mode": "incremental",
                    "destination_sync_mode": "append",
                }
            ]
        }
    )
    state = []
    if case.get("state") is not None:
        state = [
            AirbyteStateMessageSerializer.load(
                {"type": "STREAM", "stream": {"stream_descriptor": {"name": case["stream"]}, "stream_state": case["state"]}}
            )
        ]
    records, final, failed = [], None, None
    try:
        source = ConcurrentDeclarativeSource(catalog=catalog, config=config, state=state, source_config=manifest)
        for message in source.read(logging.getLogger("peer"), config, catalog, state):
            shown = AirbyteMessageSerializer.dump(message)
            if shown["type"] == "RECORD":
                records.append(shown["record"]["data"])
            elif shown["type"] == "STATE":
                final = shown["state"]["stream"]["stream_state"]
    except Exception as error:
        failed = type(error).__name__
    final = json.loads(json.dumps(final, default=lambda value: value.__dict__))
    out[case["name"]] = {"records": records, "state": final, "failed": failed}
# The runner prints to stdout itself: the answer stands on the last line.
print("\n" + json.dumps(out))
