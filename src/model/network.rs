//! The closed list of social networks, with the aliases people write.

use std::fmt;
use std::str::FromStr;

macro_rules! networks {
    ($($(#[$doc:meta])* $variant:ident = $name:literal $(| $alias:literal)*;)+) => {
        /// A social network. A closed list: a name outside it is an error, never a new network.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
        pub enum Network { $($(#[$doc])* $variant,)+ }

        impl Network {
            /// Every network, in the order of their names.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The canonical name, as files, pages and the audit log write it.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// Other names that are read as this network.
            pub const fn aliases(self) -> &'static [&'static str] {
                match self { $(Self::$variant => &[$($alias,)*],)+ }
            }
        }
    };
}

networks! {
    /// Bluesky and other AT Protocol servers.
    Bluesky = "bluesky" | "bsky" | "atproto";
    /// Discourse communities.
    Discourse = "discourse";
    /// Facebook.
    Facebook = "facebook" | "fb";
    /// `GitHub`.
    GitHub = "github" | "gh";
    /// Instagram.
    Instagram = "instagram" | "ig" | "insta";
    /// `LinkedIn`.
    LinkedIn = "linkedin" | "li";
    /// Mastodon and other `ActivityPub` servers.
    Mastodon = "mastodon" | "fediverse" | "activitypub";
    /// Reddit.
    Reddit = "reddit";
    /// Threads.
    Threads = "threads";
    /// `TikTok`.
    TikTok = "tiktok" | "tik-tok";
    /// A blog or another page of the open web, told by a feed.
    Web = "web" | "blog" | "rss" | "atom";
    /// X, formerly Twitter.
    X = "x" | "twitter";
    /// `YouTube`.
    YouTube = "youtube" | "yt";
}

/// A name that is no network of the closed list.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("`{0}` is not a network that Kith knows")]
pub struct UnknownNetwork(pub String);

impl FromStr for Network {
    type Err = UnknownNetwork;

    /// Reads a canonical name or an alias, ASCII case ignored.
    fn from_str(text: &str) -> Result<Self, UnknownNetwork> {
        let text = text.trim();
        Self::ALL
            .iter()
            .copied()
            .find(|n| n.name().eq_ignore_ascii_case(text) || n.aliases().iter().any(|a| a.eq_ignore_ascii_case(text)))
            .ok_or_else(|| UnknownNetwork(text.to_owned()))
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_and_alias_is_read_back_to_its_network_and_to_no_other() {
        let mut seen = std::collections::BTreeMap::new();
        for network in Network::ALL {
            for name in std::iter::once(network.name()).chain(network.aliases().iter().copied()) {
                assert_eq!(name.parse::<Network>(), Ok(*network));
                assert_eq!(name.to_uppercase().parse::<Network>(), Ok(*network));
                assert_eq!(seen.insert(name, network), None, "{name} names two networks");
            }
        }
        assert_eq!("friendster".parse::<Network>(), Err(UnknownNetwork("friendster".into())));
    }
}
