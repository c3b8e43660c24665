// What Chromium's EventSource receives from `url`: the first `count` events, of type "message" and `names`.
// Reports each "open", and the "first" event.

import { browser, report } from "./driver.mjs";

// Runs in the page.
function collect({ url, count, names, credentials }) {
  return new Promise((resolve) => {
    const events = [];
    const states = [];
    const source = new EventSource(url, { withCredentials: credentials ?? false });
    const finish = (reason) => {
      source.close();
      resolve({ events, states, reason });
    };
    const take = (event) => {
      if (events.length === 0) {
        window.reportFirst();
      }
      if (events.length < count) {
        events.push({ event: event.type, data: event.data, id: event.lastEventId });
      }
      if (events.length === count) {
        finish("enough");
      }
    };
    source.onopen = () => {
      states.push("open");
      window.reportOpen();
    };
    source.onerror = () => {
      const closed = source.readyState === EventSource.CLOSED;
      states.push(closed ? "closed" : "connecting");
      if (closed) {
        finish("closed");
      }
    };
    for (const name of ["message", ...(names ?? [])]) {
      source.addEventListener(name, take);
    }
  });
}

browser(async ({ page, ...input }) => {
  const origin = new URL(input.url).origin;
  await page.exposeFunction("reportOpen", () => report("open"));
  await page.exposeFunction("reportFirst", () => report("first"));
  await page.route((url) => url.pathname === "/blank-page-of-the-spec", (route) =>
    route.fulfill({ contentType: "text/html", body: "<!doctype html><title>spec</title>" }),
  );
  await page.goto(input.page ?? origin + "/blank-page-of-the-spec");
  const { url, count, names, credentials } = input;
  return page.evaluate(collect, { url, count: count ?? 1, names, credentials });
});
