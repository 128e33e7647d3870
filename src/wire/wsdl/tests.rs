//! Promises of the reader of contracts.

use super::schema::{Builtin, Kind, NotOfType};
use super::*;
use crate::diagnose::{Checked, Look};
use crate::wire::xml::Name;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/soap").join(name)
}

fn one(text: &str) -> Checked<Contract> {
    read(&BTreeMap::from([("x.wsdl".to_owned(), text.as_bytes().to_vec())]), "x.wsdl")
}

/// A WSDL around a schema whose element `In` is the input of the operation `op`.
fn around(schema: &str) -> String {
    format!(
        r#"<definitions xmlns="http://schemas.xmlsoap.org/wsdl/" xmlns:s="http://schemas.xmlsoap.org/wsdl/soap/" xmlns:x="http://www.w3.org/2001/XMLSchema" xmlns:t="urn:t" targetNamespace="urn:t">
<types><x:schema targetNamespace="urn:t" elementFormDefault="qualified">
{schema}
</x:schema></types>
<message name="m"><part name="p" element="t:In"/></message>
<portType name="p"><operation name="op"><input message="t:m"/></operation></portType>
<binding name="b" type="t:p"><s:binding transport="http://schemas.xmlsoap.org/soap/http"/><operation name="op"><s:operation soapAction="a"/><input><s:body use="literal"/></input></operation></binding>
<service name="s"><port name="p" binding="t:b"><s:address location="http://h/"/></port></service>
</definitions>"#
    )
}

/// Whether a type of a schema takes a text.
fn check(schema: &str, local: &str, text: &str) -> Result<String, NotOfType> {
    let (contract, problems) = one(&around(&format!("{schema}<x:element name=\"In\" type=\"x:string\"/>"))).into_result().unwrap();
    assert!(problems.0.is_empty(), "{problems:?}");
    let id = contract.schemas.type_named(&Name::new("urn:t", local)).unwrap();
    contract.schemas.check(id, text).map(std::borrow::Cow::into_owned)
}

#[test]
fn our_wsdls_are_read_without_a_complaint() {
    for (name, operations) in [("crm.wsdl", 6), ("rpc.wsdl", 1), ("sugar.wsdl", 3), ("layered", 2), ("layered/service.wsdl", 2)] {
        let checked = load(&data(name));
        assert!(checked.problems.0.is_empty(), "{name}: {:?}", checked.problems);
        assert_eq!(checked.value.unwrap().operations().count(), operations, "{name}");
    }
}

#[test]
fn an_operation_is_found_by_name_and_what_is_near_is_told() {
    let contract = load(&data("crm.wsdl")).value.unwrap();
    let found = contract.find(None, None, "Upsert").unwrap();
    assert_eq!((&*found.port.name, found.port.version, &*found.operation.action), ("Desk11", Version::V11, "urn:kith:desk#Upsert"));
    assert_eq!(found.operation.faults.len(), 1);
    assert_eq!(contract.find(Some("Desk"), Some("Desk12"), "Upsert").unwrap().port.version, Version::V12);
    let told = |service, port, operation| contract.find(service, port, operation).unwrap_err().to_string();
    assert_eq!(told(None, None, "Upsrt"), "the WSDL has no operation `Upsrt`; `Upsert` is near");
    assert_eq!(told(Some("Desc"), None, "Upsert"), "the WSDL has no service `Desc`; `Desk` is near");
    assert_eq!(told(None, Some("Desk13"), "Upsert"), "the WSDL has no SOAP port `Desk13`; `Desk11` is near");
}

#[test]
fn outlines_say_what_an_operation_takes() {
    let mut all = String::new();
    for (file, operation) in [("crm.wsdl", "Upsert"), ("sugar.wsdl", "set_entries"), ("layered", "Record")] {
        let contract = load(&data(file)).value.unwrap();
        writeln!(all, "{}{}", contract.outline(), contract.find(None, None, operation).unwrap().outline()).unwrap();
    }
    insta::assert_snapshot!(all);
}

#[test]
fn broken_wsdls_are_told_with_place_and_code() {
    let folder = |files: &[(&str, &str)]| {
        let files: BTreeMap<String, Vec<u8>> = files.iter().map(|(n, t)| ((*n).to_owned(), t.as_bytes().to_vec())).collect();
        read(&files, "x.wsdl")
    };
    let cases: Vec<(&str, Checked<Contract>)> = vec![
        ("not there", read(&BTreeMap::new(), "x.wsdl")),
        ("not XML", one("<definitions><a></definitions>")),
        ("a login page", one("<html><body><p>Log in<br></body></html>")),
        ("cut off", one("<definitions xmlns='http://schemas.xmlsoap.org/wsdl/'><types>")),
        ("a bomb", one("<!DOCTYPE a [<!ENTITY b 'bbbb'>]><definitions>&b;</definitions>")),
        ("WSDL 2.0", one("<description xmlns='http://www.w3.org/ns/wsdl'/>")),
        ("no service", one("<definitions xmlns='http://schemas.xmlsoap.org/wsdl/'/>")),
        (
            "unknown names",
            one(&around(
                "<x:element name='In'><x:complexType><x:sequence><x:element name='a' type='t:Persn'/><x:element ref='t:Nope'/><x:group ref='t:G'/><x:element name='c' type='q:x'/></x:sequence></x:complexType></x:element><x:complexType name='Person'/>",
            )),
        ),
        (
            "limits",
            one(&around(
                "<x:element name='In'><x:simpleType><x:restriction base='x:string'><x:maxLength value='many'/><x:pattern value='\\p{IsGreek}+'/></x:restriction></x:simpleType></x:element>",
            )),
        ),
        (
            "circles",
            one(&around(
                "<x:element name='In' type='t:A'/><x:complexType name='A'><x:complexContent><x:extension base='t:B'/></x:complexContent></x:complexType><x:complexType name='B'><x:complexContent><x:extension base='t:A'/></x:complexContent></x:complexType><x:complexType name='C'><x:group ref='t:G'/></x:complexType><x:group name='G'><x:sequence><x:group ref='t:G'/></x:sequence></x:group>",
            )),
        ),
        (
            "missing import",
            one(&around(
                "<x:import namespace='urn:else' schemaLocation='http://h/else.xsd'/><x:include schemaLocation='more.xsd'/><x:element name='In' type='x:string'/>",
            )),
        ),
        (
            "broken import",
            folder(&[
                ("x.wsdl", &around("<x:include schemaLocation='more.xsd'/><x:element name='In' type='x:string'/>")),
                ("more.xsd", "<schema"),
            ]),
        ),
        (
            "twice",
            one(&around(
                "<x:element name='In' type='x:string'/><x:element name='In' type='x:int'/><x:element name='Same' type='x:int'/><x:element name='Same' type='x:int'/>",
            )),
        ),
        ("a part of a type", one(&around("<x:element name='In' type='x:string'/>").replace("element=\"t:In\"", "type=\"x:string\""))),
    ];
    let mut all = String::new();
    for (name, checked) in cases {
        assert_eq!(checked.value.is_none(), checked.problems.has_errors());
        writeln!(all, "== {name}: {}", if checked.value.is_some() { "can be used" } else { "can't be used" }).unwrap();
        for problem in &checked.problems.0 {
            writeln!(all, "{}\n", problem.render(Look::PLAIN)).unwrap();
        }
    }
    insta::assert_snapshot!(all);
}

#[test]
fn one_broken_operation_does_not_stop_the_others() {
    let text = around("<x:element name='In' type='x:string'/>")
        .replace("<portType name=\"p\">", "<portType name=\"p\"><operation name=\"bad\"><input message=\"t:none\"/></operation>")
        .replace(
            "<operation name=\"op\"><s:",
            "<operation name=\"bad\"><s:operation/><input><s:body use=\"literal\"/></input></operation><operation name=\"op\"><s:",
        );
    let (contract, problems) = one(&text).into_result().unwrap();
    assert!(problems.0.iter().any(|p| p.code.0 == "KITH-W012"));
    assert!(contract.find(None, None, "op").is_ok());
    assert!(matches!(contract.find(None, None, "bad"), Err(FindError::NotUnderstood { .. })));
}

#[test]
fn built_in_types_take_their_lexical_forms_and_no_others() {
    let contract = load(&data("crm.wsdl")).value.unwrap();
    for (builtin, good, bad) in [
        (Builtin::Boolean, &["true", " 1 ", "0"][..], &["TRUE", "yes", ""][..]),
        (Builtin::Decimal, &["1", "-.5", "+1.", "007.250"], &["1e3", ".", "1,5", "--1", "INF"]),
        (Builtin::Int, &["2147483647", "-2147483648", "+0"], &["2147483648", "-2147483649", "1.0", ""]),
        (Builtin::Byte, &["-128", "127"], &["128", "-129"]),
        (Builtin::UnsignedLong, &["18446744073709551615", "-0"], &["18446744073709551616", "-1"]),
        (Builtin::PositiveInteger, &["1", "99999999999999999999999999"], &["0", "-1"]),
        (Builtin::NegativeInteger, &["-1"], &["0"]),
        (Builtin::Double, &["1e3", "-INF", "NaN", "1.5E-7"], &["+INF", "inf", "1e", "e1", "infinity"]),
        (
            Builtin::Date,
            &["2026-11-27", "2024-02-29Z", "2026-01-01+14:00", "-0044-03-15"],
            &["2026-02-29", "2026-13-01", "26-01-01", "2026-1-1", "0000-01-01", "2026-01-01+14:01"],
        ),
        (
            Builtin::DateTime,
            &["2026-11-27T10:00:00", "2026-11-27T24:00:00Z", "2026-11-27T10:00:00.123456789012-05:30"],
            &["2026-11-27", "2026-11-27 10:00:00", "2026-11-27T24:00:01", "2026-11-27T10:00:60", "2026-11-27T10:00"],
        ),
        (Builtin::Time, &["10:00:00", "23:59:59.5Z"], &["10:00", "25:00:00", "+01:00"]),
        (Builtin::GYearMonth, &["2026-11", "2026-11Z", "2026-11-05:00"], &["2026-13", "2026-11-27"]),
        (Builtin::GYear, &["2026", "12026"], &["26", "02026"]),
        (Builtin::GMonthDay, &["--02-29"], &["--02-30", "02-29"]),
        (Builtin::GDay, &["---31"], &["---32", "31"]),
        (Builtin::GMonth, &["--12"], &["--13"]),
        (Builtin::Duration, &["P1Y2M3DT4H5M6.7S", "-P1D", "PT0S"], &["P", "PT", "P1YT", "P1.5D", "1Y", "P1S"]),
        (Builtin::HexBinary, &["", "0aFF"], &["0", "0g"]),
        (Builtin::Base64Binary, &["", "QQ==", "QUI=", "Q U J D"], &["Q", "QQ=", "QR==", "QUJ=", "=QQ=", "QUJD!"]),
        (Builtin::QName, &["a", "p:a"], &["1", "a:b:c", ":a"]),
        (Builtin::Language, &["en", "en-GB-oed"], &["", "en_GB", "verylonglanguage"]),
        (Builtin::NmTokens, &["a 1 -"], &["", "a,b"]),
        (Builtin::NcName, &["a-b"], &["a:b", "1a"]),
        (Builtin::AnyUri, &["http://x/?q=ä", ""], &["a b"]),
        (Builtin::NormalizedString, &["a\tb"], &[]),
    ] {
        for text in good {
            assert!(contract.schemas.check(builtin.id(), text).is_ok(), "{builtin:?} takes {text:?}");
        }
        for text in bad {
            assert!(contract.schemas.check(builtin.id(), text).is_err(), "{builtin:?} does not take {text:?}");
        }
    }
}

#[test]
fn facets_name_the_limit_and_the_length_and_never_the_value() {
    let schema = "<x:simpleType name='A'><x:restriction base='x:string'><x:maxLength value='3'/></x:restriction></x:simpleType>\
        <x:simpleType name='B'><x:restriction base='t:A'><x:minLength value='2'/><x:pattern value='[a-z-[aeiou]]+'/><x:pattern value='\\d{2}'/></x:restriction></x:simpleType>\
        <x:simpleType name='C'><x:restriction base='x:decimal'><x:totalDigits value='4'/><x:fractionDigits value='2'/><x:maxExclusive value='50'/></x:restriction></x:simpleType>\
        <x:simpleType name='D'><x:restriction base='x:token'><x:enumeration value='a b'/><x:enumeration value='c'/></x:restriction></x:simpleType>\
        <x:simpleType name='E'><x:restriction base='x:date'><x:minInclusive value='2000-01-01'/></x:restriction></x:simpleType>\
        <x:simpleType name='F'><x:union memberTypes='x:int t:D'/></x:simpleType>\
        <x:simpleType name='G'><x:restriction><x:simpleType><x:list itemType='t:C'/></x:simpleType><x:length value='2'/></x:restriction></x:simpleType>\
        <x:simpleType name='H'><x:restriction base='x:base64Binary'><x:maxLength value='2'/></x:restriction></x:simpleType>";
    let told = |name: &str, text: &str| check(schema, name, text).map_err(|e| e.to_string());
    assert_eq!(told("A", "äöü").unwrap(), "äöü");
    assert_eq!(told("A", "secret").unwrap_err(), "its length is 6, the most is 3");
    assert_eq!(told("B", "aa").unwrap_err(), "it does not match the pattern `[a-z-[aeiou]]+|\\d{2}`");
    assert_eq!(told("B", "x").unwrap_err(), "its length is 1, the least is 2");
    for good in ["bcd", "42"] {
        assert!(told("B", good).is_ok(), "{good}");
    }
    assert!(told("B", "bad").is_err());
    assert_eq!(told("C", " 49.99 ").unwrap(), "49.99");
    assert_eq!(told("C", "50").unwrap_err(), "it is above the most, 50");
    assert_eq!(told("C", "1.234").unwrap_err(), "it has 3 digits behind the point, the most is 2");
    assert_eq!(told("C", "-123.45").unwrap_err(), "it has 5 digits, the most is 4");
    assert_eq!(told("D", "  a   b ").unwrap(), "a b");
    assert_eq!(told("D", "secret").unwrap_err(), "it is none of the 2 values of the type's list");
    assert!(told("E", "1999-12-31").is_err() && told("E", "2000-01-01").is_ok());
    assert!(told("F", "17").is_ok() && told("F", "c").is_ok());
    assert_eq!(told("F", "secret").unwrap_err(), "it is not of the form of F");
    assert!(told("G", "1 2").is_ok());
    assert_eq!(told("G", "1 2 3").unwrap_err(), "its length is 3, the type's is 2");
    assert!(told("H", "QUI=").is_ok() && told("H", "QUJD").is_err());
}

#[test]
fn a_schema_that_expands_without_end_is_bounded() {
    // Each group holds the one before it twice: the fortieth would hold 2^40 elements.
    let mut schema = String::from("<x:group name='g0'><x:sequence><x:element name='e' type='x:string'/></x:sequence></x:group>");
    for n in 1..=40 {
        let inner = n - 1;
        write!(schema, "<x:group name='g{n}'><x:sequence><x:group ref='t:g{inner}'/><x:group ref='t:g{inner}'/></x:sequence></x:group>")
            .unwrap();
    }
    schema.push_str("<x:element name='In'><x:complexType><x:group ref='t:g40'/></x:complexType></x:element>");
    let checked = one(&around(&schema));
    assert!(checked.problems.0.iter().any(|p| p.code.0 == "KITH-W004"), "{:?}", checked.problems);
    let contract = checked.value.unwrap();
    let root = contract.find(None, None, "op").unwrap().input.roots[0];
    let decl = contract.schemas.element(root).unwrap();
    assert!(matches!(contract.schemas.kind(decl.kind).kind, Kind::NotUnderstood(_)));
    // A chain of five thousand types, each an extension of the next, is followed by no recursion that could end the process.
    let mut chain = String::from("<x:element name='In' type='t:c0'/>");
    for n in 0..5_000 {
        write!(chain, "<x:complexType name='c{n}'><x:complexContent><x:extension base='t:c{}'/></x:complexContent></x:complexType>", n + 1)
            .unwrap();
    }
    chain.push_str("<x:complexType name='c5000'/>");
    assert!(one(&around(&chain)).problems.0.iter().any(|p| p.code.0 == "KITH-W004"));
}
