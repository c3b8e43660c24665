// What the npm package `eventsource` receives from `url`: the first `count` events, of type "message" and
// `names`; `headers` go with each request. Reports each "open", and the "first" event.

import { EventSource } from "eventsource";
import { node, report } from "./driver.mjs";

node(({ url, count = 1, names = [], headers = {} }) =>
  new Promise((resolve) => {
    const events = [];
    const states = [];
    const source = new EventSource(url, {
      fetch: (input, init) => fetch(input, { ...init, headers: { ...init.headers, ...headers } }),
    });
    const finish = (reason) => {
      source.close();
      resolve({ events, states, reason });
    };
    const take = (event) => {
      if (events.length === 0) {
        report("first");
      }
      events.push({ event: event.type, data: event.data, id: event.lastEventId });
      if (events.length === count) {
        finish("enough");
      }
    };
    source.onopen = () => {
      states.push("open");
      report("open");
    };
    source.onerror = () => {
      const closed = source.readyState === EventSource.CLOSED;
      states.push(closed ? "closed" : "connecting");
      if (closed) {
        finish("closed");
      }
    };
    for (const name of ["message", ...names]) {
      source.addEventListener(name, take);
    }
  }),
);
