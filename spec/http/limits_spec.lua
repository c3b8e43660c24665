-- The limits of what a client may send and of how long it may take, each with its own answer.

local http = require "spec.support.http"
local loop = require "spec.support.loop"
local server = require "spec.support.server"
local support = require "spec.http.support"

local GET = "GET /ok HTTP/1.1\r\nHost: a\r\n"
local POST = "POST /echo HTTP/1.1\r\nHost: a\r\n"

after_each(server.stop_all)

local function start(...)
  return support.start { args = { ... } }
end

--- Checks that each of the texts, after which the client waits, has this one answer and the end.
local function expect_refusals(status, router, texts)
  local connections = {}
  for index, text in ipairs(texts) do
    connections[index] = http.connect(router.port)
    connections[index]:send(text)
  end
  for _, connection in ipairs(connections) do
    support.expect_end(connection)
    local responses = support.responses(connection)
    assert.same({ status }, support.statuses_of(responses))
    assert.equal("close", responses[1].headers.connection)
  end
end

describe("the size of a head", function()
  --- A head of that many bytes.
  local function head(length)
    local start_of_head = GET .. "X: "
    return start_of_head .. ("x"):rep(length - #start_of_head - 4) .. "\r\n\r\n"
  end

  it("may be as large as the limit", function()
    local router = start("--max-head", "1k")
    assert.same({ 200 }, support.statuses(router.port, head(1024)))
    assert.same({ 200, 200 }, support.statuses(router.port, head(1024):rep(2)))
    expect_refusals(431, router, { head(1025), "GET /" .. ("x"):rep(1100) .. " HTTP/1.1\r\nHost: a\r\n\r\n" })
  end)

  it("is 16 KiB by default", function()
    local router = start()
    assert.same({ 200 }, support.statuses(router.port, head(16384)))
    expect_refusals(431, router, { head(16385) })
  end)

  it("is noticed before the head is complete", function()
    local router = start("--max-head", "1k")
    expect_refusals(431, router, {
      "GET /" .. ("x"):rep(1024), GET .. "X: " .. ("x"):rep(1024), GET .. ("x"):rep(1024), ("\r\n"):rep(600),
      GET .. ("x:\r\n"):rep(300), POST .. "Transfer-Encoding: chunked\r\n\r\n1;" .. ("x"):rep(1024),
      POST .. "Transfer-Encoding: chunked\r\n\r\n0\r\n" .. ("x: y\r\n"):rep(200),
    })
  end)

  it("is counted in headers, too", function()
    local router = start()
    assert.same({ 200 }, support.statuses(router.port, GET .. ("a:\r\n"):rep(127) .. "\r\n"))
    expect_refusals(431, router, { GET .. ("a:\r\n"):rep(128) .. "\r\n" })
  end)
end)

describe("the size of a body", function()
  it("may be as large as the limit", function()
    local router = start("--max-body", "1k")
    local body = ("x"):rep(1024)
    assert.same({ 200 }, support.statuses(router.port, POST .. "Content-Length: 1024\r\n\r\n" .. body))
    local chunked = POST .. "Transfer-Encoding: chunked\r\n\r\n"
    assert.same({ 200 }, support.statuses(router.port, chunked .. "400\r\n" .. body .. "\r\n0\r\n\r\n"))
    assert.same({ 200 }, support.statuses(router.port, chunked .. ("1\r\nx\r\n"):rep(1024) .. "0\r\n\r\n"))
  end)

  it("is refused as soon as it is announced", function()
    local router = start("--max-body", "1k")
    local chunked = POST .. "Transfer-Encoding: chunked\r\n\r\n"
    expect_refusals(413, router, {
      POST .. "Content-Length: 1025\r\n\r\n",
      POST .. "Content-Length: 18446744073709551615\r\n\r\n",
      chunked .. "401\r\n",
      chunked .. "ffffffffffffffff\r\n",
      chunked .. "3ff\r\n" .. ("x"):rep(1023) .. "\r\n2\r\n",
    })
  end)

  it("is 1 MiB by default", function()
    local router = start()
    assert.equal(200, http.post(router.port, "/echo", ("x"):rep(1048576)).status)
    expect_refusals(413, router, { POST .. "Content-Length: 1048577\r\n\r\n" })
  end)

  it("is told to a client that goes on sending", function()
    local router = start("--max-body", "1k")
    local connection = http.connect(router.port)
    connection:send(POST .. "Content-Length: 3000000\r\n\r\n" .. ("x"):rep(3000000))
    assert.equal(413, connection:receive_response().status)
    connection:close()
  end)
end)

describe("time", function()
  --- Seconds until the router has closed the connection.
  local function time_until_closed(connection)
    local start_time = loop.now()
    assert.equal("end", connection:wait_closed())
    return loop.now() - start_time
  end

  it("for a head ends with 408", function()
    local router = start("--head-timeout", "400ms", "--idle-timeout", "1h", "--body-timeout", "1h")
    expect_refusals(408, router, { "G", "GET /ok HTTP/1.1\r\nHost: a\r\n", "\r\nGET" })
  end)

  it("for a head is not stretched by a byte now and then", function()
    local router = start("--head-timeout", "400ms", "--idle-timeout", "1h", "--body-timeout", "1h")
    local connection = http.connect(router.port)
    connection:send "GET /ok HTTP/1.1\r\nX: "
    local sent = 0
    repeat
      connection:send "x"
      sent = sent + 1
      local pause_ends = loop.now() + 0.03
      loop.wait_until(function()
        return connection:closed() or loop.now() > pause_ends
      end)
    until connection:closed() or sent == 300
    assert.equal(408, connection:receive_response().status)
    connection:close()
  end)

  it("for a head is spent by slow clients, and nobody waits for them", function()
    local router = start("--head-timeout", "500ms", "--idle-timeout", "1h")
    local slow = {}
    for index = 1, 200 do
      slow[index] = http.connect(router.port)
      slow[index]:send "GET /ok HTTP/1.1\r\nX: "
    end
    local connection = http.connect(router.port)
    for _ = 1, 20 do
      connection:request("GET", "/ok")
      assert.equal(200, connection:receive_response().status)
    end
    for _, each in ipairs(slow) do
      assert.equal(408, each:receive_response().status)
      each:close()
    end
  end)

  it("for a head begins with the request, not with the connection", function()
    local router = start("--head-timeout", "400ms", "--idle-timeout", "1h")
    local connection = http.connect(router.port)
    for _ = 1, 3 do
      loop.holds(function()
        return not connection:closed()
      end, 0.2, "an idle connection is kept")
      connection:request("GET", "/ok")
      assert.equal(200, connection:receive_response().status)
    end
    connection:close()
  end)

  it("for a body ends with 408 when nothing comes", function()
    local router = start("--body-timeout", "150ms", "--idle-timeout", "1h", "--head-timeout", "1h")
    expect_refusals(408, router, {
      POST .. "Content-Length: 5\r\n\r\nhell",
      POST .. "Transfer-Encoding: chunked\r\n\r\n5\r\nhell",
      POST .. "Transfer-Encoding: chunked\r\n\r\n",
      POST .. "Transfer-Encoding: chunked\r\n\r\n0\r\n",
    })
  end)

  it("for a body is renewed by progress", function()
    local router = start("--body-timeout", "800ms", "--head-timeout", "500ms")
    local connection = http.connect(router.port)
    connection:send(POST .. "Content-Length: 6\r\n\r\n")
    for _ = 1, 6 do
      loop.holds(function()
        return not connection:closed()
      end, 0.15, "a body that comes is awaited")
      connection:send "x"
    end
    assert.equal("xxxxxx", connection:receive_response().body)
    connection:close()
  end)

  it("without a request ends silently", function()
    local router = start("--head-timeout", "150ms", "--idle-timeout", "150ms")
    local connection = http.connect(router.port)
    time_until_closed(connection)
    assert.equal(0, connection.received)
    connection:close()
    connection = http.connect(router.port)
    connection:send "\r\n"
    time_until_closed(connection)
    assert.equal(0, connection.received)
    connection:close()
  end)

  it("between requests ends silently", function()
    local router = start("--head-timeout", "1h", "--idle-timeout", "150ms")
    local connection = http.connect(router.port)
    connection:request("GET", "/ok")
    assert.equal(200, connection:receive_response().status)
    time_until_closed(connection)
    assert.equal("", connection:unread())
    connection:close()
  end)

  it("of a handler is its own", function()
    local router = start("--head-timeout", "300ms", "--body-timeout", "300ms", "--idle-timeout", "300ms")
    assert.equal("slow\n", http.get(router.port, "/slow?wait=500ms").body)
  end)

  it("to take an answer is limited", function()
    local router = start("--stall-timeout", "400ms")
    local before = router:descriptors()
    local connection = http.connect(router.port, { receive_buffer = 4096 })
    connection:send(http.format_request("POST", "/echo", nil, ("x"):rep(1048576)):rep(8))
    connection:wait_bytes(1)
    connection:pause()
    assert.equal(before + 1, router:descriptors())
    support.expect_descriptors(router, before)
    connection:close()
  end)
end)
