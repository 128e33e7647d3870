//! Every reader of outside bytes, on real files bent at random, for a second each (`KITH_FUZZ_SECONDS` for longer). The seed is printed.

#[path = "../fuzz/targets.rs"]
mod targets;

use crate::support::{root, sample};
use kith::model::Personal;
use kith::source::webhook::Frame;
use std::time::{Duration, Instant};

struct Bend(u64);

impl Bend {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(limit.max(1)).unwrap()).unwrap()
    }

    /// Cuts, flips, doubles, inserts and moves a few places.
    fn bend(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len());
            match self.below(6) {
                0 => bytes.truncate(at),
                1 if !bytes.is_empty() => bytes[at] ^= 1 << self.below(8),
                2 => bytes
                    .splice(at..at, [b"\"", b"{", b"[", b":", b"\n", b"\xff", b"-", b"&", b"%", b"\0"][self.below(10)].iter().copied())
                    .for_each(drop),
                3 => {
                    let end = at + self.below(40).min(bytes.len() - at);
                    let copy = bytes[at..end].to_vec();
                    bytes.splice(at..at, copy).for_each(drop);
                }
                4 => {
                    let end = at + self.below(20).min(bytes.len() - at);
                    bytes.drain(at..end);
                }
                _ => {
                    let number = self.next().to_string();
                    bytes.splice(at..at, number.into_bytes()).for_each(drop);
                }
            }
        }
    }
}

#[test]
fn no_reader_panics_on_real_files_bent_at_random() {
    let seconds: u64 = std::env::var("KITH_FUZZ_SECONDS").ok().and_then(|n| n.parse().ok()).unwrap_or(1);
    let seed = std::env::var("KITH_TEST_SEED").ok().and_then(|n| n.parse().ok()).unwrap_or(20_261_121);
    let read = |path: &str| std::fs::read(root().join(path)).unwrap();
    let lines: Vec<Vec<u8>> = sample("activities.ndjson.gz").split(|b| *b == b'\n').take(400).map(<[u8]>::to_vec).collect();
    let checkpoint = b"kith.test/x\n3\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n\xe2\x80\x94 kith.test/x Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n".to_vec();
    let entry = br#"{"actor":{"kind":"service","name":"kith","role":"service"},"kind":"service.stopped","time":"2026-11-21T20:44:31.123456Z","v":1,"what":{"reason":"drained"}}"#.to_vec();
    let limits: Vec<Vec<u8>> = [
        "date: Sat, 21 Nov 2026 12:00:00 GMT\nretry-after: Saturday, 21-Nov-26 12:01:00 GMT\n",
        "date: Sat Nov 21 12:00:09 2026\nx-ratelimit-remaining: 0\nx-ratelimit-reset: 1795262410000\n",
        "ratelimit: \"burst\";r=0;t=2, \"day\";r=0;t=4000\nx-ratelimit-remaining-requests: 0\nx-ratelimit-reset-requests: 6m0.5s\n",
        "retry-after-ms: 250\nx-rate-limit-reset: 2026-11-21T12:15:00.000Z\nratelimit-remaining: 0\nratelimit-reset-after: 0.64\n",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec();
    let answers: Vec<Vec<u8>> = [
        "<s:Envelope xmlns:s='http://schemas.xmlsoap.org/soap/envelope/'><s:Body><r href='#a'/><m id='a'><b href='#c'/></m><m id='c'>x</m></s:Body></s:Envelope>",
        "<s:Envelope xmlns:s='http://www.w3.org/2003/05/soap-envelope'><s:Body><s:Fault><s:Code><s:Value>s:Sender</s:Value></s:Code><s:Reason><s:Text xml:lang='en'>n</s:Text></s:Reason><s:Detail/></s:Fault></s:Body></s:Envelope>",
        "--b\r\nContent-Type: text/xml\r\n\r\n<s:Envelope xmlns:s='http://schemas.xmlsoap.org/soap/envelope/'><s:Body/></s:Envelope>\r\n--b--",
        "<!-- x --><html><title>Log in</title><body>",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec();
    for (name, target) in targets::TARGETS {
        let seeds: Vec<Vec<u8>> = match *name {
            "activity_streams" | "cleaners" => lines.clone(),
            "mapping" => vec![read("mappings/retail.yaml"), read("mappings/models/retail.yaml")],
            "configuration" => vec![read("config/kith.toml"), read("config/production.example.toml")],
            "target_file" => {
                vec![read("connectors/targets/sqlite.yaml"), read("connectors/targets/ndjson.yaml"), read("connectors/targets/http.yaml")]
            }
            "server_limits" => limits.clone(),
            "wsdl" => ["crm.wsdl", "sugar.wsdl", "rpc.wsdl", "layered/messages.xsd", "layered/common/objects.xsd"]
                .map(|name| read(&format!("tests/data/soap/{name}")))
                .to_vec(),
            "soap_answer" => answers.clone(),
            "manifest" => ["02-references.yaml", "13-partitions.yaml", "14-logins.yaml", "15-errors.yaml"]
                .map(|name| read(&format!("tests/data/manifests/{name}")))
                .into_iter()
                .chain([read("connectors/sources/mastodon.yaml")])
                .collect(),
            "source_answer" => vec![
                br#"{"data":[{"id":1,"a":"b"},{"id":2}],"next":"x"}"#.to_vec(),
                b"id,name\n1,\"x\"\"y\"\n".to_vec(),
                b"<?xml version='1.0'?><a xmlns:b='u'><b:c d='1'>x</b:c><e/><e>y</e></a>".to_vec(),
                b"{\"id\":1}\n{\"id\":2}\n".to_vec(),
            ],
            "compliance_answer" => vec![
                br#"{"id":"1372966999991541762","type":"tweets","name":"kith-1","status":"complete","download_url":"https://f.example/x"}"#.to_vec(),
                b"{\"action\":\"delete\",\"id\":\"19\",\"reason\":\"deleted\"}\r\n\n{\"id\":\"20\"}".to_vec(),
            ],
            "webhook_headers" => ["sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843", "sha1=effcdf6ae5eb2fa2d27416d5f184df9c259a7c79",
                "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE= v1a,x", "hub.mode=subscribe&hub.topic=topic&hub.challenge=c%20&hub.verify_token=token", "crc_token=x"]
                .map(|text| text.as_bytes().to_vec())
                .to_vec(),
            "webhook_spool" => {
                let frame = |sealed, body: &[u8]| Frame { at: 7, sealed, body: Personal::new(body.to_vec()) }.to_bytes();
                vec![[frame(false, b"{}"), frame(true, &[1; 90])].concat(), frame(false, b""), b"1790000000000000/42".to_vec()]
            }
            "webhook_body" => vec![
                br#"{"object":"page","entry":[{"id":"77","time":1790000001,"changes":[{"field":"feed","value":{"item":"comment","verb":"add","comment_id":"1","from":{"id":"5","name":"A"},"message":"x","created_time":1790000000}}]}]}"#.to_vec(),
                br#"{"for_user_id":"7","tweet_create_events":[{"id_str":"1","created_at":"Mon Sep 21 10:00:00 +0000 2026","text":"x","user":{"id_str":"3","screen_name":"b"}}],"tweet_delete_events":[{"status":{"id":"1","user_id":"3"},"timestamp_ms":"1790000500123"}]}"#.to_vec(),
                b"<rss><channel><item><guid>1</guid><pubDate>Mon, 21 Sep 2026 10:00:00 GMT</pubDate></item></channel></rss>".to_vec(),
                b"<feed xmlns='http://www.w3.org/2005/Atom'><link rel='self' href='u'/><entry><id>1</id><updated>2026-09-21T10:00:00Z</updated></entry></feed>".to_vec(),
            ],
            "tap_message" => vec![
                br#"{"type":"RECORD","stream":"a","record":{"id":1},"time_extracted":"2026-01-01T00:00:00Z"}"#.to_vec(),
                br#"{"type":"STATE","value":{"bookmarks":{"a":{"at":1.10}}}}"#.to_vec(),
                br#"{"type":"SCHEMA","stream":"a","schema":{"properties":{}},"key_properties":["id"]}"#.to_vec(),
                read("connectors/records/helpdesk.yaml"),
            ],
            "checkpoint" => vec![checkpoint.clone()],
            "proof" => {
                let head = b"c2sp.org/tlog-proof@v1\nextra e30=\nindex 1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n";
                let proof = [head.as_slice(), &checkpoint].concat();
                vec![proof.clone(), proof.repeat(2)]
            }
            _ => vec![entry.clone(), checkpoint.clone()],
        };
        let mut bend = Bend(seed);
        let until = Instant::now() + Duration::from_secs(seconds);
        let mut count = 0_u64;
        while Instant::now() < until {
            let mut bytes = seeds[bend.below(seeds.len())].clone();
            if count > 0 {
                bend.bend(&mut bytes);
            }
            let before = bytes.clone();
            if let Err(panic) = std::panic::catch_unwind(|| target(&bytes)) {
                let kept = std::env::temp_dir().join(format!("kith-fuzz-{name}-{seed}"));
                std::fs::write(&kept, &before).unwrap();
                eprintln!("{name} panicked, seed {seed}, input {count} kept in {}", kept.display());
                std::panic::resume_unwind(panic);
            }
            count += 1;
        }
        eprintln!("{name}: {count} inputs, seed {seed}");
    }
}
