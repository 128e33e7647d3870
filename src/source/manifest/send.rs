//! One request until it is answered: limits before it, redirects inside of the host, retries and waits after it.

use super::Reader;
use super::decode::gunzip;
use super::error::ReadError;
use super::paid::{Bill, Reserved};
use crate::manifest::answer::{Action, ErrorHandling, Headers, Seen, Wait};
use crate::manifest::cost::Money;
use crate::manifest::request::{Built, Options};
use crate::manifest::source::Login;
use crate::manifest::{Json, Scope, source::Matcher};
use crate::wire::http::{Extent, Reply, Request, SendError, Url};
use crate::wire::pace;
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Redirects inside of one host; browsers stop at 20, interfaces need one.
pub const MOST_REDIRECTS: usize = 5;
/// Attempts to get a token.
const LOGIN_ATTEMPTS: u64 = 3;
/// Waits that nobody told: 1, 2, 4, … s, as in the reference.
const LONGEST_OWN_WAIT: f64 = 300.0;
/// A year: beyond it a wait is a number of another unit.
const LONGEST_WAIT: f64 = 31_622_400.0;

/// The one place that a stream's requests may go to: scheme, host and port of its base address.
#[derive(Clone, PartialEq, Eq)]
pub struct Gate {
    scheme: String,
    host: String,
    port: Option<u16>,
}

impl Gate {
    /// Of an address.
    ///
    /// # Errors
    /// Where it is none of `http` or `https`.
    pub fn of(url: &str) -> Result<Self, ReadError> {
        let url = Url::parse(url).map_err(|_none| ReadError::Elsewhere("it is no address"))?;
        match (url.scheme(), url.host_str()) {
            ("http" | "https", Some(host)) => {
                Ok(Self { scheme: url.scheme().to_owned(), host: host.to_ascii_lowercase(), port: url.port_or_known_default() })
            }
            _ => Err(ReadError::Elsewhere("only http and https are read")),
        }
    }

    /// The host, in small letters.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Whether an address is behind it.
    ///
    /// # Errors
    /// Where it is not.
    pub fn lets(&self, url: &str) -> Result<(), ReadError> {
        let other = Self::of(url)?;
        if other.host != self.host || other.port != self.port {
            return Err(ReadError::Elsewhere("another host"));
        }
        if self.scheme == "https" && other.scheme != "https" {
            return Err(ReadError::Elsewhere("from https to http"));
        }
        Ok(())
    }
}

/// Until when each host wants no more calls.
#[derive(Default)]
pub struct Quiet(Mutex<Vec<(Gate, Instant)>>);

impl Quiet {
    fn keep(&self, gate: &Gate, wait: Duration) {
        let Some(until) = Instant::now().checked_add(wait) else { return };
        let mut hosts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        hosts.retain(|(_, until)| *until > Instant::now());
        match hosts.iter_mut().find(|(host, _)| host == gate) {
            Some((_, known)) => *known = until.max(*known),
            None => hosts.push((gate.clone(), until)),
        }
    }

    fn left(&self, gate: &Gate) -> Option<Duration> {
        let hosts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let until = hosts.iter().find(|(host, _)| host == gate)?.1;
        until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
    }
}

/// Whether an answer of this status and content says something, though it is a refusal.
pub type Telling<'a> = &'a (dyn Fn(u16, &[u8]) -> bool + Sync);

/// Calls that were made, for the limits of the manifest.
#[derive(Debug, Default)]
pub struct Calls(Vec<Vec<VecDeque<Instant>>>);

impl Reader {
    /// Waits until the manifest's limits allow a call.
    async fn take_turn(&self, built: &Built) -> Result<(), ReadError> {
        let found = self.source.budget.iter().enumerate().find_map(|(at, policy)| {
            let matcher = policy.matchers.iter().find(|matcher| fits(matcher, built));
            (policy.matchers.is_empty() || matcher.is_some()).then_some((at, policy, matcher))
        });
        let Some((at, policy, matcher)) = found else { return Ok(()) };
        let config = self.config();
        let scope = Scope::new(&config);
        let weight = match matcher.and_then(|matcher| matcher.weight.as_ref()) {
            None => 1,
            Some(weight) => weight.text(&self.source.engine, &scope)?.trim().parse().unwrap_or(0_usize),
        };
        let none = || ReadError::Config("a matcher of `api_budget` counts a call as less than one, or as more than its limit".to_owned());
        if weight < 1 {
            return Err(none());
        }
        // A turn is never longer than the longest window; whoever waits asks again.
        loop {
            let mut calls = self.calls.lock().await;
            if calls.0.len() <= at {
                calls.0.resize_with(at + 1, Vec::new);
            }
            let Some(windows) = calls.0.get_mut(at) else { return Ok(()) };
            windows.resize_with(policy.rates.len(), VecDeque::new);
            let now = Instant::now();
            let mut wait = Duration::ZERO;
            for ((limit, gap), window) in policy.rates.iter().zip(windows.iter_mut()) {
                let limit: usize = limit.text(&self.source.engine, &scope)?.trim().parse().unwrap_or(1);
                let length = Duration::from_micros(u64::try_from(gap.micros).unwrap_or(0));
                while window.front().is_some_and(|first| now.duration_since(*first) >= length) {
                    window.pop_front();
                }
                // Turns that must end before this call has room.
                let over = (window.len() + weight).saturating_sub(limit.max(1));
                if weight > limit.max(1) {
                    return Err(none());
                }
                if let Some(last) = over.checked_sub(1).and_then(|last| window.get(last)) {
                    wait = wait.max(length.saturating_sub(now.duration_since(*last)));
                }
            }
            if wait.is_zero() {
                for window in windows {
                    window.extend(std::iter::repeat_n(now, weight));
                }
                return Ok(());
            }
            drop(calls);
            self.pause(wait).await?;
        }
    }

    /// Waits for what a host asked of a call of another slice: it means all of them.
    async fn keep_quiet(&self, gate: &Gate) -> Result<(), ReadError> {
        // Each turn waits to the end of what was asked so far.
        while let Some(left) = self.quiet.left(gate) {
            self.pause(left).await?;
        }
        Ok(())
    }

    /// Waits, or gives up where this read may not wait so long.
    pub(super) async fn pause(&self, wait: Duration) -> Result<(), ReadError> {
        if self.patience.is_some_and(|most| wait > most) {
            return Err(ReadError::Wait(wait));
        }
        tokio::time::sleep(wait).await;
        Ok(())
    }

    /// Sends once and follows redirects inside of the host.
    pub(super) async fn exchange(&self, built: &Built, gate: &Gate) -> Result<Result<Reply, SendError>, ReadError> {
        let (mut method, mut url, mut body) = (built.method, built.url.clone(), built.body.clone());
        self.listed(&url)?;
        // Redirects stay on that host.
        for _ in 0..=MOST_REDIRECTS {
            let request = Request { method, url: url.clone(), headers: built.headers.clone(), authorization: None, body: body.clone() };
            let mut reply = match self.client.send(request).await {
                Ok(reply) => reply,
                Err(error) => return Ok(Err(error)),
            };
            if reply.extent == Extent::TooLong {
                return Err(ReadError::TooLong(super::LONGEST_ANSWER));
            }
            let target = matches!(reply.status, 301 | 302 | 303 | 307 | 308).then(|| reply.header("location")).flatten();
            let Some(target) = target else {
                if reply.header("content-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("gzip")) {
                    reply.body = gunzip(&reply.body)?;
                }
                return Ok(Ok(reply));
            };
            let next = Url::parse(&url).and_then(|base| base.join(target)).map_err(|_none| ReadError::Elsewhere("it is no address"))?;
            gate.lets(next.as_str())?;
            if reply.status == 303 || (matches!(reply.status, 301 | 302) && method == "POST") {
                (method, body) = ("GET", None);
            }
            url = next.to_string();
        }
        Err(ReadError::Elsewhere("redirects without end"))
    }

    /// Sends until there is an answer that is taken; `None` where the manifest says that it is left out. With it what was set aside for that call, to be settled by whoever counts the records.
    pub(in crate::source) async fn send(
        &self,
        built: Built,
        gate: &Gate,
        handled: (&ErrorHandling, &Login),
        bill: Option<&Bill<'_>>,
    ) -> Result<Option<(Reply, Option<Reserved>)>, ReadError> {
        self.send_for(built, gate, handled, bill, None).await
    }

    /// The same; a refusal that `telling` wants, by its status and content, is taken before the manifest is asked what to do about it.
    pub(in crate::source) async fn send_for(
        &self,
        built: Built,
        gate: &Gate,
        (errors, login): (&ErrorHandling, &Login),
        bill: Option<&Bill<'_>>,
        telling: Option<Telling<'_>>,
    ) -> Result<Option<(Reply, Option<Reserved>)>, ReadError> {
        gate.lets(&built.url)?;
        self.listed(&built.url)?;
        let config = self.config();
        let engine = &self.source.engine;
        let attempts = errors.retries(engine, &config)? + 1;
        let plain_url = built.url.split(['?', '#']).next().unwrap_or_default().to_owned();
        let of_a_call = bill.map_or(Money::NONE, |bill| bill.price.call);
        let mut built = built;
        for attempt in 1..=attempts {
            self.keep_quiet(gate).await?;
            self.take_turn(&built).await?;
            // A turn may have been waited for.
            self.keep_quiet(gate).await?;
            // Each attempt is a call. What comes of one that has no whole answer is not known: it counts in full.
            let reserved = self.reserve(bill).await?;
            let reply = match self.exchange(&built, gate).await? {
                Ok(reply) if reply.extent == Extent::Whole => Ok(reply),
                Ok(_broken) => Err("the answer ended in the middle".to_owned()),
                Err(error @ (SendError::Unsendable(_) | SendError::NotSent(_))) => {
                    // Nothing left this machine.
                    self.settle(reserved, Money::NONE).await?;
                    if let SendError::Unsendable(error) = error {
                        return Err(ReadError::Unreached(error.to_string()));
                    }
                    Err(error.to_string())
                }
                Err(SendError::Unanswered(error)) => Err(error),
            };
            self.tick();
            let reply = match reply {
                Ok(reply) => reply,
                Err(words) if attempt == attempts => return Err(ReadError::Unreached(words)),
                Err(_again) => {
                    let wait = errors.wait(None, attempt, engine, &config)?;
                    self.pause(seconds_of(wait, attempt)?).await?;
                    continue;
                }
            };
            if reply.status >= 400 && telling.is_some_and(|telling| telling(reply.status, &reply.body)) {
                self.settle(reserved, of_a_call).await?;
                return Ok(Some((reply, None)));
            }
            // A good page is read once, as records, unless a filter asks what stands in it.
            let looks = reply.status >= 400 || errors.looks_inside();
            let json = if looks { Json::parse(&reply.body).ok() } else { None };
            let text = if json.is_some() || !looks { std::borrow::Cow::Borrowed("") } else { String::from_utf8_lossy(&reply.body) };
            let seen = Seen {
                status: reply.status,
                headers: Headers::to_template(&reply.headers, false),
                pairs: &reply.headers,
                json: json.as_ref(),
                text: &text,
                url: &plain_url,
            };
            let resolution = errors.resolve(&seen, engine, &config)?;
            if reply.status >= 400 {
                // An error has no records; a good answer that is asked for again may have had them.
                self.settle(reserved, of_a_call).await?;
            } else if let Action::Success | Action::Ignore = resolution.action {
                drop(seen);
                return Ok(Some((reply, reserved)));
            }
            match resolution.action {
                Action::Success | Action::Ignore => return Ok(None),
                Action::Again(again) => {
                    // The page is asked for again at once; what the server asks for still holds.
                    if let Some(asked) = pace::throttled(&reply.headers, self.stamp()).filter(|_| matches!(reply.status, 429 | 503)) {
                        self.quiet.keep(gate, asked.wait);
                    }
                    return Err(ReadError::Again(again));
                }
                Action::Fail => return Err(ReadError::Refused { status: reply.status, message: resolution.message }),
                Action::Retry | Action::RateLimited | Action::RefreshToken if attempt == attempts => {
                    return Err(ReadError::Exhausted { status: reply.status, attempts });
                }
                Action::Retry | Action::RateLimited | Action::RefreshToken => {
                    let told = errors.wait(Some(&seen), attempt, engine, &config)?;
                    let own = seconds_of(told, attempt)?;
                    // What the server asks for is honoured in full, whatever the manifest says.
                    let asked = match reply.status {
                        429 | 503 => pace::throttled(&reply.headers, self.stamp()).map(|asked| asked.wait),
                        _ => pace::retry_after(&reply.headers, self.stamp()).map(|asked| asked.wait),
                    };
                    let wait = if told.is_none() { asked.unwrap_or(own) } else { asked.map_or(own, |asked| asked.max(own)) };
                    drop(seen);
                    if resolution.action == Action::RefreshToken {
                        self.renew(login, &built.headers).await?;
                        self.replace_login(&mut built, login).await?;
                    } else {
                        if asked.is_some() || (told.is_some() && matches!(reply.status, 429 | 503)) {
                            self.quiet.keep(gate, wait);
                        }
                        self.pause(wait).await?;
                        // A token may have ended meanwhile.
                        self.replace_login(&mut built, login).await?;
                    }
                }
            }
        }
        Err(ReadError::Exhausted { status: 0, attempts })
    }

    async fn replace_login(&self, built: &mut Built, login: &Login) -> Result<(), ReadError> {
        if !matches!(login, Login::OAuth(_)) {
            return Ok(());
        }
        let mut options = Options::default();
        Box::pin(self.log_in(login, &mut options)).await?;
        for (name, value) in options.header_texts() {
            built.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(&name));
            built.headers.push((name, value));
        }
        Ok(())
    }

    /// Sends a token request: three attempts where the provider fails. Nothing is waited after the last: what the provider asks for then is handed
    /// to whoever stores it.
    pub(super) async fn send_login(&self, built: Built) -> Result<Reply, ReadError> {
        let gate = Gate::of(&built.url)?;
        let mut attempt = 1;
        loop {
            let (asked, words) = match self.exchange(&built, &gate).await? {
                Ok(reply) if (200..300).contains(&reply.status) && reply.extent == Extent::Whole => return Ok(reply),
                Ok(reply) if reply.status == 429 || reply.status >= 500 => (
                    pace::throttled(&reply.headers, self.stamp()).map(|asked| asked.wait),
                    format!("the provider answered {}", reply.status),
                ),
                Ok(reply) => return Err(ReadError::Login(format!("the provider answered {}", reply.status))),
                Err(error) => (None, error.to_string()),
            };
            if attempt == LOGIN_ATTEMPTS {
                return Err(asked.map_or(ReadError::Login(words), ReadError::Wait));
            }
            self.pause(asked.unwrap_or(Duration::from_secs(attempt))).await?;
            attempt += 1;
        }
    }
}

/// Whether a limit counts a call.
fn fits(matcher: &Matcher, built: &Built) -> bool {
    let (url, query) = built.url.split('#').next().unwrap_or_default().split_once('?').unwrap_or((&built.url, ""));
    let after = url.find("://").map_or(0, |at| at + 3);
    let path_at = url.get(after..).and_then(|rest| rest.find('/')).map_or(url.len(), |at| after + at);
    let (base, path) = url.split_at_checked(path_at).unwrap_or((url, ""));
    let has_parameter = |(name, value): &(String, String)| form_urlencoded::parse(query.as_bytes()).any(|(n, v)| n == *name && v == *value);
    let has_header = |(name, value): &(String, String)| built.headers.iter().any(|(n, v)| n.eq_ignore_ascii_case(name) && v == value);
    matcher.method.as_ref().is_none_or(|method| method.eq_ignore_ascii_case(built.method))
        && matcher.base.as_ref().is_none_or(|wanted| base == wanted.trim_end_matches('/'))
        && matcher.path.as_ref().is_none_or(|pattern| {
            let regex = regex::RegexBuilder::new(pattern).size_limit(1 << 20).build();
            regex.is_ok_and(|regex| regex.is_match(path.trim_end_matches('/')))
        })
        && matcher.parameters.iter().all(has_parameter)
        && matcher.headers.iter().all(has_header)
}

/// The manifest's wait, or one that doubles.
fn seconds_of(wait: Option<Wait>, attempt: u32) -> Result<Duration, ReadError> {
    let seconds = match wait {
        Some(Wait::TooLong(seconds)) => return Err(ReadError::WaitTooLong(seconds)),
        Some(Wait::Seconds(seconds)) => seconds.min(LONGEST_WAIT),
        None => f64::from(attempt.saturating_sub(1).min(20)).exp2().min(LONGEST_OWN_WAIT),
    };
    Ok(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::from_secs(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_counts_the_calls_that_its_matcher_means() {
        let pair = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
        let built = Built {
            method: "GET",
            url: "https://a.example/api/lists/7/?f%5Bx%5D=a+b&n=1".to_owned(),
            headers: pair("X-Team", "t"),
            body: None,
        };
        let meant = |matcher: Matcher| fits(&matcher, &built);
        assert!(meant(Matcher::default()));
        assert!(meant(Matcher { path: Some("/lists/".to_owned()), ..Matcher::default() }), "a pattern stands anywhere in the path");
        assert!(meant(Matcher { path: Some("/7$".to_owned()), base: Some("https://a.example/".to_owned()), ..Matcher::default() }));
        assert!(!meant(Matcher { path: Some("^/lists".to_owned()), ..Matcher::default() }));
        assert!(meant(Matcher { parameters: pair("f[x]", "a b"), method: Some("get".to_owned()), ..Matcher::default() }));
        assert!(!meant(Matcher { parameters: pair("f[x]", "a"), ..Matcher::default() }));
        assert!(meant(Matcher { headers: pair("x-team", "t"), ..Matcher::default() }));
        assert!(!meant(Matcher { headers: pair("x-team", "u"), ..Matcher::default() }));
    }

    #[test]
    fn the_gate_lets_the_own_host_through_alone() {
        let gate = Gate::of("https://api.example/v1").unwrap();
        assert!(gate.lets("https://API.example:443/v2?x").is_ok());
        for url in [
            "http://api.example/",
            "https://api.example:8443/",
            "https://127.0.0.1/",
            "https://api.example.evil/",
            "file:///etc/passwd",
            "//x",
        ] {
            assert!(gate.lets(url).is_err(), "{url}");
        }
    }
}
