// Moments as people read them: how long ago, or in their own time zone. HTML has each in UTC.
//   <time datetime="..." data-when="ago|exact|span">
// A tap shows the other form. A button with data-zone goes between the own zone and UTC. Times that
// are typed into a form are read in the zone of its hidden field with data-reads-in.
"use strict";

(() => {
  const ZONE = "kernel-utc";
  const language = document.documentElement.lang || "en";
  const all = (selector) => [...document.querySelectorAll(selector)];
  let utc = false;
  try { utc = localStorage.getItem(ZONE) === "yes"; } catch { /* no storage: the own zone */ }

  // What the server's clock is ahead of this one.
  const told = document.querySelector("time[data-now]");
  const ahead = told ? Date.parse(told.dateTime) - Date.now() : 0;

  // ---- Forms of a moment -----------------------------------------------------------------------

  const relative = new Intl.RelativeTimeFormat(language, { style: "short" });
  // Below these seconds a distance is said in this unit of these seconds.
  const UNITS = [[90, "second", 1], [5400, "minute", 60], [129600, "hour", 3600], [Infinity, "day", 86400]];

  const measured = (at) => {
    const seconds = (at - Date.now() - ahead) / 1000;
    const [, unit, size] = UNITS.find(([below]) => Math.abs(seconds) < below);
    return [Math.round(seconds / size), unit];
  };

  const ago = (at) => relative.format(...measured(at));

  // How long it is that something has begun.
  const span = (at) => {
    const [number, unit] = measured(at);
    return new Intl.NumberFormat(language, { style: "unit", unit, unitDisplay: "short" }).format(Math.max(0, -number));
  };

  const zoned = (at) => {
    const zone = utc ? "UTC" : undefined;
    // Swedish writes dates as ISO 8601 does.
    const written = new Intl.DateTimeFormat("sv-SE", { dateStyle: "short", timeStyle: "medium", timeZone: zone });
    const named = new Intl.DateTimeFormat("en", { timeZoneName: "short", timeZone: zone });
    const name = named.formatToParts(at).find((part) => part.type === "timeZoneName").value;
    return `${written.format(at)} ${name}`;
  };

  const show = () => {
    for (const time of all("time[data-when]")) {
      const at = Date.parse(time.dateTime);
      if (Number.isNaN(at)) continue;
      const forms = [[time.dataset.when, time.dataset.other].includes("span") ? span(at) : ago(at), zoned(at)];
      if (time.dataset.when === "exact") forms.reverse();
      if (time.textContent !== forms[0]) time.textContent = forms[0];
      if (time.title !== forms[1]) time.title = forms[1];
    }
  };

  // ---- The zone --------------------------------------------------------------------------------

  // The own zone, by its name; UTC where the browser does not tell.
  const own = () => {
    const name = Intl.DateTimeFormat().resolvedOptions().timeZone;
    return !name || name === "Etc/Unknown" ? "UTC" : name;
  };

  // An address that somebody sent names the zone of its times: it stays until the button is pressed.
  const readIn = (chosen) => {
    for (const field of all("input[data-reads-in]")) {
      if (chosen || !field.value) field.value = utc ? "UTC" : own();
      for (const told of all("[data-read-zone]")) told.textContent = field.value;
    }
  };

  const showZone = () => {
    for (const button of all("[data-zone]")) {
      button.hidden = false;
      button.setAttribute("aria-pressed", String(utc));
    }
    show();
    document.dispatchEvent(new CustomEvent("zone", { detail: { utc } }));
  };

  document.addEventListener("click", (event) => {
    const time = event.target.closest("time[data-when]");
    if (time && !event.target.closest("a, button, summary")) {
      const when = time.dataset.when;
      time.dataset.when = when === "exact" ? time.dataset.other || "ago" : "exact";
      time.dataset.other = when;
      show();
    }
    if (event.target.closest("[data-zone]")) {
      utc = !utc;
      try { localStorage.setItem(ZONE, utc ? "yes" : "no"); } catch { /* for this page only */ }
      showZone();
      readIn(true);
    }
  });

  document.addEventListener("htmx:after:swap", show);
  setInterval(show, 1000);
  showZone();
  readIn(false);
})();
