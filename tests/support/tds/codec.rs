//! TYPE_INFO and values on the wire ([MS-TDS] 2.2.5.4 to 2.2.5.6), both ways.

use super::types::{Type, decimal_size, time_size};
use super::value::{SqlValue, cp1252_decode, cp1252_encode, guid_bytes, guid_text};
use super::{decimal, temporal};

/// `SQL_Latin1_General_CP1_CI_AS`.
pub const COLLATION: [u8; 5] = [0x09, 0x04, 0xD0, 0x00, 0x34];
/// The longest value of a request (a bound of the peer: nothing that a test sends comes near).
const LONGEST: usize = 64 << 20;

#[derive(Debug)]
pub struct Malformed(pub String);

impl From<&str> for Malformed {
    fn from(what: &str) -> Self {
        Self(what.to_owned())
    }
}

/// Bytes of a message, read from the front.
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub const fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    pub fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    pub fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let end = self.at.checked_add(length).filter(|end| *end <= self.bytes.len()).ok_or("the message ends too early")?;
        let slice = &self.bytes[self.at..end];
        self.at = end;
        Ok(slice)
    }

    pub fn u8(&mut self) -> Result<u8, Malformed> {
        Ok(self.take(1)?[0])
    }

    pub fn uint(&mut self, width: usize) -> Result<u64, Malformed> {
        Ok(self.take(width)?.iter().rev().fold(0, |n, b| (n << 8) | u64::from(*b)))
    }

    pub fn u16(&mut self) -> Result<u16, Malformed> {
        Ok(self.uint(2)? as u16)
    }

    pub fn u32(&mut self) -> Result<u32, Malformed> {
        Ok(self.uint(4)? as u32)
    }

    pub fn utf16(&mut self, characters: usize) -> Result<String, Malformed> {
        Ok(utf16(self.take(characters * 2)?))
    }

    pub fn b_varchar(&mut self) -> Result<String, Malformed> {
        let length = self.u8()?;
        self.utf16(length.into())
    }

    pub fn us_varchar(&mut self) -> Result<String, Malformed> {
        let length = self.u16()?;
        self.utf16(length.into())
    }
}

pub fn utf16(bytes: &[u8]) -> String {
    String::from_utf16_lossy(&bytes.chunks_exact(2).map(|c| u16::from_le_bytes([c[0], c[1]])).collect::<Vec<_>>())
}

pub fn put_utf16(out: &mut Vec<u8>, text: &str) {
    out.extend(text.encode_utf16().flat_map(u16::to_le_bytes));
}

pub fn put_b_varchar(out: &mut Vec<u8>, text: &str) {
    let units: Vec<u16> = text.encode_utf16().take(255).collect();
    out.push(units.len() as u8);
    out.extend(units.into_iter().flat_map(u16::to_le_bytes));
}

pub fn put_us_varchar(out: &mut Vec<u8>, text: &str) {
    let units: Vec<u16> = text.encode_utf16().take(65_535).collect();
    out.extend((units.len() as u16).to_le_bytes());
    out.extend(units.into_iter().flat_map(u16::to_le_bytes));
}

/// A type on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WireType {
    pub ty: Type,
    /// Without a length before each value: a column that is never NULL.
    pub fixed: bool,
}

fn fixed_token(ty: Type) -> Option<u8> {
    Some(match ty {
        Type::TinyInt => 0x30,
        Type::Bit => 0x32,
        Type::SmallInt => 0x34,
        Type::Int => 0x38,
        Type::SmallDateTime => 0x3A,
        Type::Real => 0x3B,
        Type::Money => 0x3C,
        Type::DateTime => 0x3D,
        Type::Float => 0x3E,
        Type::SmallMoney => 0x7A,
        Type::BigInt => 0x7F,
        _ => return None,
    })
}

impl WireType {
    pub fn of(ty: Type, nullable: bool) -> Self {
        Self { ty, fixed: !nullable && fixed_token(ty).is_some() }
    }

    pub fn put(self, out: &mut Vec<u8>) {
        if self.fixed {
            out.extend(fixed_token(self.ty));
            return;
        }
        let sized = |out: &mut Vec<u8>, token: u8, length: u16| {
            out.push(token);
            out.extend(length.to_le_bytes());
        };
        match self.ty {
            Type::Null => out.extend([0x26, 4]),
            Type::TinyInt => out.extend([0x26, 1]),
            Type::SmallInt => out.extend([0x26, 2]),
            Type::Int => out.extend([0x26, 4]),
            Type::BigInt => out.extend([0x26, 8]),
            Type::Bit => out.extend([0x68, 1]),
            Type::Real => out.extend([0x6D, 4]),
            Type::Float => out.extend([0x6D, 8]),
            Type::Decimal(p, s) => out.extend([0x6A, decimal_size(p), p, s]),
            Type::Numeric(p, s) => out.extend([0x6C, decimal_size(p), p, s]),
            Type::Money => out.extend([0x6E, 8]),
            Type::SmallMoney => out.extend([0x6E, 4]),
            Type::DateTime => out.extend([0x6F, 8]),
            Type::SmallDateTime => out.extend([0x6F, 4]),
            Type::Guid => out.extend([0x24, 16]),
            Type::Date => out.push(0x28),
            Type::Time(s) => out.extend([0x29, s]),
            Type::DateTime2(s) => out.extend([0x2A, s]),
            Type::DateTimeOffset(s) => out.extend([0x2B, s]),
            Type::Xml => out.extend([0xF1, 0]),
            Type::RowVersion => sized(out, 0xAD, 8),
            Type::Binary(n) => sized(out, 0xAD, n),
            Type::VarBinary(n) => sized(out, 0xA5, n.unwrap_or(0xFFFF)),
            Type::Image => sized(out, 0xA5, 0xFFFF),
            Type::Char(n) => sized(out, 0xAF, n),
            Type::VarChar(n) => sized(out, 0xA7, n.unwrap_or(0xFFFF)),
            Type::Text => sized(out, 0xA7, 0xFFFF),
            Type::NChar(n) => sized(out, 0xEF, n * 2),
            Type::NVarChar(n) => sized(out, 0xE7, n.map_or(0xFFFF, |n| n * 2)),
            Type::NText => sized(out, 0xE7, 0xFFFF),
        }
        if self.ty.is_text() && self.ty != Type::Xml {
            out.extend(COLLATION);
        }
    }

    pub fn read(input: &mut Reader<'_>) -> Result<Self, Malformed> {
        let token = input.u8()?;
        let fixed = |ty| Ok(Self { ty, fixed: true });
        let limited = |n: u16, width: u16| if n == 0xFFFF { None } else { Some((n / width).max(1)) };
        let ty = match token {
            0x1F => return fixed(Type::Null),
            0x30 => return fixed(Type::TinyInt),
            0x32 => return fixed(Type::Bit),
            0x34 => return fixed(Type::SmallInt),
            0x38 => return fixed(Type::Int),
            0x3A => return fixed(Type::SmallDateTime),
            0x3B => return fixed(Type::Real),
            0x3C => return fixed(Type::Money),
            0x3D => return fixed(Type::DateTime),
            0x3E => return fixed(Type::Float),
            0x7A => return fixed(Type::SmallMoney),
            0x7F => return fixed(Type::BigInt),
            0x24 => {
                input.u8()?;
                Type::Guid
            }
            0x26 => match input.u8()? {
                1 => Type::TinyInt,
                2 => Type::SmallInt,
                4 => Type::Int,
                8 => Type::BigInt,
                other => return Err(Malformed(format!("an INTN of {other} bytes"))),
            },
            0x68 => {
                input.u8()?;
                Type::Bit
            }
            0x6D => {
                if input.u8()? == 4 {
                    Type::Real
                } else {
                    Type::Float
                }
            }
            0x6E => {
                if input.u8()? == 4 {
                    Type::SmallMoney
                } else {
                    Type::Money
                }
            }
            0x6F => {
                if input.u8()? == 4 {
                    Type::SmallDateTime
                } else {
                    Type::DateTime
                }
            }
            0x6A | 0x6C => {
                input.u8()?;
                let (p, s) = (input.u8()?, input.u8()?);
                if p == 0 || p > 38 || s > p {
                    return Err(Malformed(format!("a decimal({p},{s})")));
                }
                if token == 0x6A { Type::Decimal(p, s) } else { Type::Numeric(p, s) }
            }
            0x28 => Type::Date,
            0x29 => Type::Time(scale(input)?),
            0x2A => Type::DateTime2(scale(input)?),
            0x2B => Type::DateTimeOffset(scale(input)?),
            0xF1 => {
                if input.u8()? == 1 {
                    input.b_varchar()?;
                    input.b_varchar()?;
                    input.us_varchar()?;
                }
                Type::Xml
            }
            0xA5 => Type::VarBinary(limited(input.u16()?, 1)),
            0xAD => Type::Binary(input.u16()?.max(1)),
            0xA7 => Type::VarChar(limited(input.u16()?, 1)),
            0xAF => Type::Char(input.u16()?.max(1)),
            0xE7 => Type::NVarChar(limited(input.u16()?, 2)),
            0xEF => Type::NChar((input.u16()? / 2).max(1)),
            0x22 | 0x23 | 0x63 => {
                input.u32()?;
                match token {
                    0x22 => Type::Image,
                    0x23 => Type::Text,
                    _ => Type::NText,
                }
            }
            other => return Err(Malformed(format!("type 0x{other:02X}"))),
        };
        if ty.is_text() && ty != Type::Xml {
            input.take(5)?;
        }
        Ok(Self { ty, fixed: false })
    }

    /// A value of this type.
    pub fn read_value(self, input: &mut Reader<'_>) -> Result<SqlValue, Malformed> {
        if self.fixed {
            return Ok(match self.ty {
                Type::Null => SqlValue::Null,
                Type::TinyInt | Type::Bit => scalar(self.ty, input.take(1)?)?,
                Type::SmallInt => scalar(self.ty, input.take(2)?)?,
                Type::Int | Type::SmallDateTime | Type::Real | Type::SmallMoney => scalar(self.ty, input.take(4)?)?,
                _ => scalar(self.ty, input.take(8)?)?,
            });
        }
        let bytes: Option<Vec<u8>> = match self.ty {
            Type::Text | Type::NText | Type::Image => {
                let pointer = input.u8()?;
                if pointer == 0 {
                    None
                } else {
                    input.take(usize::from(pointer) + 8)?;
                    let length = input.u32()? as usize;
                    Some(input.take(length)?.to_vec())
                }
            }
            Type::Xml | Type::VarChar(None) | Type::NVarChar(None) | Type::VarBinary(None) => plp(input)?,
            Type::Char(_)
            | Type::VarChar(_)
            | Type::NChar(_)
            | Type::NVarChar(_)
            | Type::Binary(_)
            | Type::VarBinary(_)
            | Type::RowVersion => match input.u16()? {
                0xFFFF => None,
                length => Some(input.take(length.into())?.to_vec()),
            },
            _ => match input.u8()? {
                0 => None,
                length => Some(input.take(length.into())?.to_vec()),
            },
        };
        bytes.map_or(Ok(SqlValue::Null), |bytes| scalar(self.ty, &bytes))
    }

    /// A value of this type; it must fit (the engine has seen to it).
    pub fn put_value(self, out: &mut Vec<u8>, value: &SqlValue) {
        let long = matches!(
            self.ty,
            Type::Xml | Type::VarChar(None) | Type::NVarChar(None) | Type::VarBinary(None) | Type::Text | Type::NText | Type::Image
        );
        let medium = !long && (self.ty.is_text() || self.ty.is_binary());
        let Some(bytes) = bytes_of(self.ty, value) else {
            if long {
                out.extend([0xFF; 8]);
            } else if medium {
                out.extend([0xFF; 2]);
            } else {
                out.push(0);
            }
            return;
        };
        if long {
            out.extend((bytes.len() as u64).to_le_bytes());
            if !bytes.is_empty() {
                out.extend((bytes.len() as u32).to_le_bytes());
                out.extend(&bytes);
            }
            out.extend([0; 4]);
        } else if medium {
            out.extend((bytes.len() as u16).to_le_bytes());
            out.extend(&bytes);
        } else {
            if !self.fixed {
                out.push(bytes.len() as u8);
            }
            out.extend(&bytes);
        }
    }
}

fn scale(input: &mut Reader<'_>) -> Result<u8, Malformed> {
    let scale = input.u8()?;
    if scale > 7 { Err(Malformed(format!("a time with {scale} digits"))) } else { Ok(scale) }
}

fn plp(input: &mut Reader<'_>) -> Result<Option<Vec<u8>>, Malformed> {
    let total = input.uint(8)?;
    if total == u64::MAX {
        return Ok(None);
    }
    let mut all = Vec::new();
    loop {
        let length = input.u32()? as usize;
        if length == 0 {
            break;
        }
        all.extend(input.take(length)?);
        if all.len() > LONGEST {
            return Err("a value is too long".into());
        }
    }
    if total != u64::MAX - 1 && total != all.len() as u64 {
        return Err("a (max) value has another length than it said".into());
    }
    Ok(Some(all))
}

/// A value from its bytes.
fn scalar(ty: Type, bytes: &[u8]) -> Result<SqlValue, Malformed> {
    let mut input = Reader::new(bytes);
    let moment = |days: i32, ticks: i64, offset| temporal::Moment { days, ticks, offset };
    let ticks = |input: &mut Reader<'_>, scale: u8| -> Result<i64, Malformed> {
        Ok(input.uint(time_size(scale).into())? as i64 * 10_i64.pow(7 - u32::from(scale)))
    };
    Ok(match ty {
        Type::Null => SqlValue::Null,
        Type::Bit => SqlValue::Bit(input.u8()? != 0),
        Type::TinyInt => SqlValue::Int(input.u8()?.into()),
        Type::SmallInt => SqlValue::Int((input.u16()? as i16).into()),
        Type::Int => SqlValue::Int((input.u32()? as i32).into()),
        Type::BigInt => SqlValue::Int(input.uint(8)? as i64),
        Type::Real => SqlValue::Float(f32::from_bits(input.u32()?).into()),
        Type::Float => SqlValue::Float(f64::from_bits(input.uint(8)?)),
        Type::Money => {
            let high = i64::from(input.u32()? as i32);
            let low = i64::from(input.u32()?);
            SqlValue::Decimal(decimal::write(((high << 32) | low).into(), 4))
        }
        Type::SmallMoney => SqlValue::Decimal(decimal::write((input.u32()? as i32).into(), 4)),
        Type::Decimal(_, scale) | Type::Numeric(_, scale) => {
            let positive = input.u8()? != 0;
            let rest = input.take(input.left())?;
            if rest.len() > 16 {
                return Err("a decimal of more than 16 bytes".into());
            }
            let value = rest.iter().rev().fold(0_u128, |n, b| (n << 8) | u128::from(*b));
            let value = i128::try_from(value).map_err(|_| Malformed::from("a decimal of more than 38 digits"))?;
            SqlValue::Decimal(decimal::write(if positive { value } else { -value }, scale))
        }
        Type::Guid => {
            if bytes.len() != 16 {
                return Err("a uniqueidentifier of another length than 16".into());
            }
            SqlValue::Guid(guid_text(bytes))
        }
        Type::Date => SqlValue::Date(moment(input.uint(3)? as i32, 0, None).write(ty)),
        Type::Time(s) => SqlValue::Time(moment(0, ticks(&mut input, s)?, None).write(ty)),
        Type::DateTime2(s) => {
            let time = ticks(&mut input, s)?;
            SqlValue::DateTime(moment(input.uint(3)? as i32, time, None).write(ty))
        }
        Type::DateTimeOffset(s) => {
            let time = ticks(&mut input, s)?;
            let utc = moment(input.uint(3)? as i32, time, Some(0));
            let local = utc.at(input.u16()? as i16).ok_or("a datetimeoffset out of range")?;
            SqlValue::DateTimeOffset(local.write(ty))
        }
        Type::DateTime => {
            let days = input.u32()? as i32;
            let units = i64::from(input.u32()?);
            let fitted = moment(temporal::DAYS_1900 + days, (units * 100_000 + 1) / 3, None).fit(ty).ok_or("a datetime out of range")?;
            SqlValue::DateTime(fitted.write(ty))
        }
        Type::SmallDateTime => {
            let days = i32::from(input.u16()?);
            let minutes = i64::from(input.u16()?);
            SqlValue::DateTime(moment(temporal::DAYS_1900 + days, minutes * 600_000_000, None).write(ty))
        }
        Type::Xml => SqlValue::Xml(utf16(bytes).trim_start_matches('\u{FEFF}').to_owned()),
        Type::NChar(_) | Type::NVarChar(_) | Type::NText => SqlValue::Text(utf16(bytes)),
        Type::Char(_) | Type::VarChar(_) | Type::Text => SqlValue::Text(cp1252_decode(bytes)),
        Type::Binary(_) | Type::VarBinary(_) | Type::Image | Type::RowVersion => SqlValue::Binary(bytes.to_vec()),
    })
}

/// The bytes of a value; `None` for NULL.
fn bytes_of(ty: Type, value: &SqlValue) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let put_time = |out: &mut Vec<u8>, ticks: i64, scale: u8| {
        let units = ticks / 10_i64.pow(7 - u32::from(scale));
        out.extend(&units.to_le_bytes()[..time_size(scale).into()]);
    };
    let put_days = |out: &mut Vec<u8>, days: i32| out.extend(&days.to_le_bytes()[..3]);
    match value {
        SqlValue::Null => return None,
        SqlValue::Bit(b) => out.extend(&i64::from(*b).to_le_bytes()[..ty.facets().0.clamp(1, 8) as usize]),
        SqlValue::Int(i) => out.extend(&i.to_le_bytes()[..ty.facets().0.clamp(1, 8) as usize]),
        SqlValue::Float(f) if ty == Type::Real => out.extend((*f as f32).to_le_bytes()),
        SqlValue::Float(f) => out.extend(f.to_le_bytes()),
        SqlValue::Decimal(text) => {
            let (number, from) = decimal::parse(text)?;
            let (precision, scale) = ty.decimal()?;
            let number = decimal::rescale(number, from, scale)?;
            match ty {
                Type::Money => {
                    let number = number as i64;
                    out.extend(((number >> 32) as i32).to_le_bytes());
                    out.extend((number as u32).to_le_bytes());
                }
                Type::SmallMoney => out.extend((number as i32).to_le_bytes()),
                _ => {
                    out.push(u8::from(number >= 0));
                    out.extend(&number.unsigned_abs().to_le_bytes()[..usize::from(decimal_size(precision)) - 1]);
                }
            }
        }
        SqlValue::Guid(text) => out.extend(guid_bytes(text)?),
        SqlValue::Binary(bytes) => out.extend(bytes),
        SqlValue::Text(text) | SqlValue::Xml(text) if ty.is_wide() => put_utf16(&mut out, text),
        SqlValue::Text(text) | SqlValue::Xml(text) => out.extend(cp1252_encode(text)),
        SqlValue::Date(text) | SqlValue::Time(text) | SqlValue::DateTime(text) | SqlValue::DateTimeOffset(text) => {
            let moment = temporal::parse(text)?;
            match ty {
                Type::Date => put_days(&mut out, moment.days),
                Type::Time(s) => put_time(&mut out, moment.ticks, s),
                Type::DateTime2(s) => {
                    put_time(&mut out, moment.ticks, s);
                    put_days(&mut out, moment.days);
                }
                Type::DateTimeOffset(s) => {
                    let utc = moment.utc()?;
                    put_time(&mut out, utc.ticks, s);
                    put_days(&mut out, utc.days);
                    out.extend(moment.offset.unwrap_or(0).to_le_bytes());
                }
                Type::SmallDateTime => {
                    out.extend(((moment.days - temporal::DAYS_1900) as u16).to_le_bytes());
                    out.extend(((moment.ticks / 600_000_000) as u16).to_le_bytes());
                }
                _ => {
                    out.extend((moment.days - temporal::DAYS_1900).to_le_bytes());
                    out.extend((((moment.ticks * 3 + 50_000) / 100_000) as u32).to_le_bytes());
                }
            }
        }
    }
    Some(out)
}
