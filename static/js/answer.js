// The answer being given: which label, borderline or not, a second label, a comment, a reason; and how the form
// shows it. Knows nothing of hands, tabs or the server.

const $ = (id) => document.getElementById(id);

/** Fields of a draft, as they are kept and restored. */
const BLANK = { value: null, second: null, borderline: false, comment: "", reason: "" };

export class AnswerForm {
  constructor(form) {
    this.form = form;
    this.labels = [...form.querySelectorAll("[name=value]")];
    this.box = form.elements.borderline ?? null; // absent where the definition has a borderline label of its own
    this.fill(null);
  }

  name(key) {
    return this.labels.find((label) => label.value === key)?.dataset.name ?? key;
  }
  labelOf(hotkey) {
    return this.labels.find((label) => label.dataset.hotkey === hotkey);
  }
  get chips() {
    return [...this.form.querySelectorAll("[data-reason]")];
  }

  /** Start over, from a draft or an earlier answer if there is one. */
  fill(draft) {
    Object.assign(this, BLANK);
    for (const name of Object.keys(BLANK)) if (draft?.[name] != null) this[name] = draft[name];
    this.panel = this.reason ? "reason" : ""; // reason, comment or question: what stands open
    this.form.elements.comment.value = this.comment;
    this.form.elements.reason.value = this.reason;
    $("reason-wrong").textContent = $("question-wrong").textContent = "";
  }

  /** What is worth keeping, or null. */
  get draft() {
    const draft = Object.fromEntries(Object.keys(BLANK).map((name) => [name, this[name]]));
    return draft.value !== null || draft.borderline || draft.comment || draft.reason ? draft : null;
  }

  /** Something beside the label is open, so a label is chosen first and Enter sends. */
  get pending() {
    return this.borderline || Boolean(this.comment.trim()) || this.panel === "comment";
  }

  /** Choose a label; returns whether that is the whole answer. */
  choose(key) {
    if (this.panel === "reason" || this.panel === "question") this.panel = "";
    this.reason = "";
    if (!this.pending) {
      this.value = key;
      this.second = null;
      return true;
    }
    if (this.borderline && this.value !== null && key !== this.value) this.second = this.second === key ? null : key;
    else this.value = key;
    return false;
  }

  markBorderline(on) {
    this.borderline = on;
    if (!on) this.second = null;
  }

  chooseReason(reason) {
    this.reason = this.form.elements.reason.value = this.reason === reason ? "" : reason;
    $("reason-wrong").textContent = "";
  }

  /** Open a panel, or close it when it is open. */
  toggle(panel) {
    this.panel = this.panel === panel ? "" : panel;
    if (panel === "reason" && !this.panel) this.chooseReason(this.reason);
  }

  /** Take the choice back; a written comment stays in sight. Returns whether there was anything. */
  takeBack() {
    if (!this.pending && this.value === null) return false;
    Object.assign(this, { value: null, second: null, borderline: false, panel: "" });
    return true;
  }

  /** The answer as the server takes it, or null while something is missing, which is then said. */
  given() {
    const comment = this.comment.trim();
    if (this.panel === "reason") {
      const reason = this.reason.trim();
      if (reason) return { outcome: "cannot_label", value: null, second_value: null, borderline: false, reason, comment };
      $("reason-wrong").textContent = "Say what is in the way: one word is enough.";
      this.focusReason();
      return null;
    }
    if (this.value === null) return null;
    const { value, second, borderline } = this;
    return { outcome: "labeled", value, second_value: borderline ? second : null, borderline, reason: "", comment };
  }

  /** An answer in words; takes what `given` returns and what the server sends. */
  words({ outcome, value, borderline, reason }) {
    if (outcome === "cannot_label") return `not enough information: ${reason}`;
    return `${this.name(value)}${borderline ? ", borderline" : ""}`;
  }

  // With reasons to choose from, their digits are keys; without, one writes at once.
  focusReason() {
    (this.chips.length ? $("reason-panel") : this.form.elements.reason).focus();
  }

  /** Offer words as reasons, up to six in all. */
  offer(reasons) {
    for (const reason of reasons) {
      const known = this.chips.map((chip) => chip.dataset.reason);
      if (known.includes(reason) || known.length >= 6) continue;
      const chip = Object.assign(document.createElement("button"), { type: "button", className: "btn btn-line" });
      chip.dataset.reason = reason;
      chip.append(Object.assign(document.createElement("kbd"), { textContent: String(known.length + 1) }), ` ${reason}`);
      $("reasons").append(chip);
    }
  }

  /** Bring the form in line. `had`: words of the answer that is being changed, or null. */
  show(had) {
    const { form, panel } = this;
    for (const label of this.labels) {
      const second = this.second === label.value;
      label.setAttribute("aria-pressed", String(this.value === label.value || second));
      label.classList.toggle("second", second);
    }
    if (this.box) this.box.checked = this.borderline;
    const open = {
      reason: panel === "reason",
      comment: panel === "comment" || Boolean(this.comment),
      question: panel === "question",
    };
    for (const [name, isOpen] of Object.entries(open)) {
      $(`${name}-panel`).classList.toggle("open", isOpen);
      form.querySelector(`[data-does=${name}]`).setAttribute("aria-pressed", String(isOpen));
    }
    for (const chip of this.chips) chip.setAttribute("aria-pressed", String(chip.dataset.reason === this.reason));
    const row = !open.reason && !open.question && (this.pending || this.value !== null || had !== null);
    $("pending").classList.toggle("open", row);
    if (row) {
      $("pending-words").textContent = this.pendingWords(had);
      $("pending").querySelector("[data-does=send]").disabled = this.value === null;
      $("back-words").textContent = had === null ? "Back" : "Keep it as it was";
    }
    $("hint").hidden = row;
  }

  pendingWords(had) {
    if (this.value === null) {
      if (this.borderline) return "Borderline: which label is it nearest to?";
      return had === null ? "Choose a label; your comment goes with it." : `You had answered: ${had}. Choose again, or keep it.`;
    }
    const chosen = `${this.name(this.value)}${this.borderline ? ", borderline" : ""}`;
    if (had !== null) return `You had answered: ${had}${chosen === had ? "" : `. Now: ${chosen}`}`;
    if (this.second) return `${chosen}, could also be ${this.name(this.second)}`;
    return this.borderline ? `${chosen}; press a second label if two fit` : chosen;
  }
}
