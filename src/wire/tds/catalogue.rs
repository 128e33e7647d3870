//! What the live catalogue says of tables and procedures. Only views that every engine has are needed; the rest is asked for and may be unknown.

use super::cell::{number_at as number, text_at as text};
use super::column::{Column, Default};
use super::fault::TdsFault;
use super::session::{Answered, Row, Session};
use super::sql_type::SqlType;
use crate::declare::connector::{ObjectName, text_literal};
use std::sync::Arc;

/// What the login may do with an object; `None` where the server does not tell.
#[derive(Clone, Copy, PartialEq, Eq, Debug, std::default::Default)]
pub struct Rights {
    /// `SELECT`
    pub select: Option<bool>,
    /// `INSERT`
    pub insert: Option<bool>,
    /// `UPDATE`
    pub update: Option<bool>,
    /// `DELETE`
    pub delete: Option<bool>,
}

/// A table or view.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TableShape {
    /// Its name.
    pub name: ObjectName,
    /// Its columns, in their order.
    pub columns: Vec<Column>,
    /// The columns of each unique index or key; `None` where the server does not tell.
    pub unique: Option<Vec<Vec<Arc<str>>>>,
    /// What the login may do.
    pub rights: Rights,
    /// Triggers that are on.
    pub triggers: Vec<Arc<str>>,
}

/// A procedure.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Procedure {
    /// Its name.
    pub name: ObjectName,
    /// Its parameters in order, each as the column that would hold it (named without `@`), and whether it comes back.
    pub parameters: Vec<(Column, bool)>,
}

/// The collation of temporary tables; `None` where the server does not tell.
///
/// # Errors
/// When the connection breaks.
pub async fn stage_collation(session: &mut Session) -> Result<Option<Arc<str>>, TdsFault> {
    let rows = tolerant(session, "SELECT CAST(DATABASEPROPERTYEX(N'tempdb', 'Collation') AS nvarchar(128)) AS collation").await?;
    Ok(rows.unwrap_or_default().first().and_then(|row| text(row, 0)).map(Into::into))
}

/// A column by its name; SQL Server's usual collations ignore case, so that is the second try.
pub fn column_named<'a>(columns: &'a [Column], name: &str) -> Option<&'a Column> {
    let exact = columns.iter().find(|column| *column.name == *name);
    exact.or_else(|| columns.iter().find(|column| column.name.eq_ignore_ascii_case(name)))
}

impl TableShape {
    /// A column by its name ([`column_named`]).
    pub fn column(&self, name: &str) -> Option<&Column> {
        column_named(&self.columns, name)
    }

    /// Whether no two rows can have the same values in these columns; `None` where the server does not tell.
    pub fn is_unique(&self, columns: &[Arc<str>]) -> Option<bool> {
        let unique = self.unique.as_ref()?;
        let among = |name: &Arc<str>| columns.iter().any(|column| column.eq_ignore_ascii_case(name));
        Some(unique.iter().any(|key| !key.is_empty() && key.iter().all(among)))
    }

    /// The column that the server changes with each write.
    pub fn row_version(&self) -> Option<&Column> {
        self.columns.iter().find(|column| column.sql_type == SqlType::RowVersion)
    }
}

fn first(mut answered: Vec<Answered>) -> Vec<Row> {
    if answered.is_empty() { Vec::new() } else { answered.swap_remove(0).rows }
}

/// A question that an engine may not know; then there is no answer.
async fn tolerant(session: &mut Session, sql: &str) -> Result<Option<Vec<Row>>, TdsFault> {
    match session.batch(sql).await {
        Ok(answered) => Ok(Some(first(answered))),
        Err(TdsFault::Server { class, .. }) if class < 20 => Ok(None),
        Err(fault) => Err(fault),
    }
}

/// A table or view; `None` where there is none of that name, or none that this login may see.
///
/// # Errors
/// When the server can't be asked.
pub async fn table(session: &mut Session, name: &ObjectName) -> Result<Option<TableShape>, TdsFault> {
    let object = format!("OBJECT_ID({})", text_literal(&name.sql()));
    let columns = format!(
        "SELECT c.name, TYPE_NAME(c.user_type_id), TYPE_NAME(c.system_type_id), CAST(c.max_length AS int), CAST(c.precision AS int), \
         CAST(c.scale AS int), CAST(c.is_nullable AS int), CAST(c.is_identity AS int), CAST(c.is_computed AS int), \
         CAST(c.default_object_id AS int), c.collation_name FROM sys.columns AS c WHERE c.object_id = {object} ORDER BY c.column_id"
    );
    let rows = first(session.batch(&columns).await?);
    if rows.is_empty() {
        return Ok(None);
    }
    let pages = code_pages(session, &rows).await?;
    let columns = rows.iter().filter_map(|row| column(row, &pages)).collect();
    let keys = format!(
        "SELECT CAST(i.index_id AS int), c.name FROM sys.indexes AS i \
         JOIN sys.index_columns AS ic ON ic.object_id = i.object_id AND ic.index_id = i.index_id \
         JOIN sys.columns AS c ON c.object_id = ic.object_id AND c.column_id = ic.column_id \
         WHERE i.object_id = {object} AND i.is_unique = 1 AND ic.is_included_column = 0"
    );
    // A filtered unique index holds for some rows only.
    let filtered = tolerant(session, &format!("{keys} AND i.has_filter = 0 ORDER BY i.index_id, ic.key_ordinal")).await?;
    let keys = match filtered {
        Some(rows) => Some(rows),
        None => tolerant(session, &format!("{keys} ORDER BY i.index_id, ic.key_ordinal")).await?,
    };
    let mut unique = grouped(keys);
    if unique.as_ref().is_none_or(Vec::is_empty) {
        let constraints = format!(
            "SELECT k.CONSTRAINT_NAME, k.COLUMN_NAME FROM INFORMATION_SCHEMA.TABLE_CONSTRAINTS AS t \
             JOIN INFORMATION_SCHEMA.KEY_COLUMN_USAGE AS k ON k.CONSTRAINT_NAME = t.CONSTRAINT_NAME AND k.TABLE_SCHEMA = t.TABLE_SCHEMA \
             AND k.TABLE_NAME = t.TABLE_NAME WHERE t.TABLE_SCHEMA = {} AND t.TABLE_NAME = {} AND t.CONSTRAINT_TYPE IN ('PRIMARY KEY', 'UNIQUE') \
             ORDER BY k.CONSTRAINT_NAME, k.ORDINAL_POSITION",
            text_literal(&name.schema),
            text_literal(&name.name)
        );
        let told = grouped(tolerant(session, &constraints).await?);
        // An engine may know that there is a unique index and not of which columns: then nothing is known for sure.
        let hidden = format!("SELECT CAST(COUNT(*) AS int) FROM sys.indexes AS i WHERE i.object_id = {object} AND i.is_unique = 1");
        let hidden = tolerant(session, &hidden).await?.is_none_or(|rows| rows.first().and_then(|row| number(row, 0)) != Some(0));
        unique = match told {
            Some(told) if !told.is_empty() => Some(told),
            Some(_) | None if hidden => None,
            Some(_) | None => unique,
        };
    }
    let rights = rights(session, name).await?;
    let triggers = tolerant(
        session,
        &format!("SELECT t.name FROM sys.triggers AS t WHERE t.parent_id = {object} AND t.is_disabled = 0 ORDER BY t.name"),
    )
    .await?;
    let triggers = triggers.unwrap_or_default().iter().filter_map(|row| text(row, 0)).map(Arc::from).collect();
    Ok(Some(TableShape { name: name.clone(), columns, unique, rights, triggers }))
}

/// What the login may do with a table.
async fn rights(session: &mut Session, name: &ObjectName) -> Result<Rights, TdsFault> {
    let object = text_literal(&name.sql());
    let may = |right: &str| format!("CAST(HAS_PERMS_BY_NAME({object}, 'OBJECT', '{right}') AS int)");
    let rows = tolerant(session, &format!("SELECT {}, {}, {}, {}", may("SELECT"), may("INSERT"), may("UPDATE"), may("DELETE"))).await?;
    let rows = rows.unwrap_or_default();
    let at = |place| rows.first().and_then(|row| number(row, place)).map(|truth| truth == 1);
    Ok(Rights { select: at(0), insert: at(1), update: at(2), delete: at(3) })
}

/// The code page of each collation of the columns.
async fn code_pages(session: &mut Session, rows: &[Row]) -> Result<Vec<(String, u32)>, TdsFault> {
    let mut collations: Vec<String> = rows.iter().filter_map(|row| text(row, 10)).collect();
    collations.sort();
    collations.dedup();
    let mut pages = Vec::new();
    for collation in collations {
        let asked = format!("SELECT CAST(COLLATIONPROPERTY({}, 'CodePage') AS int)", text_literal(&collation));
        let rows = tolerant(session, &asked).await?.unwrap_or_default();
        if let Some(page) = rows.first().and_then(|row| number(row, 0)).and_then(|page| u32::try_from(page).ok()) {
            // Collations that know Unicode only have the page 0; `varchar` columns can't have one.
            pages.push((collation, page));
        }
    }
    Ok(pages)
}

fn column(row: &Row, pages: &[(String, u32)]) -> Option<Column> {
    let small = |at| number(row, at).and_then(|n| u8::try_from(n).ok()).unwrap_or_default();
    let length = number(row, 3).and_then(|n| i32::try_from(n).ok()).unwrap_or_default();
    // The name of an alias type means nothing; that of its base does.
    let (own, base) = (text(row, 1), text(row, 2));
    let of = |name: &Option<String>| name.as_deref().map_or(SqlType::Other, |name| SqlType::of(name, length, small(4), small(5)));
    let (sql_type, type_name) = match (of(&own), of(&base)) {
        (SqlType::Other, base_type) if base_type != SqlType::Other => (base_type, base),
        (own_type, _) => (own_type, own),
    };
    let is = |at| number(row, at).is_some_and(|n| n != 0);
    let default = if is(7) || is(8) || sql_type == SqlType::RowVersion {
        Default::Generated
    } else if is(9) {
        Default::Declared
    } else {
        Default::None
    };
    let collation = text(row, 10);
    let code_page = collation.as_ref().and_then(|name| pages.iter().find(|(known, _)| known == name)).map(|(_, page)| *page);
    Some(Column {
        name: text(row, 0)?.into(),
        sql_type,
        type_name: type_name.unwrap_or_default().into(),
        nullable: is(6),
        default,
        collation: collation.map(Into::into),
        code_page,
    })
}

/// Columns by index or constraint.
fn grouped(rows: Option<Vec<Row>>) -> Option<Vec<Vec<Arc<str>>>> {
    let mut groups: Vec<(String, Vec<Arc<str>>)> = Vec::new();
    for row in rows? {
        let (Some(of), Some(column)) = (text(&row, 0), text(&row, 1)) else { continue };
        match groups.last_mut() {
            Some((last, columns)) if *last == of => columns.push(column.into()),
            _ => groups.push((of, vec![column.into()])),
        }
    }
    Some(groups.into_iter().map(|(_, columns)| columns).collect())
}

/// A procedure; `None` where there is none of that name.
///
/// # Errors
/// When the server can't be asked.
pub async fn procedure(session: &mut Session, name: &ObjectName) -> Result<Option<Procedure>, TdsFault> {
    let object = text_literal(&name.sql());
    let there = first(session.batch(&format!("SELECT CAST(OBJECT_ID({object}) AS int)")).await?);
    if there.first().and_then(|row| number(row, 0)).is_none() {
        return Ok(None);
    }
    let asked = format!(
        "SELECT PARAMETER_NAME, DATA_TYPE, CAST(CHARACTER_MAXIMUM_LENGTH AS int), CAST(NUMERIC_PRECISION AS int), CAST(NUMERIC_SCALE AS int), \
         PARAMETER_MODE, CAST(DATETIME_PRECISION AS int) FROM INFORMATION_SCHEMA.PARAMETERS WHERE SPECIFIC_SCHEMA = {} AND SPECIFIC_NAME = {} \
         AND ORDINAL_POSITION > 0 ORDER BY ORDINAL_POSITION",
        text_literal(&name.schema),
        text_literal(&name.name)
    );
    let rows = match tolerant(session, &asked).await? {
        Some(rows) if !rows.is_empty() => rows,
        // Not every engine has the one view, and not every one the other; a procedure may have no parameters at all.
        Some(_) | None => {
            let asked = format!(
                "SELECT p.name, TYPE_NAME(p.user_type_id), CASE WHEN TYPE_NAME(p.user_type_id) IN ('nvarchar', 'nchar', 'sysname') AND p.max_length > 0 \
                 THEN CAST(p.max_length AS int) / 2 ELSE CAST(p.max_length AS int) END, CAST(p.precision AS int), CAST(p.scale AS int), \
                 CASE WHEN p.is_output = 1 THEN 'INOUT' ELSE 'IN' END, CAST(p.scale AS int) FROM sys.parameters AS p \
                 WHERE p.object_id = OBJECT_ID({object}) AND p.parameter_id > 0 ORDER BY p.parameter_id"
            );
            tolerant(session, &asked).await?.unwrap_or_default()
        }
    };
    let parameters = rows.iter().filter_map(parameter).collect();
    Ok(Some(Procedure { name: name.clone(), parameters }))
}

fn parameter(row: &Row) -> Option<(Column, bool)> {
    let type_name = text(row, 1)?;
    // Here lengths are characters, in the catalogue's own columns they are bytes.
    let characters = number(row, 2).and_then(|n| i32::try_from(n).ok()).unwrap_or(-1);
    let wide = matches!(type_name.to_ascii_lowercase().as_str(), "nvarchar" | "nchar" | "sysname");
    let bytes = if wide && characters > 0 { characters.saturating_mul(2) } else { characters };
    let small = |at| number(row, at).and_then(|n| u8::try_from(n).ok());
    let scale =
        if type_name.to_ascii_lowercase().starts_with("date") || type_name.eq_ignore_ascii_case("time") { small(6) } else { small(4) };
    let sql_type = SqlType::of(&type_name, bytes, small(3).unwrap_or(18), scale.unwrap_or_default());
    let name = text(row, 0)?;
    let column = Column {
        name: name.strip_prefix('@').unwrap_or(&name).into(),
        sql_type,
        type_name: type_name.into(),
        nullable: true,
        default: Default::None,
        collation: None,
        code_page: None,
    };
    Some((column, text(row, 5).is_some_and(|mode| mode.to_ascii_uppercase().contains("OUT"))))
}
