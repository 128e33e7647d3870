//! A batch cut into statements: T-SQL needs no semicolons. Tokens come from `sqlparser`; control flow is read here, queries are read there.

use super::error::TdsError;
use super::types::Type;
use sqlparser::ast::{Expr, Statement};
use sqlparser::dialect::MsSqlDialect;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Token, Tokenizer};

pub type Tokens = Vec<Token>;

#[derive(Clone, Debug)]
pub enum Node {
    /// `SELECT`, `INSERT`, `UPDATE`, `DELETE`, with `WITH` before them.
    Query(Tokens),
    /// `CREATE`, `ALTER`, `DROP`, `TRUNCATE`.
    Define(Tokens),
    /// `GRANT`
    Grant(Tokens),
    InsertBulk(Tokens),
    Declare(Vec<(String, Type, Option<Tokens>)>),
    DeclareTable(String, Tokens),
    Assign(String, Tokens),
    Set(Tokens),
    If {
        condition: Tokens,
        then: Vec<Node>,
        otherwise: Vec<Node>,
    },
    While {
        condition: Tokens,
        body: Vec<Node>,
    },
    Block(Vec<Node>),
    Try {
        body: Vec<Node>,
        catch: Vec<Node>,
    },
    Begin,
    Commit,
    Rollback(Option<String>),
    Save(String),
    Exec(Tokens),
    Print(Tokens),
    RaiseError(Tokens),
    Throw(Tokens),
    Return(Tokens),
    Wait(Tokens),
    Break,
    Continue,
    Use(String),
}

/// Blocks inside blocks (a bound of the peer).
const DEEPEST: usize = 32;

/// With these a statement begins.
const STARTS: &[&str] = &[
    "SELECT",
    "INSERT",
    "UPDATE",
    "DELETE",
    "MERGE",
    "SET",
    "DECLARE",
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
    "SAVE",
    "IF",
    "ELSE",
    "END",
    "WHILE",
    "EXEC",
    "EXECUTE",
    "CREATE",
    "ALTER",
    "DROP",
    "TRUNCATE",
    "PRINT",
    "RAISERROR",
    "THROW",
    "RETURN",
    "WAITFOR",
    "USE",
    "GRANT",
    "BREAK",
    "CONTINUE",
];

pub fn word(token: Option<&Token>) -> Option<String> {
    match token {
        Some(Token::Word(w)) if w.quote_style.is_none() => Some(w.value.to_uppercase()),
        _ => None,
    }
}

pub fn is_word(token: Option<&Token>, wanted: &str) -> bool {
    matches!(token, Some(Token::Word(w)) if w.quote_style.is_none() && w.value.eq_ignore_ascii_case(wanted))
}

pub fn written(tokens: &[Token]) -> String {
    let mut text = String::new();
    for token in tokens {
        let glued = matches!(token, Token::Period | Token::Comma | Token::RParen | Token::SemiColon) || text.ends_with(['.', '(']);
        if !text.is_empty() && !glued {
            text.push(' ');
        }
        text.push_str(&token.to_string());
    }
    text
}

pub fn tokenize(sql: &str) -> Result<Tokens, TdsError> {
    let dialect = MsSqlDialect {};
    let tokens = Tokenizer::new(&dialect, sql).tokenize().map_err(|e| {
        if e.message.to_lowercase().contains("unterminated") {
            TdsError::new(105, 15, 1, format!("Unclosed quotation mark after the character string: {}", e.message))
                .ends(super::error::Reach::Batch)
        } else {
            TdsError::syntax(e.message)
        }
    })?;
    Ok(tokens.into_iter().filter(|t| !matches!(t, Token::Whitespace(_) | Token::EOF)).collect())
}

fn parser(tokens: &[Token]) -> Parser<'static> {
    const DIALECT: &MsSqlDialect = &MsSqlDialect {};
    let mut tokens = tokens.to_vec();
    tokens.push(Token::EOF);
    Parser::new(DIALECT).with_recursion_limit(200).with_tokens(tokens)
}

fn near(tokens: &[Token], parser: &Parser<'_>) -> TdsError {
    let at = parser.index().saturating_sub(1).min(tokens.len().saturating_sub(1));
    TdsError::syntax(tokens.get(at).map_or_else(String::new, ToString::to_string))
}

/// # Errors
/// 102.
pub fn parse_expr(tokens: &[Token]) -> Result<Expr, TdsError> {
    let mut p = parser(tokens);
    let expr = p.parse_expr().map_err(|_| near(tokens, &p))?;
    if p.index() < tokens.len() {
        return Err(TdsError::syntax(&tokens[p.index()]));
    }
    Ok(expr)
}

/// # Errors
/// 102.
pub fn parse_statement(tokens: &[Token]) -> Result<Statement, TdsError> {
    let mut p = parser(tokens);
    let statement = p.parse_statement().map_err(|e| {
        let mut error = near(tokens, &p);
        error.message = format!("{} [sqlparser: {e}; statement: {}]", error.message, written(tokens));
        error
    })?;
    if p.index() < tokens.len() {
        return Err(TdsError::syntax(&tokens[p.index()]));
    }
    Ok(statement)
}

/// The top level of a list between commas.
pub fn split_commas(tokens: &[Token]) -> Vec<&[Token]> {
    let (mut depth, mut start, mut all) = (0_usize, 0, Vec::new());
    for (at, token) in tokens.iter().enumerate() {
        match token {
            Token::LParen => depth += 1,
            Token::RParen => depth = depth.saturating_sub(1),
            Token::Comma if depth == 0 => {
                all.push(&tokens[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    if start < tokens.len() {
        all.push(&tokens[start..]);
    }
    all
}

pub fn parse(sql: &str) -> Result<Vec<Node>, TdsError> {
    let tokens = tokenize(sql)?;
    let mut cutter = Cutter { tokens: &tokens, at: 0 };
    let nodes = cutter.list(0, false)?;
    if cutter.at < tokens.len() {
        return Err(TdsError::syntax(&tokens[cutter.at]));
    }
    Ok(nodes)
}

struct Cutter<'t> {
    tokens: &'t [Token],
    at: usize,
}

impl Cutter<'_> {
    fn peek(&self, ahead: usize) -> Option<&Token> {
        self.tokens.get(self.at + ahead)
    }

    fn word(&self, ahead: usize) -> String {
        word(self.peek(ahead)).unwrap_or_default()
    }

    fn takes(&mut self, wanted: &str) -> bool {
        let found = is_word(self.peek(0), wanted);
        self.at += usize::from(found);
        found
    }

    fn list(&mut self, depth: usize, to_end: bool) -> Result<Vec<Node>, TdsError> {
        if depth > DEEPEST {
            return Err(TdsError::new(191, 15, 1, "Some part of your SQL statement is nested too deeply."));
        }
        let mut all = Vec::new();
        loop {
            while self.peek(0) == Some(&Token::SemiColon) {
                self.at += 1;
            }
            if self.peek(0).is_none() || to_end && self.word(0) == "END" {
                return Ok(all);
            }
            all.push(self.statement(depth)?);
        }
    }

    /// Up to a semicolon or the next statement; `inside` are words that may stand in this one.
    fn rest(&mut self, inside: &[&str]) -> Tokens {
        let mut out = Vec::new();
        let (mut depth, mut cases) = (0_usize, 0_usize);
        while let Some(token) = self.peek(0).cloned() {
            let previous = self.at.checked_sub(1).and_then(|at| self.tokens.get(at));
            let name = if matches!(previous, Some(Token::Period)) { None } else { word(Some(&token)) };
            match (&token, name.as_deref()) {
                (Token::SemiColon, _) if depth == 0 => break,
                (Token::LParen, _) => depth += 1,
                (Token::RParen, _) => depth = depth.saturating_sub(1),
                (_, Some("CASE")) => cases += 1,
                (_, Some("END")) if cases > 0 => cases -= 1,
                (_, Some("ELSE")) if cases > 0 => {}
                (_, Some(name)) if depth == 0 && !out.is_empty() && STARTS.contains(&name) && !inside.contains(&name) => break,
                _ => {}
            }
            out.push(token);
            self.at += 1;
        }
        out
    }

    fn query(&mut self) -> Tokens {
        let mut out: Tokens = Vec::new();
        let (mut depth, mut cases) = (0_usize, 0_usize);
        let mut verb = self.word(0);
        let mut body = verb == "SELECT";
        let mut set = false;
        while let Some(token) = self.peek(0).cloned() {
            let previous = out.last();
            let name = if matches!(previous, Some(Token::Period)) || is_word(previous, "AS") && !is_word(Some(&token), "SELECT") {
                None
            } else {
                word(Some(&token))
            };
            match (&token, name.as_deref()) {
                (Token::SemiColon, _) if depth == 0 => break,
                (Token::LParen, _) => depth += 1,
                (Token::RParen, _) => depth = depth.saturating_sub(1),
                (_, Some("CASE")) => cases += 1,
                (_, Some("END")) if cases > 0 => cases -= 1,
                (_, Some("ELSE")) if cases > 0 => {}
                (_, Some("OPTION")) if depth == 0 && self.peek(1) == Some(&Token::LParen) => {
                    // A hint for the optimizer.
                    self.at += 1;
                    self.parenthesised();
                    continue;
                }
                (_, Some("VALUES")) if depth == 0 && verb == "INSERT" => body = true,
                (_, Some(name)) if depth == 0 && !out.is_empty() && STARTS.contains(&name) => {
                    let joined = ["UNION", "ALL", "EXCEPT", "INTERSECT"].iter().any(|w| is_word(previous, w));
                    if verb == "WITH" && ["SELECT", "INSERT", "UPDATE", "DELETE"].contains(&name) {
                        name.clone_into(&mut verb);
                        body = name == "SELECT";
                    } else if name == "SELECT" && (joined || verb == "INSERT" && !body)
                        || verb == "INSERT" && !body && name.starts_with("EXEC")
                    {
                        body = true;
                    } else if name == "SET" && verb == "UPDATE" && !set {
                        set = true;
                    } else {
                        break;
                    }
                }
                _ => {}
            }
            out.push(token);
            self.at += 1;
        }
        out
    }

    /// `( … )`, passed over; what stands between.
    fn parenthesised(&mut self) -> Tokens {
        let start = self.at + 1;
        let mut depth = 0_usize;
        while let Some(token) = self.peek(0) {
            match token {
                Token::LParen => depth += 1,
                Token::RParen => depth -= 1,
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                break;
            }
        }
        self.tokens.get(start..self.at.saturating_sub(1)).unwrap_or_default().to_vec()
    }

    fn condition(&mut self) -> Result<Tokens, TdsError> {
        let rest = &self.tokens[self.at..];
        let mut p = parser(rest);
        p.parse_expr().map_err(|_| near(rest, &p))?;
        let end = p.index().min(rest.len());
        self.at += end;
        Ok(rest[..end].to_vec())
    }

    /// A name after `BEGIN TRANSACTION`, `ROLLBACK TRANSACTION`, `SAVE TRANSACTION`.
    fn name(&mut self) -> Option<String> {
        let Some(Token::Word(w)) = self.peek(0) else { return None };
        if w.quote_style.is_none() && STARTS.contains(&w.value.to_uppercase().as_str()) {
            return None;
        }
        let name = w.value.clone();
        self.at += 1;
        Some(name)
    }

    fn body(&mut self, depth: usize) -> Result<Vec<Node>, TdsError> {
        Ok(match self.statement(depth + 1)? {
            Node::Block(nodes) => nodes,
            node => vec![node],
        })
    }

    fn expect(&mut self, wanted: &str) -> Result<(), TdsError> {
        if self.takes(wanted) { Ok(()) } else { Err(TdsError::syntax(self.peek(0).map_or_else(|| wanted.to_owned(), ToString::to_string))) }
    }

    fn statement(&mut self, depth: usize) -> Result<Node, TdsError> {
        if depth > DEEPEST {
            return Err(TdsError::new(191, 15, 1, "Some part of your SQL statement is nested too deeply."));
        }
        let first = self.word(0);
        let transaction = |w: &str| ["TRAN", "TRANSACTION", "WORK"].contains(&w);
        Ok(match first.as_str() {
            "INSERT" if self.word(1) == "BULK" => Node::InsertBulk(self.rest(&[])),
            "SELECT" | "INSERT" | "UPDATE" | "DELETE" | "WITH" => Node::Query(self.query()),
            "CREATE" if ["VIEW", "PROC", "PROCEDURE", "TRIGGER", "FUNCTION"].contains(&self.word(1).as_str()) => {
                let rest = self.tokens[self.at..].to_vec();
                self.at = self.tokens.len();
                Node::Define(rest)
            }
            "CREATE" | "TRUNCATE" => Node::Define(self.rest(&[])),
            "DROP" => Node::Define(self.rest(&["IF"])),
            "ALTER" => Node::Define(self.rest(&["DROP", "ALTER", "SET"])),
            "GRANT" => Node::Grant(self.rest(&["SELECT", "INSERT", "UPDATE", "DELETE", "EXECUTE"])),
            "SET" => match self.peek(1) {
                Some(Token::Word(w)) if w.value.starts_with('@') && self.peek(2) == Some(&Token::Eq) => {
                    let name = w.value.to_lowercase();
                    self.at += 3;
                    Node::Assign(name, self.rest(&[]))
                }
                _ => {
                    self.at += 1;
                    Node::Set(self.rest(&[]))
                }
            },
            "DECLARE" => self.declare()?,
            "IF" => {
                self.at += 1;
                let condition = self.condition()?;
                let then = self.body(depth)?;
                let mark = self.at;
                while self.peek(0) == Some(&Token::SemiColon) {
                    self.at += 1;
                }
                let otherwise = if self.takes("ELSE") {
                    self.body(depth)?
                } else {
                    self.at = mark;
                    Vec::new()
                };
                Node::If { condition, then, otherwise }
            }
            "WHILE" => {
                self.at += 1;
                let condition = self.condition()?;
                Node::While { condition, body: self.body(depth)? }
            }
            "BEGIN" => {
                self.at += 1;
                let next = self.word(0);
                if transaction(&next) {
                    self.at += 1;
                    self.name();
                    Node::Begin
                } else if next == "TRY" {
                    self.at += 1;
                    let body = self.list(depth + 1, true)?;
                    self.expect("END")?;
                    self.expect("TRY")?;
                    while self.peek(0) == Some(&Token::SemiColon) {
                        self.at += 1;
                    }
                    self.expect("BEGIN")?;
                    self.expect("CATCH")?;
                    let catch = self.list(depth + 1, true)?;
                    self.expect("END")?;
                    self.expect("CATCH")?;
                    Node::Try { body, catch }
                } else {
                    let body = self.list(depth + 1, true)?;
                    self.expect("END")?;
                    Node::Block(body)
                }
            }
            "COMMIT" | "ROLLBACK" | "SAVE" => {
                self.at += 1;
                if transaction(&self.word(0)) {
                    self.at += 1;
                }
                let name = self.name();
                match first.as_str() {
                    "COMMIT" => Node::Commit,
                    "ROLLBACK" => Node::Rollback(name),
                    _ => Node::Save(name.ok_or_else(|| TdsError::syntax("SAVE"))?),
                }
            }
            "EXEC" | "EXECUTE" => {
                self.at += 1;
                Node::Exec(self.rest(&[]))
            }
            "PRINT" | "RAISERROR" | "THROW" | "RETURN" | "WAITFOR" => {
                self.at += 1;
                // The rest may be empty, and the next statement may follow at once.
                let rest = if STARTS.contains(&self.word(0).as_str()) { Vec::new() } else { self.rest(&["SET"]) };
                match first.as_str() {
                    "PRINT" => Node::Print(rest),
                    "RAISERROR" => Node::RaiseError(rest),
                    "THROW" => Node::Throw(rest),
                    "RETURN" => Node::Return(rest),
                    _ => Node::Wait(rest),
                }
            }
            "BREAK" => {
                self.at += 1;
                Node::Break
            }
            "CONTINUE" => {
                self.at += 1;
                Node::Continue
            }
            "USE" => {
                self.at += 1;
                Node::Use(self.name().unwrap_or_default())
            }
            _ if self.at == 0 && matches!(self.peek(0), Some(Token::Word(_))) => Node::Exec(self.rest(&[])),
            "MERGE" => return Err(TdsError::unsupported(written(&self.tokens[self.at..]))),
            _ => return Err(TdsError::syntax(self.peek(0).map_or_else(String::new, ToString::to_string))),
        })
    }

    fn declare(&mut self) -> Result<Node, TdsError> {
        self.at += 1;
        let rest = self.rest(&[]);
        let mut all = Vec::new();
        for item in split_commas(&rest) {
            let Some(Token::Word(w)) = item.first() else { return Err(TdsError::syntax(written(item))) };
            let name = w.value.to_lowercase();
            let item = if is_word(item.get(1), "AS") { &item[1..] } else { item };
            if is_word(item.get(1), "TABLE") {
                return Ok(Node::DeclareTable(name, item[2..].to_vec()));
            }
            let equals = item.iter().position(|t| *t == Token::Eq).unwrap_or(item.len());
            let ty = written(&item[1..equals]);
            let ty = Type::parse(&ty)
                .ok_or_else(|| TdsError::new(2715, 16, 3, format!("Column, parameter, or variable #1: Cannot find data type {ty}.")))?;
            all.push((name, ty, item.get(equals + 1..).map(<[Token]>::to_vec)));
        }
        Ok(Node::Declare(all))
    }
}
