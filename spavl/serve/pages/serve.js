(() => {
  "use strict";
  const byId = (id) => document.getElementById(id);
  const items = () => [...document.querySelectorAll("#list > .go")].filter((one) => !one.hidden);
  let now = -1; // the item that Enter goes to

  function mark(to) {
    const all = items();
    if (!all.length) return;
    now = Math.max(0, Math.min(to, all.length - 1));
    document.querySelectorAll(".go.now").forEach((one) => one.classList.remove("now"));
    all[now].classList.add("now");
    all[now].scrollIntoView({ block: "nearest" });
    all[now].querySelector(".main-link")?.focus({ preventScroll: true });
  }

  const follow = (rel) => {
    const link = document.querySelector(`a[rel=${rel}]`);
    if (link) link.click();
    return Boolean(link);
  };

  function up() {
    if (follow("up")) return;
    const here = location.pathname.split("/");
    location.assign(here.length > 3 ? here.slice(0, 3).join("/") : "/");
  }

  const keys = {
    j: () => (items().length ? mark(now + 1) : follow("next")),
    k: () => (items().length ? mark(now - 1) : follow("prev")),
    n: () => follow("next"),
    p: () => follow("prev"),
    u: up,
    o: () => byId("open")?.click(),
    "/": () => byId("find")?.focus(),
    "?": () => byId("keys")?.showModal(),
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const at = event.target;
    if (event.key === "Escape" && at.matches("input[type=search]")) { at.blur(); return; }
    if (at.matches("input:not([type=checkbox]), select, textarea") || document.querySelector("dialog[open]")) return;
    const act = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });

  document.addEventListener("click", (event) => {
    const opens = event.target.closest("[data-opens]");
    if (opens) byId(opens.dataset.opens)?.showModal();
  });

  // A choice of the filter is shown at once; empty fields stay out of the address.
  const form = byId("filter");
  form?.addEventListener("change", (event) => { if (event.target.matches("select")) form.requestSubmit(); });
  form?.addEventListener("submit", () => {
    for (const field of form.elements) if (field.name && !field.value) field.disabled = true;
  });
  addEventListener("pageshow", () => { for (const field of form?.elements ?? []) field.disabled = false; });
  document.querySelector(".picker")?.addEventListener("change", (event) => event.target.form.requestSubmit());
  const filters = document.querySelector(".filters");
  if (filters && matchMedia("(max-width: 900px)").matches) filters.open = false;

  // Runs are found by the letters that are typed.
  const find = byId("find");
  if (find && !form) {
    find.addEventListener("input", () => {
      const wanted = find.value.trim().toLowerCase();
      document.querySelectorAll("[data-words]").forEach((one) => { one.hidden = !one.dataset.words.includes(wanted); });
      byId("none").hidden = items().length > 0;
      now = -1;
    });
  }
})();
