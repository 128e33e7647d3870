//! Partitions of streams: listed, by parents, several in one, several one after the other; and states that were written before there were any.

use super::compile::{CONFIG, Compiler};
use super::part::{Kind, Part};
use crate::manifest::source::{ListValues, Parent, Router};
use std::sync::Arc;

/// Parents of parents; three are seen.
const DEEPEST: usize = 8;

impl Compiler<'_> {
    /// The routers of a retriever; several make all combinations.
    pub fn routers(&mut self, part: &Part) -> Vec<Router> {
        match &part.kind {
            Kind::List(items) => items.iter().filter_map(|item| self.any_router(item, 0)).collect(),
            Kind::Null | Kind::Bool(_) | Kind::Int(_) | Kind::Float(_) | Kind::Text(_) | Kind::Map(_) => {
                self.any_router(part, 0).into_iter().collect()
            }
        }
    }

    fn any_router(&mut self, part: &Part, depth: usize) -> Option<Router> {
        if !self.is_one_of(part, &["ListPartitionRouter", "SubstreamPartitionRouter", "GroupingPartitionRouter", "UnionPartitionRouter"]) {
            return None;
        }
        if depth >= DEEPEST {
            self.wrong(part.span, format!("more than {DEEPEST} partition routers inside each other"), "Use fewer");
            return None;
        }
        match part.component() {
            "GroupingPartitionRouter" => {
                let size = self.required(part, "group_size")?.clone();
                let count = self.whole(part, "group_size").and_then(|count| usize::try_from(count).ok()).filter(|count| *count > 0);
                if count.is_none() {
                    self.wrong(size.span, "a group has at least one partition", "Write `group_size: 10`, for instance");
                }
                let inner = self.required(part, "underlying_partition_router")?.clone();
                let router = self.any_router(&inner, depth + 1)?;
                let has_options = match &router {
                    Router::List { option, .. } => option.is_some(),
                    Router::Parents(parents) => parents.iter().any(|parent| parent.option.is_some()),
                    Router::Grouped { .. } | Router::Union { .. } => false,
                };
                if has_options {
                    self.wrong(
                        inner.span,
                        "partitions that are read several at once have no `request_option`",
                        "Write it in the requester",
                    );
                }
                let once = part.get("deduplicate").is_none_or(|_| part.is_set("deduplicate"));
                Some(Router::Grouped { router: Box::new(router), size: count?, once })
            }
            "UnionPartitionRouter" => {
                let field = self.required(part, "partition_field")?.scalar().unwrap_or_default();
                let routers = self.required(part, "partition_routers")?.clone();
                let routers = routers.items().iter().filter_map(|router| self.any_router(router, depth + 1)).collect();
                Some(Router::Union { routers, field })
            }
            _ => self.router(part),
        }
    }

    /// Whether a stream has `LegacyToPerPartitionStateMigration`.
    pub fn takes_legacy_state(&mut self, stream: &Part, routers: &[Router]) -> bool {
        let migrations = stream.get("state_migrations").cloned();
        let mut takes = false;
        for migration in migrations.as_ref().map(Part::items).unwrap_or_default() {
            if !self.is_one_of(migration, &["LegacyToPerPartitionStateMigration"]) {
                continue;
            }
            if matches!(routers, [Router::Parents(_) | Router::Union { .. }]) && stream.get("incremental_sync").is_some() {
                takes = true;
            } else {
                let remedy = "Give the stream `incremental_sync` and a `SubstreamPartitionRouter`, or leave the migration out";
                self.wrong(migration.span, "only a cursor by parents can have had another state", remedy);
            }
        }
        takes
    }

    /// A router of listed values or of parents.
    pub fn router(&mut self, part: &Part) -> Option<Router> {
        if !self.is_one_of(part, &["ListPartitionRouter", "SubstreamPartitionRouter"]) {
            return None;
        }
        if part.component() == "ListPartitionRouter" {
            let values = self.required(part, "values")?.clone();
            let values = match &values.kind {
                Kind::List(items) => ListValues::Fixed(items.iter().map(Part::to_json).collect()),
                Kind::Null | Kind::Bool(_) | Kind::Int(_) | Kind::Float(_) | Kind::Text(_) | Kind::Map(_) => {
                    ListValues::Template(self.template_of(&values, part, CONFIG)?)
                }
            };
            return Some(Router::List {
                values,
                field: self.required_template(part, "cursor_field", CONFIG)?,
                option: self.option(part, "request_option"),
            });
        }
        let configs = self.required(part, "parent_stream_configs")?.clone();
        if configs.items().is_empty() {
            self.wrong(configs.span, "at least one parent is meant", "Write a list of `ParentStreamConfig`");
        }
        Some(Router::Parents(configs.items().iter().filter_map(|config| self.parent(config)).collect()))
    }

    fn parent(&mut self, part: &Part) -> Option<Parent> {
        if !self.is_one_of(part, &["ParentStreamConfig"]) {
            return None;
        }
        let first_page = self.templates(part, "lazy_read_pointer", CONFIG);
        if first_page.iter().any(|segment| segment.source().contains('*')) {
            self.wrong(part.span, "`lazy_read_pointer` is a path to one place, without `*`", "Write `[a, b]`");
        }
        let stream = self.required(part, "stream")?.clone();
        if self.depth >= DEEPEST {
            self.wrong(stream.span, format!("more than {DEEPEST} parents above each other"), "Read it with fewer");
            return None;
        }
        self.depth += 1;
        let stream = self.stream(&stream);
        self.depth -= 1;
        let extra = part.get("extra_fields").cloned();
        let extra = extra.as_ref().map(Part::items).unwrap_or_default().iter();
        Some(Parent {
            extra: extra.map(|path| path.items().iter().filter_map(|segment| self.template_of(segment, part, CONFIG)).collect()).collect(),
            stream: Arc::new(stream?),
            key: self.required_template(part, "parent_key", CONFIG)?,
            field: self.required_template(part, "partition_field", CONFIG)?,
            option: self.option(part, "request_option"),
            incremental: part.is_set("incremental_dependency"),
            first_page,
        })
    }
}
