//! Logins: what each request carries, and tokens that are fetched, kept and renewed.

use super::Reader;
use super::error::ReadError;
use super::send::Gate;
use crate::manifest::request::Built;
use crate::manifest::request::Options;
use crate::manifest::source::{Login, OAuth, OldSession, Session};
use crate::manifest::{Fallback, Json, Members, Scope, Template, Wanted, path};
use base64::Engine as _;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// A provider's answer is searched this deep, as in the reference.
const DEEPEST: usize = 5;
/// An hour: the life of a token whose answer says none.
const USUAL_LIFE: i64 = 3_600;

/// A login that changes the settings, as all readers of one source share it: one logs in at a time, and the others go on with what it was given.
#[derive(Default)]
pub struct SharedLogin {
    turn: tokio::sync::Mutex<()>,
    latest: Mutex<Option<Json>>,
}

impl std::fmt::Debug for SharedLogin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SharedLogin")
    }
}

impl SharedLogin {
    /// The settings as the last login left them; none, where there was none.
    pub fn latest(&self) -> Option<Json> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change(&self, config: Json) {
        *self.latest.lock().unwrap_or_else(PoisonError::into_inner) = Some(config);
    }
}

/// A token and its end in microseconds since 1970.
struct Token {
    value: Arc<str>,
    until: i64,
}

/// Tokens by the place in the manifest that they belong to.
#[derive(Default)]
pub struct Tokens(HashMap<usize, Token>);

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tokens")
    }
}

impl Reader {
    /// Puts a login's part into a request.
    pub(in crate::source) async fn log_in(&self, login: &Login, options: &mut Options) -> Result<(), ReadError> {
        let config = self.config();
        let (engine, scope) = (&self.source.engine, Scope::new(&config));
        match login {
            Login::None => {}
            Login::Basic { user, password } => {
                let pair = format!("{}:{}", user.text(engine, &scope)?, password.text(engine, &scope)?);
                options.header("Authorization", &format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair)));
            }
            Login::Bearer(token) => options.header("Authorization", &format!("Bearer {}", token.text(engine, &scope)?)),
            Login::Key { option, token } => options.put(option, Json::Text(token.text(engine, &scope)?.into()), engine, &scope)?,
            Login::OAuth(oauth) => {
                let token = self.access_token(oauth, None).await?;
                options.header("Authorization", &format!("Bearer {token}"));
            }
            Login::Session(session) => {
                let token = self.session_token(session).await?;
                let shaped = match &session.shape {
                    None => token.to_string(),
                    Some(shape) => shape.text(engine, &scope.clone().with("session_token", Json::Text(token).to_template()))?,
                };
                match &session.option {
                    None => options.header("Authorization", &format!("Bearer {shaped}")),
                    Some(option) => options.put(option, Json::Text(shaped.into()), engine, &scope)?,
                }
            }
            Login::Jwt(jwt) => {
                let token = self.jwt(jwt, self.tick())?;
                match &jwt.option {
                    None => options.header("Authorization", &token),
                    Some(option) => options.put(option, Json::Text(token.into()), engine, &scope)?,
                }
            }
            Login::OldSession(session) => {
                let token = self.old_session_token(session).await?;
                options.header(&session.header.text(engine, &scope)?, &token);
            }
            Login::Selected { path: at, choices } => {
                let chosen = path::get(&config, at).map(Json::shown).unwrap_or_default();
                let Some((_, login)) = choices.iter().find(|(name, _)| *name == chosen) else {
                    return Err(ReadError::Config("no login is chosen".to_owned()));
                };
                return Box::pin(self.log_in(login, options)).await;
            }
        }
        Ok(())
    }

    /// Fetches a new token after a call with these headers was refused, unless the one that was refused is no longer the one that is used: of several calls that were refused one renews.
    pub(in crate::source) async fn renew(&self, login: &Login, refused: &[(String, String)]) -> Result<(), ReadError> {
        if let Login::OAuth(oauth) = login {
            let header = refused.iter().find(|(name, _)| name.eq_ignore_ascii_case("authorization"));
            self.access_token(oauth, Some(header.and_then(|(_, value)| value.strip_prefix("Bearer ")).unwrap_or_default())).await?;
        }
        Ok(())
    }

    async fn access_token(&self, oauth: &Arc<OAuth>, refused: Option<&str>) -> Result<Arc<str>, ReadError> {
        // One renewal at a time: whoever waits here finds it done.
        let mut tokens = self.tokens.lock().await;
        let key = Arc::as_ptr(oauth).addr();
        let shared = self.shared.as_ref().filter(|_| oauth.rotation.is_some());
        let _turn = match shared {
            Some(shared) => Some(shared.turn.lock().await),
            None => None,
        };
        let newer = shared.and_then(|shared| shared.latest()).filter(|latest| *latest != self.config());
        let anew = refused.is_some_and(|refused| tokens.0.get(&key).is_none_or(|token| *token.value == *refused));
        // Another reader has logged in since: what it was given is as new as can be, and has ended what this one had.
        let anew = anew && newer.is_none();
        if let Some(newer) = newer {
            tokens.0.remove(&key);
            *self.config.lock().unwrap_or_else(PoisonError::into_inner) = newer;
        }
        let config = self.config();
        let (engine, scope) = (&self.source.engine, Scope::new(&config));
        let now = self.tick();
        if !anew && let Some(token) = tokens.0.get(&key).filter(|token| token.until > now) {
            return Ok(token.value.clone());
        }
        if !anew && !tokens.0.contains_key(&key) {
            let given = self.given_token(oauth, &config)?;
            if let Some(token) = given.filter(|token| oauth.endpoint.is_none() || token.until > now) {
                let value = token.value.clone();
                tokens.0.insert(key, token);
                return Ok(value);
            }
        }
        let Some(endpoint) = &oauth.endpoint else {
            return Err(ReadError::Login("there is no token, and no place that gives one".to_owned()));
        };
        let endpoint = endpoint.text(engine, &scope)?;
        let mut form: Vec<(String, String)> = vec![(oauth.grant_type.0.text(engine, &scope)?, oauth.grant_type.1.text(engine, &scope)?)];
        let headers = self.pairs_of(&oauth.headers, &scope)?;
        let optional = |template: &Option<Template>| template.as_ref().map_or(Ok(String::new()), |template| template.text(engine, &scope));
        if let Some(assertion) = &oauth.assertion {
            form.push(("assertion".to_owned(), self.jwt(assertion, now)?));
        } else if !headers.iter().any(|(name, _)| name == "Authorization") {
            form.push((oauth.client_id.0.text(engine, &scope)?, optional(&oauth.client_id.1)?));
            form.push((oauth.client_secret.0.text(engine, &scope)?, optional(&oauth.client_secret.1)?));
        }
        let refresh = match &oauth.rotation {
            Some(rotation) => path::get(&config, &rotation.refresh_path).map(Json::shown),
            None if oauth.refresh_token.1.is_some() && oauth.assertion.is_none() => Some(optional(&oauth.refresh_token.1)?),
            None => None,
        };
        form.extend(refresh.map(|refresh| oauth.refresh_token.0.text(engine, &scope).map(|name| (name, refresh))).transpose()?);
        if oauth.assertion.is_none() {
            form.extend(oauth.scopes.iter().map(|one| ("scopes".to_owned(), one.clone())));
            for (name, value) in self.pairs_of(&oauth.body, &scope)? {
                if !form.iter().any(|(known, _)| *known == name) {
                    form.push((name, value));
                }
            }
        }
        let answer = self.fetch_token(&endpoint, form, headers, oauth.in_query).await?;
        let name = oauth.access_token_name.text(engine, &scope)?;
        let value: Arc<str> = match find(&answer, &name, 0) {
            Some(token) if token.is_true() => token.shown().into(),
            Some(_) | None => return Err(ReadError::Login(format!("the answer has no `{name}`"))),
        };
        let now = self.tick();
        let life = find(&answer, &oauth.expires_name.text(engine, &scope)?, 0).filter(|life| !matches!(life, Json::Null));
        let until = match life {
            None => now + USUAL_LIFE * 1_000_000,
            Some(life) if oauth.expiry_is_date => date(&life.shown()).ok_or_else(|| ReadError::Login("its end is no date".to_owned()))?,
            Some(life) => {
                let seconds: f64 = life.shown().trim().parse().map_err(|_none| ReadError::Login("its life is no number".to_owned()))?;
                #[expect(clippy::cast_possible_truncation, reason = "clamped to a year before")]
                let seconds = seconds.clamp(0.0, 31_622_400.0) as i64;
                now + seconds * 1_000_000
            }
        };
        if let Some(rotation) = &oauth.rotation {
            let mut changed = config.clone();
            path::set(&mut changed, &rotation.access_path, Json::Text(value.clone()));
            if let Some(refresh) = find(&answer, &rotation.name, 0).filter(Json::is_true) {
                path::set(&mut changed, &rotation.refresh_path, refresh);
            }
            if let Some(at) = crate::manifest::Moment::from_micros(until) {
                path::set(&mut changed, &rotation.expiry_path, Json::Text(at.iso('T').into()));
            }
            if let Some(shared) = shared {
                shared.change(changed.clone());
            }
            self.change_config(changed);
        }
        tokens.0.insert(key, Token { value: value.clone(), until });
        Ok(value)
    }

    /// The token that the configuration brings, and its end.
    fn given_token(&self, oauth: &OAuth, config: &Json) -> Result<Option<Token>, ReadError> {
        let (engine, scope) = (&self.source.engine, Scope::new(config));
        let (value, end) = match &oauth.rotation {
            Some(rotation) => {
                (path::get(config, &rotation.access_path).map(Json::shown), path::get(config, &rotation.expiry_path).map(Json::shown))
            }
            None => (
                oauth.access_token.as_ref().map(|token| token.text(engine, &scope)).transpose()?,
                oauth.expiry.as_ref().map(|end| end.text(engine, &scope)).transpose()?,
            ),
        };
        let until = end.as_deref().and_then(date).unwrap_or(0);
        Ok(value.filter(|value| !value.is_empty()).map(|value| Token { value: value.into(), until }))
    }

    fn pairs_of(&self, pairs: &[(Template, crate::manifest::request::Input)], scope: &Scope) -> Result<Vec<(String, String)>, ReadError> {
        use crate::manifest::request::Input;
        let engine = &self.source.engine;
        let mut out = Vec::with_capacity(pairs.len());
        for (name, value) in pairs {
            let value = match value {
                Input::Fixed(value) => value.clone(),
                Input::Template(template) => template.evaluate(engine, scope, Fallback::Null, Wanted::Any)?,
            };
            if !matches!(value, Json::Null) {
                out.push((name.text(engine, scope)?, value.shown()));
            }
        }
        Ok(out)
    }

    async fn fetch_token(
        &self,
        endpoint: &str,
        form: Vec<(String, String)>,
        headers: Vec<(String, String)>,
        in_query: bool,
    ) -> Result<Json, ReadError> {
        use crate::manifest::request::encode_pairs;
        let coded = encode_pairs(&form);
        let (url, body) = if in_query {
            (format!("{endpoint}{}{coded}", if endpoint.contains('?') { '&' } else { '?' }), None)
        } else {
            (endpoint.to_owned(), Some(coded.into_bytes()))
        };
        let mut headers = headers;
        if body.is_some() && !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
            headers.push(("Content-Type".to_owned(), "application/x-www-form-urlencoded".to_owned()));
        }
        let built = crate::manifest::request::Built { method: "POST", url, headers, body };
        let reply = self.send_login(built).await?;
        Json::parse(&reply.body).map_err(|_no_json| ReadError::Login("the answer is not JSON".to_owned()))
    }

    /// The token of the configuration where it still holds, else a new one, which is kept as long as this reader.
    async fn old_session_token(&self, session: &Arc<OldSession>) -> Result<Arc<str>, ReadError> {
        let mut tokens = self.tokens.lock().await;
        let key = Arc::as_ptr(session).addr();
        if let Some(token) = tokens.0.get(&key) {
            return Ok(token.value.clone());
        }
        let config = self.config();
        let (engine, scope) = (&self.source.engine, Scope::new(&config));
        let text = |template: &Option<Template>| template.as_ref().map_or(Ok(String::new()), |template| template.text(engine, &scope));
        let base = session.base.text(engine, &scope)?;
        let built = |method, at: String, headers, body| Built { method, url: format!("{base}{at}"), headers, body };
        let given = text(&session.token)?;
        let mut value = None;
        if !given.is_empty() {
            let header = (session.header.text(engine, &scope)?, given.clone());
            let tried = built("GET", session.try_at.text(engine, &scope)?, vec![header], None);
            let gate = Gate::of(&tried.url)?;
            match self.exchange(&tried, &gate).await?.map_err(|error| ReadError::Unreached(error.to_string()))?.status {
                200..=399 => value = Some(given),
                401 => {}
                status => return Err(ReadError::Login(format!("the token was tried, and the answer was {status}"))),
            }
        }
        let value: Arc<str> = if let Some(value) = value {
            value.into()
        } else {
            let (user, password) = (text(&session.user)?, text(&session.password)?);
            if user.is_empty() || password.is_empty() {
                return Err(ReadError::Login("the token does not hold, and there is no user with a password".to_owned()));
            }
            let said: Members =
                [("username", user), ("password", password)].map(|(name, text)| (name.into(), Json::Text(text.into()))).into();
            let headers = vec![("Content-Type".to_owned(), "application/json".to_owned())];
            let body = Some(Json::Map(Arc::new(said)).compact().into_bytes());
            let reply = self.send_login(built("POST", session.login_at.text(engine, &scope)?, headers, body)).await?;
            let answer = Json::parse(&reply.body).map_err(|_no_json| ReadError::Login("the answer is not JSON".to_owned()))?;
            let member = session.member.text(engine, &scope)?;
            answer
                .get(&member)
                .map(|token| token.shown().into())
                .ok_or_else(|| ReadError::Login(format!("the answer has no `{member}`")))?
        };
        tokens.0.insert(key, Token { value: value.clone(), until: i64::MAX });
        Ok(value)
    }

    async fn session_token(&self, session: &Arc<Session>) -> Result<Arc<str>, ReadError> {
        let mut tokens = self.tokens.lock().await;
        let key = Arc::as_ptr(session).addr();
        let now = self.tick();
        if let Some(token) = tokens.0.get(&key).filter(|token| token.until > now) {
            return Ok(token.value.clone());
        }
        let config = self.config();
        let scope = Scope::new(&config)
            .with_slice(&crate::manifest::Slice::default().to_template())
            .with("next_page_token", Json::Null.to_template());
        let mut options = Options::default();
        // A login call's own login has no token that is kept: no lock is taken twice.
        if !matches!(session.login, Login::OAuth(_) | Login::Session(_) | Login::Selected { .. }) {
            Box::pin(self.log_in(&session.login, &mut options)).await?;
        }
        let built = session.outline.build(options, None, &self.source.engine, &scope)?;
        let gate = Gate::of(&built.url)?;
        let Some((reply, _free)) = Box::pin(self.send(built, &gate, (&session.errors, &Login::None), None)).await? else {
            return Err(ReadError::Login("the login was refused".to_owned()));
        };
        let answer = Json::parse(&reply.body).map_err(|_no_json| ReadError::Login("the answer is not JSON".to_owned()))?;
        let value: Arc<str> = match path::get(&answer, &session.token_at) {
            Some(token) if token.is_true() => token.shown().into(),
            Some(_) | None => return Err(ReadError::Login("the answer has no token where it is meant".to_owned())),
        };
        if let Some(life) = session.life {
            tokens.0.insert(key, Token { value: value.clone(), until: now.saturating_add(life.micros) });
        }
        Ok(value)
    }
}

/// ISO 8601, or seconds since 1970, as microseconds.
fn date(text: &str) -> Option<i64> {
    let text = text.trim();
    crate::manifest::Moment::parse_iso(text).or_else(|| crate::manifest::Moment::parse(text, "%s")).map(crate::manifest::Moment::micros)
}

/// A member, wherever it is.
fn find(value: &Json, name: &str, depth: usize) -> Option<Json> {
    if depth > DEEPEST {
        return None;
    }
    match value {
        Json::Map(members) => members.get(name).cloned().or_else(|| members.values().find_map(|inner| find(inner, name, depth + 1))),
        Json::List(items) => items.iter().find_map(|item| find(item, name, depth + 1)),
        Json::Null | Json::Bool(_) | Json::Int(_) | Json::Float(_) | Json::Text(_) => None,
    }
}
