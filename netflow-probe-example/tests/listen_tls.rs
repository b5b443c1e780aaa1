//! IPFIX over TLS: who has a certificate may speak.
#![cfg(feature = "tls")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod common;

use core::net::SocketAddr;
use std::{
    fs,
    io::{self, Read as _, Write as _},
    net::TcpStream,
    path::Path,
    sync::Arc,
};

use common::{
    has_program,
    listening::Listening,
    peers::{run, wait_until},
};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};

/// An authority, and a certificate of it for each name.
fn certify(folder: &Path, authority: &str, names: &[&str]) {
    let path = |name: &str, kind: &str| folder.join(format!("{name}.{kind}")).to_str().unwrap().to_owned();
    let new =
        ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
    let (key, certificate) = (path(authority, "key"), path(authority, "pem"));
    let subject = format!("/CN={authority}");
    run("openssl", &[&new[..], &["-subj", &subject, "-keyout", &key, "-out", &certificate]].concat());
    for name in names {
        let (own_key, own) = (path(name, "key"), path(name, "pem"));
        let subject = format!("/CN={name}");
        let signed = ["-CA", &certificate, "-CAkey", &key, "-addext", "subjectAltName=DNS:localhost"];
        let constraint = ["-addext", "basicConstraints=critical,CA:FALSE"];
        let files = ["-subj", &subject, "-keyout", &own_key, "-out", &own];
        run("openssl", &[&new[..], &signed, &constraint, &files].concat());
    }
}

/// A certificate of the authority that was good until 2020.
fn certify_expired(folder: &Path, authority: &str) {
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let sections = format!(
        "[ca]\ndefault_ca = it\n[it]\ndatabase = {}\nnew_certs_dir = {}\nrand_serial = yes\ndefault_md = sha256\n\
         policy = names\nx509_extensions = kind\n[names]\ncommonName = supplied\n[kind]\n\
         basicConstraints = critical,CA:FALSE\n",
        path("index"),
        path("")
    );
    fs::write(folder.join("ca.conf"), sections).unwrap();
    fs::write(folder.join("index"), "").unwrap();
    let new = ["req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    let (key, request) = (path("expired.key"), path("expired.csr"));
    run("openssl", &[&new[..], &["-subj", "/CN=expired", "-keyout", &key, "-out", &request]].concat());
    let (own_key, own) = (path(&format!("{authority}.key")), path(&format!("{authority}.pem")));
    let (config, out) = (path("ca.conf"), path("expired.pem"));
    let signed = ["ca", "-batch", "-notext", "-config", &config, "-cert", &own, "-keyfile", &own_key];
    let times = ["-startdate", "20190101000000Z", "-enddate", "20200101000000Z"];
    run("openssl", &[&signed[..], &times, &["-in", &request, "-out", &out]].concat());
}

/// A session of a client with this certificate, or with none.
fn session(
    folder: &Path,
    to: SocketAddr,
    certificate: Option<&str>,
) -> io::Result<StreamOwned<ClientConnection, TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(folder.join("authority.pem")).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let config = match certificate {
        None => config.with_no_client_auth(),
        Some(name) => {
            let own = CertificateDer::from_pem_file(folder.join(format!("{name}.pem"))).unwrap();
            let key = PrivateKeyDer::from_pem_file(folder.join(format!("{name}.key"))).unwrap();
            config.with_client_auth_cert(vec![own], key).unwrap()
        }
    };
    let connection = ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap();
    let stream = TcpStream::connect(to)?;
    stream.set_read_timeout(Some(core::time::Duration::from_secs(30)))?;
    Ok(StreamOwned::new(connection, stream))
}

/// A template of protocolIdentifier, and two records.
const MESSAGE: [u8; 34] = [
    0, 10, 0, 34, 0x65, 0x53, 0xf1, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, 0, 12, 1, 44, 0, 1, 0, 4, 0, 1, 1, 44,
    0, 6, 6, 17,
];

#[test]
fn only_exporters_with_a_certificate_of_the_authority_are_heard() {
    // C20
    if !has_program("openssl") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    certify(folder.path(), "authority", &["collector", "exporter"]);
    certify(folder.path(), "others", &["stranger"]);
    certify_expired(folder.path(), "authority");
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (certificate, key, clients) = (file("collector.pem"), file("collector.key"), file("authority.pem"));
    let collector = Listening::start(&[
        "--bind-tls",
        "127.0.0.1:0",
        "--tls-certificate",
        &certificate,
        "--tls-key",
        &key,
        "--tls-clients",
        &clients,
    ]);
    let to = collector.streams[0];
    let mut good = session(folder.path(), to, Some("exporter")).unwrap();
    good.write_all(&MESSAGE[..20]).unwrap();
    // Without a certificate, with one of somebody else, with one of before, and without TLS.
    for certificate in [None, Some("stranger"), Some("expired")] {
        let mut bad = session(folder.path(), to, certificate).unwrap();
        let heard = bad.write_all(&MESSAGE).and_then(|()| bad.flush()).and_then(|()| bad.read(&mut [0; 1]));
        assert!(heard.is_err(), "{certificate:?}: {heard:?}");
    }
    let mut plain = TcpStream::connect(to).unwrap();
    plain.set_read_timeout(Some(core::time::Duration::from_secs(30))).unwrap();
    plain.write_all(&MESSAGE).unwrap();
    // An alert, if anything.
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer);
    assert!(answer.first().is_none_or(|kind| *kind == 21), "{answer:?}");
    good.write_all(&MESSAGE[20..]).unwrap();
    good.conn.send_close_notify();
    good.flush().unwrap();
    wait_until("printing", || collector.printed().lines().count() == 2);
    drop(good);
    let left = collector.terminate();
    let protocols: Vec<_> = left.flows.iter().map(|flow| flow["proto"].as_str().unwrap()).collect();
    assert_eq!(protocols, ["TCP", "UDP"], "{}", left.stderr);
    let sessions = &left.summary["sessions"];
    assert_eq!((&sessions["opened"], &sessions["broken"]), (&5.into(), &4.into()));
    // Each with its reason.
    let told = &left.stderr;
    for reason in ["peer sent no certificates", "UnknownIssuer", "expired", "corrupt message"] {
        let is_told = |line: &str| line.contains("the session of 127.0.0.1:") && line.contains(reason);
        assert!(told.lines().any(is_told), "{reason}: {told}");
    }
    assert_eq!(left.summary["datagrams"], 1);
}

#[test]
fn certificates_of_no_use_are_no_start() {
    // C20
    if !has_program("openssl") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    certify(folder.path(), "authority", &["collector", "other"]);
    fs::write(folder.path().join("empty.pem"), "").unwrap();
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    for (certificate, key, clients) in [
        ("collector.pem", "other.key", "authority.pem"),
        ("collector.pem", "collector.key", "empty.pem"),
        ("empty.pem", "collector.key", "authority.pem"),
        ("no.pem", "collector.key", "authority.pem"),
    ] {
        let output = std::process::Command::new(common::listening::PROGRAM)
            .args(["listen", "--bind-tls", "127.0.0.1:0", "--tls-certificate", &file(certificate)])
            .args(["--tls-key", &file(key), "--tls-clients", &file(clients)])
            .output()
            .unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && told.contains("cannot use"), "{told}");
    }
}
