"""A server with the habits of web interfaces: pages by number, offset, cursor and link, ranges of time, logins, limits, formats. Nothing but the
standard library. `manifest_server.py PORT`; says `ready` once it listens."""

import base64
import csv
import gzip
import hashlib
import hmac
import io
import json
import sys
import threading
import time
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from manifest_shapes import Shapes

PORT = int(sys.argv[1])
BASE = f"http://127.0.0.1:{PORT}"
COUNTS = {}
NOTED, UNDER_WAY, MOST, TOKENS, ENDED = {}, {}, {}, {}, set()
LOCK = threading.Lock()


def item(n):
    return {
        "id": n,
        "Name": f"Item {n}",
        "price": n + 0.5,
        "big": 9007199254740993 + n,
        "tags": [f"t{n % 3}", "all"],
        "nested": {"color": ["red", "green", "blue"][n % 3], "deep": {"value": None if n % 4 == 0 else n}},
        "note": "üñí \"quoted\" \n line" if n % 5 == 0 else "",
        "updated_at": f"2024-01-{1 + n % 28:02d}T{n % 24:02d}:00:00Z",
        "active": n % 2 == 0,
    }


ITEMS = [item(n) for n in range(1, 26)]
USERS = [{"id": f"u{n}", "name": f"User {n}", "team": {"id": n % 2}, "updated_at": f"2024-02-{n:02d}T00:00:00Z"} for n in range(1, 6)]
POSTS = {
    user["id"]: [
        {"id": f"{user['id']}-p{n}", "author": user["id"], "text": f"post {n}", "created": f"2024-02-{n:02d}T12:00:00Z"}
        for n in range(1, 2 + index)
    ]
    for index, user in enumerate(USERS)
}


def times(key):
    with LOCK:
        COUNTS[key] = COUNTS.get(key, 0) + 1
        return COUNTS[key]


class Handler(Shapes, BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def base(self):
        return BASE

    def times(self, key):
        return times(key)

    def log_message(self, *_):
        pass

    def answer(self, body, status=200, headers=None, kind="application/json"):
        if not isinstance(body, (bytes, str)):
            body = json.dumps(body, ensure_ascii=False)
        if isinstance(body, str):
            body = body.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        length = int(self.headers.get("Content-Length") or 0)
        self.route(self.rfile.read(length))

    def do_GET(self):
        length = int(self.headers.get("Content-Length") or 0)
        self.route(self.rfile.read(length))

    def route(self, body):
        parts = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(parts.query, keep_blank_values=True).items()}
        steps = parts.path.strip("/").split("/")
        getattr(self, "on_" + steps[0].replace("-", "_"), self.on_nothing)(steps[1:], query, body)

    def on_nothing(self, *_):
        self.answer({"error": {"message": "no such place"}}, 404)

    def on_all(self, steps, query, body):
        self.answer(ITEMS)

    def on_wrapped(self, steps, query, body):
        self.answer({"result": {"data": ITEMS}, "query": query})

    def on_one(self, steps, query, body):
        self.answer({"only": ITEMS[0]})

    def on_pages(self, steps, query, body):
        size, page = int(query.get("per_page", 10)), int(query.get("page", 1))
        self.answer({"data": ITEMS[(page - 1) * size : page * size], "page": page})

    def on_offset(self, steps, query, body):
        size, start = int(query.get("limit", 10)), int(query.get("offset", 0))
        self.answer({"data": ITEMS[start : start + size], "total": len(ITEMS)})

    def on_cursor(self, steps, query, body):
        start = int(query.get("after", 0))
        found = [one for one in ITEMS if one["id"] > start][:7]
        more = bool(found) and found[-1]["id"] < len(ITEMS)
        self.answer({"items": found, "meta": {"next": str(found[-1]["id"]) if more else "", "has_more": more}})

    def on_link(self, steps, query, body):
        start = int(query.get("max_id", 0))
        found = ITEMS[start : start + 8]
        headers = {}
        if start + 8 < len(ITEMS):
            headers["Link"] = f'<{BASE}/link?max_id={start + 8}>; rel="next", <{BASE}/link>; rel="prev"'
        self.answer(found, headers=headers)

    def on_next_url(self, steps, query, body):
        start = int(query.get("from", 0))
        found = ITEMS[start : start + 9]
        following = f"{BASE}/next-url?from={start + 9}" if start + 9 < len(ITEMS) else None
        self.answer({"value": found, "next": following, "echo": query})

    def on_search(self, steps, query, body):
        asked = json.loads(body)
        start = asked.get("page", {}).get("after", 0)
        found = ITEMS[start : start + asked["page"]["size"]]
        after = start + len(found)
        self.answer({"hits": found, "after": after if after < len(ITEMS) else None, "asked": asked})

    def on_form(self, steps, query, body):
        asked = {key: values[0] for key, values in parse_qs(body.decode()).items()}
        self.answer({"rows": [{"asked": asked, "kind": self.headers.get("Content-Type")}]})

    def on_events(self, steps, query, body):
        since, until = query.get("since", ""), query.get("until", "9999")
        found = [one for one in ITEMS if since <= one["updated_at"] <= until]
        self.answer({"events": found})

    def on_feed(self, steps, query, body):
        newest = sorted(ITEMS, key=lambda one: one["updated_at"], reverse=True)
        start = int(query.get("offset", 0))
        self.answer({"data": newest[start : start + 5]})

    def on_counted(self, steps, query, body):
        start = int(query.get("from_id", 0))
        self.answer({"data": [one for one in ITEMS if one["id"] >= start]})

    def on_users(self, steps, query, body):
        if len(steps) == 2 and steps[1] == "posts":
            since = query.get("since", "")
            posts = [post for post in POSTS.get(steps[0], []) if post["created"] >= since]
            return self.answer({"posts": posts, "team": query.get("team")})
        if len(steps) == 1:
            if steps[0] == "u3":
                return self.answer({"error": "gone"}, 404)
            return self.answer({"user": next(user for user in USERS if user["id"] == steps[0])})
        since = query.get("since", "")
        self.answer({"users": [user for user in USERS if user["updated_at"] >= since]})

    def on_posts(self, steps, query, body):
        since = query.get("since", "")
        posts = [post for user in query.get("users", "").split(",") for post in POSTS.get(user, []) if post["created"] >= since]
        self.answer({"posts": posts})

    def on_describe(self, steps, query, body):
        self.answer({"fields": [{"name": name, "kind": "any"} for name in ("price", "nested.color", "nested.deep", "active")]})

    def on_objects(self, steps, query, body):
        asked = json.loads(body)["properties"] if body else query.get("properties", "").split(",")
        start = int(query.get("after", 0))
        found = []
        for one in ITEMS[start : start + 4] if not body else ITEMS[:3]:
            record = {"id": "" if one["id"] == 2 else str(one["id"]), "Name": one["Name"]}
            for name in asked:
                first, _, rest = name.partition(".")
                if first in one:
                    if rest:
                        record.setdefault(first, {})[rest] = one[first][rest]
                    else:
                        record[first] = one[first]
            found.append(record)
        self.answer({"results": found, "next": str(start + 4) if start < 8 else None, "asked": asked})

    def on_tables(self, steps, query, body):
        own = [
            {"id": "t1", "title": "Alpha", "kind": "table", "keys": ["id"]},
            {"id": "t2", "title": "Gone", "kind": "view", "keys": []},
        ]
        shared = [{"id": "t3", "title": "Beta", "kind": "table", "keys": ["id", "Name"]}]
        self.answer({"tables": own if steps[0] == "own" else shared})

    def on_rows(self, steps, query, body):
        number = int(steps[0][1:])
        self.answer({"data": [{**one, "asked": query} for one in ITEMS[number : number + 3]]})

    def on_orders(self, steps, query, body):
        if len(steps) == 2 and steps[1] == "lines":
            page = {"": (["a", "b"], "b"), "b": (["c", "z"], "z"), "z": (["d"], None)}[query.get("after", "")]
            return self.answer({"lines": [{"sku": sku, "full": True} for sku in page[0]] if steps[0] != "o4" else [], "next": page[1]})
        if len(steps) == 2:
            after, since = int(query.get("after", "0").split("-")[-1]), query.get("since", "")
            found = [{"id": f"{steps[0]}-{n}", "at": f"2024-01-{n:02d}T00:00:00Z", "asked": query.get("lang")} for n in range(after + 1, after + 3)]
            return self.answer({"data": [one for one in found if one["at"] >= since], "more": after < 2})
        notes = lambda order, more: {"data": [{"id": f"{order}-{n}", "at": f"2024-01-{n:02d}T00:00:00Z"} for n in (1, 2)], "more": more}
        parcels = {"p1": {"items": [{"n": 1}, 2], "by": "post"}, "p2": {"items": [], "by": "bike"}, "p3": {"items": "none"}}
        orders = [
            {"id": "o1", "tags": ["new"], "lines": {"data": [{"sku": "a"}, {"sku": "b", "id": "own"}], "has_more": False}, "notes": notes("o1", True)},
            {"id": "o2", "tags": [], "lines": {"data": [], "has_more": False}, "parcels": parcels},
            {"id": "o3", "buyer": {"name": "x"}, "lines": {"data": [{"sku": "a"}, "text", 5, None], "has_more": True, "total_count": 6}, "notes": notes("o3", False)},
            {"id": "o4", "lines": {"data": [{"sku": "q"}], "has_more": 1}},
            {"id": "o5", "lines": "none"},
        ]
        if "objects" in query:
            del orders[2]["lines"]["data"][1:]
        self.answer({"orders": orders, "summary": {"count": len(orders)}})

    def on_sparse(self, steps, query, body):
        start = int(query.get("offset", 0))
        data = [{"n": start}, None, {"inner": [{"n": start + 1}, {}]}, {"n": start + 2, "inner": []}]
        self.answer({"nulls": [None, {}, []], "data": data[: 4 if start < 8 else 1], "other": [{"never": True}]})

    def on_zipped(self, steps, query, body):
        if steps[0] == "damaged":
            return self.answer(b"PK\x03\x04 and no more", kind="application/zip")
        packed = gzip.compress("\n".join(json.dumps(one) for one in ITEMS[:3]).encode())
        files = {
            "csv": lambda: {"a.csv": "id;name\n1;one\n2;two\n", "b/c.csv": "id;note\n3;x\n"},
            "json": lambda: {"1.json": json.dumps(ITEMS[:2]), "2.json": json.dumps(ITEMS[2])},
            "packed": lambda: {"1.gz": packed},
            "bomb": lambda: {f"{n}.csv": b"a" * (150 << 20) for n in range(2)},
        }[steps[0]]()
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files.items():
                archive.writestr(name, content)
        self.answer(out.getvalue(), kind="application/zip")

    def on_patient(self, steps, query, body):
        turn = times("patient-" + query.get("run", ""))
        if turn <= 3:
            return self.answer([{"retry": {"seconds": 1}}, ["not a number of seconds"], {"retry": {"seconds": "soon"}}][turn - 1], 503)
        self.answer({"data": ITEMS[:2]})

    def on_old_login(self, steps, query, body):
        good = json.loads(body) == {"username": "me", "password": "s3cret"}
        self.answer({"id": "made-1"} if good else {}, 200 if good else 401)

    def on_old_session(self, steps, query, body):
        self.guarded(self.headers.get("X-Session") in ("made-1", "given-1"))

    def on_assertion(self, steps, query, body):
        asked = {key: values[0] for key, values in parse_qs(body.decode()).items()}
        read = lambda part: json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        payload = read(asked.get("assertion", "").split(".")[1])
        good = set(asked) == {"grant_type", "assertion"} and asked["grant_type"].endswith(":jwt-bearer") and payload["iss"] == "me"
        self.answer({"access_token": "oauth-1", "expires_in": 3600} if good else {"error": "invalid_grant"}, 200 if good else 400)

    def on_by_color(self, steps, query, body):
        found = [one for one in ITEMS if one["nested"]["color"] == query.get("color")]
        if "size" in query:
            found = found[: {"small": 2, "large": 5}[query["size"]]]
        self.answer({"data": found})

    def on_csv(self, steps, query, body):
        out = io.StringIO()
        writer = csv.writer(out)
        writer.writerow(["id", "name", "note"])
        for one in ITEMS[:5]:
            writer.writerow([one["id"], one["Name"], one["note"] or "NULL"])
        self.answer(out.getvalue(), kind="text/csv")

    def on_jsonl(self, steps, query, body):
        self.answer("\n".join(json.dumps(one) for one in ITEMS[:5]) + "\n", kind="application/x-ndjson")

    def on_lines(self, steps, query, body):
        self.answer("first\n\nthird \u00e9\r\nlast", kind="text/plain; charset=utf-8")

    def on_packed(self, steps, query, body):
        self.answer(gzip.compress("\n".join(json.dumps(one) for one in ITEMS[:6]).encode()), kind="application/gzip")

    def on_xml(self, steps, query, body):
        rows = "".join(
            f'<entry lang="en"><id>{one["id"]}</id><title type="text">{one["Name"]}</title><a:by xmlns:a="urn:a">x</a:by>'
            f'<link href="{BASE}/{one["id"]}"/><tag>a</tag><tag>b</tag></entry>'
            for one in ITEMS[:4]
        )
        self.answer(f'<?xml version="1.0"?><feed xmlns="http://www.w3.org/2005/Atom"><title>T</title>{rows}</feed>', kind="application/xml")

    def on_basic(self, steps, query, body):
        wanted = "Basic " + base64.b64encode(b"me:s3cret").decode()
        self.guarded(self.headers.get("Authorization") == wanted)

    def on_bearer(self, steps, query, body):
        self.guarded(self.headers.get("Authorization") == "Bearer tok-1")

    def on_key(self, steps, query, body):
        self.guarded(self.headers.get("X-Api-Key") == "k-1" or query.get("api_key") == "k-1")

    def guarded(self, allowed):
        self.answer({"data": ITEMS[:3]} if allowed else {"message": "who are you?"}, 200 if allowed else 401)

    def on_token(self, steps, query, body):
        asked = {key: values[0] for key, values in parse_qs(body.decode()).items()}
        good = asked.get("client_id") == "c" and asked.get("client_secret") == "s" and asked.get("refresh_token", "r0").startswith("r")
        if not good:
            return self.answer({"error": "invalid_grant"}, 400)
        self.answer({"access_token": "oauth-1", "expires_in": 3600, "refresh_token": "r1", "token_type": "bearer"})

    def on_oauth(self, steps, query, body):
        self.guarded(self.headers.get("Authorization") == "Bearer oauth-1")

    def on_login(self, steps, query, body):
        asked = json.loads(body)
        good = asked == {"user": "me", "password": "s3cret"}
        self.answer({"session": {"token": "sess-9"}} if good else {"error": "no"}, 200 if good else 403)

    def on_session(self, steps, query, body):
        self.guarded(self.headers.get("X-Session") == "sess-9")

    def on_jwt(self, steps, query, body):
        kind, _, token = self.headers.get("Authorization", "").partition(" ")
        signed, _, signature = token.rpartition(".")
        code = lambda data: base64.urlsafe_b64encode(data).rstrip(b"=").decode()
        read = lambda part: json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        secret = base64.b64encode(b"a secret that is long enough for this")
        if kind != "Bearer" or code(hmac.new(secret, signed.encode(), hashlib.sha256).digest()) != signature:
            return self.guarded(False)
        header, payload = (read(part) for part in signed.split("."))
        lives = payload.pop("exp") - payload["iat"]
        fresh = abs(payload.pop("iat") - time.time()) < 300 and payload.pop("nbf") > 0
        self.answer({"data": [{"header": header, "payload": payload, "lives": lives, "fresh": fresh}]})

    def on_flaky(self, steps, query, body):
        turn = times("flaky-" + query.get("run", ""))
        if turn == 1:
            return self.answer({"error": "overloaded"}, 503)
        if turn == 2:
            return self.answer({"error": {"message": "slow down"}}, 429, {"X-Wait": "1"})
        if turn == 3:
            return self.answer({"status": "pending"})
        self.answer({"status": "done", "data": ITEMS[:4]})

    # Slices that are read at once. Every call is noted: when, which slice, which page.

    def on_parted(self, steps, query, body):
        kind, part, page = steps[0], query.get("part", ""), int(query.get("page", 1))
        if kind == "log":
            with LOCK:
                return self.answer({"data": NOTED.get(query["run"], []), "most": MOST.get(query["run"], 0)})
        run = query.get("run", "")
        with LOCK:
            NOTED.setdefault(run, []).append([time.time(), part, page])
            UNDER_WAY[run] = UNDER_WAY.get(run, 0) + 1
            MOST[run] = max(MOST.get(run, 0), UNDER_WAY[run])
        try:
            getattr(self, "parted_" + kind)(part, page, query)
        finally:
            with LOCK:
                UNDER_WAY[run] -= 1

    def part_of(self, part, page, pages=2, size=3):
        data = [{"id": f"{part}-{page}-{n}", "part": part, "at": f"2024-01-0{page}T0{n}:00:00Z"} for n in range(size)]
        return {"data": data, "next": str(page + 1) if page < pages else None}

    def parted_slow(self, part, page, query):
        time.sleep(0.2)
        self.answer(self.part_of(part, page))

    def parted_uneven(self, part, page, query):
        time.sleep(0.01 * (int(part[1:]) * 7 % 5))
        self.answer(self.part_of(part, page, pages=1 + int(part[1:]) % 3))

    def parted_broken(self, part, page, query):
        if part == "p5" and page == 2:
            return self.answer({"message": "no"}, 403)
        self.parted_uneven(part, page, query)

    def parted_days(self, part, page, query):
        time.sleep(0.05)
        self.answer({"data": [{"id": f"{query['since']}-{n}", "at": f"{query['since']}T0{n}:30:00Z"} for n in range(4)], "next": None})

    def parted_endless(self, part, page, query):
        if part == "p0":
            time.sleep(1.5)
            return self.answer(self.part_of(part, page, pages=1))
        self.answer({"data": [{"id": f"{part}-{page}", "pad": "x" * (4 << 20)}], "next": str(page + 1) if part == "p1" or page < 3 else None})

    def parted_limited(self, part, page, query):
        if part == "p3" and page == 1 and times("limited-" + query["run"]) <= int(query.get("refusals", 1)):
            return self.answer({"message": "slow down"}, 429, {"Retry-After": query.get("after", "1")})
        time.sleep(0.02)
        self.answer(self.part_of(part, page))

    def parted_token(self, part, page, query):
        given = self.headers.get("Authorization", "")
        with LOCK:
            good = given == f"Bearer token-{TOKENS.get(query['run'], 1)}"
            if good and part == "p3" and page == 1 and not query["run"] in ENDED:
                ENDED.add(query["run"])
                TOKENS[query["run"]] = 2
        self.answer(self.part_of(part, page) if good else {"message": "who are you?"}, 200 if good else 401)

    def on_parted_token(self, steps, query, body):
        run = parse_qs(body.decode())["client_id"][0]
        self.answer({"access_token": f"token-{TOKENS.get(run, 1)}", "expires_in": 3600, "turn": times("tokens-" + run)})

    # Pages that must be asked for in another way.

    def on_refusing(self, steps, query, body):
        getattr(self, "refusing_" + steps[0])(query, *steps[1:])

    def refusing_heavy(self, query):
        limit, after = int(query["limit"]), int(query.get("after", 0))
        # The middle of the list is heavier than its ends.
        if limit > (5 if 8 <= after < 16 else 10):
            return self.answer({"message": "too heavy"}, 413)
        found = ITEMS[after : after + limit]
        self.answer({"data": found, "last": after + len(found)})

    def refusing_expiring(self, query):
        after = int(query.get("after", 0))
        if after == 12 and times("expiring-" + query["run"]) == 1:
            return self.answer({"message": "the token has expired"}, 410)
        found = ITEMS[after : after + 6]
        self.answer({"data": found, "last": after + 6 if after + 6 < len(ITEMS) else None})

    def timed(self, query):
        part = query.get("part", "")
        times = [f"2024-03-{1 + n * 17 // 24:02d}T{n % 24:02d}:00:00Z" for n in range(25)]
        found = [{"id": f"{part}{n}", "at": at} for n, at in enumerate(times)]
        return [one for one in found if query.get("since", "") <= one["at"] <= query.get("until", "9")]

    def refusing_bounded(self, query):
        after = int(query.get("after", 0))
        found = self.timed(query)
        if "after" in query and after >= 8:
            return self.answer({"message": "no page begins so late"}, 400)
        self.answer({"data": found[after : after + 4]})

    def refusing_narrow(self, query):
        days = lambda name: int(query[name][8:10])
        if days("until") - days("since") > 3:
            return self.answer({"message": "too many days"}, 422)
        after = int(query.get("after", 0))
        self.answer({"data": self.timed(query)[after : after + 4]})

    def refusing_fields(self, query):
        fields = [("Id", "int"), ("price", "money"), ("cost", "money"), ("both", "either"), ("list", "numbers"), ("hidden", "int"), ("flag", "boolean"), ("none", None)]
        self.answer({"fields": [{"name": name, **({"kind": kind} if kind else {}), "cents": name == "price"} for name, kind in fields]})

    def refusing_values(self, query):
        self.answer({"data": [
            {"id": "7", "price": "1.5", "cost": 2, "both": 3, "list": ["1", 2, "x"], "hidden": "8", "flag": "yes", "none": 5, "more": "9"},
            {"id": "seven", "price": True, "cost": None, "both": "4", "list": [], "flag": 0},
        ]})

    def refusing_csv(self, query, encoding):
        self.answer("id;name\n1;é ü\n2;\"a;b ñ\"\n".encode(encoding), kind="text/csv")

    def refusing_items(self, query, encoding):
        self.answer('{"data": [{"id": 1, "name": "é “quoted”"}, {"id": 2, "name": "€"}], "more": []}'.encode(encoding))

    # What hostile servers do.

    def on_loop(self, steps, query, body):
        self.answer({"data": ITEMS[:2], "next": "again"})

    def on_storm(self, steps, query, body):
        turn = times("storm-" + query.get("run", ""))
        dialects = [{"Retry-After": "1"}, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1"}, {"RateLimit": '"d";r=0;t=1'}, {"Retry-After-Ms": "1000"}]
        if turn <= len(dialects):
            return self.answer("slow down", 429, dialects[turn - 1], "text/plain")
        self.answer({"data": ITEMS[:2]})

    def on_redirect(self, steps, query, body):
        self.answer("", 302, {"Location": query.get("to", "/redirect")})

    def on_huge(self, steps, query, body):
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        chunk = b"[" + b" " * (1 << 20)
        try:
            for _ in range(200):
                self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
        except OSError:
            pass
        self.close_connection = True

    def on_bomb(self, steps, query, body):
        self.answer(gzip.compress(b"[" + b" " * (300 << 20)), headers={"Content-Encoding": "gzip"})

    def on_slow(self, steps, query, body):
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", "1000000")
        self.end_headers()
        try:
            for _ in range(600):
                self.wfile.write(b" ")
                self.wfile.flush()
                threading.Event().wait(0.1)
        except OSError:
            pass
        self.close_connection = True

    def on_html(self, steps, query, body):
        self.answer("<html>login</html>", kind="text/html")

    def on_text(self, steps, query, body):
        self.answer({"data": "five"})


server = ThreadingHTTPServer(("127.0.0.1", PORT), Handler)
print("ready", flush=True)
server.serve_forever()
