// Asking this server, and no other. What it refuses becomes a Problem; when it is busy it is asked again.
const TRIES = 3;
let key = ""; // kept in this tab's memory only

export const useKey = (text) => {
  key = text;
};

export const hasKey = () => key !== "";

export class Problem extends Error {
  constructor(told, retryAfter = null) {
    super(told.detail ?? told.title ?? "");
    Object.assign(this, { code: told.code, detail: told.detail, image: told.image ?? null, retryAfter });
    this.refusals = told.refusals ?? []; // of an enrolment
    this.requestId = told.request_id ?? null;
  }
}

// `body` is sent as a form, `json` as JSON; the method is GET without either, and POST with a form, unless one is given.
export const ask = (path, { waiting = () => {}, ...asked } = {}) => attempt(path, { ...asked, waiting }, TRIES);

async function attempt(path, asked, left) {
  try {
    return await once(path, asked);
  } catch (problem) {
    if (problem.retryAfter === null || problem.retryAfter === undefined || left <= 1) throw problem;
    asked.waiting(problem.retryAfter);
    await pause(problem.retryAfter * 1000, asked.signal);
    return attempt(path, asked, left - 1);
  }
}

async function once(path, { body, json, method = body ? "POST" : "GET", headers, signal }) {
  const content = body ? asForm(body) : json && JSON.stringify(json);
  const kind = json ? { "Content-Type": "application/json" } : {};
  const access = key ? { Authorization: `Bearer ${key}` } : {};
  const request = { method, body: content, headers: { ...headers, ...kind, ...access }, signal };
  const response = await fetch(path, request).catch((error) => {
    if (error.name === "AbortError") throw error;
    throw new Problem({ code: "unreachable" });
  });
  const told = await response.json().catch(() => ({ code: "other", detail: `HTTP ${response.status}` }));
  if (response.ok) return told;
  const wait = response.status === 503 ? Number(response.headers.get("Retry-After") ?? 1) : null;
  throw new Problem(told, wait);
}

function asForm(parts) {
  const form = new FormData();
  const values = Object.entries(parts).flatMap(([name, given]) => [given].flat().map((value) => [name, value]));
  for (const [name, value] of values) {
    if (value instanceof Blob) form.append(name, value, "photo"); // a file's own name may name a person
    else if (value !== null && value !== undefined) form.append(name, String(value));
  }
  return form;
}

const pause = (ms, signal) =>
  new Promise((done, stop) => {
    const timer = setTimeout(done, ms);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      stop(signal.reason);
    });
  });
