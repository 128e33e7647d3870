//! Calls of T-SQL's own functions, written as calls of SQLite's or of the peer's (`functions.rs`).

use super::emit::{Emitted, Emitter, Typed};
use super::error::TdsError;
use super::expression::varying;
use super::types::Type;
use sqlparser::ast::{DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, WindowType};

fn arguments(function: &Function) -> Emitted<(Vec<&FunctionArgExpr>, bool)> {
    match &function.args {
        FunctionArguments::None => Ok((Vec::new(), false)),
        FunctionArguments::List(list) => {
            let mut all = Vec::new();
            for argument in &list.args {
                match argument {
                    FunctionArg::Unnamed(expr) => all.push(expr),
                    other => return Err(TdsError::unsupported(other)),
                }
            }
            Ok((all, list.duplicate_treatment == Some(DuplicateTreatment::Distinct)))
        }
        FunctionArguments::Subquery(query) => Err(TdsError::unsupported(query)),
    }
}

/// The unit of DATEADD and its kin, which is a bare word.
fn unit(argument: Option<&&FunctionArgExpr>) -> Emitted<String> {
    match argument {
        Some(FunctionArgExpr::Expr(Expr::Identifier(name))) => Ok(match name.value.to_lowercase().as_str() {
            "yy" | "yyyy" | "year" => "year",
            "qq" | "q" | "quarter" => "quarter",
            "mm" | "m" | "month" => "month",
            "dd" | "d" | "day" | "dy" | "y" | "dayofyear" => "day",
            "wk" | "ww" | "week" => "week",
            "hh" | "hour" => "hour",
            "mi" | "n" | "minute" => "minute",
            "ss" | "s" | "second" => "second",
            "ms" | "millisecond" => "millisecond",
            "mcs" | "microsecond" => "microsecond",
            "ns" | "nanosecond" => "nanosecond",
            other => return Err(TdsError::new(155, 15, 1, format!("'{other}' is not a recognized datepart option."))),
        }
        .to_owned()),
        _ => Err(TdsError::new(1023, 15, 1, "Invalid parameter 1 specified for datepart.")),
    }
}

impl Emitter<'_> {
    #[allow(clippy::too_many_lines, reason = "one line for each function")]
    pub fn function(&mut self, function: &Function) -> Emitted<(String, Typed)> {
        let name = function.name.to_string().to_uppercase().replace(['[', ']'], "");
        let (given, distinct) = arguments(function)?;
        if ["DATEADD", "DATEDIFF", "DATEDIFF_BIG", "DATEPART", "DATENAME"].contains(&name.as_str()) {
            let unit = unit(given.first())?;
            let mut rest = Vec::new();
            for argument in given.iter().skip(1) {
                let FunctionArgExpr::Expr(expr) = argument else { return Err(TdsError::syntax(argument)) };
                rest.push(self.expr(expr)?);
            }
            let sql = rest.iter().map(|(sql, _)| sql.as_str()).collect::<Vec<_>>().join(", ");
            return Ok(match name.as_str() {
                "DATEADD" => {
                    let ty = rest.get(1).map_or(Type::DateTime, |(_, t)| if t.ty.is_temporal() { t.ty } else { Type::DateTime });
                    (format!("tds_dateadd('{unit}', {sql}, '{ty}')"), Typed::new(ty))
                }
                "DATEDIFF" => (format!("tds_datediff('{unit}', {sql})"), Typed::new(Type::Int)),
                "DATEDIFF_BIG" => (format!("tds_datediff('{unit}', {sql})"), Typed::new(Type::BigInt)),
                "DATENAME" => (format!("CAST(tds_datepart('{unit}', {sql}) AS TEXT)"), Typed::new(Type::NVarChar(Some(30)))),
                _ => (format!("tds_datepart('{unit}', {sql})"), Typed::new(Type::Int)),
            });
        }
        let mut args: Vec<(String, Typed)> = Vec::new();
        let mut star = false;
        for argument in &given {
            match argument {
                FunctionArgExpr::Expr(expr) => args.push(self.expr(expr)?),
                FunctionArgExpr::Wildcard => star = true,
                other => return Err(TdsError::unsupported(other)),
            }
        }
        let over = self.over(function)?;
        let sql = |at: usize| args.get(at).map_or("NULL", |(sql, _)| sql.as_str());
        let typed = |at: usize| args.get(at).map_or(Typed::new(Type::Null), |(_, typed)| *typed);
        let list = || args.iter().map(|(sql, _)| sql.as_str()).collect::<Vec<_>>().join(", ");
        let distinct = if distinct { "DISTINCT " } else { "" };
        let nullable = args.iter().any(|(_, t)| t.nullable);
        let of = |ty: Type| Typed { ty, nullable, column: false };
        let met = || args.iter().fold(Type::Null, |ty, (_, t)| ty.meet(t.ty));
        let session = |ty: Type| (format!("tds_session('{}')", name.to_lowercase()), Typed::new(ty));
        let sysname = Type::NVarChar(Some(128));
        Ok(match name.as_str() {
            "COUNT" | "COUNT_BIG" => {
                let inner = if star { "*".to_owned() } else { format!("{distinct}{}", list()) };
                let ty = if name == "COUNT" { Type::Int } else { Type::BigInt };
                (format!("COUNT({inner}){over}"), Typed::never_null(ty))
            }
            "SUM" => {
                let ty = match typed(0).ty {
                    t @ (Type::BigInt | Type::Money | Type::SmallMoney) => t,
                    t if t.is_integer() => Type::Int,
                    Type::Decimal(_, s) | Type::Numeric(_, s) => Type::Decimal(38, s),
                    _ => Type::Float,
                };
                (format!("SUM({distinct}{}){over}", list()), Typed::new(ty))
            }
            "AVG" => match typed(0).ty {
                t if t.is_integer() => {
                    let ty = if t == Type::BigInt { t } else { Type::Int };
                    (format!("CAST(AVG({distinct}{}){over} AS INTEGER)", list()), Typed::new(ty))
                }
                Type::Decimal(_, s) | Type::Numeric(_, s) => {
                    (format!("AVG({distinct}{}){over}", list()), Typed::new(Type::Decimal(38, s.max(6))))
                }
                other => {
                    (format!("AVG({distinct}{}){over}", list()), Typed::new(if other.decimal().is_some() { other } else { Type::Float }))
                }
            },
            "MIN" | "MAX" => (format!("{name}({distinct}{}){over}", list()), Typed::new(typed(0).ty)),
            "STRING_AGG" => (format!("group_concat({})", list()), Typed::new(Type::NVarChar(None))),
            "ROW_NUMBER" | "RANK" | "DENSE_RANK" | "NTILE" => (format!("{name}({}){over}", list()), Typed::never_null(Type::BigInt)),
            "LAG" | "LEAD" | "FIRST_VALUE" | "LAST_VALUE" => (format!("{name}({}){over}", list()), Typed::new(typed(0).ty)),
            "ISNULL" => {
                let (a, b) = (typed(0), typed(1));
                let ty = if a.ty == Type::Null { b.ty } else { a.ty };
                (format!("ifnull({}, {})", sql(0), sql(1)), Typed { ty, nullable: a.nullable && b.nullable, column: false })
            }
            "COALESCE" => {
                (format!("coalesce({})", list()), Typed { ty: met(), nullable: args.iter().all(|(_, t)| t.nullable), column: false })
            }
            "NULLIF" => (format!("nullif({})", list()), Typed::new(typed(0).ty)),
            "IIF" => (format!("iif({})", list()), of(typed(1).ty.meet(typed(2).ty))),
            "LEN" => (format!("tds_len({})", sql(0)), of(if typed(0).ty.limit().is_none() { Type::BigInt } else { Type::Int })),
            "DATALENGTH" => (
                format!("tds_datalength({}, '{}')", sql(0), typed(0).ty),
                of(if typed(0).ty.is_text() && typed(0).ty.limit().is_none() { Type::BigInt } else { Type::Int }),
            ),
            "UPPER" | "LOWER" => (format!("tds_{}({})", name.to_lowercase(), sql(0)), of(varying(typed(0).ty))),
            "LTRIM" | "RTRIM" | "TRIM" => (format!("{name}({})", list()), of(varying(typed(0).ty))),
            "SUBSTRING" => (format!("tds_substring({})", list()), of(varying(typed(0).ty))),
            "LEFT" => (format!("tds_substring({}, 1, {})", sql(0), sql(1)), of(varying(typed(0).ty))),
            "RIGHT" => (format!("tds_right({})", list()), of(varying(typed(0).ty))),
            "REPLACE" => (format!("replace({})", list()), of(met_text(typed(0).ty))),
            "CHARINDEX" => (format!("tds_charindex({})", list()), of(Type::Int)),
            "CONCAT" => {
                let parts: Vec<String> =
                    args.iter().map(|(sql, t)| format!("coalesce(tds_cast({sql}, '{}', 'nvarchar(max)'), '')", t.ty)).collect();
                let total = args.iter().map(|(_, t)| t.ty.limit()).try_fold(0, |n, l| l.map(|l| n + l));
                (format!("({})", parts.join(" || ")), Typed::never_null(Type::NVarChar(total.map(|n| n.clamp(1, 4000) as u16))))
            }
            "CHAR" | "NCHAR" => (format!("char({})", sql(0)), of(if name == "CHAR" { Type::Char(1) } else { Type::NChar(1) })),
            "ASCII" | "UNICODE" => (format!("unicode({})", sql(0)), of(Type::Int)),
            "QUOTENAME" => (format!("('[' || replace({}, ']', ']]') || ']')", sql(0)), of(Type::NVarChar(Some(258)))),
            "REPLICATE" => (format!("tds_replicate({})", list()), of(varying(typed(0).ty).meet(Type::VarChar(Some(8000))))),
            "ABS" | "SIGN" => (format!("{name}({})", sql(0)), of(typed(0).ty)),
            "ROUND" => (format!("round({}, {})", sql(0), sql(1)), of(typed(0).ty)),
            "CEILING" | "FLOOR" => (format!("{}({})", if name == "FLOOR" { "floor" } else { "ceil" }, sql(0)), of(typed(0).ty)),
            "NEWID" => ("tds_newid()".to_owned(), Typed::never_null(Type::Guid)),
            "HASHBYTES" => (format!("tds_hashbytes({}, {}, '{}')", sql(0), sql(1), typed(1).ty), Typed::new(Type::VarBinary(Some(8000)))),
            "GETDATE" | "GETUTCDATE" | "CURRENT_TIMESTAMP" => ("tds_now('datetime')".to_owned(), Typed::never_null(Type::DateTime)),
            "SYSDATETIME" | "SYSUTCDATETIME" => ("tds_now('datetime2(7)')".to_owned(), Typed::never_null(Type::DateTime2(7))),
            "SYSDATETIMEOFFSET" => ("tds_now('datetimeoffset(7)')".to_owned(), Typed::never_null(Type::DateTimeOffset(7))),
            "YEAR" | "MONTH" | "DAY" => (format!("tds_datepart('{}', {})", name.to_lowercase(), sql(0)), of(Type::Int)),
            "TODATETIMEOFFSET" | "SWITCHOFFSET" => (format!("tds_{}({})", name.to_lowercase(), list()), of(Type::DateTimeOffset(7))),
            "ISJSON" => (format!("json_valid({})", sql(0)), of(Type::Int)),
            "ISNUMERIC" => (format!("(tds_try_cast({}, '{}', 'float') IS NOT NULL)", sql(0), typed(0).ty), Typed::never_null(Type::Int)),
            "OBJECT_ID" => (format!("tds_object_id({})", list()), Typed::new(Type::Int)),
            "OBJECT_NAME" => (format!("tds_object_name({})", sql(0)), Typed::new(sysname)),
            "OBJECT_SCHEMA_NAME" => (format!("tds_object_schema({})", sql(0)), Typed::new(sysname)),
            "SCHEMA_ID" => (format!("tds_schema_id({})", if args.is_empty() { "'dbo'" } else { sql(0) }), Typed::new(Type::Int)),
            "SCHEMA_NAME" => (format!("tds_schema_name({})", if args.is_empty() { "1" } else { sql(0) }), Typed::new(sysname)),
            "TYPE_NAME" => (format!("tds_type_name({})", sql(0)), Typed::new(sysname)),
            "TYPE_ID" => (format!("tds_type_id({})", sql(0)), Typed::new(Type::Int)),
            "COL_LENGTH" => (format!("tds_col_length({})", list()), Typed::new(Type::SmallInt)),
            "COL_NAME" => (format!("tds_col_name({})", list()), Typed::new(sysname)),
            "COLUMNPROPERTY" | "OBJECTPROPERTY" | "INDEXPROPERTY" | "COLLATIONPROPERTY" | "DATABASEPROPERTYEX" | "SERVERPROPERTY"
            | "CONNECTIONPROPERTY" | "OBJECTPROPERTYEX" | "HAS_PERMS_BY_NAME" | "IS_MEMBER" | "IS_ROLEMEMBER" | "IS_SRVROLEMEMBER"
            | "HAS_DBACCESS" | "DB_ID" | "DB_NAME" => property(&name, &args),
            "SUSER_SNAME" | "SUSER_NAME" | "ORIGINAL_LOGIN" | "USER_NAME" | "CURRENT_USER" | "SESSION_USER" | "SYSTEM_USER"
            | "HOST_NAME" | "APP_NAME" => session(sysname),
            "XACT_STATE" => session(Type::SmallInt),
            "SCOPE_IDENTITY" | "IDENT_CURRENT" => (format!("tds_session('scope_identity', {})", sql(0)), Typed::new(Type::Numeric(38, 0))),
            "ROWCOUNT_BIG" => session(Type::BigInt),
            "ERROR_NUMBER" | "ERROR_SEVERITY" | "ERROR_STATE" | "ERROR_LINE" => session(Type::Int),
            "ERROR_MESSAGE" => session(Type::NVarChar(Some(4000))),
            "ERROR_PROCEDURE" => session(sysname),
            "APPLOCK_MODE" => (format!("tds_applock_mode({})", list()), Typed::new(Type::NVarChar(Some(32)))),
            "MIN_ACTIVE_ROWVERSION" => session(Type::Binary(8)),
            "CHECKSUM" => (format!("tds_checksum({})", list()), Typed::never_null(Type::Int)),
            _ => {
                return Err(TdsError::new(195, 15, 10, format!("'{}' is not a recognized built-in function name.", function.name)));
            }
        })
    }

    fn over(&mut self, function: &Function) -> Emitted<String> {
        match &function.over {
            None => Ok(String::new()),
            Some(WindowType::WindowSpec(spec)) => {
                let mut parts = Vec::new();
                if !spec.partition_by.is_empty() {
                    let mut all = Vec::new();
                    for expr in &spec.partition_by {
                        all.push(self.expr(expr)?.0);
                    }
                    parts.push(format!("PARTITION BY {}", all.join(", ")));
                }
                if !spec.order_by.is_empty() {
                    let mut all = Vec::new();
                    for item in &spec.order_by {
                        // `ORDER BY (SELECT NULL)` says: in no order.
                        all.push(self.order_item(item, &[])?);
                    }
                    parts.push(format!("ORDER BY {}", all.join(", ")));
                }
                if let Some(frame) = &spec.window_frame {
                    return Err(TdsError::unsupported(format!("{frame:?}")));
                }
                Ok(format!(" OVER ({})", parts.join(" ")))
            }
            Some(other) => Err(TdsError::unsupported(other)),
        }
    }
}

fn met_text(ty: Type) -> Type {
    if ty.is_wide() { Type::NVarChar(Some(4000)) } else { Type::VarChar(Some(8000)) }
}

fn property(name: &str, args: &[(String, Typed)]) -> (String, Typed) {
    let ty = match name {
        // `sql_variant` on a real server; the peer says it as text.
        "SERVERPROPERTY" | "CONNECTIONPROPERTY" | "DATABASEPROPERTYEX" | "COLLATIONPROPERTY" | "DB_NAME" => Type::NVarChar(Some(128)),
        "DB_ID" => Type::SmallInt,
        _ => Type::Int,
    };
    let list: Vec<&str> = args.iter().map(|(sql, _)| sql.as_str()).collect();
    let comma = if list.is_empty() { "" } else { ", " };
    (format!("tds_property('{}'{comma}{})", name.to_lowercase(), list.join(", ")), Typed::new(ty))
}
