// Makes and uses passkeys. A form with data-passkey stays hidden in browsers without passkeys. It asks the server for options,
// asks the browser for a passkey, and then sends the answer in its field passkey.

const supported = window.PublicKeyCredential?.parseCreationOptionsFromJSON && window.PublicKeyCredential.parseRequestOptionsFromJSON;

for (const form of document.querySelectorAll("form[data-passkey]")) {
  if (!supported) break;
  form.hidden = false;
  const button = form.querySelector("button");
  const error = form.querySelector(".error");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    error.textContent = "";
    try {
      const response = await fetch(`${form.action}/options`, { method: "POST", headers: { Accept: "application/json" } });
      if (!response.ok || response.redirected) throw new Error(`status ${response.status}`);
      const options = await response.json();
      const credential = options.user
        ? await navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options) })
        : await navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options) });
      form.elements.passkey.value = JSON.stringify(credential);
      form.submit();
    } catch (cause) {
      button.disabled = false;
      error.textContent = reason(cause);
    }
  });
}

// reason returns what a failure means for the visitor.
function reason(cause) {
  if (cause.name === "NotAllowedError") return "No passkey was used: you cancelled, the time ran out, or this device has none.";
  if (cause.name === "InvalidStateError") return "This device has a passkey of yours already.";
  return "The passkey could not be used. Reload the page and try again.";
}
