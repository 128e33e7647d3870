//! Deciding again whom a released mapping would decide otherwise: the work-list of `kith match changes`, applied. What it would move is guarded as a read
//! of the customers is.

use super::told::{AgainAsk, PeopleTold, WordAnswer};
use crate::model::{IdentityId, Network};
use crate::pipeline::asked::Desk;
use crate::pipeline::guards::{among, ways_out};
use crate::pipeline::{RunError, WhoAsks};
use crate::store::{GuardMatter, GuardState, GuardedPass, Guards, Releases};

/// Accounts in one request: of 2 KiB at most each.
pub const AGAIN_AT_ONCE: usize = 100;
/// Customers whom a guard names.
const EXAMPLES: usize = 5;
/// Whatever this guard is about.
const WORK_LIST: &str = "match changes";

const ANOTHER_MAPPING: &str = "KITH-R069";
const RELINK_GUARD: &str = "KITH-U031";

impl Desk {
    /// Marks accounts to be decided again, where the guard lets it.
    pub(super) async fn again(&self, ask: &AgainAsk, asker: Option<&WhoAsks>) -> Result<PeopleTold, RunError> {
        let answer =
            |code: Option<&str>, told: String| Ok(PeopleTold::Words { words: vec![WordAnswer { code: code.map(Into::into), told }] });
        let hash = self.parts.rulebook.hash();
        if ask.mapping != hash.to_string() {
            return answer(Some(ANOTHER_MAPPING), "another mapping is in force than the list was made with: make it anew".to_owned());
        }
        if ask.accounts.len() > AGAIN_AT_ONCE {
            return Err(RunError::Refused { code: "KITH-R010".into(), reason: format!("at most {AGAIN_AT_ONCE} accounts in one request") });
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a share from 0 to 1 of a count of links, which is far below 2^53, rounded down"
        )]
        let allowed = (ask.links as f64 * self.parts.rulebook.guard.relink) as u64;
        if ask.relinked > allowed {
            let pass = GuardedPass {
                matter: GuardMatter::Relink,
                place: WORK_LIST.into(),
                subject: hash.0.to_vec(),
                found: ask.relinked,
                whole: ask.links,
                allowed,
                examples: ask.examples.iter().take(EXAMPLES).cloned().collect(),
                last: 0,
            };
            let row = self.store.guard(self.clock.now(), pass).await?;
            if row.state != GuardState::Approved {
                let GuardedPass { found, whole, examples, .. } = &row.pass;
                let among = among(examples);
                let told = format!("{found} of {whole} links would end or move, and {allowed} may{among}: {}", ways_out(&row));
                return answer(Some(RELINK_GUARD), told);
            }
        }
        let mut accounts = Vec::with_capacity(ask.accounts.len());
        for (network, id) in &ask.accounts {
            let network: Network =
                network.parse().map_err(|_unknown| RunError::Refused { code: "KITH-R010".into(), reason: "an unknown network".into() })?;
            accounts.push(IdentityId { network, id: id.as_str().into() });
        }
        let leaf = self.scribe.decided_again(hash, accounts.len(), asker, self.clock.now())?;
        let marked = self.store.decide_again(accounts, leaf).await?;
        if ask.last {
            self.store.guard_ended(GuardMatter::Relink, WORK_LIST.into()).await?;
            self.wake.notify_one();
        }
        answer(None, marked.to_string())
    }
}
