//! One self-contained page: no script, no picture, no address from outside.

pub(super) use crate::cli::html::escaped;

/// A page with this title and body; the body is HTML already.
pub(super) fn page(title: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n<title>{0}</title>\n\
         <style>{STYLE}</style></head>\n<body><main><h1>{0}</h1>\n{body}</main></body></html>\n",
        escaped(title)
    )
}

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;color:#1b1f24;background:#fff;margin:0}main{max-width:60rem;margin:0 auto;\
padding:2rem 1rem}h1{font-size:1.6rem}h2{font-size:1.15rem;margin-top:2rem}table{border-collapse:collapse;width:100%}th,td{text-align:left;\
padding:.3rem .8rem .3rem 0;border-bottom:1px solid #e3e6ea;vertical-align:top}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}\
ol{list-style:none;padding:0}li{border-left:3px solid #2b5f9e;margin:0 0 1rem;padding:.1rem 0 .1rem .9rem}li time{color:#5a6270;\
font-size:.9rem;display:block}blockquote{margin:.3rem 0 0;color:#414a57;font-size:.92rem}small,.q{color:#5a6270}code{font-size:.85rem;\
overflow-wrap:anywhere}@media(prefers-color-scheme:dark){body{color:#e6e9ee;background:#14171b}th,td{border-color:#2d333b}\
small,.q,li time{color:#9aa4b2}blockquote{color:#b9c2cd}}@media print{main{max-width:none}}";

/// A table of counts.
pub(super) fn table(title: &str, head: (&str, &str), rows: &[(String, String)]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let row = |(name, count): &(String, String)| format!("<tr><td>{}</td><td class=\"n\">{}</td></tr>\n", escaped(name), escaped(count));
    let rows: String = rows.iter().map(row).collect();
    format!(
        "<h2>{}</h2>\n<table><tr><th>{}</th><th class=\"n\">{}</th></tr>\n{rows}</table>\n",
        escaped(title),
        escaped(head.0),
        escaped(head.1)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_page_is_taken_for_markup_or_fetched_from_outside() {
        let page = page("<script>", &table("a & b", ("\"", "'"), &[("<img src=x>".into(), "1".into())]));
        assert!(!page.contains("<script") && !page.contains("<img"), "{page}");
        assert!(!page.contains("http://") && !page.contains("https://") && page.contains("default-src 'none'"));
    }
}
