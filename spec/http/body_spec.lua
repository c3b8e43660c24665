-- Bodies of requests, by length and by chunks, and `Expect: 100-continue` (RFC 9112, 6 and 7; RFC 9110, 10.1.1).

local http = require "spec.support.http"
local loop = require "spec.support.loop"
local server = require "spec.support.server"
local support = require "spec.http.support"

local POST = "POST /echo HTTP/1.1\r\nHost: a\r\n"
local CHUNKED = POST .. "Transfer-Encoding: chunked\r\n"

local router

setup(function()
  router = support.start()
end)
teardown(server.stop_all)

local function echo(bytes)
  local responses = support.replies(router.port, bytes)
  assert.equal(1, #responses)
  assert.equal(200, responses[1].status)
  return responses[1].body
end

describe("a body with a length", function()
  it("comes through whole", function()
    for _, length in ipairs { 0, 1, 2, 1000, 65535, 65536, 65537, 1048576 } do
      local body = ("0123456789abcdef"):rep(length // 16 + 1):sub(1, length)
      assert.is_true(body == http.post(router.port, "/echo", body).body, length .. " bytes")
    end
  end)

  it("may have any bytes", function()
    local bytes = {}
    for byte = 0, 255 do
      bytes[#bytes + 1] = string.char(byte)
    end
    local body = table.concat(bytes) .. "\r\n\r\nGET /ok HTTP/1.1\r\nHost: a\r\n\r\n" .. table.concat(bytes):reverse()
    assert.equal(body, http.post(router.port, "/echo", body).body)
  end)

  it("may be cut anywhere", function()
    support.each_cut(router.port, POST .. "Content-Length: 12\r\n\r\n\r\n\r\nhello\r\n\0", function(responses, cut)
      assert.same({ 200 }, support.statuses_of(responses), "cut at " .. cut)
      assert.equal("\r\n\r\nhello\r\n\0", responses[1].body)
    end)
  end)

  it("may begin with zeros in its length", function()
    assert.equal("hello", echo(POST .. "Content-Length: 0000000000000000000000005\r\n\r\nhello"))
  end)

  it("is there for methods that have no use for one", function()
    for _, method in ipairs { "GET", "DELETE", "PATCH", "PUT", "OPTIONS", "PROPFIND" } do
      local response = http.request(router.port, method, "/any", nil, "body")
      assert.same({ 200, method .. " body" }, { response.status, response.body })
    end
  end)

  it("is empty when nothing says that there is one", function()
    assert.equal("", echo(POST .. "\r\n"))
  end)
end)

describe("a body in chunks", function()
  local bytes = CHUNKED .. "\r\n"
    .. "5\r\nhello\r\n"
    .. "1;name=value\r\n\n\r\n"
    .. "0002;a;b=\"c d\"\r\n\r\n\r\n"
    .. "A\r\n0\r\n\r\nGET /\r\n"
    .. "00;last\r\nX-Trailer: dropped\r\nY:\r\n\r\n"
  local body = "hello\n\r\n0\r\n\r\nGET /"

  it("comes through whole, with extensions and trailers dropped", function()
    assert.equal(body, echo(bytes))
    assert.equal(body, echo((bytes:gsub("\r\nA\r\n", "\r\na\r\n"))))
  end)

  it("may be cut anywhere", function()
    support.each_cut(router.port, bytes, function(responses, cut)
      assert.same({ 200 }, support.statuses_of(responses), "cut at " .. cut)
      assert.equal(body, responses[1].body)
    end)
  end)

  it("may come byte by byte", function()
    local connection = support.drip(router.port, { bytes })[1]
    assert.equal(body, connection:receive_response().body)
    connection:close()
  end)

  it("may be of many small chunks, or of one large one", function()
    local text = ("0123456789abcdef"):rep(4096)
    assert.is_true(text == echo(CHUNKED .. "\r\n" .. ("10\r\n0123456789abcdef\r\n"):rep(4096) .. "0\r\n\r\n"))
    assert.is_true(text == echo(CHUNKED .. "\r\n10000\r\n" .. text .. "\r\n0\r\n\r\n"))
  end)

  it("may be empty", function()
    assert.equal("", echo(CHUNKED .. "\r\n0\r\n\r\n"))
  end)

  it("adds no header by its trailers", function()
    local request = (CHUNKED:gsub("POST /echo", "GET /request"))
    local bytes_of_request = request .. "\r\n0\r\nX-Trailer: a\r\nAuthorization: b\r\n\r\n"
    local headers = support.replies(router.port, bytes_of_request)[1]:json().headers
    assert.same({ host = "a", ["transfer-encoding"] = "chunked" }, headers)
  end)
end)

describe("a client that expects 100-continue", function()
  local function ask(head)
    local connection = http.connect(router.port)
    connection:send(head)
    return connection
  end

  it("is told to go on, then answered", function()
    for _, case in ipairs {
      { POST .. "Expect: 100-continue\r\nContent-Length: 5\r\n\r\n", "hello" },
      { POST .. "Expect: 100-Continue\r\nContent-Length: 5\r\n\r\n", "hello" },
      { CHUNKED .. "Expect: 100-continue\r\n\r\n", "5\r\nhello\r\n0\r\n\r\n" },
    } do
      local connection = ask(case[1])
      local interim = connection:receive_response()
      assert.same({ 100, "Continue", {} }, { interim.status, interim.reason, interim.list })
      connection:send(case[2])
      assert.equal("hello", connection:receive_response().body)
      connection:request("GET", "/ok")
      assert.equal(200, connection:receive_response().status)
      connection:close()
    end
  end)

  it("is not told when its body is there already", function()
    local expect = "Expect: 100-continue\r\n"
    assert.same({ 200 }, support.statuses(router.port, POST .. expect .. "Content-Length: 5\r\n\r\nhello"))
    assert.same({ 200 }, support.statuses(router.port, CHUNKED .. expect .. "\r\n5\r\nhello\r\n0\r\n\r\n"))
  end)

  it("is told behind pipelined requests", function()
    local get = "GET /ok HTTP/1.1\r\nHost: a\r\n\r\n"
    local connection = ask(get .. POST .. "Expect: 100-continue\r\nContent-Length: 1\r\n\r\n")
    assert.equal(200, connection:receive_response().status)
    assert.equal(100, connection:receive_response().status)
    connection:send "a"
    assert.equal("a", connection:receive_response().body)
    connection:close()
  end)

  it("is answered at once when there is no body", function()
    for _, extra in ipairs { "", "Content-Length: 0\r\n" } do
      for _, line in ipairs { "GET /ok", "POST /echo" } do
        local connection = ask(line .. " HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n" .. extra .. "\r\n")
        assert.equal(200, connection:receive_response().status)
        connection:close()
      end
    end
  end)

  it("is not told in HTTP/1.0, which has no interim responses", function()
    local connection = ask "POST /echo HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
    local other = http.connect(router.port)
    support.let_read(other)
    connection:send "hello"
    assert.equal("hello", connection:receive_response().body)
    connection:close()
    other:close()
  end)

  it("is refused before its body comes when that is too large", function()
    for _, head in ipairs {
      POST .. "Expect: 100-continue\r\nContent-Length: 1048577\r\n\r\n",
      CHUNKED .. "Expect: 100-continue\r\n\r\n100001\r\n",
    } do
      local connection = ask(head)
      support.expect_end(connection)
      assert.same({ 413 }, support.statuses_of(support.responses(connection)))
    end
  end)

  it("may leave without a body", function()
    local connection = ask(POST .. "Expect: 100-continue\r\nContent-Length: 5\r\n\r\n")
    assert.equal(100, connection:receive_response().status)
    connection:shutdown()
    support.expect_end(connection)
    loop.settle()
    assert.equal("", connection:unread())
  end)
end)
