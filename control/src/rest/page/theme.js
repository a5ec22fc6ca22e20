// Runs before the first paint, so that a chosen theme does not flash. A theme of "auto" follows the system.
const stored = (() => {
  try {
    return localStorage.getItem("rmqc-theme");
  } catch {
    return null;
  }
})();
if (stored === "light" || stored === "dark") document.documentElement.dataset.theme = stored;
