// The desk: one item shown, three ahead. A key answers and the next item is there at once; what was answered goes
// out behind it and stays in this browser until the server has confirmed it (outbox.js).
//
// The server's replies carry the whole hand; the page reconciles by assignment. An item the rater has answered here
// is never shown again while its answer is on the way, whatever an older reply says.
import { AnswerForm } from "./answer.js";
import { ageNotices, notice, showProgress, showReply, showSaved, showTrouble } from "./banners.js";
import { onKeys } from "./keys.js";
import { Drafts, Queue, newId, post } from "./outbox.js";

const TOO_SOON = 150; // a key this soon after a paint was meant for the item before
const DOUBLE_CLICK = 400;
const HEARTBEAT = 60_000;
const CLAIM_PAUSE = 500;

const $ = (id) => document.getElementById(id);
const root = $("desk");
const form = $("answer");
const slot = $("slot");
const { user, batch } = root.dataset;
const start = JSON.parse($("desk-data").textContent);

const drafts = new Drafts(user, batch);
const answer = new AnswerForm(form);
const queue = new Queue({
  urls: Object.fromEntries(["claim", "submit", "skip", "undo", "shown", "heartbeat"].map((name) => [name, root.dataset[name]])),
  user,
  drafts,
  known: () => hand.map((entry) => entry.assignment),
  heard,
  changed: showState,
});

let { progress, empty } = start;
let hand = [];
let current = null; // the entry of the hand on the screen, or an answer brought back (revises)
let last = null; // {entry, words}: what undo would bring back
let undoing = false;
let paintedAt = 0;
let watch = { from: 0, spent: 0 }; // time on the item: running since, and spent before
let claimTimer = 0;

// ---- the hand ----

function prepare(raw) {
  const node = document.createElement("article");
  node.className = `item item-${raw.item.kind}`;
  node.id = "item";
  node.tabIndex = 0;
  node.setAttribute("aria-labelledby", "position-words");
  node.innerHTML = raw.item.html; // rendered and escaped by our own server
  for (const image of node.querySelectorAll("img")) image.decode().catch(() => {}); // ahead of time; a failure shows at the paint
  return { ...raw, node };
}

function take(reply) {
  progress = reply.progress ?? progress;
  empty = reply.empty ?? null;
  const known = new Map([...hand, current].filter(Boolean).map((entry) => [entry.assignment, entry]));
  const held = (reply.hand ?? []).map(({ item, ...rest }) => {
    const entry = known.get(rest.assignment);
    if (entry) return Object.assign(entry, rest);
    return item ? prepare({ item, ...rest }) : null;
  });
  hand = held.filter(Boolean);
  if (hand.length < held.length) queue.call("claim", {}); // an item taken for known that is not: ask for it
  (reply.replies ?? []).forEach(showReply);
  if (current && !current.revises && !hand.includes(current)) passedOn();
  if (!current && !undoing) goOn();
  showState();
}

const unanswered = () => {
  const answered = queue.answered;
  return hand.filter((entry) => !answered.has(entry.assignment));
};

function upcoming(except = null) {
  const elsewhere = drafts.shownElsewhere();
  const mine = unanswered().filter((entry) => entry !== except);
  return mine.find((entry) => !elsewhere.has(entry.assignment)) ?? mine[0] ?? null;
}

function goOn({ told = false } = {}) {
  const next = upcoming();
  if (next) paint(next, { told });
  else nothing();
}

function passedOn() {
  const elsewhere = queue.answered.has(current.assignment); // answered in another tab of this browser
  if (!elsewhere) {
    keepDraft();
    const kept = answer.draft ? " What you had entered is kept and comes back with the item." : "";
    notice("caution", "This item is no longer in your hand.", `It was answered elsewhere, or waited so long that it was passed on.${kept}`);
  }
  current = null;
}

// ---- painting ----

/** Show an entry. `told`: the server knows already that this one is shown. `filled`: an answer to start from. */
function paint(entry, { told = false, filled = null } = {}) {
  current = entry;
  slot.replaceChildren(entry.node);
  $("empty").hidden = true;
  form.hidden = form.inert = false;
  form.elements.assignment.value = entry.assignment;
  form.elements.token.value = entry.token;
  answer.fill(filled ?? drafts.draft(entry.item.uuid));
  showAnswer();
  showState();
  ageNotices();
  focusItem();
  paintedAt = performance.now();
  watch = { from: paintedAt, spent: 0 };
  const picture = entry.node.querySelector("[data-stage]");
  if (picture) showPicture(entry, picture);
  drafts.show(entry.assignment);
  if (!told && !entry.revises) queue.call("shown", { assignment: entry.assignment, token: entry.token });
}

function focusItem() {
  current.node.focus({ preventScroll: true });
  if (slot.getBoundingClientRect().top < 0) slot.scrollIntoView({ block: "start" });
}

function showPicture(entry, picture) {
  const image = picture.querySelector("img");
  if (!image.complete) {
    watch.from = 0; // the clock starts when there is something to see
    image.addEventListener("load", () => current === entry && !watch.from && (watch.from = performance.now()), { once: true });
  }
  image.onerror = () => notice("problem", "The picture did not load.", "Nothing is lost: try again, or skip this item.", [["Load it again", () => (image.src = image.src)]]);
  // Only desks with pictures load what zooms them.
  if (!entry.stage) import("./stage.js").then(({ Stage }) => (entry.stage ??= new Stage(picture)));
}

function nothing() {
  current = null;
  drafts.show(null);
  form.inert = true;
  if (empty && !queue.waiting) {
    slot.replaceChildren();
    form.hidden = true;
    const news = $("empty").hidden || $("empty-title").textContent !== empty.title;
    $("empty").hidden = false;
    $("empty-title").textContent = empty.title;
    $("empty-message").textContent = empty.message;
    $("empty-next").href = empty.next_url || root.dataset.home;
    $("empty-next").firstElementChild.textContent = empty.next ?? (empty.reason === "unread" ? "Read the definition" : "Back to my work");
    if (news) $("empty-title").focus();
    return;
  }
  const text = queue.trouble ? "No further item is here yet; the next ones come with the connection." : "The next item is on its way.";
  slot.replaceChildren(Object.assign(document.createElement("p"), { className: "muted waits", textContent: text }));
  clearTimeout(claimTimer);
  if (!queue.waiting) claimTimer = setTimeout(() => !current && queue.call("claim", {}), CLAIM_PAUSE);
}

/** Bring what stands around the item in line with how things are. */
function showState() {
  const { waiting, trouble, entries } = queue;
  const { durable } = drafts;
  const firsts = entries.filter((entry) => entry.name === "submit" && !entry.body.revises).length;
  showProgress({ ...progress, done: Math.min(progress.total, progress.done + firsts), today: progress.today + firsts }, current?.position);
  if (last) $("undo-what").textContent = `item ${last.entry.position}, ${last.words}`;
  showSaved({ waiting, trouble, durable, undoing });
  const ahead = unanswered().filter((entry) => entry !== current).length;
  const logIn = `${root.dataset.logIn}?next=${encodeURIComponent(location.pathname)}`;
  showTrouble(trouble, { waiting, ahead, durable, logIn, tryNow: () => queue.tryNow() });
}

const showAnswer = () => answer.show(current?.revises ? current.words : null);

// ---- answering ----

function keepDraft() {
  if (!current || current.revises) return;
  if (answer.draft) drafts.keepDraft(current.item.uuid, answer.draft);
  else drafts.dropDraft(current.item.uuid);
}

function changed() {
  showAnswer();
  keepDraft();
}

function choose(key) {
  if (answer.choose(key)) send();
  else changed();
}

function markBorderline() {
  const own = answer.labels.find((label) => "borderline" in label.dataset);
  if (own) choose(own.value);
  else if (answer.box) {
    answer.markBorderline(!answer.borderline);
    changed();
  }
}

function open(panel) {
  answer.toggle(panel);
  changed();
  if (answer.panel === "reason") answer.focusReason();
  else if (answer.panel) form.elements[answer.panel].focus();
  else focusItem();
}

/** Esc: out of what is open. Returns whether there was anything to leave. */
function back() {
  if (undoing) {
    undoing = false;
    queue.forget("undo");
    form.inert = !current;
    if (!current) goOn();
    showState();
    return true;
  }
  if (!current) return false;
  if (answer.panel === "reason" || answer.panel === "question") {
    open(answer.panel);
    return true;
  }
  if (current.revises) {
    goOn();
    return true;
  }
  if (!answer.takeBack()) return false;
  changed();
  focusItem();
  return true;
}

/** Send what is chosen, or say what is missing. */
function send() {
  if (!current || undoing) return;
  const given = answer.given();
  if (!given) return;
  if (given.reason) drafts.rememberReason(given.reason);
  const { revises } = current;
  leave(current, "submit", { ...given, seconds: seconds(), ...(revises ? { revises } : {}) }, answer.words(given));
}

function skip() {
  if (current && !undoing && !current.revises) leave(current, "skip", { reason: answer.comment.trim() }, "skipped");
}

/** The one way an item leaves the desk: kept first, then the next one is painted, then the answer goes out. */
function leave(entry, name, body, words) {
  const id = newId();
  const next = upcoming(entry);
  last = { entry, words };
  drafts.dropDraft(entry.item.uuid);
  queue.add({
    id,
    name,
    at: Date.now(),
    item: entry.item.uuid,
    position: entry.position,
    words,
    draft: answer.draft,
    body: { assignment: entry.assignment, token: entry.token, idempotency_key: id, ...body, shown_next: next?.assignment ?? null },
  });
  if (next) paint(next, { told: true });
  else nothing();
}

function undo() {
  if (undoing || current?.revises) return;
  keepDraft();
  const unsent = queue.takeBack();
  const entry = unsent && hand.find((held) => held.assignment === unsent.body.assignment);
  if (entry) {
    forgetLast();
    paint(entry, { filled: unsent.draft }); // it never left this browser
    return;
  }
  undoing = true;
  form.inert = true;
  queue.call("undo", {});
  showState();
}

function forgetLast() {
  last = null;
  $("undo-what").textContent = "";
}

// ---- replies ----

function heard(name, { kind, data }, entry) {
  if (kind === "refused") {
    refused(name, data, entry);
    return;
  }
  if (name === "undo" && undoing) bringBack(data);
  take(data);
}

/** Show the answer again that stands in the ledger; after a skip, the place that is in the hand again. */
function bringBack({ undone }) {
  undoing = false;
  keepDraft();
  drafts.markDone(undone.assignment, false);
  const seen = last?.entry.assignment === undone.assignment ? last.entry : null;
  const shown = { ...(seen ?? prepare(undone)), ...undone, revises: Boolean(undone.answer) };
  if (!shown.revises) {
    hand = [shown, ...hand.filter((other) => other.assignment !== shown.assignment)];
    forgetLast();
    paint(shown);
    return;
  }
  shown.words = answer.words(undone.answer);
  paint(shown, { filled: { ...undone.answer, second: undone.answer.second_value } });
}

function refused(name, data, entry) {
  if (data.code === "version_unread") {
    location.reload(); // the page says what is to be read; answers and drafts are kept here
    return;
  }
  if (name === "submit") {
    if (!entry.body.revises && entry.draft) drafts.keepDraft(entry.item, entry.draft);
    if (data.code === "lease_lost") {
      notice("caution", `Item ${entry.position} was passed on before your answer arrived.`, `It had waited too long. Your answer (${entry.words}) was not recorded; it is kept here and comes back with the item if you get it again.`);
    } else {
      notice("problem", `Item ${entry.position} was not recorded.`, `${data.message} Your answer (${entry.words}) is kept here.`);
    }
  } else if (name === "undo") {
    undoing = false;
    form.inert = !current;
    notice("note", "Nothing was undone.", data.message);
  } else if (name === "claim") {
    notice("problem", "No item came.", data.message);
  }
  if (data.hand) take(data);
  else if (name !== "claim") queue.call("claim", {});
}

async function ask() {
  const text = form.elements.question.value.trim();
  const wrong = $("question-wrong");
  wrong.textContent = text ? "" : "Write your question first.";
  if (!text) return;
  const result = await post(root.dataset.ask, { assignment: current.assignment, text }, { user });
  if (result.kind !== "ok") {
    wrong.textContent = result.kind === "refused" ? result.data.message : "Not sent: no connection. Your text stays here; try again in a moment.";
    return;
  }
  form.elements.question.value = "";
  if (answer.panel === "question") open("question");
  notice("note", "Your question is on its way.", "The reply comes to this desk. Answer or skip this item meanwhile.");
}

// ---- keys, clicks, typing ----

// Measured from when the key was pressed, not from when a busy page came to hear of it.
const tooSoon = (event, pause = TOO_SOON) => event.timeStamp - paintedAt < pause;

function does(what) {
  if (what === "undo") undo();
  else if (what === "back") back();
  else if (!current) return;
  else if (what === "send") send();
  else if (what === "skip") skip();
  else if (what === "ask") ask();
  else open(what);
}

onKeys((key, event) => {
  if (key === "Escape") return back() || Boolean(current?.stage?.do(key));
  if (key === "d") {
    $("definitions").open = !$("definitions").open;
    return true;
  }
  if (key === "e") {
    $("examples").showModal();
    return true;
  }
  if (key === "u") {
    if (!tooSoon(event)) undo();
    return true;
  }
  if (!current || undoing) return false;
  if (key === "Enter") {
    if (!tooSoon(event)) send();
    return true;
  }
  const reasons = answer.panel === "reason";
  const chip = reasons && /^[1-9]$/.test(key) ? answer.chips[key - 1] : null;
  const label = reasons ? null : answer.labelOf(key);
  const act = { n: "reason", c: "comment", q: "question", s: "skip" }[key];
  if (!chip && !label && !act && key !== "b") return Boolean(current.stage?.do(key));
  if (tooSoon(event)) return true;
  if (chip) chip.click();
  else if (label) choose(label.value);
  else if (act) does(act);
  else markBorderline();
  return true;
});

form.addEventListener("submit", (event) => event.preventDefault());
// The mouse presses controls without taking the focus from the item, so Enter goes on meaning "send".
form.addEventListener("mousedown", (event) => event.target.closest(".btn, .label-btn") && event.preventDefault());
form.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  event.preventDefault();
  if (button.name === "value" || button.dataset.does === "skip") {
    // The second click of a double click lands on the next item; so does one that was on its way during the paint.
    if (tooSoon(event) || (event.detail > 1 && tooSoon(event, DOUBLE_CLICK))) return;
  }
  if (button.name === "value") choose(button.value);
  else if (button.dataset.reason) {
    answer.chooseReason(button.dataset.reason);
    changed();
    $("reason-panel").focus();
  } else if (button.dataset.does) does(button.dataset.does);
});
$("empty-undo").addEventListener("click", undo);
answer.box?.addEventListener("change", () => {
  answer.markBorderline(answer.box.checked);
  changed();
});

form.addEventListener("input", (event) => {
  const { name, value } = event.target;
  if (name !== "comment" && name !== "reason") return;
  answer[name] = value;
  changed();
});
form.addEventListener("keydown", (event) => {
  const field = event.target;
  if (!field.matches("input, textarea") || field.type === "checkbox" || event.isComposing) return;
  if (event.key === "Escape") {
    event.preventDefault();
    if (field.name === "comment") leaveComment();
    else back();
  } else if (event.key === "Enter" && (field.name !== "question" || event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    if (event.repeat) return;
    if (field.name === "question") ask();
    else if (field.name === "reason" || answer.value !== null) send();
    else leaveComment(); // the comment stands; now the label
  }
});
function leaveComment() {
  answer.panel = "";
  changed();
  focusItem();
}

// A ring around each new item would flicker all day; whoever comes to it by Tab sees one.
let byTab = false;
addEventListener("keydown", (event) => (byTab = event.key === "Tab"), true);
slot.addEventListener("focusin", (event) => event.target.id === "item" && event.target.classList.toggle("quiet-focus", !byTab));

// ---- time ----

const seconds = () => Math.round((watch.spent + (watch.from ? performance.now() - watch.from : 0)) / 100) / 10;

document.addEventListener("visibilitychange", () => {
  const now = performance.now();
  if (document.hidden) {
    if (watch.from) watch = { from: 0, spent: watch.spent + now - watch.from, paused: true };
    return;
  }
  if (watch.paused) watch = { from: now, spent: watch.spent };
  beat();
});
function beat() {
  if (document.hidden || undoing) return;
  if (current) drafts.show(current.assignment);
  if (hand.length) queue.call("heartbeat", { assignments: hand.map((entry) => entry.assignment) });
  else queue.call("claim", {});
}
setInterval(beat, HEARTBEAT);
addEventListener("pagehide", () => drafts.show(null));
addEventListener("pageshow", (event) => event.persisted && beat());
addEventListener("beforeunload", (event) => {
  if (queue.waiting && !drafts.durable) event.preventDefault(); // kept nowhere but in this window
});

// ---- begin ----

const definitions = $("definitions");
const wide = matchMedia("(min-width: 721px)");
definitions.open = wide.matches && !drafts.read("folded");
definitions.addEventListener("toggle", () => wide.matches && drafts.write("folded", !definitions.open));
answer.offer(drafts.reasons());
$("reason-panel").tabIndex = -1;

const first = $("item"); // the server has drawn it already, and knows that it is shown
hand = start.hand.map((raw) => (raw.assignment === first?.dataset.assignment ? { ...raw, node: first } : prepare(raw)));
goOn({ told: upcoming()?.node === first });
if (queue.waiting) queue.tryNow();
