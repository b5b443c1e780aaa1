//! What must hold of a decoder's answers and of its cache, whatever it was given.

use core::{fmt::Write as _, time::Duration};

use netflow_codec::{
    Batch, CacheLimits, DataRecords, DecodeError, Decoded, FieldView, Strictness, TemplateCache,
    TemplateLifetime,
};

/// Limits so small that evictions happen all the time.
pub(crate) fn limits() -> CacheLimits {
    let mut limits = CacheLimits::default();
    limits.scopes = 3;
    limits.templates_per_scope = 3;
    limits.fields_per_template = 80;
    limits.template_octets = 16 << 10;
    limits.template_octets_per_exporter = 10 << 10;
    limits.lifetime = TemplateLifetime::fixed(Duration::from_secs(600));
    limits.pending_octets = 2 << 10;
    limits.pending_octets_per_exporter = 2 << 10;
    limits.pending_age = Duration::from_secs(300);
    limits
}

/// What the caller saw that the cache's counters must agree with.
#[derive(Default)]
pub(crate) struct Account {
    /// Data sets that were reported as not kept.
    not_kept: u64,
}

impl Account {
    pub(crate) fn take(&mut self, batch: &Batch<'_>) {
        if let Batch::TemplateMissing { kept: false, .. } = batch {
            self.not_kept += 1;
        }
    }

    pub(crate) fn check(&self, cache: &TemplateCache<u8>, strictness: Strictness) {
        let (limits, stats) = (limits(), cache.stats());
        assert!(cache.scope_count() <= limits.scopes);
        assert!(cache.template_count() <= limits.scopes * limits.templates_per_scope);
        assert_eq!(cache.iter().count(), cache.template_count());
        let gone = stats.expired + stats.evicted_templates + stats.withdrawn + stats.forgotten;
        assert_eq!(stats.new + stats.restored - gone, cache.template_count() as u64, "{stats:?}");
        let waiting = cache.pending().count() as u64;
        let left = stats.pending_recovered + (stats.pending_dropped - self.not_kept);
        assert_eq!(stats.pending_kept - left, waiting, "{stats:?}");
        let pending: usize = cache.pending().map(|set| set.octets).sum();
        assert!(pending <= limits.pending_octets);
        // Besides templates and data there are the maps, whose size follows from the counts.
        let maps = 4 << 10;
        let octets = cache.memory_octets();
        let most = limits.template_octets + limits.pending_octets + maps;
        assert!(octets <= most, "{octets} octets, {most} expected at most: {stats:?}");
        for template in cache.iter().map(|entry| entry.template) {
            assert!(template.id() >= 256);
            // Lenient decoders keep a template of empty records in place of the one it replaces.
            assert!(template.minimum_length() > 0 || strictness == Strictness::Lenient);
            assert!(template.fields().len() <= usize::from(limits.fields_per_template));
        }
    }
}

pub(crate) fn check_batch(
    batch: &Batch<'_>,
    decoded: &mut Decoded<'_, '_, u8>,
    datagram: &[u8],
    text: &mut String,
) {
    match batch {
        Batch::Fixed(records) => {
            let flows: Vec<_> = records.flows().collect();
            assert_eq!(flows.len(), records.count());
            let octets: usize = records.iter().map(|record| record.octets().len()).sum();
            assert!(octets < datagram.len());
            assert!(flows.len() <= usize::from(decoded.header().count));
            assert_eq!(
                records.missing_records().is_some(),
                flows.len() < usize::from(decoded.header().count)
            );
            for record in records.iter() {
                assert_eq!(record.octets(), &datagram[record.offset()..][..record.octets().len()]);
                read_fields(record.fields(), record.octets(), text);
            }
        }
        Batch::Data(records) => {
            assert!(!records.template().is_options());
            check_records(records, datagram, 0, text);
            for flow in records.flows() {
                if let Some(sampling) = decoded.sampling(&flow) {
                    assert_ne!(sampling.interval, 0);
                }
            }
        }
        Batch::Options(records) => {
            assert!(records.template().is_options());
            check_records(records, datagram, 0, text);
        }
        Batch::Recovered(recovered) => {
            assert!(recovered.origin().datagram <= decoded.ordinal());
            let _correction = recovered.offset_correction();
            let records = recovered.records();
            for record in &records {
                read_fields(record.fields(), record.octets(), text);
            }
            assert!(records.flows().eq(records.iter().map(|record| record.to_flow(records.clock()))));
        }
        Batch::Template(template, _) => assert!(template.id() >= 256),
        Batch::TemplateMissing { template_id, octets, .. } => {
            assert!(*template_id >= 256 && octets.len() < datagram.len());
        }
        Batch::Reserved { id, octets, .. } => assert!(*id < 256 && octets.len() < datagram.len()),
        Batch::Malformed(error) => check_error(*error, datagram, text),
        Batch::Withdrawal { .. } => {}
        other => panic!("a kind of batch that is not checked: {other:?}"),
    }
}

/// The plan and the walk agree; records lie within the datagram, one behind the other.
fn check_records(records: &DataRecords<'_>, datagram: &[u8], mut end: usize, text: &mut String) {
    let template = records.template();
    let flows: Vec<_> = records.flows().collect();
    assert_eq!(records.count(), flows.len());
    assert!(flows.is_empty() || template.minimum_length() > 0);
    assert!(flows.len() * template.minimum_length() <= datagram.len());
    // The forward direction of a biflow is the flow.
    if template.is_reverse_only() {
        assert_eq!(records.biflows().count(), 0);
    } else {
        assert!(records.biflows().map(|biflow| biflow.forward).eq(records.flows()));
        assert!(records.biflows().all(|biflow| biflow.reverse.is_some() == template.is_biflow()));
    }
    let (at_least, at_most) = records.flows().size_hint();
    assert!((at_least..=at_most.unwrap_or(usize::MAX)).contains(&flows.len()));
    let mut walked = 0;
    for (record, flow) in records.iter().zip(&flows) {
        assert_eq!(record.to_flow(records.clock()), *flow, "{:?}", template.fields());
        assert!(record.offset() >= end);
        end = record.offset() + record.octets().len();
        assert_eq!(record.octets(), &datagram[record.offset()..end]);
        assert_eq!(record.fields().count(), template.fields().len());
        read_fields(record.fields(), record.octets(), text);
        walked += 1;
    }
    assert_eq!(walked, flows.len());
}

fn read_fields<'a>(fields: impl Iterator<Item = FieldView<'a>>, record: &[u8], text: &mut String) {
    let mut octets = 0;
    for field in fields {
        octets += field.octets().len();
        text.clear();
        write!(text, "{:?} {} {:?}", field.name(), field.value(), field.as_unsigned())
            .expect("a string takes everything");
    }
    assert!(octets <= record.len());
}

pub(crate) fn check_error(error: DecodeError, datagram: &[u8], text: &mut String) {
    text.clear();
    write!(text, "{error}").expect("a string takes everything");
    assert!(text.len() < 200, "{text}");
    assert!(usize::try_from(error.offset).is_ok_and(|offset| offset <= datagram.len()), "{text}");
}
