//! `netflow-collector serve`: a page to look at.

use core::{net::SocketAddr, sync::atomic::AtomicBool};
use std::{io, net::TcpListener, path::PathBuf, process::ExitCode, sync::Arc};

use clap::Args;
use signal_hook::{
    consts::{SIGINT, SIGTERM},
    flag,
};

use super::Failure;
use crate::page::{Guard, PageConfig, random_token, serve};

/// Arguments of `serve`.
#[derive(Args, Clone, Debug)]
pub struct ServeArgs {
    /// Show the flows of this store.
    #[arg(long, value_name = "DIR")]
    pub store: PathBuf,
    /// Serve the page at this address and TCP port. Port 0 lets the system choose. Beyond this machine a token is needed
    /// to see anything; what is sent is not encrypted.
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:8080")]
    pub bind: SocketAddr,
    /// Answer only who knows this token; without it one is made when the address is not this machine's.
    #[arg(long, value_name = "TOKEN", value_parser = parse_token, conflicts_with = "token_file")]
    pub token: Option<String>,
    /// Take the token from this file, so that nobody sees it among the processes.
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// A name by which the server is called, besides `localhost` and addresses; may be given several times. Others are
    /// refused, so that no page elsewhere can pass for this one.
    #[arg(long = "name", value_name = "NAME")]
    pub names: Vec<String>,
    /// Keep profiles in this file. Without it they stay in the browser.
    #[arg(long, value_name = "FILE")]
    pub profiles: Option<PathBuf>,
    /// Tell of exporters what the collector says: losses, missing templates, when they were last heard. PATH is the socket
    /// that `listen` was given with its --control, or a file: what `status --json` printed, or the --summary of `listen`.
    #[arg(long, value_name = "PATH", alias = "account")]
    pub health: Option<PathBuf>,
    /// Search flows for these indicators (plain list, CSV, STIX 2.1, MISP) when somebody asks for it on the page. A file
    /// that has changed is read again. May be given several times.
    #[arg(long, value_name = "FILE")]
    pub indicators: Vec<PathBuf>,
}

fn parse_token(text: &str) -> Result<String, String> {
    let is_plain = text.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"-._~".contains(&octet));
    if text.len() >= 8 && is_plain {
        Ok(text.to_owned())
    } else {
        Err("at least 8 letters, digits, `-`, `.`, `_` or `~` expected".to_owned())
    }
}

/// Serves until a signal comes.
pub(super) fn run(args: &ServeArgs) -> Result<ExitCode, Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        flag::register(signal, Arc::clone(&stop)).map_err(Failure::Signals)?;
    }
    let failed = |error| Failure::Serve { address: args.bind, error };
    let token = token(args)?;
    // A folder that is not there is told now, not when somebody looks.
    std::fs::read_dir(&args.store)
        .map_err(|error| Failure::Store { path: args.store.display().to_string(), error })?;
    // So are indicators that cannot be understood.
    if !args.indicators.is_empty() {
        super::ioc::read(&args.indicators, false)?;
    }
    let listener = TcpListener::bind(args.bind).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    // The part behind # stays in the browser.
    let secret = token.as_ref().map_or_else(String::new, |token| format!("#token={token}"));
    println!("the page is at http://{address}/{secret}");
    let config = PageConfig {
        store: args.store.clone(),
        profiles: args.profiles.clone(),
        health: args.health.clone(),
        indicators: args.indicators.clone(),
        guard: Guard { token, names: args.names.clone() },
    };
    serve(&listener, config, &stop).map_err(failed)?;
    Ok(ExitCode::SUCCESS)
}

fn token(args: &ServeArgs) -> Result<Option<String>, Failure> {
    if let Some(path) = &args.token_file {
        let wrong = |error| Failure::Token { path: path.display().to_string(), error };
        let text = std::fs::read_to_string(path).map_err(wrong)?;
        return parse_token(text.trim()).map(Some).map_err(|error| wrong(io::Error::other(error)));
    }
    match &args.token {
        Some(token) => Ok(Some(token.clone())),
        None if args.bind.ip().is_loopback() => Ok(None),
        None => random_token().map(Some).map_err(|error| Failure::Serve { address: args.bind, error }),
    }
}
