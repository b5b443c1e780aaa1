//! What a session announces, and how far it has come with it.

use alloc::vec::Vec;

use super::{
    layout::RecordLayout,
    options::OptionsData,
    packet::{PacketBuilder, Withdrawal},
    template::ExportTemplate,
};
use crate::error::EncodeError;

/// Something that is announced at the start of a session and again and again.
#[derive(Clone, Debug)]
pub(super) enum Announcement {
    /// An options template and its records.
    Options(OptionsData),
    /// A layout of flow records, by its place.
    Layout(usize),
    /// A template of the user's.
    Template(ExportTemplate),
}

impl Announcement {
    pub(super) fn template_id(&self, layouts: &[RecordLayout]) -> u16 {
        match self {
            Self::Options(options) => options.template().id(),
            Self::Layout(index) => layouts.get(*index).map_or(0, RecordLayout::template_id),
            Self::Template(template) => template.id(),
        }
    }
}

/// A round of announcements that may take several packets.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Round {
    /// The next announcement.
    next: usize,
    /// Records of it that were written, behind its template.
    records: Option<usize>,
    /// Whether it is one of everything, after which the next one is due later.
    whole: bool,
    /// Whether it ends behind the announcement at hand.
    single: bool,
}

/// All that a session announces, in order. New announcements come last.
#[derive(Clone, Debug, Default)]
pub(super) struct Announcements {
    list: Vec<Announcement>,
    /// Withdrawals that wait for a packet.
    withdrawals: Vec<Withdrawal>,
    round: Option<Round>,
}

impl Announcements {
    pub(super) fn iter(&self) -> impl Iterator<Item = &Announcement> {
        self.list.iter()
    }

    pub(super) fn push(&mut self, announcement: Announcement) {
        let next = self.list.len();
        self.list.push(announcement);
        self.begin_at(next);
    }

    /// The options of this template id.
    pub(super) fn options_mut(&mut self, template_id: u16) -> Option<&mut OptionsData> {
        self.list.iter_mut().find_map(|announcement| match announcement {
            Announcement::Options(options) if options.template().id() == template_id => Some(options),
            _ => None,
        })
    }

    /// Announces from the one with these options on, which have changed. In a stream, which has had the templates, only
    /// their records.
    pub(super) fn announce_options(&mut self, template_id: u16, in_stream: bool) {
        let place = self.list.iter().position(
            |known| matches!(known, Announcement::Options(options) if options.template().id() == template_id),
        );
        match place {
            Some(next) if in_stream && self.round.is_none() => {
                self.round = Some(Round { next, records: Some(0), whole: false, single: true });
            }
            Some(place) => self.begin_at(place),
            None => {}
        }
    }

    pub(super) fn template(&self, template_id: u16) -> Option<&ExportTemplate> {
        self.list.iter().find_map(|announcement| match announcement {
            Announcement::Template(template) if template.id() == template_id => Some(template),
            _ => None,
        })
    }

    /// Takes one of the user's out; it is withdrawn with the next packet.
    pub(super) fn withdraw(&mut self, template_id: u16) -> Result<(), EncodeError> {
        let place = self.list.iter().position(|known| match known {
            Announcement::Options(options) => options.template().id() == template_id,
            Announcement::Template(template) => template.id() == template_id,
            Announcement::Layout(_) => false,
        });
        let place = place.ok_or(EncodeError::UnknownTemplate(template_id))?;
        // A session takes nothing while a round goes on: what is in the list was announced.
        debug_assert!(self.round.is_none(), "places in the list change");
        self.withdrawals.push(match self.list.remove(place) {
            Announcement::Options(_) => Withdrawal::OptionsTemplate(template_id),
            _ => Withdrawal::Template(template_id),
        });
        Ok(())
    }

    /// Whether something waits to be written.
    pub(super) const fn is_pending(&self) -> bool {
        self.round.is_some() || !self.withdrawals.is_empty()
    }

    /// Nothing is to be written before a round begins.
    pub(super) const fn settle(&mut self) {
        self.round = None;
    }

    /// Begins a round of everything, unless one goes on; says whether it did.
    pub(super) fn begin(&mut self) -> bool {
        // What a single announcement still has to say is part of everything.
        let begins = self.round.is_none_or(|round| !round.whole);
        if begins {
            self.round = Some(Round { whole: true, ..Round::default() });
        }
        begins
    }

    fn begin_at(&mut self, place: usize) {
        if let Some(round) = &mut self.round {
            round.single = false;
        }
        match &mut self.round {
            Some(round) if round.next <= place && !(round.next == place && round.records.is_some()) => {}
            // What was written of that one may have changed.
            Some(round) => {
                *round = Round { next: place.min(round.next), whole: round.whole, ..Round::default() };
            }
            None => self.round = Some(Round { next: place, ..Round::default() }),
        }
    }

    /// Writes what waits; says whether that was a whole round. What does not fit goes on with the next call.
    pub(super) fn write(
        &mut self,
        layouts: &[RecordLayout],
        builder: &mut PacketBuilder,
    ) -> Result<bool, EncodeError> {
        while let Some(withdrawal) = self.withdrawals.first() {
            builder.push_withdrawal(*withdrawal)?;
            self.withdrawals.remove(0);
        }
        let Some(round) = &mut self.round else { return Ok(false) };
        while let Some(announcement) = self.list.get(round.next) {
            round.write(announcement, layouts, builder)?;
            round.next += 1;
            round.records = None;
            if round.single {
                break;
            }
        }
        Ok(self.round.take().is_some_and(|round| round.whole))
    }
}

impl Round {
    fn write(
        &mut self,
        announcement: &Announcement,
        layouts: &[RecordLayout],
        builder: &mut PacketBuilder,
    ) -> Result<(), EncodeError> {
        match announcement {
            Announcement::Layout(index) => {
                layouts.get(*index).map_or(Ok(()), |layout| builder.push_template(layout))
            }
            Announcement::Template(template) => builder.push_template_record(template),
            Announcement::Options(options) => {
                if self.records.is_none() {
                    builder.push_template_record(options.template())?;
                }
                let mut written = self.records.unwrap_or(0);
                self.records = Some(written);
                while let Some(record) = options.record(written) {
                    builder.push_encoded(options.template(), record)?;
                    written += 1;
                    self.records = Some(written);
                }
                Ok(())
            }
        }
    }
}
