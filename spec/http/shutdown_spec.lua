-- How the router ends when it is asked to: what it has begun it finishes, and no response is lost.

local eventsource = require "spec.support.eventsource"
local files = require "spec.support.files"
local http = require "spec.support.http"
local loop = require "spec.support.loop"
local server = require "spec.support.server"
local support = require "spec.http.support"

after_each(server.stop_all)

local SLOW = "GET /slow?wait=150ms HTTP/1.1\r\nHost: a\r\n\r\n"
local OK = "GET /ok HTTP/1.1\r\nHost: a\r\n\r\n"

--- Asks the router to end and waits until it has begun to.
local function terminate(router, signal)
  router:kill(signal or "sigterm")
  router:wait_log "ending"
end

local function expect_exit(router, seconds)
  assert.same({ 0, 0 }, { router:wait_exit(seconds) })
end

--- A connection whose request the script works on.
local function begin_slow(router, bytes)
  local connection = http.connect(router.port)
  connection:send(bytes or SLOW)
  local other = http.connect(router.port)
  support.let_read(other)
  other:close()
  return connection
end

describe("a router that ends", function()
  for _, signal in ipairs { "sigterm", "sigint" } do
    it("on " .. signal .. " does so at once when nothing is under way", function()
      local router = support.start()
      terminate(router, signal)
      expect_exit(router, 2)
      assert.matches("info  " .. signal:upper() .. ": ending", router:log())
    end)
  end

  it("closes idle connections without a word", function()
    local router = support.start()
    local fresh, kept = http.connect(router.port), http.connect(router.port)
    kept:request("GET", "/ok")
    kept:receive_response()
    terminate(router)
    support.expect_end(fresh)
    support.expect_end(kept)
    assert.same({ "", "" }, { fresh:unread(), kept:unread() })
    expect_exit(router, 2)
  end)

  it("answers what it has begun", function()
    local router = support.start()
    local connection = begin_slow(router)
    terminate(router)
    assert.equal("slow\n", connection:receive_response().body)
    support.expect_end(connection)
    expect_exit(router, 2)
  end)

  it("answers everything that was pipelined", function()
    local router = support.start()
    local connection = begin_slow(router, SLOW .. OK .. SLOW .. OK)
    terminate(router)
    support.expect_end(connection)
    local bodies = {}
    for index, response in ipairs(support.responses(connection)) do
      bodies[index] = response.body
    end
    assert.same({ "slow\n", "ok\n", "slow\n", "ok\n" }, bodies)
    expect_exit(router, 2)
  end)

  it("answers what arrives with the signal", function()
    for _ = 1, 10 do
      local router = support.start()
      local connections = {}
      for index = 1, 20 do
        connections[index] = http.connect(router.port)
        connections[index]:request("GET", "/ok")
        connections[index]:receive_response()
      end
      for _, connection in ipairs(connections) do
        connection:send(OK .. OK)
      end
      for index = 21, 25 do
        connections[index] = http.connect(router.port)
        connections[index]:send(OK .. OK)
      end
      router:kill "sigterm"
      for index, connection in ipairs(connections) do
        support.expect_end(connection)
        assert.same({ 200, 200 }, support.statuses_of(support.responses(connection)), "connection " .. index)
      end
      expect_exit(router, 2)
    end
  end)

  it("awaits the rest of a request", function()
    local router = support.start()
    local requests = { OK, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello" }
    local connections = {}
    for index, request in ipairs(requests) do
      connections[index] = begin_slow(router, request:sub(1, -3))
    end
    terminate(router)
    for index, request in ipairs(requests) do
      connections[index]:send(request:sub(-2))
      assert.equal(200, connections[index]:receive_response().status)
      support.expect_end(connections[index])
    end
    expect_exit(router, 2)
  end)

  it("sends on what a slow reader takes", function()
    local large = ("0123456789abcdef"):rep(2 ^ 19)
    local router = support.start { files = { ["large.bin"] = large } }
    local connection = http.connect(router.port, { receive_buffer = 4096 })
    connection:request("GET", "/files/large.bin")
    connection:wait_bytes(1)
    connection:pause()
    terminate(router)
    connection:resume()
    assert.is_true(large == connection:receive_response().body)
    support.expect_end(connection)
    expect_exit(router, 2)
  end)

  it("takes no new connections, and leaves its address to others", function()
    local path = files.directory() .. "/socket"
    local router = support.start { listen = { "127.0.0.1:0", "unix:" .. path } }
    local connection = begin_slow(router, "GET /slow?wait=1s HTTP/1.1\r\nHost: a\r\n\r\n")
    terminate(router)
    for _, address in ipairs { router.port, "unix:" .. path } do
      support.eventually("connections to be refused", function()
        local new = http.try_connect(address)
        if new then
          new:close()
        end
        return not new
      end)
    end
    local successor = support.start { listen = { "127.0.0.1:" .. router.port, "unix:" .. path } }
    assert.equal(200, http.get(successor.port, "/ok").status)
    assert.equal("slow\n", connection:receive_response().body)
    connection:close()
    expect_exit(router, 2)
    assert.equal(200, http.get("unix:" .. path, "/ok").status)
  end)
end)

describe("a stream of a router that ends", function()
  it("hears the script's last event, when to come back, and ends whole", function()
    local router = support.start { script = support.script .. [[
      sse.on("shutdown", function() news:publish { event = "bye", data = "soon" } end)
    ]] }
    local source = eventsource.open(router.port, "/news", { reconnect = false }):wait_open()
    local own = eventsource.open(router.port, "/own", { reconnect = false })
    assert.equal("one", own:next().data)
    terminate(router)
    assert.equal("bye", source:next().event)
    for _, each in ipairs { source, own } do
      assert.equal("complete", each:wait_ending())
      assert.equal(1, #each.retries)
      assert.is_true(each.retries[1] >= 1000 and each.retries[1] <= 5000)
    end
    expect_exit(router, 2)
  end)

  it("is not asked to come back at the same moment as all others", function()
    local router = support.start()
    local sources, times, different = {}, {}, 0
    for index = 1, 20 do
      sources[index] = eventsource.open(router.port, "/news", { reconnect = false })
    end
    for _, source in ipairs(sources) do
      source:wait_open()
    end
    terminate(router)
    for _, source in ipairs(sources) do
      source:wait_ending()
      different = different + (times[source.retries[1]] and 0 or 1)
      times[source.retries[1]] = true
    end
    assert.is_true(different > 10)
    expect_exit(router, 2)
  end)

  it("of HTTP/1.0 hears it too", function()
    local router = support.start()
    local connection = begin_slow(router, "GET /news HTTP/1.0\r\n\r\n")
    terminate(router)
    assert.matches("\nretry: %d+\n\n$", connection:receive_response().body)
    support.expect_end(connection)
    expect_exit(router, 2)
  end)

  it("that is behind gets its events first", function()
    local router = support.start()
    local source = eventsource.open(router.port, "/news", { reconnect = false, receive_buffer = 4096 }):wait_open()
    source:pause()
    local data = ("x"):rep(100000)
    for _ = 1, 40 do
      http.post(router.port, "/news", data)
    end
    terminate(router)
    source:resume()
    for _, event in ipairs(source:take(40)) do
      assert.is_true(event.data == data)
    end
    assert.equal("complete", source:wait_ending())
    expect_exit(router, 2)
  end)
end)

describe("the end", function()
  it("comes when the time for it is over", function()
    local router = support.start { args = { "--grace", "200ms" } }
    local connection = begin_slow(router, "GET /slow?wait=1h HTTP/1.1\r\nHost: a\r\n\r\n")
    terminate(router)
    connection:wait_closed(5)
    expect_exit(router, 2)
    assert.matches("closing what is still open after 200 ms", router:log())
  end)

  it("comes at once on a second signal", function()
    local router = support.start { args = { "--grace", "1h" } }
    local connection = begin_slow(router, "GET /slow?wait=1h HTTP/1.1\r\nHost: a\r\n\r\n")
    terminate(router)
    loop.holds(function()
      return router:running() and not connection:closed()
    end, 0.1, "the router awaits its handler")
    router:kill "sigint"
    connection:wait_closed(2)
    expect_exit(router, 2)
  end)

  it("comes with all I/O threads", function()
    for _, threads in ipairs { 0, 1, 4 } do
      local router = support.start { threads = threads }
      local swarm = eventsource.many(router.port, "/news", 50):wait_open_all()
      terminate(router)
      swarm:wait_ended_all()
      assert.same({ complete = 50 }, swarm.endings)
      expect_exit(router, 3)
    end
  end)
end)
