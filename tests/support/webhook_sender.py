"""A network that delivers comments as Meta does, on the standard library alone, and signs them by itself.

webhook_sender.py URL SECRET PREFIX COUNT AT_ONCE: each comment in a delivery of its own, all senders begin together; one that is not answered 200 is sent again,
as networks do. Prints a line of JSON: how often each status was the answer, "none" for no answer, and the slowest answer in seconds.
"""
import collections
import hashlib
import hmac
import http.client
import json
import sys
import threading
import time
from urllib.parse import urlsplit

url, secret, prefix, count, at_once = urlsplit(sys.argv[1]), sys.argv[2].encode(), sys.argv[3], int(sys.argv[4]), int(sys.argv[5])
statuses, slowest, lock = collections.Counter(), [0.0], threading.Lock()
numbers, begin = iter(range(count)), threading.Barrier(at_once)


def comment(n):
    value = {"id": f"{prefix}{n}", "from": {"id": f"user{n % 50}", "username": f"handle{n % 50}"}, "text": f"said {prefix}{n}", "media": {"id": "m1"}}
    return json.dumps({"object": "instagram", "entry": [{"id": "88", "time": 1790000000 + n, "changes": [{"field": "comments", "value": value}]}]}).encode()


def deliver(body):
    began = time.monotonic()
    try:
        connection = http.client.HTTPConnection(url.hostname, url.port, timeout=60)
        signature = "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest()
        connection.request("POST", url.path, body, {"Content-Type": "application/json", "X-Hub-Signature-256": signature})
        answer = connection.getresponse()
        answer.read()
        status = str(answer.status)
    except OSError:
        status = "none"
    except http.client.HTTPException:
        status = "none"
    finally:
        connection.close()
    with lock:
        statuses[status] += 1
        slowest[0] = max(slowest[0], time.monotonic() - began)
    return status == "200"


def send():
    begin.wait()
    while True:
        with lock:
            n = next(numbers, None)
        if n is None:
            return
        body, end = comment(n), time.monotonic() + 300
        while not deliver(body):
            if time.monotonic() > end:
                sys.exit(f"{n} was never taken")
            time.sleep(0.05)


threading.stack_size(256 * 1024)
threads = [threading.Thread(target=send) for _ in range(at_once)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(json.dumps({"statuses": statuses, "slowest": slowest[0]}))
