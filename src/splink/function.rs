//! The functions that conditions may call, by `DuckDB`'s names.

use super::bytes::{self, number};
use super::list_function::{contains, cosine, distinct, element, extreme, has, intersect, list, lists, slice, vectors};
use super::moment;
use super::text_function::{concat_ws, ends, length, one, padded, place, split, split_part, substring, three, translated, trimmed, two};
use super::value::Val;
use std::borrow::Cow;
use std::cmp::Ordering;
use unicode_normalization::UnicodeNormalization;

/// A function: what it is called, how many arguments it takes, and how it works.
pub(super) struct Known {
    pub(super) name: &'static str,
    pub(super) least: usize,
    pub(super) most: usize,
    /// Whether it wants to see nulls; the others are null where any argument is.
    nulls: bool,
    /// Whether what it gives is a number and dear to compute: such calls are computed once a pair.
    pub(super) distance: bool,
    /// Whether it gives a text.
    pub(super) text: bool,
    apply: for<'v> fn(&[Val<'v>]) -> Val<'v>,
}

impl std::fmt::Debug for Known {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl PartialEq for Known {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Known {
    pub(super) fn call<'v>(&self, arguments: &[Val<'v>]) -> Val<'v> {
        if !self.nulls && arguments.iter().any(Val::is_null) {
            return Val::Null;
        }
        (self.apply)(arguments)
    }
}

const fn plain(name: &'static str, least: usize, most: usize, apply: for<'v> fn(&[Val<'v>]) -> Val<'v>) -> Known {
    Known { name, least, most, nulls: false, distance: false, text: false, apply }
}

const fn text(name: &'static str, least: usize, most: usize, apply: for<'v> fn(&[Val<'v>]) -> Val<'v>) -> Known {
    Known { name, least, most, nulls: false, distance: false, text: true, apply }
}

const fn distance(name: &'static str, apply: for<'v> fn(&[Val<'v>]) -> Val<'v>) -> Known {
    Known { name, least: 2, most: 2, nulls: false, distance: true, text: false, apply }
}

const fn with_nulls(name: &'static str, least: usize, most: usize, apply: for<'v> fn(&[Val<'v>]) -> Val<'v>) -> Known {
    Known { name, least, most, nulls: true, distance: false, text: false, apply }
}

/// Most arguments of the functions that take any number.
const MANY: usize = 32;

static FUNCTIONS: &[Known] = &[
    distance("levenshtein", |a| strings(a, |x, y| Some(number(bytes::levenshtein(x, y))))),
    distance("editdist3", |a| strings(a, |x, y| Some(number(bytes::levenshtein(x, y))))),
    distance("damerau_levenshtein", |a| strings(a, |x, y| Some(number(bytes::damerau_levenshtein(x, y))))),
    distance("jaro_similarity", |a| strings(a, |x, y| Some(bytes::jaro(x, y)))),
    distance("jaro_winkler_similarity", |a| strings(a, |x, y| Some(bytes::jaro_winkler(x, y)))),
    distance("jaccard", |a| strings(a, bytes::jaccard)),
    distance("hamming", |a| strings(a, |x, y| bytes::hamming(x, y).map(number))),
    distance("mismatches", |a| strings(a, |x, y| bytes::hamming(x, y).map(number))),
    distance("array_cosine_similarity", cosine),
    distance("list_cosine_similarity", cosine),
    distance("cosine_similarity", cosine),
    distance("array_cosine_distance", |a| cosine(a).number().map_or(Val::Null, |c| Val::Number(1.0 - c))),
    distance("array_distance", |a| vectors(a, |x, y| x.iter().zip(y).fold(0.0, |sum, (a, b)| sum + (a - b) * (a - b)).sqrt())),
    distance("list_distance", |a| vectors(a, |x, y| x.iter().zip(y).fold(0.0, |sum, (a, b)| sum + (a - b) * (a - b)).sqrt())),
    distance("array_inner_product", |a| vectors(a, |x, y| x.iter().zip(y).fold(0.0, |sum, (a, b)| sum + a * b))),
    text("lower", 1, 1, |a| one(a, str::to_lowercase)),
    text("lcase", 1, 1, |a| one(a, str::to_lowercase)),
    text("upper", 1, 1, |a| one(a, str::to_uppercase)),
    text("ucase", 1, 1, |a| one(a, str::to_uppercase)),
    text("trim", 1, 2, |a| trimmed(a, true, true)),
    text("ltrim", 1, 2, |a| trimmed(a, true, false)),
    text("rtrim", 1, 2, |a| trimmed(a, false, true)),
    text("reverse", 1, 1, |a| one(a, |t| t.chars().rev().collect())),
    text("strip_accents", 1, 1, |a| one(a, |t| t.nfd().filter(|c| !unicode_normalization::char::is_combining_mark(*c)).nfc().collect())),
    text("substring", 2, 3, substring),
    text("substr", 2, 3, substring),
    text("left", 2, 2, |a| ends(a, true)),
    text("right", 2, 2, |a| ends(a, false)),
    text("replace", 3, 3, |a| three(a, |t, from, to| if from.is_empty() { t.to_owned() } else { t.replace(from, to) })),
    text("translate", 3, 3, |a| three(a, translated)),
    text("lpad", 3, 3, |a| padded(a, true)),
    text("rpad", 3, 3, |a| padded(a, false)),
    text("split_part", 3, 3, split_part),
    Known {
        name: "concat",
        least: 1,
        most: MANY,
        nulls: true,
        distance: false,
        text: true,
        apply: |a| Val::Text(Cow::Owned(a.iter().filter_map(Val::string).collect::<String>())),
    },
    Known { name: "concat_ws", least: 2, most: MANY, nulls: true, distance: false, text: true, apply: concat_ws },
    text("||", 2, 2, |a| Val::Text(Cow::Owned(a.iter().filter_map(Val::string).collect::<String>()))),
    plain("length", 1, 1, length),
    plain("len", 1, 1, length),
    plain("char_length", 1, 1, length),
    plain("character_length", 1, 1, length),
    plain("strlen", 1, 1, |a| a.first().and_then(Val::string).map_or(Val::Null, |t| Val::Number(number(t.len())))),
    plain("array_length", 1, 1, |a| list(a, 0).map_or(Val::Null, |l| Val::Number(number(l.len())))),
    plain("contains", 2, 2, |a| two(a, |t, part| t.contains(part))),
    plain("starts_with", 2, 2, |a| two(a, |t, part| t.starts_with(part))),
    plain("prefix", 2, 2, |a| two(a, |t, part| t.starts_with(part))),
    plain("ends_with", 2, 2, |a| two(a, |t, part| t.ends_with(part))),
    plain("suffix", 2, 2, |a| two(a, |t, part| t.ends_with(part))),
    plain("instr", 2, 2, |a| place(a.first(), a.get(1))),
    plain("strpos", 2, 2, |a| place(a.first(), a.get(1))),
    plain("string_split", 2, 2, split),
    plain("str_split", 2, 2, split),
    plain("split", 2, 2, split),
    plain("list_intersect", 2, 2, |a| lists(a, intersect)),
    plain("array_intersect", 2, 2, |a| lists(a, intersect)),
    plain("list_has_any", 2, 2, |a| lists(a, |x, y| Val::Bool(x.iter().any(|v| !v.is_null() && has(y, v))))),
    plain("array_has_any", 2, 2, |a| lists(a, |x, y| Val::Bool(x.iter().any(|v| !v.is_null() && has(y, v))))),
    plain("list_has_all", 2, 2, |a| lists(a, |x, y| Val::Bool(y.iter().all(|v| v.is_null() || has(x, v))))),
    plain("array_has_all", 2, 2, |a| lists(a, |x, y| Val::Bool(y.iter().all(|v| v.is_null() || has(x, v))))),
    plain("list_contains", 2, 2, contains),
    plain("array_contains", 2, 2, contains),
    plain("list_distinct", 1, 1, |a| list(a, 0).map_or(Val::Null, |l| Val::List(distinct(&l)))),
    plain("array_distinct", 1, 1, |a| list(a, 0).map_or(Val::Null, |l| Val::List(distinct(&l)))),
    plain("list_concat", 2, 2, |a| lists(a, |x, y| Val::List(x.iter().chain(y).cloned().collect()))),
    plain("flatten", 1, 1, |a| {
        list(a, 0).map_or(Val::Null, |l| Val::List(l.iter().filter_map(Val::list).flat_map(|inner| inner.to_vec()).collect()))
    }),
    plain("list_min", 1, 1, |a| extreme(&list(a, 0).unwrap_or_default(), Ordering::Less)),
    plain("array_min", 1, 1, |a| extreme(&list(a, 0).unwrap_or_default(), Ordering::Less)),
    plain("list_max", 1, 1, |a| extreme(&list(a, 0).unwrap_or_default(), Ordering::Greater)),
    plain("array_max", 1, 1, |a| extreme(&list(a, 0).unwrap_or_default(), Ordering::Greater)),
    plain("list_extract", 2, 2, element),
    plain("list_element", 2, 2, element),
    plain("array_extract", 2, 2, element),
    plain("[]", 2, 2, element),
    plain("array_slice", 3, 3, slice),
    plain("list_slice", 3, 3, slice),
    with_nulls("nullif", 2, 2, |a| match (a.first(), a.get(1)) {
        (Some(x), Some(y)) if x.order(y) == Some(Ordering::Equal) => Val::Null,
        (Some(x), _) => x.clone(),
        (None, _) => Val::Null,
    }),
    with_nulls("greatest", 1, MANY, |a| extreme(a, Ordering::Greater)),
    with_nulls("least", 1, MANY, |a| extreme(a, Ordering::Less)),
    with_nulls("is_distinct", 2, 2, |a| match a {
        [Val::Null, Val::Null] => Val::Bool(false),
        [x, y] => Val::Bool(x.order(y) != Some(Ordering::Equal)),
        _ => Val::Null,
    }),
    with_nulls("is_true", 1, 1, |a| Val::Bool(a.first().and_then(Val::truth) == Some(true))),
    with_nulls("is_false", 1, 1, |a| Val::Bool(a.first().and_then(Val::truth) == Some(false))),
    plain("number", 1, 1, |a| float(a, |x| x)),
    plain("+", 2, 2, |a| arithmetic(a, |x, y| x + y)),
    plain("-", 2, 2, difference),
    plain("*", 2, 2, |a| arithmetic(a, |x, y| x * y)),
    plain("/", 2, 2, |a| arithmetic(a, |x, y| x / y)),
    // Whole numbers leave a rest, others do not.
    plain("//", 2, 2, |a| nonzero(a, |x, y| if x.fract() == 0.0 && y.fract() == 0.0 { (x / y).trunc() } else { x / y })),
    plain("%", 2, 2, |a| nonzero(a, |x, y| x % y)),
    plain("mod", 2, 2, |a| nonzero(a, |x, y| x % y)),
    plain("negate", 1, 1, |a| float(a, |x| -x)),
    plain("abs", 1, 1, |a| float(a, f64::abs)),
    plain("round", 1, 2, |a| {
        let scale = a.get(1).and_then(Val::number).map_or(1.0, |digits| libm::pow(10.0, digits.trunc()));
        float(a, |x| libm::round(x * scale) / scale)
    }),
    plain("floor", 1, 1, |a| float(a, f64::floor)),
    plain("ceil", 1, 1, |a| float(a, f64::ceil)),
    plain("ceiling", 1, 1, |a| float(a, f64::ceil)),
    plain("sqrt", 1, 1, |a| float(a, f64::sqrt)),
    plain("pow", 2, 2, |a| arithmetic(a, libm::pow)),
    plain("power", 2, 2, |a| arithmetic(a, libm::pow)),
    plain("exp", 1, 1, |a| float(a, libm::exp)),
    plain("ln", 1, 1, |a| float(a, libm::log)),
    plain("log2", 1, 1, |a| float(a, libm::log2)),
    plain("log", 1, 1, |a| float(a, libm::log10)),
    plain("log10", 1, 1, |a| float(a, libm::log10)),
    plain("sin", 1, 1, |a| float(a, libm::sin)),
    plain("cos", 1, 1, |a| float(a, libm::cos)),
    plain("tan", 1, 1, |a| float(a, libm::tan)),
    plain("asin", 1, 1, |a| float(a, libm::asin)),
    plain("acos", 1, 1, |a| float(a, libm::acos)),
    plain("atan", 1, 1, |a| float(a, libm::atan)),
    plain("atan2", 2, 2, |a| arithmetic(a, libm::atan2)),
    plain("radians", 1, 1, |a| float(a, |x| x * (std::f64::consts::PI / 180.0))),
    plain("degrees", 1, 1, |a| float(a, |x| x * (180.0 / std::f64::consts::PI))),
    plain("pi", 0, 0, |_| Val::Number(std::f64::consts::PI)),
    plain("epoch", 1, 1, |a| a.first().and_then(Val::time).map_or(Val::Null, |at| Val::Number(moment::seconds(at)))),
    plain("strptime", 2, 2, strptime),
    plain("try_strptime", 2, 2, strptime),
    plain("year", 1, 1, |a| of_date(a, |(year, _, _)| year)),
    plain("month", 1, 1, |a| of_date(a, |(_, month, _)| month)),
    plain("day", 1, 1, |a| of_date(a, |(_, _, day)| day)),
    plain("date_diff", 3, 3, |a| date_diff(a, false)),
    plain("datediff", 3, 3, |a| date_diff(a, false)),
    plain("date_sub", 3, 3, |a| date_diff(a, true)),
    plain("datesub", 3, 3, |a| date_diff(a, true)),
];

/// The function of a name, whatever the case.
pub(super) fn find(name: &str) -> Option<&'static Known> {
    FUNCTIONS.iter().find(|known| known.name.eq_ignore_ascii_case(name))
}

/// The names of all functions.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    FUNCTIONS.iter().map(|known| known.name).filter(|name| name.starts_with(|c: char| c.is_ascii_alphabetic()))
}

fn strings<'v>(a: &[Val<'v>], distance: impl Fn(&[u8], &[u8]) -> Option<f64>) -> Val<'v> {
    let (Some(x), Some(y)) = (a.first().and_then(Val::string), a.get(1).and_then(Val::string)) else { return Val::Null };
    distance(x.as_bytes(), y.as_bytes()).map_or(Val::Null, Val::Number)
}

fn float<'v>(a: &[Val<'v>], of: impl Fn(f64) -> f64) -> Val<'v> {
    a.first().and_then(Val::number).map_or(Val::Null, |x| Val::Number(of(x)))
}

fn arithmetic<'v>(a: &[Val<'v>], of: impl Fn(f64, f64) -> f64) -> Val<'v> {
    match (a.first().and_then(Val::number), a.get(1).and_then(Val::number)) {
        (Some(x), Some(y)) => Val::Number(of(x, y)),
        _ => Val::Null,
    }
}

fn nonzero<'v>(a: &[Val<'v>], of: impl Fn(f64, f64) -> f64) -> Val<'v> {
    if a.get(1).and_then(Val::number) == Some(0.0) { Val::Null } else { arithmetic(a, of) }
}

/// The difference of numbers; of dates, in days.
fn difference<'v>(a: &[Val<'v>]) -> Val<'v> {
    let timelike = |v: &Val<'_>| matches!(v, Val::Time(_)) || (v.number().is_none() && v.time().is_some());
    match a {
        [x, y] if timelike(x) && timelike(y) => match (x.time(), y.time()) {
            (Some(x), Some(y)) => Val::Number((moment::seconds(x) - moment::seconds(y)) / 86_400.0),
            _ => Val::Null,
        },
        _ => arithmetic(a, |x, y| x - y),
    }
}

fn strptime<'v>(a: &[Val<'v>]) -> Val<'v> {
    let (Some(text), Some(format)) = (a.first().and_then(Val::string), a.get(1)) else { return Val::Null };
    let read = if let Val::List(formats) = format {
        // Several formats: the first that fits.
        formats.iter().filter_map(Val::string).find_map(|format| moment::strptime(&text, &format))
    } else {
        format.string().and_then(|format| moment::strptime(&text, &format))
    };
    read.map_or(Val::Null, Val::Time)
}

fn of_date<'v>(a: &[Val<'v>], part: impl Fn((i64, i64, i64)) -> i64) -> Val<'v> {
    let Some(at) = a.first().and_then(Val::time) else { return Val::Null };
    let n = part(moment::civil(at.div_euclid(86_400_000_000)));
    i32::try_from(n).map_or(Val::Null, |n| Val::Number(f64::from(n)))
}

/// Borders of a unit between two points in time (`date_diff`), or whole units (`date_sub`).
fn date_diff<'v>(a: &[Val<'v>], whole_units: bool) -> Val<'v> {
    let (Some(unit), Some(from), Some(to)) = (a.first().and_then(Val::string), a.get(1).and_then(Val::time), a.get(2).and_then(Val::time))
    else {
        return Val::Null;
    };
    let unit = unit.to_ascii_lowercase();
    let size: i64 = match unit.trim_end_matches('s') {
        "microsecond" => 1,
        "millisecond" => 1_000,
        "second" => 1_000_000,
        "minute" => 60_000_000,
        "hour" => 3_600_000_000,
        "day" => 86_400_000_000,
        "week" => 604_800_000_000,
        months @ ("month" | "quarter" | "year") => {
            let each = match months {
                "month" => 1,
                "quarter" => 3,
                _ => 12,
            };
            let parts = |at: i64| (moment::civil(at.div_euclid(86_400_000_000)), at.rem_euclid(86_400_000_000));
            let (((y0, m0, d0), t0), ((y1, m1, d1), t1)) = (parts(from), parts(to));
            let (first, last) = (y0 * 12 + m0 - 1, y1 * 12 + m1 - 1);
            let n = if whole_units {
                let between = last - first;
                let short = (between > 0 && (d1, t1) < (d0, t0)).then_some(-1).or((between < 0 && (d1, t1) > (d0, t0)).then_some(1));
                (between + short.unwrap_or(0)) / each
            } else {
                last.div_euclid(each) - first.div_euclid(each)
            };
            return i32::try_from(n).map_or(Val::Null, |n| Val::Number(f64::from(n)));
        }
        _ => return Val::Null,
    };
    // Weeks begin on Mondays: 1970-01-01 was a Thursday.
    let shift = if size == 604_800_000_000 { 3 * 86_400_000_000 } else { 0 };
    let n = if whole_units { (to - from) / size } else { (to + shift).div_euclid(size) - (from + shift).div_euclid(size) };
    Val::Number(moment::seconds(n.saturating_mul(1_000_000)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(name: &str, arguments: &[Val<'static>]) -> Val<'static> {
        find(name).unwrap().call(arguments)
    }

    /// Every answer is `DuckDB` 2.0.0's.
    #[test]
    fn functions_answer_as_duckdb_does() {
        let t = |text: &'static str| Val::text(text);
        let n = Val::Number;
        for (name, arguments, expected) in [
            ("substring", vec![t("éabc"), n(1.0), n(2.0)], t("éa")),
            ("substring", vec![t("abcdef"), n(-3.0), n(2.0)], t("de")),
            ("substring", vec![t("abcdef"), n(0.0), n(2.0)], t("a")),
            ("substr", vec![t("abc"), n(2.0)], t("bc")),
            ("left", vec![t("abc"), n(-1.0)], t("ab")),
            ("length", vec![t("é")], n(1.0)),
            ("array_length", vec![t("[]")], n(0.0)),
            ("[]", vec![t("[a, b]"), n(-1.0)], t("b")),
            ("[]", vec![t("[a]"), n(3.0)], Val::Null),
            ("[]", vec![t("abc"), n(1.0)], t("a")),
            ("list_min", vec![t("[]")], Val::Null),
            ("least", vec![n(1.0), Val::Null], n(1.0)),
            ("greatest", vec![Val::Null, Val::Null], Val::Null),
            ("datediff", vec![t("day"), t("2020-01-01"), t("2021-01-01")], n(366.0)),
            ("date_diff", vec![t("month"), t("2020-01-31"), t("2020-02-01")], n(1.0)),
            ("concat", vec![t("a"), Val::Null], t("a")),
            ("||", vec![t("a"), Val::Null], Val::Null),
            ("strip_accents", vec![t("é")], t("e")),
            ("%", vec![n(5.0), n(3.0)], n(2.0)),
            ("//", vec![n(-5.0), n(2.0)], n(-2.0)),
            ("//", vec![n(-7.5), n(2.0)], n(-3.75)),
            ("array_slice", vec![t("éabc"), n(1.0), n(2.0)], t("éa")),
            ("array_slice", vec![t("abcdef"), n(0.0), n(-2.0)], t("abcde")),
            ("array_slice", vec![t("abcdef"), n(-7.0), n(-6.0)], t("a")),
            ("array_slice", vec![t("abcdef"), n(-2.0), n(99.0)], t("ef")),
            ("array_slice", vec![t("abcdef"), n(3.0), n(2.0)], t("")),
            ("array_slice", vec![t("abcdef"), n(1.0), Val::Null], Val::Null),
            ("round", vec![n(2.5)], n(3.0)),
            ("instr", vec![t("abc"), t("c")], n(3.0)),
            ("translate", vec![t("abc"), t("a"), t("b")], t("bbc")),
            ("lpad", vec![t("a"), n(3.0), t("0")], t("00a")),
            ("reverse", vec![t("é1")], t("1é")),
            ("nullif", vec![t(""), t("")], Val::Null),
            ("list_contains", vec![t("[1, 2]"), n(1.0)], Val::Bool(true)),
            ("epoch", vec![t("1969-12-31 23:59:59.5")], n(-0.5)),
            ("list_cosine_similarity", vec![t("[1.0, 2.0]"), t("[1.0, 2.0]")], n(1.0)),
        ] {
            assert_eq!(call(name, &arguments), expected, "{name}{arguments:?}");
        }
        let part = |from: f64, to: f64| call("list_slice", &[t("[1, 2, 3]"), n(from), n(to)]).list().unwrap().len();
        assert_eq!((part(2.0, -1.0), part(-9.0, -3.0), part(5.0, 6.0)), (2, 1, 0));
        let both = call("list_intersect", &[t("[a, a, b]"), t("[a, b, c]")]);
        assert_eq!(call("array_length", &[both]), n(2.0));
    }

    #[test]
    fn every_function_takes_anything_without_a_panic() {
        let values = [
            Val::Null,
            Val::Bool(true),
            Val::Number(f64::NAN),
            Val::Number(-1e300),
            Val::Time(i64::MIN / 4),
            Val::text("é"),
            Val::text("[1, x]"),
            Val::text(""),
        ];
        for known in FUNCTIONS {
            for count in known.least..=known.most.min(3) {
                for a in &values {
                    for b in &values {
                        let arguments: Vec<Val<'static>> = [a.clone(), b.clone(), a.clone()].into_iter().take(count).collect();
                        let _any = known.call(&arguments);
                    }
                }
            }
        }
    }
}
