// The tables below the graph: what is greatest, flows, exporters, profiles.

/** Elements that flows are grouped by, with their names for people and how a filter asks for a value of theirs. */
const ELEMENTS = [
  ["srcip", "Source", (value) => `src ip ${value}`],
  ["dstip", "Destination", (value) => `dst ip ${value}`],
  ["ip", "Address", (value) => `ip ${value}`],
  ["srcport", "Source port", (value) => `src port ${value}`],
  ["dstport", "Destination port", (value) => `dst port ${value}`],
  ["port", "Port", (value) => `port ${value}`],
  ["proto", "Protocol", (value) => `proto ${value}`],
  ["srcip4/24", "Source /24", (value) => `src net ${value}`],
  ["dstip4/24", "Destination /24", (value) => `dst net ${value}`],
  ["srcas", "Source AS", (value) => `src as ${value}`],
  ["dstas", "Destination AS", (value) => `dst as ${value}`],
  ["inif", "Interface in", (value) => `in if ${value}`],
  ["outif", "Interface out", (value) => `out if ${value}`],
  ["router", "Exporter", (value) => `router ip ${value}`],
  ["next", "Next hop", (value) => `next ip ${value}`],
  ["vlan", "VLAN", (value) => `vlan ${value}`],
  ["tos", "Type of service", (value) => `tos ${value}`],
  ["flags", "TCP flags", null],
  ["ipversion", "IP version", (value) => (value === 6 ? "inet6" : "inet")],
];
const elementOf = (name) => ELEMENTS.find(([known]) => known === name) || [name, name, null];

/** Statistics of more than one element. */
const COMBINED = [["srcip,dstip", "Pairs of addresses"], ["proto,dstport", "Protocol and port"], ["proto,srcip,dstip,srcport,dstport", "Connections"]];

/** A value that adds itself to the filter when it is chosen. */
function valueButton(text, condition) {
  if (!condition) return text;
  return make("button", { class: "value", type: "button", title: `Filter: ${condition}`, onclick: () => page.narrow(condition) }, text);
}

/**
 * A table. Columns: {name, text(row) or cell(row), order, class}. Sorting asks the server when there is an order,
 * and sorts what is there otherwise.
 */
function table(caption, columns, rows, sorted, onsort) {
  const head = columns.map((column) => {
    const isSorted = sorted && sorted.by === column.order && column.order;
    const label = column.order
      ? make("button", { type: "button", onclick: () => onsort(column.order) }, column.name)
      : column.name;
    return make("th", { scope: "col", class: column.class, "aria-sort": isSorted ? sorted.direction || "descending" : null }, label);
  });
  const body = rows.map((row) => make("tr", {}, ...columns.map((column) => make("td", { class: column.class }, column.cell(row)))));
  return make("div", { class: "scroll" }, make("table", { "aria-label": caption }, make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...body)));
}

const empty = (text) => make("p", { class: "empty" }, text);

function share(part, whole) {
  const width = whole ? Math.min(100, (part / whole) * 100).toFixed(1) : 0;
  return make("span", {}, percent(part, whole), make("span", { class: "meter", "aria-hidden": true }, make("i", { "width%": width })));
}

const panels = {
  async top(state) {
    const select = make("select", { id: "top-by", onchange: (event) => page.set({ top: event.target.value }) },
      ...ELEMENTS.map(([name, label]) => make("option", { value: name, selected: name === state.top }, label)),
      ...COMBINED.map(([name, label]) => make("option", { value: name, selected: name === state.top }, label)));
    const answer = await ask("/api/top", { ...page.question(), by: state.top, order: state.order, n: 25 });
    const measure = { flows: "flows", packets: "packets", bytes: "bytes" }[answer.order] || "bytes";
    const number = (name, order, text) => ({ name, order, cell: (row) => text(row) });
    const columns = [
      ...answer.keys.map((key) => {
        const [, label, condition] = elementOf(key);
        const cell = (row) => (row[key] === null ? "–" : valueButton(String(row[key]), condition && condition(row[key])));
        return { name: label, class: "left code", cell };
      }),
      number("Bytes", "bytes", (row) => scaled(row.bytes, "B")),
      { name: "Share", class: "share", cell: (row) => share(row[measure], answer.total[measure]) },
      number("Packets", "packets", (row) => scaled(row.packets)),
      number("Flows", "flows", (row) => scaled(row.flows)),
      number("bit/s", "bps", (row) => scaled(row.bps)),
      number("packet/s", "pps", (row) => scaled(row.pps)),
      number("B/packet", "bpp", (row) => String(row.bpp)),
      { name: "First seen", class: "left", order: "tstart", cell: (row) => (row.first_ns === null ? "–" : time(ofNanos(row.first_ns))) },
      number("Duration", "duration", (row) => duration(row.duration_ms / 1000)),
    ];
    const direction = answer.order === "tstart" ? "ascending" : "descending";
    return {
      incomplete: answer.incomplete,
      total: answer.total,
      content: [
        make("div", { class: "controls" }, make("label", {}, "The greatest by ", select), answer.dropped ? make("span", { class: "tag warn" }, "too many for exact counts") : null),
        answer.rows.length ? table("Top", columns, answer.rows, { by: answer.order, direction }, (order) => page.set({ order })) : empty("No flows in this window."),
      ],
    };
  },

  async flows(state) {
    const answer = await ask("/api/flows", { ...page.question(), order: state.flowOrder, n: 100 });
    const end = (address, port) => (row) => {
      if (!row[address]) return "–";
      const side = address === "src_addr" ? "src" : "dst";
      const parts = [valueButton(row[address], `${side} ip ${row[address]}`)];
      if (row[port]) parts.push(":", valueButton(String(row[port]), `${side} port ${row[port]}`));
      return make("span", {}, ...parts);
    };
    const seconds = (row) => (row.time_flow_start_ns === null || row.time_flow_end_ns === null ? null : ofNanos(row.time_flow_end_ns) - ofNanos(row.time_flow_start_ns));
    const columns = [
      { name: "Began", class: "left", order: "tstart", cell: (row) => (row.time_flow_start_ns === null ? "–" : time(ofNanos(row.time_flow_start_ns))) },
      { name: "Duration", order: "duration", cell: (row) => (seconds(row) === null ? "–" : duration(seconds(row))) },
      { name: "Protocol", class: "left", cell: (row) => (row.proto ? valueButton(row.proto, `proto ${row.proto}`) : "–") },
      { name: "Source", class: "left code", cell: end("src_addr", "src_port") },
      { name: "Destination", class: "left code", cell: end("dst_addr", "dst_port") },
      { name: "Bytes", order: "bytes", cell: (row) => (row.bytes === null ? "–" : scaled(row.bytes, "B")) },
      { name: "Packets", order: "packets", cell: (row) => (row.packets === null ? "–" : scaled(row.packets)) },
      { name: "bit/s", order: "bps", cell: (row) => (seconds(row) > 0 ? scaled((row.bytes * 8) / seconds(row)) : "–") },
      { name: "Sampling", cell: (row) => (row.sampling_rate === null ? "?" : `1 : ${row.sampling_rate}`) },
      { name: "Exporter", class: "left code", cell: (row) => valueButton(row.sampler_address, `router ip ${row.sampler_address}`) },
    ];
    const direction = state.flowOrder === "tstart" ? "ascending" : "descending";
    return {
      incomplete: answer.incomplete,
      content: answer.flows.length
        ? [table("Flows", columns, answer.flows, { by: state.flowOrder, direction }, (flowOrder) => page.set({ flowOrder })), make("p", { class: "muted" }, answer.flows.length >= 100 ? "The first 100 in this order." : `${answer.flows.length} flows.`)]
        : [empty("No flows in this window.")],
    };
  },

  async exporters() {
    const answer = await ask("/api/exporters", page.question());
    const content = [];
    if (answer.health_error) content.push(make("p", { class: "warning" }, answer.health_error));
    if (answer.health) content.push(...health(answer.health), make("h3", {}, "Flows of this window"));
    const columns = [
      { name: "Exporter", class: "left code", cell: (row) => valueButton(row.router, `router ip ${row.router}`) },
      { name: "Domain", cell: (row) => (row.odid === null ? "–" : String(row.odid)) },
      { name: "Sampling", cell: (row) => (row.sampling === null ? make("span", { class: "tag warn" }, "unknown") : `1 : ${row.sampling}`) },
      { name: "Flows", cell: (row) => scaled(row.flows) },
      { name: "Packets", cell: (row) => scaled(row.packets) },
      { name: "Bytes", cell: (row) => scaled(row.bytes, "B") },
      { name: "First flow", class: "left", cell: (row) => (row.first_ns === null ? "–" : time(ofNanos(row.first_ns))) },
      { name: "Last flow", class: "left", cell: (row) => (row.last_ns === null ? "–" : time(ofNanos(row.last_ns))) },
    ];
    content.push(answer.stored.length ? table("Exporters by stored flows", columns, answer.stored) : empty("No flows in this window."));
    return { incomplete: answer.incomplete, content };
  },

  async profiles() {
    const answer = await profiles.load();
    if (!answer.profiles.length) {
      return { content: [empty("No profiles yet: write a filter and save it under a name.")] };
    }
    const cards = answer.profiles.map((profile) => {
      const graph = make("div", { class: "graph" });
      const sum = make("span", { class: "muted" });
      const threshold = profile.alert ? make("span", { class: "tag" }, `above ${scaled(profile.alert.above)} ${profile.alert.measure}/s`) : null;
      ask("/api/series", { ...page.question(), filter: profile.filter, bins: 100 }).then((series) => {
        const bytes = Array.from({ length: series.bins }, (_, bin) => series.lines.reduce((all, line) => all + line.bytes[bin], 0));
        graph.replaceChildren(sparkline(bytes));
        const whole = bytes.reduce((all, value) => all + value, 0);
        sum.textContent = `${scaled(whole, "B")}, at most ${scaled((Math.max(...bytes) * 8) / series.bin, "bit/s")}`;
      }).catch((error) => { sum.textContent = error.message; });
      return make("article", { class: "profile" }, make("h3", {}, profile.name), make("code", {}, profile.filter || "any"), graph, sum, " ", threshold,
        make("div", { class: "buttons" },
          make("button", { type: "button", onclick: () => page.set({ filter: profile.filter, tab: "top" }) }, "Look"),
          make("button", { type: "button", onclick: () => profiles.edit(profile) }, "Change"),
          make("button", { type: "button", "aria-label": `Delete ${profile.name}`, onclick: () => profiles.remove(profile.name) }, "Delete")));
    });
    return { content: [make("div", { class: "profiles" }, ...cards)] };
  },
};

/** Profiles on the server, or where it keeps none, in this browser. */
const profiles = {
  canSave: false,

  async load() {
    const answer = await ask("/api/profiles");
    this.canSave = answer.can_save;
    if (!answer.can_save && !answer.profiles.length) answer.profiles = this.local();
    return answer;
  },

  local() {
    try {
      const found = JSON.parse(localStorage.getItem("profiles") || "[]");
      return Array.isArray(found) ? found : [];
    } catch {
      return [];
    }
  },

  edit(profile) {
    $("profile-name").value = profile.name || "";
    $("profile-filter").value = profile.filter || "";
    $("profile-measure").value = profile.alert ? profile.alert.measure : "";
    $("profile-above").value = profile.alert ? String(profile.alert.above) : "";
    $("profile-where").textContent = this.canSave ? "Kept on the server." : "The server keeps no profiles (see its option --profiles): this one stays in this browser.";
    $("profile-error").hidden = true;
    $("profile-dialog").showModal();
  },

  async save() {
    const measure = $("profile-measure").value;
    const above = unscaled($("profile-above").value);
    const profile = { name: $("profile-name").value.trim(), filter: $("profile-filter").value.trim() };
    try {
      if (measure && above === null) throw new Error("The threshold is a number, as in 500, 10k or 2M.");
      if (measure) profile.alert = { measure, above };
      if (this.canSave) {
        await ask("/api/profiles", {}, { method: "PUT", body: JSON.stringify(profile), headers: { "Content-Type": "application/json" } });
      } else {
        await ask("/api/filter", { filter: profile.filter });
        const others = this.local().filter((known) => known.name !== profile.name);
        localStorage.setItem("profiles", JSON.stringify([...others, profile]));
      }
    } catch (error) {
      $("profile-error").textContent = error.message;
      $("profile-error").hidden = false;
      return;
    }
    $("profile-dialog").close();
    page.set({ tab: "profiles" });
  },

  async remove(name) {
    if (!confirm(`Delete the profile “${name}”?`)) return;
    if (this.canSave) await ask("/api/profiles", { name }, { method: "DELETE" });
    else localStorage.setItem("profiles", JSON.stringify(this.local().filter((known) => known.name !== name)));
    page.refresh();
  },
};
