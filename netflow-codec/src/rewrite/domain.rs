//! What is remembered of an observation domain.

use crate::lru::LruMap;

/// A domain: its templates, and the sequence of its messages.
#[derive(Debug)]
pub(super) struct Domain {
    templates: LruMap<u16, Shape>,
    /// Data records sent before, modulo 2^32.
    pub(super) sequence: u32,
}

/// What of a template matters for its data.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    /// Octets of a record in v9.
    pub(super) record_len: usize,
    pub(super) has_uptimes: bool,
    /// Whether each record gets a scope that it did not have.
    pub(super) has_scope_added: bool,
    /// Whether the template, and so its data, is left out.
    pub(super) is_dropped: bool,
}

impl Shape {
    pub(super) const fn dropped(record_len: usize) -> Self {
        Self { record_len, has_uptimes: false, has_scope_added: false, is_dropped: true }
    }
}

impl Domain {
    pub(super) const fn new() -> Self {
        Self { templates: LruMap::new(), sequence: 0 }
    }

    pub(super) fn shape(&self, id: u16) -> Option<Shape> {
        self.templates.value(self.templates.slot(&id)?).copied()
    }

    pub(super) fn learn(&mut self, id: u16, shape: Shape, limit: usize) {
        if self.templates.slot(&id).is_none() {
            while self.templates.len() >= limit.max(1) && self.templates.evict(None).is_some() {}
        }
        self.templates.insert(id, shape);
    }
}
