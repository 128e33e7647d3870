"""Reads WSDLs as two other programs do, without a network: zeep builds a client from each, libxml2 (lxml) compiles all of its schemas.

usage: check_wsdl.py FILE...   One line a file; exit code 1 where one is wrong.
"""
import sys
import tempfile
from pathlib import Path
from urllib.parse import urljoin

from lxml import etree
from zeep import Client, Transport

XSD = "{http://www.w3.org/2001/XMLSchema}"


class Offline(Transport):
    def _load_remote_data(self, url):
        raise RuntimeError(f"wants {url} from the network")


def schemas(path, text, found):
    """Every schema of the file and of what it imports, as (namespace, element), each location once."""
    root = etree.fromstring(text)
    for schema in root.iter(XSD + "schema"):
        namespace = schema.get("targetNamespace")
        if namespace:
            found.append((namespace, schema))
        for imported in schema.findall(XSD + "import"):
            location = imported.get("schemaLocation")
            if location:
                other = (path.parent / location).resolve()
                if other not in schemas.seen:
                    schemas.seen.add(other)
                    schemas(other, other.read_bytes(), found)


def compiled(path):
    """Compiles all schemas together, as a validator would; says how many."""
    schemas.seen = set()
    found = []
    schemas(path, path.read_bytes(), found)
    with tempfile.TemporaryDirectory() as folder:
        places = {namespace: f"{number}.xsd" for number, (namespace, _) in enumerate(found)}
        assert len(places) == len(found), "a namespace has two schemas"
        for namespace, schema in found:
            for imported in schema.findall(XSD + "import"):
                imported.set("schemaLocation", places[imported.get("namespace")])
            (Path(folder) / places[namespace]).write_bytes(etree.tostring(schema))
        all_of_them = etree.Element(XSD + "schema", nsmap={"xsd": XSD[1:-1]})
        for namespace, place in places.items():
            etree.SubElement(all_of_them, XSD + "import", namespace=namespace, schemaLocation=urljoin(f"file://{folder}/", place))
        etree.XMLSchema(etree.fromstring(etree.tostring(all_of_them)))
    return len(found)


def main():
    wrong = 0
    for name in sys.argv[1:]:
        path = Path(name).resolve()
        try:
            client = Client(str(path), transport=Offline())
            operations = [o for s in client.wsdl.services.values() for p in s.ports.values() for o in p.binding._operations]
            assert operations, "no operations"
            for service in client.wsdl.services.values():
                for port in service.ports.values():
                    for operation in port.binding._operations.values():
                        operation.input.signature()
            print(f"ok {path.name}: {len(operations)} operations, {compiled(path)} schemas")
        except Exception as error:  # whatever it is, it is told
            wrong = 1
            print(f"WRONG {path.name}: {type(error).__name__}: {error}")
    sys.exit(wrong)


main()
