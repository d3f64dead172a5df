// The bench: cases one after the other, as fast as the desk. The next cases are fetched ahead, a ruling paints the next
// one at once and goes out behind it; what the server does not take comes back with its text. Without this script the
// same page works by its forms.

import { onKeys } from "./keys.js";
import { Drafts, post } from "./outbox.js";

const bench = document.getElementById("bench");
const { person, root, query } = bench.dataset;
const drafts = new Drafts(person, "bench");
const AHEAD = 2;
const PAINTED_JUST_NOW = 150;
const HEARTBEAT = 60_000;
const PAUSES = [1000, 2000, 4000, 8000, 15_000, 30_000];
const FIELDS = ["value", "cause", "outcome", "rationale", "borderline"];

const $ = (id) => document.getElementById(id);
const main = $("main");
const links = () => [...document.querySelectorAll("#cases a.case")];
const linkOf = (uuid) => links().find((link) => link.dataset.case === uuid);
const urlOf = (uuid, what) => `${root}${uuid}/${what}`;
const ahead = new Map(); // uuid → promise of its parts
const holds = new Map(); // uuid → promise of {token, seen, until} or {refused}
const gone = new Set(); // ruled, discussed or on their way
let line = Promise.resolve(); // what goes to the server, one after the other
let pending = 0;
let current = $("case-side").dataset.case ?? "";
let paintedAt = performance.now();

// --- fetching and painting -------------------------------------------------------------------------------------------

function fetchParts(uuid) {
  return fetch(`${urlOf(uuid, "parts")}?${query}`, { headers: { Accept: "application/json" }, credentials: "same-origin" })
    .then((response) => (response.ok ? response.json() : null))
    .catch(() => null);
}

function partsOf(uuid) {
  if (!ahead.has(uuid)) ahead.set(uuid, fetchParts(uuid));
  return ahead.get(uuid);
}

function fetchAhead() {
  const all = links().map((link) => link.dataset.case);
  const at = all.indexOf(current);
  const near = [...all.slice(at + 1).filter((uuid) => !gone.has(uuid)).slice(0, AHEAD), all[at - 1]].filter(Boolean);
  for (const uuid of near) partsOf(uuid);
  for (const uuid of ahead.keys()) if (!near.includes(uuid)) ahead.delete(uuid);
}

function part(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  return template.content;
}

async function show(uuid, { push = true } = {}) {
  if (!uuid || uuid === current) return;
  keepDraft();
  letGo(current);
  const parts = await partsOf(uuid);
  if (!parts) return location.assign(linkOf(uuid)?.href ?? `${root}${uuid}/?${query}`);
  paint(parts);
  if (push) history.pushState({ uuid }, "", linkOf(uuid)?.href ?? `${root}${uuid}/?${query}`);
}

function paint(parts) {
  current = parts.uuid;
  $("case-main").replaceWith(part(parts.main));
  $("case-side").replaceWith(part(parts.side));
  document.title = `${parts.title} · Bench · Concord`;
  for (const link of links()) {
    if (link.dataset.case === current) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
  linkOf(current)?.scrollIntoView({ block: "nearest" });
  main.scrollTop = 0;
  $("case-main").querySelector("h1").focus({ preventScroll: true });
  paintedAt = performance.now();
  settle();
}

/** What every shown case needs: its picture's tools, its draft, its hold, and the next ones fetched. */
function settle() {
  ahead.delete(current);
  const picture = $("case-main").querySelector("[data-stage]");
  if (picture) import("./stage.js").then(({ Stage }) => (picture.stage ??= new Stage(picture)));
  restoreDraft();
  countSame();
  hold(current);
  fetchAhead();
}

function following(step) {
  const all = links();
  let at = all.findIndex((link) => link.dataset.case === current);
  for (at += step; at >= 0 && at < all.length; at += step) if (!gone.has(all[at].dataset.case)) return all[at].dataset.case;
  return "";
}

/** On to the next case that is left: behind this one, else before it, else the next page of the queue. */
function goOn() {
  const next = following(1) || following(-1);
  if (next) return show(next);
  keepDraft();
  line = line.then(() => location.assign(document.querySelector(".bench-queue .pager a[href*=after]")?.href ?? `${root}?${query}`));
  return line;
}

// --- holding ---------------------------------------------------------------------------------------------------------

const canRule = () => $("case-side").dataset.canRule === "yes";
const say = (words) => $("hold-words") && ($("hold-words").textContent = words);

function hold(uuid) {
  if (!uuid || !canRule() || gone.has(uuid)) return;
  const asked = post(urlOf(uuid, "hold"), {}, { user: person }).then(({ kind, data }) => {
    if (kind === "ok") return data;
    if (kind === "refused") return { refused: data };
    return {};
  });
  holds.set(uuid, asked);
  asked.then(async (held) => {
    if (uuid !== current) return;
    if (held.refused) {
      say(held.refused.message);
      return;
    }
    if (held.seen && held.seen !== $("case-side").dataset.seen) {
      // An answer changed since the case was fetched: look at what is there now, with the text as it stands.
      keepDraft();
      const parts = await fetchParts(uuid);
      if (parts && uuid === current) {
        $("case-main").replaceWith(part(parts.main));
        $("case-side").replaceWith(part(parts.side));
        restoreDraft();
        countSame();
        tell("An answer was changed meanwhile; this is how the case stands now.");
      }
    }
    countDown(held);
  });
}

function countDown(held) {
  if (!held?.until) return;
  const minutes = Math.max(0, Math.round((new Date(held.until) - Date.now()) / 60_000));
  say(`held for you, ${minutes} min left`);
  const words = document.querySelector(".hold-does");
  if (words) words.textContent = "Let go";
}

function letGo(uuid) {
  const asked = holds.get(uuid);
  holds.delete(uuid);
  if (!asked || gone.has(uuid)) return;
  asked.then(({ token }) => token && post(urlOf(uuid, "release"), { token }, { user: person }));
}

async function toggleHold() {
  if (holds.has(current)) {
    letGo(current);
    say("let go");
    document.querySelector(".hold-does").textContent = "Hold";
  } else {
    hold(current);
  }
}

setInterval(async () => {
  if (document.hidden || !holds.has(current)) return;
  const held = await holds.get(current);
  if (!held.token) return;
  const uuid = current;
  const { kind, data } = await post(urlOf(uuid, "extend"), { token: held.token }, { user: person });
  if (kind === "ok") {
    if (uuid === current) {
      holds.set(uuid, Promise.resolve(data));
      countDown(data);
    }
  } else if (kind === "refused" && uuid === current) {
    hold(uuid);
  }
}, HEARTBEAT);

addEventListener("pagehide", () => {
  keepDraft();
  if (!pending) letGo(current);
});

// --- drafts ----------------------------------------------------------------------------------------------------------

const form = () => document.querySelector("form#ruling");

function entered() {
  const data = new FormData(form());
  return Object.fromEntries(FIELDS.map((name) => [name, data.get(name) ?? ""]));
}

function keepDraft() {
  if (!current || !form() || gone.has(current)) return;
  const now = entered();
  if (FIELDS.some((name) => now[name])) drafts.write(`draft.${current}`, { ...now, at: Date.now() });
  else drafts.remove(`draft.${current}`);
}

function restoreDraft() {
  const draft = form() && drafts.read(`draft.${current}`);
  if (!draft) return;
  for (const name of ["value", "cause", "outcome"]) {
    const radio = [...form().querySelectorAll(`[name=${name}]`)].find((it) => it.value === draft[name]);
    if (radio) radio.checked = true;
  }
  const borderline = form().querySelector("[name=borderline]");
  if (borderline) borderline.checked = Boolean(draft.borderline);
  if (draft.rationale) form().querySelector("[name=rationale]").value = draft.rationale;
}

// --- ruling ----------------------------------------------------------------------------------------------------------

const ticked = () => [...document.querySelectorAll("#case-main [name=also]:checked")].map((box) => box.value.split(":"));
const same = () => form()?.querySelector("[name=same]")?.checked;

function countSame() {
  const count = $("same-count");
  if (!count) return;
  count.textContent = String(ticked().length);
  $("same-choice").hidden = !document.querySelector("#case-main [name=also]");
}

/** What is missing, in words; "" when the ruling may go out. The server checks the same and more. */
function missing(ruling) {
  if (!ruling.cause) return "Choose the cause.";
  if (!ruling.outcome) return "Choose the outcome.";
  if (ruling.outcome === "adjudicate" && (!ruling.value || ruling.value === "none")) return "Choose the label that is right for this item.";
  if (!ruling.value && ruling.outcome !== "keep_distribution") return "Choose a value, or “no label”.";
  if (!ruling.rationale.trim()) return "Say why in a sentence: raters and the next definition need it.";
  return "";
}

function wrong(words) {
  const box = $("ruling-wrong");
  if (box) box.textContent = words;
}

function rule() {
  const ruling = entered();
  const words = missing(ruling);
  wrong(words);
  if (words) {
    if (words.startsWith("Say why")) $("why").focus();
    return;
  }
  if (performance.now() - paintedAt < PAINTED_JUST_NOW) return;
  const uuid = current;
  const value = ruling.outcome === "keep_distribution" || ruling.value === "none" ? null : ruling.value;
  const also = same() ? ticked() : [];
  drafts.write(`draft.${uuid}`, { ...ruling, at: Date.now() });
  send(uuid, "rule", { ...ruling, value, borderline: Boolean(ruling.borderline), also, seen: $("case-side").dataset.seen });
}

function discuss(text) {
  const uuid = current;
  if (!text.trim()) return $("ask").focus();
  return send(uuid, "discuss", { text });
}

/** Show the next case at once and let this one go out behind it. */
function send(uuid, what, body) {
  const title = linkOf(uuid)?.querySelector(".name")?.textContent ?? "The case";
  const asked = holds.get(uuid) ?? Promise.resolve({});
  gone.add(uuid);
  for (const [other] of body.also ?? []) gone.add(other);
  linkOf(uuid)?.classList.add("done");
  pending += 1;
  line = line.then(() => deliver(uuid, what, body, asked, title)).finally(() => (pending -= 1));
  goOn();
}

async function deliver(uuid, what, body, asked, title) {
  let { token } = await asked;
  for (let tries = 0; ; tries += 1) {
    if (!token) {
      const held = await post(urlOf(uuid, "hold"), {}, { user: person });
      if (held.kind === "refused") return back(uuid, body, title, held.data);
      token = held.data?.token;
      if (held.kind === "login") loggedOut();
    }
    const { kind, data } = token ? await post(urlOf(uuid, what), { ...body, token }, { user: person }) : { kind: "retry" };
    if (kind === "ok") return done(uuid, data, title, what);
    if (kind === "refused" && data.code === "hold_lost" && tries < 3) {
      token = ""; // the hold ran out while this waited: take it again, and the answers seen are compared as before
      continue;
    }
    if (kind === "refused") return back(uuid, body, title, data);
    if (kind === "login") loggedOut();
    else tell(`No connection. Your ruling on ${title} is kept and goes out by itself.`);
    await new Promise((wake) => setTimeout(wake, PAUSES[Math.min(tries, PAUSES.length - 1)]));
  }
}

function done(uuid, data, title, what) {
  drafts.remove(`draft.${uuid}`);
  for (const refused of data.refused ?? []) {
    gone.delete(refused.case);
    linkOf(refused.case)?.classList.add("kept");
  }
  const ruled = data.ruled ?? [uuid];
  for (const one of ruled) linkOf(one)?.classList.add("done");
  const count = $("queue-count");
  count.textContent = String(Math.max(0, Number(count.textContent) - ruled.length));
  const words = data.words ?? (what === "discuss" ? `The raters of ${title} are asked.` : `Ruled on ${title}.`);
  $("bench-said").textContent = words;
  if (data.words) tell(words);
  else $("bench-news").replaceChildren();
}

function back(uuid, body, title, refusal) {
  gone.delete(uuid);
  for (const [other] of body.also ?? []) gone.delete(other);
  const link = linkOf(uuid);
  link?.classList.remove("done");
  link?.classList.add("kept");
  ahead.delete(uuid);
  tell(`${title} was not recorded: ${refusal.message}`, { problem: true, uuid });
}

function loggedOut() {
  tell("You are logged out. Log in again in another tab; what you ruled is kept and goes out then.", { problem: true });
}

function tell(words, { problem = false, uuid = "" } = {}) {
  const banner = document.createElement("div");
  banner.className = problem ? "banner banner-problem" : "banner";
  const sign = document.createElement("span");
  sign.className = "sign";
  sign.setAttribute("aria-hidden", "true");
  sign.textContent = problem ? "!" : "i";
  const text = document.createElement("div");
  text.textContent = words;
  banner.append(sign, text);
  if (uuid) {
    const acts = document.createElement("div");
    acts.className = "acts";
    const button = document.createElement("button");
    button.type = "button";
    button.className = "btn btn-line";
    button.textContent = "Back to it";
    button.addEventListener("click", () => {
      $("bench-news").replaceChildren();
      show(uuid);
    });
    acts.append(button);
    banner.append(acts);
  }
  $("bench-news").replaceChildren(banner);
}

// --- what people do --------------------------------------------------------------------------------------------------

onKeys((key) => {
  if (key === "j" || key === "k") {
    const next = following(key === "j" ? 1 : -1);
    if (next) show(next);
    return true;
  }
  if (key === "r" && $("why")) {
    $("why").focus();
    return true;
  }
  return Boolean($("case-main").querySelector("[data-stage]")?.stage?.do(key));
});

document.addEventListener("keydown", (event) => {
  const field = event.target.closest?.("#why, #ask, #say");
  if (!field) return;
  if (event.key === "Escape") {
    field.blur();
    $("case-main").querySelector("h1").focus({ preventScroll: true });
  } else if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !event.repeat && !event.isComposing) {
    event.preventDefault();
    if (field.id !== "say") field.form.requestSubmit();
  }
});

document.addEventListener("click", (event) => {
  if (event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  const link = event.target.closest?.("a.case, a[data-goto]");
  if (link) {
    event.preventDefault();
    show(link.dataset.case ?? link.dataset.goto);
  }
  const does = event.target.closest?.("[data-does]")?.dataset.does;
  if (does === "hold") toggleHold();
  if (does === "discuss") {
    $("discuss").open = true;
    $("ask").focus();
  }
});

document.addEventListener("submit", (event) => {
  if (!canRule()) return;
  if (event.target.id === "ruling") {
    event.preventDefault();
    rule();
  } else if (event.target.id === "discuss-form") {
    event.preventDefault();
    discuss($("ask").value);
  }
});

document.addEventListener("change", (event) => {
  if (event.target.matches("[name=also], [name=same]")) countSame();
  if (event.target.form?.id === "ruling") wrong("");
  if (event.target.form?.id === "queue-filter" && event.target.name === "order") event.target.form.requestSubmit();
});

addEventListener("popstate", (event) => {
  const uuid = event.state?.uuid;
  if (uuid) show(uuid, { push: false });
  else location.reload();
});

bench.classList.add("live");
history.replaceState({ uuid: current }, "");
if (current) settle();
