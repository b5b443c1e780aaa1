//! Template records on the wire (RFC 3954 sections 5.2 and 6.1).

use nom::{IResult, Parser, bytes::complete::take, number::complete::be_u16};

use super::{FieldSpecifier, VARIABLE_LENGTH};
use crate::{
    element::ElementId,
    error::{DecodeError, DecodeErrorKind},
};

/// Octets of a field specifier in v9.
const SPECIFIER: usize = 4;

/// A template record, checked and still on the wire.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WireTemplate<'a> {
    pub(crate) id: u16,
    pub(crate) options: bool,
    pub(crate) scope_count: usize,
    /// The whole record, its header included.
    pub(crate) raw: &'a [u8],
    specifiers: &'a [u8],
    /// Octets from the start of the datagram to the record.
    pub(crate) offset: usize,
}

impl<'a> WireTemplate<'a> {
    /// The fields, scopes first.
    pub(crate) fn fields(&self) -> impl Iterator<Item = FieldSpecifier> + 'a {
        self.specifiers.as_chunks::<SPECIFIER>().0.iter().map(|[a, b, c, d]| {
            FieldSpecifier::new(ElementId::iana(u16::from_be_bytes([*a, *b])), u16::from_be_bytes([*c, *d]))
        })
    }

    /// Whether its records have no octets.
    pub(crate) fn is_empty(&self) -> bool {
        self.fields().all(|field| field.length == 0)
    }

    pub(crate) fn field_count(&self) -> usize {
        self.specifiers.len() / SPECIFIER
    }

    /// What is wrong with the template: its records have no octets, or, when strict, it has variable-length fields.
    pub(crate) fn check(&self, strict: bool) -> Result<(), DecodeError> {
        let wrong = |kind| Err(DecodeError::new(self.offset, kind));
        if self.is_empty() {
            return wrong(DecodeErrorKind::EmptyTemplate(self.id));
        }
        if strict && self.fields().any(|field| field.length == VARIABLE_LENGTH) {
            return wrong(DecodeErrorKind::VariableLengthInV9(self.id));
        }
        Ok(())
    }
}

/// The records of a Template FlowSet or Options Template FlowSet, up to its padding.
#[derive(Clone, Debug)]
pub(crate) struct TemplateRecords<'a> {
    body: &'a [u8],
    /// Octets from the start of the datagram to `body`.
    offset: usize,
    options: bool,
}

/// What a template record's header says.
struct Header {
    id: u16,
    scope_length: u16,
    length: usize,
}

fn template_header(input: &[u8]) -> IResult<&[u8], Header> {
    (be_u16, be_u16)
        .map(|(id, count)| Header { id, scope_length: 0, length: usize::from(count) * SPECIFIER })
        .parse(input)
}

fn options_template_header(input: &[u8]) -> IResult<&[u8], Header> {
    (be_u16, be_u16, be_u16)
        .map(|(id, scope_length, option_length)| Header {
            id,
            scope_length,
            length: usize::from(scope_length) + usize::from(option_length),
        })
        .parse(input)
}

fn octets(count: usize, input: &[u8]) -> IResult<&[u8], &[u8]> {
    take(count).parse(input)
}

impl<'a> TemplateRecords<'a> {
    pub(crate) const fn new(body: &'a [u8], offset: usize, options: bool) -> Self {
        Self { body, offset, options }
    }

    fn read(&mut self) -> Option<Result<WireTemplate<'a>, DecodeError>> {
        let start = self.body;
        let header = if self.options { options_template_header(start) } else { template_header(start) };
        let Ok((rest, header)) = header else {
            // Fewer octets than a header are padding, whatever their value.
            self.body = &[];
            return None;
        };
        // An identifier below 256 ends the records: padding when only zeros follow, else wrong.
        if header.id < 256 {
            self.body = &[];
            if start.iter().all(|octet| *octet == 0) {
                return None;
            }
            return Some(Err(DecodeError::new(self.offset, DecodeErrorKind::TemplateId(header.id))));
        }
        let Ok((rest, specifiers)) = octets(header.length, rest) else {
            self.body = &[];
            return Some(Err(DecodeError::new(
                self.offset,
                DecodeErrorKind::TemplateTruncated {
                    template_id: header.id,
                    announced: u16::try_from(header.length / SPECIFIER).unwrap_or(u16::MAX),
                    available: u16::try_from(rest.len() / SPECIFIER).unwrap_or(u16::MAX),
                },
            )));
        };
        let offset = self.offset;
        let length = start.len() - rest.len();
        self.body = rest;
        self.offset += length;
        let scope_length = usize::from(header.scope_length);
        if !scope_length.is_multiple_of(SPECIFIER) || !header.length.is_multiple_of(SPECIFIER) {
            // Where the next record would start is not known either.
            self.body = &[];
            let option_length = u16::try_from(header.length - scope_length).unwrap_or(u16::MAX);
            let (template_id, scope_length) = (header.id, header.scope_length);
            let kind = DecodeErrorKind::OptionsTemplateLengths { template_id, scope_length, option_length };
            return Some(Err(DecodeError::new(offset, kind)));
        }
        Some(Ok(WireTemplate {
            id: header.id,
            options: self.options,
            scope_count: scope_length / SPECIFIER,
            raw: start.get(..length).unwrap_or(&[]),
            specifiers,
            offset,
        }))
    }
}

impl<'a> Iterator for TemplateRecords<'a> {
    type Item = Result<WireTemplate<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.body.is_empty() {
            return None;
        }
        self.read()
    }
}
