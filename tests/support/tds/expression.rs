//! T-SQL expressions written as SQLite's, each with its type.

use super::emit::{Emitted, Emitter, Typed};
use super::error::TdsError;
use super::types::Type;
use sqlparser::ast::{
    BinaryOperator, CastKind, CeilFloorKind, DataType, DateTimeField, Expr, InTarget, TrimWhereField, UnaryOperator, Value,
};

/// A text as SQLite writes it.
pub fn literal(text: &str) -> String {
    if text.contains('\0') {
        let hex: String = text.bytes().map(|b| format!("{b:02X}")).collect();
        return format!("CAST(X'{hex}' AS TEXT)");
    }
    format!("'{}'", text.replace('\'', "''"))
}

pub fn parse_type(data_type: &DataType) -> Emitted<Type> {
    let text = data_type.to_string();
    Type::parse(&text).ok_or_else(|| TdsError::new(243, 16, 1, format!("Type {text} is not a defined system type.")))
}

/// A conversion of `sql`.
pub fn cast(sql: &str, from: Type, to: Type) -> String {
    format!("tds_cast({sql}, '{from}', '{to}')")
}

fn number(text: &str) -> Typed {
    let typed = |ty| Typed::never_null(ty);
    if text.contains(['e', 'E']) {
        return typed(Type::Float);
    }
    match text.split_once('.') {
        Some((whole, fraction)) => {
            let whole = whole.trim_start_matches('0').len();
            let scale = fraction.len().min(38);
            typed(Type::Numeric((whole + scale).clamp(1, 38) as u8, scale as u8))
        }
        None if text.parse::<i32>().is_ok() => typed(Type::Int),
        None if text.len() <= 18 => typed(Type::BigInt),
        None => typed(Type::Numeric(text.len().min(38) as u8, 0)),
    }
}

impl Emitter<'_> {
    #[allow(clippy::too_many_lines, clippy::wildcard_enum_match_arm, reason = "one arm for each kind of expression; the rest is refused")]
    pub fn expr(&mut self, expr: &Expr) -> Emitted<(String, Typed)> {
        let truth = Typed::never_null(Type::Bit);
        let not = |negated: bool| if negated { "NOT " } else { "" };
        Ok(match expr {
            Expr::Identifier(name) if name.quote_style.is_none() && name.value.starts_with('@') => self.variable(&name.value)?,
            Expr::Identifier(name) => {
                if name.quote_style.is_none()
                    && self.scopes.iter().all(Vec::is_empty)
                    && name.value.eq_ignore_ascii_case("current_timestamp")
                {
                    return Ok(("tds_now('datetime')".to_owned(), Typed::never_null(Type::DateTime)));
                }
                self.resolve(None, &name.value)?
            }
            Expr::CompoundIdentifier(names) => match names.as_slice() {
                [.., table, name] => self.resolve(Some(&table.value), &name.value)?,
                _ => return Err(TdsError::syntax(expr)),
            },
            Expr::Nested(inner) => {
                let (sql, typed) = self.expr(inner)?;
                (format!("({sql})"), typed)
            }
            Expr::Value(value) => constant(&value.value)?,
            Expr::UnaryOp { op, expr } => {
                let (sql, typed) = self.expr(expr)?;
                match op {
                    UnaryOperator::Not => (format!("NOT ({sql})"), truth),
                    UnaryOperator::Minus => (format!("-({sql})"), Typed { column: false, ..typed }),
                    UnaryOperator::Plus => (sql, typed),
                    UnaryOperator::BitwiseNot => (format!("~({sql})"), Typed { column: false, ..typed }),
                    other => return Err(TdsError::unsupported(format!("{other:?}"))),
                }
            }
            Expr::BinaryOp { left, op, right } => self.binary(left, op, right)?,
            Expr::IsNull(inner) => (format!("({}) IS NULL", self.expr(inner)?.0), truth),
            Expr::IsNotNull(inner) => (format!("({}) IS NOT NULL", self.expr(inner)?.0), truth),
            Expr::IsDistinctFrom(a, b) => (format!("({}) IS NOT ({})", self.expr(a)?.0, self.expr(b)?.0), truth),
            Expr::IsNotDistinctFrom(a, b) => (format!("({}) IS ({})", self.expr(a)?.0, self.expr(b)?.0), truth),
            Expr::In { expr, target, negated, .. } => {
                let (sql, typed) = self.expr(expr)?;
                let collated = collated(&sql, typed);
                match target {
                    InTarget::List(all) => {
                        let mut written = Vec::new();
                        for item in all {
                            written.push(self.expr(item)?.0);
                        }
                        (format!("{collated} {}IN ({})", not(*negated), written.join(", ")), truth)
                    }
                    InTarget::Subquery(query) => {
                        let depth = self.scopes.len();
                        let (query, _) = self.query(query)?;
                        self.scopes.truncate(depth);
                        (format!("{collated} {}IN ({query})", not(*negated)), truth)
                    }
                    other => return Err(TdsError::unsupported(format!("{other:?}"))),
                }
            }
            Expr::Between { expr, negated, low, high } => {
                let (sql, typed) = self.expr(expr)?;
                let (low, high) = (self.expr(low)?.0, self.expr(high)?.0);
                (format!("({} {}BETWEEN {low} AND {high})", collated(&sql, typed), not(*negated)), truth)
            }
            Expr::Like { negated, expr, pattern, escape_char, any: false } => {
                let (sql, pattern) = (self.expr(expr)?.0, self.expr(pattern)?.0);
                let escape = match escape_char {
                    Some(escape) => format!(", {}", self.expr(escape)?.0),
                    None => String::new(),
                };
                (format!("{}tds_like({sql}, {pattern}{escape})", not(*negated)), truth)
            }
            Expr::Exists { subquery, negated } => {
                let depth = self.scopes.len();
                let (sql, _) = self.query(subquery)?;
                self.scopes.truncate(depth);
                (format!("{}EXISTS ({sql})", not(*negated)), truth)
            }
            Expr::Subquery(query) => {
                let depth = self.scopes.len();
                let (sql, columns) = self.query(query)?;
                self.scopes.truncate(depth);
                let [column] = columns.as_slice() else {
                    return Err(TdsError::new(
                        116,
                        16,
                        1,
                        "Only one expression can be specified in the select list when the subquery is not introduced with EXISTS.",
                    ));
                };
                (format!("({sql})"), Typed::new(column.ty))
            }
            Expr::Case { operand, conditions, else_result, .. } => {
                let mut sql = String::from("CASE");
                if let Some(operand) = operand {
                    let (operand, typed) = self.expr(operand)?;
                    sql.push_str(&format!(" {}", collated(&operand, typed)));
                }
                let mut typed = Typed::never_null(Type::Null);
                for when in conditions {
                    let condition = self.expr(&when.condition)?.0;
                    let (result, of) = self.expr(&when.result)?;
                    typed = Typed { ty: typed.ty.meet(of.ty), nullable: typed.nullable | of.nullable, column: false };
                    sql.push_str(&format!(" WHEN {condition} THEN {result}"));
                }
                match else_result {
                    Some(result) => {
                        let (result, of) = self.expr(result)?;
                        typed = Typed { ty: typed.ty.meet(of.ty), nullable: typed.nullable | of.nullable, column: false };
                        sql.push_str(&format!(" ELSE {result}"));
                    }
                    None => typed.nullable = true,
                }
                (format!("({sql} END)"), typed)
            }
            Expr::Cast { kind, expr, data_type, .. } => {
                let (sql, from) = self.expr(expr)?;
                let to = cast_type(parse_type(data_type)?, data_type);
                match kind {
                    CastKind::Cast => (cast(&sql, from.ty, to), Typed { ty: to, nullable: from.nullable, column: false }),
                    CastKind::TryCast => (format!("tds_try_cast({sql}, '{}', '{to}')", from.ty), Typed::new(to)),
                    other => return Err(TdsError::unsupported(format!("{other:?}"))),
                }
            }
            Expr::Convert { is_try, expr, data_type: Some(data_type), styles, .. } => {
                let (sql, from) = self.expr(expr)?;
                let to = cast_type(parse_type(data_type)?, data_type);
                let style = match styles.first() {
                    Some(style) => format!(", {}", self.expr(style)?.0),
                    None => String::new(),
                };
                let name = if *is_try { "tds_try_cast" } else { "tds_cast" };
                (
                    format!("{name}({sql}, '{}', '{to}'{style})", from.ty),
                    Typed { ty: to, nullable: from.nullable || *is_try, column: false },
                )
            }
            Expr::Collate { expr, collation } => {
                let (sql, typed) = self.expr(expr)?;
                (format!("{sql} COLLATE {}", collation_of(&collation.to_string())), typed)
            }
            Expr::Function(function) => self.function(function)?,
            Expr::Floor { expr, field: CeilFloorKind::DateTimeField(DateTimeField::NoDateTime) } => self.rounded("floor", expr)?,
            Expr::Ceil { expr, field: CeilFloorKind::DateTimeField(DateTimeField::NoDateTime) } => self.rounded("ceil", expr)?,
            Expr::Substring { expr, substring_from: Some(from), substring_for: Some(length), .. } => {
                let (sql, typed) = self.expr(expr)?;
                let (from, length) = (self.expr(from)?.0, self.expr(length)?.0);
                (format!("tds_substring({sql}, {from}, {length})"), Typed::new(varying(typed.ty)))
            }
            Expr::Trim { trim_where, trim_what, expr, .. } => {
                let (sql, typed) = self.expr(expr)?;
                let name = match trim_where {
                    Some(TrimWhereField::Leading) => "ltrim",
                    Some(TrimWhereField::Trailing) => "rtrim",
                    _ => "trim",
                };
                let what = match trim_what {
                    Some(what) => format!(", {}", self.expr(what)?.0),
                    None => String::new(),
                };
                (format!("{name}({sql}{what})"), Typed { ty: varying(typed.ty), nullable: typed.nullable, column: false })
            }
            Expr::AtTimeZone { timestamp, time_zone } => {
                let (sql, typed) = self.expr(timestamp)?;
                let zone = self.expr(time_zone)?.0;
                let scale = match typed.ty {
                    Type::DateTime2(s) | Type::DateTimeOffset(s) => s,
                    _ => 3,
                };
                (
                    format!("tds_at_utc({sql}, {zone}, {scale})"),
                    Typed { ty: Type::DateTimeOffset(scale), nullable: typed.nullable, column: false },
                )
            }
            other => return Err(TdsError::unsupported(other)),
        })
    }

    fn rounded(&mut self, name: &str, expr: &Expr) -> Emitted<(String, Typed)> {
        let (sql, typed) = self.expr(expr)?;
        let ty = match typed.ty {
            Type::Decimal(p, _) | Type::Numeric(p, _) => Type::Numeric(p, 0),
            other => other,
        };
        Ok((format!("{name}({sql})"), Typed { ty, nullable: typed.nullable, column: false }))
    }

    fn variable(&mut self, name: &str) -> Emitted<(String, Typed)> {
        let name = name.to_lowercase();
        if let Some(global) = name.strip_prefix("@@") {
            let ty = match global {
                "trancount" | "rowcount" | "error" | "fetch_status" | "lock_timeout" | "textsize" | "max_precision" => Type::Int,
                "spid" | "options" => Type::SmallInt,
                "version" => Type::NVarChar(Some(300)),
                "servername" | "servicename" => Type::NVarChar(Some(128)),
                "identity" => Type::Numeric(38, 0),
                "dbts" => Type::VarBinary(Some(8)),
                "language" => Type::NVarChar(Some(128)),
                _ => return Err(TdsError::undeclared(&name)),
            };
            return Ok((format!("tds_global('{global}')"), Typed::new(ty)));
        }
        let ty = self.names().variable(&name).ok_or_else(|| TdsError::undeclared(&name))?;
        Ok((name, Typed::new(ty)))
    }

    #[allow(clippy::wildcard_enum_match_arm, reason = "T-SQL has few of the operators of all dialects; the rest is refused")]
    fn binary(&mut self, left: &Expr, op: &BinaryOperator, right: &Expr) -> Emitted<(String, Typed)> {
        let (l, left) = self.expr(left)?;
        let (r, right) = self.expr(right)?;
        let nullable = left.nullable | right.nullable;
        let truth = Typed { ty: Type::Bit, nullable, column: false };
        let met = left.ty.meet(right.ty);
        let arithmetic = |sql: String, ty: Type| Ok((sql, Typed { ty, nullable, column: false }));
        let word = match op {
            BinaryOperator::And => return Ok((format!("({l} AND {r})"), truth)),
            BinaryOperator::Or => return Ok((format!("({l} OR {r})"), truth)),
            BinaryOperator::Eq => "=",
            BinaryOperator::NotEq => "<>",
            BinaryOperator::Lt => "<",
            BinaryOperator::LtEq => "<=",
            BinaryOperator::Gt => ">",
            BinaryOperator::GtEq => ">=",
            BinaryOperator::Plus if met.is_text() => {
                let total = left.ty.limit().zip(right.ty.limit()).map(|(a, b)| a + b);
                let ty = match (met.is_wide(), total) {
                    (true, Some(n)) => Type::NVarChar(Some(n.min(4000) as u16)),
                    (false, Some(n)) => Type::VarChar(Some(n.min(8000) as u16)),
                    (true, None) => Type::NVarChar(None),
                    (false, None) => Type::VarChar(None),
                };
                return arithmetic(format!("({l} || {r})"), ty);
            }
            BinaryOperator::Plus if met.is_binary() => return arithmetic(format!("tds_join({l}, {r})"), Type::VarBinary(Some(8000))),
            BinaryOperator::Plus => return arithmetic(format!("({l} + {r})"), sum(left.ty, right.ty)),
            BinaryOperator::Minus => return arithmetic(format!("({l} - {r})"), sum(left.ty, right.ty)),
            BinaryOperator::Multiply => {
                let ty = match (left.ty.decimal(), right.ty.decimal()) {
                    (None, None) => met,
                    (a, b) => {
                        let scale = a.map_or(0, |d| d.1) + b.map_or(0, |d| d.1);
                        if matches!(met, Type::Real | Type::Float | Type::Money) { met } else { Type::Numeric(38, scale.min(18)) }
                    }
                };
                return arithmetic(format!("({l} * {r})"), ty);
            }
            BinaryOperator::Divide | BinaryOperator::Modulo => {
                let ty = if met.decimal().is_some() && met != Type::Money { Type::Numeric(38, 6) } else { met };
                let name = if *op == BinaryOperator::Divide { "tds_divide" } else { "tds_modulo" };
                return arithmetic(format!("{name}({l}, {r}, '{met}')"), ty);
            }
            BinaryOperator::BitwiseAnd => return arithmetic(format!("({l} & {r})"), met),
            BinaryOperator::BitwiseOr => return arithmetic(format!("({l} | {r})"), met),
            BinaryOperator::BitwiseXor => return arithmetic(format!("(({l} | {r}) - ({l} & {r}))"), met),
            other => return Err(TdsError::unsupported(other)),
        };
        let l = if right.column || l.to_uppercase().contains(" COLLATE ") || r.to_uppercase().contains(" COLLATE ") {
            l
        } else {
            collated(&l, Typed { ty: met, ..left })
        };
        Ok((format!("({l} {word} {r})"), truth))
    }
}

fn sum(a: Type, b: Type) -> Type {
    match a.meet(b) {
        Type::Decimal(p, s) | Type::Numeric(p, s) => Type::Numeric((p + 1).min(38), s),
        Type::Null => Type::Int,
        other => other,
    }
}

/// `CAST(x AS varchar)` without a length has 30.
fn cast_type(ty: Type, written: &DataType) -> Type {
    if written.to_string().contains('(') {
        return ty;
    }
    match ty {
        Type::Char(_) => Type::Char(30),
        Type::VarChar(_) => Type::VarChar(Some(30)),
        Type::NChar(_) => Type::NChar(30),
        Type::NVarChar(Some(1)) => Type::NVarChar(Some(30)),
        Type::Binary(_) => Type::Binary(30),
        Type::VarBinary(_) => Type::VarBinary(Some(30)),
        other => other,
    }
}

/// `char` becomes `varchar` where a function shortens it.
pub fn varying(ty: Type) -> Type {
    match ty {
        Type::Char(n) => Type::VarChar(Some(n)),
        Type::NChar(n) => Type::NVarChar(Some(n)),
        Type::Binary(n) => Type::VarBinary(Some(n)),
        t if t.is_text() || t.is_binary() => t,
        _ => Type::VarChar(Some(8000)),
    }
}

/// The peer's collation for a collation of SQL Server.
pub fn collation_of(name: &str) -> &'static str {
    let name = name.to_uppercase();
    if name.contains("_BIN") {
        "tds_bin"
    } else if name.contains("_CS") {
        "tds_cs"
    } else {
        "tds_ci"
    }
}

/// With the collation of its type, where no column brings one.
pub fn collated(sql: &str, typed: Typed) -> String {
    if typed.column {
        return sql.to_owned();
    }
    match typed.ty.storage().split_once("COLLATE ") {
        Some((_, collation)) => format!("({sql}) COLLATE {collation}"),
        None => sql.to_owned(),
    }
}

fn constant(value: &Value) -> Emitted<(String, Typed)> {
    let text = |t: &str, wide: bool| {
        let units = if wide { t.encode_utf16().count() } else { t.chars().count() };
        let most = if wide { 4000 } else { 8000 };
        let length = if units > most { None } else { Some(units.max(1) as u16) };
        Typed::never_null(if wide { Type::NVarChar(length) } else { Type::VarChar(length) })
    };
    Ok(match value {
        Value::Number(n, _) => (n.clone(), number(n)),
        Value::SingleQuotedString(t) => (literal(t), text(t, false)),
        Value::NationalStringLiteral(t) => (literal(t), text(t, true)),
        Value::HexStringLiteral(hex) => {
            let hex = if hex.len() % 2 == 1 { format!("0{hex}") } else { hex.clone() };
            (format!("X'{hex}'"), Typed::never_null(Type::VarBinary(Some((hex.len() / 2).clamp(1, 8000) as u16))))
        }
        Value::Null => ("NULL".to_owned(), Typed::new(Type::Null)),
        other => return Err(TdsError::syntax(other)),
    })
}
