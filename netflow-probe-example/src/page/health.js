// What the collector says of exporters: loss, templates that are missing, when they were last heard.

/** Parts of the panel: what somebody should look at, and a line for each exporter and domain. */
function health(answer) {
  const content = [make("h3", {}, answer.now ? "What the collector says" : "What the collector's account says")];
  const questions = answer.questions || [];
  if (questions.length) {
    const rank = (question) => (question.severity === "attention" ? 0 : 1);
    const sorted = [...questions].sort((a, b) => rank(a) - rank(b));
    content.push(make("ul", { class: "questions" }, ...sorted.slice(0, 20).map((question) => make("li", {},
      make("span", { class: question.severity === "attention" ? "tag bad" : "tag" }, question.severity),
      " ", make("b", {}, [question.name, question.exporter].filter(Boolean).join(" ")), ` ${question.text}`))));
    if (sorted.length > 20) content.push(make("p", { class: "muted" }, `${sorted.length - 20} more are not shown.`));
  } else if (answer.now) {
    content.push(make("p", { class: "muted" }, "Nothing to look at."));
  }
  if (answer.kernel_drops && !answer.now) content.push(make("p", { class: "warning" }, `The kernel dropped ${answer.kernel_drops} datagrams: the receive buffer was full.`));
  const columns = [
    { name: "Exporter", class: "left code", cell: (row) => make("span", {}, valueButton(row.exporter, `router ip ${row.exporter}`), row.name ? ` ${row.name}` : "") },
    { name: "Version", class: "left", cell: (row) => (row.version === null ? "–" : row.version === 10 ? "IPFIX" : `v${row.version}`) },
    { name: "Domain", cell: (row) => (row.domain === null ? "–" : String(row.domain)) },
    { name: "Last heard", class: "left", cell: (row) => lastHeard(row) },
    { name: "Records", cell: (row) => (row.records === null ? "–" : scaled(row.records)) },
    { name: "Lost", cell: (row) => lossTag(row) },
    { name: "Templates", cell: (row) => templatesTag(row) },
    { name: "Restarts", cell: (row) => String(row.restarts || 0) },
    { name: "Faults", cell: (row) => (row.faults ? make("span", { class: "tag warn" }, scaled(row.faults)) : "0") },
    { name: "Sampling", cell: (row) => (row.sampling ? `1 : ${row.sampling}` : "?") },
  ];
  if (answer.now) {
    columns.splice(4, 0, { name: "Flows/s", cell: (row) => (row.flows_per_second === null ? "–" : scaled(row.flows_per_second)) });
    columns.push({ name: "Clock", cell: (row) => clockTag(row) });
  }
  content.push(answer.lines.length ? table("Exporters by the collector", columns, answer.lines) : empty("No exporter was heard yet."));
  return content;
}

function lastHeard(row) {
  if (!row.last_seen) return "–";
  const silent = row.silent_seconds;
  return make("span", {}, time(row.last_seen), silent >= 60 ? make("span", { class: silent >= 300 ? "tag bad" : "tag" }, `${duration(silent)} ago`) : null);
}

function lossTag(row) {
  if (row.lost === null || row.lost === undefined) return "?";
  const whole = Number(row.lost) + Number(row.received || 0);
  const text = `${scaled(row.lost)} ${row.unit || ""}${row.lost ? ` (${percent(row.lost, whole)})` : ""}`;
  return make("span", { class: row.lost ? "tag bad" : "tag" }, text);
}

/** Which templates are missing, and since when, if the collector says so; how many sets wait otherwise. */
function templatesTag(row) {
  const missing = row.missing_templates || [];
  if (missing.length) {
    const ids = missing.slice(0, 4).map((one) => one.template_id).join(", ") + (missing.length > 4 ? " …" : "");
    const since = missing.map((one) => String(one.since)).sort()[0].slice(0, 19).replace("T", " ");
    return make("span", { class: "tag bad" }, `${ids} missing since ${since}`);
  }
  if (row.waiting_sets) return make("span", { class: "tag bad" }, `${row.waiting_sets} sets wait`);
  return make("span", { class: "tag" }, "all known");
}

function clockTag(row) {
  if (row.clock_behind_ms === null) return "?";
  const seconds = row.clock_behind_ms / 1000;
  if (Math.abs(seconds) < 1) return "right";
  const text = `${duration(Math.abs(seconds))} ${seconds > 0 ? "behind" : "ahead"}`;
  return make("span", { class: Math.abs(seconds) >= 10 ? "tag bad" : "tag" }, text);
}
