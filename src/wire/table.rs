//! Tables that are written for other programs: CSV, or Parquet without compression.

use parquet::basic::{ConvertedType, Repetition, Type as Physical};
use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int32Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::Type;
use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::Path;
use std::sync::Arc;

/// What a column holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Text, never missing.
    Text,
    /// Small whole numbers, never missing.
    Small,
    /// Numbers, some missing.
    Number,
}

/// Cells of one column for some rows.
#[derive(Clone, Debug)]
pub enum Cells<'a> {
    /// For [`Kind::Text`].
    Text(Vec<&'a str>),
    /// For [`Kind::Small`].
    Small(Vec<i32>),
    /// For [`Kind::Number`].
    Number(Vec<Option<f64>>),
}

/// Why a table can't be written.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// The file can't be made or written.
    #[error("the file can't be written")]
    Io(#[from] io::Error),
    /// CSV that can't be written.
    #[error("the file can't be written")]
    Csv(#[from] csv::Error),
    /// Parquet that can't be written.
    #[error("the file can't be written")]
    Parquet(#[from] ParquetError),
}

/// An open table.
pub struct TableWriter(Form);

enum Form {
    Csv(Box<csv::Writer<File>>),
    Parquet(Box<SerializedFileWriter<BufWriter<File>>>),
}

impl std::fmt::Debug for TableWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.0 {
            Form::Csv(_) => "TableWriter(csv)",
            Form::Parquet(_) => "TableWriter(parquet)",
        })
    }
}

impl TableWriter {
    /// Makes the file anew: Parquet where its name ends in `.parquet`, else CSV.
    ///
    /// # Errors
    /// Where it can't be made.
    pub fn create(path: &Path, columns: &[(Arc<str>, Kind)]) -> Result<Self, TableError> {
        let file = File::create(path)?;
        if path.extension().is_none_or(|extension| !extension.eq_ignore_ascii_case("parquet")) {
            let mut writer = csv::WriterBuilder::new().buffer_capacity(1 << 18).from_writer(file);
            writer.write_record(columns.iter().map(|(name, _)| name.as_bytes()))?;
            return Ok(Self(Form::Csv(Box::new(writer))));
        }
        let field = |(name, kind): &(Arc<str>, Kind)| {
            let (physical, repetition) = match kind {
                Kind::Text => (Physical::BYTE_ARRAY, Repetition::REQUIRED),
                Kind::Small => (Physical::INT32, Repetition::REQUIRED),
                Kind::Number => (Physical::DOUBLE, Repetition::OPTIONAL),
            };
            let builder = Type::primitive_type_builder(name, physical).with_repetition(repetition);
            let builder = if *kind == Kind::Text { builder.with_converted_type(ConvertedType::UTF8) } else { builder };
            builder.build().map(Arc::new)
        };
        let fields = columns.iter().map(field).collect::<Result<Vec<_>, _>>()?;
        let schema = Type::group_type_builder("pairs").with_fields(fields).build()?;
        let writer = SerializedFileWriter::new(BufWriter::new(file), Arc::new(schema), Arc::new(WriterProperties::builder().build()))?;
        Ok(Self(Form::Parquet(Box::new(writer))))
    }

    /// Adds rows, given by column in the order of [`TableWriter::create`].
    ///
    /// # Errors
    /// Where the file can't be written.
    pub fn rows(&mut self, cells: &[Cells<'_>]) -> Result<(), TableError> {
        match &mut self.0 {
            Form::Csv(writer) => csv_rows(writer, cells),
            Form::Parquet(writer) => parquet_rows(writer, cells),
        }
    }

    /// Writes the end.
    ///
    /// # Errors
    /// Where the file can't be written.
    pub fn finish(self) -> Result<(), TableError> {
        match self.0 {
            Form::Csv(mut writer) => writer.flush()?,
            Form::Parquet(writer) => writer.into_inner()?.flush()?,
        }
        Ok(())
    }
}

fn csv_rows(writer: &mut csv::Writer<File>, cells: &[Cells<'_>]) -> Result<(), TableError> {
    let count = cells.iter().map(|column| match column {
        Cells::Text(cells) => cells.len(),
        Cells::Small(cells) => cells.len(),
        Cells::Number(cells) => cells.len(),
    });
    let mut text = Vec::with_capacity(32);
    for row in 0..count.min().unwrap_or(0) {
        for column in cells {
            text.clear();
            match column {
                Cells::Text(cells) => text.extend_from_slice(cells.get(row).map_or(b"", |cell| cell.as_bytes())),
                Cells::Small(cells) => write!(text, "{}", cells.get(row).copied().unwrap_or(0))?,
                // The shortest digits that give the same number again.
                Cells::Number(cells) => {
                    if let Some(Some(number)) = cells.get(row) {
                        write!(text, "{number:?}")?;
                    }
                }
            }
            writer.write_field(&text)?;
        }
        writer.write_record(None::<&[u8]>)?;
    }
    Ok(())
}

fn parquet_rows(writer: &mut SerializedFileWriter<BufWriter<File>>, cells: &[Cells<'_>]) -> Result<(), TableError> {
    let mut group = writer.next_row_group()?;
    for column in cells {
        let Some(mut to) = group.next_column()? else { break };
        match column {
            Cells::Text(cells) => {
                let bytes: Vec<ByteArray> = cells.iter().map(|cell| ByteArray::from(*cell)).collect();
                to.typed::<ByteArrayType>().write_batch(&bytes, None, None)?;
            }
            Cells::Small(cells) => {
                to.typed::<Int32Type>().write_batch(cells, None, None)?;
            }
            Cells::Number(cells) => {
                let present: Vec<f64> = cells.iter().flatten().copied().collect();
                let levels: Vec<i16> = cells.iter().map(|cell| i16::from(cell.is_some())).collect();
                to.typed::<DoubleType>().write_batch(&present, Some(&levels), None)?;
            }
        }
        to.close()?;
    }
    group.close()?;
    Ok(())
}
