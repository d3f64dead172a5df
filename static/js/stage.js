// A picture to look at closely: zoom, pan, loupe. Nothing covers the picture but its tools and the loupe.

const STEP = 1.5;
const MOST = 8;
const PAN = 60;
const LOUPE_ZOOM = 3;

export class Stage {
  /** Take over `element` ([data-stage] with one <img>); its tools come from the page's template. */
  constructor(element) {
    this.element = element;
    this.image = element.querySelector("img");
    this.scale = 1;
    this.x = 0;
    this.y = 0;
    element.append(document.getElementById("stage-tools").content.cloneNode(true));
    this.loupeButton = element.querySelector("[data-zoom=loupe]");
    element.addEventListener("click", (event) => {
      const tool = event.target.closest("[data-zoom]")?.dataset.zoom;
      if (tool) this.do(tool);
    });
    element.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && this.scale === 1) return; // an unzoomed picture lets the page scroll
      event.preventDefault();
      this.zoom(event.deltaY < 0 ? STEP : 1 / STEP, event);
    }, { passive: false });
    element.addEventListener("pointerdown", (event) => this.drag(event));
    element.addEventListener("pointermove", (event) => this.lens && this.look(event.clientX, event.clientY));
  }

  /** What a key or a tool asks for; returns whether the stage took it. */
  do(what) {
    if (what === "in" || what === "+" || what === "=") this.zoom(STEP);
    else if (what === "out" || what === "-" || what === "−") this.zoom(1 / STEP);
    else if (what === "loupe" || what === "z") this.loupe();
    else if (/^Arrow/.test(what) && (this.lens || this.scale > 1)) this.arrow(what);
    else if (what === "Escape" && this.lens) this.loupe();
    else if (what === "Escape" && this.scale > 1) this.zoom(0);
    else return false;
    return true;
  }

  zoom(factor, at) {
    const box = this.element.getBoundingClientRect();
    const before = this.scale;
    this.scale = factor ? Math.min(MOST, Math.max(1, before * factor)) : 1;
    // The point under the pointer (or the middle) stays where it is.
    const px = at ? at.clientX - box.left - box.width / 2 : 0;
    const py = at ? at.clientY - box.top - box.height / 2 : 0;
    this.x = px - ((px - this.x) * this.scale) / before;
    this.y = py - ((py - this.y) * this.scale) / before;
    this.place();
  }

  place() {
    const mostX = (this.element.clientWidth * (this.scale - 1)) / 2;
    const mostY = (this.element.clientHeight * (this.scale - 1)) / 2;
    this.x = Math.max(-mostX, Math.min(mostX, this.x));
    this.y = Math.max(-mostY, Math.min(mostY, this.y));
    this.image.style.transform = this.scale === 1 ? "" : `translate(${this.x}px, ${this.y}px) scale(${this.scale})`;
    this.element.classList.toggle("zoomed", this.scale > 1);
  }

  drag(event) {
    if (this.scale === 1 || event.target.closest(".stage-tools")) return;
    event.preventDefault();
    const from = { x: event.clientX - this.x, y: event.clientY - this.y };
    const move = (it) => {
      this.x = it.clientX - from.x;
      this.y = it.clientY - from.y;
      this.place();
    };
    const end = () => {
      this.element.removeEventListener("pointermove", move);
    };
    this.element.setPointerCapture(event.pointerId);
    this.element.addEventListener("pointermove", move);
    this.element.addEventListener("pointerup", end, { once: true });
    this.element.addEventListener("pointercancel", end, { once: true });
  }

  arrow(key) {
    const [dx, dy] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[key];
    if (this.lens) {
      const box = this.element.getBoundingClientRect();
      this.look(Math.min(box.right, Math.max(box.left, this.at.x + dx * 24)), Math.min(box.bottom, Math.max(box.top, this.at.y + dy * 24)));
    } else {
      this.x -= dx * PAN;
      this.y -= dy * PAN;
      this.place();
    }
  }

  loupe() {
    if (this.lens) {
      this.lens.remove();
      this.lens = null;
    } else {
      this.lens = document.createElement("div");
      this.lens.className = "loupe";
      this.lens.setAttribute("aria-hidden", "true");
      this.lens.style.backgroundImage = `url("${this.image.currentSrc || this.image.src}")`;
      this.element.append(this.lens);
      const box = this.element.getBoundingClientRect();
      this.look(this.at?.x ?? box.left + box.width / 2, this.at?.y ?? box.top + box.height / 2);
    }
    this.loupeButton.setAttribute("aria-pressed", String(Boolean(this.lens)));
  }

  look(clientX, clientY) {
    this.at = { x: clientX, y: clientY };
    const box = this.element.getBoundingClientRect();
    const shown = this.shownBox();
    const half = this.lens.offsetWidth / 2;
    this.lens.style.transform = `translate(${clientX - box.left - half}px, ${clientY - box.top - half}px)`;
    this.lens.style.backgroundSize = `${shown.width * LOUPE_ZOOM}px ${shown.height * LOUPE_ZOOM}px`;
    this.lens.style.backgroundPosition = `${half - (clientX - shown.left) * LOUPE_ZOOM}px ${half - (clientY - shown.top) * LOUPE_ZOOM}px`;
  }

  /** Where the picture itself lies inside its box (object-fit: contain leaves margins). */
  shownBox() {
    const box = this.image.getBoundingClientRect();
    const { naturalWidth: width, naturalHeight: height } = this.image;
    const fit = Math.min(box.width / (width || 1), box.height / (height || 1));
    const shown = { width: width * fit, height: height * fit };
    return { ...shown, left: box.left + (box.width - shown.width) / 2, top: box.top + (box.height - shown.height) / 2 };
  }
}
