// The server that people write first: a loop of write() over a Set, for one channel or many.

"use strict";
const http = require("node:http");

const channels = new Map();

function channel(name) {
  let subscribers = channels.get(name);
  if (!subscribers) channels.set(name, (subscribers = new Set()));
  return subscribers;
}

function subscribe(request, response, subscribers) {
  response.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-store" });
  response.write(":\n\n");
  subscribers.add(response);
  request.on("close", () => subscribers.delete(response));
}

function publish(subscribers, data) {
  const frame = `data: ${data}\n\n`;
  for (const response of subscribers) response.write(frame);
}

function burst(subscribers, first, count, bytes) {
  for (let n = first; n < first + count; n++) {
    const head = `{"n":${n},"c":0,"pad":"`;
    publish(subscribers, `${head}${"x".repeat(bytes - head.length - 2)}"}`);
  }
}

const server = http.createServer((request, response) => {
  const [, action, name, ...numbers] = request.url.split("/");
  if (action === "sub") return subscribe(request, response, channel(name));
  let body = "";
  request.setEncoding("utf8");
  request.on("data", (text) => (body += text));
  request.on("end", () => {
    if (action === "pub") publish(channel(name), body);
    if (action === "burst") burst(channel(name), ...numbers.map(Number));
    response.end();
  });
});

server.keepAliveTimeout = 0;
server.listen({ port: 0, host: "127.0.0.1", backlog: 4096 }, () => {
  console.log(`node: listening on http://127.0.0.1:${server.address().port}/`);
});
