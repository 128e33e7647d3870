//! Rows of Parquet files that other programs wrote, as JSON. Types that the reader does not know are refused before a row is read; no error
//! shows what stands in a file.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use parquet::basic::{ConvertedType, LogicalType, TimeUnit, Type as Physical};
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::reader::RowIter;
use parquet::record::{Field, Row};
use parquet::schema::types::{ColumnDescriptor, Type};
use serde_json::{Map, Value as Json};
use std::collections::HashMap;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// 1 GiB, unpacked: a row group of 1,000,000 rows at 1 KiB. Of it some pages are in memory at a time.
const LARGEST_GROUP: i64 = 1 << 30;
/// Columns; the widest tables that were seen have some hundred.
const MOST_COLUMNS: usize = 2_000;
/// Groups and lists inside each other.
const DEEPEST: usize = 16;

/// Why a Parquet file gives no rows, or no more.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RowsError {
    /// It is no Parquet, cut off, or contradicts itself.
    #[error("the file is no Parquet, or is damaged")]
    Damaged,
    /// A column of a type that is not read.
    #[error("column {column} has a type that is not read")]
    Type {
        /// 1-based.
        column: usize,
    },
    /// More than is read.
    #[error("the file has row groups of more than {LARGEST_GROUP} bytes, or more than {MOST_COLUMNS} columns")]
    TooLarge,
}

/// The rows of a Parquet file, in order.
pub struct ParquetRows {
    rows: RowIter<'static>,
    /// Columns whose 64-bit numbers are moments by their logical type alone.
    moments: HashMap<String, TimeUnit>,
    /// A row that can't be read is the last one.
    broken: bool,
}

impl std::fmt::Debug for ParquetRows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ParquetRows")
    }
}

impl ParquetRows {
    /// Opens a file and looks at its types.
    ///
    /// # Errors
    /// Where it is no Parquet, or one that is not read.
    pub fn open(file: File) -> Result<Self, RowsError> {
        guarded(|| {
            let reader = SerializedFileReader::new(file).map_err(|_text_may_show_values| RowsError::Damaged)?;
            let metadata = reader.metadata();
            if metadata.row_groups().iter().any(|group| group.total_byte_size() > LARGEST_GROUP) {
                return Err(RowsError::TooLarge);
            }
            let schema = metadata.file_metadata().schema_descr();
            if schema.num_columns() > MOST_COLUMNS {
                return Err(RowsError::TooLarge);
            }
            if let Some(at) = schema.columns().iter().position(|column| !is_read(column)) {
                return Err(RowsError::Type { column: at + 1 });
            }
            let moment = |column: &std::sync::Arc<Type>| match column.get_basic_info().logical_type_ref() {
                Some(LogicalType::Timestamp(of)) => Some((column.name().to_owned(), of.unit)),
                _ => None,
            };
            let moments = schema.root_schema().get_fields().iter().filter_map(moment).collect();
            Ok(Self { rows: RowIter::from_file_into(Box::new(reader)), moments, broken: false })
        })
    }

    /// The next row; `None` at the end.
    ///
    /// # Errors
    /// Where the file is damaged; nothing comes after that.
    pub fn next_row(&mut self) -> Result<Option<Json>, RowsError> {
        if self.broken {
            return Err(RowsError::Damaged);
        }
        let read = guarded(|| match self.rows.next() {
            None => Ok(None),
            Some(Ok(row)) => Ok(Some(self.of_row(&row))),
            Some(Err(_text_may_show_values)) => Err(RowsError::Damaged),
        });
        self.broken = read.is_err();
        read
    }

    fn of_row(&self, row: &Row) -> Json {
        let members = row.get_column_iter().map(|(name, field)| {
            let value = match (field, self.moments.get(name)) {
                (Field::Long(ticks), Some(unit)) => moment(*ticks, *unit),
                _ => json(field, 0),
            };
            (name.clone(), value)
        });
        Json::Object(members.filter(|(_, value)| !value.is_null()).collect())
    }
}

/// The library stops at some damage by a panic; what that says is not told.
fn guarded<T>(read: impl FnOnce() -> Result<T, RowsError>) -> Result<T, RowsError> {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or(Err(RowsError::Damaged))
}

/// Whether the library turns a column into values without giving up.
fn is_read(column: &ColumnDescriptor) -> bool {
    use ConvertedType as Is;
    let is = column.converted_type();
    match column.physical_type() {
        Physical::BOOLEAN | Physical::INT96 | Physical::FLOAT | Physical::DOUBLE => true,
        Physical::INT32 => {
            [Is::NONE, Is::INT_8, Is::INT_16, Is::INT_32, Is::UINT_8, Is::UINT_16, Is::UINT_32, Is::DATE, Is::TIME_MILLIS, Is::DECIMAL]
                .contains(&is)
        }
        Physical::INT64 => {
            [Is::NONE, Is::INT_64, Is::UINT_64, Is::TIME_MICROS, Is::TIMESTAMP_MILLIS, Is::TIMESTAMP_MICROS, Is::DECIMAL].contains(&is)
        }
        Physical::BYTE_ARRAY => [Is::NONE, Is::UTF8, Is::ENUM, Is::JSON, Is::BSON, Is::DECIMAL].contains(&is),
        Physical::FIXED_LEN_BYTE_ARRAY => [Is::NONE, Is::DECIMAL].contains(&is),
    }
}

fn moment(ticks: i64, unit: TimeUnit) -> Json {
    let at = match unit {
        TimeUnit::MILLIS => Timestamp::from_millisecond(ticks),
        TimeUnit::MICROS => Timestamp::from_microsecond(ticks),
        TimeUnit::NANOS => Timestamp::from_nanosecond(ticks.into()),
    };
    at.map_or(Json::Null, |at| at.to_string().into())
}

/// A time of day.
fn time_of_day(micros: i64) -> Json {
    let (seconds, rest) = (micros.div_euclid(1_000_000), micros.rem_euclid(1_000_000));
    format!("{:02}:{:02}:{:02}.{rest:06}", seconds / 3_600, seconds / 60 % 60, seconds % 60).into()
}

/// Bytes are text where they are UTF-8, since older writers annotate no text; otherwise Base64.
fn bytes(data: &[u8]) -> Json {
    std::str::from_utf8(data).map_or_else(|_binary| STANDARD.encode(data).into(), Into::into)
}

fn json(field: &Field, depth: usize) -> Json {
    if depth > DEEPEST {
        return Json::Null;
    }
    match field {
        Field::Null => Json::Null,
        Field::Bool(value) => (*value).into(),
        Field::Byte(value) => (*value).into(),
        Field::Short(value) => (*value).into(),
        Field::Int(value) => (*value).into(),
        Field::Long(value) => (*value).into(),
        Field::UByte(value) => (*value).into(),
        Field::UShort(value) => (*value).into(),
        Field::UInt(value) => (*value).into(),
        Field::ULong(value) => (*value).into(),
        // The shortest text that gives the number again: 0.1 stays 0.1.
        Field::Float16(value) => value.to_string().parse::<f64>().map_or(Json::Null, Into::into),
        Field::Float(value) => value.to_string().parse::<f64>().map_or(Json::Null, Into::into),
        Field::Double(value) => (*value).into(),
        // Exact, as text.
        Field::Decimal(_) => field.to_string().into(),
        Field::Str(text) => text.as_str().into(),
        Field::Bytes(data) => bytes(data.data()),
        Field::Date(days) => {
            let day = jiff::Span::new().try_days(*days).and_then(|days| jiff::civil::date(1970, 1, 1).checked_add(days));
            day.map_or(Json::Null, |day| day.to_string().into())
        }
        Field::TimeMillis(millis) => time_of_day(i64::from(*millis) * 1_000),
        Field::TimeMicros(micros) => time_of_day(*micros),
        Field::TimestampMillis(ticks) => moment(*ticks, TimeUnit::MILLIS),
        Field::TimestampMicros(ticks) => moment(*ticks, TimeUnit::MICROS),
        Field::Group(row) => {
            row.get_column_iter().map(|(name, field)| (name.clone(), json(field, depth + 1))).collect::<Map<_, _>>().into()
        }
        Field::ListInternal(list) => list.elements().iter().map(|field| json(field, depth + 1)).collect::<Vec<_>>().into(),
        Field::MapInternal(map) => map
            .entries()
            .iter()
            .filter_map(|(key, value)| Some((json(key, depth + 1).as_str()?.to_owned(), json(value, depth + 1))))
            .collect::<Map<_, _>>()
            .into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::table::{Cells, Kind, TableWriter};
    use proptest::prelude::*;
    use std::io::{Seek as _, Write as _};

    fn of_bytes(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file.rewind().unwrap();
        file
    }

    fn written() -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.parquet");
        let mut writer = TableWriter::create(&path, &[("name".into(), Kind::Text), ("share".into(), Kind::Number)]).unwrap();
        writer.rows(&[Cells::Text(vec!["Ada", "Grace"]), Cells::Number(vec![Some(0.5), None])]).unwrap();
        writer.finish().unwrap();
        std::fs::read(&path).unwrap()
    }

    #[test]
    fn rows_are_objects_and_what_is_missing_is_not_there() {
        let mut rows = ParquetRows::open(of_bytes(&written())).unwrap();
        assert_eq!(rows.next_row().unwrap(), Some(serde_json::json!({ "name": "Ada", "share": 0.5 })));
        assert_eq!(rows.next_row().unwrap(), Some(serde_json::json!({ "name": "Grace" })));
        assert_eq!(rows.next_row().unwrap(), None);
    }

    proptest! {
        #[test]
        fn damage_is_told_and_never_ends_the_program(at in any::<prop::sample::Index>(), byte: u8, cut in any::<prop::sample::Index>()) {
            let mut bytes = written();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            bytes.truncate(bytes.len() - cut.index(bytes.len()) / 8);
            if let Ok(mut rows) = ParquetRows::open(of_bytes(&bytes)) {
                for _ in 0..1_000 {
                    if !matches!(rows.next_row(), Ok(Some(_))) { break }
                }
            }
        }

        #[test]
        fn any_bytes_are_no_parquet(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(ParquetRows::open(of_bytes(&bytes)).is_err());
        }
    }
}
