//! From the tree to the checked form: paged queries.

use super::read::SoapOfFile;
use super::read_call::Allowed;
use super::shape::USUAL_PAGE;
use super::{Call, Paging, Query, Slot};
use crate::declare::connector::read::Reader;
use crate::declare::yaml::{Entry, Node};

/// Columns of one query beside its entries.
const MAX_COLUMNS: usize = 500;

impl Reader<'_> {
    pub(super) fn query(&mut self, entry: &Entry, file: &SoapOfFile) -> Option<Query> {
        let node = &entry.value;
        let allowed = Allowed { session: file.has_session, paging: true, ..Allowed::default() };
        let call = self.call(node, file, &allowed)?;
        let rows = self.element_path_of(node, "rows", file);
        let entries = match node.get("entries") {
            Some(n) => Some(self.entries(n, file)?),
            None => None,
        };
        let mut columns = Vec::new();
        for column in node.get("columns").map(Node::entries).unwrap_or_default().iter().take(MAX_COLUMNS) {
            if let Some(text) = column.value.text() {
                columns.extend(self.element_path(text, column.value.span, file).map(|path| (column.key.clone(), path)));
            }
        }
        let missing = self.conditions(node.get("missing"), file);
        let page = node.get("page")?;
        let mut path = |key: &str| page.get(key).and_then(|_| self.element_path_of(page, key, file));
        let (count, total) = (path("count"), path("total"));
        let size = page.get("size").and_then(Node::whole).unwrap_or(USUAL_PAGE);
        let paging = self.paging(page, file, &allowed, &call)?;
        Some(Query { name: entry.key.clone(), call, rows: rows?, entries, columns, paging, size, count, total, missing })
    }

    fn paging(&mut self, page: &Node, file: &SoapOfFile, allowed: &Allowed, call: &Call) -> Option<Paging> {
        let given = ["after", "offset", "next"].into_iter().filter(|key| page.get(key).is_some()).collect::<Vec<_>>();
        let [way] = given.as_slice() else {
            let message = format!("`page` has {} of `after`, `offset` and `next`", given.len());
            self.bad_call(page.span, message, "keep the one by which the service gives pages; `after: id` is the safest");
            return None;
        };
        let needs = |slot: &Slot, call: &Call| call.names(slot);
        let lacking = |slot: &str| format!("pages follow each other by `{{{slot}}}`, and no value of the call names it");
        match *way {
            "after" => {
                if !needs(&Slot::After, call) {
                    let remedy = "write for instance `query: \"contacts.id > '{after:sql}'\"`, and order by it";
                    self.bad_call(page.span, lacking("after"), remedy);
                }
                page.get("after").and_then(Node::shared_text).map(Paging::After)
            }
            "offset" => {
                if !needs(&Slot::Offset, call) {
                    self.bad_call(page.span, lacking("offset"), "write for instance `values: { offset: \"{offset}\" }`");
                }
                let node = page.get("offset")?;
                let next = node.get("next").and_then(|_| self.element_path_of(node, "next", file));
                Some(Paging::Offset { next })
            }
            _ => {
                let node = page.get("next")?;
                let call = self.call(node, file, allowed)?;
                if !needs(&Slot::PageToken, &call) {
                    self.bad_call(node.span, lacking("page_token"), "write for instance `values: { queryLocator: \"{page_token}\" }`");
                }
                let token = self.element_path_of(node, "token", file)?;
                let done = self.expected(node.get("done"), file);
                let rows = node.get("rows").and_then(|_| self.element_path_of(node, "rows", file));
                Some(Paging::Next { call: Box::new(call), token, done, rows })
            }
        }
    }
}
