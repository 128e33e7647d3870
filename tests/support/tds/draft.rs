//! The items of a CREATE TABLE, read from the front: columns with their types and defaults, keys, checks, references.

use super::batch::{is_word, split_commas, written};
use super::catalogue::{ColumnDef, KeyKind};
use super::error::TdsError;
use super::types::Type;
use sqlparser::tokenizer::Token;

/// Tokens of a definition, read from the front.
pub struct Reader<'t> {
    pub tokens: &'t [Token],
    pub at: usize,
}

impl<'t> Reader<'t> {
    pub fn peek(&self) -> Option<&'t Token> {
        self.tokens.get(self.at)
    }

    pub fn takes(&mut self, words: &[&str]) -> bool {
        let all = words.iter().enumerate().all(|(n, w)| is_word(self.tokens.get(self.at + n), w));
        if all {
            self.at += words.len();
        }
        all
    }

    pub fn identifier(&mut self) -> Result<String, TdsError> {
        match self.peek() {
            Some(Token::Word(w)) => {
                self.at += 1;
                Ok(w.value.clone())
            }
            other => Err(TdsError::syntax(other.map_or_else(String::new, ToString::to_string))),
        }
    }

    /// `[database.][schema.]name`
    pub fn name(&mut self) -> Result<(Option<String>, String), TdsError> {
        let mut parts = vec![self.identifier()?];
        while self.peek() == Some(&Token::Period) {
            self.at += 1;
            if self.peek() == Some(&Token::Period) {
                parts.push(String::new());
                continue;
            }
            parts.push(self.identifier()?);
        }
        let name = parts.pop().unwrap_or_default();
        Ok((parts.pop().filter(|s| !s.is_empty()), name))
    }

    /// What stands between a pair of parentheses.
    pub fn parenthesised(&mut self) -> Result<&'t [Token], TdsError> {
        if self.peek() != Some(&Token::LParen) {
            return Err(TdsError::syntax(self.peek().map_or_else(String::new, ToString::to_string)));
        }
        let start = self.at + 1;
        let mut depth = 0_usize;
        for (at, token) in self.tokens.iter().enumerate().skip(self.at) {
            match token {
                Token::LParen => depth += 1,
                Token::RParen => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                self.at = at + 1;
                return Ok(&self.tokens[start..at]);
            }
        }
        Err(TdsError::syntax("("))
    }

    pub fn names(&mut self) -> Result<Vec<String>, TdsError> {
        let list = self.parenthesised()?;
        split_commas(list)
            .into_iter()
            .map(|item| match item.first() {
                Some(Token::Word(w)) => Ok(w.value.clone()),
                _ => Err(TdsError::syntax(written(item))),
            })
            .collect()
    }
}

/// A foreign key: name, columns, the other table, its columns.
pub type Reference = (Option<String>, Vec<String>, (Option<String>, String), Vec<String>);

/// A table being read.
pub struct Draft {
    pub schema: String,
    pub name: String,
    pub columns: Vec<ColumnDef>,
    pub keys: Vec<(Option<String>, KeyKind, Vec<String>)>,
    pub checks: Vec<(String, String)>,
    pub foreign: Vec<Reference>,
}

impl Draft {
    /// A name as the server makes one.
    pub fn made_up(&self, prefix: &str, of: &str) -> String {
        let number: u32 = self.name.bytes().chain(of.bytes()).fold(5381, |n, b| n.wrapping_mul(33) ^ u32::from(b));
        let column = if of.is_empty() { String::new() } else { format!("__{}", of.chars().take(5).collect::<String>()) };
        format!("{prefix}__{}{column}__{number:08X}", self.name.trim_start_matches('#').chars().take(9).collect::<String>())
    }

    pub fn item(&mut self, tokens: &[Token]) -> Result<(), TdsError> {
        let mut r = Reader { tokens, at: 0 };
        let name = if r.takes(&["CONSTRAINT"]) { Some(r.identifier()?) } else { None };
        if self.constraint(&mut r, name.clone(), None)? {
            return Ok(());
        }
        if name.is_some() {
            return Err(TdsError::syntax(written(tokens)));
        }
        self.column(&mut r)
    }

    pub fn column(&mut self, r: &mut Reader<'_>) -> Result<(), TdsError> {
        let name = r.identifier()?;
        if r.takes(&["AS"]) {
            let start = r.at;
            r.parenthesised()?;
            let definition = written(&r.tokens[start..r.at]);
            r.takes(&["PERSISTED"]);
            let mut column = ColumnDef::plain(&name, Type::Null, true);
            if r.takes(&["NOT", "NULL"]) {
                column.nullable = false;
            }
            column.computed = Some(definition);
            self.columns.push(column);
            return Ok(());
        }
        let start = r.at;
        r.name()?;
        // `double precision`
        r.takes(&["PRECISION"]);
        if r.peek() == Some(&Token::LParen) {
            r.parenthesised()?;
        }
        let text = written(&r.tokens[start..r.at]);
        let ty = Type::parse(&text).ok_or_else(|| {
            TdsError::new(2715, 16, 6, format!("Column, parameter, or variable #{}: Cannot find data type {text}.", self.columns.len() + 1))
        })?;
        let mut column = ColumnDef::plain(&name, ty, ty != Type::RowVersion);
        let at = self.columns.len();
        self.columns.push(column.clone());
        while r.peek().is_some() {
            let constraint = if r.takes(&["CONSTRAINT"]) { Some(r.identifier()?) } else { None };
            if r.takes(&["NOT", "NULL"]) {
                column.nullable = false;
            } else if r.takes(&["NULL"]) {
                column.nullable = true;
            } else if r.takes(&["IDENTITY"]) {
                let mut seed = (1, 1);
                if r.peek() == Some(&Token::LParen) {
                    let list = r.parenthesised()?;
                    let numbers: Vec<i64> = split_commas(list)
                        .iter()
                        .map(|t| written(t).replace(' ', "").parse().map_err(|_| TdsError::syntax("IDENTITY")))
                        .collect::<Result<_, _>>()?;
                    seed = (numbers.first().copied().unwrap_or(1), numbers.get(1).copied().unwrap_or(1));
                }
                column.identity = Some(seed);
                column.nullable = false;
            } else if r.takes(&["COLLATE"]) {
                column.collation = Some(r.identifier()?);
            } else if r.takes(&["DEFAULT"]) {
                let start = r.at;
                while let Some(token) = r.peek() {
                    let stop = [
                        "NOT",
                        "NULL",
                        "CONSTRAINT",
                        "PRIMARY",
                        "UNIQUE",
                        "CHECK",
                        "REFERENCES",
                        "IDENTITY",
                        "COLLATE",
                        "ROWGUIDCOL",
                        "FOREIGN",
                    ];
                    if r.at > start && stop.iter().any(|w| is_word(Some(token), w)) {
                        break;
                    }
                    if *token == Token::LParen {
                        r.parenthesised()?;
                    } else {
                        r.at += 1;
                    }
                }
                let definition = written(&r.tokens[start..r.at]);
                column.default = Some((constraint.unwrap_or_else(|| self.made_up("DF", &name)), definition));
            } else if r.takes(&["ROWGUIDCOL"]) || r.takes(&["SPARSE"]) {
            } else if !self.constraint(r, constraint, Some(&name))? {
                return Err(TdsError::syntax(r.peek().map_or_else(String::new, ToString::to_string)));
            }
        }
        self.columns[at] = column;
        Ok(())
    }

    /// PRIMARY KEY, UNIQUE, CHECK, REFERENCES; of one column, or with a list.
    pub fn constraint(&mut self, r: &mut Reader<'_>, name: Option<String>, column: Option<&str>) -> Result<bool, TdsError> {
        let kind = if r.takes(&["PRIMARY", "KEY"]) {
            Some(KeyKind::Primary)
        } else if r.takes(&["UNIQUE"]) {
            Some(KeyKind::Unique)
        } else {
            None
        };
        if let Some(kind) = kind {
            let _ = r.takes(&["CLUSTERED"]) || r.takes(&["NONCLUSTERED"]);
            let columns = match column {
                Some(column) if r.peek() != Some(&Token::LParen) => vec![column.to_owned()],
                _ => r.names()?,
            };
            skip_options(r)?;
            self.keys.push((name, kind, columns));
            return Ok(true);
        }
        if r.takes(&["CHECK"]) {
            let definition = written(r.parenthesised()?);
            let name = name.unwrap_or_else(|| self.made_up("CK", column.unwrap_or("")));
            self.checks.push((name, definition));
            return Ok(true);
        }
        let columns = if r.takes(&["FOREIGN", "KEY"]) {
            match column {
                Some(column) if r.peek() != Some(&Token::LParen) => Some(vec![column.to_owned()]),
                _ => Some(r.names()?),
            }
        } else {
            column.map(|c| vec![c.to_owned()])
        };
        if let Some(columns) = columns
            && r.takes(&["REFERENCES"])
        {
            let parent = r.name()?;
            let referred = if r.peek() == Some(&Token::LParen) { r.names()? } else { columns.clone() };
            while r.takes(&["ON", "DELETE"]) || r.takes(&["ON", "UPDATE"]) {
                if !(r.takes(&["NO", "ACTION"]) || r.takes(&["CASCADE"])) {
                    return Err(TdsError::unsupported("this action of a foreign key"));
                }
            }
            self.foreign.push((name, columns, parent, referred));
            return Ok(true);
        }
        Ok(false)
    }
}

/// `WITH (…)`, `ON [PRIMARY]` after a key.
fn skip_options(r: &mut Reader<'_>) -> Result<(), TdsError> {
    if r.takes(&["WITH"]) {
        r.parenthesised()?;
    }
    if is_word(r.peek(), "ON") && !is_word(r.tokens.get(r.at + 1), "DELETE") && !is_word(r.tokens.get(r.at + 1), "UPDATE") {
        r.at += 1;
        r.identifier()?;
    }
    Ok(())
}
