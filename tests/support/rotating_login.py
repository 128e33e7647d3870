"""A network whose login gives a new refresh token each time and takes each once (RFC 6749, section 6): rotating_login.py PORT

Tokens live two seconds, and a new one ends the one before. GET /items is a page, GET /stream one server-sent event and the end of the connection. GET
/counts tells how often a token was given, how often an old refresh token was refused, and how many events there were.
"""
import http.server
import json
import sys
import threading
import time
import urllib.parse

lock = threading.Lock()
state = {"given": 0, "refused": 0, "refresh": "r0", "access": None, "until": 0.0, "events": 0}


class Network(http.server.BaseHTTPRequestHandler):
    def answer(self, body, status=200):
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def do_POST(self):
        asked = urllib.parse.parse_qs(self.rfile.read(int(self.headers["content-length"])).decode())
        with lock:
            if asked.get("refresh_token") != [state["refresh"]]:
                state["refused"] += 1
                return self.answer({"error": "invalid_grant"}, 400)
            state["given"] += 1
            state.update(refresh=f"r{state['given']}", access=f"a{state['given']}", until=time.time() + 2)
            self.answer({"access_token": state["access"], "refresh_token": state["refresh"], "expires_in": 2})

    def do_GET(self):
        with lock:
            if self.path == "/counts":
                return self.answer({name: state[name] for name in ("given", "refused", "refresh", "events")})
            good = self.headers["authorization"] == f"Bearer {state['access']}" and time.time() < state["until"]
            if good and self.path == "/stream":
                state["events"] += 1
                return self.event(state["events"])
        record = {"id": 1, "updated_at": "2026-01-01T00:00:00Z", "active": True, "Name": "Ada", "note": "hello"}
        self.answer({"data": [record]} if good else {"error": "expired"}, 200 if good else 401)

    def event(self, number):
        said = {"id": 100 + number, "updated_at": "2026-01-01T00:00:00Z", "active": True, "Name": "Ada", "note": f"event {number}"}
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        self.wfile.write(f"id: {number}\ndata: {json.dumps(said)}\n\n".encode())

    def log_message(self, *_):
        pass


http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Network).serve_forever()
