// Draws charts from a page's table of figures, and again whenever that changes; with marks for what
// happened meanwhile.
"use strict";

(() => {
  const one = (selector, root = document) => root.querySelector(selector);
  const HEIGHT = 180;
  // By chart: the columns of the table, and the colours' names in kernel.css. A chart may say its own.
  const CHARTS = {
    orders: { columns: [1, 2], colours: ["--run", "--good"], unit: "count" },
    took: { columns: [3, 4], colours: ["--run", "--warn"], unit: "seconds" },
    success: { columns: [6], colours: ["--good"], unit: "percent" },
  };
  const drawn = new Map();
  // By what a mark says: the colour of its line.
  const MARKS = { start: "--run", breaker: "--bad", pause: "--warn", resume: "--good" };

  const chartOf = ({ dataset }) => (dataset.columns ? {
    columns: dataset.columns.split(",").map(Number),
    colours: dataset.colours.split(","),
    unit: dataset.unit,
  } : CHARTS[dataset.chart]);

  const figures = () => {
    const table = one("[data-figures]");
    if (!table) return null;
    const heads = [...table.tHead.rows[0].cells].map((cell) => cell.textContent);
    const rows = [...table.tBodies[0].rows].reverse();
    const column = (number) => rows.map((row) => {
      const value = row.cells[number].dataset.v;
      return value === undefined ? null : Number(value);
    });
    return { heads, column, span: table.dataset.figures };
  };

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  // As times.js has it: the reader's own zone, or UTC.
  let utc = false;
  try { utc = localStorage.getItem("kernel-utc") === "yes"; } catch { /* no storage: the own zone */ }
  // Hour and minute; over a week the day as well. Swedish writes dates as ISO 8601 does.
  const clock = (seconds, span) => {
    const day = span === "week" ? { month: "2-digit", day: "2-digit" } : {};
    const how = { ...day, hour: "2-digit", minute: "2-digit", timeZone: utc ? "UTC" : undefined };
    return new Intl.DateTimeFormat("sv-SE", how).format(new Date(seconds * 1000));
  };

  const say = {
    count: (value) => String(Math.round(value * 10) / 10),
    seconds: (value) => (value < 1 ? `${Math.round(value * 1000)} ms` : `${Math.round(value * 10) / 10} s`),
    percent: (value) => `${Math.round(value * 10) / 10} %`,
  };

  // What a point covers, in seconds: the last one goes on until now.
  const step = (found) => {
    const [first, second] = found.column(0);
    return second === undefined ? 60 : second - first;
  };

  // A line where something happened, and a band while it went on.
  const drawMarks = (plot) => {
    const { left, top, width, height } = plot.bbox;
    const { min, max } = plot.scales.x;
    for (const mark of document.querySelectorAll("[data-marks] [data-at]")) {
      const began = Number(mark.dataset.at);
      const breaks = mark.dataset.kind === "breaker";
      const ended = mark.dataset.until ? Number(mark.dataset.until) : (breaks ? max : began);
      if (ended < min || began > max) continue;
      const from = plot.valToPos(Math.max(began, min), "x", true);
      const to = plot.valToPos(Math.min(ended, max), "x", true);
      plot.ctx.save();
      plot.ctx.fillStyle = colour(MARKS[mark.dataset.kind] ?? "--warn");
      if (to > from) {
        plot.ctx.globalAlpha = 0.12;
        plot.ctx.fillRect(from, top, Math.min(to, left + width) - from, height);
      }
      plot.ctx.globalAlpha = 0.8;
      if (began >= min) plot.ctx.fillRect(from, top, Math.max(1, devicePixelRatio), height);
      plot.ctx.restore();
    }
  };

  const options = (chart, found, width) => {
    const text = colour("--pico-muted-color");
    const grid = { stroke: colour("--pico-muted-border-color"), width: 1 };
    const said = say[chart.unit];
    const range = (_, low, high) => (chart.unit === "percent" ? [0, 100] : [0, high > 0 ? high * 1.1 : 1]);
    return {
      width,
      height: HEIGHT,
      scales: { x: { time: true, range: (_, low, high) => [low, high + step(found)] }, y: { range } },
      cursor: { y: false, points: { size: 6 } },
      legend: { live: true },
      hooks: { draw: [drawMarks] },
      axes: [
        { stroke: text, grid, ticks: grid, values: (_, at) => at.map((one) => clock(one, found.span)), space: found.span === "week" ? 90 : 60 },
        { stroke: text, grid, ticks: grid, values: (_, at) => at.map(said), size: 62 },
      ],
      series: [
        { label: zone(), value: (_, at) => (at === null ? "–" : clock(at, found.span)) },
        ...chart.columns.map((column, number) => ({
          label: found.heads[column],
          stroke: colour(chart.colours[number]),
          // Told apart without colours, too.
          dash: number ? [6, 4] : undefined,
          width: 2,
          value: (_, value) => (value === null ? "–" : said(value)),
        })),
      ],
    };
  };

  const data = (chart, found) => [found.column(0), ...chart.columns.map(found.column)];

  const draw = (place, chart, found) => {
    drawn.get(place)?.destroy();
    place.replaceChildren();
    const width = Math.max(200, place.clientWidth);
    drawn.set(place, new uPlot(options(chart, found, width), data(chart, found), place));
    place.dataset.span = found.span;
  };

  const show = (anew = false) => {
    const found = figures();
    if (!found) return;
    for (const place of document.querySelectorAll("[data-chart]")) {
      const chart = chartOf(place);
      if (anew || !drawn.has(place) || place.dataset.span !== found.span) draw(place, chart, found);
      else drawn.get(place).setData(data(chart, found));
    }
  };

  const fit = () => {
    for (const [place, plot] of drawn) {
      const width = Math.max(200, place.clientWidth);
      if (plot.width !== width) plot.setSize({ width, height: HEIGHT });
    }
  };

  // The table keeps UTC, which its heading says; what is drawn goes by the reader's choice.
  const zone = () => {
    const { textContent, dataset } = one("[data-figures]").tHead.rows[0].cells[0];
    return utc ? textContent : dataset.zoned;
  };

  document.addEventListener("zone", (event) => {
    utc = event.detail.utc;
    show(true);
  });
  document.addEventListener("htmx:after:swap", () => show());
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => show(true));
  addEventListener("resize", fit);
  show();
})();
