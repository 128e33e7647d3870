"""The bill of materials of the binary (CycloneDX 1.5, JSON), or the licences of what is in it as a page, from `cargo metadata`."""

import json
import subprocess
import sys
import uuid
from datetime import datetime, timezone


def packages():
    """What the binary is built from on Linux: normal and build dependencies, no tests'."""
    command = ["cargo", "metadata", "--locked", "--format-version", "1", "--features", "ntlm", "--filter-platform", "x86_64-unknown-linux-gnu"]
    data = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    nodes = {node["id"]: node for node in data["resolve"]["nodes"]}
    root = data["resolve"]["root"]
    seen, todo, edges = {root}, [root], {}
    while todo:
        package = todo.pop()
        kept = [dep["pkg"] for dep in nodes[package]["deps"] if any(kind["kind"] != "dev" for kind in dep["dep_kinds"])]
        edges[package] = sorted(set(kept))
        for dependency in kept:
            if dependency not in seen:
                seen.add(dependency)
                todo.append(dependency)
    return root, {package["id"]: package for package in data["packages"] if package["id"] in seen}, edges


def hashes():
    """SHA-256 of each package's archive, from the lock file."""
    found, name, version = {}, None, None
    with open("Cargo.lock", encoding="utf-8") as lock:
        for line in lock:
            key, _, value = line.strip().partition(" = ")
            if key == "name":
                name = value.strip('"')
            elif key == "version":
                version = value.strip('"')
            elif key == "checksum":
                found[(name, version)] = value.strip('"')
    return found


def reference(package):
    return f"pkg:cargo/{package['name']}@{package['version']}"


def component(package, known):
    out = {
        "type": "library",
        "bom-ref": reference(package),
        "name": package["name"],
        "version": package["version"],
        "purl": reference(package),
    }
    if package.get("license"):
        out["licenses"] = [{"expression": package["license"].replace("/", " OR ")}]
    if digest := known.get((package["name"], package["version"])):
        out["hashes"] = [{"alg": "SHA-256", "content": digest}]
    return out


def materials(version, second):
    root, found, edges = packages()
    known = hashes()
    at = datetime.fromtimestamp(int(second), tz=timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    libraries = sorted((package for name, package in found.items() if name != root), key=reference)
    depends = [{"ref": reference(found[name]), "dependsOn": [reference(found[to]) for to in edges[name]]} for name in sorted(found)]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        # The same commit has the same number.
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, f'kith-{version}-{second}')}",
        "version": 1,
        "metadata": {
            "timestamp": at,
            "component": {"type": "application", "bom-ref": reference(found[root]), "name": "kith", "version": version, "purl": reference(found[root]),
                          "licenses": [{"license": {"id": "Apache-2.0"}}]},
        },
        "components": [component(package, known) for package in libraries],
        "dependencies": depends,
    }


def licences():
    root, found, _ = packages()
    lines = ["# What is in the binary", "", "| package | version | licence |", "|---|---|---|"]
    for package in sorted((package for name, package in found.items() if name != root), key=reference):
        lines.append(f"| {package['name']} | {package['version']} | {package.get('license') or 'see its files'} |")
    lines += ["", "SQLite is in the public domain; AWS-LC, mimalloc and zlib are built from the sources that these packages hold."]
    return "\n".join(lines)


if __name__ == "__main__":
    if sys.argv[1:] == ["--licences"]:
        print(licences())
    else:
        print(json.dumps(materials(*sys.argv[1:]), indent=1))
