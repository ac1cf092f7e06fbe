// What pages do beyond HTML: live parts, keys, copying. Every page can be read without it.
"use strict";

(() => {
  const PERIOD = 2000;
  const PAUSED = "kernel-paused";
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const one = (selector) => document.querySelector(selector);

  // ---- Live ------------------------------------------------------------------------------------
  // Every two seconds the body hears "poll", while the page is visible. What is live listens to it:
  // htmx by hx-trigger="poll from:body", charts by addEventListener.

  let paused = false;
  let answered = new Date();
  try { paused = sessionStorage.getItem(PAUSED) === "yes"; } catch { /* no storage: never paused */ }

  const showPaused = () => {
    for (const button of all("[data-pause]")) {
      button.hidden = !one("[data-live]");
      button.setAttribute("aria-pressed", String(paused));
      button.textContent = paused ? button.dataset.resumeText : button.dataset.pauseText;
    }
  };

  const poll = () => {
    if (!paused && !document.hidden) document.body.dispatchEvent(new CustomEvent("poll"));
  };

  const togglePause = () => {
    paused = !paused;
    try { sessionStorage.setItem(PAUSED, paused ? "yes" : "no"); } catch { /* for this page only */ }
    showPaused();
    poll();
  };

  const showStale = (stale) => {
    const told = one("[data-stale]");
    if (!told) return;
    if (stale && told.hidden) {
      told.textContent = told.dataset.staleText.replace("%", `${answered.toISOString().slice(11, 19)} UTC`);
    }
    told.hidden = !stale;
  };

  // The server answers 304 to what has not changed since: nothing is sent, and nothing swapped.
  const tags = new WeakMap();
  document.addEventListener("htmx:config:request", ({ target, detail }) => {
    const tag = tags.get(target);
    if (tag && target.matches("[data-live]")) detail.ctx.request.headers["If-None-Match"] = tag;
  });
  document.addEventListener("htmx:after:request", ({ target, detail }) => {
    const response = detail.ctx.response?.raw;
    if (!response || !(response.ok || response.status === 304)) return;
    if (response.ok) tags.set(target, response.headers.get("ETag"));
    answered = new Date();
    showStale(false);
  });
  document.addEventListener("htmx:error", () => showStale(true));
  document.addEventListener("htmx:response:error", () => showStale(true));

  // The tab's title begins with the number of things that are wrong.
  document.addEventListener("htmx:after:swap", () => {
    const count = Number(one("[data-trouble]")?.dataset.trouble || 0);
    const title = document.title.replace(/^\(\d+\) /, "");
    document.title = count ? `(${count}) ${title}` : title;
  });
  document.addEventListener("visibilitychange", poll);

  // ---- Keys ------------------------------------------------------------------------------------

  const step = (by) => {
    const links = all("[data-row]").map((row) => row.querySelector("a[href]")).filter(Boolean);
    if (links.length === 0) return;
    const row = document.activeElement?.closest("[data-row]");
    const at = row ? links.findIndex((link) => row.contains(link)) : -1;
    const next = at < 0 ? (by > 0 ? 0 : links.length - 1) : at + by;
    links[Math.max(0, Math.min(links.length - 1, next))].focus();
  };

  const help = () => one("[data-help-dialog]")?.showModal();

  const KEYS = {
    "/": () => one("[data-search]")?.focus(),
    j: () => step(1),
    k: () => step(-1),
    p: () => one("[data-live]") && togglePause(),
    "?": help,
  };

  document.addEventListener("keydown", (event) => {
    const busy = event.target.closest("input, textarea, select, dialog[open], [contenteditable]");
    if (event.key === "Escape" && event.target.matches("[data-search]")) event.target.blur();
    if (busy || event.ctrlKey || event.altKey || event.metaKey || !KEYS[event.key]) return;
    event.preventDefault();
    KEYS[event.key]();
  });

  // ---- Buttons ---------------------------------------------------------------------------------

  const copy = async (button) => {
    const source = one(button.dataset.copy);
    const before = button.textContent;
    try {
      await navigator.clipboard.writeText(source.textContent);
      button.textContent = button.dataset.copied;
      setTimeout(() => { button.textContent = before; }, 2000);
    } catch {  // not allowed here: mark it, so that one key copies it
      getSelection().selectAllChildren(source);
    }
  };

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-pause], [data-help], [data-copy]");
    if (!button) return;
    if (button.matches("[data-pause]")) togglePause();
    if (button.matches("[data-help]")) help();
    if (button.matches("[data-copy]")) copy(button);
  });

  // An address that leads to a part of a page opens what is folded in it.
  const unfold = () => {
    const target = location.hash.length > 1 ? document.getElementById(location.hash.slice(1)) : null;
    for (const one of target ? all("details:not(.sure)", target) : []) one.open = true;
  };
  addEventListener("hashchange", unfold);
  unfold();

  // A filter that was chosen applies at once.
  document.addEventListener("change", (event) => {
    if (event.target.matches("select[data-apply]")) event.target.form.requestSubmit();
  });

  const showButtons = () => {
    for (const button of all("[data-help], [data-copy]")) button.hidden = false;
  };
  document.addEventListener("htmx:after:swap", showButtons);
  showButtons();
  showPaused();
  setInterval(poll, PERIOD);
})();
