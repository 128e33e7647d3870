"""A receiver of Standard Webhooks on the standard library alone: checks each signature by itself and writes what it got as lines of JSON.

webhook_receiver.py PORT FILE KEY [STATUS...]: the first requests are answered with these statuses ("drop" takes the request and closes without an
answer), all others with 204.
"""
import base64
import hashlib
import hmac
import http.server
import json
import sys
import time

port, out, key = int(sys.argv[1]), sys.argv[2], sys.argv[3]
answers = sys.argv[4:]
secret = base64.b64decode(key.removeprefix("whsec_"))


class Hook(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        signed = b".".join([self.headers["webhook-id"].encode(), self.headers["webhook-timestamp"].encode(), body])
        wanted = base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()
        given = [part.removeprefix("v1,") for part in self.headers["webhook-signature"].split(" ")]
        good = any(hmac.compare_digest(wanted, one) for one in given) and abs(time.time() - int(self.headers["webhook-timestamp"])) < 300
        with open(out, "a") as file:
            file.write(json.dumps({"good": good, "id": self.headers["webhook-id"], "at": time.time(), "body": json.loads(body)}) + "\n")
        answer = answers.pop(0) if answers else "204"
        if answer == "drop":
            self.close_connection = True
            return
        self.send_response(int(answer))
        if answer == "429":
            self.send_header("retry-after", "2")
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


http.server.ThreadingHTTPServer(("127.0.0.1", port), Hook).serve_forever()
