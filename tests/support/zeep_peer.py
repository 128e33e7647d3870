"""The reference client: what zeep writes for the same WSDL and values, and whether lxml's validator takes what we write.

usage: zeep_peer.py FOLDER REQUESTS
REQUESTS is JSON: [{"wsdl", "port", "operation", "values", "headers", "envelope", "schemas"}]; the answer, JSON on stdout:
[{"zeep": XML or null, "zeep_error", "invalid": text or null}]. `values` may hold {"decimal"}, {"datetime"}, {"date"}, {"nil"}, {"type", "values"}, {"array", "of", "items"}.
"""
import datetime, decimal, json, os, sys
import zeep
from lxml import etree
from zeep.transports import Transport

FOLDER, REQUESTS = sys.argv[1], sys.argv[2]
XSD = "{http://www.w3.org/2001/XMLSchema}"


class Local(Transport):
    """Nothing is fetched: what is asked for by URL is looked for in our folder."""

    def load(self, url):
        if "soap/encoding" in url:
            url = os.path.join(FOLDER, "encoding.xsd")
        elif url.startswith("http"):
            url = os.path.join(FOLDER, "layered", url.split("/wsdl/", 1)[-1])
        return super().load(url)


def resolve_list(self):
    """zeep 4.3 stops at a list within a restriction, wherever it stands in the schemas; no message that is compared holds one."""
    if not isinstance(self.item_type, etree.QName):
        self.item_type = self.item_type.resolve()
    self.base_class = getattr(self.item_type, "__class__", None)
    return self


zeep.xsd.ListType.resolve = resolve_list


def value(client, v):
    if isinstance(v, list):
        return [value(client, x) for x in v]
    if not isinstance(v, dict):
        return v
    if "decimal" in v:
        return decimal.Decimal(v["decimal"])
    if "datetime" in v:
        return datetime.datetime.fromisoformat(v["datetime"])
    if "date" in v:
        return datetime.date.fromisoformat(v["date"])
    if "nil" in v:
        return zeep.xsd.Nil
    if "type" in v:
        return client.get_type(v["type"])(**value(client, v["values"]))
    if "array" in v:
        # zeep knows no more of the encoding's arrays than that anything may be in them.
        kind = client.get_type(v["of"])
        item = zeep.xsd.Element("item", kind)
        return client.get_type(v["array"])([zeep.xsd.AnyObject(item, kind(**value(client, x))) for x in v["items"]])
    return {k: value(client, x) for k, x in v.items()}


def schema(paths):
    """One schema that imports all: files, or the schemas inside of a WSDL written to files beside it."""
    root = etree.Element(XSD + "schema")
    for at, path in enumerate(paths):
        if path.endswith(".wsdl"):
            for n, inner in enumerate(etree.parse(path).iter(XSD + "schema")):
                copy = "%s.%d.%d.xsd" % (REQUESTS, at, n)
                etree.ElementTree(inner).write(copy)
                etree.SubElement(root, XSD + "import", namespace=inner.get("targetNamespace"), schemaLocation=copy)
        else:
            etree.SubElement(root, XSD + "import", namespace=etree.parse(path).getroot().get("targetNamespace"), schemaLocation=path)
    return etree.XMLSchema(root)


clients, schemas, answers = {}, {}, []
for request in json.load(open(REQUESTS)):
    answer = {"zeep": None, "zeep_error": None, "invalid": None}
    answers.append(answer)
    if request.get("values") is not None:
        try:
            path = os.path.join(FOLDER, request["wsdl"])
            client = clients.get(path) or zeep.Client(path, transport=Local())
            clients[path] = client
            service = client.bind(port_name=request["port"])
            headers = [client.get_element(name)(**v) for name, v in (request.get("headers") or {}).items()]
            message = client.create_message(service, request["operation"], _soapheaders=headers or None, **value(client, request["values"]))
            answer["zeep"] = etree.tostring(message).decode()
        except Exception as error:
            answer["zeep_error"] = "%s: %s" % (type(error).__name__, error)
    if request.get("schemas"):
        key = tuple(request["schemas"])
        if key not in schemas:
            schemas[key] = schema([os.path.join(FOLDER, p) for p in key])
        body = [c for c in etree.fromstring(request["envelope"].encode()) if c.tag.endswith("}Body")][0]
        for child in body:
            # Out of the envelope, with the prefixes that it brought.
            alone = etree.fromstring(etree.tostring(child))
            if not schemas[key].validate(alone):
                answer["invalid"] = str(schemas[key].error_log)
json.dump(answers, sys.stdout)
