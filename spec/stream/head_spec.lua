-- What a stream begins with.

local feeds = require "spec.stream.feeds"
local http = require "spec.support.http"
local loop = require "spec.support.loop"
local server = require "spec.support.server"

local function request(connection, path, version, headers)
  connection:send(("GET %s HTTP/%s\r\nHost: localhost\r\n%s\r\n"):format(path, version or "1.1", headers or ""))
end

--- Waits for `count` bytes and gives all there are: raw, since the framing is what is looked at.
local function received(connection, pattern)
  return loop.wait_until(function()
    local bytes = connection:unread()
    return bytes:find(pattern) and bytes
  end, nil, function()
    return ("%q in %q"):format(pattern, connection:unread())
  end)
end

--- What the body of a stream begins with, when it begins now: a comment and its position, in one chunk.
local beginning = "^(%x+)\r\n(:\n\n: position\nid: (%w+%-%d+)\n\n)\r\n"

local function head_of(bytes)
  local head, rest = bytes:match "^(.-\r\n)\r\n(.*)$"
  return head, rest
end

describe("the head of a stream", function()
  after_each(server.stop_all)

  it("leaves at once with a first comment, and is as promised", function()
    local router = feeds.start()
    local connection = http.connect(router.port)
    request(connection, "/stream?channels=a")
    local head, body = head_of(received(connection, "\n\n\r\n$"))
    assert.matches("^HTTP/1%.1 200 OK\r\n", head)
    assert.matches("\r\nContent%-Type: text/event%-stream\r\n", head)
    assert.matches("\r\nCache%-Control: no%-store\r\n", head)
    assert.matches("\r\nX%-Accel%-Buffering: no\r\n", head)
    assert.matches("\r\nTransfer%-Encoding: chunked\r\n", head)
    assert.matches("\r\nDate: ", head)
    assert.is_nil(head:find "Content%-Length")
    assert.is_nil(head:find "Connection:")
    local size, text, position = body:match(beginning .. "$")
    assert.equal(#text, tonumber(size, 16))
    local ids = feeds.publish(router, { { channel = "a", data = "1" } })
    assert.equal(ids[1]:gsub("1$", "0"), position)
  end)

  it("frames each event as a chunk of its own", function()
    local router = feeds.start()
    local connection = http.connect(router.port)
    request(connection, "/stream?channels=a")
    local _, opening = head_of(received(connection, "\n\n\r\n$"))
    local ids = feeds.publish(router, { { channel = "a", event = "add", data = "1\n2" }, { channel = "a", data = "" } })
    local _, body = head_of(received(connection, "data: ?\n\n\r\n$"))
    local first = ("id: %s\nevent: add\ndata: 1\ndata: 2\n\n"):format(ids[1])
    local both = opening .. ("%x\r\n%s\r\n"):format(#first, first)
    assert.equal(both, body:sub(1, #both))
    assert.matches("^%x+\r\nid: " .. ids[2]:gsub("%-", "%%-") .. "\ndata: ?\n\n\r\n$", body:sub(#both + 1))
  end)

  it("says retry and the first events with the head", function()
    local router = feeds.start [[
      sse.get("/first", function()
        return sse.subscribe { "a", retry = "2500ms", first = { { event = "hello", data = { 1, 2 } }, { data = "x" } } }
      end)
    ]]
    local connection = http.connect(router.port)
    request(connection, "/first")
    local _, body = head_of(received(connection, "id: [^\n]*\n\n\r\n$"))
    local text, position = body:match "^%x+\r\n(.*\n\n): position\nid: ([^\n]*)\n\n\r\n$"
    assert.equal(":\n\nretry: 2500\n\nevent: hello\ndata: [1,2]\n\ndata: x\n\n", text)
    -- Whoever broke off before that would come back without it, and get the first events anew.
    assert.matches("^%w+%-0$", position)
  end)

  it("is delimited by the end of the connection for HTTP/1.0", function()
    local router = feeds.start [[
      sse.post("/close", function() sse.channel "a":close() return 204 end)
    ]]
    local connection = http.connect(router.port)
    request(connection, "/stream?channels=a", "1.0", "Connection: keep-alive\r\n")
    local head, body = head_of(received(connection, "\nid: [^\n]*\n\n$"))
    assert.matches("^HTTP/1%.%d 200 OK\r\n", head)
    assert.matches("\r\nConnection: close\r\n", head)
    assert.is_nil(head:find "Transfer%-Encoding")
    assert.matches("^:\n\n: position\nid: %w+%-0\n\n$", body)
    local ids = feeds.publish(router, { { channel = "a", data = "1" } })
    http.post(router.port, "/close")
    assert.equal("end", connection:wait_closed())
    local _, whole = head_of(connection:unread())
    assert.equal(body .. ("id: %s\ndata: 1\n\n"):format(ids[1]), whole)
  end)

  it("ends with the last chunk where chunks are", function()
    local router = feeds.start [[
      sse.post("/close", function() sse.channel "a":close() return 204 end)
    ]]
    local connection = http.connect(router.port)
    request(connection, "/stream?channels=a")
    received(connection, "\n\n\r\n$")
    http.post(router.port, "/close")
    assert.equal("end", connection:wait_closed())
    local _, body = head_of(connection:unread())
    assert.matches(beginning .. "0\r\n\r\n$", body)
  end)

  it("answers HEAD with the same fields, no body, and leaves nothing behind", function()
    local router = feeds.start()
    local connection = http.connect(router.port)
    local before
    for round = 1, 3 do
      connection:request("HEAD", ("/stream?channels=once-%d&step=%d"):format(round, round + 1))
      local response = connection:receive_response { method = "HEAD" }
      assert.equal(200, response.status)
      assert.equal("text/event-stream", response.headers["content-type"])
      assert.equal("no-store", response.headers["cache-control"])
      local channels = http.get(router.port, "/stats"):json().channels
      before = before or channels
      assert.equal(before, channels)
    end
    assert.equal(0, before)
  end)

  it("has the CORS fields of the script", function()
    local router = feeds.start [[
      sse.cors { origins = { "https://here.example" } }
    ]]
    local origin = "Origin: https://here.example\r\n"
    local connection = http.connect(router.port)
    request(connection, "/stream?channels=a", "1.1", origin)
    local head = head_of(received(connection, "\n\n\r\n$"))
    assert.matches("\r\nAccess%-Control%-Allow%-Origin: https://here%.example\r\n", head)
    assert.matches("\r\nVary: Origin\r\n", head)
    local other = http.connect(router.port)
    request(other, "/stream?channels=a", "1.1", "Origin: https://there.example\r\n")
    head = head_of(received(other, "\n\n\r\n$"))
    assert.is_nil(head:find "Access%-Control%-Allow%-Origin")
    assert.matches("\r\nVary: Origin\r\n", head)
  end)

  it("comes over a unix socket and IPv6 as well", function()
    local path = os.tmpname()
    os.remove(path)
    local router = feeds.start(nil, { listen = { "unix:" .. path, "[::1]:0" } })
    for _, address in ipairs(router.addresses) do
      local connection = http.connect(address)
      request(connection, "/stream?channels=a")
      local _, body = head_of(received(connection, "\n\n\r\n$"))
      assert.matches(beginning .. "$", body)
    end
  end)

  it("is the same for a stream of one's own", function()
    local router = feeds.start [[
      sse.get("/own", function()
        return sse.stream(function(client)
          client:send { event = "one", data = { n = 1 }, id = "7" }
          client:comment "so far"
        end, { retry = "1s" })
      end)
    ]]
    local connection = http.connect(router.port)
    request(connection, "/own")
    assert.equal("end", connection:wait_closed())
    local head, body = head_of(connection:unread())
    assert.matches("\r\nContent%-Type: text/event%-stream\r\n", head)
    assert.matches("\r\nCache%-Control: no%-store\r\n", head)
    assert.matches("\r\nX%-Accel%-Buffering: no\r\n", head)
    assert.equal(":\n\nretry: 1000\n\n", body:match "^10\r\n(.-)\r\n")
    assert.matches("id: 7\nevent: one\ndata: {\"n\":1}\n\n\r\n", body)
    assert.matches("\r\n: so far\n\n\r\n0\r\n\r\n$", body)
  end)
end)
