// Keys, the time an item takes, and what is filled in but not sent yet. Without it the page works by mouse and Tab.
(() => {
  "use strict";
  const byId = (id) => document.getElementById(id);
  const form = () => byId("label");
  let now = 0; // number of the question that digits answer
  let began = performance.now();
  let away = 0;
  let left = null;
  let sending = false; // whether an answer of the server is awaited

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) left = performance.now();
    else if (left !== null) { away += performance.now() - left; left = null; }
  });

  // Questions that can be seen, in the order of the page.
  const questions = () => [...document.querySelectorAll("[data-question]")].filter((one) => one.offsetParent !== null);
  const isChoice = (question) => !question.querySelector("select"); // a list is entered by C or Tab alone: letters choose in it
  const inputs = (question) => [...question.querySelectorAll("input[type=radio]")];
  const answered = (question) => {
    const select = question.querySelector("select");
    return select ? select.value !== "" : inputs(question).some((one) => one.checked);
  };

  function mark(number, { scroll = true } = {}) {
    const all = questions();
    now = Math.max(0, Math.min(number, all.length - 1));
    all.forEach((one, n) => one.classList.toggle("now", n === now));
    const question = all[now];
    if (!question) return;
    if (scroll) question.scrollIntoView({ block: "nearest" });
  }

  function choose(question, number) {
    const found = inputs(question)[number];
    if (!found) return false;
    found.checked = true;
    found.dispatchEvent(new Event("change", { bubbles: true }));
    return true;
  }

  function following(question) {
    const all = questions();
    const from = all.indexOf(question);
    const next = all.findIndex((one, n) => n > from && isChoice(one) && !answered(one));
    const missing = all.findIndex((one) => !answered(one) && !("optional" in one.dataset));
    mark(next >= 0 ? next : missing >= 0 ? missing : from);
  }

  function step(by) {
    const all = questions();
    let to = now + by;
    while (all[to] && !isChoice(all[to])) to += by;
    if (all[to]) mark(to);
    return true;
  }

  function kind() {
    const lists = [...document.querySelectorAll(".kind select")].filter((one) => one.offsetParent !== null);
    const list = lists.find((one) => !one.value) ?? lists[0];
    list?.focus();
    return Boolean(list);
  }

  const named = (name) => questions().find((one) => one.dataset.question === name);

  function answer(name, value) {
    const question = named(name);
    const number = question ? inputs(question).findIndex((one) => one.value === value) : -1;
    if (number < 0) return false;
    choose(question, number);
    following(question);
    return true;
  }

  function digit(number) {
    const skip = document.querySelector(".skip-item[open]");
    if (skip) {
      const reason = skip.querySelectorAll(".reason")[number - 1];
      if (reason) reason.click();
      return Boolean(reason);
    }
    const question = questions()[now];
    if (!question || !isChoice(question)) return false;
    const made = choose(question, number - Number(question.dataset.from ?? 1));
    if (made) following(question);
    return made;
  }

  function save() {
    if (!form()) return false;
    form().requestSubmit(byId("save"));
    return true;
  }

  function opened(id) {
    const box = byId(id);
    if (!box) return false;
    box.click();
    return true;
  }

  function toggle(selector) {
    const found = document.querySelector(selector);
    if (!found) return false;
    found.open = !found.open;
    const first = found.open && found.querySelector("textarea, .reason");
    if (first) first.focus();
    return true;
  }

  // The digit of a key: by what it writes, or by where it is, for French keyboards write digits with Shift alone.
  function digitOf(event) {
    if (/^[0-9]$/.test(event.key)) return Number(event.key);
    const place = event.shiftKey ? null : /^(?:Digit|Numpad)([0-9])$/.exec(event.code);
    return place ? Number(place[1]) : null;
  }

  // Its letter: where a keyboard writes no Latin ones, that of its place.
  function letterOf(event) {
    if (/^[a-z?]$/i.test(event.key)) return event.key.toLowerCase();
    return /^Key([A-Z])$/.exec(event.code)?.[1].toLowerCase();
  }

  const keys = {
    a: () => answer("preference", "left"), b: () => answer("preference", "right"),
    t: () => answer("preference", "tie"), x: () => answer("preference", "both_bad"),
    y: () => answer("picture_needed", "yes"), n: () => answer("picture_needed", "no"),
    j: () => step(1), k: () => step(-1), c: kind,
    u: () => byId("undo") && (byId("undo").requestSubmit(), true),
    s: () => toggle(".skip-item"), o: () => opened("open"), m: () => toggle(".note"),
    g: () => opened("to-guidelines"), "?": () => (byId("keys").showModal(), true),
  };

  function typed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || byId("keys")?.open) return;
    const at = event.target;
    if (event.key === "Escape") {
      document.querySelectorAll(".skip-item[open]").forEach((one) => { one.open = false; });
      if (at.matches?.("textarea, select")) at.blur();
      return;
    }
    if (at.matches?.("textarea, input:not([type=radio]):not([type=checkbox])")) return;
    if (at.matches?.("select")) {
      if (event.key === "Enter") { event.preventDefault(); following(at.closest("[data-question]")); at.blur(); }
      return;
    }
    if (event.key === "Enter") {
      if (at.matches?.("a, button, summary")) { if (event.repeat) event.preventDefault(); return; }
      if (event.repeat || sending || save()) event.preventDefault();
      return;
    }
    const number = digitOf(event);
    const letter = letterOf(event);
    if (number === null && !keys[letter]) return;
    // A key that is held answers one question, and one that comes before the next item shows answers none.
    if (event.repeat || sending || (number === null ? keys[letter]() : digit(number))) event.preventDefault();
  }
  document.addEventListener("keydown", typed);

  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !event.repeat && save()) event.preventDefault();
  });

  document.addEventListener("click", (event) => {
    const opener = event.target.closest?.("[data-opens]");
    if (opener) byId(opener.dataset.opens).showModal();
    else if (event.target.closest?.(".closed:not(:has(#open:checked)) .veiled")) { event.preventDefault(); opened("open"); }
    const skip = document.querySelector(".skip-item[open]");
    if (skip && !skip.contains(event.target)) skip.open = false;
  });

  document.addEventListener("focusin", (event) => {
    const question = event.target.closest?.("[data-question]");
    if (question) mark(questions().indexOf(question), { scroll: false });
  });

  // What is filled in lives through a reload of the page, and is forgotten when it is sent.
  const draft = () => form() && `draft/${byId("work").dataset.page}/${form().elements.position.value}/${form().elements.number.value}`;

  const seconds = () => (performance.now() - began - away) / 1000;

  function keep() {
    const data = [...new FormData(form())].filter(([name]) => !["position", "number", "seconds", "opened"].includes(name));
    try {
      sessionStorage.setItem(draft(), JSON.stringify([...data, ["seconds", seconds()]]));
    } catch { /* a browser that keeps nothing for pages */ }
  }

  function drafted() {
    try {
      return JSON.parse(sessionStorage.getItem(draft()) ?? "[]");
    } catch {
      return [];
    }
  }

  function restore() {
    for (const [name, value] of drafted()) {
      if (name === "seconds") {
        began = Math.min(began, performance.now() - value * 1000);
        continue;
      }
      const field = form().elements[name];
      if (field instanceof RadioNodeList || field?.type === "radio") {
        const found = inputs(form()).find((one) => one.name === name && one.value === value);
        if (found) found.checked = true;
      } else if (field && "value" in field) {
        field.value = value;
        if (name === "note" && value) document.querySelector(".note").open = true;
      }
    }
  }

  document.addEventListener("change", (event) => { if (form()?.contains(event.target)) keep(); });
  document.addEventListener("input", (event) => { if (event.target.matches?.("textarea")) keep(); });

  document.addEventListener("submit", (event) => {
    if (event.target === form()) form().elements.seconds.value = seconds().toFixed(1);
  }, true);

  function begin({ focus }) {
    const field = byId("work")?.dataset.field;
    if (!field) {
      began = performance.now(); away = 0; left = document.hidden ? began : null;
      if (focus) { window.scrollTo(0, 0); byId("heading")?.focus({ preventScroll: true }); }
    }
    if (!form()) return;
    restore();
    const asked = field ? questions().findIndex((one) => one.dataset.question === field) : -1;
    const open = questions().findIndex((one) => isChoice(one) && !answered(one));
    mark(Math.max(0, asked >= 0 ? asked : open), { scroll: asked >= 0 });
  }

  let sent = null;
  document.addEventListener("htmx:beforeRequest", (event) => {
    sending = true;
    sent = event.detail.elt === form() ? draft() : null;
  });
  document.addEventListener("htmx:afterRequest", () => { sending = false; });
  document.addEventListener("htmx:beforeSwap", (event) => {
    if (!sent || event.detail.xhr.status >= 300) return;
    try {
      sessionStorage.removeItem(sent);
    } catch { /* it was not kept */ }
  });
  document.addEventListener("htmx:afterSwap", () => {
    sending = false;
    say("");
    begin({ focus: true });
  });

  function say(text) {
    const line = byId("connection");
    line.textContent = text;
    line.hidden = !text;
  }
  const NOT_SAVED = "Not saved yet: the server does not answer. What you filled in stays on this page. " +
    "When the server runs again, press Enter once more.";
  document.addEventListener("htmx:sendError", () => say(NOT_SAVED));
  document.addEventListener("htmx:timeout", () => say(NOT_SAVED));
  document.addEventListener("htmx:responseError", (event) => {
    const page = new DOMParser().parseFromString(event.detail.xhr.responseText, "text/html");
    const why = page.querySelector("main p")?.textContent ?? "";
    say(`Not saved yet. ${why} What you filled in stays on this page; press Enter to try again.`);
  });

  begin({ focus: false });
})();
