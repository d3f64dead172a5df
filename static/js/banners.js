// What the desk says around the item: how far one is, whether all is saved, trouble, notices, replies to questions.

const SAVING_SHOWN = 500; // below this, "saving…" would only flicker

const $ = (id) => document.getElementById(id);
const box = () => $("banners");
const put = (node, text) => node.textContent !== text && (node.textContent = text);

export function showProgress({ done, total, today, daily_cap: cap }, position) {
  put($("position"), String(position ?? done));
  put($("total"), String(total));
  Object.assign($("done"), { max: total || 1, value: done });
  $("done").setAttribute("aria-label", `${done} of ${total} done`);
  put($("today"), cap ? `${today} of ${cap} today` : `${today} today`);
}

let savingTimer = null;
export function showSaved({ waiting, trouble, durable, undoing }) {
  const saved = $("saved");
  saved.setAttribute("aria-busy", String(waiting > 0));
  const say = (text) => {
    put(saved, text);
    saved.classList.toggle("saved", text === "all answers saved");
  };
  if (waiting && !trouble && !undoing) {
    savingTimer ??= setTimeout(say, SAVING_SHOWN, "saving…");
    return;
  }
  clearTimeout(savingTimer);
  savingTimer = null;
  if (undoing && !trouble) say("bringing your last answer back…");
  else if (!waiting) say("all answers saved");
  else say(`${waiting === 1 ? "1 answer" : `${waiting} answers`} kept ${durable ? "on this computer" : "in this window"}, will be sent`);
}

function make(tag, properties) {
  return Object.assign(document.createElement(tag), properties);
}

/** A banner as components/banner.html draws it. acts: [words, address or function, key?]. */
function makeBanner(kind, strong, text, acts = []) {
  const banner = make("div", { className: kind === "note" ? "banner" : `banner banner-${kind}` });
  banner.setAttribute("role", kind === "problem" ? "alert" : "status");
  const sign = make("span", { className: "sign", textContent: { note: "i", caution: "?", problem: "!" }[kind] });
  sign.setAttribute("aria-hidden", "true");
  const words = make("div", {});
  words.append(make("strong", { textContent: strong }), ` ${text}`);
  const buttons = make("div", { className: "acts" });
  for (const [name, does, key] of acts) {
    const act =
      typeof does === "string"
        ? make("a", { className: "btn btn-line", textContent: name, href: does })
        : make("button", { className: "btn btn-line", textContent: name, type: "button", onclick: does });
    if (key) {
      act.dataset.key = key;
      act.append(" ", make("kbd", { textContent: key }));
    }
    buttons.append(act);
  }
  banner.append(sign, words, buttons);
  return banner;
}

/** A message that goes when it is read, or after three more items. */
export function notice(kind, strong, text, acts = []) {
  const banner = makeBanner(kind, strong, text, [...acts, ["OK", () => banner.remove()]]);
  banner.dataset.items = "3";
  box().append(banner);
}

/** Another item was painted: notices grow old. */
export function ageNotices() {
  for (const banner of box().querySelectorAll("[data-items]")) {
    banner.dataset.items -= 1;
    if (banner.dataset.items < 0) banner.remove();
  }
}

export function showReply({ question, text, answer, by }) {
  if (box().querySelector(`[data-reply="${CSS.escape(question)}"]`)) return;
  const acts = [["OK", () => banner.remove()]];
  const banner = makeBanner("note", `${by} answered your question.`, `“${text}” ${answer}`, acts);
  banner.dataset.reply = question;
  box().append(banner);
}

/** What is wrong with the line to the server, what is kept, and what to do; nothing when `trouble` is null.
 * trouble: {kind: offline | server | login, since, message}; ahead: items that can still be answered. */
export function showTrouble(trouble, { waiting, ahead, durable, logIn, tryNow }) {
  const old = box().querySelector("[data-trouble]");
  if (!trouble) {
    old?.remove();
    return;
  }
  const where = durable ? "on this computer" : "in this window (keep it open)";
  const kept = {
    0: "Answers you give now are kept and go out by themselves",
    1: `Your last answer is kept ${where} and goes out by itself`,
  }[waiting] ?? `Your last ${waiting} answers are kept ${where} and go out by themselves`;
  const further = ahead ? ` You can go on: the next ${ahead === 1 ? "item is" : `${ahead} items are`} already here.` : "";
  const time = trouble.since.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  const [strong, text] = {
    offline: [`No connection since ${time}. Nothing is lost.`, `${kept} when the line is back.${further}`],
    server: [`The server has not answered properly since ${time}. Nothing is lost.`, `${kept} when it does again.${further}`],
    login: [trouble.message || "You are logged out. Log in again; nothing is lost.", `${kept} once you have logged in again.`],
  }[trouble.kind];
  const says = `${trouble.kind}|${strong}|${text}`;
  if (old?.dataset.trouble === says) return;
  const act = trouble.kind === "login" ? ["Log in again", logIn, "r"] : ["Try now", tryNow, "r"];
  const banner = makeBanner("problem", strong, text, [act]);
  banner.dataset.trouble = says;
  // The same trouble is announced once; its count may go on changing quietly.
  if (old?.dataset.trouble.startsWith(`${trouble.kind}|`)) banner.removeAttribute("role");
  if (old) old.replaceWith(banner);
  else box().prepend(banner);
}
