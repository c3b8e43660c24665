-- sse.subscribe and sse.channel as a script uses them: which channels, which events, from where.

local eventsource = require "spec.support.eventsource"
local http = require "spec.support.http"
local loop = require "spec.support.loop"
local server = require "spec.support.server"

after_each(server.stop_all)

local preamble = [[
local sse = require "sse"
sse.post("/publish/:channel", function(req)
  sse.publish(req.params.channel, { event = req.query.event, data = req.body })
end)
]]

local function start(text, options)
  return server.start(preamble .. text, options)
end

local function publish(router, channel, data, event)
  http.post(router.port, "/publish/" .. channel .. (event and "?event=" .. event or ""), data)
end

local function open(router, path, options)
  return eventsource.open(router.port, path, options):wait_open()
end

local function expect(source, ...)
  for _, data in ipairs { ... } do
    assert.equal(data, source:next().data)
  end
end

describe("a subscription", function()
  it("is of one or many channels, by name or by handle, each once", function()
    local router = start [[
local a = sse.channel "a"
sse.get("/handle", a)
sse.get("/function", function() return a end)
sse.get("/name", function() return sse.subscribe { "a" } end)
sse.get("/text", function() return sse.subscribe "a" end)
sse.get("/both", function() return sse.subscribe { a, "b" } end)
sse.get("/option", function() return sse.subscribe { channels = { "b", a } } end)
sse.get("/mixed", function() return sse.subscribe { "a", channels = { "b", "a" } } end)
sse.get("/query", function(req) return sse.subscribe { channels = sse.split(req.query.type) } end)
]]
    local of_a, of_both = {}, {}
    for index, path in ipairs { "/handle", "/function", "/name", "/text", "/query?type=a" } do
      of_a[index] = open(router, path)
    end
    for index, path in ipairs { "/both", "/option", "/mixed", "/query?type=a,b,,a" } do
      of_both[index] = open(router, path)
    end
    publish(router, "a", "1")
    publish(router, "b", "2")
    publish(router, "a", "3")
    for _, source in ipairs(of_a) do
      expect(source, "1", "3")
    end
    for _, source in ipairs(of_both) do
      expect(source, "1", "2", "3")
    end
  end)

  it("without channels is a mistake, also when a query is to name them", function()
    local router = start [[
sse.get("/query", function(req) return sse.subscribe { channels = sse.split(req.query.type) } end)
]]
    assert.equal(500, http.get(router.port, "/query").status)
    router:wait_log "GET /query: %S*script.lua:%d+: sse.subscribe: no channels"
  end)

  it("keeps the names of events that it wants", function()
    local router = start [[
sse.get("/some", function() return sse.subscribe { "a", events = { "add", "remove" } } end)
sse.get("/plain", function() return sse.subscribe { "a", events = { "message" } } end)
]]
    local some, plain = open(router, "/some"), open(router, "/plain")
    publish(router, "a", "1", "add")
    publish(router, "a", "2", "change")
    publish(router, "a", "3")
    publish(router, "a", "4", "remove")
    publish(router, "a", "5", "message")
    expect(some, "1", "4")
    expect(plain, "3", "5")
  end)

  it("begins with so many events of the past", function()
    local router = start [[
for i = 1, 10 do sse.publish("a", tostring(i)) end
sse.get("/none", function() return sse.subscribe { "a" } end)
sse.get("/zero", function() return sse.subscribe { "a", history = 0 } end)
sse.get("/three", function() return sse.subscribe { "a", history = 3 } end)
sse.get("/many", function() return sse.subscribe { "a", history = 1000 } end)
sse.get("/earliest", function() return sse.subscribe { "a", start = "earliest" } end)
sse.get("/last", function() return sse.subscribe { "a", start = "last=2" } end)
sse.get("/since", function() return sse.subscribe { "a", start = "since=1h" } end)
]]
    local firsts = { none = 11, zero = 11, three = 8, many = 1, earliest = 1, last = 9, since = 1 }
    local sources = {}
    for name in pairs(firsts) do
      sources[name] = open(router, "/" .. name)
    end
    publish(router, "a", "11")
    for name, first in pairs(firsts) do
      for n = first, 11 do
        assert.equal(tostring(n), sources[name]:next().data, name)
      end
    end
  end)

  it("begins with events for this client alone, before all others", function()
    local router = start [[
sse.publish("a", "old")
sse.get("/a", function(req)
  return sse.subscribe { "a", history = 5, first = {
    { event = "hello", data = { name = req.query.name } }, "plain", { id = "own", data = "a\nb" },
  } }
end)
sse.get("/nothing", function() return sse.subscribe { "a", first = {} } end)
]]
    local source = open(router, "/a?name=ada")
    assert.same({ event = "hello", data = '{"name":"ada"}', id = "" }, source:next())
    expect(source, "plain", "a\nb", "old")
    open(router, "/nothing")
  end)

  it("sets the client's retry, and a heartbeat", function()
    local router = start [[
sse.get("/a", function() return sse.subscribe { "a", retry = "1.5s", heartbeat = "20ms" } end)
sse.get("/silent", function() return sse.subscribe { "a", heartbeat = 0 } end)
]]
    local source, silent = open(router, "/a"), open(router, "/silent")
    for _ = 1, 5 do
      source:next_comment()
    end
    assert.same({ 1500 }, source.retries)
    local comments = #silent.comments
    loop.holds(function()
      return #silent.comments == comments
    end, 0.08, "no heartbeat")
  end)

  it("may be made once and used by many", function()
    local router = start [[
local subscription = sse.subscribe { "a", history = 1 }
sse.get("/handler", subscription)
sse.get("/function", function() return subscription end)
sse.publish("a", "1")
]]
    for _ = 1, 3 do
      expect(open(router, "/handler"), "1")
      expect(open(router, "/function"), "1")
    end
  end)

  it("resumes over several channels where the client was", function()
    local router = start [[
sse.get("/both", function() return sse.subscribe { "a", "b" } end)
]]
    local source = open(router, "/both")
    publish(router, "a", "1")
    expect(source, "1")
    source:drop()
    publish(router, "b", "2")
    publish(router, "a", "3")
    expect(source, "2", "3")
    assert.equal(2, source.opened)
  end)

  it("refuses a start that is none, if it comes in the query", function()
    local router = start [[ sse.get("/a", sse.channel "a") ]]
    assert.equal(400, http.get(router.port, "/a?last_event_id=last%3Dx").status)
    assert.equal(400, http.get(router.port, "/a?lastEventId=since%3Dx").status)
    open(router, "/a?last_event_id=last%3D1")
  end)
end)

describe("sse.on", function()
  it("tells of subscribers that come and go", function()
    local router = start [[
local a = sse.channel "a"
sse.get("/a/:n", function() return sse.subscribe { a, "b" } end)
local function note(what)
  return function(info)
    sse.log.info(("%s %s %s %s %d"):format(what, info.path, info.ip, table.concat(info.channels, "+"), a.subscribers))
  end
end
sse.on("subscribe", note "came")
sse.on("unsubscribe", note "went")
]]
    local one = open(router, "/a/1")
    router:wait_log "came /a/1 127.0.0.1 a%+b 1"
    local two = open(router, "/a/2")
    router:wait_log "came /a/2 127.0.0.1 a%+b 2"
    one:close()
    router:wait_log "went /a/1 127.0.0.1 a%+b 1"
    two:drop()
    two:close()
    router:wait_log "went /a/2 127.0.0.1 a%+b 0"
  end)

  it("has handlers that may wait and publish, several in their order", function()
    local router = start [[
sse.get("/a", sse.channel "a")
sse.on("subscribe", function() sse.sleep "5ms" sse.publish("a", "first") end)
sse.on("subscribe", function() sse.publish("a", "second") end)
]]
    expect(open(router, "/a"), "second", "first")
  end)

  it("tells of the shutdown, once, and lets its handlers wait within the grace", function()
    local router = start [[
sse.on("shutdown", function(...) sse.log.info("shutdown", select("#", ...)) sse.publish("a", "bye") end)
sse.get("/a", sse.channel "a")
]]
    local source = open(router, "/a", { reconnect = false })
    router:stop()
    router:wait_log "shutdown 0"
    expect(source, "bye")
    local _, count = router:log():gsub("info  shutdown", "")
    assert.equal(1, count)
  end)
end)
