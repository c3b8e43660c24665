-- The raw HTTP client and its decoder, against hand-made bytes.

local files = require "spec.support.files"
local http = require "spec.support.http"
local http_decoder = require "spec.support.http_decoder"
local loop = require "spec.support.loop"
local server = require "spec.support.server"
local toy_server = require "spec.support.toy_server"

--- What the decoder makes of these portions: responses with their bodies, and how the end was.
local function decode(portions, method)
  local responses, body = {}, {}
  local decoder = http_decoder.new({
    on_head = function(_, head)
      table.insert(responses, head)
      body = {}
    end,
    on_body = function(_, bytes)
      table.insert(body, bytes)
    end,
    on_end = function()
      responses[#responses].body = table.concat(body)
    end,
  }, function()
    return method
  end)
  for _, portion in ipairs(portions) do
    decoder:feed(portion)
  end
  return responses, decoder:finish()
end

local chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

describe("the HTTP decoder", function()
  local stream = "HTTP/1.1 100 Continue\r\n\r\n"
    .. "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-One:  a \r\nx-one: b\r\n\r\nhello"
    .. chunked .. "3\r\nabc\r\n1A\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\n\r\n"
    .. "HTTP/1.1 204 No Content\r\n\r\n"
    .. "HTTP/1.1 304 Not Modified\r\nContent-Length: 77\r\n\r\n"
    .. "HTTP/1.0 200 \r\n\r\nto the end"

  local function check_stream(portions)
    local responses, ending = decode(portions)
    assert.equal("complete", ending)
    assert.equal(6, #responses)
    assert.equal("a, b", responses[2].headers["x-one"])
    assert.same({ "X-One", "a" }, responses[2].list[2])
    local bodies = { "", "hello", "abcabcdefghijklmnopqrstuvwxyz", "", "", "to the end" }
    for number, body in ipairs(bodies) do
      assert.equal(body, responses[number].body)
    end
  end

  it("reads all kinds of framing, split anywhere", function()
    for at = 0, #stream do
      check_stream { stream:sub(1, at), stream:sub(at + 1) }
    end
    local bytes = {}
    for at = 1, #stream do
      bytes[at] = stream:sub(at, at)
    end
    check_stream(bytes)
  end)

  it("knows that HEAD has no body", function()
    local responses, ending = decode({ "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n" }, "HEAD")
    assert.equal("", responses[1].body)
    assert.equal("complete", ending)
  end)

  it("tells a truncated response", function()
    for _, bytes in ipairs {
      "HTTP/1.1 200 OK\r\n",
      "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
      chunked,
      chunked .. "5\r\nhell",
      chunked .. "5\r\nhello",
      chunked .. "5\r\nhello\r\n",
      chunked .. "5\r\nhello\r\n0\r\n",
    } do
      local _, ending = decode { bytes }
      assert.equal("truncated", ending)
    end
  end)

  local malformed = {
    ["no status line"] = "data: x\n\n",
    ["status"] = "HTTP/1.1 20 OK\r\n\r\n",
    ["version"] = "HTTP/2.0 200 OK\r\n\r\n",
    ["space before the colon"] = "HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
    ["folded header"] = "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
    ["bare LF"] = "HTTP/1.1 200 OK\r\nA: b\nC: d\r\n\r\n",
    ["two framings"] = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    ["repeated length"] = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
    ["length"] = "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    ["coding"] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
    ["chunked in HTTP/1.0"] = "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    ["chunk size"] = chunked .. "x\r\n",
    ["empty chunk size"] = chunked .. "\r\n",
    ["chunk size with LF"] = chunked .. "5\nhello\r\n",
    ["chunk extension"] = chunked .. "5;a=b\r\nhello\r\n",
    ["chunk too long"] = chunked .. "5\r\nhelloo\r\n",
    ["chunk too short"] = chunked .. "5\r\nhell\r\n5\r\n",
    ["trailer"] = chunked .. "0\r\nA: b\r\n\r\n",
  }

  for what, bytes in pairs(malformed) do
    it("raises on malformed bytes: " .. what, function()
      assert.is_false((pcall(decode, { bytes })))
      local single = {}
      for at = 1, #bytes do
        single[at] = bytes:sub(at, at)
      end
      assert.is_false((pcall(decode, single)))
    end)
  end
end)

describe("the HTTP client", function()
  after_each(server.stop_all)

  local function echo(connection, head)
    connection:respond("200 OK", head, "Content-Type: text/plain\r\n")
  end

  it("sends a request and gives the response", function()
    local toy = toy_server.start(echo)
    local response = http.get(toy.port, "/path?x=1", { ["X-Test"] = "yes" })
    assert.equal(200, response.status)
    assert.equal("OK", response.reason)
    assert.equal("text/plain", response.headers["content-type"])
    assert.equal(
      ("GET /path?x=1 HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nX-Test: yes\r\n\r\n"):format(toy.port),
      response.body
    )
  end)

  it("sends a table as JSON and reads JSON", function()
    local toy = toy_server.start(function(connection, head)
      assert(head:find("Content-Type: application/json\r\n", 1, true))
      assert(head:find("Content-Length: 7\r\n", 1, true))
      connection:respond("201 Created", '{"id":"a"}')
    end)
    local response = http.post(toy.port, "/fact", { a = 1 })
    assert.equal(201, response.status)
    assert.same({ id = "a" }, response:json())
    assert.equal('{"a":1}', toy.connections[1].buffer)
  end)

  it("keeps repeated headers, and leaves out what is false", function()
    local bytes = http.format_request("GET", "/", { { "Host", "a" }, { "Host", "b" } })
    assert.equal("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", bytes)
    assert.equal("GET / HTTP/1.1\r\n\r\n", http.format_request("GET", "/", { Host = false }))
  end)

  it("pipelines", function()
    local toy = toy_server.start(function(connection, head)
      connection:respond("200 OK", head:match "^%S+ (%S+)")
    end)
    local connection = http.connect(toy.port)
    local requests = {}
    for number = 1, 50 do
      requests[number] = http.format_request("GET", "/" .. number)
    end
    connection:send(table.concat(requests))
    for number = 1, 50 do
      assert.equal("/" .. number, connection:receive_response().body)
    end
    assert.is_false(connection:closed())
    assert.equal("", connection:unread())
  end)

  it("speaks to a unix socket", function()
    local path = files.directory() .. "/socket"
    toy_server.start(echo, path)
    assert.equal(200, http.get("unix:" .. path, "/").status)
  end)

  it("tells how the peer closed", function()
    local toy = toy_server.start(function(connection, head)
      connection[head:match "^GET /(%w+)"](connection)
    end)
    local connection = http.connect(toy.port)
    connection:request("GET", "/finish")
    assert.equal("end", connection:wait_closed())
    connection = http.connect(toy.port)
    connection:request("GET", "/reset")
    assert.equal("ECONNRESET", connection:wait_closed())
    toy:close()
    local none, problem = http.try_connect(toy.port)
    assert.is_nil(none)
    assert.equal("ECONNREFUSED", problem)
  end)

  it("half-closes and resets", function()
    local toy = toy_server.start(echo)
    local connection = http.connect(toy.port)
    connection:shutdown()
    loop.wait_until(function()
      return toy.ended == 1
    end, nil, "the FIN")
    assert.same({}, toy.problems)
    connection = http.connect(toy.port)
    connection:request("GET", "/")
    connection:receive_response()
    connection:reset()
    loop.wait_until(function()
      return toy.ended == 2
    end, nil, "the RST")
    assert.same({ "ECONNRESET" }, toy.problems)
  end)

  it("reads nothing while paused, in a small window", function()
    local toy = toy_server.start(function(connection)
      connection:respond("200 OK", ("x"):rep(2 ^ 23))
    end)
    local connection = http.connect(toy.port, { paused = true, receive_buffer = 4096 })
    connection:request("GET", "/")
    loop.wait_until(function()
      return toy.connections[1] and toy.connections[1].received ~= ""
    end, nil, "the request")
    loop.holds(function()
      return toy.connections[1].handle:get_write_queue_size() > 2 ^ 20
    end, 0.1, "the toy's bytes stay in its queue")
    assert.equal(0, connection.received)
    connection:resume()
    assert.equal(2 ^ 23, #connection:receive_response().body)
  end)

  it("waits until a peer has taken what was sent", function()
    local toy = toy_server.start(echo)
    local connection = http.connect(toy.port)
    connection:send(("x"):rep(2 ^ 22))
    assert.is_true(connection:flush())
    loop.wait_until(function()
      return #toy.connections[1].received == 2 ^ 22
    end, nil, "all bytes")
  end)

  it("says what is wrong with a response", function()
    local toy = toy_server.start(function(connection)
      connection:write "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel"
      connection:finish()
    end)
    local ok, message = pcall(http.get, toy.port, "/")
    assert.is_false(ok)
    assert.matches("ended %(end%) before a whole response", message)
  end)
end)
