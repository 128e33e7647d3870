"""The shapes of CRMs' and social tools' interfaces, after their public documentation: how they page, name things and tell what changed. Part of
`manifest_server.py`."""

import base64
import datetime
import json
from urllib.parse import urlencode

DAY = 86_400
FIRST = int(datetime.datetime(2024, 2, 1, tzinfo=datetime.timezone.utc).timestamp())


def moment(n, form="%Y-%m-%dT%H:%M:%SZ"):
    """Eighteen hours after each other."""
    return datetime.datetime.fromtimestamp(FIRST + n * 64_800, datetime.timezone.utc).strftime(form)


class Shapes:
    def on_crm(self, steps, query, body):
        name = "crm_" + steps[0].replace(".", "_")
        getattr(self, name, self.on_nothing)(steps[1:], query, body)

    def crm_recents(self, steps, query, body):
        deals = [
            {"item": "deal", "id": n, "data": {"id": n, "status": "deleted" if n == 5 else "open", "value": n + 0.29, "owner": {"name": f"O{n}", "secret": 1} if n % 3 else {}, "secret": "s",
             "more": {"secret": 2, "n": n}, "update_time": moment(n, "%Y-%m-%d %H:%M:%S") if n % 2 else moment(n)}}
            for n in range(14)
        ]
        deals[7]["data"] = None
        since = query.get("since_timestamp", "").replace("T", " ")
        deals = [one for one in deals if not one["data"] or one["data"]["update_time"].replace("T", " ") >= since]
        start, limit = int(query.get("start", 0)), int(query["limit"])
        more = start + limit < len(deals)
        page = {"start": start, "limit": limit, "more_items_in_collection": more, **({"next_start": start + limit} if more else {})}
        self.answer({"success": True, "data": deals[start : start + limit], "additional_data": {"pagination": page}})

    def crm_contacts(self, steps, query, body):
        if steps == ["filters"]:
            names = ["All Contacts", "Recently Imported", "My Contacts", "Nobody's"]
            return self.answer({"filters": [{"id": 31_000_000_000 + n, "name": name} for n, name in enumerate(names)]})
        view, page, size = int(steps[1]) - 31_000_000_000, int(query["page"]), int(query["per_page"])
        if view == 2 and page > 2:
            return self.answer({"errors": {"code": 404}}, 404)
        found = [{"id": n, "first_name": f"N{n}", "email": None, "updated_at": moment(n)} for n in range(view, 7)]
        self.answer({"contacts": found[(page - 1) * size : page * size], "meta": {"total_pages": -(-len(found) // size), "total": len(found)}})

    def crm_organizationalEntityFollowerStatistics(self, steps, query, body):
        start, end = (int(part.split(":")[-1].rstrip(")")) for part in query["timeIntervals"].split(",")[:2])
        if query["organizationalEntity"] != "urn:li:organization:77" or self.headers["X-Restli-Protocol-Version"] != "2.0.0":
            return self.answer({"message": "which organisation?"}, 400)
        days = [FIRST * 1000 + n * DAY * 1000 for n in range(20)]
        elements = [{"timeRange": {"start": day, "end": day + DAY * 1000}, "followerGains": {"organicFollowerGain": n, "paidFollowerGain": -n}} for n, day in enumerate(days) if start <= day <= end]
        self.answer({"paging": {"start": 0, "count": 10, "links": []}, "elements": elements})

    def cursored(self, key, found, query):
        size = int(query.get("limit", 3))
        start = int(base64.b64decode(query["cursor"])[5:]) if query.get("cursor") else 0
        following = base64.b64encode(f"next:{start + size}".encode()).decode() if start + size < len(found) else ""
        self.answer({"ok": True, key: found[start : start + size], "response_metadata": {"next_cursor": following}})

    def crm_conversations_list(self, steps, query, body):
        channels = [{"id": f"C{n}", "name": f"channel {n}"} for n in range(4)]
        if "private_channel" in query["types"]:
            channels.append({"id": "G1", "name": "private"})
        self.cursored("channels", channels, query)

    def messages_of(self, channel, query):
        number = int(channel[1:])
        found = [{"type": "message", "text": f"{channel} {n}", "ts": f"{FIRST + number * DAY + n * 3 * DAY}.{n:06d}"} for n in range(2 + number)]
        inside = lambda ts: float(query.get("oldest", 0)) <= float(ts) <= float(query.get("latest", 9e12))
        # The newest comes first.
        return [one for one in reversed(found) if inside(one["ts"])]

    def crm_conversations_history(self, steps, query, body):
        if query["channel"] == "C2" and "cursor" not in query and query.get("oldest", "").startswith("17065"):
            return self.answer({"ok": False, "error": "not_in_channel"}, 404)
        self.cursored("messages", self.messages_of(query["channel"], query), query)

    def crm_conversations_replies(self, steps, query, body):
        first = {"type": "message", "text": "begins", "ts": query["ts"]}
        whole, fraction = query["ts"].split(".")
        replies = [{"type": "message", "text": f"reply {n}", "thread_ts": query["ts"], "ts": f"{int(whole) + n * 600}.{fraction}"} for n in range(1, 5)]
        self.cursored("messages", [first, *replies], query)

    def crm_incremental(self, steps, query, body):
        tickets = [{"id": str(n) if n % 2 else n, "subject": n if n % 3 == 0 else f"S{n}", "custom": [{"id": 1, "value": n}, {"id": 2, "value": None}], "generated_timestamp": FIRST + n * DAY} for n in range(13)]
        start = int(base64.b64decode(query["cursor"])) if "cursor" in query else next((n for n, one in enumerate(tickets) if one["generated_timestamp"] >= int(query["start_time"])), len(tickets))
        found, after = tickets[start : start + int(query["per_page"])], start + int(query["per_page"])
        cursor = base64.b64encode(str(after).encode()).decode()
        url = f"{self.base()}/crm/incremental/tickets/cursor.json?" + urlencode({"cursor": cursor})
        self.answer({"tickets": found, "after_url": url, "after_cursor": cursor, "end_of_stream": after >= len(tickets)})

    def crm_tweets(self, steps, query, body):
        if self.headers.get("Authorization") != "Bearer t0k":
            return self.answer({"title": "Unauthorized"}, 401)
        posts = [{"id": str(1_700_000_000_000_000_000 + n), "text": f"{query['query']} {n}", "author_id": str(n % 3), "created_at": moment(n, "%Y-%m-%dT%H:%M:%S.000Z")} for n in range(30)]
        posts = [one for one in reversed(posts) if query["start_time"][:19] <= one["created_at"][:19] <= query["end_time"][:19]]
        start = int(query.get("next_token", "t0")[1:])
        found = posts[start : start + 4]
        meta = {"result_count": len(found)}
        if start + 4 < len(posts):
            meta["next_token"] = f"t{start + 4}"
        # Nothing found: there is no list at all.
        self.answer({**({"data": found} if found else {}), "includes": {"users": [{"id": "0"}]}, "meta": meta})

    def crm_people(self, steps, query, body):
        asked = json.loads(body)
        if self.headers.get("Authorization") != "Basic " + base64.b64encode(b"t0k/token:").decode():
            return self.answer({"message": "who?"}, 401)
        number, size = asked["page"]["number"], asked["page"]["size"]
        people = [{"id": n, "name": f"P{n}", "date_modified": FIRST + n * DAY, "asked": {key: value for key, value in asked.items() if key != "page"}} for n in range(16)]
        self.answer(people[(number - 1) * size : number * size])

    def crm_companies(self, steps, query, body):
        place = int(query.get("scroll_param", "0"))
        if place == 8 and self.times("scroll-" + query["run"]) == 1:
            return self.answer({"type": "error.list", "errors": [{"code": "not_found", "message": "scroll parameter not found"}]}, 404)
        found = [{"type": "company", "id": f"c{n}", "custom_attributes": {}} for n in range(place, min(place + 4, 10))]
        self.answer({"type": "list", "data": found, "scroll_param": str(place + 4)})
