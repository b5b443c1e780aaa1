//! Limits: what a flood of templates from many exporters does to the template cache, and what the counters tell.

use core::{error::Error, net::Ipv4Addr};

use netflow_codec::{
    CacheLimits, Decoder, ElementId, ExportClock, FieldSpecifier, PacketBuilder, PacketHeader, Protocol,
    RecordLayout, Strictness, SysUptime, TemplateScope, Timestamp,
};

fn main() -> Result<(), Box<dyn Error>> {
    let mut limits = CacheLimits::default();
    limits.scopes = 100;
    limits.templates_per_scope = 16;
    limits.template_octets = 4 << 20;
    let mut decoder = Decoder::with_limits(limits, Strictness::Lenient);
    let now = Timestamp::from_secs(1_700_000_000);

    // One exporter that means well, and repeats its template; others whose addresses may all be forged.
    let well_known = Ipv4Addr::new(192, 0, 2, 254);
    for round in 0..50_u16 {
        decoder.decode(&well_known, &template_packet(256)?, now)?.for_each(drop);
        for forged in 0..40_u8 {
            let [high, low] = round.to_be_bytes();
            let exporter = Ipv4Addr::new(10, high, low, forged);
            for id in 256..296 {
                decoder.decode(&exporter, &template_packet(id)?, now)?.for_each(drop);
            }
        }
    }

    let cache = decoder.cache();
    let stats = cache.stats();
    println!("80,000 templates of 2,000 forged exporters");
    println!("{} scopes, {} templates", cache.scope_count(), cache.template_count());
    println!("less than 4 MiB of memory: {}", cache.memory_octets() < 4 << 20);
    println!("learned {}, refreshed {}, replaced {}", stats.new, stats.refreshed, stats.replaced);
    println!("evicted {} templates, {} scopes", stats.evicted_templates, stats.evicted_scopes);
    // What is used often stays: the oldest goes first.
    let scope = TemplateScope::new(well_known, Protocol::NetFlow9, 0);
    println!("the well-known exporter's template is there: {}", cache.get(&scope, 256).is_some());
    Ok(())
}

/// A packet that announces a template with this id.
fn template_packet(id: u16) -> Result<Vec<u8>, Box<dyn Error>> {
    let layout = RecordLayout::new(
        id,
        &[
            FieldSpecifier::new(ElementId::SOURCE_IPV4_ADDRESS, 4),
            FieldSpecifier::new(ElementId::DESTINATION_IPV4_ADDRESS, 4),
            FieldSpecifier::new(ElementId::OCTET_DELTA_COUNT, 8),
        ],
    )?;
    let mut builder = PacketBuilder::new(1_472);
    builder.push_template(&layout)?;
    let clock = ExportClock::new(Timestamp::from_secs(1_700_000_000), SysUptime::from_millis(0));
    let mut datagram = Vec::new();
    builder.finish(&PacketHeader::new(clock, 0, 0), &mut datagram);
    Ok(datagram)
}
