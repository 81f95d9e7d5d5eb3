// Light or dark: as the system says, until the switch is used. Nothing is remembered beyond this tab.
export function installThemeSwitch(button) {
  const system = matchMedia("(prefers-color-scheme: dark)");
  button.addEventListener("click", () => {
    const root = document.documentElement;
    const isDark = root.dataset.theme ? root.dataset.theme === "dark" : system.matches;
    root.dataset.theme = isDark ? "light" : "dark";
  });
}
