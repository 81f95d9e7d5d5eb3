// Which language the page speaks, and words in it. Nothing is remembered beyond this tab.
import { english } from "./english.js";
import { chinese } from "./chinese.js";

const WORDS = { en: english, zh: chinese };
let language = (navigator.language || "en").startsWith("zh") ? "zh" : "en";

export const currentLanguage = () => language;

export function say(key, values = {}) {
  const text = key.split(".").reduce((words, part) => words?.[part], WORDS[language]);
  return text.replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

export const knows = (key) => key.split(".").reduce((words, part) => words?.[part], WORDS[language]) !== undefined;

// Write every text that stands in the page itself.
export function writeTexts() {
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  for (const element of document.querySelectorAll("[data-text]")) element.textContent = say(element.dataset.text);
  for (const element of document.querySelectorAll("[data-label]")) element.setAttribute("aria-label", say(element.dataset.label));
  writeTitle();
}

// The window is titled by the tab that is shown.
function writeTitle() {
  document.title = `visavis · ${document.querySelector("main > :not([hidden]) h1").textContent}`;
}

export function installLanguageSwitch(button, changed) {
  const tell = () => {
    button.textContent = language === "zh" ? "English" : "中文";
    button.lang = language === "zh" ? "en" : "zh-CN";
    writeTexts();
  };
  button.addEventListener("click", () => {
    language = language === "zh" ? "en" : "zh";
    tell();
    changed();
  });
  tell();
}
