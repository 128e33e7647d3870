//! X's compliance jobs (docs.x.com/x-api/compliance/batch-compliance, as of 2026-11): `POST {type, name}` makes one, `GET ?type=` lists them,
//! `GET /ID` tells how one stands; its list is put to `upload_url` within 15 minutes, and the answer lies at `download_url` for a week. One job of a type
//! at a time.

use super::answer::Answer;
use super::ask::{Question, ask};
use super::error::ComplianceError;
use crate::declare::manifest::Compliance;
use crate::source::manifest::{Gate, Reader};
use crate::wire::http::{Client, Connection, Request};
use serde_json::{Value as Json, json};
use std::sync::Arc;
use std::time::Duration;

/// An id of X is a number of 1 to 19 digits.
const LONGEST_ID: usize = 19;

/// How a job stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// It waits for its list.
    Created,
    /// It has its list.
    InProgress,
    /// Its answer is there.
    Complete,
    /// It brings nothing.
    Failed,
    /// It waited too long.
    Expired,
}

/// A job, as the interface shows it.
pub struct Job {
    /// Its number.
    pub id: String,
    /// The name that it was given.
    pub name: Option<String>,
    /// How it stands.
    pub state: State,
    upload: Option<String>,
    download: Option<String>,
}

impl std::fmt::Debug for Job {
    /// Addresses of files are secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Job").field("state", &self.state).finish_non_exhaustive()
    }
}

impl Job {
    /// As the interface's JSON has it.
    ///
    /// # Errors
    /// Where it has no id or no state that is known.
    pub fn of(json: &Json) -> Result<Self, ComplianceError> {
        let text = |key: &str| json.get(key).and_then(Json::as_str).map(str::to_owned);
        let state = match json.get("status").and_then(Json::as_str) {
            Some("created") => State::Created,
            Some("in_progress") => State::InProgress,
            Some("complete") => State::Complete,
            Some("failed") => State::Failed,
            Some("expired") => State::Expired,
            _ => return Err(ComplianceError::NotUnderstood("a job has no state that is known")),
        };
        let id = text("id").filter(|id| (1..=LONGEST_ID).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_digit()));
        let id = id.ok_or(ComplianceError::NotUnderstood("a job has no id"))?;
        Ok(Self { id, name: text("name"), state, upload: text("upload_url"), download: text("download_url") })
    }
}

/// The jobs of one network.
pub struct Jobs {
    reader: Reader,
    asked: Arc<Compliance>,
    asks: String,
    files: Vec<String>,
    /// For files: what they answer is short, or taken piece by piece.
    up: Client,
    down: Client,
    within: Duration,
}

impl std::fmt::Debug for Jobs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Jobs")
    }
}

impl Jobs {
    /// With a reader's configuration, logins and hosts. `asks` and `files` are those of the question. Nothing is connected.
    ///
    /// # Errors
    /// Where a client can't be set up.
    pub fn new(
        reader: Reader,
        asked: Arc<Compliance>,
        (asks, files): (String, Vec<String>),
        connection: &Connection,
    ) -> Result<Self, ComplianceError> {
        let up = Client::new(&Connection { longest_body: crate::wire::http::LONGEST_BODY, ..connection.clone() })?;
        Ok(Self { reader, asked, asks, files, up, down: Client::lasting(connection)?, within: connection.whole })
    }

    async fn ask(&self, method: &'static str, below: &str, body: Option<&Json>) -> Result<(Gate, Json), ComplianceError> {
        // Jobs are not billed.
        let question = Question { method: Some(method), below, body, ..Question::default() };
        let told = ask(&self.reader, &self.asked, question, None).await?.ok_or(ComplianceError::NotUnderstood("it was left out"))?;
        Ok((told.gate, told.answer))
    }

    /// The reader whose configuration and logins it uses.
    pub const fn reader(&self) -> &Reader {
        &self.reader
    }

    /// The job of this name, where there is one.
    ///
    /// # Errors
    /// Where the interface does not tell.
    pub async fn named(&self, name: &str) -> Result<Option<Job>, ComplianceError> {
        let (_, json) = self.ask("GET", &format!("?type={}", self.asks), None).await?;
        // Without jobs there is no `data`.
        let listed = json.get("data").and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
        let found = listed.iter().find(|job| job.get("name").and_then(Json::as_str) == Some(name));
        found.map(Job::of).transpose()
    }

    /// Makes a job.
    ///
    /// # Errors
    /// Where it may not have been made: [`Self::named`] tells.
    pub async fn make(&self, name: &str) -> Result<Job, ComplianceError> {
        let (_, json) = self.ask("POST", "", Some(&json!({ "type": self.asks, "name": name }))).await?;
        Job::of(json.get("data").unwrap_or(&Json::Null))
    }

    /// How a job stands, with its addresses, which are where files may lie.
    ///
    /// # Errors
    /// Where the interface does not tell.
    pub async fn job(&self, id: &str) -> Result<Job, ComplianceError> {
        let (gate, json) = self.ask("GET", &format!("/{id}"), None).await?;
        let job = Job::of(json.get("data").unwrap_or(&Json::Null))?;
        for url in [&job.upload, &job.download].into_iter().flatten() {
            self.lets(&gate, url)?;
        }
        Ok(job)
    }

    /// A file lies at the interface's own host, or at one that the connector names, and at none that the configuration does not list.
    fn lets(&self, gate: &Gate, url: &str) -> Result<(), ComplianceError> {
        let of_file = Gate::of(url).map_err(|_no_address| ComplianceError::NotUnderstood("a file has no address"))?;
        if gate.lets(url).is_err() && !(self.files.iter().any(|host| host == of_file.host()) && url.starts_with("https:")) {
            return Err(ComplianceError::Elsewhere("on a host that the connector does not name"));
        }
        self.reader.listed(url).map_err(|_not_listed| ComplianceError::Elsewhere("on a host that the configuration does not list"))
    }

    /// Brings a job its list, a number a line.
    ///
    /// # Errors
    /// Where it may not have arrived: it can be brought again.
    pub async fn upload(&self, job: &Job, list: Vec<u8>) -> Result<(), ComplianceError> {
        let url = job.upload.clone().ok_or(ComplianceError::NotUnderstood("a job has no place for its list"))?;
        let headers = vec![("Content-Type".to_owned(), "text/plain".to_owned())];
        let reply = self.up.send(Request { method: "PUT", url, headers, authorization: None, body: Some(list) }).await?;
        if (200..300).contains(&reply.status) { Ok(()) } else { Err(ComplianceError::Refused(reply.status)) }
    }

    /// The answer of a job that is complete.
    ///
    /// # Errors
    /// Where it is not given.
    pub async fn answer(&self, job: &Job) -> Result<Answer, ComplianceError> {
        let url = job.download.clone().ok_or(ComplianceError::NotUnderstood("a complete job has no answer"))?;
        let request = Request { method: "GET", url, headers: Vec::new(), authorization: None, body: None };
        let opened = self.down.open(request, self.within).await?;
        if opened.status != 200 {
            return Err(ComplianceError::Refused(opened.status));
        }
        if opened.header("content-encoding").is_some_and(|coding| !coding.eq_ignore_ascii_case("identity")) {
            return Err(ComplianceError::NotUnderstood("the file is packed, which was not asked for"));
        }
        Ok(Answer::new(opened, self.within))
    }
}
