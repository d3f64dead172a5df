// Tries a call of the REST page: fills the path, sends, shows status and body. Nothing is stored.

const csrf = () => document.cookie.split("; ").find((part) => part.startsWith("csrftoken="))?.slice(10) ?? "";

/** Address, headers and body of a call, from its form. */
function request(form) {
  const key = document.getElementById("api-key").value.trim();
  const headers = { Accept: "application/json" };
  if (key) headers.Authorization = `Bearer ${key}`;
  else if (form.dataset.method !== "GET") headers["X-CSRFToken"] = csrf();
  let path = form.dataset.path;
  const query = new URLSearchParams();
  for (const input of form.querySelectorAll("input[data-place]")) {
    const value = input.value.trim();
    if (input.dataset.place === "path") path = path.replace(`{${input.name}}`, encodeURIComponent(value || "-"));
    else if (!value) continue;
    else if (input.dataset.place === "header") headers[input.name] = value;
    else if (value.startsWith("{")) {
      for (const [name, inner] of Object.entries(JSON.parse(value))) query.append(`${input.name}[${name}]`, inner);
    } else query.append(input.name, value);
  }
  const body = form.querySelector("[data-body]");
  if (body) headers["Content-Type"] = form.querySelector("[data-kind]").value;
  const asked = query.toString();
  return [asked ? `${path}?${asked}` : path, { method: form.dataset.method, headers, body: body ? body.value : undefined }];
}

async function send(form) {
  const answer = form.querySelector("[data-answer]");
  const say = (status, url, text) => {
    form.querySelector("[data-status]").textContent = status;
    form.querySelector("[data-url]").textContent = url;
    form.querySelector("[data-text]").textContent = text;
    answer.hidden = false;
  };
  try {
    const [url, options] = request(form);
    // A key is sent by itself: the session's cookie would only confuse who called.
    const response = await fetch(url, { ...options, credentials: options.headers.Authorization ? "omit" : "same-origin" });
    const text = await response.text();
    let shown = text;
    try { shown = JSON.stringify(JSON.parse(text), null, 2); } catch { /* no JSON: shown as it is */ }
    say(`${response.status} ${response.statusText}`, url, shown || "(no body)");
  } catch (error) {
    say("Not sent", "", String(error.message ?? error));
  }
}

for (const form of document.querySelectorAll("form[data-call]")) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send(form);
  });
}

// Enter in the token's field sends nothing.
document.getElementById("api-key-form").addEventListener("submit", (event) => event.preventDefault());

// A link to one call opens it.
const open = () => {
  const named = location.hash && document.getElementById(location.hash.slice(1));
  if (named instanceof HTMLDetailsElement) named.open = true;
};
addEventListener("hashchange", open);
open();
