-- sse.stream: a stream that a coroutine of the script's feeds.

local eventsource = require "spec.support.eventsource"
local http = require "spec.support.http"
local loop = require "spec.support.loop"
local server = require "spec.support.server"

after_each(server.stop_all)

local function start(text, options)
  return server.start('local sse = require "sse"\nsse.get("/", function() return "alive" end)\n' .. text, options)
end

local function open(router, options)
  return eventsource.open(router.port, "/stream", options)
end

describe("a stream of one's own", function()
  it("sends what its function sends, and ends with it", function()
    local router = start [[
sse.get("/stream", function(req)
  return sse.stream(function(client)
    client:send "text"
    client:send { event = "add", id = "7", data = { a = 1 } }
    sse.sleep "5ms"
    client:send { data = "by " .. req.query.name }
  end)
end)
]]
    local source = eventsource.open(router.port, "/stream?name=ada", { reconnect = false })
    assert.same({ event = "message", data = "text", id = "" }, source:next())
    assert.same({ event = "add", data = '{"a":1}', id = "7" }, source:next())
    assert.same("by ada", source:next().data)
    assert.equal("complete", source:wait_ending())
    assert.equal("text/event-stream", source.head.headers["content-type"])
    assert.equal("no-store", source.head.headers["cache-control"])
  end)

  it("sends at once, one event at a time", function()
    local router = start [[
local client_of
sse.get("/stream", function() return sse.stream(function(client) client_of = client sse.sleep "1h" end) end)
sse.post("/send", function(req) return { client_of:send(req.body) } end)
]]
    local source = open(router):wait_open()
    for index = 1, 40 do
      assert.same({ true }, http.post(router.port, "/send", tostring(index)):json())
      assert.equal(tostring(index), source:next().data)
    end
  end)

  it("has the request's fields, and no others", function()
    local router = start [[
sse.get("/stream/:name", function(req)
  req.user = "ada"
  return sse.stream(function(client)
    client:send { data = {
      client.method, client.path, client.params.name, client.query.q, client.headers["x-h"], client.ip,
      client.last_event_id, client.user, client.closed, client.unknown == nil,
    } }
  end)
end)
]]
    local source = eventsource.open(router.port, "/stream/n?q=v", {
      headers = { ["X-H"] = "h" }, last_event_id = "41", reconnect = false,
    })
    assert.same({ "GET", "/stream/n", "n", "v", "h", "127.0.0.1", "41", "ada", false, true }, source:next_json())
  end)

  it("has comments, which cannot break out", function()
    local router = start [[
sse.get("/stream", function() return sse.stream(function(client)
  client:comment "one"
  client:comment ""
  client:comment "two\ndata: evil\r\n\rmore"
  client:send "last"
end) end)
]]
    local source = open(router, { reconnect = false })
    assert.equal("last", source:next().data)
    local text = table.concat(source.comments, "|")
    assert.matches("one", text)
    assert.matches("two", text)
    assert.matches("data: evil", text)
    assert.matches("more", text)
  end)

  it("has a retry and a heartbeat", function()
    local router = start [[
sse.get("/stream", function()
  return sse.stream(function(client) client:send "x" sse.sleep "1h" end, { retry = "2.5s", heartbeat = "20ms" })
end)
]]
    local source = open(router)
    source:next()
    assert.same({ 2500 }, source.retries)
    for _ = 1, 5 do
      source:next_comment()
    end
  end)

  it("may be without heartbeat", function()
    local router = start [[
sse.get("/stream", function()
  return sse.stream(function(client) client:send "x" sse.sleep "1h" end, { heartbeat = 0 })
end)
]]
    local source = open(router)
    source:next()
    local comments = #source.comments
    loop.holds(function()
      return #source.comments == comments
    end, 0.1, "no comment")
  end)

  it("that sends nothing ends properly", function()
    local router = start 'sse.get("/stream", function() return sse.stream(function() end) end)'
    local source = open(router, { reconnect = false })
    assert.equal("complete", source:wait_ending())
    assert.equal(0, source.received)
  end)

  it("runs for GET alone: HEAD gets the head", function()
    local router = start [[
sse.get("/stream", function() return sse.stream(function() sse.log.info "running" end) end)
]]
    local response = http.request(router.port, "HEAD", "/stream")
    assert.same({ 200, "text/event-stream" }, { response.status, response.headers["content-type"] })
    assert.not_matches("running", router:log())
  end)

  it("may be defined once for many clients, each with a coroutine of its own", function()
    local router = start [[
local count = 0
sse.get("/stream", sse.stream(function(client)
  count = count + 1
  local mine = count
  while true do client:send(tostring(mine)) sse.sleep "5ms" end
end))
]]
    local sources = {}
    for index = 1, 5 do
      sources[index] = open(router):wait_open()
    end
    local seen = {}
    for _, source in ipairs(sources) do
      local data = source:next().data
      assert.is_nil(seen[data])
      seen[data] = true
      for _ = 1, 3 do
        assert.equal(data, source:next().data)
      end
    end
  end)
end)

describe("client:send", function()
  it("gives true, and behind the end nil and a message", function()
    local router = start [[
local kept
sse.get("/stream", function() return sse.stream(function(client)
  kept = client
  sse.log.info("sent", client:send "x", client.closed)
end) end)
sse.get("/after", function()
  local ok, message = kept:send "y"
  local ok2, message2 = kept:comment "y"
  kept:close()
  return sse.array { ok == nil, message, ok2 == nil, message2, kept.closed, kept.path }
end)
]]
    open(router, { reconnect = false }):wait_ending()
    router:wait_log "sent true false"
    assert.same({ true, "the stream is closed", true, "the stream is closed", true, "/stream" },
      http.get(router.port, "/after"):json())
  end)

  it("takes nothing behind the end, though the reader has not got that far", function()
    local router = start [[
local kept
sse.get("/stream", function() return sse.stream(function(client)
  kept = client
  for _ = 1, 15 do client:send { data = ("x"):rep(16000) } end
  sse.after(0, function() sse.log.info "over" end)
end) end)
sse.get("/after", function() return { closed = kept.closed, sent = kept:send "late" or false } end)
]]
    local source = open(router, { paused = true, receive_buffer = 16384 })
    source:wait_open(nil, 0)
    router:wait_log "over"
    assert.same({ closed = true, sent = false }, http.get(router.port, "/after"):json())
    source:resume()
    for _ = 1, 15 do
      assert.equal(16000, #source:next().data)
    end
    assert.equal("complete", source:wait_ending())
  end)

  it("names its mistakes", function()
    local router = start [[
sse.get("/stream", function() return sse.stream(function(client)
  local messages = {}
  for index, fn in ipairs {
    function() client:send() end,
    function() client.send { data = "x" } end,
    function() client:send(5) end,
    function() client:send { dta = 5 } end,
    function() client:send("a", "b") end,
    function() client:send { data = 0/0 } end,
    function() client:comment() end,
    function() client:comment {} end,
    function() client:send(("x"):rep(2000000)) end,
    function() client:send "\xff" end,
  } do
    messages[index] = select(2, pcall(fn))
  end
  client:send { data = messages }
end) end)
]]
    local expected = {
      "client:send takes one event %(use a colon: client:send { data = ... }%)",
      "client:send takes one event %(use a colon: client:send { data = ... }%)",
      "an event must be a table or a string, got number",
      "an event has no field 'dta' %(did you mean 'data'%?%)",
      "client:send takes one event",
      "data: NaN cannot be sent as JSON",
      "bad argument #1 to 'comment' %(string expected, got no value%)",
      "bad argument #1 to 'comment' %(string expected, got table%)",
      "client:send: the event's data is larger than the limit of 1048576 bytes",
      "client:send: the event's name, id and data must be valid UTF%-8",
    }
    for index, message in ipairs(open(router, { reconnect = false }):next_json()) do
      assert.matches("^%S*script.lua:%d+: " .. expected[index], message)
    end
  end)

  it("may be called from other coroutines that the router runs", function()
    local router = start [[
sse.get("/stream", function() return sse.stream(function(client)
  for index = 1, 3 do
    sse.spawn(function() for n = 1, 20 do client:send(index .. " " .. n) end end)
  end
  sse.after(0, function() client:send "timer" end)
  sse.sleep "1h"
end) end)
]]
    local source = open(router)
    local count, last = 0, { 0, 0, 0 }
    while count < 61 do
      local data = source:next().data
      local index, number = data:match "^(%d) (%d+)$"
      if index then
        assert.equal(last[tonumber(index)] + 1, tonumber(number))
        last[tonumber(index)] = tonumber(number)
      end
      count = count + 1
    end
    assert.same({ 20, 20, 20 }, last)
  end)

  it("in a coroutine of the script's own works until it would have to wait", function()
    local router = start [[
sse.get("/stream", function() return sse.stream(function(client)
  local sent = 0
  local ok, message = pcall(coroutine.wrap(function()
    for _ = 1, 1000 do client:send "x" sent = sent + 1 end
  end))
  client:send { event = "result", data = { ok, sent, message } }
  sse.sleep "1h"
end) end)
]]
    local source = open(router)
    local ok, sent, message
    local received = 0
    repeat
      local event = source:next()
      if event.event == "result" then
        ok, sent, message = table.unpack(require "cjson".decode(event.data))
      else
        received = received + 1
      end
    until message
    assert.is_false(ok)
    assert.equal(received, sent)
    assert.matches("script.lua:%d+: client:send cannot wait here", message)
  end)

  it("ends a stream that is closed by hand, after what was sent", function()
    local router = start [[
sse.get("/stream", function() return sse.stream(function(client)
  local _ <close> = sse.defer(function() sse.log.info "closed" end)
  for i = 1, 5 do client:send(tostring(i)) end
  client:close()
  client:close()
  sse.log.info("behind the end", client:send "lost", client.closed)
  sse.sleep "1h"
  sse.log.info "never"
end) end)
]]
    local source = open(router, { reconnect = false })
    for index = 1, 5 do
      assert.equal(tostring(index), source:next().data)
    end
    assert.equal("complete", source:wait_ending())
    router:wait_log "behind the end nil true"
    router:wait_log "closed"
    assert.not_matches("never", router:log())
    assert.equal(5, source.received)
  end)
end)

describe("a slow reader", function()
  local flood = [[
local sent = 0
sse.get("/stream", function() return sse.stream(function(client)
  local _ <close> = sse.defer(function() sse.log.info "flood closed" end)
  local data = ("x"):rep(10000)
  while true do client:send { data = data } sent = sent + 1 end
end) end)
sse.get("/sent", function() return { sent = sent } end)
sse.get("/quick", function() return sse.stream(function(client)
  while true do client:send "tick" sse.sleep "2ms" end
end) end)
]]

  --- Waits until the script sends no more.
  local function settle(router)
    local last, same = -1, 0
    local deadline = loop.now() + loop.limit()
    while same < 10 do
      assert(loop.now() < deadline, "the script goes on sending")
      local sent = http.get(router.port, "/sent"):json().sent
      same = sent == last and same + 1 or 0
      last = sent
      if same > 0 then
        loop.holds(function()
          return true
        end, 0.005, "time goes by")
      end
    end
    return last
  end

  it("makes client:send wait, and memory stays bounded", function()
    local router = start(flood)
    local source = open(router, { paused = true, receive_buffer = 16384 })
    source:wait_open(nil, 0)
    local quick = eventsource.open(router.port, "/quick"):wait_open()
    local sent = settle(router)
    assert.is_true(sent < 2000, sent)
    assert.is_true(router:memory().resident < 400 * 1024 * 1024)
    quick:take(20)
    source:resume()
    source:take(sent + 100)
    source:close()
    assert.is_true(http.get(router.port, "/sent"):json().sent >= sent + 100)
    assert.equal("alive", http.get(router.port, "/").body)
  end)

  it("that leaves ends the coroutine in client:send", function()
    local router = start(flood)
    local connection = http.connect(router.port, { paused = true, receive_buffer = 16384 })
    connection:request("GET", "/stream")
    settle(router)
    connection:reset()
    router:wait_log "flood closed"
  end)
end)

describe("the client leaving", function()
  local script = [[
sse.get("/stream", function() return sse.stream(function(client)
  local _ <close> = setmetatable({}, { __close = function() sse.log.info "close ran" end })
  local _ <close> = sse.defer(function(_, e) sse.log.info("defer ran", e) end)
  client:send "one"
  pcall(sse.sleep, "1h")
  sse.log.info "never"
end) end)
]]

  it("ends the coroutine in sse.sleep, and clean-up runs in reverse order", function()
    local router = start(script)
    for _, abruptly in ipairs { true, false } do
      local source = open(router)
      source:next()
      if abruptly then
        source:drop()
      end
      source:close()
      router:wait_log "defer ran nil"
      router:wait_log "close ran"
    end
    local log = router:log()
    assert.is_true(log:find "defer ran" < log:find "close ran")
    assert.not_matches("never", log)
  end)

  it("is what the program's end is", function()
    local router = start(script)
    local source = open(router, { reconnect = false })
    source:next()
    router:stop()
    router:wait_log "defer ran nil"
    router:wait_log "close ran"
    assert.not_matches("never", router:log())
    assert.equal("complete", source:wait_ending())
  end)

  it("lets clean-up publish, and send without harm", function()
    local router = start [[
sse.get("/news", sse.channel "news")
sse.get("/stream", function() return sse.stream(function(client)
  local _ <close> = sse.defer(function()
    sse.publish("news", { data = { "left", client:send "late" == nil, client.closed } })
    local ok, message = pcall(sse.sleep, "1ms")
    sse.publish("news", message)
  end)
  client:send "one"
  sse.sleep "1h"
end) end)
]]
    local news = eventsource.open(router.port, "/news"):wait_open()
    local source = open(router)
    source:next()
    source:close()
    assert.same({ "left", true, true }, news:next_json())
    assert.matches("sse.sleep cannot wait here", news:next().data)
  end)

  it("is not noticed by what the coroutine had started", function()
    local router = start [[
sse.get("/stream", function() return sse.stream(function(client)
  sse.spawn(function() sse.sleep "20ms" sse.log.info("spawned goes on", client.closed, client:send "x") end)
  client:send "one"
  sse.sleep "1h"
end) end)
]]
    local source = open(router)
    source:next()
    source:close()
    router:wait_log "spawned goes on true nil"
  end)

  it("happens hundreds of times without a trace", function()
    local router = start([[
local open = 0
sse.get("/stream", function() return sse.stream(function(client)
  open = open + 1
  local _ <close> = sse.defer(function() open = open - 1 end)
  while true do client:send "x" sse.sleep "1ms" end
end) end)
sse.get("/open", function() collectgarbage() return { open = open, bytes = collectgarbage "count" } end)
]])
    local function state()
      return http.get(router.port, "/open"):json()
    end
    local before
    for round = 1, 4 do
      local sources = {}
      for index = 1, 50 do
        sources[index] = open(router):wait_open()
      end
      for _, source in ipairs(sources) do
        source:next()
        source:close()
      end
      repeat
        local now = state()
      until now.open == 0
      before = before or state().bytes
      assert.is_true(state().bytes < before * 1.5 + 100, round)
    end
  end)
end)
