// What the desk keeps in this browser and how it goes out: answers until the server has confirmed them, drafts of
// items that are not answered yet, and which item each open tab shows; then the line to the server, one request at a
// time and in order. An answer carries its own key, so sending it twice records it once.
//
// Everything is keyed by person and batch: whoever logs in next on the same computer neither sees nor sends another
// person's answers.
const STALE_TAB = 90_000; // a tab that has not been heard of for so long is gone
const RECENT = 10 * 60_000;
const STALE_DRAFT = 30 * 24 * 3600_000;

/** A random id. crypto.randomUUID is missing on plain http, where a small team may well run this. */
export function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

function openStorage() {
  try {
    localStorage.setItem("concord.probe", "1");
    localStorage.removeItem("concord.probe");
    return localStorage;
  } catch {
    return null;
  }
}

export class Drafts {
  constructor(user, batch) {
    this.prefix = `concord.desk.${user}.${batch}.`;
    this.tab = newId();
    this.storage = openStorage();
    this.memory = new Map(); // stands in when storage is switched off or full
    this.prune();
  }

  /** Whether what is kept survives a reload. */
  get durable() {
    return this.storage !== null && this.memory.size === 0;
  }

  read(name) {
    const key = this.prefix + name;
    const text = this.memory.get(key) ?? this.storage?.getItem(key);
    try {
      return text ? JSON.parse(text) : null;
    } catch {
      return null; // not ours, or cut short by a crash: nothing to read
    }
  }

  write(name, value) {
    const key = this.prefix + name;
    const text = JSON.stringify(value);
    try {
      if (!this.storage) throw new Error("no storage");
      this.storage.setItem(key, text);
      this.memory.delete(key);
    } catch {
      this.memory.set(key, text);
    }
  }

  remove(name) {
    this.memory.delete(this.prefix + name);
    this.storage?.removeItem(this.prefix + name);
  }

  names(kind) {
    const start = this.prefix + kind;
    const kept = this.storage ? Object.keys(this.storage) : [];
    return [...new Set([...kept, ...this.memory.keys()])].filter((key) => key.startsWith(start)).map((key) => key.slice(this.prefix.length));
  }

  // ---- answers not confirmed yet, oldest first ----
  answers() {
    return this.names("answer.").map((name) => this.read(name)).filter(Boolean).sort((a, b) => a.at - b.at);
  }
  keepAnswer(entry) {
    this.write(`answer.${entry.id}`, entry);
  }
  hasAnswer(id) {
    return this.read(`answer.${id}`) !== null;
  }
  dropAnswer(id) {
    this.remove(`answer.${id}`);
  }

  // ---- answers confirmed just now, by any tab: a page loaded a moment before must not show their items again ----
  done() {
    const done = this.read("done") ?? {};
    return new Set(Object.keys(done).filter((assignment) => Date.now() - done[assignment] < RECENT));
  }
  markDone(assignment, isDone = true) {
    const done = Object.fromEntries(Object.entries(this.read("done") ?? {}).filter(([, at]) => Date.now() - at < RECENT));
    if (isDone) done[assignment] = Date.now();
    else delete done[assignment];
    this.write("done", done);
  }

  // ---- drafts, by item: they come back even when the item comes back under another place ----
  draft(item) {
    return this.read(`draft.${item}`);
  }
  keepDraft(item, draft) {
    this.write(`draft.${item}`, { ...draft, at: Date.now() });
  }
  dropDraft(item) {
    this.remove(`draft.${item}`);
  }

  // ---- reasons this person typed before, newest first ----
  reasons() {
    return this.read("reasons") ?? [];
  }
  rememberReason(reason) {
    this.write("reasons", [reason, ...this.reasons().filter((known) => known !== reason)].slice(0, 6));
  }

  // ---- tabs: two tabs of one person share a hand, so each tells the other what it shows ----
  show(assignment) {
    if (assignment) this.write(`tab.${this.tab}`, { assignment, at: Date.now() });
    else this.remove(`tab.${this.tab}`);
  }
  shownElsewhere() {
    const others = this.names("tab.").filter((name) => name !== `tab.${this.tab}`).map((name) => this.read(name));
    return new Set(others.filter((tab) => tab && Date.now() - tab.at < STALE_TAB).map((tab) => tab.assignment));
  }

  prune() {
    for (const name of this.names("draft.")) if (Date.now() - (this.read(name)?.at ?? 0) > STALE_DRAFT) this.remove(name);
    for (const name of this.names("tab.")) if (Date.now() - (this.read(name)?.at ?? 0) > STALE_TAB) this.remove(name);
  }
}

const PATIENCE = 20_000; // no reply within this: ask again
const BACKOFF = [1000, 2000, 4000, 8000, 15_000, 30_000];

const cookie = (name) => document.cookie.split("; ").find((pair) => pair.startsWith(`${name}=`))?.slice(name.length + 1) ?? "";
// Logging in again changes the token, so the cookie is asked at each request; the form's field is the first visit's.
const csrfToken = () => cookie("csrftoken") || document.querySelector("input[name=csrfmiddlewaretoken]")?.value || "";

/** POST JSON; resolves to {kind, status, data}. kind: ok, refused (do not send again), retry, login. */
export async function post(url, body, { user } = {}) {
  let response;
  try {
    response = await fetch(url, {
      method: "POST",
      headers: { "Content-Type": "application/json", Accept: "application/json", "X-CSRFToken": csrfToken(), "X-Concord-User": user ?? "" },
      body: JSON.stringify(body),
      credentials: "same-origin",
      redirect: "manual", // a redirect means the log-in page
      keepalive: true,
      signal: AbortSignal.timeout(PATIENCE),
    });
  } catch {
    return { kind: "retry", status: 0, data: null };
  }
  if (response.type === "opaqueredirect") return { kind: "login", status: 401, data: null };
  const { status } = response;
  let data = null;
  try {
    data = await response.json();
  } catch {
    data = null; // an error page, or a reply that broke off
  }
  if (response.ok) return data ? { kind: "ok", status, data } : { kind: "retry", status, data };
  // A stale CSRF token is cured the same way: the log-in page sends people who are logged in straight back.
  if (status === 401 || (status === 403 && (!data || ["log_in", "csrf"].includes(data.code)))) return { kind: "login", status, data };
  if (status >= 500 || status === 429 || status === 408 || data?.code === "broken_off") return { kind: "retry", status, data, after: Number(response.headers.get("Retry-After")) * 1000 || 0 };
  return { kind: "refused", status, data: data ?? { code: "refused", message: "The server did not take this." } };
}

/**
 * The line to the server. `urls` by name; `known()` tells the places whose items the page has, so that replies need not
 * bring them again; `heard(name, result, entry)` hears every final reply; `changed()` every change of state.
 */
export class Queue {
  constructor({ urls, user, drafts, known, heard, changed }) {
    Object.assign(this, { urls, user, drafts, known, heard, changed });
    this.entries = drafts.answers(); // left over from before a reload or from a tab that is gone
    this.calls = []; // requests without an answer in them: not kept
    this.busy = false;
    this.trouble = null; // {kind: offline | server | login, since}
    this.tries = 0;
    this.timer = 0;
    addEventListener("online", () => this.tryNow());
    addEventListener("focus", () => this.trouble && this.tryNow());
  }

  /** Answers the server has not confirmed. */
  get waiting() {
    return this.entries.length;
  }
  /** Places answered in this browser, in any tab: their items are not shown again, whatever an older reply says. */
  get answered() {
    const waiting = this.drafts.answers().filter((entry) => !entry.body.revises).map((entry) => entry.body.assignment);
    return new Set([...waiting, ...this.drafts.done()]);
  }

  /** Keep an answer and send it. name: submit or skip. */
  add(entry) {
    this.drafts.keepAnswer(entry);
    this.entries.push(entry);
    this.changed();
    this.soon();
  }

  /** Ask for something that is not worth keeping; the newest of a name replaces older ones that still wait. */
  call(name, body) {
    this.calls = this.calls.filter((call) => call.name !== name || call.sending);
    this.calls.push({ name, body });
    this.soon();
  }
  forget(name) {
    this.calls = this.calls.filter((call) => call.name !== name || call.sending);
  }

  /** Take back the last answer if it was never sent; returns it, or null. */
  takeBack() {
    const last = this.entries.at(-1);
    if (!last || last.tried) return null;
    this.entries.pop();
    this.drafts.dropAnswer(last.id);
    this.changed();
    return last;
  }

  tryNow() {
    clearTimeout(this.timer);
    this.timer = 0;
    this.soon();
  }

  // After the paint: what a rater sees comes first.
  soon() {
    if (this.busy || this.timer) return;
    this.busy = true;
    setTimeout(() => this.run(), 0);
  }

  async run() {
    try {
      for (let next = this.next(); next; next = this.next()) {
        const result = await post(this.urls[next.name], { ...next.body, known: this.known() }, { user: this.user });
        if (result.kind === "retry" || result.kind === "login") {
          this.fail(result);
          return;
        }
        this.trouble = null;
        this.tries = 0;
        if (next.id) {
          this.entries = this.entries.filter((entry) => entry.id !== next.id);
          if (result.kind === "ok") this.drafts.markDone(next.body.assignment);
          this.drafts.dropAnswer(next.id);
        } else {
          this.calls = this.calls.filter((call) => call !== next);
        }
        this.heard(next.name, result, next);
        this.changed();
      }
    } finally {
      this.busy = false;
    }
  }

  next() {
    // Another tab may have sent what this one found left over.
    while (this.entries.length && !this.drafts.hasAnswer(this.entries[0].id)) this.entries.shift();
    const entry = this.entries[0];
    if (entry) {
      if (!entry.tried) {
        entry.tried = true; // it may have arrived even when no reply comes: no longer ours to take back
        this.drafts.keepAnswer(entry);
      }
      return entry;
    }
    const call = this.calls[0];
    if (call) call.sending = true;
    return call ?? null;
  }

  fail(result) {
    const kind = result.kind === "login" ? "login" : result.status ? "server" : "offline";
    this.trouble = { kind, since: this.trouble?.since ?? new Date(), message: result.data?.message ?? "" };
    for (const call of this.calls) call.sending = false;
    const pause = BACKOFF[Math.min(this.tries, BACKOFF.length - 1)];
    this.tries += 1;
    // Spread out, so that a whole team does not come back in the same second.
    this.timer = setTimeout(() => this.tryNow(), Math.max(result.after ?? 0, pause * (0.75 + Math.random() / 2)));
    this.changed();
  }
}
