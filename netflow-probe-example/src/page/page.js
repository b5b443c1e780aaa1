// The page as a whole: what is asked, where it is shown.

const MEASURES = {
  bits: { label: "Traffic", of: "bytes", factor: 8, unit: "bit/s" },
  packets: { label: "Packets", of: "packets", factor: 1, unit: "packet/s" },
  flows: { label: "Flows", of: "flows", factor: 1, unit: "flow/s" },
};
const SPANS = [["1 h", 3600], ["6 h", 21600], ["1 d", 86400], ["7 d", 604800], ["30 d", 2592000], ["All", 0]];
const TABS = [["top", "Top"], ["flows", "Flows"], ["exporters", "Exporters"], ["profiles", "Profiles"], ["alerts", "Alerts"]];
const DEFAULTS = { filter: "", by: "proto", measure: "bits", tab: "top", top: "srcip", order: "bytes", flowOrder: "bytes" };

const page = {
  state: { ...DEFAULTS, from: null, to: null },
  status: { first: null, last: null },
  before: [],
  series: null,
  turn: 0,

  /** What every question has. */
  question() {
    const { from, to, filter } = this.state;
    return { from, to, filter };
  },

  async start() {
    this.build();
    try {
      this.status = await ask("/api/status");
      profiles.canSave = this.status.can_save_profiles;
    } catch (error) {
      this.fail(error);
    }
    const { first, last } = this.status;
    $("span").textContent = first === null ? "the store is empty" : `${time(first)} to ${time(last)} UTC`;
    this.read();
    window.addEventListener("hashchange", () => { if (location.hash !== this.written) { this.read(); this.refresh(); } });
    this.refresh();
  },

  /** The state is in the address, so that it can be kept and sent on. */
  read() {
    const given = new URLSearchParams(location.hash.slice(1));
    const state = { ...DEFAULTS };
    for (const name of Object.keys(DEFAULTS)) if (given.has(name)) state[name] = given.get(name);
    const { first, last } = this.status;
    const number = (name) => (/^\d{1,12}$/.test(given.get(name) || "") ? Number(given.get(name)) : null);
    state.to = number("to") ?? last ?? 0;
    state.from = Math.min(number("from") ?? Math.max(first ?? 0, state.to - 86400), state.to);
    if (!MEASURES[state.measure]) state.measure = DEFAULTS.measure;
    if (!panels[state.tab]) state.tab = DEFAULTS.tab;
    this.state = state;
  },

  write() {
    const given = Object.entries(this.state).filter(([name, value]) => value !== DEFAULTS[name] && value !== null);
    this.written = `#${new URLSearchParams(given)}`;
    history.replaceState(null, "", this.written);
  },

  /** Changes some of the state, and shows what comes of it. */
  set(change) {
    const { from, to } = this.state;
    if (("from" in change || "to" in change) && (change.from !== from || change.to !== to)) {
      this.before.push([from, to]);
      if (this.before.length > 100) this.before.shift();
    }
    const onlyTable = Object.keys(change).every((name) => ["tab", "top", "order", "flowOrder"].includes(name));
    const onlyMeasure = Object.keys(change).every((name) => name === "measure");
    Object.assign(this.state, change);
    if (onlyMeasure) {
      this.write();
      this.controls();
      this.chartSeries();
    } else if (onlyTable) {
      this.write();
      this.controls();
      this.showTable(this.turn);
    } else {
      this.refresh();
    }
  },

  /** Adds a condition to the filter. */
  narrow(condition) {
    const { filter } = this.state;
    const whole = !filter.trim() ? condition : /\bor\b|\|\|/.test(filter) ? `(${filter}) and ${condition}` : `${filter} and ${condition}`;
    this.set({ filter: whole });
  },

  goTo(from, to) {
    const [low, high] = [Math.max(0, Math.floor(from)), Math.ceil(to)];
    this.set({ from: low, to: Math.max(high, low + 1) });
  },

  zoom(factor) {
    const { from, to } = this.state;
    const [middle, half] = [(from + to) / 2, Math.max(1, ((to - from) * factor) / 2)];
    this.goTo(middle - half, middle + half);
  },

  back() {
    const [from, to] = this.before.pop() || [];
    if (from === undefined) return;
    Object.assign(this.state, { from, to });
    this.refresh();
  },

  build() {
    $("spans").append(...SPANS.map(([label, length]) => make("button", {
      type: "button", "data-length": length,
      onclick: () => {
        const { first, last } = this.status;
        if (!length) this.goTo(first ?? 0, last ?? 1);
        else this.goTo(Math.max(0, this.state.to - length), this.state.to);
      },
    }, label)));
    $("measures").append(...Object.entries(MEASURES).map(([name, { label }]) => make("button", { type: "button", "data-measure": name, onclick: () => this.set({ measure: name }) }, label)));
    $("by").append(...ELEMENTS.map(([name, label]) => make("option", { value: name }, label.toLowerCase().replace(/\b(as|tcp|ip|vlan)\b/g, (word) => word.toUpperCase()))), make("option", { value: "-" }, "nothing"));
    $("by").addEventListener("change", (event) => this.set({ by: event.target.value }));
    $("tabs").append(...TABS.map(([name, label]) => make("button", { role: "tab", type: "button", id: `tab-${name}`, "aria-controls": "panel", onclick: () => this.set({ tab: name }) }, label)));
    $("tabs").addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!step) return;
      const place = TABS.findIndex(([name]) => name === this.state.tab);
      const [next] = TABS[(place + step + TABS.length) % TABS.length];
      this.set({ tab: next });
      $(`tab-${next}`).focus();
    });
    $("question").addEventListener("submit", (event) => {
      event.preventDefault();
      const [from, to] = [untime($("from").value), untime($("to").value)];
      if (from === null || to === null || from >= to) {
        this.filterError("times are written as in 2026-03-01 12:00:00, the earlier one first");
        return;
      }
      this.set({ filter: $("filter").value.trim(), from, to });
    });
    for (const id of ["from", "to"]) $(id).addEventListener("change", () => $("question").requestSubmit());
    $("filter").addEventListener("input", () => this.check());
    $("filter-clear").addEventListener("click", () => this.set({ filter: "" }));
    $("earlier").addEventListener("click", () => this.shift(-0.5));
    $("later").addEventListener("click", () => this.shift(0.5));
    $("wider").addEventListener("click", () => this.zoom(2));
    $("back").addEventListener("click", () => this.back());
    $("profile-new").addEventListener("click", () => profiles.edit({ filter: $("filter").value }));
    $("profile-cancel").addEventListener("click", () => $("profile-dialog").close());
    $("profile-form").addEventListener("submit", (event) => { event.preventDefault(); profiles.save(); });
    $("skip").addEventListener("click", () => $("chart").focus());
    $("help-open").addEventListener("click", () => $("help").showModal());
    $("theme").addEventListener("click", () => this.theme(true));
    this.theme(false);
    document.addEventListener("keydown", (event) => this.key(event));
    this.chart = new Chart($("chart"), {
      onread: (bins) => this.reading(bins),
      onchoose: (from, to) => this.goTo(from, to),
      onback: () => this.back(),
      onzoom: (factor) => this.zoom(factor),
    });
  },

  shift(part) {
    const { from, to } = this.state;
    this.goTo(from + (to - from) * part, to + (to - from) * part);
  },

  theme(isNext) {
    const themes = ["auto", "light", "dark"];
    let theme = localStorage.getItem("theme") || "auto";
    if (isNext) theme = themes[(themes.indexOf(theme) + 1) % themes.length];
    localStorage.setItem("theme", theme);
    $("theme").textContent = { auto: "Auto", light: "Light", dark: "Dark" }[theme] || "Auto";
    if (theme === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
  },

  key(event) {
    if (event.target.closest("input, select, textarea, dialog") || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "/") $("filter").focus();
    else if (event.key === "g") $("chart").focus();
    else if (event.key === "?") $("help").showModal();
    else if (TABS[Number(event.key) - 1]) this.set({ tab: TABS[Number(event.key) - 1][0] });
    else return;
    event.preventDefault();
  },

  /** Says while a filter is written whether it is understood. */
  check() {
    clearTimeout(this.checking);
    this.checking = setTimeout(async () => {
      const filter = $("filter").value;
      try {
        await ask("/api/filter", { filter });
        if (filter === $("filter").value) this.filterError(null);
      } catch (error) {
        if (filter === $("filter").value) this.filterError(error, filter);
      }
    }, 400);
  },

  filterError(error, filter = "") {
    const box = $("filter-error");
    box.hidden = !error;
    $("filter").setAttribute("aria-invalid", Boolean(error));
    if (!error) return;
    const line = filter.split("\n")[(error.line || 1) - 1] || "";
    box.textContent = error.column ? `${line}\n${" ".repeat(error.column - 1)}^ ${error.message}` : error.message || String(error);
  },

  fail(error) {
    if (error.column) this.filterError(error, this.state.filter);
    else this.warn(error.message);
  },

  warn(text) {
    $("incomplete").hidden = !text;
    $("incomplete").textContent = text || "";
  },

  controls() {
    const { state } = this;
    $("filter").value = state.filter;
    $("from").value = time(state.from);
    $("to").value = time(state.to);
    $("by").value = state.by;
    $("back").disabled = !this.before.length;
    for (const button of $("spans").children) {
      const length = Number(button.dataset.length) || (this.status.last - this.status.first);
      button.setAttribute("aria-pressed", state.to - state.from === length);
    }
    for (const button of $("measures").children) button.setAttribute("aria-pressed", button.dataset.measure === state.measure);
    for (const [name] of TABS) {
      $(`tab-${name}`).setAttribute("aria-selected", name === state.tab);
      $(`tab-${name}`).tabIndex = name === state.tab ? 0 : -1;
    }
    $("panel").setAttribute("aria-labelledby", `tab-${state.tab}`);
    // On a phone not all of them fit.
    const [tab, tabs] = [$(`tab-${state.tab}`), $("tabs")];
    tabs.scrollLeft = Math.max(Math.min(tabs.scrollLeft, tab.offsetLeft - tabs.offsetLeft), tab.offsetLeft + tab.offsetWidth - tabs.offsetLeft - tabs.clientWidth);
  },

  /** Asks for all that the state needs; answers that are not wanted any more are dropped. */
  async refresh() {
    const turn = (this.turn += 1);
    this.write();
    this.controls();
    this.warn(null);
    // What was found in another window is not counted.
    findings.of(this.state);
    findings.count();
    const by = this.state.by === "-" ? null : this.state.by;
    const bins = Math.max(30, Math.min(400, Math.round($("chart").clientWidth / 4)));
    try {
      const series = await ask("/api/series", { ...this.question(), by, bins, lines: 8 });
      if (turn !== this.turn) return;
      this.filterError(null);
      this.series = series;
      this.chartSeries();
      this.complain(series.incomplete);
    } catch (error) {
      if (turn === this.turn) this.fail(error);
      return;
    }
    await this.showTable(turn);
  },

  complain(incomplete) {
    if (incomplete && incomplete.length) this.warn(`The answer is incomplete: ${incomplete.length} files are damaged. ${incomplete.slice(0, 3).join("; ")}`);
  },

  chartSeries() {
    const { series } = this;
    if (!series) return;
    const { of, factor, unit, label } = MEASURES[this.state.measure];
    const key = (line) => `${this.state.by} ${line.name}`;
    const beside = series.lines.filter((line) => line.name !== null).map(key);
    const lines = series.lines.map((line) => ({ name: line.name, key: key(line), beside, values: line[of].map((value) => (value * factor) / series.bin) }));
    $("chart-title").textContent = `${label} in ${unit}`;
    this.chart.dim = null;
    this.shown = { first: series.first, bin: series.bin, bins: series.bins, lines, unit };
    this.chart.show(this.shown);
    this.sums();
  },

  name(line) {
    return line.name === null ? (this.state.by === "-" ? "all" : "others") : String(line.name);
  },

  /** Tells what is at the cursor, or in the time that is chosen; the legend has the numbers. */
  reading(bins) {
    const { shown } = this;
    if (!shown) return;
    const [first, last] = bins || [0, shown.bins - 1];
    const mean = (line) => line.values.slice(first, last + 1).reduce((sum, value) => sum + value, 0) / (last - first + 1);
    const means = shown.lines.map(mean);
    const whole = means.reduce((sum, value) => sum + value, 0);
    const from = shown.first + first * shown.bin;
    const to = shown.first + (last + 1) * shown.bin;
    const text = bins ? `${time(from)} to ${time(to).slice(11)}` : `average of ${duration(to - from)}`;
    $("reading").replaceChildren(make("b", {}, scaled(whole, shown.unit)), ` ${text}, a step is ${duration(shown.bin)}`);
    $("legend").replaceChildren(...shown.lines.map((line, place) => make("li", {}, make("button", {
      type: "button", title: "Add to the filter",
      onclick: () => {
        const [, , condition] = elementOf(this.state.by);
        if (line.name !== null && condition) this.narrow(condition(line.name));
      },
      onmouseenter: () => this.highlight(place), onmouseleave: () => this.highlight(null),
    }, make("span", { class: "swatch", color: colorOf(line) }), this.name(line), make("span", { class: "value" }, scaled(means[place], shown.unit))))));
  },

  highlight(place) {
    this.chart.dim = place;
    for (const [index, area] of [...$("chart").querySelectorAll(".area")].entries()) area.classList.toggle("dim", place !== null && index !== place);
  },

  sums() {
    const { series } = this;
    const sum = (of) => series.lines.reduce((all, line) => all + line[of].reduce((one, value) => one + value, 0), 0);
    const bits = Array.from({ length: series.bins }, (_, bin) => series.lines.reduce((all, line) => all + line.bytes[bin], 0) * 8 / series.bin);
    const bytes = sum("bytes");
    const length = Math.max(1, this.state.to - this.state.from);
    const values = [
      ["Flows begun", scaled(sum("flows"))], ["Packets", scaled(sum("packets"))], ["Bytes", scaled(bytes, "B")],
      ["Average", scaled((bytes * 8) / length, "bit/s")], ["Peak", scaled(Math.max(0, ...bits), "bit/s")], ["Window", duration(length)],
    ];
    $("sums").replaceChildren(...values.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value))));
  },

  async showTable(turn) {
    const { tab } = this.state;
    try {
      const { content, incomplete } = await panels[tab](this.state);
      if (turn !== this.turn || tab !== this.state.tab) return;
      const isFocused = document.activeElement && $("panel").contains(document.activeElement) ? document.activeElement.textContent : null;
      $("panel").replaceChildren(...content);
      // Whoever sorts by keyboard goes on where they were.
      if (isFocused) [...$("panel").querySelectorAll("th button")].find((button) => button.textContent === isFocused)?.focus();
      this.complain(incomplete);
    } catch (error) {
      if (turn === this.turn) this.fail(error);
    }
  },
};

page.start();
