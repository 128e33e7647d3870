"""A WebSub hub that nobody here wrote (Flask-WebSub), and two feeds that name it. `hub_server.py PORT FOLDER`; subscriptions are kept in FOLDER. `POST /say`
says something in /feed.xml and has the hub deliver it; what the hub was asked stands in FOLDER/asked.ndjson, its subscriptions are at /subscriptions.
/forbidden.xml it denies, and /deaf.xml it takes on without ever coming."""

import json
import os
import sqlite3
import sys
import time

from celery import Celery
from flask import Flask, Response, jsonify, request
from flask_websub.hub import Hub, SQLite3HubStorage

PORT, FOLDER = int(sys.argv[1]), sys.argv[2]
BASE = f"http://127.0.0.1:{PORT}"
KEPT, SAID = os.path.join(FOLDER, "hub.sqlite"), os.path.join(FOLDER, "said")

app = Flask(__name__)
celery = Celery("hub", broker="memory://")
# What the hub would do later it does at once.
celery.conf.update(task_always_eager=True, task_eager_propagates=False)
times = {"HUB_MIN_LEASE_SECONDS": 1, "HUB_DEFAULT_LEASE_SECONDS": 60, "HUB_MAX_LEASE_SECONDS": 86_400}
app.config.update(times)
hub = Hub(SQLite3HubStorage(KEPT), celery, **times)


@hub.register_validator
def denies(callback, topic, *_):
    return "not for you" if topic.endswith("/forbidden.xml") else None


@app.before_request
def asked():
    if request.path == "/hub":
        with open(os.path.join(FOLDER, "asked.ndjson"), "a") as kept:
            kept.write(json.dumps({"at": time.time(), **{name.removeprefix("hub."): value for name, value in request.form.items()}}) + "\n")
        if request.form.get("hub.topic", "").endswith("/deaf.xml"):
            return "taken on", 202


app.register_blueprint(hub.build_blueprint(url_prefix="/hub"))


def count():
    return int(open(SAID).read()) if os.path.exists(SAID) else 0


def feed(name):
    item = "".join(
        f"<item><title>Entry {n}</title><link>{BASE}/{n}</link><guid>{BASE}/{name}/{n}</guid><pubDate>Mon, 21 Sep 2026 10:00:00 GMT</pubDate>"
        f"<author>ada@blog.example (Ada)</author><description>text {n}</description></item>"
        for n in range(1, count() + 1)
    )
    return f'<?xml version="1.0"?><rss version="2.0"><channel><title>B</title><link>{BASE}/</link>{item}</channel></rss>'


@app.get("/<name>.xml")
def shown(name):
    links = f'<{BASE}/hub>; rel="hub", <{BASE}/{name}.xml>; rel="self"'
    return Response(feed(name), content_type="application/rss+xml", headers={"Link": links})


@app.post("/say")
def say():
    now = count() + 1
    with open(SAID, "w") as kept:
        kept.write(str(now))
    hub.send_change_notification.delay(f"{BASE}/feed.xml")
    return ""


@app.get("/subscriptions")
def subscriptions():
    with sqlite3.connect(KEPT) as kept:
        rows = kept.execute("select topic_url, callback_url, secret from hub where expiration_time > cast(strftime('%s', 'now') as integer)").fetchall()
    return jsonify([list(row) for row in rows])


app.run(host="127.0.0.1", port=PORT, threaded=True)
