// Draws the charts of the overview from its table of figures, and again whenever that changes.
"use strict";

(() => {
  const one = (selector, root = document) => root.querySelector(selector);
  const HEIGHT = 180;
  // By chart: the columns of the table, and the colours' names in kernel.css.
  const CHARTS = {
    orders: { columns: [1, 2], colours: ["--run", "--good"], unit: "count" },
    took: { columns: [3, 4], colours: ["--run", "--warn"], unit: "seconds" },
    success: { columns: [6], colours: ["--good"], unit: "percent" },
  };
  const drawn = new Map();

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

  const clock = (seconds) => new Date(seconds * 1000).toISOString().slice(11, 16);

  const say = {
    count: (value) => String(Math.round(value * 10) / 10),
    seconds: (value) => (value < 1 ? `${Math.round(value * 1000)} ms` : `${Math.round(value * 10) / 10} s`),
    percent: (value) => `${Math.round(value * 10) / 10} %`,
  };

  const options = (chart, found, width) => {
    const text = colour("--pico-muted-color");
    const grid = { stroke: colour("--pico-muted-border-color"), width: 1 };
    const said = say[chart.unit];
    const range = (_, low, high) => (chart.unit === "percent" ? [0, 100] : [0, high > 0 ? high * 1.1 : 1]);
    return {
      width,
      height: HEIGHT,
      scales: { x: { time: true }, y: { range } },
      cursor: { y: false, points: { size: 6 } },
      legend: { live: true },
      axes: [
        { stroke: text, grid, ticks: grid, values: (_, at) => at.map(clock), space: 60 },
        { stroke: text, grid, ticks: grid, values: (_, at) => at.map(said), size: 62 },
      ],
      series: [
        { label: found.heads[0], value: (_, at) => (at === null ? "–" : clock(at)) },
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
      const chart = CHARTS[place.dataset.chart];
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

  document.addEventListener("htmx:after:swap", () => show());
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => show(true));
  addEventListener("resize", fit);
  show();
})();
