-- sse.stats(): what happened so far. Each limit that somebody runs into has a counter.

local eventsource = require "spec.support.eventsource"
local http = require "spec.support.http"
local loop = require "spec.support.loop"
local server = require "spec.support.server"

local script = [[
  local sse = require "sse"
  local news = sse.channel("news", { history = 2 })
  sse.get("/stats", function() return sse.stats() end)
  sse.get("/news", news)
  sse.publisher("/publish/:channel")
  sse.get("/failing", function() error "on purpose" end)
  sse.get("/own", function() return sse.stream(function(client) client:send("x") end) end)
]]

describe("sse.stats", function()
  after_each(server.stop_all)

  local router

  local function stats()
    return http.get(router.port, "/stats"):json()
  end

  --- Waits for counters that I/O threads write.
  local function wait_for(wanted)
    for name, value in pairs(wanted) do
      loop.eventually(function()
        return stats()[name] == value
      end, nil, ("%s to be %d"):format(name, value))
    end
  end

  local function publish(channel, data, headers)
    return http.post(router.port, "/publish/" .. channel, data, headers).status
  end

  it("counts what connections bring", function()
    router = server.start(script)
    local before = stats()
    assert.same({ 0, 0 }, { before.refused_requests, before.streams })
    local source = eventsource.open(router.port, "/news"):wait_open()
    eventsource.open(router.port, "/own"):next()
    publish("news", "one")
    assert.equal("one", source:next().data)
    wait_for { streams = 2, events_sent = 2, published = 1 }
    local after = stats()
    assert.is_true(after.connections >= 2)
    assert.is_true(after.accepted > before.accepted)
    assert.is_true(after.requests >= before.requests + 4)
    assert.is_true(after.bytes_sent > before.bytes_sent + 100)
  end)

  it("counts what limits refuse", function()
    router = server.start(script, { args = {
      "--max-head", "1k", "--max-body", "1k", "--max-event", "100", "--max-channels", "2", "--max-connections", "2",
    } })
    assert.equal(431, http.get(router.port, "/" .. ("x"):rep(2000)).status)
    assert.equal(413, http.post(router.port, "/publish/news", ("x"):rep(2000)).status)
    wait_for { refused_requests = 2 }
    assert.equal(413, publish("news", ("x"):rep(200)))
    assert.equal(400, publish("news", "x", { ["Event-Id"] = "latest" }))
    wait_for { refused_events = 2, published = 0 }
    assert.equal(201, publish("second", "x"))
    assert.equal(503, publish("third", "x"))
    wait_for { refused_channels = 1, channels = 2 }
    local first = http.connect(router.port)
    first:request("GET", "/stats")
    first:receive_response()
    local second = http.connect(router.port)
    second:request("GET", "/stats")
    second:receive_response()
    http.connect(router.port):wait_closed()
    first:request("GET", "/stats")
    local now = first:receive_response():json()
    assert.same({ 2, 1 }, { now.connections, now.turned_away })
  end)

  it("counts what retention takes, and what scripts fail at", function()
    router = server.start(script)
    for number = 1, 5 do
      publish("news", tostring(number))
    end
    http.get(router.port, "/failing")
    wait_for { published = 5, evicted_history = 3, script_errors = 1 }
  end)
end)
