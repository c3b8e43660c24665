-- Named filters: asked once for each event and each group of subscribers with equal arguments.

local eventsource = require "spec.support.eventsource"
local http = require "spec.support.http"
local server = require "spec.support.server"

after_each(server.stop_all)

--- A filter that counts its calls, and routes to subscribe with arguments and to publish.
local preamble = [[
local sse = require "sse"
local calls = 0
sse.filter("at_least", function(event, low) calls = calls + 1 return event.data.n >= low end)
sse.get("/at-least/:low", function(req)
  return sse.subscribe { "news", filter = { "at_least", tonumber(req.params.low) }, start = req.query.start }
end)
sse.get("/news", sse.channel "news")
sse.post("/news", function(req)
  local id, subscribers = sse.publish("news", { event = req.query.event, data = req:json(), meta = req.query.meta })
  return { id = id, subscribers = subscribers }
end)
sse.get("/calls", function()
  local count = calls
  calls = 0
  return { calls = count }
end)
]]

local function start(text)
  return server.start(preamble .. (text or ""))
end

local function publish(router, body, query)
  return http.post(router.port, "/news" .. (query or ""), body)
end

local function calls(router)
  return http.get(router.port, "/calls"):json().calls
end

local function open(router, path)
  return eventsource.open(router.port, path):wait_open()
end

describe("a filter", function()
  it("lets through what it says", function()
    local router = start()
    local all, some, none = open(router, "/news"), open(router, "/at-least/3"), open(router, "/at-least/100")
    for n = 1, 5 do
      publish(router, { n = n })
    end
    publish(router, { n = 100 })
    assert.equal(6, #all:take(6))
    assert.same({ 3, 4, 5, 100 }, { some:next_json().n, some:next_json().n, some:next_json().n, some:next_json().n })
    assert.equal(100, none:next_json().n)
  end)

  it("is asked once for all subscribers with equal arguments", function()
    local router = start()
    local sources = {}
    for index = 1, 20 do
      sources[index] = open(router, "/at-least/1")
    end
    calls(router)
    for n = 1, 10 do
      publish(router, { n = n })
    end
    for _, source in ipairs(sources) do
      assert.equal(10, #source:take(10))
    end
    assert.equal(10, calls(router))
  end)

  it("is asked once for each of different arguments", function()
    local router = start()
    local sources = {}
    for index = 1, 12 do
      sources[index] = open(router, "/at-least/" .. index % 4)
    end
    calls(router)
    publish(router, { n = 10 })
    publish(router, { n = 2 })
    assert.equal(8, calls(router))
    for index, source in ipairs(sources) do
      assert.equal(10, source:next_json().n)
      if index % 4 <= 2 then
        assert.equal(2, source:next_json().n)
      end
    end
  end)

  it("is not asked when nobody listens through it", function()
    local router = start()
    open(router, "/news")
    publish(router, { n = 1 })
    assert.equal(0, calls(router))
    local source = open(router, "/at-least/1")
    calls(router)
    publish(router, { n = 1 })
    assert.equal(1, calls(router))
    source:close()
    -- The router hears of the leaving in its own time.
    repeat
      local subscribers = publish(router, { n = 1 }):json().subscribers
    until subscribers == 1
    calls(router)
    publish(router, { n = 1 })
    assert.equal(0, calls(router))
  end)

  it("of many groups goes with its subscribers", function()
    local router = start()
    for _ = 1, 3 do
      local sources = {}
      for low = 1, 100 do
        sources[low] = open(router, "/at-least/" .. low)
      end
      calls(router)
      publish(router, { n = 50 })
      assert.equal(100, calls(router))
      for low, source in ipairs(sources) do
        if low <= 50 then
          assert.equal(50, source:next_json().n)
        end
        source:close()
      end
      repeat until publish(router, { n = 1 }):json().subscribers == 0
    end
    calls(router)
    publish(router, { n = 1 })
    assert.equal(0, calls(router))
  end)

  it("judges what is in the log when a first subscriber comes", function()
    local router = start()
    for n = 1, 10 do
      publish(router, { n = n })
    end
    assert.equal(0, calls(router))
    local first = open(router, "/at-least/8?start=earliest")
    assert.equal(8, first:next_json().n)
    assert.equal(10, calls(router))
    local second = open(router, "/at-least/8?start=earliest")
    assert.same({ 8, 9, 10 }, { second:next_json().n, second:next_json().n, second:next_json().n })
    assert.equal(0, calls(router))
  end)

  it("counts what it lets through for the last so many", function()
    local router = start()
    for n = 1, 20 do
      publish(router, { n = n % 10 })
    end
    local source = open(router, "/at-least/8?start=last%3D3")
    assert.same({ 9, 8, 9 }, { source:next_json().n, source:next_json().n, source:next_json().n })
  end)

  it("goes on where a client was", function()
    local router = start()
    local source = eventsource.open(router.port, "/at-least/5", { retry = 0.01 }):wait_open()
    publish(router, { n = 5 })
    source:next()
    source:drop()
    for n = 1, 10 do
      publish(router, { n = n })
    end
    assert.same({ 5, 6, 7, 8, 9, 10 }, {
      source:next_json().n, source:next_json().n, source:next_json().n, source:next_json().n, source:next_json().n,
      source:next_json().n,
    })
  end)

  it("sees the event's name, id, meta and data, live and from the log", function()
    local router = start [[
local seen = {}
sse.filter("look", function(event)
  local data = event.data
  seen[#seen + 1] = { event.event, type(event.id), event.meta, data.list[2], math.type(data.n), event.retry == nil }
  return true
end)
sse.get("/look", function(req) return sse.subscribe { "news", filter = "look", start = req.query.start } end)
sse.get("/seen", function() local list = seen seen = {} return sse.array(list) end)
]]
    local source = open(router, "/look")
    publish(router, { n = 7, list = { 1, 2 } }, "?event=add&meta=secret")
    source:next()
    local live = http.get(router.port, "/seen"):json()
    source:close()
    repeat until publish(router, { n = 7, list = { 1, 2 } }, "?event=add&meta=secret"):json().subscribers == 0
    http.get(router.port, "/seen")
    local replayed = open(router, "/look?start=last%3D1")
    replayed:next()
    local expected = { "add", "string", "secret", 2, "integer", true }
    assert.same({ expected }, live)
    assert.same(expected, http.get(router.port, "/seen"):json()[1])
  end)

  it("may come with names of events: both must agree", function()
    local router = start [[
sse.get("/both", function() return sse.subscribe { "news", events = { "add" }, filter = { "at_least", 5 } } end)
]]
    local source = open(router, "/both")
    publish(router, { n = 9 }, "?event=remove")
    publish(router, { n = 1 }, "?event=add")
    publish(router, { n = 7 }, "?event=add")
    assert.equal(7, source:next_json().n)
  end)

  it("that fails denies, and the others go on", function()
    local router = start()
    local source, all = open(router, "/at-least/1"), open(router, "/news")
    publish(router, { other = 1 })
    publish(router, { n = 2 })
    assert.equal(2, source:next_json().n)
    assert.equal(1, all:next_json().other)
    router:wait_log "filter: %S*script.lua:3: attempt to compare"
  end)

  it("is what its name means now", function()
    local router = start [[
sse.post("/define", function()
  sse.filter("at_least", function(event, low) return event.data.n < low end)
end)
]]
    local source = open(router, "/at-least/5")
    publish(router, { n = 9 })
    assert.equal(9, source:next_json().n)
    http.post(router.port, "/define")
    publish(router, { n = 9 })
    publish(router, { n = 1 })
    assert.equal(1, source:next_json().n)
  end)

  it("may subscribe to nothing, publish, and change the event for itself alone", function()
    local router = start [[
sse.filter("rude", function(event)
  if event.channel == "news" then sse.publish("echo", { data = event.data }) end
  return true
end)
sse.get("/rude", function() return sse.subscribe { "news", filter = "rude" } end)
sse.get("/echo", sse.channel "echo")
]]
    local rude, echo = open(router, "/rude"), open(router, "/echo")
    publish(router, { n = 1 })
    assert.equal(1, rude:next_json().n)
    assert.equal(1, echo:next_json().n)
  end)
end)

describe("a filter's arguments", function()
  local script = [[
local asked = {}
sse.filter("same", function(event, ...)
  asked[#asked + 1] = sse.json.encode(sse.array { ... })
  return true
end)
-- Equal to what is in `ab`, but walked in another order.
local ba = {}
for i = 1, 100 do ba["x" .. i] = i end
ba.b, ba.a = { e = 4, d = 3, c = 2 }, 1
for i = 1, 100 do ba["x" .. i] = nil end
local arguments = {
  none = { "same" },
  ab = { "same", { a = 1, b = { c = 2, d = 3, e = 4 } } },
  ba = { "same", ba },
  list = { "same", { 1, 2, 3 } },
  tsil = { "same", { 3, 2, 1 } },
  integer = { "same", 1 }, float = { "same", 1.5 }, text = { "same", "1" }, yes = { "same", true },
  two = { "same", 1, 2 }, quoted = { "same", '1","2' }, pair = { "same", "1", "2" },
  null = { "same", sse.null }, empty = { "same", {} }, array = { "same", sse.array {} },
}
sse.get("/same/:which", function(req)
  return sse.subscribe { "news", filter = arguments[req.params.which] }
end)
sse.get("/asked", function() local list = asked asked = {} return sse.array(list) end)
sse.get("/mutable", function()
  local list = { 1 }
  local subscription = sse.subscribe { "news", filter = { "same", list } }
  list[1] = 2
  return subscription
end)
]]

  it("make groups by their values", function()
    local router = start(script)
    local names = {
      "none", "ab", "ba", "list", "tsil", "integer", "float", "text", "yes", "two", "quoted", "pair", "null", "empty",
      "array",
    }
    local sources = {}
    for index, name in ipairs(names) do
      sources[index] = open(router, "/same/" .. name)
    end
    publish(router, { n = 1 })
    for _, source in ipairs(sources) do
      source:next()
    end
    -- "ab" and "ba" are equal; {} and [] are told apart.
    local seen, count = {}, 0
    for _, text in ipairs(http.get(router.port, "/asked"):json()) do
      count = count + 1
      seen[text] = (seen[text] or 0) + 1
    end
    assert.equal(#names - 1, count)
    assert.equal(1, seen["[1]"])
    assert.equal(1, seen['["1"]'])
    assert.equal(1, seen['["1","2"]'])
    assert.equal(1, seen["[]"])
  end)

  it("are those of the moment of subscribing", function()
    local router = start(script)
    local first = open(router, "/mutable")
    publish(router, { n = 1 })
    first:next()
    assert.same({ "[[1]]" }, http.get(router.port, "/asked"):json())
  end)

  it("may have no holes, functions or cycles", function()
    local router = start [[
sse.filter("any", function() return true end)
sse.get("/try", function()
  local cycle = {}
  cycle.self = cycle
  local messages = {}
  for index, arguments in ipairs {
    { "any", print }, { "any", { f = print } }, { "any", cycle }, { "any", 0/0 }, { "any", nil, 1 }, { "any", "\xff" },
  } do
    messages[index] = select(2, pcall(sse.subscribe, { "news", filter = arguments }))
  end
  return messages
end)
]]
    local expected = {
      "filter%[1%]: a function cannot be sent as JSON", "filter%[1%].f: a function cannot be sent as JSON",
      "filter%[1%].self: a table that contains itself", "filter%[1%]: NaN cannot be sent as JSON",
      "filter%[1%]: a list with a hole", "filter%[1%]: text that is not UTF%-8",
    }
    local messages = http.get(router.port, "/try"):json()
    assert.equal(#expected, #messages)
    for index, message in ipairs(messages) do
      assert.matches("^%S*script.lua:%d+: .*" .. expected[index], message)
    end
  end)
end)
