//! Promise: a connection is as safe as its configuration says or there is none; a server that moved is found; what takes too long is given up, and what
//! became of a write is then known.

use crate::support::contract::{OPERATIONS, Server, answers, interaction, peer_spec, shown, told, write};
use crate::support::tds::{Browser, Encryption as Offers, Fault, Options, Request, Rule, TdsError, TdsPeer};
use crate::support::{free_port, have};
use kith::declare::config::{Encryption, ServerAddress, ServerAt, ServerSpec};
use kith::deliver::{DeliveryError, Settled, SqlServerTarget, Target};
use kith::model::{Delivery, Value};
use kith::wire::tds::connect_asking;
use std::time::{Duration, Instant};

fn row(id: &str) -> Delivery {
    interaction(id, &[("Body", Value::text("one"))])
}

/// A peer that encrypts as it is told, with the usual tables.
fn server(encryption: Offers, names: &str) -> Server {
    let server = Server::of(TdsPeer::with(Options { encryption, names: names.to_owned(), ..Options::default() }));
    for sql in server.ddl("") {
        server.peer.as_ref().unwrap().sql(&sql);
    }
    server
}

fn ca(server: &Server) -> Option<std::path::PathBuf> {
    server.peer.as_ref().map(TdsPeer::ca_file)
}

/// Class, code and words of the one answer.
async fn refusal(target: &SqlServerTarget) -> String {
    let said = write(target, &[row("never")]).await.pop().unwrap();
    assert!(said.is_err(), "{}", shown(&said));
    shown(&said)
}

fn logins(server: &Server) -> Vec<(bool, bool)> {
    let logins = server.peer.as_ref().unwrap().recorded();
    logins
        .iter()
        .filter_map(|r| if let Request::Login { encrypted, accepted, .. } = r { Some((*encrypted, *accepted)) } else { None })
        .collect()
}

#[tokio::test]
async fn a_certificate_is_believed_for_its_authority_and_its_name() {
    if !have("openssl") {
        return;
    }
    let server = server(Offers::Required, "DNS:crm.example");
    let stranger = TdsPeer::tls();
    let base = ServerSpec { encryption: Encryption::Required, ..server.spec.clone() };
    for encryption in [Encryption::Required, Encryption::Strict] {
        let trusted = ServerSpec { encryption, ca_file: ca(&server), certificate_host: Some("crm.example".into()), ..base.clone() };
        let wrong = [
            ("another authority", ServerSpec { ca_file: Some(stranger.ca_file()), ..trusted.clone() }),
            ("the system's authorities", ServerSpec { ca_file: None, ..trusted.clone() }),
            ("the address in place of a name", ServerSpec { certificate_host: None, ..trusted.clone() }),
            ("another name", ServerSpec { certificate_host: Some("db.example".into()), ..trusted.clone() }),
            ("no file", ServerSpec { ca_file: Some("/nowhere/ca.pem".into()), ..trusted.clone() }),
        ];
        server.peer.as_ref().unwrap().forget();
        for (what, spec) in wrong {
            let said = refusal(&server.target_at(spec.clone(), OPERATIONS)).await;
            assert!(said.starts_with("unavailable KITH-D052"), "{what}, {encryption:?}: {said}");
            let checked = told(&server.target_at(spec, OPERATIONS).check().await);
            assert!(checked.starts_with("KITH-D052"), "{what}, {encryption:?}: {checked}");
        }
        assert_eq!(logins(&server), [], "no password left for a server that nobody vouches for");
        let id = format!("{encryption:?}");
        assert!(answers(&server.target_at(trusted.clone(), OPERATIONS), &[row(&id)]).await[0].starts_with("inserted"), "{id}");
        assert_eq!(logins(&server), [(true, true)]);
        // Whoever wants it so may believe anybody; the doctor says what that is.
        let anybody = ServerSpec { ca_file: None, certificate_host: None, trust_any_certificate: true, ..trusted };
        let target = server.target_at(anybody, OPERATIONS);
        assert!(answers(&target, &[row(&format!("{id} anybody"))]).await[0].starts_with("inserted"), "{id}");
        assert!(told(&target.check().await).contains("KITH-D052 the server's certificate is not checked"));
    }
}

#[tokio::test]
async fn encryption_is_what_the_configuration_says_or_there_is_no_login() {
    if !have("openssl") {
        return;
    }
    let names = "DNS:localhost,IP:127.0.0.1";
    let (never, offered, required) = (server(Offers::NotSupported, names), server(Offers::Offered, names), server(Offers::Required, names));
    let with = |server: &Server, encryption| {
        // Where the server has no certificate, its authority does not matter.
        let ca_file = ca(server).filter(|path| path.exists()).or_else(|| ca(&offered));
        server.target_at(ServerSpec { encryption, ca_file, ..server.spec.clone() }, OPERATIONS)
    };
    // The login is encrypted; what follows too, where it was asked for.
    for (server, encryption, encrypted) in [
        (&never, Encryption::Off, false),
        (&offered, Encryption::Off, false),
        (&offered, Encryption::Login, true),
        (&offered, Encryption::Required, true),
        (&offered, Encryption::Strict, true),
        (&required, Encryption::Login, true),
        (&required, Encryption::Required, true),
        (&required, Encryption::Strict, true),
    ] {
        server.peer.as_ref().unwrap().forget();
        let said = answers(&with(server, encryption), &[row(&format!("{encryption:?}"))]).await;
        assert!(said[0].starts_with("inserted"), "{encryption:?}: {said:?}");
        assert_eq!(logins(server), [(encrypted, true)], "{encryption:?}");
    }
    // Never less than was asked for, and no password on the way.
    for encryption in [Encryption::Login, Encryption::Required, Encryption::Strict] {
        never.peer.as_ref().unwrap().forget();
        let said = refusal(&with(&never, encryption)).await;
        assert!(said.starts_with("unavailable"), "{encryption:?}: {said}");
        assert_eq!(logins(&never), [], "{encryption:?}: a login left in the clear");
    }
    // A server that insists gets TLS all the same, and its certificate is checked.
    required.peer.as_ref().unwrap().forget();
    assert!(answers(&with(&required, Encryption::Off), &[row("insists")]).await[0].starts_with("inserted"));
    assert_eq!(logins(&required), [(true, true)]);
    let unknown = required.target_at(ServerSpec { encryption: Encryption::Off, ..required.spec.clone() }, OPERATIONS);
    assert!(refusal(&unknown).await.starts_with("unavailable KITH-D052"));
}

#[tokio::test]
async fn the_partner_is_asked_where_the_server_is_away_or_has_no_principal() {
    let (first, partner) = (Server::peer(), Server::peer());
    for server in [&first, &partner] {
        server.tables().await;
    }
    let spec = |at: u16| ServerSpec {
        address: ServerAddress { host: "127.0.0.1".into(), at: ServerAt::Port(at) },
        failover_partner: Some(partner.spec.address.clone()),
        ..first.spec.clone()
    };
    let rows = async || partner.count("SELECT COUNT(*) FROM dbo.{Interaction}").await;
    // Nobody there.
    assert!(answers(&partner.target_at(spec(free_port()), OPERATIONS), &[row("a")]).await[0].starts_with("inserted"));
    assert_eq!(rows().await, 1);
    // There, with a mirror of the database.
    let ServerAt::Port(port) = first.spec.address.at else { panic!() };
    let peer = first.peer.as_ref().unwrap();
    for (at, number) in [(2, 4060), (3, 954), (4, 40_613)] {
        peer.fail(Rule::login(Fault::Error(TdsError::new(number, 14, 1, "no principal"))));
        assert!(answers(&partner.target_at(spec(port), OPERATIONS), &[row(&number.to_string())]).await[0].starts_with("inserted"));
        assert_eq!(rows().await, at, "{number}");
    }
    // A wrong password is wrong there too: it is not carried about.
    partner.peer.as_ref().unwrap().forget();
    peer.fail(Rule::login(Fault::Error(TdsError::new(18_456, 14, 1, "no"))));
    assert!(refusal(&partner.target_at(spec(port), OPERATIONS)).await.starts_with("unavailable KITH-D040"));
    assert_eq!(logins(&partner), []);
    // Both say no: the first one's word counts.
    let both =
        ServerSpec { failover_partner: Some(ServerAddress { host: "127.0.0.1".into(), at: ServerAt::Port(free_port()) }), ..spec(port) };
    peer.fail(Rule::login(Fault::Error(TdsError::new(4060, 14, 1, "no"))));
    assert!(refusal(&partner.target_at(both, OPERATIONS)).await.starts_with("unavailable KITH-D041"));
}

#[tokio::test]
async fn all_addresses_of_a_listener_are_tried() {
    let server = Server::peer();
    server.tables().await;
    // `localhost` is ::1 and 127.0.0.1 on most machines, and the peer listens at one of them.
    for multi_subnet in [false, true] {
        let address = ServerAddress { host: "localhost".into(), at: server.spec.address.at.clone() };
        let spec = ServerSpec { multi_subnet, address, ..server.spec.clone() };
        assert!(answers(&server.target_at(spec, OPERATIONS), &[row(&multi_subnet.to_string())]).await[0].starts_with("inserted"));
    }
    let nowhere = ServerAddress { host: "kith-test.invalid".into(), at: ServerAt::Port(1433) };
    let said = refusal(&server.target_at(ServerSpec { multi_subnet: true, address: nowhere, ..server.spec.clone() }, OPERATIONS)).await;
    assert!(said.starts_with("unavailable KITH-D001") && said.contains("kith-test.invalid"), "{said}");
}

#[tokio::test]
async fn a_named_instance_is_found_through_the_browser_service() {
    let server = Server::peer();
    server.tables().await;
    let port = server.peer.as_ref().unwrap().port();
    let at = |instance: &str| {
        let address = ServerAddress { host: "127.0.0.1".into(), at: ServerAt::Instance(instance.into()) };
        ServerSpec { address, ..server.spec.clone() }
    };
    let browser = Browser::start("CRM", port);
    let mut session = connect_asking(&at("CRM"), browser.port).await.unwrap();
    assert_eq!(session.batch("SELECT 1 AS one").await.unwrap()[0].rows.len(), 1);
    let fault = connect_asking(&at("OTHER"), browser.port).await.unwrap_err();
    assert!(fault.to_string().contains("OTHER"), "{fault}");
    // Through a target, which asks at the service's own port.
    let Some(_browser) = Browser::at_its_port("CRM", port) else {
        eprintln!("SKIPPED: UDP 1434 is taken");
        return;
    };
    assert!(answers(&server.target_at(at("CRM"), OPERATIONS), &[row("a")]).await[0].starts_with("inserted"));
    let said = refusal(&server.target_at(at("OTHER"), OPERATIONS)).await;
    assert!(said.starts_with("unavailable KITH-D001") && said.contains("OTHER"), "{said}");
}

#[tokio::test]
async fn a_server_that_does_not_answer_a_login_is_given_up_in_time() {
    let server = Server::peer();
    server.tables().await;
    let quick = ServerSpec { connect: Duration::from_secs(1), ..server.spec.clone() };
    // It takes connections and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = ServerAddress { host: "127.0.0.1".into(), at: ServerAt::Port(silent.local_addr().unwrap().port()) };
    let mute = server.target_at(ServerSpec { address, ..quick.clone() }, OPERATIONS);
    let slow = server.target_at(quick, OPERATIONS);
    server.peer.as_ref().unwrap().fail(Rule::login(Fault::Stall(Duration::from_secs(20))));
    for target in [mute, slow] {
        let started = Instant::now();
        let said = refusal(&target).await;
        assert!(said.starts_with("unavailable KITH-D001") && said.contains("within 1 s"), "{said}");
        assert!(started.elapsed() < Duration::from_secs(18), "{:?}", started.elapsed());
    }
}

#[tokio::test]
async fn a_command_that_takes_too_long_is_given_up_and_its_outcome_is_known_or_settled() {
    let server = Server::peer();
    server.tables().await;
    let peer = server.peer.as_ref().unwrap();
    let target = server.target_at(ServerSpec { timeout: Duration::from_secs(1), ..server.spec.clone() }, OPERATIONS);
    assert!(answers(&target, &[row("warm")]).await[0].starts_with("inserted"));
    // Before the commit nothing is written.
    let first = [row("a")];
    peer.fail(Rule::new("kith_rows_0", Fault::StallAnswer(Duration::from_secs(3))));
    let said = answers(&target, &first).await;
    assert!(said[0].starts_with("unavailable KITH-D001") && said[0].contains("within 1 s"), "{said:?}");
    let logins_before = logins(&server).len();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(answers(&target, &first).await[0].starts_with("inserted"), "on a connection of its own");
    assert!(logins(&server).len() > logins_before, "the session that was given up is not used again");
    // A commit without an answer is settled.
    let second = [row("b")];
    peer.fail(Rule::new("COMMIT", Fault::StallAnswer(Duration::from_secs(3))));
    assert!(matches!(write(&target, &second).await[0], Err(DeliveryError::OutcomeUnknown { .. })));
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(matches!(target.settle(&second[0]).await, Ok(Settled::Delivered(_))));
    let again = [Delivery { attempt: 2, ..second[0].clone() }];
    assert_eq!(answers(&target, &again).await, ["unchanged"]);
    assert_eq!(server.count("SELECT COUNT(*) FROM dbo.{Interaction}").await, 3);
}

#[tokio::test]
async fn the_dba_sees_the_configured_name() {
    let server = Server::peer();
    server.tables().await;
    let spec = ServerSpec { application: "kith-crm-north".into(), ..peer_spec(server.peer.as_ref().unwrap()) };
    server.peer.as_ref().unwrap().forget();
    answers(&server.target_at(spec, OPERATIONS), &[row("a")]).await;
    let logins = server.peer.as_ref().unwrap().recorded();
    assert!(logins.iter().any(|r| matches!(r, Request::Login { application, .. } if application == "kith-crm-north")));
}
