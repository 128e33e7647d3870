//! Accounts of the operating system: who a user id is.

use std::fs::File;
use std::io::Read as _;
use std::sync::Arc;

/// `/etc/passwd` of a large host has some thousand lines of 60 bytes.
const MAX_PASSWD_BYTES: u64 = 4 << 20;

/// The name of a user id; `uid:1000` for one that `/etc/passwd` does not know.
pub fn account_name(id: u32) -> Arc<str> {
    let mut text = String::new();
    let read = File::open("/etc/passwd").and_then(|file| file.take(MAX_PASSWD_BYTES).read_to_string(&mut text));
    let known = read.ok().and_then(|_| name_of(&text, id));
    known.unwrap_or_else(|| format!("uid:{id}")).into()
}

/// The name of a user id in the format of `/etc/passwd`: `name:password:id:…` (passwd(5)).
fn name_of(passwd: &str, id: u32) -> Option<String> {
    passwd.lines().find_map(|line| {
        let mut parts = line.split(':');
        let name = parts.next().filter(|name| !name.is_empty() && !name.starts_with('#'))?;
        (parts.nth(1)?.parse() == Ok(id)).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_is_found_by_id() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\n# kith:x:7:\nbroken\nkith:x:7:7::/:/bin/false\n";
        assert_eq!((name_of(passwd, 7), name_of(passwd, 8)), (Some("kith".into()), None));
    }
}
