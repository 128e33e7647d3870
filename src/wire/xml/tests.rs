//! Promises of the reader and the writer.

use super::*;
use proptest::prelude::*;

fn parsed(text: &str) -> Element {
    parse(text, &Limits::ANSWER).unwrap()
}

fn refused(text: &str) -> XmlErrorKind {
    parse(text, &Limits::ANSWER).unwrap_err().kind
}

#[test]
fn names_are_resolved_where_they_stand() {
    let root = parsed("<a xmlns='u' xmlns:p='v' x='1' p:x='2'><p:b xmlns:p='w'/><c xmlns=''>p:q</c></a>");
    assert_eq!(root.name, Name::new("u", "a"));
    assert_eq!((root.attribute("x"), root.attribute_in("v", "x")), (Some("1"), Some("2")));
    let names: Vec<String> = root.children().map(|c| c.name.to_string()).collect();
    assert_eq!(names, ["{w}b", "c"]);
    let c = root.child("", "c").unwrap();
    assert_eq!(c.scope.qname(" p:q "), Some(Name::new("v", "q")));
    assert_eq!(c.scope.qname("z:q"), None);
    assert_eq!(c.scope.namespace("xml").as_deref(), Some(XML_NS));
}

#[test]
fn text_is_what_the_document_means() {
    let root = parsed("<a b='1&#10;2\n3&amp;'>x &lt;<![CDATA[<&]]>&#x1F600;\r\ny<!-- no --><?no no?>z</a>");
    assert_eq!(root.text(), "x <<&\u{1F600}\nyz");
    assert_eq!(root.attribute("b"), Some("1\n2 3&"));
}

#[test]
fn a_pair_of_halves_is_one_character() {
    // So Axis 1.4 writes what is beyond the first plane.
    assert_eq!(parsed("<a>J&#xD83D;&#xDE00;&#xE9;&#55357;&#56832;</a>").text(), "J\u{1F600}é\u{1F600}");
}

#[test]
fn what_must_not_be_read_is_refused() {
    use XmlErrorKind as K;
    for (text, kind) in [
        ("<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", K::DocType),
        ("<a>&b;</a>", K::Entity),
        ("<a b='&c;'/>", K::Entity),
        ("<a>&#0;</a>", K::Entity),
        ("<a>&#xD83D;</a>", K::Entity),
        ("<a>&#xDE00;&#xD83D;</a>", K::Entity),
        ("<a>&#xD83D;x&#xDE00;</a>", K::Entity),
        ("<a>&#xD83D;&amp;</a>", K::Entity),
        ("<a>&#1;</a>", K::Character),
        ("<a>\u{1}</a>", K::Character),
        ("<p:a/>", K::Prefix),
        ("<a p:b=''/>", K::Prefix),
        ("<a>", K::CutOff),
        ("<a><b>", K::CutOff),
        ("<a", K::CutOff),
        ("<a>x</a", K::CutOff),
        ("<a><!-- x", K::CutOff),
        ("", K::Empty),
        ("<!-- x -->", K::Empty),
        ("<a></b>", K::Malformed("an end tag of another element")),
        ("<a/><b/>", K::Malformed("a second root element")),
        ("<a b='1' b='2'/>", K::Malformed("an attribute that stands twice")),
        ("<a xmlns:p='u' xmlns:q='u' p:b='1' q:b='2'/>", K::Malformed("an attribute that stands twice")),
        ("<1a/>", K::Malformed("a name that can't be one")),
        ("x<a/>", K::Malformed("text outside of the root element")),
        ("<a b='<'/>", K::Malformed("`<` in an attribute's value")),
    ] {
        assert_eq!(refused(text), kind, "{text}");
    }
}

#[test]
fn limits_hold() {
    let limits = Limits { bytes: 200, depth: 3, elements: 5, attributes: 2 };
    let kind = |text: &str| parse(text, &limits).unwrap_err().kind;
    assert!(parse("<a><a><a/></a></a>", &limits).is_ok());
    assert_eq!(kind("<a><a><a><a/></a></a></a>"), XmlErrorKind::TooDeep(3));
    assert_eq!(kind("<a><a/><a/><a/><a/><a/></a>"), XmlErrorKind::TooManyElements(5));
    assert_eq!(kind("<a b='' c='' d=''/>"), XmlErrorKind::TooManyAttributes(2));
    assert_eq!(kind(&format!("<a>{}</a>", "x".repeat(200))), XmlErrorKind::TooLarge(200));
    assert_eq!(refused(&"<a>".repeat(1_000)), XmlErrorKind::TooDeep(128));
}

#[test]
fn every_encoding_that_services_send_is_read() {
    let text = "<a>Žlutý €</a>";
    let declared = |label: &str| format!("<?xml version='1.0' encoding='{label}'?>{text}");
    let utf_16 = |text: &str, big: bool| -> Vec<u8> {
        text.encode_utf16().flat_map(|u| if big { u.to_be_bytes() } else { u.to_le_bytes() }).collect()
    };
    let windows_1250 = [b"<?xml version=\"1.0\" encoding=\"windows-1250\"?><a>".as_slice(), b"\x8Elut\xFD \x80", b"</a>"].concat();
    for (bytes, content_type) in [
        (text.as_bytes().to_vec(), None),
        ([b"\xEF\xBB\xBF".as_slice(), declared("UTF-16").as_bytes()].concat(), None),
        (declared("utf-8").into_bytes(), Some("text/xml; charset=\"UTF-8\"")),
        ([b"\xFF\xFE".to_vec(), utf_16(text, false)].concat(), Some("text/xml; charset=utf-8")),
        ([b"\xFE\xFF".to_vec(), utf_16(text, true)].concat(), None),
        (utf_16(&declared("UTF-16"), false), None),
        (utf_16(text, true), Some("text/xml;charset=utf-16")),
        (windows_1250, None),
    ] {
        assert_eq!(read(&bytes, content_type, &Limits::ANSWER).unwrap().text(), "Žlutý €", "{content_type:?}");
    }
    let kind = |bytes: &[u8]| read(bytes, None, &Limits::ANSWER).unwrap_err().kind;
    assert_eq!(kind(b"<a>\xFF</a>"), XmlErrorKind::NotText("UTF-8"));
    assert_eq!(kind(b"<?xml version='1.0' encoding='klingon'?><a/>"), XmlErrorKind::UnknownEncoding);
}

#[test]
fn debug_shows_no_value() {
    let root = parsed("<a b='secret'>secret<c>secret</c></a>");
    assert!(!format!("{root:?} {:?}", Tree::from(&root)).contains("secret"));
}

#[test]
fn what_xml_cannot_carry_is_refused_replaced_or_stripped() {
    let text = "a\u{0}b\u{FFFE}c\td";
    assert_eq!(Uncarried::Refuse.apply(text), Err(Uncarriable(2)));
    assert_eq!(Uncarried::Replace.apply(text).unwrap(), "a\u{FFFD}b\u{FFFD}c\td");
    assert_eq!(Uncarried::Strip.apply(text).unwrap(), "abc\td");
    assert_eq!(Uncarried::Refuse.apply("\u{FFFD}\u{FEFF}\u{10FFFF}").unwrap(), "\u{FFFD}\u{FEFF}\u{10FFFF}");
}

fn names() -> impl Strategy<Value = Name> {
    (prop::sample::select(vec!["", "urn:a", "urn:b&<\"", "urn:c"]), "[A-Za-z_é][A-Za-z0-9._é-]{0,6}").prop_map(|(n, l)| Name::new(n, l))
}

/// Any text that XML can carry, with what breaks careless writers more often than chance would.
fn texts() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        any::<char>().prop_filter("carried", |c| is_char(*c)).prop_map(|c| c.to_string()),
        prop::sample::select(vec![
            "]]>",
            "&amp;",
            "<",
            "\r\n",
            "\r",
            " ",
            "\t",
            "\n",
            "'",
            "\"",
            "&#0;",
            "<![CDATA[",
            "\u{85}",
            "\u{2028}"
        ])
        .prop_map(str::to_owned),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|v| v.concat())
}

fn trees() -> impl Strategy<Value = Tree> {
    let attributes = || prop::collection::btree_map(names(), texts(), 0..4);
    let leaf = (names(), attributes(), texts()).prop_map(|(name, attributes, text)| {
        let tree = attributes.into_iter().fold(Tree::new(name), |tree, (n, v)| tree.attribute(n, v));
        if text.is_empty() { tree } else { tree.text(text) }
    });
    leaf.prop_recursive(4, 24, 4, move |inner| {
        (names(), attributes(), prop::collection::vec(inner, 0..4)).prop_map(|(name, attributes, children)| {
            let tree = attributes.into_iter().fold(Tree::new(name), |tree, (n, v)| tree.attribute(n, v));
            children.into_iter().fold(tree, Tree::child)
        })
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(tree in trees()) {
        let text = Writer::with(&[("soapenv", "urn:a")]).write(&tree);
        let read = Tree::from(&parsed(&text));
        prop_assert_eq!(&read, &tree);
        prop_assert_eq!(Writer::with(&[("soapenv", "urn:a")]).write(&read), text, "one spelling");
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[<>a-c/ ='\"&;#!\\[\\]\\-?x0-9:\u{0}-\u{20}é]{0,60}") {
        drop(parse(&text, &Limits::ANSWER).map(|root| canonical(&root)));
        drop(read(text.as_bytes(), None, &Limits::ANSWER));
    }
}
