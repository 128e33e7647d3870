//! The reference of every key, as Markdown, from the table that the checker reads.

use super::keys::{Form, Key, Need, SECTIONS, Section, Tables};

/// Every section and key of `kith.toml`, for `config/README.md`.
pub fn reference() -> String {
    SECTIONS.iter().map(section_text).collect::<Vec<_>>().join("\n")
}

fn section_text(section: &Section) -> String {
    let header = match section.tables {
        Tables::One | Tables::Free => format!("[{}]", section.name),
        Tables::Named => format!("[{}.NAME]", section.name),
    };
    let need = if section.required { " Required." } else { "" };
    let rows: String = section.keys.iter().map(row).collect();
    format!("### `{header}`\n\n{}{need}\n\n| key | value | without it | what it is |\n|---|---|---|---|\n{rows}", section.doc)
}

fn row(key: &Key) -> String {
    let value = match key.form {
        Form::Path => "path".to_owned(),
        Form::Text(longest) => format!("text, at most {} characters", thousands(&longest.to_string())),
        Form::Count(min, max) => format!("{min} to {}", thousands(&max.to_string())),
        Form::Words(words) => words.iter().map(|w| format!("`\"{w}\"`")).collect::<Vec<_>>().join(", "),
        Form::Network => "a network".to_owned(),
        Form::Character => "one character".to_owned(),
        Form::Switch => "`true` or `false`".to_owned(),
        Form::Loopback => "loopback address and port".to_owned(),
        Form::Origin => "host name and path".to_owned(),
        Form::Url(_) => "`http` or `https` address".to_owned(),
        Form::Secret => "where the secret is".to_owned(),
    };
    let without = match key.need {
        Need::Required => "required".to_owned(),
        Need::Default(value) => format!("`{value}`"),
        Need::Optional(sentence) => sentence.to_owned(),
    };
    let kind = key.only.map_or_else(String::new, |kind| format!(" (kind `{}`)", kind.replace(", ", "`, `")));
    let doc = format!("{} Example: `{}`", key.doc, key.example).replace('|', "\\|");
    format!("| `{}`{kind} | {value} | {without} | {doc} |\n", key.name)
}

/// `20000` as `20,000`.
fn thousands(digits: &str) -> String {
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
