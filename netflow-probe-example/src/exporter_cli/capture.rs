//! Where packets come from.

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::Args;

use super::Failure;
use crate::config::same_file;

/// Arguments of the capture.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Capture")]
pub struct CaptureArgs {
    /// Capture files to meter, in this order (pcap or pcapng); `-` is standard input
    #[arg(long, value_name = "FILE", num_args = 1.., required = true)]
    pub read: Vec<PathBuf>,
}

impl CaptureArgs {
    /// Octets of all files, for the progress bar.
    pub(super) fn total_octets(&self) -> u64 {
        self.read.iter().filter_map(|path| fs::metadata(path).ok()).map(|metadata| metadata.len()).sum()
    }

    /// An output must not be one of the inputs, whatever it is called.
    pub(super) fn refuse_overwriting(&self, output: Option<&Path>) -> Result<(), Failure> {
        let Some(output) = output else { return Ok(()) };
        let is_output = |input: &&PathBuf| {
            let path = if is_stdin(input) { Path::new("/dev/stdin") } else { input.as_path() };
            same_file(path, output)
        };
        if let Some(input) = self.read.iter().find(is_output) {
            let (output, input) = (output.display(), input.display());
            let text = format!("--write {output} would overwrite --read {input}: they are the same file");
            return Err(Failure::Usage(text));
        }
        Ok(())
    }
}

/// Whether standard input is meant.
pub(super) fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}
