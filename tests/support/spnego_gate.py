"""A gate that asks who is there, as IIS does: NTLM or Negotiate over HTTP, accepted by pyspnego, which nobody here wrote.

spnego_gate.py PORT ntlm|negotiate LOG [MODE]

Answers what it heard as JSON. NTLM holds for a connection, Negotiate for a request. LOG gets a line a request. MODE: `once` closes each
connection after its first authorised answer; `deaf` closes it after the challenge; `open` asks nobody.
"""

import base64
import http.server
import json
import sys
import threading

import spnego

PORT, PROTOCOL, LOG = int(sys.argv[1]), sys.argv[2], sys.argv[3]
MODE = sys.argv[4] if len(sys.argv) > 4 else ""
SCHEME = "NTLM" if PROTOCOL == "ntlm" else "Negotiate"
lock = threading.Lock()


class Gate(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self):
        super().setup()
        self.context, self.user = None, None

    def log_message(self, *_):
        pass

    def say(self, status, body, challenge=None, close=False):
        with lock, open(LOG, "a", encoding="utf-8") as log:
            log.write(json.dumps({"status": status, "user": self.user, "connection": self.client_address[1], "bytes": self.length}) + "\n")
        body = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if challenge is not None:
            self.send_header("WWW-Authenticate", "Basic realm=\"a, b\"")
            self.send_header("WWW-Authenticate", challenge)
        if close:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.do_POST()

    def do_POST(self):
        self.length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(self.length).decode()
        heard = self.headers.get("Authorization", "")
        if MODE == "open":
            return self.say(200, {"user": None, "body": body})
        word, _, token = heard.partition(" ")
        if word == SCHEME:
            if self.context is None or self.context.complete:
                self.context = spnego.server(protocol=PROTOCOL, hostname="localhost", service="http")
            try:
                said = self.context.step(base64.b64decode(token))
            except Exception as error:  # whatever it is: the login is refused
                self.context, self.user = None, None
                return self.say(401, {"refused": f"{type(error).__name__}: {error}"}, SCHEME)
            if not self.context.complete:
                return self.say(401, {}, f"{SCHEME} {base64.b64encode(said).decode()}", close=MODE == "deaf")
            self.user = str(self.context.client_principal)
        elif self.user is None or PROTOCOL != "ntlm":
            return self.say(401, {}, SCHEME)
        user = self.user
        self.say(200, {"user": user, "body": body}, close=MODE == "once")
        if PROTOCOL != "ntlm":
            self.user = None


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True


Server(("127.0.0.1", PORT), Gate).serve_forever()
