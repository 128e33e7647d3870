//! A model as Splink's settings JSON, where Splink can say the same.

use crate::resolve::{Compared, Comparison, KeyForm, KeyPart, Level, LevelTest, Model, Prior, TermFrequency};
use serde_json::{Value as Json, json};
use std::collections::BTreeSet;
use std::sync::Arc;

/// A model as Splink has it.
#[derive(Clone, PartialEq, Debug)]
pub struct Exported {
    /// The settings JSON.
    pub settings: Json,
    /// Fields whose term frequencies levels adjust by. Kith counts them among customers, Splink in both tables, so whoever wants equal weights
    /// gives them to Splink (`register_term_frequency_lookup`).
    pub counted: BTreeSet<Arc<str>>,
}

/// The settings JSON for `link_only` between identities and customers with columns of the fields' names; or what Splink can't say, each in words.
///
/// Splink adjusts a level by log2(u ÷ frequency) with the u of the comparison's level of equal values, Kith with the u of the term frequency. Where
/// the two differ, the level's m makes up for it: every pair weighs the same.
///
/// # Errors
/// Every comparison, level, rule or prior that has no like in SQL.
pub fn splink(model: &Model, customers: u64) -> Result<Exported, Vec<String>> {
    let mut cannot = Vec::new();
    let mut comparisons = Vec::new();
    let mut counted = BTreeSet::new();
    for comparison in &model.comparisons {
        let Compared::Field { identity, customer } = &comparison.compared else {
            cannot.push(format!("the comparison `{}` looks at several fields", comparison.name));
            continue;
        };
        if identity != customer {
            cannot.push(format!("the comparison `{}` compares `{identity}` with `{customer}`: Splink wants one name", comparison.name));
            continue;
        }
        let (l, r) = (format!("\"{identity}_l\""), format!("\"{identity}_r\""));
        let mut levels =
            vec![json!({ "sql_condition": format!("{l} IS NULL OR {r} IS NULL"), "label_for_charts": "missing", "is_null_level": true })];
        for level in &comparison.levels {
            let condition = match &level.test {
                LevelTest::Exact => format!("{l} = {r}"),
                LevelTest::JaroWinkler(least) => format!("jaro_winkler_similarity({l}, {r}) >= {least:?}"),
                LevelTest::Levenshtein(most) => format!("levenshtein({l}, {r}) <= {most}"),
                LevelTest::StartsWith => format!("starts_with({l} || ' ', {r} || ' ') OR starts_with({r} || ' ', {l} || ' ')"),
                LevelTest::SameLocalPart => format!("regexp_extract({l}, '^[^@]*', 0) = regexp_extract({r}, '^[^@]*', 0)"),
                LevelTest::Else => "ELSE".to_owned(),
                LevelTest::Nickname | LevelTest::NameAndHandle { .. } | LevelTest::Reuse(_) | LevelTest::Gamma(_) => {
                    cannot.push(format!("the level `{}` of `{}` has no like in SQL", level.label, comparison.name));
                    continue;
                }
            };
            let mut written = json!({ "sql_condition": condition, "label_for_charts": &*level.label, "m_probability": level.m, "u_probability": level.u });
            if let Some(frequency) = level.term_frequency.and_then(|number| model.term_frequencies.get(number)) {
                match adjusted(comparison, customer, level, frequency) {
                    Ok(m) => {
                        counted.insert(customer.clone());
                        // Splink adjusts no level that is ELSE: nothing is compared there.
                        put(&mut written, "m_probability", m.into());
                        put(&mut written, "tf_adjustment_column", (&**customer).into());
                        put(&mut written, "tf_adjustment_weight", frequency.weight.into());
                        put(&mut written, "tf_minimum_u_value", frequency.least.into());
                    }
                    Err(why) => cannot.push(format!("the level `{}` of `{}` {why}", level.label, comparison.name)),
                }
            }
            levels.push(written);
        }
        comparisons.push(json!({ "output_column_name": column_name(&comparison.name, &comparisons), "comparison_levels": levels }));
    }
    let mut rules = Vec::new();
    for rule in &model.blocking {
        let parts: Vec<Option<String>> = rule.parts.iter().map(sql_of).collect();
        match parts.into_iter().collect::<Option<Vec<_>>>() {
            Some(parts) => rules.push(json!({ "blocking_rule": parts.join(" AND "), "sql_dialect": "duckdb" })),
            None => cannot.push(format!("the blocking rule `{}` has no like in SQL", rule.id)),
        }
    }
    if !cannot.is_empty() {
        return Err(cannot);
    }
    let prior = match model.prior {
        Prior::Pair(pair) => pair,
        // Odds of one customer against none of them, as a probability.
        Prior::Share { share, .. } => {
            let odds = share / (1.0 - share) / f64::from(u32::try_from(customers.max(1)).unwrap_or(u32::MAX));
            odds / (1.0 + odds)
        }
    };
    let settings = json!({
        "link_type": "link_only",
        "probability_two_random_records_match": prior,
        "sql_dialect": "duckdb",
        "unique_id_column_name": "unique_id",
        "source_dataset_column_name": "source_dataset",
        "retain_intermediate_calculation_columns": true,
        "blocking_rules_to_generate_predictions": rules,
        "comparisons": comparisons,
    });
    Ok(Exported { settings, counted })
}

/// The m of a level that Splink adjusts by a term frequency, so that it weighs there as here; or why it can't.
fn adjusted(comparison: &Comparison, field: &Arc<str>, level: &Level, frequency: &TermFrequency) -> Result<f64, String> {
    if !frequency.counts(field) {
        return Err(format!("counts `{}`; Splink counts the compared column alone", frequency.name));
    }
    let Some(equal) = comparison.levels.iter().find(|level| level.test == LevelTest::Exact) else {
        return Err("counts frequencies, and its comparison has no level of equal values, whose u Splink takes".to_owned());
    };
    if level.test == LevelTest::Else {
        return Err("is the last one, which Splink does not adjust".to_owned());
    }
    let m = level.m * libm::pow(frequency.u / equal.u, frequency.weight);
    if m <= 1.0 { Ok(m) } else { Err(format!("would need an m of {m:.3}: set the u of `{}` to that of equal values", frequency.name)) }
}

fn put(object: &mut Json, key: &str, value: Json) {
    if let Some(members) = object.as_object_mut() {
        members.insert(key.to_owned(), value);
    }
}

/// A comparison's name as Splink puts it behind `gamma_` without quotes: letters, digits and underscores, none twice.
fn column_name(name: &str, earlier: &[Json]) -> String {
    let plain: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    let taken = |name: &str| {
        let same = |other: &Json| other.get("output_column_name").and_then(Json::as_str).is_some_and(|o| o.eq_ignore_ascii_case(name));
        earlier.iter().any(same)
    };
    let numbered = (2_u32..).map(|n| format!("{plain}_{n}"));
    std::iter::once(plain.clone()).chain(numbered).find(|name| !taken(name)).unwrap_or_default()
}

fn sql_of(part: &KeyPart) -> Option<String> {
    let KeyPart::Field { identity, identity_form, customer, customer_form } = part else { return None };
    let side = |table: &str, field: &str, form: KeyForm| {
        let column = format!("{table}.\"{field}\"");
        match form {
            KeyForm::Whole => Some(column),
            KeyForm::Initial => Some(format!("substring({column}, 1, 1)")),
            KeyForm::Nickname | KeyForm::FirstThree | KeyForm::LastThree | KeyForm::Handle | KeyForm::LocalPart => None,
        }
    };
    Some(format!("{} = {}", side("l", identity, *identity_form)?, side("r", customer, *customer_form)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::declare::model::read;
    use crate::diagnose::SourceFile;
    use crate::splink::{Settings, Side};
    use std::sync::Arc;

    #[test]
    fn what_is_written_reads_back_with_the_same_levels_and_weights() {
        let text = "kith: 1\nmodel: m\nprior: { pair: 0.001 }\nblocking: [{ id: a, same: [city, { initial: name }], cut_above: 9 }]\ncomparisons:\n  - comparison: name\n    compare: name\n    levels:\n      - { level: same, when: exact, m: 0.7, u: 0.01 }\n      - { level: starts, when: starts_with, m: 0.1, u: 0.02 }\n      - { level: alike, when: { jaro_winkler: 0.9 }, m: 0.1, u: 0.03 }\n      - { level: other, when: else, m: 0.1, u: 0.94 }\n";
        let model = read(&Arc::new(SourceFile { name: "m.yaml".into(), text: text.into() }), None).value.unwrap();
        let json = splink(&model, 100).unwrap().settings;
        let file = Arc::new(SourceFile { name: "out.json".into(), text: json.to_string() });
        let checked = Settings::read(&file);
        let settings = checked.value.unwrap_or_else(|| panic!("{:?}", checked.problems));
        for (a, b, gamma) in [("ann", "ann", 3), ("ann", "ann marie", 2), ("martha", "marhta", 1), ("ann", "zoe", 0)] {
            let cells = |side: Side, _: usize| Some(if side == Side::Left { a } else { b });
            assert_eq!(settings.gamma(0, &cells), gamma, "{a} {b}");
        }
        assert_eq!(settings.gamma(0, &|_, _| None), -1);
        let levels: Vec<(f64, f64)> = settings.comparisons[0].levels.iter().map(|l| (l.m, l.u)).collect();
        assert_eq!(levels, model.comparisons[0].levels.iter().map(|l| (l.m, l.u)).collect::<Vec<_>>());
    }
    #[test]
    fn a_level_that_counts_is_written_with_the_m_that_weighs_the_same() {
        let of = |u: &str, of: &str, when: &str| {
            format!(
                "kith: 1\nmodel: m\nprior: {{ pair: 0.001 }}\nblocking: [{{ id: a, same: [city], cut_above: 9 }}]\nterm_frequencies: {{ city: {{ of: [{of}], u: {u}, typical: 0.01 }} }}\ncomparisons:\n  - comparison: city\n    compare: city\n    levels:\n      - {{ level: same, when: {when}, m: 0.7, u: 0.02, term_frequency: city }}\n      - {{ level: alike, when: {{ jaro_winkler: 0.9 }}, m: 0.1, u: 0.03, term_frequency: city }}\n      - {{ level: other, when: else, m: 0.2, u: 0.95 }}\n"
            )
        };
        let export = |text: String| {
            let model = read(&Arc::new(SourceFile { name: "m.yaml".into(), text }), None).value.unwrap();
            splink(&model, 100)
        };
        let exported = export(of("0.01", "city", "exact")).unwrap();
        assert_eq!(exported.counted, BTreeSet::from(["city".into()]));
        let file = Arc::new(SourceFile { name: "out.json".into(), text: exported.settings.to_string() });
        let settings = Settings::read(&file).value.unwrap();
        for (level, m, u) in [(0, 0.7, 0.02), (1, 0.1, 0.03)] {
            let written = &settings.comparisons[0].levels[level];
            let term = written.term.as_ref().unwrap();
            for frequency in [0.5, 0.001] {
                let theirs = libm::log2(written.m / written.u) + term.weight * libm::log2(term.u / frequency);
                let ours = libm::log2(m / u) + libm::log2(0.01 / frequency);
                assert!((theirs - ours).abs() < 1e-12, "{level}: {theirs} {ours}");
            }
        }
        for (text, says) in [
            (of("0.01", "city, company", "exact"), "Splink counts the compared column alone"),
            (of("0.01", "city", "starts_with"), "no level of equal values"),
            (of("0.2", "city", "exact"), "would need an m of 7.000"),
        ] {
            let told = export(text).unwrap_err();
            assert!(told.iter().any(|told| told.contains(says)), "{told:?}");
        }
    }
}
