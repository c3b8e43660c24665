local eventsource = require "spec.support.eventsource"
local http = require "spec.support.http"
local server = require "spec.support.server"

local function start(pipes)
  return server.start([[
    local sse = require "sse"
    sse.publisher "/publish/:channel"
    sse.get("/sub/:channel", function(req) return sse.subscribe { req.params.channel } end)
  ]] .. pipes)
end

local function publish(router, channel, data)
  local response = http.post(router.port, "/publish/" .. channel, data)
  assert.equal(201, response.status, response.body)
end

local function listen(router, channel)
  local client = eventsource.open(router.port, "/sub/" .. channel)
  client:wait_open()
  return client
end

describe("sse.pipe", function()
  after_each(server.stop_all)

  it("filters, changes and splits", function()
    local router = start [[
      sse.pipe("orders", "alerts", function(event) if event.data.total > 1000 then return event end end)
      sse.pipe("orders", "sums", function(event) return { event = "sum", data = event.data.total } end)
      sse.pipe("orders", "items", function(event)
        return { { data = "one" }, { data = "two" } }
      end)
    ]]
    local alerts, sums, items = listen(router, "alerts"), listen(router, "sums"), listen(router, "items")
    publish(router, "orders", { total = 5 })
    publish(router, "orders", { total = 5000 })
    assert.same({ total = 5000 }, alerts:next_json())
    assert.equal("5", sums:next().data)
    assert.equal("sum", sums:next().event)
    assert.equal("one", items:next().data)
    assert.equal("two", items:next().data)
  end)

  it("routes by a function, from a pattern", function()
    local router = start [[
      sse.pipe("in.*", function(event) return "out." .. event.channel:match "[^.]+$" end)
    ]]
    local a, b = listen(router, "out.a"), listen(router, "out.b")
    publish(router, "in.b", { n = 1 })
    publish(router, "in.a", { n = 2 })
    assert.equal(2, a:next_json().n)
    assert.equal(1, b:next_json().n)
  end)

  it("refuses a circle, naming the way and the user's line", function()
    local result = server.run { "--check", "-e", [[
      local sse = require "sse"
      sse.pipe("a", "b")
      sse.pipe("b.**", "c")
      sse.pipe("b", "c")
      sse.pipe("c", "a")
    ]] }
    assert.equal(1, result.status)
    assert.matches("5: sse.pipe: a circle: c -> a -> b -> c", result.stderr, 1, true)
  end)

  it("stops a circle that only events can show", function()
    local router = start [[
      sse.pipe("ping", function() return "pong" end)
      sse.pipe("pong", function() return "ping" end)
    ]]
    publish(router, "ping", { n = 1 })
    router:wait_log "circle"
    assert.equal(201, http.post(router.port, "/publish/other", "still alive").status)
  end)

  it("logs what fails in a function and goes on", function()
    local router = start [[ sse.pipe("a", "b", function(event) return event.data.x.y and event end) ]]
    local client = listen(router, "b")
    publish(router, "a", { n = 1 })
    router:wait_log "attempt to index a nil value"
    publish(router, "a", { x = { y = 1 } })
    assert.same({ x = { y = 1 } }, client:next_json())
  end)

  it("can be stopped", function()
    local router = start [[
      local pipe = sse.pipe("a", "b")
      sse.post("/stop", function() pipe:stop() return 204 end)
    ]]
    local client = listen(router, "b")
    publish(router, "a", "first")
    assert.equal("first", client:next().data)
    http.post(router.port, "/stop")
    publish(router, "a", "second")
    publish(router, "b", "direct")
    assert.equal("direct", client:next().data)
  end)
end)

describe("stages", function()
  after_each(server.stop_all)

  it("batch by count and by time", function()
    local router = start [[ sse.pipe("a", "b", sse.batch(3, "200ms")) ]]
    local client = listen(router, "b")
    for n = 1, 4 do
      publish(router, "a", tostring(n))
    end
    assert.same({ "1", "2", "3" }, client:next_json())
    assert.same({ "4" }, client:next_json())
  end)

  it("throttle lets the first through, debounce and sample the last", function()
    local router = start [[
      sse.pipe("a", "first", sse.throttle "1h")
      sse.pipe("a", "last", sse.debounce "100ms")
      sse.pipe("a", "sampled", sse.sample "100ms")
    ]]
    local first, last, sampled = listen(router, "first"), listen(router, "last"), listen(router, "sampled")
    for n = 1, 5 do
      publish(router, "a", tostring(n))
    end
    assert.equal("1", first:next().data)
    assert.equal("5", last:next().data)
    repeat
      local event = sampled:next()
    until event.data == "5"
    assert.equal(0, first:pending())
  end)

  it("dedupe by the data, a field or a function", function()
    local router = start [[
      sse.pipe("a", "b", sse.dedupe())
      sse.pipe("a", "c", sse.dedupe "id")
    ]]
    local whole, by_id = listen(router, "b"), listen(router, "c")
    publish(router, "a", { id = 1, n = 1 })
    publish(router, "a", { id = 1, n = 1 })
    publish(router, "a", { id = 1, n = 2 })
    publish(router, "a", { id = 2, n = 3 })
    assert.equal(1, whole:next_json().n)
    assert.equal(2, whole:next_json().n)
    assert.equal(3, whole:next_json().n)
    assert.equal(1, by_id:next_json().n)
    assert.equal(3, by_id:next_json().n)
  end)

  it("serve a subscription too, once for all that share them", function()
    local router = server.start [[
      local sse = require "sse"
      sse.publisher "/publish/:channel"
      sse.get("/slow", function() return sse.subscribe { "ticks", through = sse.batch(2) } end)
      sse.get("/stats", function() return sse.stats() end)
    ]]
    local one = eventsource.open(router.port, "/slow")
    local two = eventsource.open(router.port, "/slow")
    one:wait_open()
    two:wait_open()
    publish(router, "ticks", "a")
    publish(router, "ticks", "b")
    assert.same({ "a", "b" }, one:next_json())
    assert.same({ "a", "b" }, two:next_json())
    assert.equal(2, http.get(router.port, "/stats"):json().channels)
  end)
end)
