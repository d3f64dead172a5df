// Runs before the first paint, so a page never flashes in the wrong theme. A classic script on purpose:
// modules are deferred. The choice (light, dark, auto) is this browser's, in local storage.
(() => {
  const KEY = "concord.theme";
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");

  const choice = () => {
    try {
      const kept = localStorage.getItem(KEY);
      return kept === "light" || kept === "dark" ? kept : "auto";
    } catch {
      return "auto"; // storage is switched off: follow the system
    }
  };
  const apply = () => {
    const chosen = choice();
    root.dataset.bsTheme = chosen === "auto" ? (dark.matches ? "dark" : "light") : chosen;
  };

  root.classList.add("js");
  apply();
  dark.addEventListener("change", apply);
  addEventListener("storage", (event) => event.key === KEY && apply());

  addEventListener("DOMContentLoaded", () => {
    for (const radio of document.querySelectorAll("input[name='theme']")) {
      radio.checked = radio.value === choice();
      radio.addEventListener("change", () => {
        try {
          localStorage.setItem(KEY, radio.value);
          apply();
        } catch {
          root.dataset.bsTheme = radio.value === "auto" ? (dark.matches ? "dark" : "light") : radio.value;
        }
      });
    }
  });
})();
