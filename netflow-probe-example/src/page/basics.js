// What the rest builds upon: elements, numbers and times as people read them, questions to the server.

const $ = (id) => document.getElementById(id);

/** An element with properties and children; texts become text, never markup. */
function make(name, properties = {}, ...children) {
  const element = document.createElement(name);
  fill(element, properties, children);
  return element;
}

/** The same for graphics. */
function draw(name, properties = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  fill(element, properties, children);
  return element;
}

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "color") element.style.setProperty(element instanceof SVGElement ? "fill" : "background", value);
    else if (name === "width%") element.style.width = `${value}%`;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
}

/** 1234567 as "1.23 M". */
function scaled(number, unit = "") {
  const units = ["", "k", "M", "G", "T", "P", "E"];
  let place = 0;
  let value = Number(number) || 0;
  while (Math.abs(value) >= 999.5 && place < units.length - 1) { value /= 1000; place += 1; }
  const digits = place === 0 && Number.isInteger(value) ? 0 : value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  const rest = units[place] + unit;
  return value.toFixed(digits) + (rest ? " " + rest : "");
}

/** What a person writes as "10M" or "1.5 k". */
function unscaled(text) {
  const match = /^\s*([0-9]+(?:\.[0-9]+)?)\s*([kmgt]?)\s*$/i.exec(text);
  if (!match) return null;
  return Math.round(Number(match[1]) * { "": 1, k: 1e3, m: 1e6, g: 1e9, t: 1e12 }[match[2].toLowerCase()]);
}

function percent(part, whole) {
  if (!whole) return "";
  const share = (part / whole) * 100;
  return `${share >= 9.95 ? share.toFixed(0) : share.toFixed(1)} %`;
}

const two = (number) => String(number).padStart(2, "0");

/** Seconds as "2026-03-01 12:00:00" in UTC. */
function time(seconds) {
  const date = new Date(seconds * 1000);
  if (Number.isNaN(date.getTime())) return String(seconds);
  return `${date.toISOString().slice(0, 10)} ${two(date.getUTCHours())}:${two(date.getUTCMinutes())}:${two(date.getUTCSeconds())}`;
}

/** The other way; null when it is no time. */
function untime(text) {
  const match = /^\s*(\d{4})-(\d{1,2})-(\d{1,2})(?:[ T](\d{1,2}):(\d{2})(?::(\d{2}))?)?Z?\s*$/.exec(text);
  if (!match) return null;
  const [, year, month, day, hour = 0, minute = 0, second = 0] = match.map((part) => part && Number(part));
  const millis = Date.UTC(year, month - 1, day, hour || 0, minute || 0, second || 0);
  return Number.isNaN(millis) || millis < 0 ? null : millis / 1000;
}

function duration(seconds) {
  const units = [["d", 86400], ["h", 3600], ["m", 60], ["s", 1]];
  const parts = [];
  let left = Math.round(seconds);
  for (const [unit, length] of units) {
    const count = Math.floor(left / length);
    if (count && parts.length < 2) parts.push(`${count} ${unit}`);
    left -= count * length;
  }
  return parts.join(" ") || (seconds > 0 ? `${seconds.toFixed(3)} s` : "0 s");
}

/** Nanoseconds, as numbers beyond what a browser counts exactly: good enough for milliseconds. */
const ofNanos = (nanos) => Number(nanos) / 1e9;

// The token came behind #, is kept for this tab, and leaves the address bar.
{
  const match = /(?:^#|&)token=([^&]*)/.exec(location.hash);
  if (match) {
    sessionStorage.setItem("token", decodeURIComponent(match[1]));
    history.replaceState(null, "", location.pathname + location.hash.replace(/token=[^&]*&?/, "").replace(/[#&]$/, ""));
  }
}

class Refused extends Error {
  constructor(status, error) {
    super(error.message);
    this.status = status;
    this.line = error.line;
    this.column = error.column;
  }
}

let asking = 0;

/** Asks the server; parameters without a value are left out. */
async function ask(path, parameters = {}, options = {}) {
  const given = Object.entries(parameters).filter(([, value]) => value !== undefined && value !== null && value !== "");
  const query = new URLSearchParams(given).toString();
  const headers = { ...(options.headers || {}) };
  const token = sessionStorage.getItem("token");
  if (token) headers.Authorization = `Bearer ${token}`;
  asking += 1;
  $("busy").textContent = "looking…";
  try {
    const response = await fetch(path + (query ? `?${query}` : ""), { ...options, headers });
    const answer = await response.json();
    if (response.status === 401) {
      await tokenFromUser();
      return ask(path, parameters, options);
    }
    if (!response.ok) throw new Refused(response.status, answer.error || { message: response.statusText });
    return answer;
  } finally {
    asking -= 1;
    if (!asking) $("busy").textContent = "";
  }
}

let tokenAsked = null;
function tokenFromUser() {
  tokenAsked ||= new Promise((resolve) => {
    const dialog = $("token-dialog");
    dialog.addEventListener("close", () => {
      sessionStorage.setItem("token", $("token").value.trim());
      tokenAsked = null;
      resolve();
    }, { once: true });
    dialog.showModal();
  });
  return tokenAsked;
}
