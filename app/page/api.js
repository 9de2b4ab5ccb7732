// The public HTTP API, as one browser uses it.

import { forget, language, remembered, say } from "./words.js";

const FINAL = ["succeeded", "failed", "needs_attention", "canceled"];
// The server says something on a stream every 10 s; one that is silent for longer than this is dead.
const SILENCE_MS = 30_000;

/** What went wrong, in words for people: the API's own, or the page's. */
export class Problem extends Error {
  constructor({ message, nextStep, status = 0, requestId = "" }) {
    super(message);
    Object.assign(this, { nextStep, status, requestId });
  }

  static of(key) {
    return new Problem({ message: say(key), nextStep: say(`${key}Step`) });
  }
}

export const get = async (path) => (await request(path)).json();

export const getFile = async (path) => (await request(path)).blob();

export const post = async (path, body = {}) => (await send("POST", path, body)).json();

export const put = async (path, body) => (await send("PUT", path, body)).json();

export const patch = async (path, body) => (await send("PATCH", path, body)).json();

export const remove = (path) => request(path, { method: "DELETE" });

let told = null;

/** What the server takes, asked once. */
export const limits = async () => (told ??= await post("/init"));

/** Presign, put and commit one file; the id of the media asset that came of it.
 *
 * Files that share an `artwork`, an object of the caller's, are uploaded for the same one.
 */
export async function upload(file, type, artwork = {}) {
  const door = await openDoor(file, type, artwork);
  // Content-Length is signed too, but browsers set that themselves.
  const headers = { "Content-Type": door.headers["Content-Type"] };
  const stored = await fetch(door.url, { method: "PUT", body: file, headers }).catch(() => null);
  if (!stored?.ok) throw Problem.of("uploadFailed");
  const asset = await post("/media/commit", { key: door.key, etag: stored.headers.get("ETag"), size: file.size });
  return asset.mediaAssetId;
}

/** The first file of an artwork reserves an id for it, and those that are uploaded at the same time wait to hear it. */
async function openDoor(file, type, artwork) {
  const mime = file.type.split(";")[0] || "application/octet-stream";
  const ask = (artworkId) => post("/upload/presign", { type, mime, size: file.size, artworkId });
  if (!artwork.door) return (artwork.door = ask());
  const first = await artwork.door.catch(() => null);
  return first ? ask(first.artworkId) : (artwork.door = ask());
}

export const hasEnded = (job) => FINAL.includes(job.status);

/** Tell `show` of a job until it has ended: from its event stream, and by asking whenever a stream is over. */
export async function watch(jobId, show, signal) {
  let last = "0";
  for (let pause = 1000; !signal.aborted; pause = Math.min(2 * pause, 15_000)) {
    try {
      for await (const event of events(jobId, last, signal)) {
        last = event.id;
        pause = 1000;
        show(JSON.parse(event.data));
      }
    } catch {
      // A stream breaks for many reasons, and the question below is the answer to all of them.
    }
    try {
      const job = await get(`/generation/jobs/${jobId}`);
      if (hasEnded(job)) return job;
      show(job);
    } catch (problem) {
      if (problem.status === 404) throw problem;
    }
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
  return null;
}

async function* events(jobId, last, signal) {
  const stop = new AbortController();
  signal.addEventListener("abort", () => stop.abort());
  const headers = { "Last-Event-ID": last };
  const stream = await request(`/generation/jobs/${jobId}/events`, { headers, signal: stop.signal });
  if (stream.status === 204) return;
  const reader = stream.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let text = ""; ; ) {
    const silence = setTimeout(() => stop.abort(), SILENCE_MS);
    const { done, value } = await reader.read();
    clearTimeout(silence);
    if (done) return;
    const blocks = (text + value).split(/\r?\n\r?\n/);
    text = blocks.pop();
    for (const block of blocks) {
      const fields = Object.fromEntries(block.split(/\r?\n/).map((line) => line.split(/: ?(.*)/, 2)));
      if (fields.data) yield fields;
    }
  }
}

function send(method, path, body) {
  const headers = { "Content-Type": "application/json" };
  return request(path, { method, body: JSON.stringify(body), headers });
}

// Where calls carry a token; it is asked for when the first call is refused for want of one, or for its age.
let token = null;

async function request(path, options = {}) {
  const first = await attempt(path, options);
  const answer = first.status === 401 && (await getToken()) ? await attempt(path, options) : first;
  if (answer.ok) return answer;
  const isProblem = answer.headers.get("Content-Type")?.startsWith("application/problem+json");
  throw isProblem ? new Problem(await answer.json()) : Problem.of("offline");
}

/** From here on whoever uses this browser is somebody new, who finds nothing that is still in memory either. */
export function forgetCaller() {
  forget("clientId");
  history.scrollRestoration = "manual";
  location.reload();
}

async function getToken() {
  token = null;
  const answer = await attempt("/init", { method: "POST" });
  if (answer.ok) token = (await answer.json()).token;
  return token;
}

async function attempt(path, options) {
  const caller = token ? { Authorization: `Bearer ${token}` } : { "X-Client-Id": remembered("clientId", newClientId) };
  try {
    return await fetch(path, { ...options, headers: { ...caller, "Accept-Language": language, ...options.headers } });
  } catch {
    throw Problem.of("offline");
  }
}

function newClientId() {
  // On its own machine a new browser takes the client that the demo's link names, and so finds the demo's film.
  // Anywhere else, or once there is an id, no link may decide whose gallery this is.
  const named = /^#\/client\/([\w-]{10,64})$/.exec(location.hash);
  if (named && ["localhost", "127.0.0.1"].includes(location.hostname)) return named[1];
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
  return Array.from(crypto.getRandomValues(new Uint8Array(21)), (byte) => alphabet[byte % 64]).join("");
}
