// Keeps the page of one order up to date: asks for the page itself again and takes over what has
// changed. Asks only while the page is visible, and not after the order has ended.
"use strict";
(() => {
  const EVERY = 2000, LONGEST = 30000;
  const live = document.getElementById("live");
  const offline = document.getElementById("offline");
  let wait = EVERY, timer = null;

  const isOver = () => live.dataset.final === "true";

  // Times are the reader's own; without a script they are in UTC.
  function localise(within) {
    const told = new Intl.DateTimeFormat(document.documentElement.lang, {
      dateStyle: "medium", timeStyle: "short",
    });
    for (const time of within.querySelectorAll("time")) {
      time.textContent = told.format(new Date(time.dateTime));
    }
  }

  // A part that is the same stays in place: a screen reader does not read it again.
  function take(page) {
    localise(page);
    for (const part of live.children) {
      const fresh = page.getElementById(part.id);
      if (fresh.className !== part.className) part.className = fresh.className;
      if (fresh.innerHTML === part.innerHTML) continue;
      const bar = part.querySelector("progress"), next = fresh.querySelector("progress");
      if (bar && next && bar.hasAttribute("value") && next.hasAttribute("value")) {
        bar.value = next.value; // moves there, instead of being drawn anew
        next.replaceWith(bar);
      }
      part.replaceChildren(...fresh.childNodes);
    }
    document.title = page.title;
    live.dataset.final = page.getElementById("live").dataset.final;
  }

  async function ask() {
    timer = null;
    try {
      const answer = await fetch(location.href, { cache: "no-store" });
      if (answer.status === 404) return location.reload();
      if (!answer.ok) throw new Error(answer.status);
      take(new DOMParser().parseFromString(await answer.text(), "text/html"));
      wait = EVERY;
      offline.hidden = true;
    } catch {
      wait = Math.min(2 * wait, LONGEST);
      offline.hidden = false;
    }
    plan();
  }

  function plan() {
    if (timer !== null || isOver() || document.hidden) return;
    timer = setTimeout(ask, wait);
  }

  document.addEventListener("visibilitychange", () => {
    if (timer !== null) clearTimeout(timer);
    timer = null;
    if (document.hidden || isOver()) return;
    wait = EVERY;
    ask();
  });
  localise(document);
  plan();
})();
