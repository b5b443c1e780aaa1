//! Template records on the wire (RFC 3954 sections 5.2 and 6.1, RFC 7011 sections 3.2 and 3.4).
//!
//! ```text
//!                     v9                                      IPFIX
//! template            id, field count, specifiers             the same
//! options template    id, octets of scope specifiers,         id, field count, scope field count,
//!                     octets of option specifiers             specifiers
//! specifier           type, length                            the same; with the highest bit of the type set,
//!                                                             an enterprise number besides
//! withdrawal          none                                    id, field count 0
//! ```

use nom::{IResult, Parser, bytes::complete::take, number::complete::be_u16};

use super::{FieldSpecifier, Protocol, VARIABLE_LENGTH};
use crate::{
    element::ElementId,
    error::{DecodeError, DecodeErrorKind},
    quirk::{Quirk, Quirks},
};

/// Octets of a field specifier, less its enterprise number.
const SPECIFIER: usize = 4;
/// The bit of a specifier that announces an enterprise number (IPFIX).
const ENTERPRISE_BIT: u16 = 0x8000;

/// A record of a template set.
#[derive(Clone, Copy, Debug)]
pub(crate) enum TemplateRecord<'a> {
    Template(WireTemplate<'a>),
    /// IPFIX: the template is no longer in use; an id of 2 or 3 stands for all templates, or options templates.
    Withdrawal {
        id: u16,
        offset: usize,
    },
}

/// A template record, checked and still on the wire.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WireTemplate<'a> {
    pub(crate) protocol: Protocol,
    pub(crate) id: u16,
    pub(crate) options: bool,
    pub(crate) scope_count: usize,
    /// The whole record, its header included.
    pub(crate) raw: &'a [u8],
    specifiers: &'a [u8],
    field_count: usize,
    /// Octets from the start of the datagram to the record.
    pub(crate) offset: usize,
    /// The quirks in force.
    pub(crate) quirks: Quirks,
}

impl<'a> WireTemplate<'a> {
    /// The fields, scopes first.
    pub(crate) fn fields(&self) -> impl Iterator<Item = FieldSpecifier> + 'a {
        let (protocol, mut rest) = (self.protocol, self.specifiers);
        core::iter::from_fn(move || {
            let (field, behind) = specifier(protocol, rest)?;
            rest = behind;
            Some(field)
        })
    }

    pub(crate) const fn field_count(&self) -> usize {
        self.field_count
    }

    /// Whether its records have no octets.
    pub(crate) fn is_empty(&self) -> bool {
        self.fields().all(|field| field.length == 0)
    }

    fn has_v9_variable_length(&self) -> bool {
        self.protocol == Protocol::NetFlow9 && self.fields().any(|field| field.length == VARIABLE_LENGTH)
    }

    fn has_zero_length(&self) -> bool {
        self.fields().any(|field| field.length == 0)
    }

    /// The quirks that it takes to accept the template.
    pub(crate) fn acted(&self) -> Quirks {
        let mut acted = Quirks::NONE;
        if self.quirks.contains(Quirk::V9VariableLength) && self.has_v9_variable_length() {
            acted.insert(Quirk::V9VariableLength);
        }
        if self.quirks.contains(Quirk::ZeroLengthFields) && self.has_zero_length() {
            acted.insert(Quirk::ZeroLengthFields);
        }
        acted
    }

    /// What is wrong with the template: its records have no octets, or a quirk is off that it would take, or, when strict,
    /// in IPFIX it has lengths that IANA's elements do not have.
    pub(crate) fn check(&self, strict: bool) -> Result<(), DecodeError> {
        let wrong = |kind| Err(DecodeError::new(self.offset, kind));
        if self.is_empty() {
            return wrong(DecodeErrorKind::EmptyTemplate(self.id));
        }
        let v9 = self.protocol == Protocol::NetFlow9;
        if !self.quirks.contains(Quirk::V9VariableLength) && self.has_v9_variable_length() {
            return wrong(DecodeErrorKind::VariableLengthInV9(self.id));
        }
        if !self.quirks.contains(Quirk::ZeroLengthFields) && self.has_zero_length() {
            return wrong(DecodeErrorKind::ZeroLengthField(self.id));
        }
        // What enterprises say of their elements is less certain.
        let is_wrong = |field: &FieldSpecifier| {
            let info = field.element.info().filter(|_| field.element.enterprise() == 0);
            info.is_some_and(|info| !info.data_type.admits_length(field.length))
        };
        if strict
            && !v9
            && let Some(field) = self.fields().find(|field| !field.is_variable_length() && is_wrong(field))
        {
            return wrong(DecodeErrorKind::FieldLength {
                template_id: self.id,
                element: field.element.number(),
                length: field.length,
            });
        }
        Ok(())
    }
}

/// The first field specifier, and what is behind it.
fn specifier(protocol: Protocol, octets: &[u8]) -> Option<(FieldSpecifier, &[u8])> {
    let (&[a, b, c, d], rest) = octets.split_first_chunk()?;
    let (number, length) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
    if protocol == Protocol::NetFlow9 || number & ENTERPRISE_BIT == 0 {
        return Some((FieldSpecifier::new(ElementId::iana(number), length), rest));
    }
    let (enterprise, rest) = rest.split_first_chunk()?;
    let element = ElementId::new(u32::from_be_bytes(*enterprise), number & !ENTERPRISE_BIT);
    Some((FieldSpecifier::new(element, length), rest))
}

/// The records of a set of templates or options templates, up to its padding.
#[derive(Clone, Debug)]
pub(crate) struct TemplateRecords<'a> {
    protocol: Protocol,
    body: &'a [u8],
    /// Octets from the start of the datagram to `body`.
    offset: usize,
    options: bool,
    quirks: Quirks,
}

/// What a template record's header says.
struct Header {
    id: u16,
    fields: Fields,
    /// Scope fields, or octets of their specifiers in v9.
    scope: u16,
}

/// How many field specifiers follow.
#[derive(Clone, Copy)]
enum Fields {
    Count(u16),
    /// Octets of all of them.
    Octets(usize),
}

fn template_header(input: &[u8]) -> IResult<&[u8], Header> {
    (be_u16, be_u16).map(|(id, count)| Header { id, fields: Fields::Count(count), scope: 0 }).parse(input)
}

fn v9_options_header(input: &[u8]) -> IResult<&[u8], Header> {
    (be_u16, be_u16, be_u16)
        .map(|(id, scope, option)| Header {
            id,
            fields: Fields::Octets(usize::from(scope) + usize::from(option)),
            scope,
        })
        .parse(input)
}

fn ipfix_options_header(input: &[u8]) -> IResult<&[u8], Header> {
    let (rest, (id, count)) = (be_u16, be_u16).parse(input)?;
    // A withdrawal has no scope count.
    if count == 0 {
        return Ok((rest, Header { id, fields: Fields::Count(0), scope: 0 }));
    }
    let (rest, scope) = be_u16.parse(rest)?;
    Ok((rest, Header { id, fields: Fields::Count(count), scope }))
}

/// Octets of so many specifiers, or how many are there when they are cut off.
fn specifiers_length(protocol: Protocol, count: u16, octets: &[u8]) -> Result<usize, u16> {
    let mut rest = octets;
    for found in 0..count {
        (_, rest) = specifier(protocol, rest).ok_or(found)?;
    }
    Ok(octets.len() - rest.len())
}

impl<'a> TemplateRecords<'a> {
    pub(crate) const fn new(protocol: Protocol, body: &'a [u8], offset: usize, options: bool) -> Self {
        Self { protocol, body, offset, options, quirks: Quirks::DEFAULT }
    }

    /// The records, under other quirks than the default ones.
    pub(crate) const fn with_quirks(self, quirks: Quirks) -> Self {
        Self { quirks, ..self }
    }

    fn read(&mut self) -> Option<Result<TemplateRecord<'a>, DecodeError>> {
        let (start, offset) = (self.body, self.offset);
        let header = match (self.options, self.protocol) {
            (false, _) => template_header(start),
            (true, Protocol::NetFlow9) => v9_options_header(start),
            (true, Protocol::Ipfix) => ipfix_options_header(start),
        };
        // Whatever follows, only a sound record is followed by another one.
        self.body = &[];
        let Ok((rest, header)) = header else {
            // Fewer octets than a header are padding, whatever their value.
            return None;
        };
        let id = header.id;
        let wrong = |kind| Some(Err(DecodeError::new(offset, kind)));
        if self.is_withdrawal(&header) {
            self.advance(start, rest);
            return Some(Ok(TemplateRecord::Withdrawal { id, offset }));
        }
        // An identifier below 256 ends the records: padding when only zeros follow, else wrong.
        if id < 256 {
            return if start.iter().all(|octet| *octet == 0) {
                None
            } else {
                wrong(DecodeErrorKind::TemplateId(id))
            };
        }
        let length = match header.fields {
            Fields::Octets(length) => Ok(length),
            Fields::Count(count) => {
                specifiers_length(self.protocol, count, rest).map_err(|found| (count, found))
            }
        };
        let truncated = |(announced, available)| DecodeErrorKind::TemplateTruncated {
            template_id: id,
            announced,
            available,
        };
        let length = match length {
            Ok(length) => length,
            Err(counts) => return wrong(truncated(counts)),
        };
        let taken: IResult<&[u8], &[u8]> = take(length).parse(rest);
        let Ok((behind, specifiers)) = taken else {
            let count = |octets: usize| u16::try_from(octets / SPECIFIER).unwrap_or(u16::MAX);
            return wrong(truncated((count(length), count(rest.len()))));
        };
        let scope_count = match self.scope_count(&header, length) {
            Ok(count) => count,
            Err(kind) => {
                // IPFIX counts fields, so the next record is found; v9 counted octets wrongly.
                if self.protocol == Protocol::Ipfix {
                    self.advance(start, behind);
                }
                return wrong(kind);
            }
        };
        self.advance(start, behind);
        Some(Ok(TemplateRecord::Template(WireTemplate {
            protocol: self.protocol,
            id,
            options: self.options,
            scope_count,
            raw: start.get(..start.len() - behind.len()).unwrap_or(&[]),
            field_count: match header.fields {
                Fields::Count(count) => count.into(),
                Fields::Octets(octets) => octets / SPECIFIER,
            },
            specifiers,
            offset,
            quirks: self.quirks,
        })))
    }

    /// Goes on behind a record.
    const fn advance(&mut self, start: &[u8], behind: &'a [u8]) {
        self.offset += start.len() - behind.len();
        self.body = behind;
    }

    fn is_withdrawal(&self, header: &Header) -> bool {
        let all = if self.options { 3 } else { 2 };
        self.protocol == Protocol::Ipfix
            && matches!(header.fields, Fields::Count(0))
            && (header.id >= 256 || header.id == all)
    }

    fn scope_count(&self, header: &Header, length: usize) -> Result<usize, DecodeErrorKind> {
        let template_id = header.id;
        let scope = usize::from(header.scope);
        match header.fields {
            _ if !self.options => Ok(0),
            Fields::Count(fields) if header.scope == 0 || header.scope > fields => {
                Err(DecodeErrorKind::ScopeCount { template_id, scopes: header.scope, fields })
            }
            Fields::Count(_) => Ok(scope),
            Fields::Octets(_) if !scope.is_multiple_of(SPECIFIER) || !length.is_multiple_of(SPECIFIER) => {
                let option_length = u16::try_from(length - scope).unwrap_or(u16::MAX);
                let scope_length = header.scope;
                Err(DecodeErrorKind::OptionsTemplateLengths { template_id, scope_length, option_length })
            }
            Fields::Octets(_) => Ok(scope / SPECIFIER),
        }
    }
}

impl<'a> Iterator for TemplateRecords<'a> {
    type Item = Result<TemplateRecord<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.body.is_empty() {
            return None;
        }
        self.read()
    }
}
