// The home page without reloads: sends the form as JSON, shows the result and
// keeps the recent links in this browser. The page also works without this script.

const timeout = 15_000; // milliseconds; then the server counts as unreachable
const storageKey = "terse.recent";
const fieldNames = ["url", "alias", "title", "expires_at", "max_clicks", "password"];

const $ = (id) => document.getElementById(id);
const form = $("shorten");
const encoder = new TextEncoder();

// The last request without a known outcome. A retry sends the same
// Idempotency-Key, so it cannot make a second link.
let unanswered = { text: "", key: "" };

/* The form */

function readForm() {
  const body = { url: form.elements.url.value };
  const errors = new Map();
  for (const name of ["alias", "title", "password"]) {
    if (form.elements[name].value !== "") body[name] = form.elements[name].value;
  }
  const expires = form.elements.expires_at;
  if (expires.validity.badInput) errors.set("expires_at", "must be a date and a time");
  else if (expires.value !== "") body.expires_at = new Date(expires.value).toISOString();
  const clicks = form.elements.max_clicks.value.trim();
  if (clicks !== "") {
    body.max_clicks = Number(clicks);
    // Programs that open links, such as chats, must not use the only click.
    if (body.max_clicks === 1) body.confirm = true;
    if (!/^\d+$/.test(clicks) || !Number.isSafeInteger(body.max_clicks)) errors.set("max_clicks", "must be a whole number");
  }
  const limit = Number(form.dataset.maxUrl);
  if (encoder.encode(body.url).length > limit) errors.set("url", `must be at most ${limit} bytes`);
  return { body, errors };
}

// withScheme puts https:// before text that looks like a host, and leaves all other text alone.
function withScheme(text) {
  const host = /^(?:[\p{L}\p{N}](?:[\p{L}\p{N}-]*[\p{L}\p{N}])?\.)+[\p{L}][\p{L}\p{N}-]+(?::\d{1,5})?(?:[/?#]\S*)?$/u;
  const trimmed = text.trim();
  return host.test(trimmed) ? "https://" + trimmed : trimmed;
}

function completeURL() {
  const { url } = form.elements;
  const complete = withScheme(url.value);
  if (complete !== url.value) url.value = complete;
}

async function submit(event) {
  event.preventDefault();
  if (form.ariaBusy === "true") return;
  completeURL();
  showErrors(new Map());
  const { body, errors } = readForm();
  if (errors.size > 0) {
    showErrors(errors);
    return;
  }
  form.ariaBusy = "true";
  announce("Shortening");
  try {
    await create(body);
  } finally {
    form.ariaBusy = "false";
  }
}

async function create(body) {
  const text = JSON.stringify(body);
  if (unanswered.text !== text) unanswered = { text, key: newKey() };
  let response, answer;
  try {
    response = await fetch(form.dataset.endpoint, {
      method: "POST",
      headers: { "Content-Type": "application/json", "Accept": "application/json", "Idempotency-Key": unanswered.key },
      body: text,
      signal: AbortSignal.timeout(timeout),
    });
    answer = await response.json();
  } catch {
    showErrors(new Map([["", "The server could not be reached. Your text is still here. Check your connection and try again."]]));
    return;
  }
  if (response.status < 500) unanswered = { text: "", key: "" };
  if (!response.ok) {
    showErrors(problemErrors(response, answer));
    return;
  }
  remember(answer, body);
  showResult(answer);
}

function newKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, "0")).join("");
}

// problemErrors turns application/problem+json into messages by field. The empty
// name means the whole form.
function problemErrors(response, problem) {
  const errors = new Map();
  for (const { location = "", message = "" } of problem.errors ?? []) {
    const name = location.split(".").at(-1);
    errors.set(fieldNames.includes(name) ? name : "", message);
  }
  if (errors.size > 0) return errors;
  let detail = problem.detail || problem.title || `The server answered ${response.status}.`;
  const wait = Number.parseInt(response.headers.get("Retry-After") ?? "", 10);
  if (wait > 0) detail += ` Try again in ${wait} ${wait === 1 ? "second" : "seconds"}.`;
  return errors.set(response.status === 409 ? "alias" : "", detail);
}

// showErrors shows each message at its field and moves the focus to the first one.
function showErrors(errors) {
  $("general").textContent = errors.get("") ?? "";
  for (const name of fieldNames) {
    $(`${name}-error`).textContent = errors.get(name) ?? "";
    form.elements[name].ariaInvalid = errors.has(name) ? "true" : null;
  }
  const wrong = fieldNames.filter((name) => errors.has(name));
  if (errors.size === 0) return;
  if (wrong.some((name) => name !== "url")) form.querySelector("details").open = true;
  form.elements[wrong[0] ?? "url"].focus();
  announce(wrong.length === 0 ? "" : wrong.length === 1 ? "One field must change" : `${wrong.length} fields must change`);
}

/* The result */

function showResult(link) {
  const node = $("result-template").content.cloneNode(true);
  const part = (name) => node.querySelector(`[data-part="${name}"]`);
  const code = encodeURIComponent(link.code);
  const qr = `${form.dataset.endpoint}/${code}/qr`;
  part("short").href = link.short_url;
  // On a narrow screen the link breaks before the code.
  part("short").replaceChildren(link.short_url.slice(0, -link.code.length), document.createElement("wbr"), link.code);
  part("target").textContent = link.url;
  part("preview").href = `/${code}+`;
  part("qr").src = `${qr}?format=svg&size=240`;
  part("qr").alt = `QR code of ${link.short_url}`;
  part("download").href = `${qr}?format=png&size=1024`;
  part("download").download = `${link.code}.png`;
  part("again").addEventListener("click", startAgain);
  const title = node.querySelector("h2");
  $("outcome").replaceChildren(node);
  enableCopy();
  form.hidden = $("lead").hidden = true;
  announce("");
  title.focus();
}

function startAgain(event) {
  event.preventDefault();
  $("outcome").replaceChildren();
  form.reset();
  form.hidden = $("lead").hidden = false;
  form.elements.url.focus();
}

function enableCopy() {
  const button = document.querySelector('main [data-part="copy"]');
  if (!button) return;
  const link = document.querySelector('main [data-part="short"]');
  button.hidden = false;
  button.addEventListener("click", async () => {
    const copied = await copy(link.textContent);
    if (!copied) getSelection().selectAllChildren(link);
    button.textContent = copied ? "Copied" : "Selected";
    announce(copied ? "Copied" : "The link is selected. Copy it with your keyboard.");
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyBySelection(text); // the clipboard needs https and permission
  }
}

function copyBySelection(text) {
  const focused = document.activeElement;
  const area = document.createElement("textarea");
  area.className = "hidden-text";
  area.value = text;
  document.body.append(area);
  area.select();
  const copied = document.execCommand("copy");
  area.remove();
  focused?.focus();
  return copied;
}

function announce(text) {
  $("announce").textContent = text;
}

/* The recent links. The storage may be off, full, or contain anything. */

const recent = $("recent");

function isRecent(link) {
  return typeof link?.short_url === "string" && typeof link.url === "string" && link.short_url.startsWith(recent.dataset.base + "/");
}

function loadRecent() {
  try {
    const links = JSON.parse(localStorage.getItem(storageKey));
    return Array.isArray(links) ? links.filter(isRecent).slice(0, Number(recent.dataset.keep)) : [];
  } catch {
    return [];
  }
}

// remember stores a new link. The target of a link with a password is not stored.
function remember(link, { password }) {
  const links = loadRecent().filter(({ short_url }) => short_url !== link.short_url);
  links.unshift({ short_url: link.short_url, url: password ? "" : link.url });
  try {
    localStorage.setItem(storageKey, JSON.stringify(links.slice(0, Number(recent.dataset.keep))));
  } catch {
    return;
  }
  showRecent();
}

function forget() {
  try {
    localStorage.removeItem(storageKey);
  } catch {
    // The storage is off, so nothing was stored.
  }
  showRecent();
  announce("Forgotten");
  $("main").focus();
}

function showRecent() {
  const items = loadRecent().map(({ short_url, url }) => {
    const item = document.createElement("li");
    const link = document.createElement("a");
    const target = document.createElement("span");
    link.href = short_url;
    link.textContent = short_url.replace(/^https?:\/\//, "");
    target.textContent = url || "protected by a password";
    target.className = "quiet";
    item.append(link, target);
    return item;
  });
  $("recent-list").replaceChildren(...items);
  recent.hidden = items.length === 0;
}

if (form) {
  form.noValidate = true;
  form.addEventListener("submit", submit);
  form.elements.url.addEventListener("change", completeURL);
  $("expires_at-hint").textContent = `In your time zone, ${Intl.DateTimeFormat().resolvedOptions().timeZone}`;
}
$("forget").addEventListener("click", forget);
enableCopy();
showRecent();
