"""Airbyte's interpolation on a list of [template, names] pairs from stdin: prints a list of {"value": …} or {"failed": true}."""

import json
import sys

from airbyte_cdk.sources.declarative.interpolation.interpolated_string import InterpolatedString

out = []
for template, names in json.load(sys.stdin):
    try:
        value = InterpolatedString.create(template, parameters={}).eval(names.pop("config", {}), **names)
        out.append({"value": json.loads(json.dumps(value))})
    except Exception:
        out.append({"failed": True})
json.dump(out, sys.stdout)
