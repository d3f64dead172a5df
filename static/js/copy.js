// A button with data-copies="id" copies what stands in that field, and says so.
// The clipboard needs https or localhost; elsewhere the field is selected, ready for Ctrl+C.
for (const button of document.querySelectorAll("[data-copies]")) {
  button.addEventListener("click", async () => {
    const field = document.getElementById(button.dataset.copies);
    field.select();
    let word = "Copied";
    try {
      await navigator.clipboard.writeText(field.value);
    } catch {
      word = "Selected";
    }
    button.textContent = word;
  });
}
