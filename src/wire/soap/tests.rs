//! Promises of rendering and reading messages.

use super::*;
use crate::model::Value;
use crate::wire::wsdl::{Contract, Version, load};
use crate::wire::xml::{self, Element, Limits, Uncarried};
use proptest::prelude::*;
use std::path::Path as FilePath;
use std::sync::Arc;

fn contract(name: &str) -> Contract {
    load(&FilePath::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/soap").join(name)).into_result().unwrap().0
}

fn values(pairs: &[(&str, Value)]) -> Node {
    let paths: Vec<(FieldPath, Value)> = pairs.iter().map(|(p, v)| (FieldPath::parse(p).unwrap(), v.clone())).collect();
    assemble(paths.iter().map(|(p, v)| (p, v.clone())))
}

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

fn render(contract: &Contract, operation: &str, body: Node) -> Result<Element, Refusal> {
    let operation = contract.find(None, None, operation).unwrap();
    let rendered = Request { operation, headers: Vec::new(), body, uncarried: Uncarried::Refuse }.render()?;
    Ok(xml::read(&rendered.bytes, Some(&rendered.content_type), &Limits::ANSWER).unwrap())
}

/// The names right inside of the element at a path.
fn children(envelope: &Element, path: &str) -> Vec<String> {
    let found = Path::parse(path).unwrap().select(envelope);
    found.first().unwrap().element().children().map(|c| c.name.local.to_string()).collect()
}

fn person(extra: &[(&str, Value)]) -> Node {
    let mut all = vec![("ExternalId", text("e")), ("Person/Family", text("F")), ("Person/@version", Value::Integer(1))];
    all.extend(extra.iter().cloned());
    values(&all)
}

#[test]
fn values_come_in_any_order_and_leave_in_the_schemas() {
    let contract = contract("crm.wsdl");
    let body = values(&[
        ("Person/Visits", Value::Integer(7)),
        ("Person[2]/@version", Value::Integer(2)),
        ("Person[2]/Family", text("Two")),
        ("Person/Mail[2]", text("b@x")),
        ("Person/Mail", text("a@x")),
        ("Person/Given/@xsi:nil", Value::Bool(true)),
        ("Person/Family", text("O'<&>]]>\r\n\t \u{1F600}")),
        ("Person/@version", Value::Integer(1)),
        ("Person/Key", Value::Missing),
        ("Person/Seen", Value::Time("2026-11-27T10:00:00.5Z".parse().unwrap())),
        ("Person/Born", Value::Time("2026-11-27T10:00:00Z".parse().unwrap())),
        ("Person/Worth", Value::Number(12.5)),
        ("Person/Vip", Value::Bool(true)),
        ("ExternalId", text("bluesky:1")),
    ]);
    let envelope = render(&contract, "Upsert", body).unwrap();
    let at = |path: &str| Path::parse(path).unwrap().text(&envelope);
    assert_eq!(children(&envelope, "/Body/Upsert/Person"), ["Family", "Given", "Mail", "Mail", "Born", "Seen", "Worth", "Vip", "Visits"]);
    let raw = Path::parse("/Body/Upsert/Person[1]/Family").unwrap().select(&envelope)[0].text().unwrap().into_owned();
    assert_eq!(raw, "O'<&>]]>\r\n\t \u{1F600}");
    assert_eq!(at("/Body/Upsert/Person[1]/Given"), None, "nil has no text");
    assert_eq!(at("/Body/Upsert/Person[1]/Born").as_deref(), Some("2026-11-27Z"));
    assert_eq!(at("/Body/Upsert/Person[1]/Seen").as_deref(), Some("2026-11-27T10:00:00.5Z"));
    assert_eq!(at("/Body/Upsert/Person[1]/Worth").as_deref(), Some("12.5"));
    assert_eq!(at("/Body/Upsert/Person[1]/Mail[2]").as_deref(), Some("b@x"));
    assert_eq!(at("/Body/Upsert/Person[2]/Family").as_deref(), Some("Two"));
    assert_eq!(at("/Body/Upsert/Person[2]/@source").as_deref(), Some("social"), "a default is written");
}

#[test]
fn what_does_not_fit_is_refused_with_path_and_limit_and_never_the_value() {
    let contract = contract("crm.wsdl");
    let told = |body: Node| {
        let refusal = render(&contract, "Upsert", body).unwrap_err();
        assert!(crate::diagnose::page(refusal.code().0).is_some());
        let told = refusal.to_string();
        assert!(!told.contains("secret") && !format!("{refusal:?}").contains("secret"), "{told}");
        told
    };
    let long = "secret".repeat(7);
    for (extra, wanted) in [
        (("Person/Famly", text("secret")), "`Person[1]/Famly`: there is no such element here; `Family` is near"),
        (("Person/@versoin", text("1")), "`Person[1]/@versoin`: there is no such attribute here; `version` is near"),
        (("Person/Family", text(&long)), "`Person[1]/Family`: its length is 42, the most is 40"),
        (("Person/Family", text("")), "`Person[1]/Family`: its length is 0, the least is 1"),
        (("Person/Mail[4]", text("secret")), ""),
        (("Person/Phone", text("secret")), "`Person[1]/Phone`: it does not match the pattern `\\+?[0-9 ]{4,20}`"),
        (("Person/Network", text("secret")), "`Person[1]/Network`: it is none of the 3 values of the type's list"),
        (("Person/Born", text("secret")), "`Person[1]/Born`: it is not of the form of date"),
        (("Person/Worth", Value::Number(1.234)), "`Person[1]/Worth`: it has 3 digits behind the point, the most is 2"),
        (("Person/Worth", Value::Integer(-1)), "`Person[1]/Worth`: it is below the least, 0"),
        (("Person/Worth", Value::Number(f64::INFINITY)), "`Person[1]/Worth`: a number can't be written here"),
        (("Person/Visits", Value::Number(1.5)), "`Person[1]/Visits`: it is not of the form of int"),
        (("Person/Visits", Value::Integer(1 << 40)), "`Person[1]/Visits`: it is not of the form of int"),
        (("Person/Key", text("a\u{0}secret\u{1}")), "`Person[1]/Key`: it holds 2 characters that XML cannot carry"),
        (("Person/Key/Deep", text("secret")), "`Person[1]/Key`: it holds a value, not elements"),
        (("Person/Key/@xsi:nil", Value::Bool(true)), "`Person[1]/Key`: it may not be nil"),
        (("Person/@xsi:type", text("Persn")), "`Person[1]`: there is no such type to name here"),
        (("Person/@xsi:type", text("Phone")), "`Person[1]`: the type that is named is not derived from the declared one"),
        (("Person/@version", Value::Integer(70_000)), "`Person[1]/@version`: it is not of the form of unsignedShort"),
        (("ExternalId", Value::List(Arc::from([text("a"), text("b")]))), "`ExternalId`: it is there more than 1 times"),
        (("Person", text("secret")), "`Person[1]`: "),
    ] {
        if wanted.is_empty() {
            // A position that nobody fills before it comes to nothing.
            assert!(render(&contract, "Upsert", person(&[extra])).is_ok());
        } else {
            let told = told(person(std::slice::from_ref(&extra)));
            assert!(told.starts_with(wanted), "{told} for {}", extra.0);
        }
    }
    assert_eq!(told(values(&[("ExternalId", text("e"))])), "`Person`: it must be there");
    assert_eq!(told(values(&[("ExternalId", text("e")), ("Person/Family", text("F"))])), "`Person[1]/@version`: it must be there");
    let four: Value = Value::List((0..4).map(|_| text("secret")).collect());
    assert_eq!(told(person(&[("Person/Mail", four)])), "`Person[1]/Mail`: it is there more than 3 times");
}

#[test]
fn groups_choices_substitutes_and_derived_types_are_written() {
    let contract = contract("layered");
    let base = [("Trace/At", text("2026-11-27T10:00:00Z")), ("Person/id", text("1")), ("Person/name", text("N"))];
    let with = |extra: &[(&str, Value)]| {
        let mut all = base.to_vec();
        all.extend(extra.iter().cloned());
        render(&contract, "Record", values(&all))
    };
    let told = |extra: &[(&str, Value)]| with(extra).unwrap_err().to_string();
    let envelope = with(&[
        ("Tree/branch/branch/label", text("c")),
        ("Tree/branch/label", text("b")),
        ("Tree/label", text("a")),
        ("{urn:free}Extra/Note", text("free")),
        ("Either", text("never")),
        ("Codes", text(" 1  2 ")),
        ("second", text("s")),
        ("first", text("f")),
        ("ByTown", text("T")),
        ("ByName", text("N")),
        ("@rank", Value::Integer(3)),
        ("Person/weight/@unit", text("kg")),
        ("Person/weight", Value::Number(80.5)),
        ("Person/@xsi:type", text("Employee")),
        ("Person/boss", text("B")),
    ]);
    // A value after its attribute makes the same element.
    let envelope = envelope.unwrap();
    assert_eq!(
        children(&envelope, "/Body/Record"),
        ["Trace", "ByName", "ByTown", "Person", "first", "second", "Codes", "Either", "Tree", "Extra"]
    );
    assert_eq!(children(&envelope, "/Body/Record/Person"), ["id", "name", "weight", "boss"]);
    let root = Path::parse("/Body/Record").unwrap().select(&envelope)[0].element();
    assert_eq!((root.attribute("mode"), root.attribute("rank")), (Some("live"), Some("3")));
    let person = root.child("urn:kith:layered:objects", "Person").unwrap();
    let named = person.attribute_in(xml::XSI_NS, "type").and_then(|t| person.scope.qname(t)).unwrap();
    assert!(named.is("urn:kith:layered:objects", "Employee"));
    assert!(person.child("", "id").is_some(), "local elements are unqualified there");
    assert_eq!(told(&[]), "the body: one of ByKey, ByName, ByTown must be there");
    assert_eq!(told(&[("ByKey", text("k")), ("ByName", text("n"))]), "the body: of ByKey, ByName only one may be there");
    assert_eq!(told(&[("ByTown", text("t"))]), "`ByName`: it must be there");
    assert_eq!(told(&[("ByKey", text("k")), ("second", text("s"))]), "`first`: it must be there");
    assert_eq!(told(&[("ByKey", text("k")), ("Thing/id", text("1"))]).split(':').next().unwrap(), "`Thing[2]`");
    assert_eq!(told(&[("ByKey", text("k")), ("@mode", text("dead"))]), "`@mode`: its value is fixed by the schema");
    assert_eq!(told(&[("ByKey", text("k")), ("Codes", text("1 2 3 4 5"))]), "`Codes`: its length is 5, the most is 4");
    assert_eq!(
        told(&[("ByKey", text("k")), ("Trace/At", text("1999-01-01T00:00:00Z"))]),
        "`Trace/At`: it is below the least, 2000-01-01T00:00:00Z"
    );
    // A choice that repeats keeps the order of its values.
    let nodes = Node::body(vec![
        Node::new("Tag", "a"),
        Node::of("Trace", vec![Node::new("At", "2026-11-27T10:00:00Z")]),
        Node::new("Score", Value::Number(1.0)),
        Node::new("ByKey", "k"),
        Node::new("Tag", "b"),
        Node::of("Company", vec![Node::new("id", "1")]),
    ]);
    let envelope = render(&contract, "Record", nodes).unwrap();
    assert_eq!(children(&envelope, "/Body/Record"), ["Trace", "ByKey", "Company", "Tag", "Score", "Tag"]);
}

#[test]
fn arrays_of_the_encoding_name_their_types() {
    let contract = contract("sugar.wsdl");
    let pair = |name: &str, value: &str| Node::of("item", vec![Node::new("value", text(value)), Node::new("name", text(name))]);
    let lists = Node::of("name_value_lists", vec![Node::of("item", vec![pair("id", "1"), pair("name", "N")]), Node::of("item", vec![])]);
    let body = Node::body(vec![lists, Node::new("module_name", "Contacts"), Node::new("session", text(""))]);
    let operation = contract.find(None, None, "set_entries").unwrap();
    let rendered = Request { operation, headers: Vec::new(), body, uncarried: Uncarried::Refuse }.render().unwrap();
    assert_eq!(rendered.soap_action.as_deref(), Some("\"http://127.0.0.1:1/soap.php/set_entries\""));
    insta::assert_snapshot!(String::from_utf8(rendered.bytes).unwrap().replace("><", ">\n<"));
}

#[test]
fn what_must_be_there_and_may_be_nil_is_nil_where_nothing_is_given() {
    let sugar = contract("sugar.wsdl");
    let body = Node::body(vec![Node::new("session", "s"), Node::new("module_name", "M")]);
    let envelope = render(&sugar, "set_entry", body).unwrap();
    let list = Path::parse("/Body/set_entry/name_value_list").unwrap().select(&envelope)[0].element();
    assert_eq!(list.attributes.iter().find(|a| &*a.name.local == "arrayType").map(|a| a.value.ends_with("[0]")), Some(true));
    // A part of a literal message may not be nil.
    let told = render(&contract("rpc.wsdl"), "post", Node::body(vec![Node::new("session", "s")])).unwrap_err().to_string();
    assert_eq!(told, "`entry`: it must be there");
}

#[test]
fn both_versions_name_the_action_where_they_should() {
    let contract = contract("crm.wsdl");
    let render = |port: &str, operation: &str, body: Node| {
        let operation = contract.find(None, Some(port), operation).unwrap();
        let session = header(&operation, &Node::of("{urn:kith:desk}Session", vec![Node::new("Token", "t")]), Uncarried::Refuse).unwrap();
        Request { operation, headers: vec![session], body, uncarried: Uncarried::Refuse }.render().unwrap()
    };
    let ping = render("Desk12", "Ping", Node::new("", "x"));
    assert_eq!((ping.content_type.as_str(), ping.soap_action), ("application/soap+xml; charset=utf-8", None));
    let upsert = render("Desk12", "Upsert", person(&[]));
    assert_eq!(upsert.content_type, "application/soap+xml; charset=utf-8; action=\"urn:kith:desk#Upsert\"");
    let ping = render("Desk11", "Ping", Node::new("", "x"));
    assert_eq!((ping.content_type.as_str(), ping.soap_action.as_deref()), ("text/xml; charset=utf-8", Some("\"\"")));
    let Reading::Answer(answer) = read(&upsert.bytes, Some(&upsert.content_type)) else { panic!() };
    assert_eq!(answer.version, Version::V12);
    assert_eq!(Path::parse("/Header/Session/Token").unwrap().text(&answer.envelope).as_deref(), Some("t"));
}

#[test]
fn a_mapping_learns_what_stands_at_a_path() {
    let crm = contract("crm.wsdl");
    let upsert = crm.find(None, None, "Upsert").unwrap();
    let at = |path: &str| field(&upsert, &FieldPath::parse(path).unwrap());
    let family = at("Person/Family").unwrap();
    assert_eq!((family.min, family.max, family.takes_value, family.described.as_str()), (1, Some(1), true, "string, 1 to 40 long"));
    assert_eq!(family.facets.unwrap().max_length, Some(40));
    let person = at("Person").unwrap();
    assert_eq!((person.min, person.max, person.takes_value), (1, Some(200), false));
    assert_eq!(person.requires.iter().map(|r| &**r).collect::<Vec<_>>(), ["@version", "Family"]);
    assert_eq!(at("Person/@source").unwrap().default.as_deref(), Some("social"));
    assert_eq!(at("Person/Famly").unwrap_err().to_string(), "`Person` has no `Famly`; `Family` is near");
    assert_eq!(at("Person/@vers").unwrap_err().to_string(), "`Person` has no `@vers`; `version` is near");
    let sugar = contract("sugar.wsdl");
    let set = sugar.find(None, None, "set_entry").unwrap();
    assert!(field(&set, &FieldPath::parse("name_value_list/item[2]/value").unwrap()).unwrap().takes_value);
    let layered = contract("layered");
    let record = layered.find(None, None, "Record").unwrap();
    let boss = field(&record, &FieldPath::parse("Person/boss").unwrap()).unwrap();
    assert_eq!(boss.only_in.as_deref(), Some("Employee"));
    assert_eq!(field(&record, &FieldPath::parse("ByKey").unwrap()).unwrap().min, 0, "one of a choice");
}

#[test]
fn every_kind_of_answer_is_told_apart() {
    let kind = |bytes: &[u8], content_type: Option<&str>| match read(bytes, content_type) {
        Reading::Answer(_) => "answer",
        Reading::Fault(_) => "fault",
        Reading::NotSoap(NotSoap::Empty) => "empty",
        Reading::NotSoap(NotSoap::Html { .. }) => "html",
        Reading::NotSoap(NotSoap::Text) => "text",
        Reading::NotSoap(NotSoap::CutOff) => "cut off",
        Reading::NotSoap(NotSoap::NotAnEnvelope(_)) => "no envelope",
        Reading::NotSoap(NotSoap::UnknownVersion(_)) => "version",
        Reading::NotSoap(NotSoap::Broken(_)) => "broken",
        Reading::NotSoap(NotSoap::Malformed(_)) => "malformed",
        Reading::NotSoap(NotSoap::TooLarge(_)) => "too large",
        Reading::NotSoap(NotSoap::Parts) => "parts",
    };
    let soap = |body: &str| format!("<s:Envelope xmlns:s='http://schemas.xmlsoap.org/soap/envelope/'>{body}</s:Envelope>");
    let ok = soap("<s:Body><r/></s:Body>");
    let multipart = format!(
        "--b\r\nContent-ID: <a>\r\n\r\njunk\r\n--b\r\nContent-Type: application/xop+xml; charset=utf-8\r\nContent-ID: <root>\r\n\r\n{ok}\r\n--b--"
    );
    for (bytes, content_type, wanted) in [
        (ok.as_str(), Some("text/html"), "answer"),
        (&format!("\r\n\u{FEFF}{ok}"), None, "text"),
        (&format!("\n{ok}"), None, "answer"),
        (ok.strip_suffix("lope>").unwrap(), None, "cut off"),
        (ok.split_at(30).0, None, "cut off"),
        (" \r\n", None, "empty"),
        ("<!-- x --><!DOCTYPE html><html><title>Log\n in</title>", None, "html"),
        ("<?xml version='1.0'?><html xmlns='http://www.w3.org/1999/xhtml'/>", None, "html"),
        ("<br />\n<b>Fatal error</b>: Uncaught", None, "html"),
        ("java.lang.NullPointerException\n\tat crm.Main", None, "text"),
        ("{\"error\":1}", Some("application/json"), "text"),
        ("Notice: x\n<s:Envelope/>", None, "text"),
        ("<ok/>", None, "no envelope"),
        ("<Envelope/>", None, "version"),
        (&soap(""), None, "broken"),
        (&soap("<s:Body><a href='#1'/><m id='1'><b href='#2'/></m><m id='2'><c href='#1'/></m></s:Body>"), None, "broken"),
        (&format!("<!DOCTYPE s [<!ENTITY x 'y'>]>{ok}"), None, "malformed"),
        (&ok.replace("<r/>", "<r></q>"), None, "malformed"),
        (&soap(&format!("<s:Body>{}", "<a>".repeat(500))), None, "too large"),
        (&multipart, Some("multipart/related; type=\"application/xop+xml\"; boundary=b; start=\"<root>\""), "answer"),
        (&multipart, Some("multipart/related; boundary=other"), "parts"),
        (&multipart, Some("multipart/related"), "parts"),
    ] {
        assert_eq!(kind(bytes.as_bytes(), content_type), wanted, "{bytes}");
    }
    assert_eq!(kind(b"<a>\xFF</a>", None), "malformed");
    assert!(
        matches!(read(b"<html><head><TITLE> Log\n in </TITLE>", None), Reading::NotSoap(NotSoap::Html { title: Some(t) }) if t == "Log in")
    );
}

#[test]
fn faults_of_either_version_in_either_envelope_are_read() {
    let fault = |envelope: &str, fault: &str| {
        let Reading::Fault(fault) =
            read(format!("<e:Envelope xmlns:e='{envelope}' xmlns:q='urn:q'><e:Body>{fault}</e:Body></e:Envelope>").as_bytes(), None)
        else {
            panic!("no fault: {fault}")
        };
        fault
    };
    let (v11, v12) = (Version::V11.envelope(), Version::V12.envelope());
    let one = fault(
        v11,
        "<e:Fault><faultcode>e:Client.Auth</faultcode><faultstring> secret </faultstring><faultactor>a</faultactor><detail><q:F><q:Code>X</q:Code></q:F></detail></e:Fault>",
    );
    assert!(one.code.is(v11, "Client.Auth") && one.is_senders() == Some(true));
    assert_eq!((one.version, one.reason.as_str(), one.actor.as_deref()), (Version::V11, "secret", Some("a")));
    assert_eq!(Path::parse("/F/Code").unwrap().text(one.detail.as_ref().unwrap()).as_deref(), Some("X"));
    assert_eq!(Path::parse("/Body/Fault/detail/*/Code").unwrap().text(&one.envelope).as_deref(), Some("X"));
    assert!(!format!("{one:?}").contains("secret"));
    let shape_12 = "<e:Fault><e:Code><e:Value>e:Sender</e:Value><e:Subcode><e:Value>q:A</e:Value><e:Subcode><e:Value>q:B</e:Value></e:Subcode></e:Subcode></e:Code><e:Reason><e:Text xml:lang='de'>Nein</e:Text><e:Text xml:lang='en'>No</e:Text></e:Reason><e:Detail/></e:Fault>";
    for (envelope, version) in [(v12, Version::V12), (v11, Version::V11)] {
        let two = fault(envelope, shape_12);
        assert_eq!((two.envelope_version, two.version, two.reason.as_str()), (version, Version::V12, "No"));
        assert_eq!(two.subcodes.iter().map(|s| &*s.local).collect::<Vec<_>>(), ["A", "B"]);
    }
    // SugarCRM's: a number for a code, no prefix declared for another.
    assert_eq!(&*fault(v11, "<e:Fault><faultcode>11</faultcode><faultstring/></e:Fault>").code.local, "11");
    let odd = fault(v11, "<e:Fault><faultcode>Nope:Server</faultcode></e:Fault>");
    assert_eq!((odd.code.to_string().as_str(), odd.code_written.as_str(), odd.is_senders()), ("Server", "Nope:Server", Some(false)));
}

#[test]
fn references_are_followed_and_their_values_taken_out() {
    let axis = "<s:Envelope xmlns:s='http://schemas.xmlsoap.org/soap/envelope/' xmlns:c='http://schemas.xmlsoap.org/soap/encoding/'><s:Body>\
        <listResponse c:root='1'><listReturn><item href='#id0'/><item href='#id0'/></listReturn></listResponse>\
        <multiRef id='id0' c:root='0'><name>N</name><modified href='#id1'/></multiRef><multiRef id='id1' c:root='0'>2026</multiRef></s:Body></s:Envelope>";
    let Reading::Answer(answer) = read(axis.as_bytes(), None) else { panic!() };
    assert_eq!(answer.body().unwrap().children().count(), 1);
    assert_eq!(Path::parse("/Body/listResponse/listReturn/item/modified").unwrap().select(&answer.envelope).len(), 2);
    assert_eq!(Path::parse("//item[2]/modified").unwrap().text(&answer.envelope).as_deref(), Some("2026"));
    // Each refers to the next ten times: the last would be there a billion times.
    let mut bomb = String::from("<s:Envelope xmlns:s='http://schemas.xmlsoap.org/soap/envelope/'><s:Body><r href='#i0'/>");
    for n in 0..9 {
        let inside = format!("<x href='#i{}'/>", n + 1).repeat(10);
        bomb.extend(["<m id='i", &n.to_string(), "'>", &inside, "</m>"]);
    }
    bomb.push_str("<m id='i9'/></s:Body></s:Envelope>");
    assert!(matches!(read(bomb.as_bytes(), None), Reading::NotSoap(NotSoap::Broken(_))));
}

#[test]
fn paths_find_what_they_name() {
    let text = "<e><Body xmlns:n='urn:n'><r><item k='1'><id>a</id><nvl><item><name>x/y</name><value>1</value></item><item><name>it's</name><value>2</value></item></nvl></item><n:item k='2'><id>b</id></n:item></r></Body></e>";
    let root = xml::parse(text, &Limits::ANSWER).unwrap();
    let all =
        |path: &str| -> Vec<String> { Path::parse(path).unwrap().select(&root).iter().map(|f| f.text().unwrap().into_owned()).collect() };
    assert_eq!(all("/Body/r/item/id"), ["a", "b"]);
    assert_eq!(all("Body/r/item[*]/@k"), ["1", "2"]);
    assert_eq!(all("/Body/r/{urn:n}item/id"), ["b"]);
    assert_eq!(all("/Body/r/item[2]/id"), ["b"]);
    assert_eq!(all("/Body/r/item[@k='2']/id"), ["b"]);
    assert_eq!(all("/Body/*/item[id='a']/nvl/item[name='x/y']/value"), ["1"]);
    assert_eq!(all("//item[name=\"it's\"]/value"), ["2"]);
    assert_eq!(all("//id"), ["a", "b"]);
    assert_eq!(all("/Body/r/item[3]/id"), [""; 0]);
    for bad in ["", "/", "a//", "a/@b/c", "a[0]", "a[x]", "a['x']", "a[b=c]", "1a", "a[", "a]", "//@a", "a[b='c'", "@", "a b"] {
        assert!(Path::parse(bad).is_err(), "{bad}");
    }
    for bad in ["", "a/", "a[0]", "a[1001]", "@a/b", "a[b]", "@1", "a//b", "a b"] {
        assert!(FieldPath::parse(bad).is_err(), "{bad}");
    }
    assert_eq!(FieldPath::parse("{http://x/y}a[2]/b/@c").unwrap().to_string(), "{http://x/y}a[2]/b/@c");
}

/// Values that fit, one for each optional field of `Upsert`.
const FITTING: &[(&str, &str)] = &[
    ("Person/@source", "web"),
    ("Person/Key", " k "),
    ("Person/Given", "G"),
    ("Person/Mail", "a@x"),
    ("Person/Mail[2]", "b@x"),
    ("Person/Phone", "+420 123"),
    ("Person/Network", "x & y"),
    ("Person/Born", "2001-02-03"),
    ("Person/Seen", "2026-11-27T10:00:00+01:00"),
    ("Person/Worth", "12.50"),
    ("Person/Vip", "1"),
    ("Person/Visits", "-2147483648"),
    ("Person/Photo", "QUI="),
    ("Person[2]/Family", "Two"),
    ("Person[2]/@version", "2"),
];

proptest! {
    #[test]
    fn values_that_fit_are_never_refused_and_read_back_as_they_were(
        chosen in prop::sample::subsequence(FITTING, 0..=FITTING.len()).prop_shuffle(),
        odd in "[ -~\t\r\n\u{85}\u{2028}ßé€\u{FFFD}\u{1F600}]{1,40}",
    ) {
        let contract = contract("crm.wsdl");
        let second = |path: &str| path.starts_with("Person[2]");
        let both = chosen.iter().filter(|(path, _)| second(path)).count() == 2;
        let mut pairs: Vec<(&str, Value)> =
            chosen.iter().filter(|(path, _)| both || !second(path)).map(|(p, v)| (*p, text(v))).collect();
        pairs.extend([("ExternalId", text(&odd)), ("Person/Family", text(&odd)), ("Person/@version", text("1"))]);
        let alone = pairs.iter().any(|(p, _)| *p == "Person/Mail");
        let envelope = render(&contract, "Upsert", values(&pairs)).unwrap();
        for (path, value) in &pairs {
            // A second value without a first is the only one.
            let path = if *path == "Person/Mail[2]" && !alone { "Person/Mail" } else { path };
            let path = path.strip_prefix("Person").map_or_else(|| path.to_owned(), |rest| if rest.starts_with('[') { format!("Person{rest}") } else { format!("Person[1]{rest}") });
            let found = Path::parse(&format!("/Body/Upsert/{path}")).unwrap().select(&envelope)[0].text().unwrap().into_owned();
            prop_assert_eq!(Some(found.as_str()), value.as_text(), "{}", path);
        }
    }
}
