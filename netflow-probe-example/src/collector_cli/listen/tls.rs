//! Arguments of TLS.

use core::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use super::parse_address;
use crate::{collector_cli::Failure, receive::ServerTls};

/// Where IPFIX is received over TLS, and with which certificates.
#[derive(Args, Clone, Debug, Default)]
pub struct TlsArgs {
    /// Receive IPFIX over TLS at this address and TCP port; may be given several times.
    #[arg(long, value_name = "ADDR:PORT", value_parser = parse_address,
        requires_all = ["tls_certificate", "tls_key", "tls_clients"])]
    pub bind_tls: Vec<SocketAddr>,
    /// The certificate of this collector, and those up to its authority (PEM).
    #[arg(long, value_name = "FILE.pem")]
    pub tls_certificate: Option<PathBuf>,
    /// The key of the certificate (PEM).
    #[arg(long, value_name = "FILE.pem")]
    pub tls_key: Option<PathBuf>,
    /// The authorities that certify exporters (PEM): others may not send.
    #[arg(long, value_name = "FILE.pem")]
    pub tls_clients: Option<PathBuf>,
}

impl TlsArgs {
    /// What sessions need, if any are to be over TLS.
    pub(super) fn server(&self) -> Result<Option<ServerTls>, Failure> {
        let (Some(certificate), Some(key), Some(clients)) =
            (&self.tls_certificate, &self.tls_key, &self.tls_clients)
        else {
            return Ok(None);
        };
        ServerTls::new(certificate, key, clients).map(Some).map_err(Failure::Tls)
    }
}
