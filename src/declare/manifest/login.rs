//! Authenticators.

use super::compile::{CONFIG, Compiler, SESSION};
use super::part::{Kind, Part};
use crate::manifest::Template;
use crate::manifest::request::{Into, RequestOption};
use crate::manifest::source::{Jwt, JwtAlgorithm, Login, OAuth, OldSession, Rotation, Session};
use std::sync::Arc;

const LOGINS: &[&str] = &[
    "NoAuth",
    "ApiKeyAuthenticator",
    "BearerAuthenticator",
    "BasicHttpAuthenticator",
    "OAuthAuthenticator",
    "SessionTokenAuthenticator",
    "LegacySessionTokenAuthenticator",
    "SelectiveAuthenticator",
    "JwtAuthenticator",
];
/// A login call that logs in by a login call, and so on.
const DEEPEST: usize = 4;

impl Compiler<'_> {
    /// How a requester logs in.
    pub fn login(&mut self, requester: &Part, depth: usize) -> Login {
        let Some(part) = requester.get("authenticator").cloned() else { return Login::None };
        self.login_of(&part, requester, depth).unwrap_or(Login::None)
    }

    fn login_of(&mut self, part: &Part, requester: &Part, depth: usize) -> Option<Login> {
        if !self.is_one_of(part, LOGINS) {
            return None;
        }
        if depth > DEEPEST {
            self.wrong(part.span, format!("more than {DEEPEST} logins inside each other"), "Log in directly");
            return None;
        }
        Some(match part.component() {
            "BearerAuthenticator" => Login::Bearer(self.required_template(part, "api_token", CONFIG)?),
            "BasicHttpAuthenticator" => Login::Basic {
                user: self.required_template(part, "username", CONFIG)?,
                password: self.template_or(part, "password", CONFIG, ""),
            },
            "ApiKeyAuthenticator" => self.key(part)?,
            "OAuthAuthenticator" => Login::OAuth(Arc::new(self.oauth(part)?)),
            "SessionTokenAuthenticator" => Login::Session(Arc::new(self.session(part, depth)?)),
            "JwtAuthenticator" => Login::Jwt(Arc::new(self.jwt(part)?)),
            "LegacySessionTokenAuthenticator" => Login::OldSession(Arc::new(self.old_session(part, requester)?)),
            "SelectiveAuthenticator" => {
                let path = self.required(part, "authenticator_selection_path")?.clone();
                let choices = self.required(part, "authenticators")?.clone();
                Login::Selected {
                    path: self.texts(&path),
                    choices: choices
                        .fields()
                        .iter()
                        .filter(|field| &*field.key != "$parameters")
                        .filter_map(|field| Some((field.key.to_string(), self.login_of(&field.value, requester, depth + 1)?)))
                        .collect(),
                }
            }
            _ => Login::None,
        })
    }

    fn key(&mut self, part: &Part) -> Option<Login> {
        let token = self.template_or(part, "api_token", CONFIG, "");
        let option = match (self.option(part, "inject_into"), self.template(part, "header", CONFIG)) {
            (Some(option), _) => option,
            (None, Some(header)) => RequestOption { into: Into::Header, path: vec![header] },
            (None, None) => {
                self.required(part, "inject_into")?;
                return None;
            }
        };
        Some(Login::Key { option, token })
    }

    fn oauth(&mut self, part: &Part) -> Option<OAuth> {
        // A template counts as true, whatever it gives, as in the reference.
        let by_assertion = part.get("use_profile_assertion").is_some_and(Part::is_true);
        let assertion = match part.get("profile_assertion").cloned().filter(|_| by_assertion) {
            Some(assertion) if self.is_one_of(&assertion, &["JwtAuthenticator"]) => Some(self.jwt(&assertion)?),
            Some(_) => return None,
            None if by_assertion => {
                self.required(part, "profile_assertion");
                return None;
            }
            None => None,
        };
        let rotation = part.get("refresh_token_updater").cloned().map(|updater| {
            let mut path = |key: &str, last: &str| match updater.get(key) {
                Some(path) => self.texts(path),
                None => vec!["credentials".to_owned(), last.to_owned()],
            };
            Rotation {
                access_path: path("access_token_config_path", "access_token"),
                refresh_path: path("refresh_token_config_path", "refresh_token"),
                expiry_path: path("token_expiry_date_config_path", "token_expiry_date"),
                name: updater.text_of("refresh_token_name").unwrap_or("refresh_token").to_owned(),
            }
        });
        let usual = if by_assertion { "urn:ietf:params:oauth:grant-type:jwt-bearer" } else { "refresh_token" };
        let grant = if by_assertion { Template::fixed(usual) } else { self.template_or(part, "grant_type", CONFIG, usual) };
        let refresh = self.template(part, "refresh_token", CONFIG);
        if refresh.is_none() && rotation.is_none() && grant.source() == "refresh_token" && part.get("token_refresh_endpoint").is_some() {
            self.required(part, "refresh_token")?;
        }
        for key in ["client_id", "client_secret"].iter().filter(|_| !by_assertion) {
            self.required(part, key)?;
        }
        let scopes = part.get("scopes").cloned().map(|scopes| self.texts(&scopes)).unwrap_or_default();
        let more = |this: &mut Self, key: &str| part.get(key).cloned().map(|map| this.pairs(&map, part, CONFIG)).unwrap_or_default();
        Some(OAuth {
            endpoint: self.template(part, "token_refresh_endpoint", CONFIG),
            client_id: (self.template_or(part, "client_id_name", CONFIG, "client_id"), self.template(part, "client_id", CONFIG)),
            client_secret: (
                self.template_or(part, "client_secret_name", CONFIG, "client_secret"),
                self.template(part, "client_secret", CONFIG),
            ),
            refresh_token: (self.template_or(part, "refresh_token_name", CONFIG, "refresh_token"), refresh),
            grant_type: (self.template_or(part, "grant_type_name", CONFIG, "grant_type"), grant),
            access_token_name: self.template_or(part, "access_token_name", CONFIG, "access_token"),
            expires_name: self.template_or(part, "expires_in_name", CONFIG, "expires_in"),
            access_token: self.template(part, "access_token_value", CONFIG),
            expiry: self.template(part, "token_expiry_date", CONFIG),
            expiry_is_date: part.get("token_expiry_date_format").is_some(),
            scopes,
            body: more(self, "refresh_request_body"),
            headers: more(self, "refresh_request_headers"),
            in_query: part.is_set("send_refresh_request_as_query_params"),
            assertion,
            rotation,
        })
    }

    fn old_session(&mut self, part: &Part, requester: &Part) -> Option<OldSession> {
        let base = requester.get("url").or_else(|| requester.get("url_base")).cloned();
        Some(OldSession {
            base: base.and_then(|base| self.template_of(&base, part, CONFIG)).unwrap_or_else(|| Template::fixed("")),
            header: self.required_template(part, "header", CONFIG)?,
            token: self.template(part, "session_token", CONFIG),
            try_at: self.required_template(part, "validate_session_url", CONFIG)?,
            login_at: self.required_template(part, "login_url", CONFIG)?,
            member: self.required_template(part, "session_token_response_key", CONFIG)?,
            user: self.template(part, "username", CONFIG),
            password: self.template(part, "password", CONFIG),
        })
    }

    fn jwt(&mut self, part: &Part) -> Option<Jwt> {
        let algorithm = self.required(part, "algorithm")?.clone();
        let found = JwtAlgorithm::ALL.iter().find(|known| algorithm.text() == Some(known.name())).copied();
        if found.is_none() {
            let names: Vec<&str> = JwtAlgorithm::ALL.iter().map(|known| known.name()).collect();
            self.wrong(algorithm.span, "no such algorithm of a token", format!("There are {}", names.join(", ")));
        }
        let seconds = part.get("token_duration").map_or(Some(1_200), |_| self.whole(part, "token_duration"));
        let mut members = |more: &str, own: &str, known: &[&str], kind: Option<&str>| {
            let mut members = Vec::new();
            for (key, reserved) in [(more, false), (own, true)] {
                for field in part.get(key).map(Part::fields).unwrap_or_default().iter().filter(|field| !field.key.starts_with('$')) {
                    if known.contains(&&*field.key) != reserved {
                        let place = if reserved { more } else { own };
                        self.wrong(field.key_span, format!("`{}` has no place in `{key}`", field.key), format!("Write it in `{place}`"));
                        continue;
                    }
                    let name = Part { span: field.key_span, kind: Kind::Text(field.key.clone()) };
                    let (name, value) = (self.template_of(&name, part, CONFIG), self.template_of(&field.value, part, CONFIG));
                    members.extend(name.zip(value));
                }
            }
            if let Some(kind) = kind.filter(|_| part.get(own).and_then(|own| own.get("typ")).is_none()) {
                members.push((Template::fixed("typ"), Template::fixed(kind)));
            }
            members
        };
        Some(Jwt {
            header: members("additional_jwt_headers", "jwt_headers", &["kid", "typ", "cty", "alg"], Some("JWT")),
            payload: members("additional_jwt_payload", "jwt_payload", &["iss", "sub", "aud", "iat", "exp", "nbf"], None),
            secret: self.required_template(part, "secret_key", CONFIG)?,
            secret_in_base64: part.is_set("base64_encode_secret_key"),
            passphrase: self.condition(part, "passphrase", CONFIG),
            algorithm: found?,
            seconds: i64::try_from(seconds?).unwrap_or(i64::MAX),
            prefix: self.condition(part, "header_prefix", CONFIG),
            option: self.option(part, "request_option"),
        })
    }

    fn session(&mut self, part: &Part, depth: usize) -> Option<Session> {
        let requester = self.required(part, "login_requester")?.clone();
        if !self.is_one_of(&requester, &["HttpRequester"]) {
            return None;
        }
        let path = self.required(part, "session_token_path")?.clone();
        let life = self.duration(part, "expiration_duration");
        let how = self.required(part, "request_authentication")?.clone();
        let (option, shape) = if how.component() == "ApiKey" {
            let inject = self.required(&how, "inject_into")?.clone();
            let shape = how.get("api_token").cloned().and_then(|token| self.template_of(&token, part, SESSION));
            (Some(self.request_option(&inject, part)?), shape)
        } else {
            (None, None)
        };
        Some(Session {
            outline: self.outline(&requester)?,
            login: self.login(&requester, depth + 1),
            errors: self.errors(&requester),
            token_at: match &path.kind {
                Kind::Text(text) => crate::manifest::path::split(text),
                Kind::Null | Kind::Bool(_) | Kind::Int(_) | Kind::Float(_) | Kind::List(_) | Kind::Map(_) => self.texts(&path),
            },
            life,
            option,
            shape,
        })
    }
}
