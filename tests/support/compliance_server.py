"""X's compliance jobs in the shapes of their public documentation (docs.x.com/x-api/compliance/batch-compliance), and the posts that are asked about.
Nothing but the standard library. `compliance_server.py PORT FOLDER`: what it was told and asked lies in FOLDER, so that it survives a kill of its own.

`POST /gone` with `{"tweets": {ID: REASON}, "users": {ID: REASON}}` says what is gone; `POST /next` with a list of what the next jobs do: `complete`, `failed`,
`expired`, `cut` (the answer breaks off), `elsewhere`, `outside` (files on another host), `lost` (the job is made, and its answer never sent). `POST /shows` with a list of what the next look-ups bring: `all`, `nothing`, `error`."""

import json
import sys
import threading
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

FOLDER = Path(sys.argv[2])
LOCK = threading.Lock()
STATE = {"jobs": [], "gone": {"tweets": {}, "users": {}}, "next": [], "posts": [], "looks": 1, "bulk": 0, "shows": []}
NOW = datetime.now(timezone.utc).replace(microsecond=0)


def iso(at):
    return at.strftime("%Y-%m-%dT%H:%M:%S.000Z")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, body, status=200, kind="application/json"):
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def note(self, path, **more):
        with LOCK, open(FOLDER / "asked.ndjson", "a") as out:
            print(json.dumps({"method": self.command, "path": path, **more}), file=out)

    def body(self):
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def allowed(self):
        if self.headers.get("Authorization") == "Bearer x-token":
            return True
        self.answer({"title": "Unauthorized", "status": 401}, 401)
        return False

    def shown(self, job):
        base = f"http://{self.headers['Host']}"
        other = {"elsewhere": "http://localhost.evil.example", "outside": "https://files.example"}.get(job["does"], base)
        return {
            "id": job["id"],
            "type": job["type"],
            "name": job["name"],
            "status": job["status"],
            "resumable": False,
            "created_at": iso(NOW),
            "upload_url": f"{other}/files/up/{job['id']}?X-Goog-Signature=secret-up-{job['id']}",
            "upload_expires_at": iso(NOW + timedelta(minutes=15)),
            "download_url": f"{other}/files/down/{job['id']}?X-Goog-Signature=secret-down-{job['id']}",
            "download_expires_at": iso(NOW + timedelta(days=7)),
        }

    def job(self, number):
        return next((job for job in STATE["jobs"] if job["id"] == number), None)

    def do_POST(self):
        split, body = urlsplit(self.path), self.body()
        if split.path in ("/gone", "/next", "/posts", "/looks", "/bulk", "/shows"):
            STATE[split.path[1:]] = json.loads(body)
            return self.answer({})
        if split.path != "/2/compliance/jobs":
            return self.answer({}, 404)
        self.note(split.path)
        if not self.allowed():
            return None
        asked = json.loads(body)
        if asked["type"] not in ("tweets", "users") or len(asked.get("name", "")) > 64:
            return self.answer({"title": "Invalid Request"}, 400)
        with LOCK:
            if any(job["type"] == asked["type"] and job["status"] in ("created", "in_progress") for job in STATE["jobs"]):
                return self.answer({"title": "Invalid Request", "detail": "You have an ongoing compliance job"}, 400)
            does = STATE["next"].pop(0) if STATE["next"] else "complete"
            made = {"id": str(1000 + len(STATE["jobs"])), "type": asked["type"], "name": asked.get("name"), "status": "created", "does": does, "looks": 0}
            STATE["jobs"].append(made)
        if does == "lost":
            self.close_connection = True
            return None
        self.answer({"data": self.shown(made)})

    def do_PUT(self):
        split, body = urlsplit(self.path), self.body()
        number = split.path.rsplit("/", 1)[-1]
        lines = body.decode().splitlines()
        self.note("/files/up", ids=len(lines), bytes=len(body))
        job = self.job(number)
        if split.query != f"X-Goog-Signature=secret-up-{number}" or self.headers.get("Authorization") or self.headers.get("Content-Type") != "text/plain":
            return self.answer(b"<Error><Code>SignatureDoesNotMatch</Code></Error>", 403, "application/xml")
        if not job or job["status"] != "created" or not all(line.isdigit() for line in lines):
            return self.answer(b"", 400)
        (FOLDER / f"list-{number}").write_bytes(body)
        job["status"] = "in_progress"
        self.answer(b"", 200, "text/plain")

    def do_GET(self):
        split = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(split.query).items()}
        if split.path == "/asked":
            path = FOLDER / "asked.ndjson"
            return self.answer([json.loads(line) for line in path.read_text().splitlines()] if path.exists() else [])
        if split.path == "/jobs":
            return self.answer(STATE["jobs"])
        if split.path.startswith("/files/down/"):
            return self.download(split)
        if not self.allowed():
            return None
        if split.path == "/2/users/7/mentions":
            posts = [
                {"id": id, "text": f"where is my order {id}?", "author_id": author, "created_at": iso(NOW - timedelta(hours=1)), "edit_history_tweet_ids": [id]}
                for id, author in STATE["posts"]
            ]
            users = [{"id": author, "username": f"user{author}", "name": f"User {author}"} for author in {author for _, author in STATE["posts"]}]
            answer = {"meta": {"result_count": len(posts)}}
            return self.answer(answer | ({"data": posts, "includes": {"users": users}} if posts else {}))
        if split.path == "/2/tweets":
            return self.looked_up(query["ids"].split(","))
        if split.path == "/2/users":
            return self.users(query["ids"].split(","))
        self.note(split.path)
        if split.path == "/2/compliance/jobs":
            jobs = [self.shown(job) for job in STATE["jobs"] if job["type"] == query["type"]]
            return self.answer({"data": jobs, "meta": {"result_count": len(jobs)}} if jobs else {"meta": {"result_count": 0}})
        job = self.job(split.path.rsplit("/", 1)[-1])
        if not job:
            return self.answer({"title": "Not Found"}, 404)
        if job["status"] == "in_progress":
            job["looks"] += 1
            if job["looks"] >= STATE["looks"]:
                job["status"] = job["does"] if job["does"] in ("failed", "expired") else "complete"
        self.answer({"data": self.shown(job)})

    def looked_up(self, ids):
        """Posts by their ids (docs.x.com/x-api/posts/get-posts-by-ids): those that are there, and an error for each that is not."""
        self.note("/2/tweets", ids=len(ids))
        shows = STATE["shows"].pop(0) if STATE["shows"] else "all"
        if len(ids) > 100 or not all(id.isdigit() for id in ids):
            return self.answer({"title": "Invalid Request"}, 400)
        if shows == "nothing":
            return self.answer({})
        if shows == "error":
            return self.answer({"title": "Service Unavailable"}, 503)
        known, gone = {id for id, _ in STATE["posts"]}, STATE["gone"]["tweets"]
        data = [{"id": id, "text": f"where is my order {id}?"} for id in ids if id in known and id not in gone]
        problem = {"deleted": "resource-not-found", "protected": "not-authorized-for-resource", "broken": "field-not-authorized"}
        errors = [
            {"value": id, "resource_id": id, "parameter": "ids", "resource_type": "tweet", "title": "Error", "type": f"https://api.twitter.com/2/problems/{problem[gone[id]]}"}
            for id in ids
            if gone.get(id) in problem
        ]
        # A list of nothing is left out.
        self.answer({name: items for name, items in (("data", data), ("errors", errors)) if items})

    def users(self, ids):
        """Accounts by their ids (docs.x.com/x-api/users/lookup): who is deleted or suspended stands among the errors."""
        self.note("/2/users", ids=len(ids))
        known, gone = {author for _, author in STATE["posts"]}, STATE["gone"]["users"]
        data = [{"id": id, "name": f"User {id}", "username": f"user{id}"} for id in ids if id in known and id not in gone]
        errors = [
            {"value": id, "resource_id": id, "parameter": "ids", "resource_type": "user", "title": "Not Found Error", "type": "https://api.twitter.com/2/problems/resource-not-found"}
            for id in ids
            if id in gone
        ]
        self.answer({name: items for name, items in (("data", data), ("errors", errors)) if items})

    def download(self, split):
        number = split.path.rsplit("/", 1)[-1]
        job = self.job(number)
        self.note("/files/down")
        if split.query != f"X-Goog-Signature=secret-down-{number}" or self.headers.get("Authorization"):
            return self.answer(b"", 403, "application/xml")
        gone = STATE["gone"][job["type"]]
        lines = []
        for id in (FOLDER / f"list-{number}").read_text().split():
            if id in gone:
                said = {"action": "delete", "created_at": iso(NOW - timedelta(hours=1)), "id": id, "reason": gone[id]}
                if gone[id] != "scrub_geo":
                    said["redacted_at"] = iso(NOW - timedelta(minutes=1))
                lines.append(json.dumps(said))
        # What nobody here asked about, and what nobody understands.
        lines += [json.dumps({"action": "delete", "id": str(7_000_000 + n), "reason": "deleted", "more": "x" * 500}) for n in range(STATE["bulk"])]
        if STATE["bulk"]:
            lines += ["{", "x" * 100_000]
        body = "".join(f"{line}\n" for line in lines).encode()
        if job["does"] == "cut":
            job["does"] = "complete"
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body) + 100))
            self.end_headers()
            self.wfile.write(body)
            self.close_connection = True
            return None
        self.answer(body, 200, "application/json")


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
