// A server that gets one event wrong, to prove that the load generator notices.
// usage: node liar.js lose|double|swap|differ|reset|end|crumbs   (crumbs: nothing wrong, cut into bytes)

"use strict";
const http = require("node:http");

const fault = process.argv[2];
const subscribers = [];
let published = 0;
let held = null;

const write = {
  lose: (response, frame, n) => n !== 5 && response.write(frame),
  double: (response, frame, n) => response.write(n === 5 ? frame + frame : frame),
  swap: (response, frame, n) => {
    if (n === 5) held = frame;
    else response.write(n === 6 ? frame + held : frame);
  },
  reset: (response, frame, n) => response.write(n === 5 ? `event: reset\ndata: {}\n\n${frame}` : frame),
  end: (response, frame, n) => (n === 5 ? response.end() : response.write(frame)),
  crumbs: (response, frame) => [...frame].forEach((letter) => response.write(letter)),
};

// Half of the subscribers hear two events of different publishers in the other order.
function differ(frame, n) {
  if (n === 4) held = frame;
  const [early, late] = [(held ?? "") + frame, frame + (held ?? "")];
  if (n !== 4) subscribers.forEach((response, i) => response.write(n !== 5 ? frame : i % 2 ? early : late));
}

const server = http.createServer((request, response) => {
  if (request.url.startsWith("/sub/")) {
    response.writeHead(200, { "Content-Type": "text/event-stream" });
    response.write(":\n\n");
    return subscribers.push(response);
  }
  if (request.method !== "POST") return response.end();
  let body = "";
  request.on("data", (text) => (body += text));
  request.on("end", () => {
    const frame = `data: ${body}\n\n`;
    const n = published++;
    if (fault === "differ") differ(frame, n);
    else subscribers.forEach((other, i) => (i === 0 ? write[fault](other, frame, n) : other.write(frame)));
    response.end();
  });
});

server.listen({ port: 0, host: "127.0.0.1" }, () => {
  console.log(`liar: listening on http://127.0.0.1:${server.address().port}/`);
});
