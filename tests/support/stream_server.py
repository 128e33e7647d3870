"""Live streams and the polled interface beside them, on aiohttp: server-sent events with and without ids, a WebSocket in the form of Bluesky's Jetstream,
the streaming interface of Mastodon, and servers that mean harm. `stream_server.py PORT FOLDER`; what is said is kept in FOLDER, so that a server that was
killed goes on with what it said. `POST /say?n=K` says K things, `POST /say?n=K&hidden=1` things that only the polled interface shows, `POST /take-back?id=N`
deletes one, `POST /drop` cuts every connection. `stream_server.py PORT FOLDER TLS`: over TLS, with cert.pem and key.pem of the folder TLS."""

import asyncio
import json
import os
import ssl
import sys
import time
from datetime import datetime, timezone
from email.utils import formatdate

from aiohttp import WSMsgType, web

PORT, FOLDER = int(sys.argv[1]), sys.argv[2]
KEPT = os.path.join(FOLDER, "said.ndjson")
SAID = [json.loads(line) for line in open(KEPT)] if os.path.exists(KEPT) else []
LISTENERS, CONNECTIONS, SEEN = set(), set(), os.path.join(FOLDER, "requests.ndjson")
ME = "did:plc:shop"
MUTED = set()
LIMITED = {}


def iso(us):
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(us / 1e6)) + ".%03dZ" % (us // 1000 % 1000)


def say(**what):
    last = SAID[-1]["us"] if SAID else 0
    thing = {"id": len(SAID) + 1, "us": max(int(time.time() * 1e6), last + 1), **what}
    SAID.append(thing)
    with open(KEPT, "a") as kept:
        kept.write(json.dumps(thing) + "\n")
        kept.flush()
        os.fsync(kept.fileno())
    if not thing.get("hidden"):
        for queue in list(LISTENERS):
            queue.put_nowait(thing)


def record(thing):
    return {"id": thing["id"], "at": iso(thing["us"]), "user": "u%d" % (thing["id"] % 7), "text": "thing %d" % thing["id"], "gone": thing.get("gone")}


def status(thing):
    n, user = thing["id"], "u%d" % (thing["id"] % 7)
    account = {"uri": "https://m.example/users/" + user, "url": "https://m.example/@" + user, "username": user, "display_name": user, "note": "",
               "bot": False, "fields": []}
    return {"id": str(n), "uri": f"https://m.example/s/{n}", "url": f"https://m.example/s/{n}", "created_at": iso(thing["us"]), "edited_at": None,
            "visibility": "public", "content": f"<p>thing {n}</p>", "account": account}


def notification(thing):
    return {"id": str(thing["id"]), "type": "mention", "created_at": iso(thing["us"]), "status": status(thing)}


def commit(thing):
    """A message of Jetstream: an answer to the company's post, or that one is gone."""
    n = thing.get("gone") or thing["id"]
    body = {"rev": str(thing["id"]), "operation": "delete" if thing.get("gone") else "create", "collection": "app.bsky.feed.post", "rkey": f"r{n}"}
    if not thing.get("gone"):
        parent = {"uri": f"at://{ME}/app.bsky.feed.post/1", "cid": "x"}
        body["record"] = {"$type": "app.bsky.feed.post", "text": f"thing {n}", "createdAt": iso(thing["us"]), "reply": {"root": parent, "parent": parent}}
    return {"did": "did:plc:u%d" % (n % 7), "time_us": thing["us"], "kind": "commit", "commit": body}


@web.middleware
async def seen(request, handler):
    with open(SEEN, "a") as kept:
        headers = {name: request.headers.get(name) for name in ("Last-Event-ID", "Authorization", "Accept")}
        kept.write(json.dumps({"path": request.path, "query": dict(request.query), **headers}) + "\n")
    return await handler(request)


def feed(after):
    """What was said after a place, and what will be: nothing between the two is lost."""
    queue = asyncio.Queue()
    for thing in SAID:
        if after(thing) and not thing.get("hidden"):
            queue.put_nowait(thing)
    LISTENERS.add(queue)
    return queue


def goes_mute(request):
    """The first connection with `mute` says something, and then nothing any more."""
    return bool(request.query.get("mute")) and request.path not in MUTED and not MUTED.add(request.path)


async def events(request, after, written, beat=b":thump\n\n", first=b""):
    mute, told = goes_mute(request), False
    answer = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
    await answer.prepare(request)
    CONNECTIONS.add(request.transport)
    await answer.write(b"retry: 100\n\n:)\n\n" + first)
    queue = feed(after)
    try:
        while True:
            try:
                thing = await asyncio.wait_for(queue.get(), 1)
            except asyncio.TimeoutError:
                if mute and told:
                    LISTENERS.discard(queue)
                    await asyncio.sleep(3600)
                if beat:
                    await answer.write(beat)
                continue
            await answer.write(written(thing))
            told = True
    except (ConnectionError, asyncio.CancelledError):
        return answer
    finally:
        LISTENERS.discard(queue)


async def numbered(request):
    last = request.headers.get("Last-Event-ID")
    if last and request.query.get("forgets"):
        return web.Response(status=410)
    start = int(last or 0) if last or not request.query.get("new") else len(SAID)
    if last and request.query.get("tells"):
        # It does not know the id any more, says so in an event, and goes on with what is new.
        start = len(SAID)
        written = lambda t: f"id: {t['id']}\ndata: {json.dumps(record(t))}\n\n".encode()
        return await events(request, lambda thing: thing["id"] > start, written, first=b"event: lost\ndata: {\"info\": \"OutdatedCursor\"}\n\n")
    return await events(request, lambda thing: thing["id"] > start, lambda t: f"id: {t['id']}\ndata: {json.dumps(record(t))}\n\n".encode())


async def nameless(request):
    """No ids: who comes late has missed it."""
    return await events(request, lambda _: False, lambda t: b"data: " + json.dumps(record(t)).encode() + b"\n\n")


async def mastodon(request):
    if request.headers.get("Authorization") != "Bearer token":
        return web.Response(status=401)
    if "hashtag" in request.path:
        return await events(request, lambda _: False, lambda t: f"event: update\ndata: {json.dumps(status(t))}\n\n".encode())
    return await events(request, lambda _: False, lambda t: f"event: notification\ndata: {json.dumps(notification(t))}\n\n".encode())


async def notifications(_):
    return web.json_response([notification(thing) for thing in reversed(SAID)])


async def tag(_):
    return web.json_response([status(thing) for thing in reversed(SAID)])


async def poll(_):
    return web.json_response({"data": [record(thing) for thing in SAID]})


async def until_closed(socket):
    async for message in socket:
        if message.type in (WSMsgType.CLOSE, WSMsgType.ERROR):
            return


async def jetstream(request):
    socket = web.WebSocketResponse(heartbeat=None)
    await socket.prepare(request)
    CONNECTIONS.add(request.transport)
    cursor = request.query.get("cursor")
    queue = feed(lambda thing: cursor is not None and thing["us"] >= int(cursor))

    listening = asyncio.create_task(until_closed(socket))
    try:
        while not listening.done():
            try:
                await socket.send_str(json.dumps(commit(await asyncio.wait_for(queue.get(), 0.2))))
            except asyncio.TimeoutError:
                pass
    except ConnectionError:
        pass
    finally:
        listening.cancel()
        LISTENERS.discard(queue)
    return socket


async def socket(request):
    """Messages in the form of the polled interface, after the one that `after` names."""
    mute, told = goes_mute(request), False
    socket = web.WebSocketResponse(heartbeat=None)
    await socket.prepare(request)
    CONNECTIONS.add(request.transport)
    after = request.query.get("after")
    start = len(SAID) if after is None or request.query.get("tells") else int(after)
    if after is not None and request.query.get("tells"):
        await socket.send_str(json.dumps({"info": "OutdatedCursor"}))
    queue = feed(lambda thing: thing["id"] > start)

    listening = asyncio.create_task(until_closed(socket))
    try:
        while not listening.done():
            try:
                await socket.send_str(json.dumps(record(await asyncio.wait_for(queue.get(), 0.2))))
                told = True
            except asyncio.TimeoutError:
                if mute and told:
                    # Nobody reads, so no ping is answered.
                    listening.cancel()
                    LISTENERS.discard(queue)
                    await asyncio.sleep(3600)
    except ConnectionError:
        pass
    finally:
        listening.cancel()
        LISTENERS.discard(queue)
    return socket


async def harm(request):
    kind = request.match_info["kind"]
    if kind == "html":
        return web.Response(text="<html>log in</html>", content_type="text/html")
    if kind == "limited":
        return web.Response(status=429, headers={"Retry-After": "3600"})
    if kind.startswith("limited-"):
        # Every way in which somebody says: in three seconds.
        at = time.time() + 3
        headers = {
            "limited-seconds": {"Retry-After": "3"},
            "limited-date": {"Retry-After": formatdate(at + 1, usegmt=True)},
            "limited-ms": {"Retry-After-Ms": "3000"},
            "limited-reset": {"RateLimit-Remaining": "0", "RateLimit-Reset": "3"},
            "limited-epoch": {"x-rate-limit-reset": str(int(at + 1))},
            "limited-iso": {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": datetime.fromtimestamp(at, timezone.utc).isoformat()},
            "limited-list": {"RateLimit": '"hour";r=0;t=3'},
        }[kind]
        if LIMITED.setdefault(kind, 0) == 0:
            LIMITED[kind] = time.time()
            return web.Response(status=429, headers=headers)
        LIMITED[kind + "-came"] = LIMITED.get(kind + "-came") or time.time() - LIMITED[kind]
        return await events(request, lambda thing: True, lambda t: f"id: {t['id']}\ndata: {json.dumps(record(t))}\n\n".encode())
    if kind == "inside":
        return web.Response(status=302, headers={"Location": f"http://127.0.0.2:{PORT}/numbered"})
    if kind in ("binary", "gigantic", "mute"):
        socket = web.WebSocketResponse(autoping=kind != "mute")
        await socket.prepare(request)
        if kind == "binary":
            await socket.send_bytes(b"\x00\x01")
        if kind == "gigantic":
            await socket.send_str("x" * (3 << 20))
        await asyncio.sleep(3600)
        return socket
    answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await answer.prepare(request)
    await answer.write(b"\n")
    piece = b"data: " + b"x" * (1 << 20)
    while True:
        if kind == "endless":
            await answer.write(piece)
        elif kind == "long-and-good":
            await answer.write(piece + b"\n\n" + f"data: {json.dumps(record({'id': 1, 'us': 1_700_000_000_000_000}))}\n\n".encode())
            await asyncio.sleep(3600)
        elif kind == "drip":
            await answer.write(b"d")
            await asyncio.sleep(0.2)
        else:
            await asyncio.sleep(3600)


async def said(request):
    for _ in range(int(request.query["n"])):
        say(**({"hidden": True} if request.query.get("hidden") else {}))
    return web.json_response(len(SAID))


async def take_back(request):
    say(gone=int(request.query["id"]))
    return web.json_response({})


async def limited(_):
    return web.json_response(LIMITED)


async def drop(_):
    for transport in list(CONNECTIONS):
        transport and transport.abort()
    CONNECTIONS.clear()
    return web.json_response({})


app = web.Application(middlewares=[seen])
app.add_routes([
    web.get("/numbered", numbered), web.get("/nameless", nameless), web.get("/poll", poll), web.get("/subscribe", jetstream),
    web.get("/api/v1/streaming/user/notification", mastodon), web.get("/api/v1/streaming/hashtag", mastodon),
    web.get("/api/v1/notifications", notifications), web.get("/api/v1/timelines/tag/{tag}", tag),
    web.get("/socket", socket), web.get("/harm/{kind}", harm), web.post("/say", said), web.post("/take-back", take_back), web.post("/drop", drop), web.get("/limited", limited),
])
tls = None
if len(sys.argv) > 3:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(os.path.join(sys.argv[3], "cert.pem"), os.path.join(sys.argv[3], "key.pem"))
web.run_app(app, host="127.0.0.1", port=PORT, ssl_context=tls, print=None, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
