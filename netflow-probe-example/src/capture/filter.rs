//! Which frames of files are metered, in the syntax of tcpdump.

use crate::pcap::Frame;
#[cfg(feature = "live")]
use crate::pcap::LinkType;

/// A filter for the frames of files.
///
/// libpcap compiles it, so it takes a build with the feature `live`.
pub struct FrameFilter {
    #[cfg(feature = "live")]
    text: String,
    /// One for each link type that was met; `None` where the filter makes no sense.
    #[cfg(feature = "live")]
    programs: Vec<(LinkType, Option<pcap::BpfProgram>)>,
}

impl core::fmt::Debug for FrameFilter {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("FrameFilter")
    }
}

#[cfg(feature = "live")]
impl FrameFilter {
    /// Compiles a filter, as one for Ethernet.
    ///
    /// # Errors
    ///
    /// libpcap's reason why not.
    pub fn new(text: &str) -> Result<Self, String> {
        super::live::check_filter(Some(text)).map_err(|error| error.to_string())?;
        Ok(Self { text: text.to_owned(), programs: Vec::new() })
    }

    /// Whether a frame passes. No frame of a link type passes that the filter cannot be compiled for.
    pub fn accepts(&mut self, frame: &Frame<'_>) -> bool {
        let Self { text, programs } = self;
        let known = programs.iter().position(|(link_type, _)| *link_type == frame.link_type);
        let position = known.unwrap_or_else(|| {
            let dead = pcap::Capture::dead(pcap::Linktype(frame.link_type.0.cast_signed()));
            let program = dead.and_then(|dead| dead.compile(text, true));
            programs.push((frame.link_type, program.ok()));
            programs.len() - 1
        });
        let program = programs.get(position).and_then(|(_, program)| program.as_ref());
        program.is_some_and(|program| program.filter(frame.data))
    }
}

#[cfg(not(feature = "live"))]
impl FrameFilter {
    /// Says how to get what this build lacks.
    ///
    /// # Errors
    ///
    /// Always.
    pub fn new(text: &str) -> Result<Self, String> {
        Err(format!("--filter {text}: {}", super::NEEDS_LIVE))
    }

    /// Whether a frame passes.
    pub const fn accepts(&mut self, _frame: &Frame<'_>) -> bool {
        true
    }
}
