//! `netflow-collector doctor`: a checkup of exporters.

use core::{
    convert::Infallible,
    net::{Ipv4Addr, SocketAddr},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};
use std::{
    fs::File,
    io::{self, Cursor, ErrorKind, Read},
    net::UdpSocket,
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
    time::Instant,
};

use clap::Args;
use netflow_codec::{Timestamp, Transport};
use signal_hook::{
    consts::{SIGINT, SIGTERM},
    flag,
};

use super::{Failure, session::tell};
use crate::{
    config::parse_duration,
    jobs::doctor::{Doctor, Limits},
    pcap::{CaptureError, CaptureFile},
    receive::{Datagrams, MessageFile, MessageFileError, Piece, PortFilter, begins_message, now},
};

/// Arguments of `doctor`.
#[derive(Args, Clone, Debug)]
pub struct DoctorArgs {
    /// Capture files (pcap, pcapng) or files of IPFIX messages; `-` is standard input.
    #[arg(required_unless_present = "live", value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Receive at this address and UDP port instead, until --for is over or a signal comes.
    #[arg(long, value_name = "ADDR:PORT", conflicts_with = "files")]
    pub live: Option<SocketAddr>,
    /// How long to receive. Templates are judged by how often they come: some half an hour tells more.
    #[arg(long = "for", value_name = "DURATION", value_parser = parse_duration, default_value = "10m")]
    pub length: Duration,
    /// Look at datagrams to this UDP port only; may be given several times.
    #[arg(long = "port", value_name = "PORT")]
    pub ports: Vec<u16>,
    /// Templates that are not sent again for longer than this are found fault with.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "30m")]
    pub refresh: Duration,
    /// Header times that are off by more than this are found fault with.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "10s")]
    pub skew: Duration,
    /// Flows that last longer than this and a minute are found fault with, unless the exporter announces another active
    /// timeout.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "30m")]
    pub active_timeout: Duration,
    /// Print the report as JSON.
    #[arg(long)]
    pub json: bool,
}

pub(super) fn run(args: &DoctorArgs) -> Result<ExitCode, Failure> {
    let mut doctor = Doctor::new(Limits {
        refresh_seconds: args.refresh.as_secs(),
        skew_seconds: args.skew.as_secs(),
        active_timeout_seconds: args.active_timeout.as_secs(),
    });
    let code = match args.live {
        Some(address) => {
            receive(address, args.length, &mut doctor)?;
            ExitCode::SUCCESS
        }
        None => read_files(args, &mut doctor),
    };
    super::print_report(&doctor.finish(), args.json)?;
    Ok(code)
}

/// Why a file is not looked at any further.
#[derive(Debug, thiserror::Error)]
enum FileError {
    #[error(transparent)]
    Open(#[from] io::Error),
    #[error(transparent)]
    Capture(#[from] CaptureError),
    #[error(transparent)]
    Messages(#[from] MessageFileError),
}

fn read_files(args: &DoctorArgs, doctor: &mut Doctor) -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    for path in &args.files {
        let read = if path.as_os_str() == "-" {
            read(io::stdin(), &args.ports, doctor)
        } else {
            File::open(path).map_err(FileError::from).and_then(|file| read(file, &args.ports, doctor))
        };
        if let Err(error) = read {
            tell(format_args!("netflow-collector: {}: {error}", path.display()));
            code = ExitCode::FAILURE;
        }
    }
    code
}

fn read(mut file: impl Read, ports: &[u16], doctor: &mut Doctor) -> Result<(), FileError> {
    // Version and length of a message.
    let mut beginning = Vec::with_capacity(4);
    file.by_ref().take(4).read_to_end(&mut beginning)?;
    let is_messages = begins_message(&beginning);
    let file = Cursor::new(beginning).chain(file);
    if is_messages {
        doctor.over(Transport::File);
        let read = messages(MessageFile::new(file), doctor);
        doctor.over(Transport::Udp);
        return read;
    }
    let mut datagrams = Datagrams::new(CaptureFile::new(file)?, PortFilter::new(ports.to_vec()));
    let read = datagrams.for_each(|datagram| {
        doctor.handle_datagram(datagram.source, datagram.payload, datagram.captured);
        Ok::<(), Infallible>(())
    });
    match read {
        Ok(read) => Ok(read?),
        Err(never) => match never {},
    }
}

/// Messages of a file came when they were exported.
fn messages(mut file: MessageFile<impl Read>, doctor: &mut Doctor) -> Result<(), FileError> {
    let exporter = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0);
    while let Some(piece) = file.next_piece()? {
        if let Piece::Message(message) = piece {
            let time = message.get(4..).and_then(<[u8]>::first_chunk).copied().unwrap_or_default();
            let time = Timestamp::from_secs(u32::from_be_bytes(time).into());
            doctor.handle_datagram(exporter, message, time);
        }
    }
    Ok(())
}

/// Looks at what comes, until the time is over or a signal comes.
fn receive(address: SocketAddr, length: Duration, doctor: &mut Doctor) -> Result<(), Failure> {
    /// How long to wait before looking whether to stop.
    const LOOK: Duration = Duration::from_millis(100);
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&stop))
            .map_err(Failure::Signals)?;
        flag::register(signal, Arc::clone(&stop)).map_err(Failure::Signals)?;
    }
    let socket = UdpSocket::bind(address).map_err(Failure::Receive)?;
    socket.set_read_timeout(Some(LOOK)).map_err(Failure::Receive)?;
    tell(format_args!("listening on {}", socket.local_addr().map_err(Failure::Receive)?));
    let start = Instant::now();
    let mut datagram = vec![0; 65_536];
    while !stop.load(Ordering::Relaxed) && start.elapsed() < length {
        match socket.recv_from(&mut datagram) {
            Ok((octets, source)) => {
                doctor.handle_datagram(source, datagram.get(..octets).unwrap_or_default(), now());
            }
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
                ) => {}
            Err(error) => return Err(Failure::Receive(error)),
        }
    }
    Ok(())
}
