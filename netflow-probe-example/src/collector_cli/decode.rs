//! `netflow-collector decode`: flows out of capture files.

use std::{
    io::{self, Read},
    path::PathBuf,
    process::ExitCode,
};

use clap::Args;

use super::{Failure, OutputArgs, session::tell};
use crate::{
    collector::Collector,
    output::FlowSink,
    pcap::{CaptureError, CaptureFile},
    receive::{Datagrams, PortFilter},
};

/// Arguments of `decode`.
#[derive(Args, Clone, Debug)]
pub struct DecodeArgs {
    /// Capture files, pcap or pcapng; `-` is standard input. Templates stay known from one file to the next.
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
    let mut collector = args.output.collector()?;
    let mut code = ExitCode::SUCCESS;
    let mut written = Ok(());
    for path in &args.files {
        let opened = if path.as_os_str() == "-" {
            decode(CaptureFile::new(io::stdin()), args, &mut collector)
        } else {
            decode(CaptureFile::open(path), args, &mut collector)
        };
        match opened {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tell(format_args!("netflow-collector: {}: {error}", path.display()));
                code = ExitCode::FAILURE;
            }
            Err(error) => {
                written = Err(error);
                break;
            }
        }
    }
    let written = written.and_then(|()| collector.flush());
    // The account is complete even when nobody reads the flows.
    args.output.conclude(collector.summary())?;
    written.map_err(Failure::Output)?;
    Ok(code)
}

/// The outer error is the output's, the inner one the file's.
fn decode<R: Read>(
    file: Result<CaptureFile<R>, CaptureError>,
    args: &DecodeArgs,
    collector: &mut Collector<Box<dyn FlowSink>>,
) -> io::Result<Result<(), CaptureError>> {
    let file = match file {
        Ok(file) => file,
        Err(error) => return Ok(Err(error)),
    };
    Datagrams::new(file, PortFilter::new(args.ports.clone())).for_each(|datagram| {
        if !datagram.is_complete {
            collector.note_cut_short(datagram.source, datagram.payload.len());
        }
        collector.handle_datagram(datagram.source, datagram.payload, datagram.captured)
    })
}
