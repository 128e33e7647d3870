//! Calls of a SOAP service as a target file describes them: the request from templates and values, the login, the answer. Shared by the edges
//! that write (`deliver`) and those that read (`customers`).

mod check;
mod condition;
pub mod convert;
pub mod declared;
mod error;
pub mod fill;
pub mod find;
mod login;
mod outline;
mod part;
pub mod unescape;
mod wsse;

pub use check::{check, sunset};
pub use condition::{Heard, fits, shown};
pub use error::{CallError, Refused};
pub use fill::Values;
pub use login::Opened;
pub use outline::outline;
pub use part::{Content, Part, text};

use super::http::{Reply, Request};
use super::session::{Session, SessionError};
use super::soap::{self, Reading};
use super::wsdl::{self, Contract, OperationRef, Version};
use super::xml::{Limits, Name, Tree, Uncarried};
use crate::declare::config::{Auth, Secret, ServiceSpec};
use crate::declare::connector::TargetFile;
use crate::declare::connector::soap::{BadCharacters, Call, ElementPath, Placed, Slot, SoapService, SoapVersion};
use crate::diagnose::Problems;
use jiff::{SignedDuration, Timestamp};
use login::LoginSlot;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use wsse::{NONCE_BYTES, Token};

/// A service and how it is called.
#[derive(Debug)]
pub struct Caller {
    /// Connection and login over HTTP.
    pub http: Session,
    /// What the target file says.
    pub service: SoapService,
    file: Arc<TargetFile>,
    contract: Mutex<Option<Arc<Contract>>>,
    login: tokio::sync::Mutex<LoginSlot>,
    /// How far the server's clock is ahead of ours, as its last answer told.
    ahead: Mutex<SignedDuration>,
}

/// A request that is ready to leave.
#[derive(Clone, Debug)]
pub struct Envelope {
    /// As it travels.
    pub request: Request,
    /// What must never be shown of it.
    pub masks: Vec<Secret>,
}

impl Envelope {
    /// A text without what must never be shown.
    pub fn hide(&self, text: &str) -> String {
        let mut text = self.request.authorization.as_ref().map_or_else(|| text.to_owned(), |secret| secret.hide(text));
        for mask in &self.masks {
            let plain = mask.expose();
            for form in [plain.to_owned(), escaped(plain)] {
                if !form.is_empty() {
                    text = text.replace(&form, "‹hidden›");
                }
            }
        }
        text
    }
}

/// As XML writes it.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// What came back.
#[derive(Debug)]
pub struct Answered {
    /// As it came.
    pub reply: Reply,
    /// What it is.
    pub reading: Reading,
    /// The content as text, where it is no SOAP; the first 64 KiB.
    pub text: Option<String>,
}

/// Of an answer that is no SOAP, as much is searched for words.
const SEARCHED: usize = 64 * 1024;

impl Answered {
    /// Reads what came.
    pub fn of(reply: Reply) -> Self {
        let reading = soap::read(&reply.body, reply.header("content-type"));
        let text = match &reading {
            Reading::Answer(_) | Reading::Fault(_) => None,
            Reading::NotSoap(_) => Some(String::from_utf8_lossy(reply.body.get(..SEARCHED).unwrap_or(&reply.body)).into_owned()),
        };
        Self { reply, reading, text }
    }

    /// What it is to people: `SOAP fault INVALID_LOGIN, HTTP 500`.
    pub fn label(&self) -> String {
        let status = self.reply.status;
        match &self.reading {
            Reading::Fault(fault) => match shown(&fault.code_written) {
                Some(code) => format!("SOAP fault {code}, HTTP {status}"),
                None => format!("SOAP fault, HTTP {status}"),
            },
            Reading::Answer(_) | Reading::NotSoap(_) => format!("HTTP {status}"),
        }
    }

    /// As rules look at it.
    pub fn heard(&self) -> Heard<'_> {
        let (fault, body) = match &self.reading {
            Reading::Fault(fault) => (Some(fault), None),
            Reading::Answer(answer) => (None, answer.first()),
            Reading::NotSoap(_) => (None, None),
        };
        Heard { status: Some(self.reply.status), fault, body, text: self.text.as_deref() }
    }
}

/// Where a target file's WSDL is.
pub fn wsdl_path(file: &TargetFile, service: &SoapService) -> PathBuf {
    Path::new(&file.source.name).parent().unwrap_or(Path::new("")).join(&*service.wsdl)
}

/// The contract of a target file.
///
/// # Errors
/// Every problem of the WSDL.
pub fn contract(file: &TargetFile, service: &SoapService) -> Result<Contract, Problems> {
    let checked = wsdl::load(&wsdl_path(file, service));
    checked.value.ok_or(checked.problems)
}

/// An operation of the contract, at the service, port and version that the file names.
///
/// # Errors
/// There is none.
pub fn operation<'c>(contract: &'c Contract, service: &SoapService, name: &str) -> Result<OperationRef<'c>, wsdl::FindError> {
    let wanted = service.version.map(|version| match version {
        SoapVersion::V11 => Version::V11,
        SoapVersion::V12 => Version::V12,
    });
    if service.port.is_none()
        && let Some(version) = wanted
    {
        let mut services = contract.services.iter().filter(|s| service.service.as_ref().is_none_or(|named| *s.name == **named));
        let port = |s: &'c wsdl::Service| s.ports.iter().find(|p| p.version == version && p.operations.iter().any(|o| *o.name == *name));
        if let Some((found, port)) = services.find_map(|s| port(s).map(|p| (s, p))) {
            return contract.find(Some(&found.name), Some(&port.name), name);
        }
    }
    contract.find(service.service.as_deref(), service.port.as_deref(), name)
}

/// What becomes of characters that XML can't carry.
pub const fn uncarried(characters: BadCharacters) -> Uncarried {
    match characters {
        BadCharacters::Refuse => Uncarried::Refuse,
        BadCharacters::Replace => Uncarried::Replace,
        BadCharacters::Drop => Uncarried::Strip,
    }
}

impl Caller {
    /// A caller; nothing is connected and no file is read.
    pub fn new(spec: ServiceSpec, file: Arc<TargetFile>) -> Option<Self> {
        let service = file.soap.clone()?;
        Some(Self {
            http: Session::new(spec, Limits::ANSWER.bytes),
            service,
            file,
            contract: Mutex::new(None),
            login: tokio::sync::Mutex::new(LoginSlot::default()),
            ahead: Mutex::new(SignedDuration::ZERO),
        })
    }

    /// How user and password travel.
    pub fn auth(&self) -> Auth {
        self.http.spec.auth.unwrap_or(if self.service.session.is_some() { Auth::Session } else { Auth::Basic })
    }

    /// The contract, read once. What hinders it is tried again with each call: a file may still be brought.
    ///
    /// # Errors
    /// The WSDL can't be read.
    pub fn contract(&self) -> Result<Arc<Contract>, CallError> {
        let mut slot = self.contract.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(contract) = &*slot {
            return Ok(contract.clone());
        }
        let contract = contract(&self.file, &self.service).map_err(|problems| {
            let first = problems.0.first().map_or_else(|| "it can't be read".to_owned(), |p| format!("{}: {}", p.code, p.message));
            CallError::Session(SessionError::unavailable("KITH-D022", format!("the WSDL of the target: {first}")))
        })?;
        let contract = Arc::new(contract);
        *slot = Some(contract.clone());
        Ok(contract)
    }

    /// The names that the contract declares for what stands at a path of an operation's answer; none where it leaves them open.
    ///
    /// # Errors
    /// The WSDL can't be read.
    pub fn answer_names(&self, operation_name: &str, path: &ElementPath) -> Result<Vec<Arc<str>>, CallError> {
        let contract = self.contract()?;
        let operation = operation(&contract, &self.service, operation_name)?;
        let Some(Ok(output)) = &operation.operation.output else { return Ok(Vec::new()) };
        let [root] = output.roots.as_slice() else { return Ok(Vec::new()) };
        let Some(root) = contract.schemas.element(*root) else { return Ok(Vec::new()) };
        Ok(match declared::at(&contract.schemas, root.kind, path, &|_| None) {
            Ok(declared::Inside::Element(found)) => declared::names(&contract.schemas, found.kind),
            Ok(declared::Inside::Attribute(_) | declared::Inside::Open) | Err(_) => Vec::new(),
        })
    }

    /// Where calls go.
    pub fn address(&self) -> String {
        format!("{}{}", self.http.spec.url, self.service.path.as_deref().unwrap_or_default())
    }

    /// The request of a call. `build` puts the records into it, after what stands at fixed places.
    ///
    /// # Errors
    /// The values do not fit the contract, or the WSDL can't be read.
    pub async fn envelope(
        &self,
        call: &Call,
        opened: &Opened,
        values: &Values<'_>,
        build: &(dyn Fn(&mut Part) -> Result<(), CallError> + Sync),
    ) -> Result<Envelope, CallError> {
        let security = self.security()?;
        let mut masks = security.as_ref().map(|(_, masks)| masks.clone()).unwrap_or_default();
        masks.extend(opened.token.clone());
        let mut request = self.draft(call, opened, values, build, security.map(|(tree, _)| tree), true)?;
        request.authorization = match self.auth() {
            Auth::Session | Auth::WsseText | Auth::WsseDigest => None,
            Auth::Basic | Auth::Ntlm | Auth::Negotiate => self.http.authorization().await?,
        };
        Ok(Envelope { request, masks })
    }

    /// The request of a call as it would be sent, with placeholders for what only a login gives. Nothing is sent.
    ///
    /// # Errors
    /// The values do not fit the contract, or the WSDL can't be read.
    pub fn drafted(
        &self,
        call: &Call,
        values: &Values<'_>,
        build: &(dyn Fn(&mut Part) -> Result<(), CallError> + Sync),
    ) -> Result<Envelope, CallError> {
        let token = Secret::from_bytes("‹session›".into()).ok().filter(|_| self.auth() == Auth::Session);
        let opened = Opened { token, address: None, generation: 0 };
        let security = self.security()?;
        let masks = security.as_ref().map(|(_, masks)| masks.clone()).unwrap_or_default();
        let request = self.draft(call, &opened, values, build, security.map(|(tree, _)| tree), true)?;
        Ok(Envelope { request, masks })
    }

    fn draft(
        &self,
        call: &Call,
        opened: &Opened,
        values: &Values<'_>,
        build: &(dyn Fn(&mut Part) -> Result<(), CallError> + Sync),
        security: Option<Tree>,
        every: bool,
    ) -> Result<Request, CallError> {
        let contract = self.contract()?;
        let operation = operation(&contract, &self.service, &call.operation)?;
        let with_session = |slot: &Slot| match slot {
            Slot::Session => opened.token.as_ref().map(|token| token.expose().into()),
            other @ (Slot::Field(_)
            | Slot::Key
            | Slot::Keys
            | Slot::IdempotencyKey
            | Slot::Found
            | Slot::New
            | Slot::User
            | Slot::Password
            | Slot::PageSize
            | Slot::Offset
            | Slot::After
            | Slot::PageToken) => values(other),
        };
        let mut body = Part::root();
        if every {
            let start = convert::start(&operation);
            let takes = |placed: &&Placed| {
                let name = placed.path.first();
                start.zip(name).is_some_and(|(start, name)| declared::child(&contract.schemas, start, name).is_some())
            };
            let usual: Vec<Placed> = self.service.every_value.iter().filter(takes).cloned().collect();
            fill::placed(&mut body, &usual, &with_session)?;
        }
        fill::placed(&mut body, &call.values, &with_session)?;
        build(&mut body)?;
        fill::types(&mut body, call);
        let mut blocks = Part::root();
        if every {
            fill::placed(&mut blocks, &self.service.every_header, &with_session)?;
        }
        fill::placed(&mut blocks, &call.headers, &with_session)?;
        let uncarried = uncarried(self.service.characters);
        let mut headers: Vec<Tree> = security.into_iter().collect();
        for block in &blocks.children {
            let node = convert::header(&operation, block);
            headers.push(soap::header(&operation, &node, uncarried).map_err(|refusal| Refused::of(&refusal))?);
        }
        let body = convert::body(&operation, &body);
        let rendered = soap::Request { operation, headers, body, uncarried }.render().map_err(|refusal| Refused::of(&refusal))?;
        let mut headers =
            vec![("content-type".to_owned(), rendered.content_type), ("accept".to_owned(), accept(operation.port.version).to_owned())];
        headers.extend(rendered.soap_action.map(|action| ("soapaction".to_owned(), action)));
        headers.extend(self.service.http_headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.to_string())));
        let url = opened.address.clone().unwrap_or_else(|| self.address());
        Ok(Request { method: "POST", url, headers, authorization: None, body: Some(rendered.bytes) })
    }

    /// The header of WS-Security, where the login is one, with what must not be shown of it.
    fn security(&self) -> Result<Option<(Tree, Vec<Secret>)>, CallError> {
        let digest = match self.auth() {
            Auth::WsseText => false,
            Auth::WsseDigest => true,
            Auth::Basic | Auth::Session | Auth::Ntlm | Auth::Negotiate => return Ok(None),
        };
        let (user, password) = self.user_and_password()?;
        let mut nonce = [0_u8; NONCE_BYTES];
        getrandom::fill(&mut nonce)
            .map_err(|error| SessionError::unavailable("KITH-D022", format!("the system gives no random bytes: {error}")))?;
        let time = self.http.spec.token_time;
        let ahead = if time.of_server { *self.ahead.lock().unwrap_or_else(PoisonError::into_inner) } else { SignedDuration::ZERO };
        let created = now().checked_add(ahead).unwrap_or_else(|_beyond| now());
        let token = Token { user: &user, password: password.expose(), digest, nonce, created, expires: time.expires };
        let version = self.version();
        let tree = token.header(Name::new(version.envelope(), "mustUnderstand"));
        Ok(Some((tree, if digest { Vec::new() } else { vec![password] })))
    }

    /// The version of the port that is called.
    fn version(&self) -> Version {
        let of_file = self.service.version.map(|version| match version {
            SoapVersion::V11 => Version::V11,
            SoapVersion::V12 => Version::V12,
        });
        let of_port = || {
            let contract = self.contract().ok()?;
            let mut ports = contract.services.iter().flat_map(|service| &service.ports);
            match &self.service.port {
                Some(named) => ports.find(|port| *port.name == **named).map(|port| port.version),
                None => ports.next().map(|port| port.version),
            }
        };
        // The binding decides about the envelope; the file's word only chooses a binding.
        if self.service.port.is_some() { of_port().or(of_file) } else { of_file.or_else(of_port) }.unwrap_or(Version::V11)
    }

    /// Sends a request and reads its answer, once.
    ///
    /// # Errors
    /// There is none.
    pub async fn send(&self, envelope: &Envelope) -> Result<Answered, SessionError> {
        let reply = self.http.send(envelope.request.clone()).await?;
        if let Some(theirs) = super::pace::server_time(&reply.headers) {
            *self.ahead.lock().unwrap_or_else(PoisonError::into_inner) = theirs.duration_since(now());
        }
        Ok(Answered::of(reply))
    }
}

const fn accept(version: Version) -> &'static str {
    match version {
        Version::V11 => "text/xml, multipart/related",
        Version::V12 => "application/soap+xml, multipart/related",
    }
}

/// Our own clock.
fn now() -> Timestamp {
    #[expect(clippy::disallowed_methods, reason = "a token says when it was made")]
    let now = Timestamp::now();
    now
}
