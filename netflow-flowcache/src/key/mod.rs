//! Flow Keys: which packets belong to one flow (RFC 7011 section 2, RFC 3917 section 4).
//!
//! Three ways to say it, from the usual to the particular:
//!
//! - [`SevenTuple`]: what NetFlow means by a flow, in the fewest octets.
//! - [`KeyFields`] with [`FieldsKey`]: chosen at run time, as by `match` in Flexible NetFlow.
//! - [`FlowKey`]: a type of one's own.
//!
//! ```
//! use netflow_flowcache::{FlowKey, HashSeed, ObservedPacket};
//!
//! /// One flow per pair of VLANs.
//! #[derive(Clone, Copy, Debug, Eq, PartialEq)]
//! struct Vlans(u16, u16);
//!
//! impl FlowKey for Vlans {
//!     fn of(packet: &ObservedPacket) -> Self {
//!         Self(packet.vlan, packet.inner_vlan)
//!     }
//!
//!     fn hash(&self, seed: HashSeed) -> u64 {
//!         seed.hash_words([u64::from(self.0) << 16 | u64::from(self.1)])
//!     }
//! }
//! ```

mod biflow;
mod fields;
mod pack;
mod seed;
mod seven_tuple;

use core::fmt::Debug;

pub use self::{
    biflow::{BiflowKey, Initiator},
    fields::{FieldsKey, KeyFields},
    pack::Packed,
    seed::HashSeed,
    seven_tuple::{Ipv4SevenTuple, Ipv6SevenTuple, SevenTuple},
};
use crate::{ConfigError, ObservedPacket};
pub(crate) use seed::spread;

/// The values that two packets must share to belong to the same flow.
///
/// Implement it for a type of your own to aggregate differently: by tunnel, by customer, by what an application
/// found. Smaller keys make smaller and faster tables: with a key of 18 octets that needs no alignment, a record is
/// one cache line.
pub trait FlowKey: Copy + Debug + Eq {
    /// The key of the flow this packet belongs to.
    fn of(packet: &ObservedPacket) -> Self;

    /// A hash of the whole key under `seed`, made with [`HashSeed::hash_words`].
    ///
    /// All 64 bits count: the table takes the bucket from the upper half and a tag from the lower. Equal keys
    /// must hash alike. The table compares keys in full, so colliding hashes cost time, never accuracy.
    fn hash(&self, seed: HashSeed) -> u64;
}

/// What a [`crate::FlowTable`] can be keyed with: every [`FlowKey`], [`SevenTuple`], [`BiflowKey`], [`FieldsKey`].
///
/// A key has two forms, and the table keeps the flows of each form apart: so that those of IPv4 need no room for
/// addresses of IPv6. There is no need to implement this; a [`FlowKey`] has one form.
pub trait TableKey: Copy + Debug + Eq {
    /// What keys are made by, where that is chosen at run time; else nothing.
    type Fields: Copy + Debug;
    /// The form of IPv4 flows, and of keys that do not tell the families apart.
    type Narrow: StoredKey;
    /// The form of IPv6 flows.
    type Wide: StoredKey;

    /// Whether keys can be made by these fields.
    ///
    /// # Errors
    ///
    /// When the fields do not fit into the key.
    fn check(fields: &Self::Fields) -> Result<(), ConfigError>;

    /// The key of the flow this packet belongs to.
    fn of_packet(packet: &ObservedPacket, fields: &Self::Fields) -> Form<Self::Narrow, Self::Wide>;

    /// The key with this form.
    fn from_form(form: Form<Self::Narrow, Self::Wide>) -> Self;
}

/// One of the two forms of a key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "complete by definition")]
pub enum Form<N, W> {
    /// An IPv4 flow, or one of a key without families.
    Narrow(N),
    /// An IPv6 flow.
    Wide(W),
}

/// A form of a key, as a table keeps it.
pub trait StoredKey: Copy + Debug + Eq {
    /// How records with this key are aligned: [`CacheLine`] or [`HalfCacheLine`].
    type Align: Copy + Debug;

    /// As [`FlowKey::hash`].
    fn hash(&self, seed: HashSeed) -> u64;
}

/// Aligns records to 64 octets.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
#[repr(align(64))]
pub struct CacheLine;

/// Aligns records to 32 octets.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
#[repr(align(32))]
pub struct HalfCacheLine;

/// The form that keys without families do not have.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "complete by definition")]
pub enum NoKey {}

impl StoredKey for NoKey {
    type Align = HalfCacheLine;

    fn hash(&self, _: HashSeed) -> u64 {
        match *self {}
    }
}

impl<K: FlowKey> StoredKey for K {
    type Align = HalfCacheLine;

    #[inline]
    fn hash(&self, seed: HashSeed) -> u64 {
        FlowKey::hash(self, seed)
    }
}

impl<K: FlowKey> TableKey for K {
    type Fields = ();
    type Narrow = K;
    type Wide = NoKey;

    fn check((): &()) -> Result<(), ConfigError> {
        Ok(())
    }

    #[inline]
    fn of_packet(packet: &ObservedPacket, (): &()) -> Form<K, NoKey> {
        Form::Narrow(K::of(packet))
    }

    #[inline]
    fn from_form(form: Form<K, NoKey>) -> Self {
        match form {
            Form::Narrow(key) => key,
            Form::Wide(none) => match none {},
        }
    }
}
