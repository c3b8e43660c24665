-- What a stream's client is told when the router ends or the stream's script goes: when to come back, wherever in
-- the stream it is.

local eventsource = require "spec.support.eventsource"
local http = require "spec.support.http"
local server = require "spec.support.server"

local EVENTS, SIZE = 60, 100000

local function script(version)
  return ([[
    local sse = require "sse"
    local news = sse.channel("news", { history = 1000, max_bytes = "64M" })
    sse.get("/news", function() return sse.subscribe { news, heartbeat = %d } end)
    sse.get("/none", function() return sse.subscribe { news, events = { "none" }, heartbeat = %d } end)
    sse.get("/own", function() return sse.stream(function(client)
      for n = 1, %d do client:send { id = n, data = ("x"):rep(%d) } end
      sse.sleep "1h"
    end) end)
    sse.get("/late", function() sse.sleep "300ms" return news end)
    sse.get("/late-own", function()
      sse.sleep "300ms"
      return sse.stream(function(client) client:send "never" end)
    end)
    sse.get("/ok", function() return "ok" end)
    sse.post("/fill", function(req)
      for n = 1, %d do news:publish { id = n, data = ("x"):rep(%d) } end
      return 204
    end)
  ]]):format(version, version, EVENTS, SIZE, EVENTS, SIZE)
end

--- A reader that takes nothing until it is resumed, and counts.
local function open_stuck(router, path)
  local reader = { ids = {}, before = 0 }
  reader.source = eventsource.open(router.port, path, {
    reconnect = false,
    receive_buffer = 4096,
    on_event = function(event)
      table.insert(reader.ids, math.tointeger(event.id))
      if #reader.source.retries == 0 then
        reader.before = #reader.ids
      end
    end,
  }):wait_open()
  reader.source:pause()
  return reader
end

local function expect_farewell(source)
  assert.equal("complete", source:wait_ending())
  assert.equal(1, #source.retries)
  assert.is_true(source.retries[1] >= 1000 and source.retries[1] <= 5000, source.retries[1])
end

--- It gets all events without a gap, and the retry between two of them.
local function expect_all(reader)
  reader.source:resume()
  expect_farewell(reader.source)
  assert.equal(EVENTS, #reader.ids)
  for index, id in ipairs(reader.ids) do
    assert.equal(index, id)
  end
  assert.is_true(reader.before < EVENTS, ("the retry came behind event %d"):format(reader.before))
end

--- A stream of its own has few events under way.
local function expect_some(reader)
  reader.source:resume()
  expect_farewell(reader.source)
  for index, id in ipairs(reader.ids) do
    assert.equal(index, id)
  end
end

local function fill(router)
  assert.equal(204, http.post(router.port, "/fill").status)
end

local function terminate(router)
  router:kill "sigterm"
  router:wait_log "ending"
end

local function reload(router, text)
  router:rewrite(text)
  router:kill "sighup"
  router:wait_log "reloaded"
end

for _, threads in ipairs { 0, 2 } do
  describe(("a reader that is behind, with %d threads"):format(threads), function()
    after_each(server.stop_all)

    it("is told at the router's end, where it is, and gets all the same", function()
      local router = server.start(script(1), { threads = threads })
      local news, own = open_stuck(router, "/news"), open_stuck(router, "/own")
      fill(router)
      terminate(router)
      expect_all(news)
      expect_some(own)
      assert.same({ 0, 0 }, { router:wait_exit() })
    end)

    it("is told at a reload that ends its stream", function()
      local router = server.start(script(1), { threads = threads })
      local news, own = open_stuck(router, "/news"), open_stuck(router, "/own")
      fill(router)
      reload(router, script(2))
      expect_all(news)
      expect_some(own)
    end)
  end)
end

describe("a stream that ends", function()
  after_each(server.stop_all)

  it("tells readers of HTTP/1.0 that are behind", function()
    local router = server.start(script(1))
    local connection = http.connect(router.port, { receive_buffer = 4096 })
    connection:send "GET /news HTTP/1.0\r\n\r\n"
    connection:wait_bytes(1)
    connection:pause()
    fill(router)
    terminate(router)
    connection:resume()
    local body = connection:receive_response().body
    local _, retries = body:gsub("\n\nretry: %d+\n\nid: ", "")
    local _, events = body:gsub("\n\nid: ", "")
    assert.same({ 1, EVENTS }, { retries, events })
  end)

  it("tells readers whose subscription has let nothing through", function()
    local router = server.start(script(1))
    local source = eventsource.open(router.port, "/none", { reconnect = false }):wait_open()
    fill(router)
    terminate(router)
    expect_farewell(source)
    assert.equal(0, source.received)
  end)

  it("tells those that begin while the router ends", function()
    for _, path in ipairs { "/late", "/late-own" } do
      local router = server.start(script(1))
      local source = eventsource.open(router.port, path, { reconnect = false })
      local other = http.connect(router.port)
      other:request("GET", "/ok")
      other:receive_response()
      terminate(router)
      expect_farewell(source)
      assert.same({ 0, 0 }, { router:wait_exit() })
    end
  end)
end)
