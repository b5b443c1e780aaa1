//! `netflow-collector decode`: flows out of files.

use core::net::{Ipv4Addr, SocketAddr};
use std::{
    fs::File,
    io::{self, Cursor, Read},
    path::PathBuf,
    process::ExitCode,
};

use clap::Args;
use netflow_codec::{Timestamp, Transport};

use super::{
    Failure, OutputArgs,
    session::{limits_of_files, tell},
    sinks::{Effect, Shared, counted, stored},
};
use crate::{
    collector::Collector,
    output::FlowSink,
    pcap::{CaptureError, CaptureFile},
    receive::{Datagrams, MessageFile, MessageFileError, Piece, PortFilter, begins_message},
};

/// Arguments of `decode`.
#[derive(Args, Clone, Debug)]
pub struct DecodeArgs {
    /// Capture files (pcap, pcapng) or files of IPFIX messages (RFC 5655), which are told apart by their first octets;
    /// `-` is standard input. Templates stay known from one file to the next. The exporter of a file of messages is
    /// 0.0.0.0, the time of arrival the time of export.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Decode datagrams to this UDP port only, whatever they look like; may be given several times. Without it,
    /// datagrams to any port that look like NetFlow.
    #[arg(long = "port", value_name = "PORT")]
    pub ports: Vec<u16>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show the text as help of the whole group")]
    pub output: OutputArgs,
}

/// Fails when a file is unreadable or cut off, after decoding what can be read of all of them.
pub(super) fn run(args: &DecodeArgs) -> Result<ExitCode, Failure> {
    args.output.check(&args.files)?;
    let shared = Shared::open(&args.output, None)?;
    let messages = args.output.messages.open(1)?;
    let mut collector = args.output.collector(limits_of_files(), &shared, messages.as_ref())?;
    let mut ignored = 0;
    let read = read_files(&args.files, &args.ports, &mut collector, &mut ignored);
    let written = read.and_then(|code| collector.finish().map(|()| code));
    // The account is complete even when nobody reads the flows.
    let messages = messages.map(|files| files.stats());
    let mut effects = Effect::of(stored(&collector), counted(&collector), messages);
    effects.extend(shared.finish());
    args.output.conclude(&collector.summary().with_udp_datagrams_ignored(ignored), &effects, true)?;
    written.map_err(Failure::Output)
}

/// Decodes files one after the other; the status says whether all of them could be read to their end.
///
/// `ignored` counts UDP datagrams that are no NetFlow. The error is the sink's.
pub(super) fn read_files<S: FlowSink>(
    files: &[PathBuf],
    ports: &[u16],
    collector: &mut Collector<S>,
    ignored: &mut u64,
) -> io::Result<ExitCode> {
    let mut code = ExitCode::SUCCESS;
    for path in files {
        let read = if path.as_os_str() == "-" {
            decode(io::stdin(), ports, collector, ignored)?
        } else {
            match File::open(path) {
                Ok(file) => decode(file, ports, collector, ignored)?,
                Err(error) => Err(unreadable(error)),
            }
        };
        if let Err(error) = read {
            tell(format_args!("netflow-collector: {}: {error}", path.display()));
            code = ExitCode::FAILURE;
        }
    }
    Ok(code)
}

/// Why a file is not decoded any further.
#[derive(Debug, thiserror::Error)]
enum FileError {
    #[error(transparent)]
    Capture(#[from] CaptureError),
    #[error(transparent)]
    Messages(#[from] MessageFileError),
}

fn unreadable(error: io::Error) -> FileError {
    CaptureError { offset: 0, kind: error.into() }.into()
}

/// The outer error is the output's, the inner one the file's.
fn decode<S: FlowSink>(
    mut file: impl Read,
    ports: &[u16],
    collector: &mut Collector<S>,
    ignored: &mut u64,
) -> io::Result<Result<(), FileError>> {
    // Version and length of a message.
    let mut beginning = Vec::with_capacity(4);
    if let Err(error) = file.by_ref().take(4).read_to_end(&mut beginning) {
        return Ok(Err(unreadable(error)));
    }
    let is_messages = begins_message(&beginning);
    let file = Cursor::new(beginning).chain(file);
    if is_messages {
        collector.over(Transport::File);
        let result = messages(MessageFile::new(file), collector);
        collector.over(Transport::Udp);
        return result;
    }
    let file = match CaptureFile::new(file) {
        Ok(file) => file,
        Err(error) => return Ok(Err(error.into())),
    };
    let mut datagrams = Datagrams::new(file, PortFilter::new(ports.to_vec()));
    let result = datagrams.for_each(|datagram| {
        if !datagram.is_complete {
            collector.note_cut_short(datagram.source, datagram.payload.len());
        }
        collector.handle_datagram(datagram.source, datagram.payload, datagram.captured)
    });
    *ignored += datagrams.ignored();
    Ok(result?.map_err(FileError::from))
}

/// Decodes messages, whose exporter is unknown: 0.0.0.0. They count as received when they were exported.
fn messages<S: FlowSink>(
    mut file: MessageFile<impl Read>,
    collector: &mut Collector<S>,
) -> io::Result<Result<(), FileError>> {
    let exporter = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0);
    loop {
        match file.next_piece() {
            Ok(Some(Piece::Message(message))) => {
                let time = message.get(4..).and_then(<[u8]>::first_chunk).copied().unwrap_or_default();
                let time = Timestamp::from_secs(u32::from_be_bytes(time).into());
                collector.handle_datagram(exporter, message, time)?;
            }
            Ok(Some(Piece::Damage { offset, octets })) => collector.note_skipped(exporter, offset, octets),
            Ok(Some(_)) => {}
            Ok(None) => return Ok(Ok(())),
            Err(error) => return Ok(Err(error.into())),
        }
    }
}
