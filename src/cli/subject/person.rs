//! An export as one page that a person can read and print: no script, nothing fetched.

use crate::cli::html::escaped;
use crate::cli::page::{line, text};
use serde_json::Value as Json;

/// Everything that a page shows stands in the same plain look, on screen and on paper.
const STYLE: &str = "body{font:16px/1.45 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a;background:#fff}\
h1{font-size:1.5rem}h2{font-size:1.2rem;margin-top:2rem;border-bottom:1px solid #bbb}h3{font-size:1rem;margin-bottom:.3rem}\
table{border-collapse:collapse;width:100%;margin:.5rem 0 1rem}th,td{border:1px solid #ccc;padding:.3rem .5rem;text-align:left;vertical-align:top;\
overflow-wrap:anywhere}th{background:#f2f2f2;font-weight:600}p.note{color:#555}@media print{body{margin:0;max-width:none}tr{break-inside:avoid}}";

/// A value in a cell.
fn cell(value: &Json) -> String {
    match value {
        Json::Null => String::new(),
        Json::String(words) => escaped(words),
        Json::Bool(_) | Json::Number(_) => value.to_string(),
        Json::Array(items) => items.iter().map(cell).filter(|item| !item.is_empty()).collect::<Vec<_>>().join(", "),
        Json::Object(members) => {
            let shown = members.iter().filter(|(_, value)| !value.is_null());
            shown.map(|(name, value)| format!("{}: {}", escaped(name), cell(value))).collect::<Vec<_>>().join("<br>")
        }
    }
}

/// Name and value, line by line.
fn pairs(page: &mut String, members: &Json) {
    let Some(members) = members.as_object() else { return };
    line(page, format_args!("<table>"));
    for (name, value) in members {
        line(page, format_args!("<tr><th scope=\"row\">{}</th><td>{}</td></tr>", escaped(name), cell(value)));
    }
    line(page, format_args!("</table>"));
}

/// Records as rows: the columns by title and JSON pointer.
fn table(page: &mut String, title: &str, records: &Json, columns: &[(&str, &str)]) {
    let records = records.as_array().map(Vec::as_slice).unwrap_or_default();
    line(page, format_args!("<h3>{} ({})</h3>", escaped(title), records.len()));
    if records.is_empty() {
        return;
    }
    text(page, format_args!("<table><tr>"));
    for (name, _) in columns {
        text(page, format_args!("<th scope=\"col\">{}</th>", escaped(name)));
    }
    line(page, format_args!("</tr>"));
    for record in records {
        text(page, format_args!("<tr>"));
        for (_, pointer) in columns {
            text(page, format_args!("<td>{}</td>", record.pointer(pointer).map(cell).unwrap_or_default()));
        }
        line(page, format_args!("</tr>"));
    }
    line(page, format_args!("</table>"));
}

/// The page of an export.
pub(super) fn page(document: &Json) -> String {
    let mut page = String::new();
    let made = document.pointer("/made").map(cell).unwrap_or_default();
    line(
        &mut page,
        format_args!(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
             <title>What is kept about you</title><style>{STYLE}</style></head><body>"
        ),
    );
    line(&mut page, format_args!("<h1>What is kept about you</h1>\n<p>Made on {made} for:</p>"));
    pairs(&mut page, document.get("export").unwrap_or(&Json::Null));
    for account in document.get("accounts").and_then(Json::as_array).into_iter().flatten() {
        let member = |name: &str| account.get(name).unwrap_or(&Json::Null);
        line(&mut page, format_args!("<h2>Your account on {}</h2>", cell(member("network"))));
        line(&mut page, format_args!("<p>{}</p>\n<h3>What it shows</h3>", cell(member("identity_id"))));
        if member("profile").is_null() {
            line(&mut page, format_args!("<p class=\"note\">Not kept, or not kept any more.</p>"));
        }
        pairs(&mut page, member("profile"));
        table(
            &mut page,
            "Links to a customer, and the legal basis",
            member("links"),
            &[
                ("customer", "/customer_id"),
                ("made by", "/by"),
                ("basis", "/basis"),
                ("law", "/law"),
                ("purpose", "/purpose"),
                ("record", "/record"),
                ("since", "/since"),
                ("ended", "/ended"),
            ],
        );
        table(
            &mut page,
            "Decisions",
            member("decisions"),
            &[("when", "/at"), ("decision", "/decision"), ("customer", "/customer_id"), ("rule", "/rule"), ("probability", "/probability")],
        );
        if !member("evidence").is_null() {
            line(&mut page, format_args!("<h3>What was compared</h3>"));
            pairs(&mut page, account.pointer("/evidence/compared").unwrap_or(&Json::Null));
        }
        table(
            &mut page,
            "What you said",
            member("activities"),
            &[
                ("when", "/activity/published"),
                ("what", "/activity/object/content"),
                ("where", "/activity/object/url"),
                ("state", "/state"),
            ],
        );
        table(
            &mut page,
            "What was written to the CRM",
            member("deliveries"),
            &[("to", "/target"), ("what", "/entry"), ("how", "/intent"), ("state", "/state"), ("fields", "/fields")],
        );
    }
    line(&mut page, format_args!("<h2>The audit log</h2>"));
    table(
        &mut page,
        "Entries",
        document.get("log").unwrap_or(&Json::Null),
        &[
            ("number", "/number"),
            ("when", "/entry/time"),
            ("what", "/entry/kind"),
            ("who", "/entry/actor/name"),
            ("outcome", "/entry/outcome"),
            ("fields", "/fields"),
        ],
    );
    line(
        &mut page,
        format_args!("<p class=\"note\">“gone” stands where a key was destroyed: nobody can read what stood there.</p>\n</body></html>"),
    );
    page
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn nothing_that_somebody_said_becomes_markup() {
        let evil = "<script>alert('x')</script>&\"";
        let document = json!({
            "export": { "identity_id": evil }, "made": "2026-11-27T00:00:00Z",
            "accounts": [{
                "network": "x", "identity_id": evil, "profile": { evil: evil }, "links": [], "decisions": [], "evidence": null,
                "activities": [{ "state": "delivered", "activity": { "object": { "content": evil, "url": evil } } }],
                "deliveries": [{ "target": evil, "fields": { evil: [evil, { evil: 1 }] } }],
            }],
            "log": [{ "number": 1, "entry": { "kind": "decision" }, "fields": [{ "field": evil, "after": evil }] }],
        });
        let page = page(&document);
        assert!(!page.contains("<script"));
        assert!(page.contains("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&amp;&quot;"));
        // Nothing is fetched: no address stands where a browser would follow it by itself.
        assert!(!page.contains(" src=") && !page.contains(" href=") && !page.contains("url("));
    }
}
