//! Webhooks of a connector, `metadata.kith.webhooks`: by whose rules deliveries are signed, where the records are in a body, and how they become
//! activities. The projection is that of a stream; what a record needs before it is a list of the vocabulary's own transformations.

use super::compile::Compiler;
use super::part::Part;
use super::projection::{self, BAD_PROJECTION, Projection};
use crate::diagnose::{Diagnostic, Span};
use crate::manifest::transform::Transformation;
use crate::manifest::webhook::Scheme;

/// Places of records in one body: X has two that are taken here.
const MOST_TAKES: usize = 20;
/// Steps of a path: Meta's has four.
const DEEPEST: usize = 12;

/// How a body is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// JSON.
    Json,
    /// XML, seen as an answer of a source is.
    Xml,
}

/// A webhook that a connector knows.
#[derive(Debug)]
pub struct Webhook {
    /// Its name.
    pub name: String,
    /// Whose rules it follows.
    pub scheme: Scheme,
    /// How bodies are written.
    pub form: Form,
    /// What is taken out of a body.
    pub takes: Vec<Take>,
}

/// Records of one place in a body.
#[derive(Debug)]
pub struct Take {
    /// Members from the top of the body; `*`: each item of a list.
    pub at: Vec<String>,
    /// What is done with a record first.
    pub transformations: Vec<Transformation>,
    /// How it becomes an activity.
    pub projection: Projection,
}

fn complain(compiler: &mut Compiler<'_>, span: Span, message: String, remedy: &str) {
    let place = compiler.tree.place(span);
    compiler.problems.push(Diagnostic::error(BAD_PROJECTION, place, message, remedy));
}

/// Tells keys that are none of these.
fn known(compiler: &mut Compiler<'_>, part: &Part, what: &str, keys: &[&str], remedy: &str) {
    for field in part.fields() {
        if !keys.contains(&&*field.key) {
            complain(compiler, field.key_span, format!("{what} does not know the key `{}`", field.key), remedy);
        }
    }
}

/// The webhooks, where there are any.
pub(super) fn webhooks(compiler: &mut Compiler<'_>, whole: &Part) -> Vec<Webhook> {
    let block = whole.get("metadata").and_then(|metadata| metadata.get("kith")).and_then(|kith| kith.get("webhooks")).cloned();
    let mut found = Vec::new();
    for field in block.as_ref().map(Part::fields).unwrap_or_default() {
        let part = &field.value;
        known(compiler, part, "a webhook", &["scheme", "form", "take"], "It has scheme, form and take");
        let names: Vec<&str> = Scheme::ALL.iter().map(|scheme| scheme.name()).collect();
        let scheme = part.text_of("scheme").and_then(Scheme::named);
        if scheme.is_none() {
            complain(
                compiler,
                part.span,
                "the webhook has no `scheme` that Kith knows".to_owned(),
                &format!("Write one of {}", names.join(", ")),
            );
        }
        let form = match part.text_of("form") {
            None | Some("json") => Some(Form::Json),
            Some("xml") => Some(Form::Xml),
            Some(_) => {
                complain(compiler, part.span, "`form` is json or xml".to_owned(), "Write `form: xml` for feeds, nothing for JSON");
                None
            }
        };
        let list = part.get("take").map(Part::items).unwrap_or_default();
        if list.is_empty() || list.len() > MOST_TAKES {
            complain(
                compiler,
                part.span,
                format!("the webhook takes nothing out of a body, or from more than {MOST_TAKES} places"),
                "Write `take:` with a list of `records` and `activity`",
            );
        }
        let takes: Option<Vec<Take>> = list.iter().take(MOST_TAKES).map(|item| take(compiler, &field.key, item)).collect();
        if let (Some(scheme), Some(form), Some(takes)) = (scheme, form, takes) {
            found.push(Webhook { name: field.key.to_string(), scheme, form, takes });
        }
    }
    found
}

fn take(compiler: &mut Compiler<'_>, name: &str, part: &Part) -> Option<Take> {
    known(
        compiler,
        part,
        "what is taken",
        &["records", "transformations", "only", "activity"],
        "It has records, transformations, only and activity",
    );
    let at: Vec<String> = part.text_of("records").unwrap_or_default().split('.').map(str::to_owned).collect();
    if at.len() > DEEPEST || at.iter().any(String::is_empty) {
        complain(
            compiler,
            part.span,
            "`records` does not say where the records are".to_owned(),
            "Write members from the top of the body, `*` for each item: `entry.*.changes.*`",
        );
        return None;
    }
    let transformations = compiler.transformations(part, "transformations");
    let projection = projection::of(compiler, name, part.span, part)?;
    Some(Take { at, transformations: transformations?, projection })
}
