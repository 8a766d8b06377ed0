// The page of statistics: names of countries and languages, the time zone of the visitor, a chart
// above the table, and totals that stay up to date. The page also works without this script.

const liveInterval = 10_000; // milliseconds
const timeout = 8_000; // milliseconds of one request

const $ = (id) => document.getElementById(id);

/* Names of codes. A code without a name stays. */

function nameCodes(dimension, type, form) {
  const cells = document.querySelectorAll(`[data-dimension="${dimension}"] tbody bdi`);
  if (cells.length === 0) return;
  const names = new Intl.DisplayNames(["en"], { type, fallback: "none" });
  for (const cell of cells) {
    if (!form.test(cell.textContent)) continue;
    try {
      cell.textContent = names.of(cell.textContent) ?? cell.textContent;
    } catch {
      // The code is not valid.
    }
  }
}

/* Time zones */

function offerZones() {
  const own = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const zones = Intl.supportedValuesOf?.("timeZone") ?? [];
  $("zones").append(...["UTC", ...zones].map((name) => new Option("", name)));
  const shown = $("tz").value || "UTC";
  if (!own || own === shown) return;
  const link = document.createElement("a");
  const query = new URLSearchParams(location.search);
  query.set("tz", own);
  link.href = `?${query}`;
  link.textContent = `Use ${own}`;
  $("tz-hint").replaceChildren(link);
}

/* The chart. Its numbers are those of the table. */

function readSeries() {
  const rows = [...$("series").tBodies[0].rows];
  const names = [...$("series").tHead.rows[0].cells].slice(1).map((cell) => cell.textContent);
  return {
    names,
    labels: rows.map((row) => row.cells[0].textContent),
    times: rows.map((row) => Number(row.querySelector("time").dataset.at)),
    counts: names.map((_, i) => rows.map((row) => Number(row.cells[i + 1].textContent.replaceAll(",", "")))),
  };
}

// axisFormat returns the format of the labels of the axis of times. step is in seconds.
function axisFormat(step, timeZone) {
  if (step < 86_400) return { timeZone, hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
  return step < 27 * 86_400 ? { timeZone, day: "numeric", month: "short" } : { timeZone, month: "short", year: "numeric" };
}

function color(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function drawChart() {
  const box = $("chart");
  const { names, labels, times, counts } = readSeries();
  if (typeof uPlot === "undefined" || times.length < 2) return;
  const { zone, end } = box.dataset;
  const output = document.createElement("output");
  const plot = document.createElement("div");
  output.setAttribute("aria-live", "off");
  output.textContent = "\u00a0";
  const describe = (i) => `${labels[i]}: ${names.map((name, s) => `${counts[s][i].toLocaleString("en")} ${name.toLowerCase()}`).join(", ")}`;
  const lines = { People: ["--accent", 2, []], Robots: ["--soft", 1.5, [6, 4]] };
  const axis = { font: "13px " + getComputedStyle(document.body).fontFamily, stroke: () => color("--soft"), grid: { stroke: () => color("--line"), width: 1 }, ticks: { show: false } };
  let chart = null;
  const options = (width) => ({
    width,
    height: 260,
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), zone),
    legend: { show: false },
    cursor: { drag: { x: false, y: false }, y: false },
    scales: { y: { range: (_, low, high) => [0, Math.max(4, high * 1.05)] } },
    axes: [
      { ...axis, space: 80, values: (_, splits, __, ___, step) => {
        const format = new Intl.DateTimeFormat("en-GB", axisFormat(step, zone));
        return splits.map((at) => format.format(at * 1000));
      } },
      { ...axis, size: 64, incrs: [1, 2, 5].flatMap((n) => Array.from({ length: 15 }, (_, zeros) => n * 10 ** zeros)).sort((a, b) => a - b),
        values: (_, splits) => splits.map((n) => n.toLocaleString("en")) },
    ],
    series: [{}, ...names.map((name) => {
      const [stroke, width, dash] = lines[name];
      return { stroke: () => color(stroke), width, dash, paths: uPlot.paths.stepped({ align: 1 }), points: { show: false }, fill: name === "People" ? () => color("--accent") + "1f" : undefined };
    })],
    hooks: { setCursor: [({ cursor: { idx } }) => {
      output.textContent = idx == null ? "\u00a0" : describe(Math.min(idx, labels.length - 1));
    }] },
  });
  // The last step ends at the end of the range.
  const data = [[...times, Number(end)], ...counts.map((series) => [...series, series.at(-1)])];
  box.hidden = false;
  box.append(output, plot);
  enableKeys(plot, labels.length, describe, (i) => chart.setCursor({ left: chart.valToPos(times[i], "x"), top: 0 }));
  chart = new uPlot(options(box.clientWidth), data, plot);
  new ResizeObserver(() => {
    if (box.clientWidth !== chart.width) chart.setSize({ width: box.clientWidth, height: 260 });
  }).observe(box);
  const redraw = () => chart.redraw(false, true);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  for (const event of ["beforeprint", "afterprint"]) addEventListener(event, redraw);
}

// enableKeys makes the chart a slider over its points: screen readers read the point at the cursor.
function enableKeys(plot, length, describe, move) {
  let at = length - 1;
  const show = () => {
    plot.ariaValueNow = String(at);
    plot.ariaValueText = describe(at);
  };
  plot.tabIndex = 0;
  plot.setAttribute("role", "slider");
  plot.ariaLabel = "Chart of the table below";
  plot.ariaValueMin = "0";
  plot.ariaValueMax = String(length - 1);
  show();
  const steps = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -10, PageUp: 10, Home: -length, End: length };
  plot.addEventListener("keydown", (event) => {
    const step = steps[event.key];
    if (step === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    at = Math.min(Math.max(at + step, 0), length - 1);
    show();
    move(at);
  });
  plot.addEventListener("focus", () => {
    if (plot.matches(":focus-visible")) move(at);
  });
}

/* The totals, while the page is visible */

function keepLive() {
  const totals = $("totals");
  const { url } = totals.dataset;
  if (!url) return;
  const cells = totals.querySelectorAll("[data-total]");
  let due = Date.now() + liveInterval;
  let running = false;
  const refresh = async () => {
    if (running || document.hidden || Date.now() < due) return;
    running = true;
    due = Date.now() + liveInterval;
    try {
      const response = await fetch(url, { headers: { Accept: "application/json" }, signal: AbortSignal.timeout(timeout) });
      if (response.ok) show(await response.json());
      else if (response.status >= 400 && response.status < 500 && response.status !== 429) stop();
      else due += 1000 * (Number.parseInt(response.headers.get("Retry-After") ?? "", 10) || 0);
    } catch {
      // The server is unreachable. The next attempt follows.
    } finally {
      running = false;
    }
  };
  const show = (now) => {
    for (const cell of cells) {
      const text = now[cell.dataset.total].toLocaleString("en");
      if (cell.textContent !== text) cell.textContent = text;
    }
    $("live-text").textContent = `Totals of ${new Date().toLocaleTimeString("en-GB")}`;
    $("live").hidden = false;
  };
  const stop = () => {
    clearInterval(timer);
    $("live").hidden = true;
  };
  const timer = setInterval(refresh, 1000);
  document.addEventListener("visibilitychange", refresh);
  $("live-announce").addEventListener("change", (event) => {
    totals.ariaLive = event.target.checked ? "polite" : "off";
  });
}

offerZones();
if ($("totals")) {
  nameCodes("country", "region", /^[A-Z]{2}$/);
  nameCodes("language", "language", /^[a-z]{2,3}$/);
  drawChart();
  keepLive();
}
