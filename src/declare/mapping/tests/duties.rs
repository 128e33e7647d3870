//! Duties of networks: who is matched, how long is kept, what is denied.

use super::super::read;
use super::{RETAIL, file, models, surroundings};
use crate::declare::mapping::{Rulebook, describe};
use crate::diagnose::{Checked, SourceFile};
use crate::model::{Audience, Network};
use crate::policy::Asked;
use std::sync::Arc;
use std::time::Duration;

const X: &str = "kith: 1\nnetwork: x\nas_of: 2026-11-27\ncites: [{ what: Policy, where: \"https://x.example\" }]\n";

/// The retail mapping with these duties of X, read from `x.yaml`.
fn with_duties(duties: &str, change: (&str, &str)) -> Checked<Rulebook> {
    let duties = format!("{X}{duties}");
    let texts = move |path: &str| -> Result<Arc<SourceFile>, String> {
        if path == "x.yaml" || path == "same.yaml" { Ok(file(path, &duties)) } else { models(path) }
    };
    let mapping = RETAIL.replacen("policy:", "policy:\n  duties: [x.yaml]    #", 1);
    assert!(mapping.contains(change.0), "{}", change.0);
    let mapping = mapping.replacen(change.0, change.1, 1);
    read(&file("m.yaml", &mapping), &texts, Some(&surroundings()))
}

const NOTHING: (&str, &str) = ("policy:", "policy:");

fn told(duties: &str, change: (&str, &str)) -> String {
    let problems = with_duties(duties, change).problems.0;
    problems.iter().map(|p| format!("{} {}: {}; {}", p.code.0, p.place, p.message, p.remedy)).collect::<Vec<_>>().join("\n")
}

#[test]
fn both_the_mapping_and_the_network_must_accept_a_basis() {
    let bases_on = |rulebook: &Rulebook, network: Network| {
        let asked = Asked { network, audience: Audience::Public, identity: &[], withdrawn: &[] };
        let permission = rulebook.policy.permission(asked);
        (permission.possible(), permission.anyone().map(ToString::to_string))
    };
    let consent = with_duties("accepts: [consent]\n", NOTHING).value.unwrap();
    assert_eq!(bases_on(&consent, Network::X), (false, None));
    assert_eq!(bases_on(&consent, Network::Mastodon), (true, Some("public_profile".to_owned())));
    let provided = with_duties("accepts: [provided_by_customer]\n", NOTHING).value.unwrap();
    assert_eq!(bases_on(&provided, Network::X), (true, None));
    let public = with_duties("accepts: [consent, public_profile]\n", NOTHING).value.unwrap();
    assert_eq!(bases_on(&public, Network::X), (true, Some("public_profile".to_owned())));
}

#[test]
fn what_duties_say_is_part_of_the_mapping_and_when_they_were_read_is_not() {
    let digest = |duties: &str| with_duties(duties, NOTHING).value.unwrap().digest;
    let (one, other) = (digest("accepts: [public_profile]\n"), digest("accepts: [consent, public_profile]\n"));
    assert_ne!(one, other);
    let later = X.replace("2026-11-27", "2027-01-01");
    let texts =
        move |path: &str| if path == "x.yaml" { Ok(file(path, &format!("{later}accepts: [public_profile]\n"))) } else { models(path) };
    let mapping = RETAIL.replacen("policy:", "policy:\n  duties: [x.yaml]    #", 1);
    assert_eq!(read(&file("m.yaml", &mapping), &texts, None).value.unwrap().digest, one);
}

#[test]
fn the_time_for_deletions_is_the_networks_and_part_of_the_mapping() {
    let read = |duties: &str| with_duties(duties, NOTHING).value.unwrap();
    let (timed, silent) = (read("accepts: [public_profile]\ndeletions_within: 36h\n"), read("accepts: [public_profile]\n"));
    let within = |rulebook: &Rulebook, network| rulebook.policy.deletions_within(network);
    assert_eq!(within(&timed, Network::X), Some(Duration::from_hours(36)));
    assert_eq!([within(&timed, Network::Mastodon), within(&silent, Network::X)], [None, None]);
    assert_ne!(timed.digest, silent.digest);
    assert_ne!(timed.digest, read("accepts: [public_profile]\ndeletions_within: 24h\n").digest);
    let told = "only on public_profile; what is deleted or changed there is so in the CRM within 36 hours.";
    assert!(describe(&timed).contains(told) && !describe(&silent).contains("is so in the CRM"));
}

#[test]
fn what_a_mapping_would_not_keep_to_is_told_with_its_place() {
    let faults = [
        ("accepts: [consent]\n", NOTHING),
        ("accepts: [public_profile]\nkeep_at_most: { profiles: 40d, activities: 30d }\n", NOTHING),
        (
            "accepts: [public_profile]\nkeep_at_most: { activities: 30d }\n",
            ("audit: 7y", "audit: 7y, networks: { x: { activities: 31d } }"),
        ),
        (
            "accepts: [public_profile]\nkeep_at_most: { activities: 30d }\n",
            ("audit: 7y", "audit: 7y, networks: { x: { activities: 30d } }"),
        ),
        (
            "accepts: [public_profile]\ndeny: [{ word: \"compan*\", because: work is private there }, { word: actor.location.name, because: no places }]\n",
            NOTHING,
        ),
        ("accepts: [public_profile]\n", ("duties: [x.yaml]", "duties: [x.yaml, same.yaml, none.yaml]")),
        ("accepts: [public_profile]\nnetwork: y\n", NOTHING),
    ];
    let all: Vec<String> = faults.map(|(duties, change)| format!("{}{}\n{}", duties, change.1, told(duties, change))).into();
    insta::assert_snapshot!(all.join("\n\n"));
}
