-- One connection for many requests: keep-alive, HTTP/1.0, pipelining, and clients that end their side first.

local http = require "spec.support.http"
local loop = require "spec.support.loop"
local server = require "spec.support.server"
local support = require "spec.http.support"

local POST = "POST /echo HTTP/1.1\r\nHost: a\r\n"
local GET = "GET /ok HTTP/1.1\r\nHost: a\r\n\r\n"

describe("a connection", function()
  local router

  setup(function()
    router = support.start()
  end)
  teardown(server.stop_all)

  it("is kept for further requests", function()
    local connection = http.connect(router.port)
    for _ = 1, 5 do
      connection:request("GET", "/ok")
      local response = connection:receive_response()
      assert.same({ 200, "ok\n", "1.1" }, { response.status, response.body, response.version })
      assert.is_nil(response.headers.connection)
    end
    connection:request("POST", "/echo", nil, "body")
    assert.equal("body", connection:receive_response().body)
    assert.is_false(connection:closed())
    connection:close()
  end)

  it("is kept behind answers without a body, with an error, and to HEAD", function()
    local connection = http.connect(router.port)
    for _, case in ipairs {
      { "GET", "/empty", 204 }, { "HEAD", "/ok", 200 }, { "GET", "/nothing", 404 }, { "DELETE", "/ok", 405 },
      { "OPTIONS", "/ok", 204 }, { "HEAD", "/news", 200 }, { "HEAD", "/nothing", 404 }, { "GET", "/%zz", 400 },
    } do
      connection:request(case[1], case[2])
      local response = connection:receive_response { method = case[1] }
      assert.equal(case[3], response.status, case[1] .. " " .. case[2])
      assert.is_nil(response.headers.connection)
    end
    connection:close()
  end)

  it("is closed when the request says so", function()
    for _, value in ipairs { "close", "Close", "x, close", "close, x", "keep-alive, close" } do
      local connection = http.connect(router.port)
      connection:request("GET", "/ok", { Connection = value })
      local response = connection:receive_response()
      assert.same({ 200, "close" }, { response.status, response.headers.connection }, value)
      support.expect_end(connection)
      assert.equal("", connection:unread())
    end
  end)

  it("answers nothing behind a request that closes", function()
    assert.same({ 200 }, support.statuses(router.port,
      "GET /ok HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" .. GET))
  end)

  it("ignores empty lines before a request", function()
    assert.same({ 200, 200 }, support.statuses(router.port, "\r\n\r\n" .. GET .. "\r\n" .. GET .. "\r\n"))
  end)

  it("of HTTP/1.0 is closed after the answer", function()
    for _, head in ipairs { "GET /ok HTTP/1.0\r\n\r\n", "GET /ok HTTP/1.0\r\nHost: a\r\nConnection: close\r\n\r\n" } do
      local connection = http.connect(router.port)
      connection:send(head)
      local response = connection:receive_response()
      assert.same({ 200, "close", "ok\n" }, { response.status, response.headers.connection, response.body })
      assert.equal("3", response.headers["content-length"])
      support.expect_end(connection)
    end
  end)

  it("of HTTP/1.0 is kept when asked for", function()
    local connection = http.connect(router.port)
    for _ = 1, 3 do
      connection:send "GET /ok HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"
      local response = connection:receive_response()
      assert.same({ 200, "keep-alive" }, { response.status, response.headers.connection })
    end
    connection:send "POST /echo HTTP/1.0\r\nContent-Length: 2\r\n\r\nab"
    assert.equal("ab", connection:receive_response().body)
    support.expect_end(connection)
  end)

  it("of HTTP/1.0 gets a stream that ends with the connection", function()
    for _, extra in ipairs { "", "Connection: keep-alive\r\n" } do
      local replies = support.replies(router.port, "HEAD /short HTTP/1.0\r\n" .. extra .. "\r\n", { "HEAD" })
      assert.equal(200, replies[1].status)
      local connection = http.connect(router.port)
      connection:send("GET /short HTTP/1.0\r\n" .. extra .. "\r\n")
      local response = connection:receive_response()
      assert.same({ "text/event-stream", "close" }, { response.headers["content-type"], response.headers.connection })
      assert.is_nil(response.headers["transfer-encoding"])
      assert.matches("data: one\n\n$", response.body)
      assert.not_matches("\r", response.body)
      support.expect_end(connection)
    end
  end)

  it("of HTTP/1.0 hears a channel", function()
    local connection = http.connect(router.port)
    connection:send "GET /news HTTP/1.0\r\n\r\n"
    connection:wait_bytes(1)
    assert.equal(200, http.post(router.port, "/news", "hot").status)
    loop.wait_until(function()
      return connection:unread():find("data: hot\n\n", 1, true)
    end, nil, "the event")
    connection:close()
  end)

  it("whose client has ended its side gets all answers", function()
    assert.same({ 200 }, support.statuses(router.port, GET))
    assert.same({ 200, 200, 200 }, support.statuses(router.port, GET:rep(3)))
    assert.same({ 200 }, support.statuses(router.port, "GET /slow?wait=50ms HTTP/1.1\r\nHost: a\r\n\r\n"))
  end)

  it("whose client ends amid a request is closed without an answer", function()
    for _, part in ipairs {
      "", "\r\n", "G", "GET /ok HTTP/1.1\r\n", GET:sub(1, -2),
      POST .. "Content-Length: 5\r\n\r\nhell",
    } do
      assert.same({}, support.statuses(router.port, part))
      assert.same({ 200 }, support.statuses(router.port, GET .. part))
    end
  end)
end)

-- Requests of all kinds with what must come back, in order.
local PIPELINE = {
  { "GET /ok HTTP/1.1\r\nHost: a\r\n\r\n", "GET", 200, "ok\n" },
  { POST .. "Content-Length: 5\r\n\r\nhello", "POST", 200, "hello" },
  { "HEAD /ok HTTP/1.1\r\nHost: a\r\n\r\n", "HEAD", 200, "" },
  { "GET /hello/you HTTP/1.1\r\nHost: a\r\n\r\n", "GET", 200, "hello you" },
  { POST .. "Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n", "POST", 200, "abc" },
  { "GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n", "GET", 404 },
  { "GET /empty HTTP/1.1\r\nHost: a\r\n\r\n", "GET", 204, "" },
  { "PUT /ok HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nput", "PUT", 405 },
  { "GET /any HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nget", "GET", 200, "GET get" },
}

local function join_pipeline(times)
  local parts, methods = {}, {}
  for _ = 1, times do
    for _, request in ipairs(PIPELINE) do
      parts[#parts + 1] = request[1]
      methods[#methods + 1] = request[2]
    end
  end
  return table.concat(parts), methods
end

local function check_pipeline(responses, times)
  assert.equal(#PIPELINE * times, #responses)
  for index, response in ipairs(responses) do
    local expected = PIPELINE[(index - 1) % #PIPELINE + 1]
    assert.equal(expected[3], response.status)
    if expected[4] then
      assert.equal(expected[4], response.body)
    end
  end
end

describe("pipelined requests", function()
  local router

  setup(function()
    router = support.start()
  end)
  teardown(server.stop_all)

  it("in one packet are answered in order", function()
    local bytes, methods = join_pipeline(20)
    check_pipeline(support.replies(router.port, bytes, methods), 20)
  end)

  it("may be cut anywhere", function()
    local bytes = "\r\n" .. PIPELINE[1][1] .. PIPELINE[2][1] .. PIPELINE[5][1] .. PIPELINE[4][1]
    support.each_cut(router.port, bytes, function(responses, cut)
      assert.same({ 200, 200, 200, 200 }, support.statuses_of(responses), "cut at " .. cut)
      assert.same({ "ok\n", "hello", "abc", "hello you" },
        { responses[1].body, responses[2].body, responses[3].body, responses[4].body })
    end)
  end)

  it("may come byte by byte", function()
    local bytes, methods = join_pipeline(1)
    local connection = support.drip(router.port, { bytes })[1]
    connection:shutdown()
    support.expect_end(connection)
    check_pipeline(support.responses(connection, methods), 1)
  end)

  it("wait while a slow one is answered", function()
    local slow = "GET /slow?wait=50ms HTTP/1.1\r\nHost: a\r\n\r\n"
    local responses = support.replies(router.port, slow .. GET .. slow .. GET)
    assert.same({ "slow\n", "ok\n", "slow\n", "ok\n" },
      { responses[1].body, responses[2].body, responses[3].body, responses[4].body })
  end)

  it("may be more than the router keeps", function()
    local count = 4000
    local request = "GET /hello/pipeline HTTP/1.1\r\nHost: a\r\nX-Filler: " .. ("x"):rep(50) .. "\r\n\r\n"
    local responses = support.replies(router.port, request:rep(count))
    assert.equal(count, #responses)
  end)

  it("whose client reads late are answered whole", function()
    local body = ("0123456789abcdef"):rep(2 ^ 15)
    local request = http.format_request("POST", "/echo", nil, body)
    local connection = http.connect(router.port, { paused = true, receive_buffer = 4096 })
    connection:send(request:rep(4))
    connection:shutdown()
    loop.holds(function()
      return not connection:closed()
    end, 0.1, "the connection stays while nobody reads")
    connection:resume()
    support.expect_end(connection)
    local responses = support.responses(connection)
    assert.equal(4, #responses)
    for _, response in ipairs(responses) do
      assert.is_true(response.body == body)
    end
  end)

  it("before a malformed one are answered, then it is refused, then nothing", function()
    for _, malformed in ipairs { "NONSENSE\r\n\r\n", "GET / HTTP/1.1\n\n", "GET / HTTP/1.1\r\n\r\n" } do
      local statuses = support.statuses(router.port, GET .. GET .. malformed .. GET)
      assert.same({ 200, 200 }, { statuses[1], statuses[2] })
      assert.is_true(statuses[3] >= 400)
      assert.is_nil(statuses[4])
    end
  end)

  it("before a malformed one are answered to a client that stays, too", function()
    local connection = http.connect(router.port)
    connection:send(GET .. "NONSENSE\r\n\r\n" .. GET)
    assert.equal(200, connection:receive_response().status)
    local refusal = connection:receive_response()
    assert.same({ 501, "close" }, { refusal.status, refusal.headers.connection })
    support.expect_end(connection)
  end)

  it("behind a stream are never answered", function()
    local connection = http.connect(router.port)
    connection:send("GET /short HTTP/1.1\r\nHost: a\r\n\r\n" .. GET)
    assert.matches("data: one\n\n$", connection:receive_response().body)
    support.expect_end(connection)
    assert.equal("", connection:unread())
  end)
end)
