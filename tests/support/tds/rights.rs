//! Roles and rights: a role is made and a right is given, of which the peer only checks that there is what they name. Its one login may do everything
//! that `TdsPeer::deny` does not take away.

use super::batch::{split_commas, written};
use super::draft::Reader;
use super::emit::Names;
use super::error::TdsError;
use super::session::Session;
use sqlparser::tokenizer::Token;

impl Session {
    /// `CREATE ROLE r`; false where it is something else.
    pub fn create_role(&mut self, r: &mut Reader<'_>) -> Result<bool, TdsError> {
        if !r.takes(&["CREATE", "ROLE"]) {
            return Ok(false);
        }
        let name = r.identifier()?;
        self.shared.catalogue().add_role(&name)?;
        self.refresh()?;
        Ok(true)
    }

    /// `GRANT SELECT, INSERT ON dbo.t TO r`
    pub fn grant(&mut self, tokens: &[Token]) -> Result<(), TdsError> {
        let mut r = Reader { tokens, at: 1 };
        let start = r.at;
        while r.peek().is_some() && !r.takes(&["ON"]) {
            r.at += 1;
        }
        for right in split_commas(&tokens[start..r.at.saturating_sub(1)]) {
            if !["SELECT", "INSERT", "UPDATE", "DELETE", "EXECUTE", "REFERENCES"].contains(&written(right).to_uppercase().as_str()) {
                return Err(TdsError::unsupported(written(tokens)));
            }
        }
        let (schema, name) = r.name()?;
        let schema = schema.unwrap_or_else(|| "dbo".to_owned());
        let is_procedure = |s: &Self| {
            s.shared.catalogue().procedures.iter().any(|p| p.schema.eq_ignore_ascii_case(&schema) && p.name.eq_ignore_ascii_case(&name))
        };
        if self.table(Some(&schema), &name).is_none() && !is_procedure(self) {
            return Err(TdsError::new(
                15_151,
                16,
                1,
                format!("Cannot find the object '{name}', because it does not exist or you do not have permission."),
            ));
        }
        if !r.takes(&["TO"]) {
            return Err(TdsError::syntax(written(tokens)));
        }
        let role = r.identifier()?;
        if !self.shared.catalogue().roles.iter().any(|known| known.eq_ignore_ascii_case(&role)) {
            return Err(TdsError::new(
                15_151,
                16,
                1,
                format!("Cannot find the user '{role}', because it does not exist or you do not have permission."),
            ));
        }
        Ok(())
    }
}
