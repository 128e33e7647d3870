//! The built-in lookup tables, and one digest over all of them.

use crate::model::Digest;
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::LazyLock;

const NICKNAMES: &str = include_str!("data/nicknames.txt");
const TITLES: &str = include_str!("data/titles.txt");
const PARTICLES: &str = include_str!("data/particles.txt");
const LEGAL_FORMS: &str = include_str!("data/legal_forms.txt");
const COUNTRIES: &str = include_str!("data/countries.txt");
const PLACES: &str = include_str!("data/places.txt");
const REGIONS: &str = include_str!("data/regions.txt");
const HANDLE_WORDS: &str = include_str!("data/handle_words.txt");
const CITIES: &str = include_str!("data/cities.txt");
const SHARED_HOSTS: &str = include_str!("data/shared_hosts.txt");

/// SHA-256 over all lookup tables: evidence names it, so that a decision says with which tables it was taken.
pub fn lookups() -> Digest {
    static DIGEST: LazyLock<Digest> = LazyLock::new(|| {
        let mut hash = Sha256::new();
        for table in [NICKNAMES, TITLES, PARTICLES, LEGAL_FORMS, COUNTRIES, PLACES, REGIONS, HANDLE_WORDS, CITIES, SHARED_HOSTS] {
            hash.update(u64::try_from(table.len()).unwrap_or(u64::MAX).to_be_bytes());
            hash.update(table);
        }
        Digest(hash.finalize().into())
    });
    *DIGEST
}

/// Lines that are neither empty nor a comment.
fn lines(table: &'static str) -> impl Iterator<Item = &'static str> {
    table.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// The words of a line named `name:`.
fn words_of(table: &'static str, name: &str) -> Vec<&'static str> {
    lines(table)
        .filter_map(|line| line.split_once(':'))
        .filter(|(key, _)| *key == name)
        .flat_map(|(_, words)| words.split_whitespace())
        .collect()
}

struct Nicknames {
    formal: HashMap<&'static str, Vec<&'static str>>,
    short: HashMap<&'static str, Vec<&'static str>>,
}

static NAMES: LazyLock<Nicknames> = LazyLock::new(|| {
    let mut names = Nicknames { formal: HashMap::new(), short: HashMap::new() };
    for (formal, short) in lines(NICKNAMES).filter_map(|line| line.split_once(": ")) {
        let short: Vec<&str> = short.split_whitespace().collect();
        for nickname in &short {
            names.formal.entry(nickname).or_default().push(formal);
        }
        names.short.insert(formal, short);
    }
    names
});

/// The formal names that a given name is a short form of, sorted: `becky` → `rebecca`.
pub fn formal_names(given: &str) -> &'static [&'static str] {
    NAMES.formal.get(given).map_or(&[], Vec::as_slice)
}

/// The short forms of a formal given name, sorted: `rebecca` → `becca`, `becky`, ….
pub fn short_names(given: &str) -> &'static [&'static str] {
    NAMES.short.get(given).map_or(&[], Vec::as_slice)
}

/// Whether two given names are forms of one name: equal, one short for the other, or both short for the same.
pub fn same_given_name(a: &str, b: &str) -> bool {
    if a == b {
        return true;
    }
    let (fa, fb) = (formal_names(a), formal_names(b));
    fa.contains(&b) || fb.contains(&a) || fa.iter().any(|name| fb.contains(name))
}

static BEFORE: LazyLock<HashSet<&'static str>> = LazyLock::new(|| words_of(TITLES, "before").into_iter().collect());
static AFTER: LazyLock<HashSet<&'static str>> = LazyLock::new(|| words_of(TITLES, "after").into_iter().collect());
static PARTICLE: LazyLock<HashSet<&'static str>> = LazyLock::new(|| lines(PARTICLES).flat_map(str::split_whitespace).collect());
static LEGAL: LazyLock<HashSet<&'static str>> = LazyLock::new(|| lines(LEGAL_FORMS).flat_map(str::split_whitespace).collect());

/// `mr`, `dr`, `coach`, ….
pub(super) fn is_title(word: &str) -> bool {
    BEFORE.contains(word)
}

/// `phd`, `jr`, ….
pub(super) fn is_suffix(word: &str) -> bool {
    AFTER.contains(word)
}

/// `de`, `van`, ….
pub(super) fn is_particle(word: &str) -> bool {
    PARTICLE.contains(word)
}

/// `srl`, `inc`, ….
pub(super) fn is_legal_form(word: &str) -> bool {
    LEGAL.contains(word)
}

/// Day and month in written dates.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum DateOrder {
    DayMonth,
    MonthDay,
}

/// What a country says about numbers and dates.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Country {
    pub code: &'static str,
    pub calling_code: &'static str,
    pub most_digits: usize,
    pub dates: DateOrder,
}

struct Countries {
    by_name: HashMap<&'static str, Country>,
    codes: HashMap<&'static str, Country>,
    calling_codes: BTreeSet<&'static str>,
}

static COUNTRY: LazyLock<Countries> = LazyLock::new(|| {
    let mut countries = Countries { by_name: HashMap::new(), codes: HashMap::new(), calling_codes: BTreeSet::new() };
    for line in lines(COUNTRIES) {
        let mut columns = line.split('|').map(str::trim);
        let (Some(code), Some(calling_code), Some(most), Some(dates), Some(names)) =
            (columns.next(), columns.next(), columns.next(), columns.next(), columns.next())
        else {
            continue;
        };
        let country = Country {
            code,
            calling_code,
            most_digits: most.parse().unwrap_or(12),
            dates: if dates == "mdy" { DateOrder::MonthDay } else { DateOrder::DayMonth },
        };
        countries.codes.insert(code, country);
        countries.calling_codes.insert(calling_code);
        for name in names.split(';') {
            countries.by_name.insert(name.trim(), country);
        }
    }
    countries
});

/// A country by name or two-letter code, folded.
pub(super) fn country(folded: &str) -> Option<Country> {
    COUNTRY.by_name.get(folded).or_else(|| COUNTRY.codes.get(folded)).copied()
}

/// Whether this names a country in words (a two-letter code may as well be a state).
pub(super) fn is_country_name(folded: &str) -> bool {
    COUNTRY.by_name.contains_key(folded) || matches!(folded, "us" | "gb" | "it")
}

/// The calling code that digits after `+` or `00` begin with.
pub(super) fn calling_code(digits: &str) -> Option<&'static str> {
    // E.164: no code is the beginning of another, so at most one of the three lengths is there.
    (1..=3).find_map(|n| digits.get(..n).and_then(|code| COUNTRY.calling_codes.get(code))).copied()
}

static PLACE: LazyLock<HashMap<&'static str, &'static str>> = LazyLock::new(|| {
    let mut places = HashMap::new();
    for (city, names) in lines(PLACES).filter_map(|line| line.split_once(':')) {
        for name in names.split(';') {
            places.insert(name.trim(), city);
        }
    }
    places
});
/// Names and the country before the colon of their line.
fn by_country(table: &'static str) -> HashMap<&'static str, &'static str> {
    lines(table)
        .filter_map(|line| line.split_once(':'))
        .flat_map(|(country, names)| names.split(';').map(move |name| (name.trim(), country.trim())))
        .collect()
}

static REGION: LazyLock<HashMap<&'static str, &'static str>> = LazyLock::new(|| by_country(REGIONS));
static CITY_COUNTRY: LazyLock<HashMap<&'static str, &'static str>> = LazyLock::new(|| by_country(CITIES));

/// The city that an exonym or short form stands for.
pub(super) fn city(folded: &str) -> Option<&'static str> {
    PLACE.get(folded).copied()
}

/// Whether this names a region, or nothing on a map.
pub(super) fn is_no_city(folded: &str) -> bool {
    REGION.contains_key(folded)
}

/// The country that a region lies in.
pub(super) fn country_of_region(folded: &str) -> Option<&'static str> {
    REGION.get(folded).copied().filter(|country| *country != "-")
}

/// The country of a city that needs none beside it.
pub(super) fn country_of_city(folded: &str) -> Option<&'static str> {
    CITY_COUNTRY.get(folded).copied()
}

static SHARED_HOST: LazyLock<HashSet<&'static str>> = LazyLock::new(|| lines(SHARED_HOSTS).flat_map(str::split_whitespace).collect());

/// Whether a host is one that many people share, or stands below one: `linktr.ee`, `gmail.com`.
pub(super) fn is_shared_host(host: &str) -> bool {
    let below = host.match_indices('.').filter_map(|(at, _)| host.get(at + 1..));
    std::iter::once(host).chain(below).any(|host| SHARED_HOST.contains(host))
}

static HANDLE_BEFORE: LazyLock<Vec<&'static str>> = LazyLock::new(|| words_of(HANDLE_WORDS, "before"));
static HANDLE_AFTER: LazyLock<Vec<&'static str>> = LazyLock::new(|| words_of(HANDLE_WORDS, "after"));

/// The letters of a handle without a word like `the`, `real`, `official` around them, where at least four letters stay.
pub fn without_handle_words(letters: &str) -> Option<&str> {
    let mut bare = letters;
    if let Some(rest) = HANDLE_BEFORE.iter().find_map(|word| bare.strip_prefix(word)) {
        bare = rest;
    }
    if let Some(rest) = HANDLE_AFTER.iter().find_map(|word| bare.strip_suffix(word)) {
        bare = rest;
    }
    (bare.len() >= 4 && bare.len() < letters.len()).then_some(bare)
}
