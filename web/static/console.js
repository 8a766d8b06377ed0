// The console without reloads: finds links as the visitor types, copies texts, and has keyboard shortcuts. Every page also
// works without this script.

const pause = 200; // milliseconds without a key before a search

for (const button of document.querySelectorAll("[data-copy]")) {
  button.hidden = !navigator.clipboard;
  const name = button.textContent;
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(button.dataset.copy);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Not copied";
    }
    setTimeout(() => { button.textContent = name; }, 2000);
  });
}

document.querySelector(".sections [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });

for (const input of document.querySelectorAll("[data-most]")) {
  input.addEventListener("change", () => {
    const most = Number(input.dataset.most);
    input.setCustomValidity((input.files[0]?.size ?? 0) > most ? `The file must be at most ${most / 1024} KiB.` : "");
    input.reportValidity();
  });
}

const form = document.getElementById("search");
if (form) {
  let timer, request;
  form.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(() => find(), pause);
  });

  const find = () => {
    request?.abort();
    const address = new URL(form.action);
    for (const [name, value] of new FormData(form)) if (value !== "") address.searchParams.set(name, value);
    const results = document.getElementById("results");
    results.ariaBusy = "true";
    // XMLHttpRequest parses the page without running anything in it, and Trusted Types allow it.
    request = new XMLHttpRequest();
    request.open("GET", address);
    request.responseType = "document";
    request.timeout = 15_000;
    request.setRequestHeader("Accept", "text/html");
    const current = request;
    current.onloadend = () => {
      if (current !== request) return;
      results.ariaBusy = null;
      const found = current.response?.getElementById("results");
      if (!found) { // an error, or the session has ended: the whole page says so
        if (current.status !== 0) location.assign(address);
        return;
      }
      results.replaceChildren(...document.importNode(found, true).childNodes);
      for (const name of ["q", "tag", "domain", "owner", "state", "created_from", "created_until"]) {
        const text = current.response.getElementById(`${name}-error`)?.textContent ?? "";
        const error = document.getElementById(`${name}-error`);
        if (error) error.textContent = text;
      }
      history.replaceState(null, "", address);
      const rows = results.querySelectorAll("tbody tr").length;
      document.getElementById("found").textContent = rows === 0 ? "No link" : rows === 1 ? "1 link" : `${rows} links`;
    };
    current.send();
  };
}

const help = document.getElementById("help");
if (help) {
  const box = document.getElementById("shortcuts"), opener = document.getElementById("help-open"), off = "terse-shortcuts-off";
  let stored = null;
  try { stored = localStorage.getItem(off); } catch {} // storage may be forbidden
  box.checked = stored === null;
  box.addEventListener("change", () => {
    try { box.checked ? localStorage.removeItem(off) : localStorage.setItem(off, "1"); } catch {}
  });
  opener.hidden = false;
  opener.addEventListener("click", () => help.showModal());

  if (location.hash === "#q") document.getElementById("q")?.focus();
  const open = (selector, address) => { if (document.querySelector(selector)) location.assign(address); };
  document.addEventListener("keydown", (event) => {
    if (!box.checked || help.open || event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select")) return;
    switch (event.key) {
      case "/": {
        const search = document.getElementById("q");
        search ? search.focus() : location.assign("/~/links#q");
        break;
      }
      case "n": open('.sections a[href="/~/new"]', "/~/new"); break;
      case "?": help.showModal(); break;
      default: return;
    }
    event.preventDefault();
  });
}
