// Shows the API's document once somebody has given a key for it, or is signed in. The key is kept
// in this page's memory alone.
"use strict";
(() => {
  const docs = document.getElementById("docs"), form = document.getElementById("key-form");
  const field = document.getElementById("key"), said = document.getElementById("said");

  const dark = matchMedia("(prefers-color-scheme: dark)");
  const paint = () => {
    const theme = document.documentElement.dataset.theme;
    document.documentElement.classList.toggle("dark-mode", theme ? theme === "dark" : dark.matches);
  };
  dark.addEventListener("change", paint);
  paint();

  async function show(key) {
    said.textContent = "";
    const headers = key ? { Authorization: `Bearer ${key}` } : {};
    try {
      const answer = await fetch(docs.dataset.document, { headers, cache: "no-store" });
      if (!answer.ok) {
        const refused = answer.status === 401 || answer.status === 403;
        said.textContent = refused ? said.dataset.wrong : said.dataset.failed;
        return;
      }
      draw(await answer.json(), key);
    } catch {
      said.textContent = said.dataset.failed;
    }
  }

  function draw(spec, key) {
    const ui = SwaggerUIBundle({
      spec,
      domNode: docs,
      validatorUrl: null,
      defaultModelsExpandDepth: 0,
      persistAuthorization: false,
      onComplete: () => { if (key) ui.preauthorizeApiKey("bearer", key); },
    });
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    show(field.value.trim());
  });
  if ("open" in docs.dataset) show("");
})();
