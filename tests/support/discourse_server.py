"""A Discourse community in the shapes of its public documentation (docs.discourse.org) and published source: `GET /posts.json` with `before`, keys, what is
closed, hidden, deleted and edited, `GET /posts/ID.json`, limits, and webhooks that it signs. Nothing but the standard library.

discourse_server.py PORT

Anybody sees category 5; who has the key `dc-key` sees category 7 too. For the test: POST /test/say?by=&text=&category=, /test/edit?id=&text=,
/test/remove?id= (by its author), /test/trash?id= (by staff), /test/hide?id=, /test/recover?id=, /test/whisper, /test/private, /test/limit?times=&seconds=,
/test/close?id= (its category), /test/away (from now on somebody else's page answers 404), /test/hook?url=&secret=, /test/old (from now
on the pages of older versions: the posts among the fifty numbers up to `before`); GET /test/asked gives the queries of /posts.json that were answered and those that were turned away."""

import hashlib
import hmac
import json
import re
import sys
import threading
import urllib.request
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

PORT = int(sys.argv[1])
PAGE = 50
LOCK = threading.RLock()
POSTS, ASKED, TURNED_AWAY = [], [], []
LIMIT = {"times": 0, "seconds": 1}
HOOK = {}
VERSION = {"old": False, "away": False}
NEXT_ID = {"post": 10, "event": 1}


def now(ago=0.0):
    return (datetime.now(timezone.utc) - timedelta(seconds=ago)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def say(by, text, category=5, kind=1, archetype="regular", ago=0.0):
    number = NEXT_ID["post"]
    NEXT_ID["post"] += 1
    at = now(ago)
    post = {
        "id": number, "name": by.title(), "username": by, "user_id": 100 + sum(map(ord, by)), "created_at": at, "updated_at": at, "cooked": f"<p>{text}</p>",
        "raw": text, "post_number": number, "post_type": kind, "topic_id": 3, "topic_slug": "orders", "topic_title": "Orders", "category_id": category,
        "reply_to_post_number": None, "version": 1, "hidden": False, "deleted_at": None, "user_deleted": False, "archetype": archetype,
    }
    POSTS.append(post)
    return post


def shown(post):
    """What `latest_posts` has of a post (spec/requests/api/schemas/json/latest_posts_response.json)."""
    given = {name: value for name, value in post.items() if name != "archetype"}
    # Who may not see a hidden post is shown a notice in its place.
    cooked = "<p>This post was flagged by the community and is temporarily hidden.</p>" if post["hidden"] else post["cooked"]
    rest = {
        "avatar_template": "/letter_avatar_proxy/v4/letter/a/{size}.png", "posts_count": len(POSTS), "topic_html_title": post["topic_title"],
        "reply_count": 0, "quote_count": 0, "incoming_link_count": 0, "reads": 1, "readers_count": 0, "score": 0.2, "yours": False,
        "display_username": post["name"], "primary_group_name": None, "flair_name": None, "flair_url": None, "flair_bg_color": None, "flair_color": None,
        "flair_group_id": None, "badges_granted": [], "can_edit": False, "can_delete": False, "can_recover": False, "can_see_hidden_post": False,
        "can_wiki": False, "user_title": None, "bookmarked": False, "actions_summary": [], "moderator": False, "admin": False, "staff": False,
        "trust_level": 1, "edit_reason": None, "can_view_edit_history": True, "wiki": False, "excerpt": post["raw"][:50], "truncated": True,
        "reviewable_id": None, "reviewable_score_count": 0, "reviewable_score_pending_count": 0, "post_url": f"/t/orders/3/{post['post_number']}",
    }
    return given | rest | {"cooked": cooked}


def deliver(post, event):
    """As app/jobs/regular/emit_web_hook_event.rb: the event's name stands in a header alone, the signature is over the body."""
    if not HOOK:
        return
    with LOCK:
        number = NEXT_ID["event"]
        NEXT_ID["event"] += 1
    told = {name: value for name, value in post.items() if name != "archetype"}
    told |= {"topic_archetype": post["archetype"], "topic_posts_count": len(POSTS), "category_slug": "general", "display_username": post["name"]}
    body = json.dumps({"post": told}).encode()
    headers = {
        "Content-Type": "application/json", "User-Agent": "Discourse/2026.11.0", "X-Discourse-Instance": f"http://127.0.0.1:{PORT}",
        "X-Discourse-Event-Id": str(number), "X-Discourse-Event-Type": "post", "X-Discourse-Event": event,
        "X-Discourse-Event-Signature": "sha256=" + hmac.new(HOOK["secret"].encode(), body, hashlib.sha256).hexdigest(),
    }
    with urllib.request.urlopen(urllib.request.Request(HOOK["url"], body, headers), timeout=60) as answer:
        assert answer.status == 200


# 130 posts of the last hours, the newest last; below them a hole of 120 numbers that nobody may see, and ten posts before that.
for n in range(10):
    say("bob" if n % 2 else "ada", f"early post {n}", ago=7_200 - n)
for n in range(120):
    say("eve", f"closed {n}", category=7, ago=7_150 - n)
for n in range(130):
    say("bob" if n % 2 else "ada", f"post {n}", ago=7_000 - n)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, body, status=200, headers=None):
        text = (body if isinstance(body, str) else json.dumps(body)).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain" if isinstance(body, str) else "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(text)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text)

    def error(self, status, kind, message, extras=None, headers=None):
        self.answer({"errors": [message], "error_type": kind, **({"extras": extras} if extras else {})}, status, headers)

    def do_GET(self):
        split = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(split.query).items()}
        with LOCK:
            if split.path == "/test/asked":
                return self.answer({"asked": ASKED, "turned_away": TURNED_AWAY})
            one = re.fullmatch(r"/posts/([0-9]+)\.json", split.path)
            if VERSION["away"]:
                return self.answer("<html>moved</html>", 404)
            if split.path != "/posts.json" and not one:
                return self.error(404, "not_found", "The requested URL or resource could not be found.")
            key = self.headers.get("Api-Key")
            if key is not None and (key != "dc-key" or self.headers.get("Api-Username") != "kith"):
                return self.error(403, "invalid_access", "You are not permitted to view the requested resource. The API username or key is invalid.")
            if LIMIT["times"]:
                LIMIT["times"] -= 1
                TURNED_AWAY.append(query)
                wait = LIMIT["seconds"]
                if key is None:
                    # The limit by address answers before the application does.
                    text = f"Slow down, too many requests from this IP address.\nPlease retry again in {wait} seconds.\n"
                    return self.answer(text, 429, {"Retry-After": str(wait), "Discourse-Rate-Limit-Error-Code": "ip_10_secs_limit"})
                return self.error(
                    429, "rate_limit", f"You've performed this action too many times, please try again in {wait} seconds.",
                    {"wait_seconds": wait, "time_left": f"{wait} seconds"}, {"Retry-After": str(wait), "Discourse-Rate-Limit-Error-Code": "admin_api_key_rate_limit"},
                )
            if one:
                post = next((post for post in POSTS if post["id"] == int(one[1])), None)
                if post is None or (post["deleted_at"] and key is None):
                    return self.error(404, "not_found", "The requested URL or resource could not be found.")
                if post["category_id"] == 7 and key is None or post["archetype"] != "regular":
                    return self.error(403, "invalid_access", "You are not permitted to view the requested resource.")
                # Without its category and the topic's title.
                return self.answer({name: value for name, value in shown(post).items() if name not in ("category_id", "topic_title", "topic_html_title")})
            ASKED.append(query)
            before = max(int(query.get("before", 0)), 0)
            seen = [
                post for post in POSTS
                if post["archetype"] == "regular" and not post["deleted_at"] and (post["category_id"] != 7 or key is not None)
            ]
            if VERSION["old"]:
                before = before or POSTS[-1]["id"]
                page = [post for post in seen if before - PAGE < post["id"] <= before and (post["post_type"] != 4 or key is not None)]
                page.sort(key=lambda post: post["created_at"], reverse=True)
            else:
                page = [post for post in seen if post["post_type"] == 1 and (not before or post["id"] < before)]
                page.sort(key=lambda post: post["id"], reverse=True)
            self.answer({"latest_posts": [shown(post) for post in page[:PAGE]]})

    def do_POST(self):
        split = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(split.query).items()}
        post = next((post for post in POSTS if str(post["id"]) == query.get("id")), None)
        event = None
        with LOCK:
            match split.path.removeprefix("/test/"):
                case "say":
                    post, event = say(query["by"], query["text"], int(query.get("category", 5))), "post_created"
                case "whisper":
                    post, event = say("staff", "among us", kind=4), "post_created"
                case "private":
                    post, event = say("ada", "only for you", archetype="private_message"), "post_created"
                case "edit":
                    post.update(raw=query["text"], cooked=f"<p>{query['text']}</p>", version=post["version"] + 1, updated_at=now())
                    event = "post_edited"
                case "remove":
                    post.update(cooked="<p>(post deleted by author)</p>", version=post["version"] + 1, updated_at=now(), user_deleted=True)
                    event = "post_destroyed"
                case "trash":
                    post.update(deleted_at=now())
                    event = "post_destroyed"
                case "hide":
                    post.update(hidden=True, updated_at=now())
                case "recover":
                    post.update(cooked=f"<p>{post['raw']}</p>", version=post["version"] + 1, updated_at=now(), user_deleted=False)
                    event = "post_recovered"
                case "close":
                    post.update(category_id=7)
                case "away":
                    VERSION["away"] = True
                case "limit":
                    LIMIT.update(times=int(query["times"]), seconds=int(query["seconds"]))
                case "old":
                    VERSION["old"] = True
                case "hook":
                    HOOK.update(url=query["url"], secret=query["secret"])
                case _:
                    return self.error(404, "not_found", "no such thing")
        if event:
            deliver(post, event)
        self.answer({"id": post["id"] if post else None})


ThreadingHTTPServer(("127.0.0.1", PORT), Handler).serve_forever()
