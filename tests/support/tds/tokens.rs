//! The token stream of an answer ([MS-TDS] 2.2.7), written.

use super::codec::{COLLATION, WireType, put_b_varchar, put_us_varchar};
use super::error::TdsError;
use super::types::Type;
use super::value::SqlValue;

/// Of the server in ERROR, INFO and LOGINACK.
pub const SERVER: &str = "KITH-TDS-PEER";

const MORE: u16 = 0x01;
const ERROR: u16 = 0x02;
const COUNT: u16 = 0x10;
const ATTENTION: u16 = 0x20;

/// A column of a result.
#[derive(Clone, PartialEq, Debug)]
pub struct Column {
    pub name: String,
    pub ty: Type,
    pub nullable: bool,
    pub identity: bool,
    pub computed: bool,
}

/// What a DONE token is of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Done {
    Statement,
    /// A statement inside a procedure.
    InProcedure,
    /// The procedure itself.
    Procedure,
}

#[derive(Default)]
pub struct Tokens {
    pub out: Vec<u8>,
    /// Where the last DONE stands: it alone has no "more".
    last_done: Option<usize>,
    columns: Vec<WireType>,
}

impl Tokens {
    pub fn columns(&mut self, columns: &[Column]) {
        self.out.push(0x81);
        self.out.extend((columns.len() as u16).to_le_bytes());
        self.columns.clear();
        for column in columns {
            let user_type: u32 = if column.ty == Type::RowVersion { 80 } else { 0 };
            self.out.extend(user_type.to_le_bytes());
            let read_only = column.identity || column.computed || column.ty == Type::RowVersion;
            let mut flags: u16 = if read_only { 0 } else { 0x08 };
            flags |= u16::from(column.nullable) | u16::from(column.identity) << 4 | u16::from(column.computed) << 5;
            self.out.extend(flags.to_le_bytes());
            let wire = WireType::of(column.ty, column.nullable);
            wire.put(&mut self.out);
            put_b_varchar(&mut self.out, &column.name);
            self.columns.push(wire);
        }
    }

    pub fn row(&mut self, values: &[SqlValue]) {
        self.out.push(0xD1);
        for (wire, value) in self.columns.iter().zip(values) {
            wire.put_value(&mut self.out, value);
        }
    }

    pub fn done(&mut self, of: Done, count: Option<u64>, failed: bool) {
        self.last_done = Some(self.out.len());
        self.out.push(match of {
            Done::Statement => 0xFD,
            Done::Procedure => 0xFE,
            Done::InProcedure => 0xFF,
        });
        let status = MORE | if failed { ERROR } else { 0 } | if count.is_some() { COUNT } else { 0 };
        self.out.extend(status.to_le_bytes());
        self.out.extend(0xC1_u16.to_le_bytes());
        self.out.extend(count.unwrap_or(0).to_le_bytes());
    }

    /// The answer to an Attention.
    pub fn attention(&mut self) {
        self.last_done = None;
        self.out.push(0xFD);
        self.out.extend(ATTENTION.to_le_bytes());
        self.out.extend([0; 10]);
    }

    /// All of it, the last DONE without "more".
    pub fn finish(mut self) -> Vec<u8> {
        if let Some(at) = self.last_done {
            self.out[at + 1] &= !(MORE as u8);
        }
        self.out
    }

    fn message(&mut self, token: u8, error: &TdsError) {
        let mut body = Vec::new();
        body.extend(error.number.to_le_bytes());
        body.extend([error.state, error.class]);
        put_us_varchar(&mut body, &error.message);
        put_b_varchar(&mut body, SERVER);
        put_b_varchar(&mut body, "");
        body.extend(1_u32.to_le_bytes());
        self.sized(token, &body);
    }

    fn sized(&mut self, token: u8, body: &[u8]) {
        self.out.push(token);
        self.out.extend((body.len() as u16).to_le_bytes());
        self.out.extend(body);
    }

    pub fn error(&mut self, error: &TdsError) {
        self.message(if error.class <= 10 { 0xAB } else { 0xAA }, error);
    }

    pub fn info(&mut self, number: u32, message: &str) {
        self.message(0xAB, &TdsError::new(number, 0, 1, message));
    }

    pub fn return_status(&mut self, status: i32) {
        self.out.push(0x79);
        self.out.extend(status.to_le_bytes());
    }

    pub fn return_value(&mut self, ordinal: u16, name: &str, ty: Type, value: &SqlValue) {
        self.out.push(0xAC);
        self.out.extend(ordinal.to_le_bytes());
        put_b_varchar(&mut self.out, name);
        self.out.push(1);
        self.out.extend([0; 4]);
        self.out.extend(1_u16.to_le_bytes());
        let wire = WireType::of(ty, true);
        wire.put(&mut self.out);
        wire.put_value(&mut self.out, value);
    }

    pub fn order(&mut self, columns: &[u16]) {
        let body: Vec<u8> = columns.iter().flat_map(|c| c.to_le_bytes()).collect();
        self.sized(0xA9, &body);
    }

    fn change(&mut self, kind: u8, new: &[u8], old: &[u8]) {
        let mut body = vec![kind];
        body.push(new.len() as u8);
        body.extend(new);
        body.push(old.len() as u8);
        body.extend(old);
        self.sized(0xE3, &body);
    }

    pub fn database(&mut self, new: &str, old: &str) {
        let mut body = vec![1];
        put_b_varchar(&mut body, new);
        put_b_varchar(&mut body, old);
        self.sized(0xE3, &body);
        self.info(5701, &format!("Changed database context to '{new}'."));
    }

    /// What follows an accepted login.
    pub fn login(&mut self, database: &str, packet_size: usize) {
        self.database(database, "master");
        self.change(7, &COLLATION, &[]);
        let mut language = vec![2];
        put_b_varchar(&mut language, "us_english");
        put_b_varchar(&mut language, "");
        self.sized(0xE3, &language);
        let mut body = vec![1, 0x74, 0x00, 0x00, 0x04];
        put_b_varchar(&mut body, "Microsoft SQL Server");
        body.extend([0x10, 0x00, 0x03, 0xE8]);
        self.sized(0xAD, &body);
        let mut size = vec![4];
        put_b_varchar(&mut size, &packet_size.to_string());
        put_b_varchar(&mut size, "4096");
        self.sized(0xE3, &size);
        self.done(Done::Statement, None, false);
    }

    pub fn began(&mut self, transaction: u64) {
        self.change(8, &transaction.to_le_bytes(), &[]);
    }

    pub fn committed(&mut self, transaction: u64) {
        self.change(9, &[], &transaction.to_le_bytes());
    }

    pub fn rolled_back(&mut self, transaction: u64) {
        self.change(10, &[], &transaction.to_le_bytes());
    }

    pub fn reset(&mut self) {
        self.change(18, &[], &[]);
    }
}
