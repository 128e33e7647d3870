//! The client's messages after its login: SQL batch, RPC, bulk load, transaction manager ([MS-TDS] 2.2.6), read.

use super::codec::{Malformed, Reader, WireType, utf16};
use super::script::Parameter;
use super::tokens::Column;
use super::types::Type;
use super::value::SqlValue;

/// The most rows of one bulk load (a bound of the peer).
const MOST_ROWS: usize = 2_000_000;

#[derive(Clone, Debug)]
pub enum Message {
    Batch(String),
    Rpc(Vec<(String, Vec<Parameter>)>),
    Bulk(Vec<Column>, Vec<Vec<SqlValue>>),
    Begin,
    Commit { again: bool },
    Rollback { name: String, again: bool },
    Save(String),
}

/// ALL_HEADERS: passed over.
fn headers(reader: &mut Reader<'_>) -> Result<(), Malformed> {
    let length = reader.u32()? as usize;
    reader.take(length.checked_sub(4).ok_or("ALL_HEADERS are shorter than their length")?)?;
    Ok(())
}

/// `None` for a message that is none of these.
pub fn read(kind: u8, bytes: &[u8]) -> Result<Option<Message>, Malformed> {
    let mut reader = Reader::new(bytes);
    Ok(Some(match kind {
        0x01 => {
            headers(&mut reader)?;
            let left = reader.left();
            if left % 2 == 1 {
                return Err("a batch of half a character".into());
            }
            Message::Batch(utf16(reader.take(left)?))
        }
        0x03 => {
            headers(&mut reader)?;
            Message::Rpc(rpcs(&mut reader)?)
        }
        0x07 => {
            let (columns, rows) = bulk(&mut reader)?;
            Message::Bulk(columns, rows)
        }
        0x0E => {
            headers(&mut reader)?;
            transaction(&mut reader)?
        }
        _ => return Ok(None),
    }))
}

fn transaction(reader: &mut Reader<'_>) -> Result<Message, Malformed> {
    let kind = reader.u16()?;
    Ok(match kind {
        5 => Message::Begin,
        7 | 8 => {
            let name = reader.b_varchar()?;
            let again = reader.u8().is_ok_and(|flags| flags & 1 == 1);
            if kind == 7 { Message::Commit { again } } else { Message::Rollback { name, again } }
        }
        9 => Message::Save(reader.b_varchar()?),
        other => return Err(Malformed(format!("transaction manager request {other}"))),
    })
}

fn procedure(id: u16) -> Result<&'static str, Malformed> {
    Ok(match id {
        10 => "sp_executesql",
        11 => "sp_prepare",
        12 => "sp_execute",
        13 => "sp_prepexec",
        15 => "sp_unprepare",
        other => return Err(Malformed(format!("procedure number {other}"))),
    })
}

fn rpcs(reader: &mut Reader<'_>) -> Result<Vec<(String, Vec<Parameter>)>, Malformed> {
    let mut all = Vec::new();
    loop {
        let length = reader.u16()?;
        let name = if length == 0xFFFF { procedure(reader.u16()?)?.to_owned() } else { reader.utf16(length.into())? };
        reader.u16()?;
        let mut parameters = Vec::new();
        let mut more = false;
        while reader.left() > 0 {
            // BatchFlag: another call follows.
            if matches!(reader.peek(), Some(0x80 | 0xFF)) {
                reader.u8()?;
                more = true;
                break;
            }
            let name = reader.b_varchar()?;
            let flags = reader.u8()?;
            let wire = WireType::read(reader)?;
            let value = wire.read_value(reader)?;
            parameters.push(Parameter { name, ty: wire.ty, value, output: flags & 1 == 1 });
        }
        all.push((name, parameters));
        if !more || reader.left() == 0 {
            return Ok(all);
        }
    }
}

fn bulk(reader: &mut Reader<'_>) -> Result<(Vec<Column>, Vec<Vec<SqlValue>>), Malformed> {
    if reader.u8()? != 0x81 {
        return Err("a bulk load begins with COLMETADATA".into());
    }
    let count = reader.u16()?;
    let (mut columns, mut types) = (Vec::new(), Vec::new());
    for _ in 0..count {
        reader.u32()?;
        let flags = reader.u16()?;
        let wire = WireType::read(reader)?;
        if matches!(wire.ty, Type::Text | Type::NText | Type::Image) {
            for _ in 0..reader.u8()? {
                reader.us_varchar()?;
            }
        }
        let name = reader.b_varchar()?;
        columns.push(Column { name, ty: wire.ty, nullable: flags & 1 == 1, identity: false, computed: false });
        types.push(wire);
    }
    let mut rows = Vec::new();
    while reader.left() > 0 {
        match reader.u8()? {
            0xD1 => rows.push(types.iter().map(|t| t.read_value(reader)).collect::<Result<_, _>>()?),
            // DONE
            0xFD => break,
            other => return Err(Malformed(format!("token 0x{other:02X} in a bulk load"))),
        }
        if rows.len() > MOST_ROWS {
            return Err("too many rows in one bulk load".into());
        }
    }
    Ok((columns, rows))
}
