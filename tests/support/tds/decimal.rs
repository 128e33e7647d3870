//! Decimals of up to 38 digits as text, with exactly their scale's digits after the point.

/// Digits without the point, and how many stand after it.
pub fn parse(text: &str) -> Option<(i128, u8)> {
    let text = text.trim();
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if let Some(at) = digits.find(['e', 'E']) {
        // Only numbers of the float's own writing come here; a double is exact enough for them.
        let value: f64 = digits.parse().ok()?;
        let text = format!("{:.*}", if digits[at + 1..].starts_with('-') { 18 } else { 0 }, value);
        let (value, scale) = parse(&text)?;
        return Some((if negative { -value } else { value }, scale));
    }
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && fraction.is_empty() || !whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit()) {
        return None;
    }
    let fraction = fraction.get(..38).unwrap_or(fraction);
    let value: i128 = if whole.is_empty() && fraction.is_empty() { 0 } else { format!("{whole}{fraction}").parse().ok()? };
    Some((if negative { -value } else { value }, fraction.len() as u8))
}

/// The same number with so many digits after the point, rounded half away from zero.
pub fn rescale(value: i128, from: u8, to: u8) -> Option<i128> {
    if to >= from {
        return value.checked_mul(10_i128.checked_pow(u32::from(to - from))?);
    }
    let unit = 10_i128.checked_pow(u32::from(from - to))?;
    let half = unit / 2;
    Some(if value < 0 { (value - half) / unit } else { (value + half) / unit })
}

pub fn write(value: i128, scale: u8) -> String {
    if scale == 0 {
        return value.to_string();
    }
    let sign = if value < 0 { "-" } else { "" };
    let digits = format!("{:0>width$}", value.unsigned_abs(), width = usize::from(scale) + 1);
    let (whole, fraction) = digits.split_at(digits.len() - usize::from(scale));
    format!("{sign}{whole}.{fraction}")
}

/// As a number, not as a text.
pub fn compare(a: &str, b: &str) -> std::cmp::Ordering {
    match (parse(a), parse(b)) {
        (Some((a, s)), Some((b, t))) => {
            let scale = s.max(t);
            match (rescale(a, s, scale), rescale(b, t, scale)) {
                (Some(a), Some(b)) => a.cmp(&b),
                _ => a.cmp(&b),
            }
        }
        _ => a.cmp(b),
    }
}
