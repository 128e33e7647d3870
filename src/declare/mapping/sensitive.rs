//! Traits of special categories (GDPR Art. 9(1)): refused as fields and as words to look for.
//!
//! A closed list of whole words, in English, Italian, German, French, Spanish, Portuguese and Dutch. It stops the plain attempt, said openly; it can't know
//! what a column called `flag7` holds, which is why a basis and its record stand in the mapping for a person to read.

use super::codes::SENSITIVE;
use super::reading::Reading;
use crate::diagnose::Span;

/// The category and its words, each a beginning where it ends with `*`.
const CATEGORIES: [(&str, &[&str]); 7] = [
    (
        "religion or belief",
        &[
            "religio*",
            "faith",
            "church",
            "christian",
            "catholic",
            "muslim",
            "islam*",
            "jewish",
            "hindu",
            "buddhis*",
            "atheis*",
            "credenz*",
            "fede",
            "glaube",
            "konfession",
            "kirche*",
            "croyance*",
            "confession*",
            "creencia*",
            "crença*",
            "geloof*",
            "kerkelijk*",
        ],
    ),
    (
        "health",
        &[
            "health",
            "medical",
            "diagnos*",
            "disease",
            "illness",
            "disab*",
            "patient",
            "hiv",
            "cancer",
            "pregnan*",
            "salute",
            "malatti*",
            "sanitari*",
            "gravidanz*",
            "gesundheit*",
            "krankheit*",
            "behinder*",
            "schwanger*",
            "santé",
            "maladie*",
            "handicap*",
            "grossesse*",
            "salud",
            "enfermedad*",
            "discapacid*",
            "embaraz*",
            "saúde",
            "doença*",
            "gezondheid*",
            "ziekte*",
            "zwanger*",
        ],
    ),
    (
        "racial or ethnic origin",
        &["ethnic*", "race", "racial", "etni*", "razza", "rasse", "ethni*", "raza", "raça", "ras", "hautfarbe", "skincolor", "skincolour"],
    ),
    (
        "sexual orientation or sex life",
        &["sexual*", "gay", "lesbian", "bisexual", "lgbt*", "sessual*", "sexuell*", "sexuel*", "seksue*", "schwul", "lesbisch"],
    ),
    (
        "trade union membership",
        &["union", "tradeunion", "unionmember*", "sindacat*", "sindacal*", "gewerkschaft*", "syndica*", "sindica*", "vakbond*"],
    ),
    (
        "political opinion",
        &[
            "politic*",
            "voter",
            "partito",
            "leftwing",
            "rightwing",
            "politisch*",
            "parteizugehörigkeit",
            "politique*",
            "polític*",
            "politiek*",
        ],
    ),
    (
        "biometric or genetic data",
        &[
            "biometri*",
            "genetic*",
            "dna",
            "faceprint",
            "fingerprint",
            "genetisch*",
            "fingerabdruck*",
            "génétique*",
            "biométri*",
            "genétic*",
            "adn",
        ],
    ),
];

/// The category that a name or word belongs to.
pub(super) fn category(text: &str) -> Option<&'static str> {
    let words = split(text);
    CATEGORIES.iter().find(|(_, list)| list.iter().any(|sought| words.iter().any(|word| matches(word, sought)))).map(|(name, _)| *name)
}

fn matches(word: &str, sought: &str) -> bool {
    sought.strip_suffix('*').map_or(word == sought, |start| word.starts_with(start))
}

/// Whether a word of a name is this one, or begins with it where it ends with `*`.
pub(super) fn names_word(text: &str, sought: &str) -> bool {
    split(text).iter().any(|word| matches(word, sought))
}

/// The words of a name: cut at anything that is no letter and where a capital starts.
fn split(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut lower_before = false;
    for c in text.chars() {
        if !c.is_alphabetic() || (c.is_uppercase() && lower_before) {
            words.push(String::new());
        }
        if let (true, Some(word)) = (c.is_alphabetic(), words.last_mut()) {
            word.extend(c.to_lowercase());
        }
        lower_before = c.is_lowercase();
    }
    words
}

impl Reading<'_> {
    /// Refuses a name or word of a special category, and what a network denies.
    pub(super) fn refuse_sensitive(&mut self, text: &str, span: Span) {
        self.refuse_denied(text, span);
        if let Some(category) = category(text) {
            self.error(
                SENSITIVE,
                span,
                format!("`{text}` is about {category}, a special category of personal data (GDPR Art. 9)"),
                "Remove it: Kith does not match by, look for or deliver such traits",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::category;

    #[test]
    fn special_categories_are_found_in_names_of_any_style_and_other_names_are_not() {
        for name in [
            "religion",
            "customer_religion",
            "healthStatus",
            "Ethnicity",
            "sexual-orientation",
            "trade_union",
            "politicalParty",
            "salute",
            "DNA",
            "Gesundheitszustand",
            "opinion_politique",
            "origineEthnique",
            "discapacidad",
            "kirchensteuer",
            "vakbondslid",
        ] {
            assert!(category(name).is_some(), "{name}");
        }
        for name in
            ["region", "wealth", "segment", "grace", "unionpay", "trace", "policy", "given_name", "federica", "third_party", "healthcheck"]
        {
            assert_eq!(category(name), None, "{name}");
        }
    }
}
