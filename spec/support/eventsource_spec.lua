-- The event-stream clients: one that behaves as the standard's EventSource, and the swarm.

local eventsource = require "spec.support.eventsource"
local http = require "spec.support.http"
local loop = require "spec.support.loop"
local server = require "spec.support.server"
local toy_server = require "spec.support.toy_server"

local function head_of(connection)
  return connection.received
end

describe("the EventSource client", function()
  after_each(server.stop_all)

  --- A toy that plays the next of these scenes on each connection, the last one for ever.
  local function play(scenes)
    return toy_server.start(function(connection)
      scenes[math.min(connection.number, #scenes)](connection)
    end)
  end

  local function stream(...)
    local bytes = table.concat { ... }
    return function(connection)
      connection:open_stream()
      connection:chunk(bytes)
    end
  end

  it("gives events in order, with names and ids", function()
    local toy = play { stream("data: one\n\n", "event: x\nid: 7\ndata: 2\n\n", ": hi\n\n", "data: {\"a\":1}\n\n") }
    local client = eventsource.open(toy.port, "/events"):wait_open()
    assert.equal("open", client:state())
    assert.same({ event = "message", data = "one", id = "" }, client:next())
    assert.same({ { event = "x", data = "2", id = "7" } }, client:take(1))
    local value, event = client:next_json()
    assert.same({ a = 1 }, value)
    assert.equal("7", event.id)
    assert.equal(" hi", client:next_comment())
    assert.equal(0, client:pending())
    assert.equal("text/event-stream", client.head.headers["content-type"])
    client:expect_silence(0.02)
    client:close()
    assert.equal("closed", client:state())
  end)

  it("asks as a browser does", function()
    local toy = play { stream "data: a\n\n" }
    local client = eventsource.open(toy.port, "/e", { last_event_id = "9", headers = { ["X-A"] = "b" } })
    client:next()
    local request = head_of(toy.connections[1])
    for _, line in ipairs { "Accept: text/event-stream", "Cache-Control: no-store", "Last-Event-ID: 9", "X-A: b" } do
      assert(request:find("\r\n" .. line .. "\r\n", 1, true), line)
    end
  end)

  it("comes back with the last id, after the time the stream names, however the connection ended", function()
    local toy = play {
      function(connection)
        stream "retry: 20\nid: 1\ndata: a\n\nid: 2\ndata: lost\n"(connection)
        connection:finish()
      end,
      function(connection)
        stream "id: 3\ndata: b\n\n"(connection)
        connection:write "0\r\n\r\n"
      end,
      function(connection)
        connection:reset()
      end,
      stream "data: c\n\n",
    }
    local client = eventsource.open(toy.port, "/")
    assert.same({ "1", "3", "3" }, { client:next().id, client:next().id, client:next().id })
    assert.same({ "truncated", "complete", "ECONNRESET" }, client.endings)
    assert.same({ 20 }, client.retries)
    assert.equal(0.02, client.retry)
    assert.equal(3, client.opened)
    assert.matches("Last%-Event%-ID: 1\r\n", head_of(toy.connections[2]))
    assert.matches("Last%-Event%-ID: 3\r\n", head_of(toy.connections[4]))
  end)

  it("stays away after 204, another status or another type", function()
    local toy = toy_server.start(function(connection, head)
      local path = head:match "^GET (%S+)"
      if path == "/type" then
        connection:respond("200 OK", "data: x\n\n", "Content-Type: text/plain\r\n")
      else
        connection:write(("HTTP/1.1 %s X\r\nContent-Length: 0\r\n\r\n"):format(path:sub(2)))
      end
    end)
    for path, reason in pairs {
      ["/204"] = "status 204",
      ["/500"] = "status 500",
      ["/type"] = "content type text/plain",
    } do
      assert.equal(reason, eventsource.open(toy.port, path):wait_closed())
    end
    assert.equal(3, toy.accepted)
  end)

  it("does not come back when it was told not to, and says so", function()
    local toy = play {
      function(connection)
        stream "data: a\n\n"(connection)
        connection:finish()
      end,
    }
    local client = eventsource.open(toy.port, "/", { reconnect = false })
    assert.equal("a", client:next().data)
    local ok, message = pcall(client.next, client)
    assert.is_false(ok)
    assert.matches("eventsource_spec.lua:%d+: the client closed before the next event", message)
    assert.equal("ended: truncated", client.reason)
    assert.equal("truncated", client:wait_ending())
  end)

  it("drops its connection on command and resumes", function()
    local toy = play { stream "id: 4\ndata: a\n\n", stream "event: x\ndata: b\n\nevent: y\ndata: c\n\n" }
    local client = eventsource.open(toy.port, "/", { reconnect_after = 0.01 })
    client:next()
    client:drop()
    client:wait_open(nil, 2)
    assert.equal("c", client:next_named("y").data)
    assert.same({ "ECONNRESET" }, toy.problems)
    assert.matches("Last%-Event%-ID: 4\r\n", head_of(toy.connections[2]))
  end)

  it("keeps trying while the port is closed", function()
    local toy = play { stream "data: a\n\n" }
    local client = eventsource.open(toy.port, "/", { retry = 0.005 })
    client:next()
    toy:close()
    loop.wait_until(function()
      return client.endings[3] == "ECONNREFUSED"
    end, nil, "two refusals")
    assert.equal("connecting", client:state())
  end)

  it("reads nothing while paused", function()
    local toy = play { stream(("data: x\n\n"):rep(1000)) }
    local client = eventsource.open(toy.port, "/", { paused = true })
    loop.wait_until(function()
      return toy.accepted == 1 and head_of(toy.connections[1]) ~= ""
    end, nil, "the request")
    client:expect_silence(0.02)
    client:resume()
    assert.equal(1000, #client:take(1000))
    client:pause()
    toy.connections[1]:chunk "data: y\n\n"
    client:expect_silence(0.02)
    client:resume()
    assert.equal("y", client:next().data)
  end)

  for what, bytes in pairs {
    ["a malformed chunk"] = "zz\r\ndata: a\n\n\r\n",
    ["a chunk longer than it says"] = "2\r\ndata: a\n\n\r\n",
    ["invalid UTF-8"] = "a\r\ndata: \xFFx\n\n\r\n",
  } do
    it("fails the spec on " .. what, function()
      local toy = play {
        function(connection)
          connection:open_stream()
          connection:write(bytes)
        end,
      }
      local client = eventsource.open(toy.port, "/")
      assert.is_false((pcall(client.wait_ending, client)))
      client:close()
    end)
  end
end)

describe("a swarm", function()
  local toy

  before_each(function()
    toy = toy_server.start(function(connection)
      connection:open_stream()
    end)
  end)

  after_each(server.stop_all)

  local function broadcast(bytes)
    for _, connection in ipairs(toy.connections) do
      connection:chunk(bytes)
    end
  end

  it("counts the events of many subscribers", function()
    local seen = 0
    local swarm = eventsource.many(toy.port, "/", 500, {
      on_event = function()
        seen = seen + 1
      end,
    })
    swarm:wait_open_all()
    for number = 1, 10 do
      broadcast(("id: e-%d\ndata: x\n\n"):format(number))
    end
    swarm:wait_events(10)
    assert.equal(5000, swarm.total)
    assert.equal(5000, seen)
    assert.equal(10, swarm.counts[500])
    swarm:close_all()
    loop.wait_until(function()
      return toy.ended == 500
    end, nil, "the server to see them leave")
  end)

  it("fails the spec when an event comes out of order", function()
    local swarm = eventsource.many(toy.port, "/", 1):wait_open_all()
    broadcast "id: 2\ndata: x\n\nid: 2\ndata: x\n\n"
    local ok, message = pcall(swarm.wait_events, swarm, 2)
    assert.is_false(ok)
    assert.matches("subscriber 1 of /: event 2 after 2", message)
  end)

  it("tells how streams ended, and leaves abruptly", function()
    local swarm = eventsource.many(toy.port, "/", 4):wait_open_all()
    toy.connections[1]:write "0\r\n\r\n"
    toy.connections[2]:finish()
    loop.wait_until(function()
      return swarm.ended == 2
    end, nil, "two endings")
    assert.same({ complete = 1, truncated = 1 }, swarm.endings)
    swarm:close_all(true)
    loop.wait_until(function()
      return toy.ended >= 3
    end, nil, "the resets")
    assert.equal("ECONNRESET", toy.problems[#toy.problems])
  end)

  it("asks for a path of each one's own", function()
    local swarm = eventsource.many(toy.port, function(index)
      return "/" .. index
    end, 3)
    swarm:wait_open_all()
    local paths = {}
    for _, connection in ipairs(toy.connections) do
      paths[connection.received:match "GET (%S+)"] = true
    end
    assert.same({ ["/1"] = true, ["/2"] = true, ["/3"] = true }, paths)
  end)
end)

it("a connection that was not closed is closed by the clean-up", function()
  local toy = toy_server.start(function(connection)
    connection:respond("200 OK", "")
  end)
  local connection = http.connect(toy.port)
  server.stop_all()
  assert.is_true(connection.handle:is_closing())
  assert.is_true(toy.listener:is_closing())
end)
