//! Every code with its page, compiled into the binary.
//!
//! A new code: one line here, in order, and `pages/CODE.md`, whose first line is `# CODE: title`. A test finds what was forgotten.

use super::Code;

/// A page of the catalogue.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// The code it explains.
    pub code: Code,
    /// One line: what kind of problem it is.
    pub title: &'static str,
    /// The long form, Markdown.
    pub text: &'static str,
}

macro_rules! pages {
    ($($code:literal $title:literal)+) => {
        /// Every page, sorted by code.
        pub const CATALOGUE: &[Page] =
            &[$(Page { code: Code($code), title: $title, text: include_str!(concat!("pages/", $code, ".md")) },)+];
    };
}

pages! {
    "KITH-A001" "a checkpoint that is not accepted"
    "KITH-A002" "an audit log that contradicts itself"
    "KITH-A003" "an audit log that can't be written"
    "KITH-A004" "an audit log that can't be read"
    "KITH-A005" "entries that do not follow the log"
    "KITH-A006" "a key that others may read"
    "KITH-A007" "a key that can't be used"
    "KITH-A008" "an audit log that does not hold"
    "KITH-A020" "the audit log has no such entry, or one can't be read"
    "KITH-A021" "the verifier key can't be read"
    "KITH-A022" "a sealed value can't be opened"
    "KITH-A023" "a log with two histories is not cosigned"
    "KITH-A024" "a proof can't be made"
    "KITH-A025" "a trusted checkpoint that is none of this log"
    "KITH-A026" "a proof that does not hold"
    "KITH-A027" "checkpoints don't leave the machine"
    "KITH-A028" "entries can't be exported"
    "KITH-A029" "a decision that does not come out again"
    "KITH-A063" "a log that was put back from a backup is not cosigned yet"
    "KITH-B001" "a file of keys for backups that can't be used"
    "KITH-B002" "a backup that can't be written or read"
    "KITH-B003" "a backup or sealed file that can't be opened"
    "KITH-B004" "a backup that does not hold"
    "KITH-B005" "a state folder stands where the backup is to be restored"
    "KITH-B006" "no ledger says who was erased since the backup"
    "KITH-B007" "erasures don't reach their ledger"
    "KITH-B008" "nothing says where a backup goes, or who can open it"
    "KITH-B009" "the keys and the backup, or the keys and their sealed copy, do not belong together"
    "KITH-B010" "nobody has confirmed that the keys are kept elsewhere"
    "KITH-C001" "the configuration is no valid TOML"
    "KITH-C002" "a key that Kith does not know"
    "KITH-C003" "a value of the wrong form"
    "KITH-C004" "a key that must be there is missing"
    "KITH-C005" "a number outside its limits"
    "KITH-C006" "a name that can't be used"
    "KITH-C007" "a word outside its closed list"
    "KITH-C008" "a secret written into the configuration"
    "KITH-C009" "a path that can't be used"
    "KITH-C010" "keys that exclude each other"
    "KITH-C011" "an environment variable that sets nothing"
    "KITH-C012" "a file that can't be read"
    "KITH-C013" "a secret that can't be used"
    "KITH-C014" "two settings that write to one place"
    "KITH-C015" "an argument that can't be used"
    "KITH-C016" "a file of no kind that Kith knows"
    "KITH-C017" "a folder that is not empty"
    "KITH-C018" "a file that can't be written"
    "KITH-C019" "service hours that can't be read"
    "KITH-C020" "metrics that others could read"
    "KITH-C021" "a WSDL that can't be fetched"
    "KITH-D001" "a target that can't be used now"
    "KITH-D002" "a target that can't be written: full or read-only"
    "KITH-D003" "a table that does not fit the target file"
    "KITH-D004" "a text that is too long for its field"
    "KITH-D005" "a value of the wrong kind for its field"
    "KITH-D006" "a delivery that lacks a value it needs"
    "KITH-D007" "a record that the target refuses"
    "KITH-D008" "a delivery that the target does not know"
    "KITH-D009" "a write whose outcome is unknown"
    "KITH-D010" "a target file that something else wrote"
    "KITH-D011" "a last line that is torn"
    "KITH-D012" "a service that can't be reached"
    "KITH-D013" "a record that the service refuses"
    "KITH-D014" "a batch that the service refuses"
    "KITH-D015" "a service that asks to wait"
    "KITH-D016" "a login that the service does not take"
    "KITH-D017" "a request that failed at the service"
    "KITH-D018" "a service that can't take anything now"
    "KITH-D019" "a service that redirects"
    "KITH-D020" "a request that can't be made"
    "KITH-D021" "a write that nobody can settle"
    "KITH-D022" "a connection that can't be set up"
    "KITH-D030" "an endpoint that asks to be left alone"
    "KITH-D040" "a login that the SQL Server refuses"
    "KITH-D041" "a database that can't be used or written now"
    "KITH-D042" "a right that the login lacks"
    "KITH-D043" "a race with another program that was lost"
    "KITH-D044" "a value that must be unique"
    "KITH-D045" "a constraint or NULL that the table refuses"
    "KITH-D046" "a value that does not fit its column"
    "KITH-D047" "a SQL Server that asks to wait"
    "KITH-D048" "a trigger or procedure that refuses the record"
    "KITH-D049" "a SQL Server's error that Kith does not know"
    "KITH-D050" "a conflict with an edit in the CRM"
    "KITH-D051" "a SQL Server without room, or with failing storage"
    "KITH-D052" "TLS with a SQL Server that can't be trusted or agreed on"
    "KITH-D053" "an answer of the SQL Server that is not understood"
    "KITH-D054" "a procedure's answer that is no success"
    "KITH-D055" "Kith's tables are missing in the CRM's database"
    "KITH-D056" "a record key without a unique index"
    "KITH-D057" "a record that somebody edited before it was put back"
    "KITH-D060" "a SOAP fault"
    "KITH-D061" "a service that speaks another SOAP"
    "KITH-D062" "a value that can't stand in the request"
    "KITH-D063" "a login that gives no session"
    "KITH-D083" "a key that can't sign webhooks"
    "KITH-D084" "a mail that the mail server does not take"
    "KITH-I001" "an input line that is not UTF-8"
    "KITH-I002" "an input line that is cut off"
    "KITH-I003" "an input line that is not JSON"
    "KITH-I004" "an input line that is too long"
    "KITH-I005" "an input line that is nested too deep"
    "KITH-I006" "an input line that is no activity"
    "KITH-I007" "an activity without an actor"
    "KITH-I008" "an activity that lacks a member"
    "KITH-I009" "an activity with a member of the wrong type"
    "KITH-I010" "an activity with a bad date"
    "KITH-I011" "an activity of an unknown network"
    "KITH-I012" "an activity of a type that is not supported"
    "KITH-I013" "an activity with an id that is too long"
    "KITH-I020" "an input file that is missing"
    "KITH-I021" "an input file that can't be read"
    "KITH-I022" "an input path that is no file"
    "KITH-I023" "a compressed input file that is cut off"
    "KITH-I024" "a compressed input file that is damaged"
    "KITH-I025" "an input file that changed while it was read"
    "KITH-I026" "a drop folder that can't be read"
    "KITH-I027" "a finished file that can't be put away"
    "KITH-I050" "a version that was received before and said something else"
    "KITH-I051" "an activity about an object of another account"
    "KITH-I070" "a delivery that is not in the form of its webhook"
    "KITH-I091" "a row of CSV that can't be read"
    "KITH-I092" "a file of records that can't be read"
    "KITH-L001" "a number that is no probability"
    "KITH-L002" "probabilities that do not sum to 1"
    "KITH-L003" "a model field that the mapping does not declare"
    "KITH-L004" "a comparison without a last level `else`"
    "KITH-L005" "a level that no pair can reach"
    "KITH-L006" "a test that does not fit its comparison"
    "KITH-L007" "a term frequency that is missing or unused"
    "KITH-L008" "a name that stands twice in a model"
    "KITH-L020" "a file that is no Splink model"
    "KITH-L021" "SQL that Kith can't run"
    "KITH-L022" "comparison levels that do not fit together"
    "KITH-L023" "a column that a table lacks"
    "KITH-L024" "a table that can't be scored"
    "KITH-L025" "a model that Splink can't say"
    "KITH-L026" "a Splink model that a mapping can't use"
    "KITH-M001" "the file is not YAML as Kith reads it"
    "KITH-M002" "a YAML feature that Kith refuses"
    "KITH-M003" "a file that is too large, too deep or not text"
    "KITH-M004" "a key that stands twice"
    "KITH-M005" "a key that the format does not know"
    "KITH-M006" "a key that must be there is missing"
    "KITH-M007" "a value of the wrong form"
    "KITH-M008" "a value that can't be read"
    "KITH-M010" "a name that can't be read here"
    "KITH-M011" "an expression that can't be used"
    "KITH-M012" "a comparison that never holds"
    "KITH-M013" "a network that Kith does not know"
    "KITH-M014" "a handle without its network"
    "KITH-M015" "a field that nothing reads"
    "KITH-M016" "a field that one side lacks"
    "KITH-M017" "two things with one id"
    "KITH-M018" "thresholds that contradict each other"
    "KITH-M019" "something that can never take effect"
    "KITH-M020" "a section or operation that does not exist"
    "KITH-M021" "a delivery lacks a field that the target needs"
    "KITH-M022" "a field that the target does not have"
    "KITH-M023" "a text that can be longer than the target's field"
    "KITH-M024" "a special category of personal data"
    "KITH-M025" "a private audience without permission"
    "KITH-M026" "a test that names something unknown"
    "KITH-M027" "a name with two meanings"
    "KITH-M028" "the linkage model can't be read"
    "KITH-M029" "a field that is declared wrongly"
    "KITH-M030" "a test's activity that is no activity"
    "KITH-M040" "a test of a mapping failed"
    "KITH-M070" "`on_conflict` does nothing here"
    "KITH-M080" "a date that is none"
    "KITH-M081" "the duties of a network can't be read"
    "KITH-M082" "kept longer than the network allows"
    "KITH-M083" "denied by a network"
    "KITH-M084" "a network does not let it be shown"
    "KITH-N001" "a manifest without streams"
    "KITH-N002" "a reference that leads nowhere"
    "KITH-N003" "a component that Kith does not have"
    "KITH-N004" "a template that can't be used"
    "KITH-N005" "a key that the component does not know"
    "KITH-N006" "a key that a component needs"
    "KITH-N007" "a value of the wrong form in a manifest"
    "KITH-N020" "a request that can't be made"
    "KITH-N021" "a source that can't be reached"
    "KITH-N022" "a source that refuses"
    "KITH-N023" "a source that asks to wait"
    "KITH-N024" "an answer that is not understood"
    "KITH-N025" "pages without end"
    "KITH-N026" "an address that is not allowed"
    "KITH-N027" "a login that gives no token"
    "KITH-N028" "a cursor or state that can't be read"
    "KITH-N029" "a stream that the manifest does not have"
    "KITH-N030" "a projection that can't be used"
    "KITH-N031" "a live stream that is declared wrongly"
    "KITH-N032" "a live stream that is silent"
    "KITH-N033" "an answer that is no stream"
    "KITH-N034" "a live stream that can't be read"
    "KITH-N035" "events of a live stream were missed"
    "KITH-N050" "a webhook that can't be used"
    "KITH-N051" "a spool of deliveries that can't be used"
    "KITH-N052" "webhooks that can't be taken in"
    "KITH-N053" "a listener outside that can't be drained"
    "KITH-N054" "a delivery that can't be decrypted"
    "KITH-N055" "deliveries that were refused"
    "KITH-N071" "a Singer tap that can't be started"
    "KITH-N072" "a Singer tap that failed"
    "KITH-N073" "a Singer tap that takes too long"
    "KITH-N074" "a Singer tap whose output is not understood"
    "KITH-N075" "the month's budget is spent"
    "KITH-N076" "prices that can't be used"
    "KITH-N077" "a budget that can't be kept"
    "KITH-N078" "what calls cost can't be kept"
    "KITH-N079" "duties of a network that the mapping does not keep"
    "KITH-N080" "a hub that can't be asked"
    "KITH-N081" "a subscription that a hub does not confirm"
    "KITH-N085" "a tap can't be started as it is configured"
    "KITH-N086" "a tap's settings can be read by others"
    "KITH-N095" "a question about what still stands that is declared wrongly"
    "KITH-N096" "a network does not say what still stands"
    "KITH-N097" "an answer about what still stands that can't be used"
    "KITH-N098" "deletions that arrive later than the network wants"
    "KITH-R001" "no threads could be started"
    "KITH-R002" "the truth file can't be read"
    "KITH-R003" "a personal value can't be sealed"
    "KITH-R004" "an audit entry is too large"
    "KITH-R005" "the control socket or the signals failed"
    "KITH-R006" "a part of kith died"
    "KITH-R007" "the running service refused"
    "KITH-R008" "only some of the three keys are given"
    "KITH-R009" "no decision about this identity"
    "KITH-R010" "not a request"
    "KITH-R011" "the service is stopping"
    "KITH-R012" "the run's --max-writes is used up"
    "KITH-R020" "there is no such dead letter"
    "KITH-R021" "a letter that is not parked"
    "KITH-R022" "a replay would put older data over newer"
    "KITH-R023" "what the letter says is gone"
    "KITH-R024" "an edit that can't be made"
    "KITH-R025" "a line that is still no activity"
    "KITH-R026" "a line that contradicts what is stored"
    "KITH-R027" "a letter whose target or source is not configured"
    "KITH-R028" "a letter that somebody else changed"
    "KITH-R030" "ended at once by a second signal"
    "KITH-R031" "a reload that was refused"
    "KITH-R032" "a setting that a reload can't change"
    "KITH-R033" "a part of kith failed and starts again"
    "KITH-R034" "metrics that can't be served"
    "KITH-R035" "no service runs"
    "KITH-R036" "targets that did not end in time"
    "KITH-R040" "a pair without stored evidence"
    "KITH-R050" "a legal hold stands"
    "KITH-R051" "nothing is kept about this person"
    "KITH-R052" "a right that belongs to an account"
    "KITH-R053" "a basis or field that the mapping does not have"
    "KITH-R054" "lines of erased people can't be taken out of a file"
    "KITH-R055" "where the new master key is, or is not to be"
    "KITH-R056" "a role that does not allow it"
    "KITH-R057" "a case that changed since it was looked at"
    "KITH-R058" "a customer who is no candidate"
    "KITH-R059" "a customer whom the CRM does not have"
    "KITH-R060" "a word about a case that can't be taken"
    "KITH-R061" "a table of reviews that can't be read"
    "KITH-R062" "a source or target that there is not"
    "KITH-R063" "a pass that does not wait"
    "KITH-R064" "more writes than one undo takes back"
    "KITH-R065" "a mapping that is a draft"
    "KITH-R066" "a mapping that can't be released"
    "KITH-R067" "a mapping whose own tests fail"
    "KITH-R068" "a release that there is not"
    "KITH-R069" "a work-list of another mapping"
    "KITH-S001" "another Kith writes the state folder"
    "KITH-S002" "the disk is full"
    "KITH-S003" "the state can't be written"
    "KITH-S004" "the state was written by a newer Kith"
    "KITH-S005" "the state is damaged"
    "KITH-S006" "there is no state yet"
    "KITH-S007" "a step that contradicts the state"
    "KITH-S008" "the store has stopped"
    "KITH-S009" "the database failed"
    "KITH-S020" "the database's file is damaged"
    "KITH-S021" "rows whose parents are gone"
    "KITH-S022" "states that contradict the rows they follow from"
    "KITH-S023" "counters that do not add up"
    "KITH-S024" "the sequence of entries does not fit the log"
    "KITH-S025" "content that can't be opened"
    "KITH-S026" "times that a wrong clock wrote"
    "KITH-S027" "no room, or a write-ahead log that grew"
    "KITH-T001" "a target field that is declared twice"
    "KITH-T002" "a record key that can't identify a record"
    "KITH-T003" "on_delete names a field that can't be emptied"
    "KITH-T004" "a length or number outside its limits"
    "KITH-T005" "two operations that write one table differently"
    "KITH-T006" "a target name that can't be used"
    "KITH-T007" "a key that the kind of target needs or does not take"
    "KITH-T008" "a fault that `on_fault` can't name"
    "KITH-T009" "waits that contradict each other"
    "KITH-T010" "a request that can't be made"
    "KITH-T011" "a look-up that can't tell"
    "KITH-T012" "a rule about answers that can't be read"
    "KITH-T013" "a target whose place does not fit its file"
    "KITH-T020" "a path of elements that can't be read"
    "KITH-T021" "a call that can't do what it is for"
    "KITH-T022" "a value of a call that can't be filled"
    "KITH-T023" "a setting of a SOAP service that can't be used"
    "KITH-T024" "an operation that the WSDL does not have"
    "KITH-T025" "a target file that does not fit its WSDL"
    "KITH-T026" "a service that its vendor switches off"
    "KITH-T030" "a comparison with the CRM's row that can't work"
    "KITH-T031" "keys about a procedure that can't work"
    "KITH-T046" "a notice that would be taken back"
    "KITH-U001" "a customer file that is missing"
    "KITH-U002" "a customer file that can't be read"
    "KITH-U003" "a customer file that is cut off"
    "KITH-U004" "a compressed customer file that is damaged"
    "KITH-U005" "a customer file that changed while it was read"
    "KITH-U006" "a customer file whose header can't be used"
    "KITH-U007" "a column that is not there"
    "KITH-U008" "a row that does not end"
    "KITH-U009" "a customer database that can't be read"
    "KITH-U010" "a customer query that is not a SELECT"
    "KITH-U011" "a customer server that can't be asked"
    "KITH-U012" "a customer server that refuses the login"
    "KITH-U013" "a customer database that the login can't use"
    "KITH-U014" "a customer table or query that the server does not take"
    "KITH-U015" "a right that the login lacks"
    "KITH-U016" "a key that can't order pages"
    "KITH-U017" "pages without end"
    "KITH-U018" "changes that can't be told"
    "KITH-U019" "more related rows than are held"
    "KITH-U020" "a row with the wrong number of cells"
    "KITH-U021" "a row that is not UTF-8"
    "KITH-U022" "a row without a key"
    "KITH-U023" "a key that stands in two rows"
    "KITH-U024" "a cell that holds something else than text"
    "KITH-U025" "a key that is too long"
    "KITH-U030" "more customers are missing than the guard allows"
    "KITH-U031" "more links would change than the guard allows"
    "KITH-U032" "a section of the configuration is missing"
    "KITH-U033" "more customer rows stand aside"
    "KITH-U034" "a key that the server does not hold unique"
    "KITH-U040" "a service that gives no customers"
    "KITH-U041" "a read of a service that is not complete"
    "KITH-U042" "more deletions than one pass may follow"
    "KITH-U043" "more first writes than may leave without asking"
    "KITH-U101" "related records without a column that a field reads"
    "KITH-W001" "a WSDL that is missing or can't be read"
    "KITH-W002" "a WSDL or schema that is no XML"
    "KITH-W003" "a document type in a WSDL or schema"
    "KITH-W004" "a WSDL or schema beyond the limits"
    "KITH-W005" "a document that is no WSDL 1.1"
    "KITH-W006" "a WSDL without a SOAP port"
    "KITH-W007" "an import that is not here"
    "KITH-W008" "a name in a contract that is not declared"
    "KITH-W009" "a declaration that stands twice, and differently"
    "KITH-W010" "a construct of XML Schema that is not read"
    "KITH-W011" "a pattern that is not checked"
    "KITH-W012" "an operation of a WSDL that can't be used"
    "KITH-W013" "a limit in a schema that can't be read"
    "KITH-W020" "an element or attribute that the operation does not have"
    "KITH-W021" "an element or attribute that must be there"
    "KITH-W022" "a value that its type does not take"
    "KITH-W023" "a value that has no place in the message"
    "KITH-W024" "a character that XML cannot carry"
    "KITH-W025" "a type or element that can't be named"
    "KITH-W026" "a part of the contract that was not understood"
}

/// The page of a code, ASCII case ignored.
pub fn page(code: &str) -> Option<&'static Page> {
    CATALOGUE.iter().find(|p| p.code.0.eq_ignore_ascii_case(code.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeMap, BTreeSet};
    use std::fs;
    use std::path::{Path, PathBuf};

    fn rust_files(folder: &Path, into: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                rust_files(&path, into);
            } else if path.extension().is_some_and(|e| e == "rs") {
                into.push(path);
            }
        }
    }

    /// Code literals in the sources, each with one place. `KITH-X…` is for tests.
    fn used_codes() -> BTreeMap<String, String> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut files = Vec::new();
        rust_files(&root, &mut files);
        let literal = regex::Regex::new(r#""(KITH-[A-WYZ]\d{3})""#).unwrap();
        let mut used = BTreeMap::new();
        for path in files.iter().filter(|p| !p.ends_with("diagnose/catalogue.rs")) {
            for found in literal.captures_iter(&fs::read_to_string(path).unwrap()) {
                used.insert(found[1].to_owned(), path.strip_prefix(&root).unwrap().display().to_string());
            }
        }
        used
    }

    #[test]
    fn every_code_in_the_sources_has_a_page_and_every_page_is_used() {
        let used = used_codes();
        let known: BTreeSet<&str> = CATALOGUE.iter().map(|p| p.code.0).collect();
        let missing: Vec<_> = used.iter().filter(|(code, _)| !known.contains(code.as_str())).collect();
        assert!(missing.is_empty(), "without a page in diagnose/catalogue.rs: {missing:?}");
        let unused: Vec<_> = known.iter().filter(|code| !used.contains_key(**code)).collect();
        assert!(unused.is_empty(), "in the catalogue and used nowhere: {unused:?}");
    }

    #[test]
    fn pages_are_sorted_unique_and_begin_with_their_code_and_title() {
        for pair in CATALOGUE.windows(2) {
            assert!(pair[0].code < pair[1].code, "{} stands before {}", pair[0].code, pair[1].code);
        }
        for page in CATALOGUE {
            let heading = page.text.lines().next().unwrap_or_default();
            assert_eq!(heading, format!("# {}: {}", page.code, page.title));
            assert!(page.text.contains("## What to do"), "{} does not say what to do", page.code);
        }
    }

    #[test]
    fn every_page_file_is_in_the_catalogue() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/diagnose/pages");
        for entry in fs::read_dir(folder).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(page(name.trim_end_matches(".md")).is_some(), "{name} is not in the catalogue");
        }
    }

    #[test]
    fn a_page_is_found_whatever_the_case() {
        assert_eq!(page(" kith-c001 ").map(|p| p.code), Some(Code("KITH-C001")));
        assert!(page("KITH-C").is_none());
    }
}
