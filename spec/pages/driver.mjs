// The Node half of spec/support/page.lua. A script calls `node` or `browser` once with a function; what
// that returns is the spec's result, what it throws fails the spec. On the way `report` tells the spec
// something, and `told` waits until the spec calls `tell`.

import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

const flags = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--disable-quic",
  "--no-first-run",
];

const waiting = new Map();
const early = new Map();

function say(message) {
  process.stdout.write(JSON.stringify(message) + "\n");
}

export function report(name, value = null) {
  say({ report: name, value });
}

export function told(name) {
  if (early.has(name)) {
    const value = early.get(name);
    early.delete(name);
    return Promise.resolve(value);
  }
  return new Promise((resolve) => waiting.set(name, resolve));
}

function listen() {
  const lines = createInterface({ input: process.stdin });
  lines.on("line", (line) => {
    const { tell, value = null } = JSON.parse(line);
    const resolve = waiting.get(tell);
    if (resolve) {
      waiting.delete(tell);
      resolve(value);
    } else {
      early.set(tell, value);
    }
  });
}

async function run(play) {
  listen();
  const input = JSON.parse(process.argv[2] ?? "{}");
  let status = 0;
  try {
    say({ result: (await play(input)) ?? null });
  } catch (error) {
    say({ failure: String(error?.stack ?? error) });
    status = 1;
  }
  // What the script left open, such as an EventSource, must not hold the process.
  process.stdout.write("", () => process.exit(status));
}

// Runs `play(input)` on Node alone; `input` is the spec's, with `url` at least.
export function node(play) {
  return run(play);
}

// Runs `play({ page, context, browser, messages, ...input })` with a fresh page in Chromium; `messages` are
// the lines of its console. An error that the page does not catch fails the spec.
export function browser(play) {
  return run(async (input) => {
    const instance = await chromium.launch({
      executablePath: process.env.CHROMIUM,
      args: flags,
      handleSIGTERM: false,
    });
    process.once("SIGTERM", () => instance.close().finally(() => process.exit(143)));
    try {
      const context = await instance.newContext();
      const page = await context.newPage();
      page.setDefaultTimeout(20000);
      const errors = [];
      const messages = [];
      page.on("pageerror", (error) => errors.push(String(error)));
      page.on("console", (message) => messages.push(message.text()));
      const result = await play({ ...input, page, context, browser: instance, messages });
      if (errors.length > 0) {
        throw new Error("the page raised: " + errors.join("; "));
      }
      return result;
    } finally {
      await instance.close();
    }
  });
}
