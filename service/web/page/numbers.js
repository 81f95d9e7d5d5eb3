// Numbers as people read them, in the language of the page.
import { currentLanguage } from "./words.js";

const format = (options) => (value) => new Intl.NumberFormat(currentLanguage(), options).format(value).replace("-", "−");

export const whole = format({ maximumFractionDigits: 0 });
export const short = format({ notation: "compact", maximumSignificantDigits: 3 });
export const decimals = (value, n = 3) => format({ minimumFractionDigits: n, maximumFractionDigits: n })(value);
export const percent = format({ style: "percent", maximumSignificantDigits: 2 });

// At most so many of so many: 0.01 is 10 of 1,000.
export function ofMany(rate) {
  let n = 1000;
  while (rate * n < 1) n *= 10;
  return { k: whole(Math.ceil(rate * n - 1e-6)), n: whole(n) };
}

const written = (options) => (text) => new Intl.DateTimeFormat(currentLanguage(), options).format(new Date(text));

export const moment = written({ dateStyle: "medium", timeStyle: "short" });
export const localDay = written({ dateStyle: "medium" });
export const day = written({ dateStyle: "medium", timeZone: "UTC" }); // of a date without a time

// A probability: never rounded up to certainty.
export function chance(value) {
  const most = 0.9999;
  if (value > most) return `> ${format({ style: "percent", maximumFractionDigits: 2 })(most)}`;
  if (value < 1 - most) return `< ${format({ style: "percent", maximumFractionDigits: 2 })(1 - most)}`;
  return format({ style: "percent", minimumSignificantDigits: 3, maximumSignificantDigits: value > 0.99 ? 4 : 3 })(value);
}
