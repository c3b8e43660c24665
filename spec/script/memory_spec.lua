-- The memory limit of the script: over it the script gets an error, and the router goes on.

local eventsource = require "spec.support.eventsource"
local http = require "spec.support.http"
local server = require "spec.support.server"

after_each(server.stop_all)

local preamble = [[
local sse = require "sse"
sse.get("/", function() return "alive" end)
sse.get("/ticks", sse.channel "ticks")
sse.every("10ms", function() sse.publish("ticks", "tick") end)
]]

local function start(text, args)
  return server.start(preamble .. text, { args = args or { "--memory", "32M" } })
end

--- Expects 500 and the message, and that others go on.
local function expect_refused(router, path)
  local ticks = eventsource.open(router.port, "/ticks"):wait_open()
  assert.equal(500, http.get(router.port, path).status)
  router:wait_log("GET " .. path .. ": .*not enough memory")
  assert.equal("alive", http.get(router.port, "/").body)
  ticks:take(3)
  ticks:close()
end

describe("too much memory", function()
  it("in a handler's table gives an error, and the memory is free again", function()
    local router = start [[
sse.get("/grow", function() local t = {} while true do t[#t + 1] = { #t } end end)
]]
    for _ = 1, 3 do
      expect_refused(router, "/grow")
    end
    router:wait_log "GET /grow: %S*script.lua:5: not enough memory"
  end)

  it("in text gives an error", function()
    local router = start [[
sse.get("/double", function() local s = "x" while true do s = s .. s end end)
sse.get("/rep", function() return ("x"):rep(1e9) end)
sse.get("/concat", function()
  local t = {}
  for i = 1, 100 do t[i] = ("x"):rep(1000000) end
  return table.concat(t)
end)
sse.get("/json", function()
  local list = {}
  for i = 1, 100 do list[i] = ("\1"):rep(100000) end
  return { list, list, list }
end)
]]
    for _, path in ipairs { "/double", "/rep", "/concat", "/json" } do
      expect_refused(router, path)
    end
  end)

  it("in closures, coroutines, timers and spawns gives an error", function()
    local router = start [[
sse.get("/closures", function() local t = {} while true do t[#t + 1] = function() return t end end end)
sse.get("/coroutines", function() local t = {} while true do t[#t + 1] = coroutine.create(print) end end)
sse.get("/suspended", function()
  local t = {}
  while true do t[#t + 1] = coroutine.wrap(function() coroutine.yield() end) t[#t]() end
end)
sse.get("/recursion", function() local function f(...) return 1 + f(1, ...) end return f() end)
]]
    for _, path in ipairs { "/closures", "/coroutines", "/suspended" } do
      expect_refused(router, path)
    end
    assert.equal(500, http.get(router.port, "/recursion").status)
    assert.equal("alive", http.get(router.port, "/").body)
  end)

  it("may be caught, and clean-up runs", function()
    local router = start [[
sse.get("/caught", function()
  local ok, message = pcall(function() local t = {} while true do t[#t + 1] = { #t } end end)
  return { ok, message }
end)
sse.get("/closed", function()
  local _ <close> = sse.defer(function() sse.log.info "closed" end)
  local t = {}
  while true do t[#t + 1] = { #t } end
end)
]]
    assert.same({ false, "not enough memory" }, http.get(router.port, "/caught"):json())
    expect_refused(router, "/closed")
    router:wait_log "closed"
  end)

  it("in a stream, a timer, a filter and a spawn ends only those", function()
    local router = start [[
local function grow() local t = {} while true do t[#t + 1] = { #t } end end
sse.get("/stream", function() return sse.stream(function(client) client:send "one" grow() end) end)
sse.after("1ms", grow)
sse.filter("grow", grow)
sse.get("/filtered", function() return sse.subscribe { "ticks", filter = "grow" } end)
sse.get("/spawn", function() sse.spawn(grow) return "spawned" end)
]]
    router:wait_log "timer: .*not enough memory"
    local source = eventsource.open(router.port, "/stream", { reconnect = false })
    assert.equal("one", source:next().data)
    assert.equal("complete", source:wait_ending())
    router:wait_log "GET /stream: .*not enough memory"
    assert.equal("spawned", http.get(router.port, "/spawn").body)
    router:wait_log "sse.spawn: .*not enough memory"
    local filtered = eventsource.open(router.port, "/filtered"):wait_open()
    router:wait_log "filter: .*not enough memory"
    filtered:close()
    assert.equal("alive", http.get(router.port, "/").body)
  end)

  it("that stays in use fails what needs more, and the program can still be ended", function()
    local router = start [[
kept = {}
sse.get("/keep", function() while true do kept[#kept + 1] = { #kept } end end)
sse.get("/work", function() local t = {} for i = 1, 10000 do t[i] = { i } end return "worked" end)
]]
    assert.equal(500, http.get(router.port, "/keep").status)
    for _ = 1, 20 do
      local status = http.get(router.port, "/work").status
      assert.equal(500, status)
    end
    assert.is_true(router:running())
  end)

  it("while the script is loaded ends the program", function()
    local result = server.run { "--memory", "8M", "-e", "local t = {} while true do t[#t + 1] = { #t } end" }
    assert.equal(1, result.status)
    assert.matches("not enough memory", result.stderr)
  end)

  it("for the library itself ends the program with a message", function()
    for _, limit in ipairs { "1k", "20k", "100k" } do
      local result = server.run { "--memory", limit, "-e", 'require "sse"' }
      assert.is_true(result.status == 1 or result.status == 3, limit)
      assert.matches("not enough memory", result.stderr)
    end
  end)
end)
