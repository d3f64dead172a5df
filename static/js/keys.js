// Single-key shortcuts, on every page: which key an event means, who may hear it, and the list behind "?".
//
// A page registers what its keys do: onKeys((key, event) => handled). Keys are dead while typing, with Ctrl,
// Alt or Meta, on repeat, while a dialog is open, and for people who switched single keys off.

const TYPING = "input:not([type=checkbox]):not([type=radio]):not([type=button]):not([type=submit]), textarea, select, [contenteditable]";
const listeners = [];

export const singleKeys = () => document.body.dataset.singleKeys !== "off";

/** The key an event stands for: a printed character, lower-case for letters, or a name such as "Enter".
 * Caps Lock does not matter. Keyboards whose letters are not Latin, or whose digits need Shift, are read by position.
 * Shift counts only as part of a printed sign: Shift and a letter is no shortcut (""). */
export function keyOf(event) {
  const { key, code } = event;
  if (key.length > 1) return key;
  if (/^Digit[0-9]$/.test(code) && !/^[0-9]$/.test(key) && !event.shiftKey) return code.slice(5);
  if (/^[a-z]$/i.test(key)) return event.shiftKey ? "" : key.toLowerCase();
  if (/^Key[A-Z]$/.test(code) && key.codePointAt(0) > 127) return event.shiftKey ? "" : code.slice(3).toLowerCase();
  return key;
}

/** The capital letter of a key that is pressed with Shift, "" otherwise. Shift itself is read, not Caps Lock. */
export function shiftKeyOf({ key, code, shiftKey }) {
  if (!shiftKey) return "";
  if (/^[a-z]$/i.test(key)) return key.toUpperCase();
  return /^Key[A-Z]$/.test(code) && key.codePointAt(0) > 127 ? code.slice(3) : "";
}

/** Call `listener(key, event)` for every shortcut key; the first to return true has handled it. */
export function onKeys(listener) {
  listeners.unshift(listener);
}

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.repeat || event.isComposing) return;
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.target.closest?.(TYPING) || document.querySelector("dialog[open]")) return;
  const shifted = shiftKeyOf(event);
  if (shifted && singleKeys() && press("shiftKey", "data-shift-key", shifted)) return event.preventDefault();
  const key = keyOf(event);
  if (!key || (key.length === 1 && !singleKeys())) return;
  // A control in focus keeps its own Enter and space bar; a checkbox has no Enter of its own.
  if ((key === "Enter" || key === " ") && event.target.closest?.("button, a[href], summary")) return;
  if (key === " " && event.target.closest?.("input")) return;
  if (listeners.some((listener) => listener(key, event) === true)) event.preventDefault();
});

// A dialog opens by a button that names it, and closes by its own form, by Esc or by a click beside it.
document.addEventListener("click", (event) => {
  const opener = event.target.closest?.("[data-opens]");
  if (opener) document.getElementById(opener.dataset.opens)?.showModal();
  if (event.target instanceof HTMLDialogElement) event.target.close();
  event.target.closest?.("[data-closes]")?.closest(".banner").remove();
  // An open menu closes when one clicks elsewhere.
  for (const menu of document.querySelectorAll("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  const menu = document.activeElement?.closest("details.menu[open]");
  if (!menu) return;
  menu.open = false;
  menu.querySelector("summary").focus();
});

/** Click the visible element that names the key; whether there was one. */
function press(name, attribute, key) {
  const target = [...document.querySelectorAll(`[${attribute}]`)].find((it) => it.dataset[name] === key && it.checkVisibility?.() !== false);
  target?.click();
  return Boolean(target);
}

// An element with data-key="x" is clicked by that key; Enter clicks the page's one [data-key=Enter]. One with
// data-shift-key="X" is clicked by Shift and that letter.
onKeys((key) => {
  if (key === "?") {
    document.getElementById("keys")?.showModal();
    return true;
  }
  return press("key", "data-key", key);
});
