"""The interfaces of X, YouTube, Bluesky, Meta's Graph and LinkedIn, in the shapes of their public documentation, and a blog's feeds: for connectors
that can be tried against no real server here. Nothing but the standard library. `network_server.py PORT`; `POST /more` adds one thing said to each,
`POST /spent` has each answer from now on that no more is allowed today, as each of them says it, `GET /asked` says what was asked since, `POST /gone?n=` takes one away, `POST /edit?n=` has one say something else."""

import json
import sys
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

NOW = datetime.now(timezone.utc).replace(microsecond=0)
SAID = {"count": 7, "limited": False, "spent": False}
ASKED = []
GONE, EDITED = set(), {}


def at(n):
    return NOW - timedelta(hours=100 - n)


def iso(n, form="%Y-%m-%dT%H:%M:%SZ"):
    return at(n).strftime(form)


def newest_first():
    return [n for n in range(SAID["count"], 0, -1) if n not in GONE]


def words(n, otherwise):
    return "said otherwise" if n in EDITED else otherwise


def page(items, size, start):
    return items[start : start + size], start + size if start + size < len(items) else None


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, body, status=200, headers=None):
        kind = "application/json"
        if isinstance(body, str):
            kind = "application/xml"
        else:
            body = json.dumps(body)
        body = body.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        if self.path == "/more":
            SAID["count"] += 1
            return self.answer({})
        if self.path == "/spent":
            SAID["spent"] = True
            return self.answer({})
        split = urlsplit(self.path)
        if split.path in ("/gone", "/edit"):
            n = int(parse_qs(split.query)["n"][0])
            if split.path == "/gone":
                GONE.add(n)
            else:
                EDITED[n] = datetime.now(timezone.utc)
            return self.answer({})
        if self.path == "/xrpc/com.atproto.server.createSession":
            asked = json.loads(body)
            if asked != {"identifier": "shop.example", "password": "app-pass"}:
                return self.answer({"error": "AuthenticationRequired", "message": "Invalid identifier or password"}, 401)
            return self.answer({"accessJwt": "jwt-1", "refreshJwt": "jwt-2", "did": "did:plc:shop", "handle": "shop.example"})
        self.answer({}, 404)

    def do_GET(self):
        split = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(split.query).items()}
        path = split.path
        if path == "/asked":
            return self.answer(ASKED)
        if SAID["spent"]:
            ASKED.append(path)
            return self.spent(path)
        if path.startswith("/2/"):
            return self.x(path, query)
        if path in ("/commentThreads", "/comments"):
            return self.youtube(path, query)
        if path.startswith("/xrpc/"):
            return self.bluesky(path, query)
        if path.startswith("/graph/"):
            return self.graph(path.removeprefix("/graph"), query)
        if path.startswith("/rest/"):
            return self.linkedin(path.removeprefix("/rest"), query)
        if path == "/feed.xml":
            return self.answer(rss())
        if path == "/atom.xml":
            return self.answer(atom())
        self.answer({}, 404)

    def spent(self, path):
        later = int(datetime.now().timestamp()) + 3_000
        if path.startswith("/2/"):
            return self.answer({"title": "Too Many Requests"}, 429, {"x-rate-limit-reset": str(later)})
        if path in ("/commentThreads", "/comments"):
            return self.answer({"error": {"code": 403, "errors": [{"reason": "quotaExceeded", "domain": "youtube.quota"}]}}, 403)
        if path.startswith("/xrpc/"):
            return self.answer({"error": "RateLimitExceeded"}, 429, {"ratelimit-limit": "3000", "ratelimit-remaining": "0", "ratelimit-reset": str(later)})
        if path.startswith("/graph/"):
            return self.answer({"error": {"code": 32 if "/77" in path else 4, "type": "OAuthException", "message": "(#32) Page request limit reached"}}, 400)
        return self.answer({"status": 429, "code": "TOO_MANY_REQUESTS"}, 429)

    def x(self, path, query):
        if self.headers.get("Authorization") != "Bearer x-token":
            return self.answer({"title": "Unauthorized", "status": 401}, 401)
        if not 10 <= int(query["max_results"]) <= 100 or "author_id" not in query["expansions"]:
            return self.answer({"title": "Invalid Request"}, 400)
        if query["start_time"] < (NOW - timedelta(days=7)).strftime("%Y-%m-%dT%H:%M:%SZ"):
            return self.answer({"title": "Invalid Request", "detail": "'start_time' must be within 7 days"}, 400)
        if not SAID["limited"]:
            SAID["limited"] = True
            return self.answer({"title": "Too Many Requests"}, 429, {"x-rate-limit-reset": str(int(datetime.now().timestamp()) + 1)})
        token = "pagination_token" if path == "/2/users/7/mentions" else "next_token"
        if path not in ("/2/users/7/mentions", "/2/tweets/search/recent"):
            return self.answer({}, 404)
        numbers = [n for n in newest_first() if iso(n) >= query["start_time"]]
        some, more = page(numbers, 3, int(query.get(token, "0").removeprefix("t")))
        posts = [
            {
                "id": str(1000 + n),
                "text": f"where is my order {n}?",
                "author_id": str(n % 2),
                "created_at": iso(n, "%Y-%m-%dT%H:%M:%S.000Z"),
                "conversation_id": str(1000 + n),
                "edit_history_tweet_ids": ["999", str(1000 + n)] if n == 3 else [str(1000 + n)],
                **({"referenced_tweets": [{"type": "replied_to", "id": "500"}]} if n % 3 == 0 else {}),
            }
            for n in some
        ]
        users = [
            {"id": "0", "username": "ada", "name": "Ada Rossi", "protected": False, "location": "Turin"},
            {"id": "1", "username": "bob", "name": "Bob", "entities": {"url": {"urls": [{"expanded_url": "https://bob.example"}]}}},
        ]
        answer = {"meta": {"result_count": len(posts), **({"next_token": f"t{more}"} if more else {})}}
        # A page without posts has no `data`.
        if posts:
            answer |= {"data": posts, "includes": {"users": users}}
        self.answer(answer)

    def youtube(self, path, query):
        if query.get("key") != "yt-key":
            return self.answer({"error": {"code": 400, "errors": [{"reason": "badRequest"}]}}, 400)

        def comment(n, parent=None):
            said = {
                "authorDisplayName": f"@user{n % 2}",
                "authorChannelUrl": f"http://www.youtube.com/@user{n % 2}",
                "authorChannelId": {"value": f"UC{n % 2}"},
                "textDisplay": words(n, f"comment {n}"),
                "videoId": "v1",
                "publishedAt": iso(n),
                "updatedAt": EDITED[n].strftime("%Y-%m-%dT%H:%M:%SZ") if n in EDITED else iso(n + 1) if n == 2 else iso(n),
            }
            return {"kind": "youtube#comment", "id": f"c{n}" + (f".{parent}" if parent else ""), "snippet": said | ({"parentId": parent} if parent else {})}

        if path == "/commentThreads":
            if query.get("allThreadsRelatedToChannelId") != "UCshop" or query.get("order") != "time":
                return self.answer({"error": {"code": 404, "errors": [{"reason": "channelNotFound"}]}}, 404)
            some, more = page(newest_first(), 3, int(query.get("pageToken", 0)))
            items = [
                {"id": f"c{n}", "snippet": {"channelId": "UCshop", "videoId": "v1", "topLevelComment": comment(n), "totalReplyCount": 1}} for n in some
            ]
        elif "id" in query:
            # An answer stands with its comment.
            n = int(query["id"].split(".")[-1].removeprefix("c"))
            if n in GONE and n % 2:
                return self.answer({"error": {"code": 404, "errors": [{"reason": "commentNotFound"}]}}, 404)
            of = comment(9, f"c{n}") if "." in query["id"] else comment(n)
            items, more = [] if n in GONE else [of], None
        else:
            if query["parentId"] in ("c1", *(f"c{n}" for n in GONE)):
                return self.answer({"error": {"code": 404, "errors": [{"reason": "commentNotFound"}]}}, 404)
            items, more = [comment(9, query["parentId"])], None
        self.answer({"items": items, "pageInfo": {"resultsPerPage": len(items)}, **({"nextPageToken": str(more)} if more else {})})

    def bluesky(self, path, query):
        if self.headers.get("Authorization") != "Bearer jwt-1":
            return self.answer({"error": "AuthMissing"}, 401)
        authors = [{"did": "did:plc:ada", "handle": "ada.example", "displayName": "Ada"}, {"did": "did:plc:bob", "handle": "bob.bsky.social"}]

        def post(n):
            record = {"$type": "app.bsky.feed.post", "text": f"post {n}", "createdAt": iso(n)}
            if n % 3 == 0:
                record["reply"] = {"parent": {"uri": "at://did:plc:shop/app.bsky.feed.post/1"}, "root": {"uri": "at://did:plc:shop/app.bsky.feed.post/1"}}
            uri = f"at://{authors[n % 2]['did']}/app.bsky.feed.post/{n}"
            return {"uri": uri, "cid": f"cid{n}", "author": authors[n % 2], "record": record, "indexedAt": iso(n, "%Y-%m-%dT%H:%M:%S.000Z")}

        some, more = page(newest_first(), 3, int(query.get("cursor", 0)))
        cursor = {"cursor": str(more)} if more else {}
        method = path.removeprefix("/xrpc/")
        if method == "app.bsky.feed.getPosts":
            uris = parse_qs(urlsplit(self.path).query)["uris"]
            if len(uris) > 25 or not all(uri.startswith("at://did:plc:") for uri in uris):
                return self.answer({"error": "InvalidRequest"}, 400)
            return self.answer({"posts": [post(n) for n in newest_first() if post(n)["uri"] in uris]})
        if method == "app.bsky.notification.listNotifications":
            return self.answer({"notifications": [post(n) | {"reason": "like" if n == 4 else "mention", "isRead": False} for n in some], **cursor})
        if method == "app.bsky.feed.searchPosts" and query.get("q") == "shop" and query.get("sort") == "latest":
            return self.answer({"posts": [post(n) for n in some], **cursor})
        if method == "app.bsky.feed.getAuthorFeed":
            if query["actor"] == "gone.example":
                return self.answer({"error": "BlockedByActor", "message": "Requester is blocked by actor"}, 400)
            return self.answer({"feed": [{"post": post(n)} for n in some], **cursor})
        self.answer({"error": "InvalidRequest"}, 400)

    def graph(self, path, query):
        if self.headers.get("Authorization") != "Bearer page-token":
            return self.answer({"error": {"code": 190, "type": "OAuthException", "message": "Error validating access token"}}, 401)
        form = "%Y-%m-%dT%H:%M:%S+0000"
        items, more = [], None
        if path == "/77/feed":
            items = [{"id": "77_1", "created_time": iso(1, form)}, {"id": "77_2", "created_time": iso(2, form)}]
        elif path == "/88/media":
            items = [{"id": "881", "timestamp": iso(1, form), "permalink": "https://www.instagram.com/p/a1/"}]
        elif path == "/77_2/comments":
            return self.answer({"error": {"code": 100, "error_subcode": 33, "message": "Object does not exist"}}, 400)
        elif path in ("/77_1/comments", "/77/tagged", "/881/comments", "/88/tags"):
            some, more = page(newest_first(), 3, int(query.get("after", "c0").removeprefix("c")))
            for n in some:
                if path.startswith("/77"):
                    # A post that tags the page is one of its own, and the page can't look it up.
                    said = {"id": f"77_9_{n}" if path == "/77/tagged" else f"77_1_{n}", "message": words(n, f"comment {n}"), "created_time": iso(n, form), "permalink_url": f"https://www.facebook.com/77_1_{n}"}
                    # Who gave no leave has no name.
                    said |= {} if n == 4 else {"from": {"id": str(n % 2), "name": "Ada Rossi"}}
                else:
                    said = {"id": f"88{n}", "timestamp": iso(n, form), "username": f"user{n % 2}"}
                    if path == "/88/tags":
                        said |= {"caption": f"tagged {n}", "permalink": f"https://www.instagram.com/p/t{n}/"}
                    else:
                        said |= {"text": f"comment {n}", "from": {"id": f"90{n % 2}", "username": f"user{n % 2}"}}
                items.append(said)
        elif path.startswith(("/77_1_", "/88")) and path[-1].isdigit() and query.get("fields") == "id" and int(path[-1]) not in GONE:
            return self.answer({"id": path[1:]})
        else:
            return self.answer({"error": {"code": 100, "error_subcode": 33}}, 400)
        following = {"next": "https://graph.facebook.com/next"} if more else {}
        self.answer({"data": items, "paging": {"cursors": {"before": "b", "after": f"c{more or 0}"}, **following}})

    def linkedin_comment(self, n):
        changed = EDITED[n] if n in EDITED else at(n + (1 if n == 2 else 0))
        return {
            "actor": "urn:li:organization:5" if n == 4 else f"urn:li:person:p{n % 2}",
            "message": {"text": words(n, f"comment {n}")},
            "created": {"time": int(at(n).timestamp() * 1000)},
            "lastModified": {"time": int(changed.timestamp() * 1000)},
            "object": "urn:li:activity:1",
            "commentUrn": f"urn:li:comment:(urn:li:activity:1,{n})",
        }

    def linkedin(self, path, query):
        if self.headers.get("Authorization") != "Bearer li-token" or not self.headers.get("LinkedIn-Version"):
            return self.answer({"status": 401}, 401)
        start, count = int(query.get("start", 0)), int(query.get("count", 10))
        if path == "/posts" and query.get("q") == "author" and query.get("author") == "urn:li:organization:5":
            items = [{"id": "urn:li:share:1"}, {"id": "urn:li:share:2"}]
        elif unquote(path) == "/socialActions/urn:li:share:1/comments" and "urn%3Ali%3Ashare%3A1" in path:
            items = [self.linkedin_comment(n) for n in newest_first()]
        elif path.startswith("/socialActions/urn%3Ali%3Aactivity%3A1/comments/") and int(path.rsplit("/", 1)[-1]) in newest_first():
            return self.answer(self.linkedin_comment(int(path.rsplit("/", 1)[-1])))
        else:
            return self.answer({"status": 404}, 404)
        self.answer({"paging": {"start": start, "count": count}, "elements": items[start : start + count]})


def rss():
    items = "".join(
        f"<item><title>Entry {n}</title><link>https://blog.example/{n}</link><guid isPermaLink='false'>entry-{n}</guid>"
        f"<pubDate>{at(n).strftime('%a, %d %b %Y %H:%M:%S')} {'GMT' if n % 2 else '+0000'}</pubDate>"
        + (f"<dc:creator>Ada &amp; Bob</dc:creator>" if n % 2 else "")
        + f"<description>&lt;p&gt;text {n}&lt;/p&gt;</description></item>"
        for n in newest_first()
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?><rss version="2.0" xmlns:dc="http://purl.org/dc/elements/1.1/"><channel><title>Blog</title>'
        f"<link>https://blog.example/</link><description>d</description>{items}</channel></rss>"
    )


def atom():
    entries = "".join(
        f'<entry><title{" type=" + chr(34) + "html" + chr(34) if n % 2 else ""}>Entry {n}</title><id>urn:entry:{n}</id><updated>{iso(n)}</updated>'
        + (f"<published>{iso(n - 1)}</published>" if n == 2 else "")
        + f'<link rel="self" href="https://blog.example/{n}.xml"/><link href="https://blog.example/{n}"/>'
        + (f"<author><name>Ada</name><uri>https://ada.example/</uri></author>" if n % 2 else "<author><name>Bob</name></author>")
        + f'<content type="html">&lt;p&gt;text {n}&lt;/p&gt;</content></entry>'
        for n in newest_first()
    )
    return f'<?xml version="1.0" encoding="utf-8"?><feed xmlns="http://www.w3.org/2005/Atom"><title>Blog</title><id>urn:feed</id><updated>{iso(1)}</updated>{entries}</feed>'


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
