// Alerts: thresholds that were passed, and what searches of the window found: indicators, attacks.

const SEARCHES = {
  ioc: {
    path: "/api/ioc", title: "Indicators", button: "Look for indicators",
    about: "Who talked to the addresses of the server's indicators, in all flows of this window.",
    isThere: () => page.status.has_indicators,
    without: "The server was started without indicators (see its option --indicators).",
    rows: (report) => report.findings,
    say: (report, found) => `${counted(report.indicators, "indicator")} against ${counted(report.seen.flows, "flow")}: ${found ? counted(found, "contact") : "no contact"}.` +
      (report.refused_entries ? ` Not understood of the files: ${counted(report.refused_entries, "entr", "y", "ies")}.` : "") +
      (report.flows_beyond_bound ? ` ${scaled(report.flows_beyond_bound)} flows of more contacts are not among them.` : ""),
    columns: () => [
      { name: "Indicator", class: "left code", cell: (row) => (row.indicator === row.address ? row.address : `${row.indicator} (${row.address})`) },
      { name: "Host", class: "left code", cell: (row) => row.host },
      { name: "Direction", class: "left", cell: (row) => ({ to: "to it", from: "from it", both: "both ways" }[row.direction]) },
      { name: "First seen", class: "left", cell: (row) => moment(row.first_ns) },
      { name: "Last seen", class: "left", cell: (row) => moment(row.last_ns) },
      { name: "Flows", cell: (row) => scaled(row.flows) },
      { name: "Sent to it", cell: (row) => scaled(row.octets_to, "B") },
      { name: "Got from it", cell: (row) => scaled(row.octets_from, "B") },
      { name: "Services", class: "left", cell: (row) => row.services.join(" ") },
      { name: "Label", class: "left", cell: (row) => row.label },
    ],
    filter: (row) => `ip ${row.host} and ip ${row.address}`,
    times: (row) => [row.first_ns, row.last_ns],
  },
  attacks: {
    path: "/api/attacks", title: "Attacks", button: "Look for attacks",
    about: "Floods, amplification, carpet bombing and scans, in all flows of this window; rates are scaled by sampling.",
    isThere: () => true,
    rows: (report) => report.events,
    say: (report, found) => `${found ? counted(found, "attack") : "No attack"} in ${counted(report.seen.flows, "flow")}.` +
      (report.dropped.counters ? ` ${scaled(report.dropped.counters)} counters, far below a threshold, had no room.` : ""),
    columns: () => [
      { name: "Attack", class: "left", cell: (row) => make("span", { class: "tag bad" }, row.kind.replace("-", " ").replace("syn", "SYN").replace("icmp", "ICMP").replace("udp", "UDP") + (row.service ? ` (${row.service})` : "")) },
      { name: "Target", class: "left code", cell: (row) => row.target },
      { name: "From", class: "left", cell: (row) => row.scanner || `${row.sources.is_estimated ? "about " : ""}${scaled(row.sources.distinct)} sources of ${scaled(row.source_as.distinct)} AS` },
      { name: "Began", class: "left", cell: (row) => moment(row.start_ns) },
      { name: "For", cell: (row) => duration((row.end_ns - row.start_ns) / 1e9) },
      { name: "Peak", cell: (row) => `${scaled(row.peak_bits_per_second, "bit/s")}, ${scaled(row.peak_packets_per_second, "packet/s")}${row.error_percent ? ` ± ${row.error_percent.toFixed(0)} %` : ""}` },
      { name: "Ports", class: "left", cell: (row) => `${row.ports.top.slice(0, 3).map((part) => part.value).join(" ")}${row.ports.distinct > 3 ? " …" : ""}` },
    ],
    beside: (row) => row.hints.map((hint) => make("li", {}, make("code", {}, row.target), ` ${hint}`)),
    filter: (row) => {
      const target = `dst ${row.target.includes("/") ? "net" : "ip"} ${row.target}`;
      return row.scanner ? `src ip ${row.scanner} and ${target}` : target;
    },
    times: (row) => [row.start_ns, row.end_ns],
  },
};

const counted = (count, noun, one = "", many = "s") => `${scaled(count)} ${noun}${count === 1 ? one : many}`;
const moment = (nanos) => (nanos === null ? "–" : time(ofNanos(nanos)));

/** What was found last, as long as the window stays. */
const findings = {
  window: null,
  answers: {},
  thresholds: 0,

  /** What was found in another window is forgotten. */
  of(state) {
    const window = `${state.from}-${state.to}`;
    if (this.window !== window) [this.window, this.answers, this.thresholds] = [window, {}, 0];
    return this.answers;
  },

  count() {
    const count = this.thresholds + Object.values(this.answers).reduce((sum, answer) => sum + (answer.found || 0), 0);
    $("tab-alerts").replaceChildren("Alerts", count ? make("span", { class: "count" }, String(count)) : "");
  },

  /** A search: its button, and what it found. */
  section(name) {
    const search = SEARCHES[name];
    const button = make("button", { type: "button", id: `look-${name}`, disabled: !search.isThere() }, search.button);
    const result = make("div", { id: `found-${name}`, role: "status" });
    const answers = this.of(page.state);
    button.addEventListener("click", async () => {
      // What is pressed keeps the focus: it is not disabled, but does nothing while it looks.
      if (button.getAttribute("aria-busy")) return;
      button.setAttribute("aria-busy", true);
      result.replaceChildren(make("p", { class: "muted" }, "Looking…"));
      try {
        answers[name] = await ask(search.path, { from: page.state.from, to: page.state.to });
        result.replaceChildren(...this.shown(search, answers[name]));
      } catch (error) {
        result.replaceChildren(make("p", { class: "warning" }, error.message));
      }
      button.removeAttribute("aria-busy");
      this.count();
    });
    if (answers[name]) result.append(...this.shown(search, answers[name]));
    return make("section", { class: "search", "aria-label": search.title },
      make("div", { class: "bar" }, make("h3", {}, search.title), button),
      make("p", { class: "muted" }, search.isThere() ? search.about : search.without), result);
  },

  shown(search, { report, found, is_cut, until, incomplete }) {
    const rows = search.rows(report);
    const content = [make("p", {}, search.say(report, found))];
    if (is_cut) content.push(make("p", { class: "warning" }, `There was no time for all flows${until ? `, but those until ${time(until)}` : ""}: look at a shorter window for the rest.`));
    if (incomplete.length) content.push(make("p", { class: "warning" }, `${incomplete.length} files are damaged: ${incomplete.slice(0, 3).join("; ")}`));
    if (!rows.length) return content;
    const look = { name: "", cell: (row) => make("button", { type: "button", onclick: () => {
      const [first, last] = search.times(row).map(ofNanos);
      const { from, to } = page.state;
      page.set({ filter: search.filter(row), from: first ? Math.floor(first) : from, to: last ? Math.floor(last) + 1 : to, tab: "flows" });
    } }, "Look") };
    const [kind, ...columns] = search.columns();
    content.push(table(search.title, [kind, look, ...columns], rows));
    const beside = search.beside ? rows.flatMap(search.beside) : [];
    if (beside.length) content.push(make("h4", {}, "Forged sources"), make("ul", { class: "beside" }, ...beside));
    if (found > rows.length) content.push(make("p", { class: "muted" }, `The first ${rows.length} of ${found}.`));
    return content;
  },
};

panels.alerts = async (state) => {
  const answer = await ask("/api/alerts", { from: state.from, to: state.to });
  const columns = [
    { name: "Profile", class: "left", cell: (row) => row.profile },
    { name: "", cell: (row) => make("button", { type: "button", onclick: () => page.set({ filter: row.filter, from: row.from, to: row.to, tab: "top" }) }, "Look") },
    { name: "From", class: "left", cell: (row) => time(row.from) },
    { name: "For", cell: (row) => duration(row.to - row.from) },
    { name: "Peak", cell: (row) => make("span", { class: "tag bad" }, `${scaled(row.peak)} ${row.measure}/s`) },
    { name: "Threshold", cell: (row) => `${scaled(row.above)} ${row.measure}/s` },
  ];
  findings.of(state);
  findings.thresholds = answer.alerts.length;
  findings.count();
  const thresholds = answer.alerts.length
    ? [table("Alerts", columns, answer.alerts), make("p", { class: "muted" }, `Rates are averages over ${duration(answer.bin)}.`)]
    : [make("p", { class: "muted" }, "No threshold was passed in this window. Profiles that are saved on the server can have one.")];
  return { content: [make("section", { class: "search", "aria-label": "Thresholds" }, make("div", { class: "bar" }, make("h3", {}, "Thresholds")), ...thresholds), findings.section("ioc"), findings.section("attacks")] };
};
