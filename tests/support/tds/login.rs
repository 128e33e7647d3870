//! PRELOGIN and LOGIN7 ([MS-TDS] 2.2.6.4, 2.2.6.5), read; the answer to the first.

use super::codec::{Malformed, Reader, utf16};

pub const ENCRYPT_OFF: u8 = 0;
pub const ENCRYPT_ON: u8 = 1;
pub const ENCRYPT_NOT_SUPPORTED: u8 = 2;
pub const ENCRYPT_REQUIRED: u8 = 3;

/// What the client wants of encryption.
pub fn prelogin(bytes: &[u8]) -> Result<u8, Malformed> {
    let mut reader = Reader::new(bytes);
    loop {
        let token = reader.u8()?;
        if token == 0xFF {
            return Ok(ENCRYPT_NOT_SUPPORTED);
        }
        let number = reader.take(4)?;
        let offset = usize::from(u16::from_be_bytes([number[0], number[1]]));
        if token == 1 {
            return bytes.get(offset).copied().ok_or_else(|| "ENCRYPTION points nowhere".into());
        }
    }
}

/// VERSION, ENCRYPTION, INSTOPT (valid), THREADID (none), MARS (off).
pub fn prelogin_answer(encryption: u8) -> Vec<u8> {
    let options: [(u8, &[u8]); 5] = [(0, &[0x10, 0x00, 0x03, 0xE8, 0, 0]), (1, &[encryption]), (2, &[0]), (3, &[]), (4, &[0])];
    let mut offset = options.len() as u16 * 5 + 1;
    let (mut table, mut data): (Vec<u8>, Vec<u8>) = (Vec::new(), Vec::new());
    for (token, content) in options {
        table.push(token);
        table.extend(offset.to_be_bytes());
        table.extend((content.len() as u16).to_be_bytes());
        data.extend(content);
        offset += content.len() as u16;
    }
    table.push(0xFF);
    table.extend(data);
    table
}

#[derive(Clone, PartialEq, Debug)]
pub struct Login {
    pub user: String,
    pub password: String,
    pub database: String,
    pub application: String,
    pub host: String,
    pub packet_size: usize,
    /// Windows authentication: the peer records the token and refuses it.
    pub integrated: bool,
    /// The token of it, `cbSSPI` long.
    pub token: Vec<u8>,
}

impl Login {
    pub fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        reader.u32()?;
        let version = reader.u32()?;
        if version < 0x7200_0000 {
            return Err(Malformed(format!("TDS version {version:08x}: the peer speaks 7.2 and later")));
        }
        let packet_size = reader.u32()? as usize;
        let flags = *bytes.get(25).ok_or("LOGIN7 is short")?;
        let field = |at: usize| -> Result<&[u8], Malformed> {
            let mut pair = Reader::new(bytes.get(at..).unwrap_or_default());
            let (offset, length) = (usize::from(pair.u16()?), usize::from(pair.u16()?));
            bytes.get(offset..offset + length * 2).ok_or_else(|| "LOGIN7 points beyond its end".into())
        };
        let password: Vec<u8> = field(44)?.iter().map(|b| (b ^ 0xA5).rotate_left(4)).collect();
        let token = {
            let mut pair = Reader::new(bytes.get(78..).unwrap_or_default());
            let (offset, length) = (usize::from(pair.u16()?), usize::from(pair.u16()?));
            bytes.get(offset..offset + length).ok_or("LOGIN7 points beyond its end")?.to_vec()
        };
        Ok(Self {
            token,
            host: utf16(field(36)?),
            user: utf16(field(40)?),
            password: utf16(&password),
            application: utf16(field(48)?),
            database: utf16(field(68)?),
            packet_size: packet_size.clamp(512, 32_767),
            integrated: flags & 0x80 != 0,
        })
    }
}
