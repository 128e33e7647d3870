//! The promises about lines and cursors, on files as they come.

use super::*;
use crate::normalize::IdentityFields;
use flate2::{Compression, write::GzEncoder};
use proptest::prelude::*;
use std::fs;
use std::io::Write;

fn gz(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn open(path: &Path, cursor: Option<&FileCursor>) -> FileReader {
    match FileReader::open(path, cursor).unwrap() {
        Opened::Reading(reader) => *reader,
        Opened::NothingNew(_) => panic!("nothing new"),
        Opened::Rows(_) => panic!("records"),
    }
}

type Lines = Vec<(u64, String)>;

/// Everything up to the end or a failure, in chunks of so many lines.
fn read(mut reader: FileReader, lines: usize) -> (Lines, FileCursor, Option<&'static str>) {
    let mut out = Vec::new();
    let mut cursor = reader.cursor().clone();
    loop {
        match reader.next_chunk(BatchLimits::lines(lines)) {
            Ok(Some(chunk)) => {
                out.extend(chunk.lines.into_iter().map(|l| (l.line, String::from_utf8(l.bytes.into_revealed()).unwrap())));
                cursor = chunk.cursor_after;
            }
            Ok(None) => return (out, cursor, None),
            Err(error) => return (out, cursor, Some(error.code().0)),
        }
    }
}

fn lines(of: &[(u64, &str)]) -> Lines {
    of.iter().map(|(n, t)| (*n, (*t).to_owned())).collect()
}

#[test]
fn line_ends_marks_and_blank_lines_of_every_sort_are_read_plain_and_packed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f");
    let content = b"\xef\xbb\xbfone\r\n\n  \t\r\ntwo\nthree";
    for bytes in [content.to_vec(), gz(content), [gz(&content[..7]), gz(&content[7..])].concat()] {
        fs::write(&path, bytes).unwrap();
        let (read, cursor, failed) = read(open(&path, None), 1);
        assert_eq!((read, failed), (lines(&[(1, "one"), (4, "two"), (5, "three")]), None));
        assert!(cursor.finished && cursor.open_line.is_some());
        assert!(matches!(FileReader::open(&path, Some(&cursor)).unwrap(), Opened::NothingNew(c) if c == cursor));
    }
    fs::write(&path, b"").unwrap();
    let (read, cursor, _) = read(open(&path, None), 5);
    assert!(read.is_empty() && cursor.finished);
    assert!(matches!(FileReader::open(&path, Some(&cursor)).unwrap(), Opened::NothingNew(_)));
}

#[test]
fn an_appended_file_goes_on_and_a_replaced_one_starts_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f");
    for pack in [<[u8]>::to_vec as fn(&[u8]) -> Vec<u8>, gz] {
        for (first, second, expected) in [
            ("a\nb\n", "c\n", vec![(3, "c")]),
            ("a\nb", "\nc\n", vec![(3, "c")]),
            ("a\nb", "\r\nc", vec![(3, "c")]),
            ("a\nb\r", "\nc", vec![(3, "c")]),
            ("a\nb", "b\nc\n", vec![(2, "bb"), (3, "c")]),
            ("a\nb\n", "\n\n", vec![]),
            ("", "a\n", vec![(1, "a")]),
        ] {
            let first_bytes = pack(first.as_bytes());
            fs::write(&path, &first_bytes).unwrap();
            let (_, cursor, _) = read(open(&path, None), 100);
            fs::write(&path, [first_bytes, pack(second.as_bytes())].concat()).unwrap();
            let (more, after, failed) = read(open(&path, Some(&cursor)), 1);
            assert_eq!((more, failed), (lines(&expected), None), "{first:?} + {second:?}");
            assert!(after.finished && after.digest != cursor.digest);
        }
    }
    fs::write(&path, b"a\nb\n").unwrap();
    let (_, cursor, _) = read(open(&path, None), 100);
    for other in ["x\nb\nc\n", "a\n", "A\nb\n"] {
        fs::write(&path, other).unwrap();
        assert_eq!(read(open(&path, Some(&cursor)), 1).0.first().unwrap().0, 1, "{other:?} is another file");
    }
}

#[test]
fn a_packed_file_that_is_cut_off_gives_its_good_lines_and_goes_on_when_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f.gz");
    let content: String =
        (0..5_000_u32).flat_map(|n| [n.to_string(), " ".into(), n.wrapping_mul(2_654_435_761).to_string(), "\n".into()]).collect();
    let packed = gz(content.as_bytes());
    fs::write(&path, &packed[..packed.len() / 2]).unwrap();
    let (first, cursor, failed) = read(open(&path, None), 300);
    assert_eq!(failed, Some("KITH-I023"));
    assert!(first.len() > 500 && !cursor.finished);
    let (none, again, failed) = read(open(&path, Some(&cursor)), 300);
    assert_eq!((none.len(), failed), (0, Some("KITH-I023")), "the complaint is repeated, the lines are not");
    fs::write(&path, &packed).unwrap();
    let (rest, after, failed) = read(open(&path, Some(&again)), 300);
    assert_eq!((first.len() + rest.len(), failed, after.finished), (5_000, None, true));
    let whole: String = first.iter().chain(&rest).flat_map(|(_, l)| [l.as_str(), "\n"]).collect();
    assert_eq!(whole, content);
}

#[test]
fn a_line_that_is_too_long_is_parked_with_its_beginning_and_the_next_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f");
    fs::write(&path, [vec![b'x'; MAX_LINE_BYTES], vec![b'\n'], vec![b'y'; 3 * MAX_LINE_BYTES], b"\r\nz\n".to_vec()].concat()).unwrap();
    let reader = Reader::new(&IdentityFields { paths: vec![], fields: vec![] }, None);
    let batch = open(&path, None).next_batch(BatchLimits { lines: 9, bytes: 1 << 30 }, &reader).unwrap().unwrap();
    let codes: Vec<_> = batch.lines.iter().map(|l| (l.line, l.outcome.as_ref().unwrap_err().code().0, l.raw.reveal().len())).collect();
    assert_eq!(codes, [(1, "KITH-I003", MAX_LINE_BYTES), (2, "KITH-I004", KEPT_BYTES), (3, "KITH-I003", 1)]);
}

#[test]
fn a_batch_ends_with_the_line_that_passes_its_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f");
    fs::write(&path, "0123456789\n".repeat(10)).unwrap();
    let mut reader = open(&path, None);
    let chunk = reader.next_chunk(BatchLimits { lines: 100, bytes: 25 }).unwrap().unwrap();
    assert_eq!((chunk.lines.len(), chunk.cursor_after.offset, chunk.cursor_after.finished), (3, 33, false));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn stopping_after_any_batch_and_going_on_loses_and_repeats_nothing(
        content in "([a-c]{0,5}|\r)(\r?\n([a-c]{0,5}| )){0,20}", packed: bool, stops in proptest::collection::vec(1..4_usize, 0..8)
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        fs::write(&path, if packed { gz(content.as_bytes()) } else { content.clone().into_bytes() }).unwrap();
        let whole = read(open(&path, None), 1_000).0;
        let expected: Lines = (1..).zip(content.split('\n')).map(|(n, l)| (n, l.strip_suffix('\r').unwrap_or(l).to_owned())).filter(|(_, l)| !l.trim().is_empty()).collect();
        prop_assert_eq!(&whole, &expected);
        let (mut cursor, mut pieces) = (None, Vec::new());
        for lines in stops {
            let Opened::Reading(mut reader) = FileReader::open(&path, cursor.as_ref()).unwrap() else { break };
            let Some(chunk) = reader.next_chunk(BatchLimits::lines(lines)).unwrap() else { break };
            pieces.extend(chunk.lines.into_iter().map(|l| (l.line, String::from_utf8(l.bytes.into_revealed()).unwrap())));
            cursor = FileCursor::from_bytes(&chunk.cursor_after.to_bytes());
        }
        if let Opened::Reading(reader) = FileReader::open(&path, cursor.as_ref()).unwrap() {
            pieces.extend(read(*reader, 2).0);
        }
        prop_assert_eq!(pieces, expected);
    }
}
