//! `DynamicSchemaLoader`, for values that become what the network's own schema says.

use super::compile::{CONFIG, Compiler, FILTER};
use super::part::Part;
use crate::manifest::told_schema::{ToldSchema, TypeName};
use std::sync::Arc;

/// In the condition of a type's other name.
const FIELD: &[&str] = &["config", "raw_schema"];

impl Compiler<'_> {
    /// How the schema of a stream's records is told.
    pub fn told_schema(&mut self, part: &Part) -> Option<ToldSchema> {
        self.is_one_of(part, &["DynamicSchemaLoader"]);
        let retriever = self.required(part, "retriever")?.clone();
        let identifier = self.required(part, "schema_type_identifier")?.clone();
        self.required(&identifier, "key_pointer")?;
        let stream = Arc::new(self.alone("schema", &retriever)?);
        let mut types = Vec::new();
        for one in identifier.get("types_mapping").map(Part::items).unwrap_or_default() {
            let (Some(to), Some(from)) = (self.required(one, "target_type"), self.required(one, "current_type")) else { continue };
            let (to, from) = (to.to_json(), from.to_json());
            types.push(TypeName { from, to, when: self.condition(one, "condition", FIELD) });
        }
        let filter = part.get("schema_filter").cloned().filter(|filter| self.is_one_of(filter, &["RecordFilter"]));
        let filter = filter.map(|filter| self.template_or(&filter, "condition", FILTER, ""));
        let transformations = self.transformations(part, "schema_transformations").unwrap_or_default();
        let typed = identifier.get("type_pointer").is_some_and(|pointer| !pointer.items().is_empty());
        Some(ToldSchema {
            stream,
            fields: self.templates(&identifier, "schema_pointer", CONFIG),
            key: self.templates(&identifier, "key_pointer", CONFIG),
            kind: typed.then(|| self.templates(&identifier, "type_pointer", CONFIG)),
            types,
            filter,
            transformations,
        })
    }
}
