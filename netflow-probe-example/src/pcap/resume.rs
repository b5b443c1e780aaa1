//! Going on behind damage: where the next sound record begins.
//!
//! A place is taken for the beginning of a record when three records in a row look sound from there on, or fewer that end
//! exactly with the file.

use std::io::{self, Read};

use super::window::Window;

/// Octets of a record or block that is longer are not believed here.
const MAX_RECORD: usize = 256 * 1024;
/// Records in a row that have to look sound.
const IN_A_ROW: usize = 3;
/// Places that are looked at before they are dropped from the window.
const STEP: usize = 64 * 1024;

/// What the header of a record at the front of some octets says.
pub(super) enum Look {
    /// It cannot be one.
    Unsound,
    /// More octets are needed to say.
    Short,
    /// It has so many octets.
    Sound(usize),
}

/// Drops octets, one at least, until the window begins with a sound record; how many, `None` if the file has no more.
///
/// A file that lacks octets has its blocks anywhere, so all places are looked at.
pub(super) fn resume<R: Read>(
    window: &mut Window<R>,
    look: impl Fn(&[u8]) -> Look,
) -> io::Result<Option<u64>> {
    let before = window.offset();
    window.consume(1);
    loop {
        // As much as the last of the places can need.
        let whole = window.fill(STEP + IN_A_ROW * MAX_RECORD)?;
        let data = window.data();
        if data.is_empty() {
            return Ok(None);
        }
        let mut places = 0..STEP.min(data.len());
        let found = places.find(|place| is_sound(data.get(*place..).unwrap_or(&[]), !whole, &look));
        if let Some(place) = found {
            window.consume(place);
            return Ok(Some(window.offset() - before));
        }
        window.consume(STEP);
    }
}

/// Whether records in a row look sound; `is_all`: nothing comes behind these octets.
fn is_sound(mut data: &[u8], is_all: bool, look: &impl Fn(&[u8]) -> Look) -> bool {
    for number in 0..IN_A_ROW {
        if number > 0 && data.is_empty() && is_all {
            return true;
        }
        match look(data) {
            Look::Sound(length) if length <= MAX_RECORD && length > 0 => match data.get(length..) {
                Some(rest) => data = rest,
                None => return false,
            },
            Look::Sound(_) | Look::Short | Look::Unsound => return false,
        }
    }
    true
}
