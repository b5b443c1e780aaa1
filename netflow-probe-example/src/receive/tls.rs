//! TLS for sessions, with certificates of both sides (RFC 7011 section 11.3).

use std::{
    io::{self, Read as _},
    net::TcpStream,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    RootCertStore, ServerConfig, ServerConnection,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::WebPkiClientVerifier,
    version::{TLS12, TLS13},
};

/// What a server needs for its side: a certificate, its key, and who may certify clients.
#[derive(Clone, Debug)]
pub struct ServerTls(Arc<ServerConfig>);

/// Why TLS cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file has no certificates, or no key.
    #[error("cannot use {path}: {error}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        error: String,
    },
    /// Certificate and key do not belong together, or are of no use.
    #[error("cannot use the certificate: {0}")]
    Certificate(String),
}

impl ServerTls {
    /// Takes certificates and key from PEM files. Only clients with a certificate of those in `clients` may speak; TLS 1.2
    /// and 1.3, and no cipher without encryption.
    ///
    /// # Errors
    ///
    /// When a file cannot be read, has nothing of use, or the key is not that of the certificate.
    pub fn new(certificate: &Path, key: &Path, clients: &Path) -> Result<Self, TlsError> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates(clients)? {
            roots.add(certificate).map_err(|error| failed(clients, error))?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .build()
            .map_err(|error| failed(clients, error))?;
        let key_of_file = PrivateKeyDer::from_pem_file(key).map_err(|error| failed(key, error))?;
        let wrong = |error: rustls::Error| TlsError::Certificate(error.to_string());
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(wrong)?
            .with_client_cert_verifier(verifier)
            .with_single_cert(certificates(certificate)?, key_of_file)
            .map_err(wrong)?;
        Ok(Self(Arc::new(config)))
    }

    pub(super) fn session(&self) -> io::Result<Session> {
        let connection = ServerConnection::new(Arc::clone(&self.0)).map_err(io::Error::other)?;
        Ok(Session(Box::new(connection)))
    }
}

fn failed(path: &Path, error: impl core::fmt::Display) -> TlsError {
    TlsError::File { path: path.to_owned(), error: error.to_string() }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let found = found.map_err(|error| failed(path, error))?;
    if found.is_empty() { Err(failed(path, "it has no certificate")) } else { Ok(found) }
}

/// The TLS side of one connection.
#[derive(Debug)]
pub(super) struct Session(Box<ServerConnection>);

impl Session {
    /// Reads what the client said; 0 octets at its end. `WouldBlock` when nothing has come.
    pub(super) fn read(&mut self, stream: &mut TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
        let Self(tls) = self;
        loop {
            flush(tls, stream)?;
            match tls.reader().read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return read,
            }
            if tls.read_tls(stream)? == 0 {
                // Without a word of farewell: the end may be somebody else's doing (RFC 8446 section 6.1).
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if let Err(error) = tls.process_new_packets() {
                // The other side is told why.
                let _ = flush(tls, stream);
                return Err(io::Error::other(error));
            }
        }
    }
}

/// Sends what TLS has to say, as much as goes.
fn flush(tls: &mut ServerConnection, stream: &mut TcpStream) -> io::Result<()> {
    while tls.wants_write() {
        match tls.write_tls(stream) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
