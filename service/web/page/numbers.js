// Numbers as people read them, in the language of the page.
import { currentLanguage } from "./words.js";

const format = (options) => (value) => new Intl.NumberFormat(currentLanguage(), options).format(value).replace("-", "−");

export const whole = format({ maximumFractionDigits: 0 });
export const short = format({ notation: "compact", maximumSignificantDigits: 3 });
export const decimals = (value, n = 3) => format({ minimumFractionDigits: n, maximumFractionDigits: n })(value);
export const percent = format({ style: "percent", maximumSignificantDigits: 2 });

// A probability: never rounded up to certainty.
export function chance(value) {
  const most = 0.9999;
  if (value > most) return `> ${format({ style: "percent", maximumFractionDigits: 2 })(most)}`;
  if (value < 1 - most) return `< ${format({ style: "percent", maximumFractionDigits: 2 })(1 - most)}`;
  return format({ style: "percent", minimumSignificantDigits: 3, maximumSignificantDigits: value > 0.99 ? 4 : 3 })(value);
}
