// The home page without reloads: sends the form as JSON, shows the result and
// keeps the recent links in this browser. The page also works without this script.

const timeout = 15_000; // milliseconds; then the server counts as unreachable
const storageKey = "terse.recent";
const fieldNames = ["url", "alias", "title", "expires_at", "max_clicks", "password"];

const $ = (id) => document.getElementById(id);
const form = $("shorten");
const recent = $("recent");
const { endpoint } = recent.dataset;
const encoder = new TextEncoder();

// The last request without a known outcome. A retry sends the same
// Idempotency-Key, so it cannot make a second link.
let unanswered = { text: "", key: "" };

/* The form */

// Values that the server always rejects. They stand for what the visitor typed, so that the
// server creates no link and names all other wrong fields.
const wrongDate = "0001-01-01T00:00:00Z";
const wrongCount = -1;

function readForm() {
  const body = { url: form.elements.url.value };
  const errors = new Map();
  for (const name of ["alias", "title", "password"]) {
    if (form.elements[name].value !== "") body[name] = form.elements[name].value;
  }
  const expires = form.elements.expires_at;
  if (expires.validity.badInput) {
    body.expires_at = wrongDate;
    errors.set("expires_at", "must be a date and a time");
  } else if (expires.value !== "") body.expires_at = new Date(expires.value).toISOString();
  const clicks = form.elements.max_clicks.value.trim();
  if (clicks !== "") {
    body.max_clicks = Number(clicks);
    // Programs that open links, such as chats, must not use the only click.
    if (body.max_clicks === 1) body.confirm = true;
    if (!/^\d+$/.test(clicks) || !Number.isSafeInteger(body.max_clicks)) {
      body.max_clicks = wrongCount;
      errors.set("max_clicks", "must be a whole number");
    }
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
  form.ariaBusy = "true";
  announce("Shortening");
  try {
    await create(body, errors);
  } finally {
    form.ariaBusy = "false";
  }
}

// create sends the form. errors are the messages of readForm.
async function create(body, errors) {
  const text = JSON.stringify(body);
  if (unanswered.text !== text) unanswered = { text, key: newKey() };
  let response, answer;
  try {
    response = await fetch(endpoint, {
      method: "POST",
      headers: { "Content-Type": "application/json", "Accept": "application/json", "Idempotency-Key": unanswered.key },
      body: text,
      signal: AbortSignal.timeout(timeout),
    });
    answer = await response.json();
  } catch {
    showErrors(new Map([...errors, ["", "The server could not be reached. Your text is still here. Check your connection and try again."]]));
    return;
  }
  if (response.status < 500) unanswered = { text: "", key: "" };
  if (!response.ok) {
    showErrors(new Map([...problemErrors(response, answer), ...errors]));
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
  const qr = `${endpoint}/${code}/qr`;
  part("short").href = link.short_url;
  // On a narrow screen the link breaks before the code.
  part("short").replaceChildren(link.short_url.slice(0, -link.code.length), document.createElement("wbr"), link.code);
  part("target").textContent = link.url;
  const fact = (name, text) => {
    part(name).textContent = text;
    part(name).parentElement.hidden = text === "";
    if (text !== "") part("facts").hidden = false;
  };
  fact("title", link.title ?? "");
  fact("expires", link.expires_at ? formatDate(link.expires_at) : "");
  fact("limit", Number(link.max_clicks ?? 0) > 0 ? String(link.max_clicks) : "");
  fact("protected", link.password_protected ? "Required" : "");
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

// formatDate formats a time in the time zone of the visitor.
function formatDate(text) {
  return new Date(text).toLocaleString("en-GB", { day: "numeric", month: "long", year: "numeric", hour: "2-digit", minute: "2-digit", timeZoneName: "short" });
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
  button.hidden = false;
  copyOnClick(button, document.querySelector('main [data-part="short"]'));
}

// copyOnClick makes the button copy the short URL of the link.
function copyOnClick(button, link) {
  button.addEventListener("click", async () => {
    const copied = await copy(link.getAttribute("href"));
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
  const n = loadRecent().length;
  const what = n === 1 ? "the link that was" : `the ${n} links that were`;
  if (!confirm(`Forget ${what} made in this browser? The links keep working.`)) return;
  try {
    localStorage.removeItem(storageKey);
  } catch {
    // The storage is off, so nothing was stored.
  }
  showRecent();
  announce("Forgotten");
  $("main").focus();
}

// recentActions returns the button that copies a recent link and the link to its QR code.
function recentActions(short_url, link) {
  const actions = document.createElement("span");
  const button = document.createElement("button");
  const qr = document.createElement("a");
  actions.className = "recent-actions";
  button.type = "button";
  button.textContent = "Copy";
  qr.textContent = "QR code";
  qr.href = `${endpoint}/${encodeURIComponent(short_url.slice(recent.dataset.base.length + 1))}/qr?format=svg&size=240`;
  button.className = qr.className = "action";
  for (const action of [button, qr]) action.setAttribute("aria-describedby", link.id);
  copyOnClick(button, link);
  actions.append(button, qr);
  return actions;
}

function showRecent() {
  const items = loadRecent().map(({ short_url, url }, i) => {
    const item = document.createElement("li");
    const link = document.createElement("a");
    const target = document.createElement("span");
    link.href = short_url;
    link.id = `recent-${i}`;
    link.textContent = short_url.replace(/^https?:\/\//, "");
    target.textContent = url || "protected by a password";
    target.className = "quiet";
    item.append(link, target, recentActions(short_url, link));
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
