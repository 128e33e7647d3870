"""An interface that bills what it gives: pages of posts with their authors beside them, and a count of what was asked and given.

`paid_server.py PORT`. `GET /posts?page=N&size=S`: ten posts in pages of S; `GET /counts`: what it was asked and gave so far;
`POST /hold`: from now on a request is counted and never answered. Nothing but the standard library."""

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

POSTS = 10
COUNTS = {"calls": 0, "records": 0, "users": 0}
HELD = threading.Event()
LOCK = threading.Lock()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, body, status=200):
        body = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        if self.path == "/hold":
            HELD.set()
            return self.answer({})
        self.answer({}, 404)

    def do_GET(self):
        split = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(split.query).items()}
        if split.path == "/counts":
            with LOCK:
                return self.answer(COUNTS)
        with LOCK:
            COUNTS["calls"] += 1
        if HELD.is_set():
            threading.Event().wait()
        if split.path != "/posts":
            return self.answer({"error": "not here"}, 404)
        page, size = int(query.get("page", 1)), int(query["size"])
        some = list(range(POSTS))[(page - 1) * size : page * size]
        posts = [{"id": n, "author": n % 2, "at": f"2026-11-{n + 1:02}T10:00:00Z"} for n in some]
        users = [{"id": author, "name": f"Author {author}"} for author in sorted({post["author"] for post in posts})]
        with LOCK:
            COUNTS["records"] += len(posts)
            COUNTS["users"] += len(users)
        more = {"next": page + 1} if page * size < POSTS else {}
        self.answer({"data": posts, "includes": {"users": users}, **more})


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
