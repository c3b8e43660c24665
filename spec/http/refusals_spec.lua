-- What two servers could read differently, and what is no request at all: refused with an answer that says
-- so, then the connection closes, since nobody knows where the next request would start.

local http = require "spec.support.http"
local server = require "spec.support.server"
local support = require "spec.http.support"

local GET = "GET /ok HTTP/1.1\r\nHost: a\r\n"
local UPGRADE = GET .. "Connection: Upgrade, HTTP2-Settings\r\n"
local POST = "POST /echo HTTP/1.1\r\nHost: a\r\n"
local CODING = POST .. "Transfer-Encoding: "
local CHUNKED = CODING .. "chunked\r\n\r\n"
local LAST = "\r\n\r\n0\r\n\r\n"

-- Each: what it is, its status, its bytes.
local CASES = {
  { "bare LF behind the request line", 400, "GET /ok HTTP/1.1\nHost: a\r\n\r\n" },
  { "bare LF behind a header", 400, "GET /ok HTTP/1.1\r\nHost: a\n\r\n" },
  { "bare LF at the end of the head", 400, GET .. "\n" },
  { "bare LF alone", 400, "GET /ok HTTP/1.1\nHost: a\n\n" },
  { "bare LF before the request", 400, "\n" .. GET .. "\r\n" },
  { "bare CR behind the request line", 400, "GET /ok HTTP/1.1\rHost: a\r\n\r\n" },
  { "bare CR behind a header", 400, "GET /ok HTTP/1.1\r\nHost: a\rX: b\r\n\r\n" },
  { "bare CR in a value", 400, GET .. "X: a\rb\r\n\r\n" },
  { "bare CR at the end of the head", 400, GET .. "\rX\r\n\r\n" },
  { "bare CR before the request", 400, "\r" .. GET .. "\r\n" },
  { "CR CR LF", 400, GET .. "X: a\r\r\n\r\n" },
  { "bare LF behind a chunk's size", 400, CHUNKED .. "1\na\r\n0\r\n\r\n" },
  { "bare CR behind a chunk's size", 400, CHUNKED .. "1\ra\r\n0\r\n\r\n" },
  { "bare LF in a chunk's extension", 400, CHUNKED .. "1;a\nb\r\na\r\n0\r\n\r\n" },
  { "bare LF behind a chunk", 400, CHUNKED .. "1\r\na\n0\r\n\r\n" },
  { "bare CR behind a chunk", 400, CHUNKED .. "1\r\na\r0\r\n\r\n" },
  { "bare LF behind the last chunk's size", 400, CHUNKED .. "0\n\r\n" },
  { "bare LF at the end of the body", 400, CHUNKED .. "0\r\n\n" },
  { "bare LF behind a trailer", 400, CHUNKED .. "0\r\nA: b\n\r\n" },
  { "bare CR in a trailer", 400, CHUNKED .. "0\r\nA: b\rc\r\n\r\n" },
  { "other bytes than CR LF behind a chunk", 400, CHUNKED .. "1\r\naXX0\r\n\r\n" },
  { "no bytes between chunks", 400, CHUNKED .. "1\r\na1\r\nb\r\n0\r\n\r\n" },
  { "a chunk longer than its size", 400, CHUNKED .. "1\r\nab\r\n0\r\n\r\n" },
  { "a chunk without a size", 400, CHUNKED .. "\r\n0\r\n\r\n" },
  { "a chunk whose size is only an extension", 400, CHUNKED .. ";a\r\n0\r\n\r\n" },
  { "a chunk's size with a prefix", 400, CHUNKED .. "0x1\r\na\r\n0\r\n\r\n" },
  { "a chunk's size with a sign", 400, CHUNKED .. "+1\r\na\r\n0\r\n\r\n" },
  { "a negative chunk's size", 400, CHUNKED .. "-1\r\na\r\n0\r\n\r\n" },
  { "a space before a chunk's size", 400, CHUNKED .. " 1\r\na\r\n0\r\n\r\n" },
  { "a space behind a chunk's size", 400, CHUNKED .. "1 \r\na\r\n0\r\n\r\n" },
  { "two numbers in a chunk's size", 400, CHUNKED .. "1 0\r\na\r\n0\r\n\r\n" },
  { "a chunk's size beyond 64 bits", 400, CHUNKED .. "10000000000000001\r\na\r\n0\r\n\r\n" },
  { "NUL in a chunk's extension", 400, CHUNKED .. "1;a=\0\r\na\r\n0\r\n\r\n" },
  { "NUL in a trailer", 400, CHUNKED .. "0\r\nA: \0\r\n\r\n" },
  { "obs-fold in a trailer", 400, CHUNKED .. "0\r\nA: b\r\n c\r\n\r\n" },
  { "white space before the colon of a trailer", 400, CHUNKED .. "0\r\nA : b\r\n\r\n" },
  { "a trailer without a colon", 400, CHUNKED .. "0\r\nA\r\n\r\n" },

  { "Transfer-Encoding with Content-Length", 400, CODING .. "chunked\r\nContent-Length: 5" .. LAST },
  { "Content-Length with Transfer-Encoding", 400, POST .. "Content-Length: 5\r\nTransfer-Encoding: chunked" .. LAST },
  { "Content-Length twice", 400, POST .. "Content-Length: 1\r\nContent-Length: 1\r\n\r\na" },
  { "two Content-Lengths", 400, POST .. "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab" },
  { "two Content-Lengths in one header", 400, POST .. "Content-Length: 5,5\r\n\r\nhello" },
  { "two Content-Lengths in one header, spaced", 400, POST .. "Content-Length: 5, 5\r\n\r\nhello" },
  { "Content-Length with a sign", 400, POST .. "Content-Length: +5\r\n\r\nhello" },
  { "negative Content-Length", 400, POST .. "Content-Length: -5\r\n\r\nhello" },
  { "hexadecimal Content-Length", 400, POST .. "Content-Length: 0x5\r\n\r\nhello" },
  { "fractional Content-Length", 400, POST .. "Content-Length: 5.0\r\n\r\nhello" },
  { "Content-Length with a space inside", 400, POST .. "Content-Length: 5 5\r\n\r\nhello" },
  { "empty Content-Length", 400, POST .. "Content-Length:\r\n\r\n" },
  { "blank Content-Length", 400, POST .. "Content-Length:   \r\n\r\n" },
  { "Content-Length beyond 64 bits", 400, POST .. "Content-Length: 18446744073709551617\r\n\r\na" },
  { "both on GET", 400, GET .. "Content-Length: 0\r\nTransfer-Encoding: chunked" .. LAST },

  { "a coding behind chunked", 400, CODING .. "chunked, gzip" .. LAST },
  { "a parameter of chunked", 400, CODING .. "chunked;q=1" .. LAST },
  { "a comma behind chunked", 400, CODING .. "chunked," .. LAST },
  { "chunked twice", 400, CODING .. "chunked, chunked" .. LAST },
  { "Transfer-Encoding twice", 400, CODING .. "chunked\r\nTransfer-Encoding: chunked" .. LAST },
  { "chunked and identity in two headers", 400, CODING .. "chunked\r\nTransfer-Encoding: identity" .. LAST },
  { "chunked between codings", 400, CODING .. "chunked, gzip, chunked" .. LAST },
  { "a comma before chunked", 400, CODING .. ", chunked" .. LAST },
  { "a coding before chunked", 501, CODING .. "gzip, chunked" .. LAST },
  { "a coding before chunked, without a space", 501, CODING .. "gzip,Chunked" .. LAST },
  { "two codings before chunked", 501, CODING .. "deflate \t, gzip;q=1 , chunked" .. LAST },
  { "a coding before chunked in a header of its own", 400, CODING .. "gzip\r\nTransfer-Encoding: chunked" .. LAST },
  { "a coding before chunked with Content-Length", 400, CODING .. "gzip, chunked\r\nContent-Length: 5" .. LAST },
  { "identity", 400, CODING .. "identity\r\n\r\n" },
  { "gzip", 400, CODING .. "gzip\r\n\r\n" },
  { "two codings without chunked", 400, CODING .. "gzip, deflate\r\n\r\n" },
  { "a coding that looks like chunked", 400, CODING .. "xchunked" .. LAST },
  { "quoted chunked", 400, CODING .. "\"chunked\"" .. LAST },
  { "empty Transfer-Encoding", 400, POST .. "Transfer-Encoding:\r\n\r\n" },
  { "chunked in HTTP/1.0", 400, "POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked" .. LAST },

  { "no Host", 400, "GET /ok HTTP/1.1\r\n\r\n" },
  { "no Host with an absolute target", 400, "GET http://a/ok HTTP/1.1\r\n\r\n" },
  { "Host twice", 400, GET .. "Host: a\r\n\r\n" },
  { "two Hosts in HTTP/1.0", 400, "GET /ok HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n" },
  { "Host with a space", 400, "GET /ok HTTP/1.1\r\nHost: a b\r\n\r\n" },
  { "Host with a path", 400, "GET /ok HTTP/1.1\r\nHost: a/b\r\n\r\n" },
  { "Host with a user", 400, "GET /ok HTTP/1.1\r\nHost: user@a\r\n\r\n" },
  { "Host with two ports", 400, "GET /ok HTTP/1.1\r\nHost: a:80:81\r\n\r\n" },
  { "Host with a port that is no number", 400, "GET /ok HTTP/1.1\r\nHost: a:b\r\n\r\n" },
  { "Host with an open bracket", 400, "GET /ok HTTP/1.1\r\nHost: [::1\r\n\r\n" },
  { "Host as a list", 400, "GET /ok HTTP/1.1\r\nHost: a, b\r\n\r\n" },
  { "empty Host", 400, "GET /ok HTTP/1.1\r\nHost:\r\n\r\n" },

  { "a space before the colon", 400, "GET /ok HTTP/1.1\r\nHost : a\r\n\r\n" },
  { "a tab before the colon", 400, GET .. "X\t: a\r\n\r\n" },
  { "a space before the colon of Content-Length", 400, POST .. "Content-Length : 5\r\n\r\nhello" },
  { "a space before the colon of Transfer-Encoding", 400, POST .. "Transfer-Encoding : chunked" .. LAST },
  { "obs-fold with a space", 400, GET .. "X: a\r\n b\r\n\r\n" },
  { "obs-fold with a tab", 400, GET .. "X: a\r\n\tb\r\n\r\n" },
  { "a space before the first header", 400, "GET /ok HTTP/1.1\r\n Host: a\r\n\r\n" },
  { "a header without a colon", 400, GET .. "X\r\n\r\n" },
  { "a header without a name", 400, GET .. ": a\r\n\r\n" },
  { "a space in a header's name", 400, GET .. "X Y: a\r\n\r\n" },
  { "a separator in a header's name", 400, GET .. "X(Y): a\r\n\r\n" },
  { "a byte above 127 in a header's name", 400, GET .. "X\xE9: a\r\n\r\n" },
  { "NUL in a header's name", 400, GET .. "X\0: a\r\n\r\n" },
  { "NUL in a value", 400, GET .. "X: a\0b\r\n\r\n" },
  { "NUL in Content-Length", 400, POST .. "Content-Length: 5\0\r\n\r\nhello" },
  { "a control byte in a value", 400, GET .. "X: a\1b\r\n\r\n" },
  { "ESC in a value", 400, GET .. "X: \27[31m\r\n\r\n" },
  { "DEL in a value", 400, GET .. "X: a\127\r\n\r\n" },
  { "NUL in the target", 400, "GET /ok\0 HTTP/1.1\r\nHost: a\r\n\r\n" },
  { "a control byte in the target", 400, "GET /ok\1 HTTP/1.1\r\nHost: a\r\n\r\n" },
  { "a tab in the target", 400, "GET /o\tk HTTP/1.1\r\nHost: a\r\n\r\n" },
  { "DEL in the target", 400, "GET /ok\127 HTTP/1.1\r\nHost: a\r\n\r\n" },
  { "NUL in the method", 400, "G\0T /ok HTTP/1.1\r\nHost: a\r\n\r\n" },

  { "two spaces before the target", 400, "GET  /ok HTTP/1.1\r\nHost: a\r\n\r\n" },
  { "two spaces behind the target", 400, "GET /ok  HTTP/1.1\r\nHost: a\r\n\r\n" },
  { "a space behind the version", 400, "GET /ok HTTP/1.1 \r\nHost: a\r\n\r\n" },
  { "a space before the method", 400, " GET /ok HTTP/1.1\r\nHost: a\r\n\r\n" },
  { "a tab in the request line", 400, "GET\t/ok HTTP/1.1\r\nHost: a\r\n\r\n" },
  { "a space in the target", 400, "GET /ok x HTTP/1.1\r\nHost: a\r\n\r\n" },
  { "no target", 400, "GET HTTP/1.1\r\nHost: a\r\n\r\n" },
  { "no version", 400, "GET /ok\r\nHost: a\r\n\r\n" },
  { "another protocol", 400, "GET /ok RTSP/1.0\r\nHost: a\r\n\r\n" },
  { "yet another protocol", 400, "SOURCE /ok ICE/1.0\r\nHost: a\r\n\r\n" },
  { "a protocol in small letters", 400, "GET /ok http/1.1\r\nHost: a\r\n\r\n" },

  { "HTTP/2.0", 505, "GET /ok HTTP/2.0\r\nHost: a\r\n\r\n" },
  { "HTTP/1.2", 505, "GET /ok HTTP/1.2\r\nHost: a\r\n\r\n" },
  { "HTTP/0.9 spelled out", 505, "GET /ok HTTP/0.9\r\nHost: a\r\n\r\n" },
  { "HTTP/3.0", 505, "GET /ok HTTP/3.0\r\nHost: a\r\n\r\n" },
  { "HTTP/1.10", 400, "GET /ok HTTP/1.10\r\nHost: a\r\n\r\n" },
  { "HTTP/2's preface", 505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" },

  { "an unknown method", 501, "BREW /ok HTTP/1.1\r\nHost: a\r\n\r\n" },
  { "a method that begins like a known one", 501, "GETS /ok HTTP/1.1\r\nHost: a\r\n\r\n" },
  { "a method that a known one begins with", 501, "GE /ok HTTP/1.1\r\nHost: a\r\n\r\n" },
  { "a method in small letters", 501, "get /ok HTTP/1.1\r\nHost: a\r\n\r\n" },
  { "CONNECT", 501, "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n" },
  { "a method that is no token", 400, "{} /ok HTTP/1.1\r\nHost: a\r\n\r\n" },

  { "an expectation that nobody knows", 417, POST .. "Expect: miracles\r\nContent-Length: 1\r\n\r\na" },
  { "an expectation beside the known one", 417, POST .. "Expect: 100-continue, more\r\nContent-Length: 1\r\n\r\na" },

  { "TLS", 400, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" .. ("\xA5\x00\x0D\x0A"):rep(50) },
  { "SSH", 400, "SSH-2.0-OpenSSH_9.2\r\n", 501 },
  { "zeros", 400, ("\0"):rep(100) },
}

local function check(case, responses)
  local statuses = support.statuses_of(responses)
  assert.equal(1, #statuses, case[1] .. ": " .. table.concat(statuses, ", "))
  local response = responses[1]
  assert.is_true(response.status == case[2] or response.status == case[4],
    ("%s: %d instead of %d"):format(case[1], response.status, case[2]))
  assert.equal("close", response.headers.connection)
  assert.equal("text/plain; charset=utf-8", response.headers["content-type"])
  assert.matches("^%d%d%d [%w ]+: [%w ,/().]+\n$", response.body)
end

describe("a request is refused for", function()
  local router

  setup(function()
    router = support.start()
  end)
  teardown(server.stop_all)

  for _, case in ipairs(CASES) do
    it(case[1], function()
      local connection = http.connect(router.port)
      connection:send(case[3])
      support.expect_end(connection)
      check(case, support.responses(connection))
    end)
  end
end)

describe("a request that comes byte by byte", function()
  teardown(server.stop_all)

  it("is refused for the same faults", function()
    local router = support.start()
    local texts = {}
    for index, case in ipairs(CASES) do
      texts[index] = case[3]
    end
    for index, connection in ipairs(support.drip(router.port, texts)) do
      support.expect_end(connection)
      check(CASES[index], support.responses(connection))
    end
  end)
end)

describe("the router takes", function()
  local router

  setup(function()
    router = support.start()
  end)
  teardown(server.stop_all)

  for _, case in ipairs {
    { "any case in a header's name", "GET /ok HTTP/1.1\r\nhOST: a\r\n\r\n" },
    { "white space around a value", GET .. "X: \t a b \t\r\nContent-Length:  0  \r\n\r\n" },
    { "an empty value", GET .. "X:\r\nY: \r\n\r\n" },
    { "bytes above 127 in a value", GET .. "X: \xE9\u{20AC}\r\n\r\n" },
    { "every token byte in a name", GET .. "!#$%&'*+-.^_`|~09azAZ: a\r\n\r\n" },
    { "a Host with a port", "GET /ok HTTP/1.1\r\nHost: a.example:8080\r\n\r\n" },
    { "a Host with an empty port", "GET /ok HTTP/1.1\r\nHost: a.example:\r\n\r\n" },
    { "an IPv6 Host", "GET /ok HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n" },
    { "Chunked in any case", "GET /ok HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: CHUNKED" .. LAST },
    { "a trailer that would be a length in the head", CHUNKED .. "0\r\nContent-Length: 30\r\n\r\n" },
    { "an Upgrade to HTTP/2, and ignores it", UPGRADE .. "Upgrade: h2c\r\nHTTP2-Settings: AA\r\n\r\n" },
    { "an Upgrade to WebSocket, and ignores it", UPGRADE .. "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n" },
    { "HTTP/1.0 without Host", "GET /ok HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" },
  } do
    it(case[1], function()
      assert.same({ 200, 200 }, support.statuses(router.port, case[2] .. GET .. "\r\n"))
    end)
  end
end)
