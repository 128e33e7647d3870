//! Streams: retriever, records, pages, cursor.

use super::again::{Beside, uploads};
use super::compile::{ADD_CONDITION, CONFIG, Compiler, FILTER, PAGE, REMOVE_CONDITION, TRANSFORM};
use super::part::{Field, Kind, Part};
use crate::manifest::cursor::{Clamping, CountCursorSpec, DateCursorSpec, DateTemplate};
use crate::manifest::encoding::Encoding;
use crate::manifest::extract::Extractor;
use crate::manifest::page::{Paginator, Strategy, TokenPlace};
use crate::manifest::source::{CursorKind, Decoder, Router};
use crate::manifest::transform::Transformation;
use crate::manifest::{Stream, Template, Wanted};
use std::sync::Arc;

const DECODERS: &[&str] =
    &["JsonDecoder", "JsonItemsDecoder", "JsonlDecoder", "IterableDecoder", "XmlDecoder", "CsvDecoder", "GzipDecoder", "ZipfileDecoder"];

impl Compiler<'_> {
    /// A stream with everything that reading it needs.
    pub fn stream(&mut self, part: &Part) -> Option<Stream> {
        if !self.is_one_of(part, &["DeclarativeStream", "StateDelegatingStream"]) {
            return None;
        }
        let name = self.required(part, "name")?.scalar().unwrap_or_default();
        if part.component() == "StateDelegatingStream" {
            return self.delegating(part, &name);
        }
        if let Some(found) = part.get("file_uploader").filter(|found| uploads(found)) {
            self.refuse(found.span, "`file_uploader`", "it copies whole files, and Kith holds what people say, not files");
        }
        let retriever = self.required(part, "retriever")?.clone();
        if !self.is_one_of(&retriever, &["SimpleRetriever"]) {
            return None;
        }
        let requester = self.required(&retriever, "requester")?.clone();
        if !self.is_one_of(&requester, &["HttpRequester"]) {
            return None;
        }
        let (requester, properties) = self.properties(&requester);
        let outline = self.outline(&requester);
        let login = self.login(&requester, 0);
        let errors = self.error_handling(&requester);
        let decoder = retriever.get("decoder").cloned().map_or(Some(Decoder::Json), |decoder| self.decoder(&decoder));
        let selector = self.required(&retriever, "record_selector")?.clone();
        self.is_one_of(&selector, &["RecordSelector"]);
        let extractor = self.required(&selector, "extractor").cloned().and_then(|extractor| self.extractor(&extractor, 0));
        let filter = selector.get("record_filter").cloned().filter(|filter| self.is_one_of(filter, &["RecordFilter"]));
        // A filter without a condition takes nothing, as in the reference.
        let filter = filter.map(|filter| self.template_or(&filter, "condition", FILTER, ""));
        let normalize = self.normalize(&selector);
        // What a schema says changes no record, unless it is normalized by it.
        let loader = part.get("schema_loader").filter(|loader| normalize && loader.component() == "DynamicSchemaLoader").cloned();
        let told_schema = loader.and_then(|loader| self.told_schema(&loader)).map(Arc::new);
        let cursor = part.get("incremental_sync").cloned().and_then(|sync| self.cursor(&sync));
        let client_side = matches!(cursor, Some(CursorKind::Date { client_side: true, .. }));
        let transform_first =
            selector.get("transform_before_filtering").map_or(client_side, |_| selector.is_set("transform_before_filtering"));
        let transformations = self.transformations(part, "transformations").unwrap_or_default();
        let paginator = retriever.get("paginator").cloned().and_then(|paginator| self.paginator(&paginator));
        let remembers_parents = retriever.get("partition_router").is_some_and(|router| !matches!(router.kind, Kind::List(_)));
        let routers = retriever.get("partition_router").cloned().map(|router| self.routers(&router)).unwrap_or_default();
        if let (Some(CursorKind::Count { .. }), false) = (&cursor, routers.is_empty()) {
            let span = part.get("incremental_sync").map_or(part.span, |sync| sync.span);
            self.wrong(span, "a counting cursor and partitions exclude each other", "Use a cursor by time, or no partition router");
        }
        let takes_legacy_state = self.takes_legacy_state(part, &routers);
        if let (Some(Paginator { strategy: Strategy::Offset { .. }, .. }), true) =
            (&paginator, extractor.as_ref().is_some_and(Extractor::adds_up))
        {
            let remedy = "Use `mode: first_match`, or another paginator";
            self.wrong(selector.span, "an offset can't be counted by records that several extractors find", remedy);
        }
        let in_parents = routers.iter().flat_map(Router::parents).any(|parent| !parent.first_page.is_empty());
        let beside = Beside {
            paginator: paginator.as_ref(),
            cursor: cursor.as_ref(),
            properties: properties.is_some(),
            filter: filter.is_some(),
            in_parents,
        };
        let ways = self.ways(&retriever, &errors, &beside);
        let schema = Self::schema(part);
        let stream = Stream {
            name,
            outline: outline?,
            login,
            errors,
            properties,
            decoder: decoder?,
            extractor: extractor?,
            filter,
            transform_first,
            normalize,
            transformations,
            paginator,
            ways,
            slice_on_first_page_only: retriever.is_set("ignore_stream_slicer_parameters_on_paginated_requests"),
            routers,
            remembers_parents,
            cursor,
            schema,
            told_schema,
            takes_legacy_state,
            resumed: None,
            retention: None,
            when: None,
        };
        if stream.begins_in_parents() {
            let steps = matches!(&stream.cursor, Some(CursorKind::Date { spec, .. }) if spec.step.is_some() || spec.granularity.is_some());
            if steps || stream.decoder != Decoder::Json {
                let remedy = "Leave out `lazy_read_pointer`, or `step`, `cursor_granularity` and the decoder";
                self.wrong(part.span, "pages that begin in a parent's record are JSON, in one slice", remedy);
            }
        }
        Some(stream)
    }

    /// A stream of a retriever alone, for what else is asked.
    pub fn alone(&mut self, name: &str, retriever: &Part) -> Option<Stream> {
        let span = retriever.span;
        let field = |key: &str, value: Part| Field { key: key.into(), key_span: span, value };
        let text = |text: &str| Part { span, kind: Kind::Text(text.into()) };
        let fields = vec![field("type", text("DeclarativeStream")), field("name", text(name)), field("retriever", retriever.clone())];
        self.stream(&Part { span, kind: Kind::Map(Arc::new(fields)) })
    }

    /// Two streams under one name: one without a state, one with it.
    fn delegating(&mut self, part: &Part, name: &str) -> Option<Stream> {
        let mut inner = |key: &str| {
            let stream = self.required(part, key)?.clone();
            if !self.is_one_of(&stream, &["DeclarativeStream"]) {
                return None;
            }
            let stream = self.stream(&stream);
            if stream.as_ref().is_some_and(|stream| stream.name != name) {
                self.wrong(part.span, format!("`{key}` has another name than `{name}`"), "Give both the same name");
            }
            stream
        };
        let (first, resumed) = (inner("full_refresh_stream"), inner("incremental_stream"));
        let (first, resumed) = (first?, resumed?);
        let retention = self.condition(part, "api_retention_period", CONFIG);
        if retention.is_some() && [&first, &resumed].iter().any(|stream| matches!(stream.cursor, Some(CursorKind::Count { .. }))) {
            self.wrong(
                part.span,
                "how old a counting cursor is, can't be known",
                "Leave `api_retention_period` out, or use a cursor by time",
            );
        }
        Some(Stream { resumed: Some(Arc::new(resumed)), retention, ..first })
    }

    fn schema(part: &Part) -> Option<crate::manifest::Json> {
        let loader = part.get("schema_loader")?;
        match loader.component() {
            "InlineSchemaLoader" => loader.get("schema").map(Part::to_json),
            _ => None,
        }
    }

    fn normalize(&mut self, selector: &Part) -> bool {
        match selector.get("schema_normalization") {
            None => false,
            Some(value) => match value.text() {
                Some("None") => false,
                Some("Default") => true,
                _ => {
                    self.refuse(value.span, "this `schema_normalization`", "Kith has None and Default");
                    false
                }
            },
        }
    }

    fn decoder(&mut self, part: &Part) -> Option<Decoder> {
        if !self.is_one_of(part, DECODERS) {
            return None;
        }
        Some(match part.component() {
            "JsonlDecoder" => Decoder::JsonLines,
            "IterableDecoder" => Decoder::Lines,
            "XmlDecoder" => Decoder::Xml,
            "CsvDecoder" => {
                let written = part.text_of("delimiter").unwrap_or(",");
                let delimiter = match written {
                    "\\t" => Some(b'\t'),
                    other => other.bytes().next().filter(|_| other.len() == 1),
                };
                let Some(delimiter) = delimiter else {
                    self.wrong(part.span, "`delimiter` is one character", "Write `\";\"`, for instance");
                    return None;
                };
                let encoding = self.encoding(part)?;
                let nulls = part.get("set_values_to_none").cloned().map(|nulls| self.texts(&nulls)).unwrap_or_default();
                Decoder::Csv { delimiter, nulls, encoding }
            }
            "JsonItemsDecoder" => {
                let encoding = self.encoding(part)?;
                let at = self.required(part, "items_path")?.scalar().unwrap_or_default();
                Decoder::JsonItems { at: at.split('.').map(str::to_owned).collect(), encoding }
            }
            packed @ ("GzipDecoder" | "ZipfileDecoder") => {
                let inner = self.required(part, "decoder")?.clone();
                let inner = Box::new(self.decoder(&inner)?);
                if packed == "GzipDecoder" { Decoder::Gzip(inner) } else { Decoder::Zip(inner) }
            }
            _ => Decoder::Json,
        })
    }

    fn encoding(&mut self, part: &Part) -> Option<Encoding> {
        let Some(written) = part.get("encoding") else { return Some(Encoding::Utf8) };
        let found = written.scalar().and_then(|name| Encoding::of(&name));
        if found.is_none() {
            let remedy = "Write utf-8, iso-8859-1, cp1252, utf-16, shift_jis, or another that Python and browsers both know";
            self.wrong(written.span, "no such `encoding` is known", remedy);
        }
        found
    }

    fn paginator(&mut self, part: &Part) -> Option<Paginator> {
        if !self.is_one_of(part, &["DefaultPaginator", "NoPagination"]) || part.component() == "NoPagination" {
            return None;
        }
        let strategy = self.required(part, "pagination_strategy")?.clone();
        if !self.is_one_of(&strategy, &["CursorPagination", "OffsetIncrement", "PageIncrement"]) {
            return None;
        }
        let strategy = match strategy.component() {
            "CursorPagination" => Strategy::Cursor {
                value: self.required_template(&strategy, "cursor_value", PAGE)?,
                stop: self.condition(&strategy, "stop_condition", PAGE),
                size: self.template(&strategy, "page_size", CONFIG),
            },
            "OffsetIncrement" => Strategy::Offset {
                size: self.template(&strategy, "page_size", &["config", "response"]),
                first: strategy.is_set("inject_on_first_request"),
            },
            _ => Strategy::Page {
                size: self.template(&strategy, "page_size", CONFIG),
                start: self.whole(&strategy, "start_from_page").unwrap_or(0),
                first: strategy.is_set("inject_on_first_request"),
            },
        };
        let token = match part.get("page_token_option").cloned() {
            None => None,
            Some(option) if option.component() == "RequestPath" => Some(TokenPlace::Path),
            Some(option) if self.is_one_of(&option, &["RequestOption", "RequestPath"]) => {
                Some(TokenPlace::Option(self.request_option(&option, part)?))
            }
            Some(_) => return None,
        };
        Some(Paginator { strategy, token, size_option: self.option(part, "page_size_option") })
    }

    /// The steps of changing records under a key; `None` where one is not understood, and all that are not were told.
    pub fn transformations(&mut self, part: &Part, key: &str) -> Option<Vec<Transformation>> {
        let listed = part.get(key).cloned();
        let listed = listed.as_ref().map(Part::items).unwrap_or_default();
        let steps: Vec<Transformation> = listed.iter().filter_map(|step| self.transformation(step)).collect();
        (steps.len() == listed.len()).then_some(steps)
    }

    /// A step of changing records.
    pub fn transformation(&mut self, part: &Part) -> Option<Transformation> {
        let kinds = ["AddFields", "RemoveFields", "KeysToLower", "KeysToSnakeCase", "KeysReplace", "FlattenFields", "DpathFlattenFields"];
        if !self.is_one_of(part, &kinds) {
            return None;
        }
        Some(match part.component() {
            "AddFields" => {
                Transformation::Add { fields: self.added(part, TRANSFORM), condition: self.condition(part, "condition", ADD_CONDITION) }
            }
            "RemoveFields" => {
                Transformation::Remove { pointers: self.pointers(part)?, condition: self.condition(part, "condition", REMOVE_CONDITION) }
            }
            "KeysToLower" => Transformation::KeysToLower,
            "KeysToSnakeCase" => Transformation::KeysToSnakeCase,
            "KeysReplace" => Transformation::KeysReplace {
                old: self.required_template(part, "old", TRANSFORM)?,
                new: self.required_template(part, "new", TRANSFORM)?,
            },
            "FlattenFields" => Transformation::Flatten { lists: part.get("flatten_lists").is_none_or(|_| part.is_set("flatten_lists")) },
            _ => {
                let key = part.get("key_transformation").cloned();
                let mut affix = |name: &str| key.as_ref()?.get(name).cloned().and_then(|affix| self.template_of(&affix, part, CONFIG));
                let (prefix, suffix) = (affix("prefix"), affix("suffix"));
                self.required(part, "field_path")?;
                Transformation::FlattenPath {
                    path: self.templates(part, "field_path", CONFIG),
                    remove: part.is_set("delete_origin_value"),
                    replace: part.is_set("replace_record"),
                    prefix,
                    suffix,
                }
            }
        })
    }

    /// The fields of `AddFields` and `ConfigAddFields`.
    pub fn added(&mut self, part: &Part, known: &[&str]) -> Vec<(Vec<String>, Template, Wanted)> {
        let mut added = Vec::new();
        for field in part.get("fields").map(Part::items).unwrap_or_default() {
            let Some(path) = self.required(field, "path").cloned() else { continue };
            let path = self.texts(&path);
            if path.is_empty() {
                self.wrong(field.span, "a field needs a path", "Write `path: [NAME]`");
                continue;
            }
            let Some(wanted) = self.wanted(field) else { continue };
            if let Some(value) = self.required_template(field, "value", known) {
                added.push((path, value, wanted));
            }
        }
        added
    }

    /// Which literals a value may be: `value_type`.
    pub fn wanted(&mut self, part: &Part) -> Option<Wanted> {
        Some(match part.text_of("value_type") {
            None => Wanted::Any,
            Some("string") => Wanted::Text,
            Some("number") => Wanted::Float,
            Some("integer") => Wanted::Int,
            Some("boolean") => Wanted::Bool,
            Some(_) => {
                self.wrong(part.span, "`value_type` is string, number, integer or boolean", "Write one of these");
                return None;
            }
        })
    }

    /// The pointers of `RemoveFields` and `ConfigRemoveFields`.
    pub fn pointers(&mut self, part: &Part) -> Option<Vec<Vec<String>>> {
        let pointers = self.required(part, "field_pointers")?.clone();
        Some(pointers.items().iter().map(|pointer| self.texts(pointer)).collect())
    }

    fn date(&mut self, part: &Part, owner: &Part) -> Option<DateTemplate> {
        if part.fields().is_empty() {
            return Some(DateTemplate { at: self.template_of(part, owner, CONFIG)?, format: None, least: None, most: None });
        }
        self.is_one_of(part, &["MinMaxDatetime"]).then(|| {
            Some(DateTemplate {
                at: self.required_template(part, "datetime", CONFIG)?,
                format: part.text_of("datetime_format").filter(|format| !format.is_empty()).map(str::to_owned),
                least: self.condition(part, "min_datetime", CONFIG),
                most: self.condition(part, "max_datetime", CONFIG),
            })
        })?
    }

    fn cursor(&mut self, part: &Part) -> Option<CursorKind> {
        if !self.is_one_of(part, &["DatetimeBasedCursor", "IncrementingCountCursor"]) {
            return None;
        }
        let field = self.required_template(part, "cursor_field", CONFIG)?;
        if part.component() == "IncrementingCountCursor" {
            let spec = CountCursorSpec { field, start: self.template(part, "start_value", CONFIG) };
            return Some(CursorKind::Count { spec: Arc::new(spec), start_option: self.option(part, "start_value_option") });
        }
        let format = self.required(part, "datetime_format")?.scalar().unwrap_or_default();
        let mut inputs = part.get("cursor_datetime_formats").cloned().map(|formats| self.texts(&formats)).unwrap_or_default();
        inputs.push(format.clone());
        let start = self.required(part, "start_datetime")?.clone();
        let start = self.date(&start, part)?;
        let end = part.get("end_datetime").cloned().and_then(|end| self.date(&end, part));
        // No length is none, as in Python.
        let granularity = self.duration(part, "cursor_granularity").filter(|gap| gap.months != 0 || gap.micros != 0);
        if part.get("step").is_some() != part.get("cursor_granularity").is_some() {
            self.wrong(part.span, "`step` and `cursor_granularity` need each other", "Write both, or neither");
        }
        let clamping = part.get("clamping").cloned().and_then(|clamping| self.clamping(&clamping));
        let spec = DateCursorSpec {
            field,
            format,
            inputs,
            start,
            end,
            step: self.template(part, "step", CONFIG),
            granularity,
            lookback: self.template(part, "lookback_window", CONFIG),
            start_field: self.template_or(part, "partition_field_start", CONFIG, "start_time"),
            end_field: self.template_or(part, "partition_field_end", CONFIG, "end_time"),
            clamping,
            strictly: part.is_set("is_compare_strictly"),
        };
        Some(CursorKind::Date {
            spec: Arc::new(spec),
            start_option: self.option(part, "start_time_option"),
            end_option: self.option(part, "end_time_option"),
            feed: part.is_set("is_data_feed"),
            client_side: part.is_set("is_client_side_incremental"),
            global: part.is_set("global_substream_cursor"),
        })
    }

    fn clamping(&mut self, part: &Part) -> Option<Clamping> {
        const DAYS: [&str; 7] = ["MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY"];
        match part.text_of("target") {
            Some("DAY") => Some(Clamping::Day),
            Some("MONTH") => Some(Clamping::Month),
            Some("WEEK") => {
                let day = part.get("target_details").and_then(|details| details.text_of("weekday")).map(str::to_ascii_uppercase);
                let day = day.and_then(|day| DAYS.iter().position(|known| *known == day)).and_then(|at| i8::try_from(at).ok());
                if day.is_none() {
                    self.wrong(part.span, "a week needs its first day", "Write `target_details: { weekday: MONDAY }`");
                }
                day.map(Clamping::Week)
            }
            _ => {
                self.wrong(part.span, "slices are clamped to DAY, WEEK or MONTH", "Write one of these");
                None
            }
        }
    }
}
