// Before the first paint, so that nobody sees the other theme flash; a file because the page's policy forbids inline scripts.
try {
  var theme = localStorage.getItem("dpgui.theme");
  if (theme === "dark" || theme === "light") document.documentElement.dataset.theme = theme;
} catch (_) {
  // Storage is forbidden: the system's theme it is.
}
