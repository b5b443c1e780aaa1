//! The report as one document that needs nothing from elsewhere: its graphs are drawn as SVG.

use core::fmt::Write as _;

use super::{Part, Report, Section, Series};
use crate::{jobs::time, query::scaled};

/// Width and height of a graph, and the room for its labels.
const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 80.0;
const BELOW: f64 = 30.0;

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1b1f24;--dim:#667;--line:#d5d9e0;--ground:#fff;--bar:#4c7bd9}\
@media(prefers-color-scheme:dark){:root{--ink:#e6e8ec;--dim:#99a2b0;--line:#3a404a;--ground:#16181d;--bar:#5f8eea}}\
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--ground);max-width:960px;margin:0 auto;padding:1rem}\
h1{font-size:1.5rem}h2{font-size:1.2rem;margin-top:2.5rem;border-top:1px solid var(--line);padding-top:1rem}\
h3{font-size:1rem;margin:1.5rem 0 .3rem}p,figcaption{color:var(--dim)}figure{margin:1rem 0}svg{width:100%;height:auto}\
table{border-collapse:collapse;width:100%}th{text-align:left;color:var(--dim);font-weight:500}\
td,th{padding:.15rem .6rem .15rem 0;border-bottom:1px solid var(--line);vertical-align:middle}\
.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}.b{width:30%}\
.b i{display:block;height:.7rem;background:var(--bar);border-radius:2px}text{fill:var(--dim);font-size:12px}\
.k{display:inline-block;width:.8rem;height:.8rem;margin:0 .3rem 0 .9rem;border-radius:2px;vertical-align:-1px}\
";

/// Colours that are told apart without red and green, too.
const COLOURS: [&str; 8] =
    ["#4c7bd9", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#b8a800", "#8a8f99"];

pub(super) fn page(report: &Report) -> String {
    let mut page = String::new();
    page.push_str("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    page.push_str("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
    page.push_str(
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n",
    );
    // Writing to memory does not fail.
    let _ = write!(
        page,
        "<title>Traffic report</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>Traffic report</h1>\n<p>{}</p>\n",
        escape(&report.seen.to_string())
    );
    for part in report.parts() {
        push_part(&mut page, part);
    }
    if report.flows_beyond_bound > 0 {
        let _ = writeln!(
            page,
            "<p>{} flows of further exporters are in the sums only.</p>",
            report.flows_beyond_bound
        );
    }
    page.push_str("</body>\n</html>\n");
    page
}

fn push_part(page: &mut String, part: &Part) {
    let title =
        part.exporter.map_or_else(|| "All traffic".to_owned(), |exporter| format!("Exporter {exporter}"));
    let _ = write!(
        page,
        "<section>\n<h2>{}</h2>\n<p>{} octets, {} packets, {} flows</p>\n",
        escape(&title),
        scaled(part.total.octets),
        scaled(part.total.packets),
        part.total.flows
    );
    push_graph(page, &part.over_time);
    for section in part.sections.iter().filter(|section| !section.rows.is_empty()) {
        push_table(page, section);
    }
    page.push_str("</section>\n");
}

/// Areas on top of one another, the greatest at the bottom.
#[expect(clippy::cast_precision_loss, reason = "a graph has some hundred points")]
fn push_graph(page: &mut String, series: &Series) {
    let sums = series.sums();
    let highest = sums.iter().copied().max().unwrap_or(0);
    if highest == 0 {
        return;
    }
    let bins = sums.len();
    let x = |edge: usize| LEFT + (WIDTH - LEFT) * edge as f64 / bins as f64;
    let y = |octets: u64| (HEIGHT - BELOW) * (1.0 - octets as f64 / highest as f64) + 5.0;
    let rate = |octets: u64| scaled(octets.saturating_mul(8) / series.bin_seconds.max(1));
    let _ = write!(
        page,
        "<figure>\n<svg viewBox=\"0 0 {WIDTH} {}\" role=\"img\" aria-label=\"Traffic over time by protocol\">\n",
        HEIGHT + 10.0
    );
    for quarter in 0..=4_u64 {
        let octets = highest / 4 * quarter + highest % 4 * quarter / 4;
        let height = y(octets);
        let _ = writeln!(
            page,
            "<line x1=\"{LEFT}\" x2=\"{WIDTH}\" y1=\"{height:.1}\" y2=\"{height:.1}\" stroke=\"currentColor\" \
             stroke-opacity=\".15\"/><text x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\">{}bit/s</text>",
            LEFT - 6.0,
            height + 4.0,
            rate(octets)
        );
    }
    let mut below = vec![0_u64; bins];
    for (line, colour) in series.lines.iter().zip(COLOURS) {
        let above: Vec<u64> = below.iter().zip(&line.octets).map(|(below, octets)| below + octets).collect();
        let mut points = String::new();
        for (bin, octets) in above.iter().enumerate() {
            let _ = write!(points, "{:.1},{:.1} {:.1},{:.1} ", x(bin), y(*octets), x(bin + 1), y(*octets));
        }
        for (bin, octets) in below.iter().enumerate().rev() {
            let _ = write!(points, "{:.1},{:.1} {:.1},{:.1} ", x(bin + 1), y(*octets), x(bin), y(*octets));
        }
        let _ = writeln!(
            page,
            "<polygon points=\"{}\" fill=\"{colour}\"><title>{}</title></polygon>",
            points.trim_end(),
            escape(&line.name)
        );
        below = above;
    }
    for quarter in 0..=4_usize {
        let edge = bins * quarter / 4;
        let start =
            series.start_ns.saturating_add((edge as u64).saturating_mul(series.bin_seconds) * 1_000_000_000);
        let anchor = ["start", "middle", "middle", "middle", "end"].get(quarter).unwrap_or(&"middle");
        let label = time(start);
        let _ = writeln!(
            page,
            "<text x=\"{:.1}\" y=\"{HEIGHT}\" text-anchor=\"{anchor}\">{}</text>",
            x(edge),
            label.get(5..19).unwrap_or(&label)
        );
    }
    page.push_str("</svg>\n<figcaption>Bits a second by protocol, UTC:");
    for (line, colour) in series.lines.iter().zip(COLOURS) {
        let _ = write!(page, "<span class=\"k\" style=\"background:{colour}\"></span>{}", escape(&line.name));
    }
    page.push_str("</figcaption>\n</figure>\n");
}

fn push_table(page: &mut String, section: &Section) {
    let name = section.by.name();
    let _ = write!(
        page,
        "<h3>{name}</h3>\n<table>\n<tr><th>{name}</th><th class=\"n\">Octets</th><th class=\"n\">Share</th>\
         <th class=\"b\"></th><th class=\"n\">Packets</th><th class=\"n\">Flows</th></tr>\n"
    );
    for row in &section.rows {
        let percent = row.share * 100.0;
        let _ = writeln!(
            page,
            "<tr><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{percent:.1}%</td>\
             <td class=\"b\"><i style=\"width:{percent:.1}%\"></i></td><td class=\"n\">{}</td><td class=\"n\">{}</td></tr>",
            escape(&row.value),
            scaled(row.amount.octets),
            scaled(row.amount.packets),
            scaled(row.amount.flows)
        );
    }
    page.push_str("</table>\n");
    if section.octets_without > 0 {
        let _ = writeln!(page, "<p>{} octets of flows without it</p>", scaled(section.octets_without));
    }
    if section.uncertainty > 0 {
        let lacks = scaled(section.uncertainty);
        let _ = writeln!(page, "<p>Too many for an exact count: each may lack up to {lacks} octets.</p>");
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
