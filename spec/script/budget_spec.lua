-- The time budget: a script that runs too long without waiting gets an error that it cannot catch, and the
-- router goes on.

local eventsource = require "spec.support.eventsource"
local http = require "spec.support.http"
local loop = require "spec.support.loop"
local server = require "spec.support.server"

local milliseconds = math.ceil(loop.limit(0.1) * 1000)
local BUDGET = milliseconds .. "ms"
local MESSAGE = ("the script took longer than its time budget of %d ms"):format(milliseconds)

--- Ways to run on and on: what the body of a function does.
local endless = {
  ["a loop"] = "while true do end",
  ["a loop within pcall"] = "pcall(function() while true do end end)",
  ["pcall in a loop"] = "while true do pcall(function() while true do end end) end",
  ["pcall within pcall in a loop"] = [[
while true do pcall(function() while true do pcall(function() while true do end end) end end) end]],
  ["a goto"] = "::again:: goto again",
  ["a recursion"] = "local function f() return f() end f()",
  ["a coroutine"] = "coroutine.wrap(function() while true do end end)()",
  ["coroutines in a loop"] = "while true do pcall(coroutine.wrap(function() while true do end end)) end",
  ["a coroutine of a coroutine"] = [[
local function nested(depth)
  local inner = depth == 0 and function() while true do end end or nested
  while true do coroutine.resume(coroutine.create(inner), depth - 1) end
end
nested(5)]],
  ["a coroutine that yields for ever"] = [[
local wrapped = coroutine.wrap(function() while true do coroutine.yield() end end)
while true do wrapped() end]],
  ["a callback of gsub"] = '("x"):gsub("x", function() while true do end end)',
  ["pcall in a callback of gsub"] = [[
("x"):gsub("x", function() while true do pcall(function() while true do end end) end end)]],
  ["a callback of gsub in a loop"] = 'while true do pcall(string.gsub, "x", "x", function() while true do end end) end',
  ["a comparison for sort"] = "table.sort({ 2, 1, 3 }, function() while true do end end)",
  ["a handler of xpcall"] = "xpcall(error, function() while true do end end)",
  ["xpcall in a loop"] = "while true do xpcall(function() while true do end end, function() while true do end end) end",
  ["xpcall in a callback of gsub"] = [[
("x"):gsub("x", function() xpcall(function() while true do end end, function() while true do end end) end)]],
  ["__index"] = "local x = setmetatable({}, { __index = function() while true do end end }).y",
  ["__tostring"] = "tostring(setmetatable({}, { __tostring = function() while true do end end }))",
  ["__tostring of an error"] = "error(setmetatable({}, { __tostring = function() while true do end end }))",
  ["__close"] = "local x <close> = setmetatable({}, { __close = function() while true do end end })",
  ["__close behind an error"] = [[
local x <close> = setmetatable({}, { __close = function() while true do end end }) error "first"]],
  ["__close behind a loop"] = [[
local x <close> = setmetatable({}, { __close = function() while true do end end }) while true do end]],
  ["__close of a coroutine"] = [[
local co = coroutine.create(function()
  local x <close> = setmetatable({}, { __close = function() while true do end end })
  coroutine.yield()
end)
coroutine.resume(co)
coroutine.close(co)]],
  ["__gc"] = "setmetatable({}, { __gc = function() while true do end end }) collectgarbage() collectgarbage()",
  ["long calls"] = 'while true do ("x"):rep(1000000) end',
  ["a hook of its own"] = "while true do debug.sethook() end",
  ["a module"] = "require 'endless'",
  ["a loaded chunk"] = "load 'while true do end' ()",
  ["an iterator"] = "for _ in function() while true do end end do end",
  ["a wait before it"] = "sse.sleep(0) while true do end",
}

--- The collector's errors are not the handler's.
local answered = { ["__gc"] = true }
--- An error whose text cannot be had.
local messages = { ["__tostring of an error"] = "%(error object is a table value%)" }

local function script()
  local parts = { [[
local sse = require "sse"
local ticks = sse.channel "ticks"
sse.get("/ticks", ticks)
sse.every("10ms", function() ticks:publish "tick" end)
sse.get("/", function() return "alive" end)
]] }
  for name, body in pairs(endless) do
    parts[#parts + 1] = ("sse.get(%q, function()\n%s\nend)\n"):format("/" .. name:gsub(" ", "_"), body)
  end
  return table.concat(parts)
end

local function sorted_names(list)
  local names = {}
  for name in pairs(list) do
    names[#names + 1] = name
  end
  table.sort(names)
  return names
end

local function start(text, options)
  options = options or {}
  options.args = options.args or { "--budget", BUDGET }
  return server.start(text, options)
end

describe("in a handler, too long is", function()
  local router, ticks

  setup(function()
    router = start(script(), { files = { ["endless.lua"] = "while true do end" } })
    ticks = eventsource.open(router.port, "/ticks", { on_event = function() end }):wait_open()
  end)
  teardown(server.stop_all)

  for _, name in ipairs(sorted_names(endless)) do
    it(name, function()
      local lines = #router.process.stderr
      local response = http.get(router.port, "/" .. name:gsub(" ", "_"))
      assert.equal(answered[name] and 204 or 500, response.status)
      router.process:wait_line("stderr", messages[name] or MESSAGE, nil, lines + 1)
      assert.equal("alive", http.get(router.port, "/").body)
      local before = ticks.received
      loop.wait_until(function()
        return ticks.received > before
      end, nil, "the ticks to go on")
    end)
  end

  it("told with the script's line and a traceback", function()
    local lines = #router.process.stderr
    http.get(router.port, "/a_loop")
    local line = router.process:wait_line("stderr", "GET /a_loop: .*", nil, lines + 1)
    assert.matches("GET /a_loop: %S*script.lua:%d+: " .. MESSAGE, line)
    router.process:wait_line("stderr", "stack traceback", nil, lines + 1)
    router.process:wait_line("stderr", "script.lua:%d+: in ", nil, lines + 1)
  end)

  it("stopped every time, also in coroutines that are used again", function()
    for _ = 1, 5 do
      assert.equal(500, http.get(router.port, "/a_loop").status)
      assert.equal(500, http.get(router.port, "/a_callback_of_gsub").status)
      assert.equal("alive", http.get(router.port, "/").body)
    end
  end)
end)

describe("elsewhere, too long", function()
  after_each(server.stop_all)

  --- Starts a script with a route "/" besides, and waits for the message behind `prefix`.
  local function expect_stopped(text, prefix, use)
    local router = start('local sse = require "sse" sse.get("/", function() return "alive" end)\n' .. text)
    if use then
      use(router)
    end
    router:wait_log(prefix .. ".*" .. MESSAGE)
    assert.equal("alive", http.get(router.port, "/").body)
    return router
  end

  it("is a guard, which denies", function()
    expect_stopped('sse.get("/guarded", function() while true do end end, function() return "in" end)',
      "GET /guarded", function(router)
        assert.equal(500, http.get(router.port, "/guarded").status)
      end)
  end)

  it("is a timer, which goes on", function()
    local router = expect_stopped([[
local count = 0
sse.every("20ms", function()
  count = count + 1
  sse.log.info("turn", count)
  if count == 1 then while true do pcall(function() while true do end end) end end
end)
]], "timer")
    router:wait_log "turn 3"
  end)

  it("is sse.spawn, which does not harm its caller", function()
    local router = expect_stopped([[
sse.get("/spawn", function() sse.spawn(function() while true do end end) return "spawned" end)
]], "sse.spawn", function(router)
      assert.equal("spawned", http.get(router.port, "/spawn").body)
    end)
    assert.not_matches("GET /spawn", router:log())
  end)

  it("is a stream, which ends", function()
    expect_stopped([[
sse.get("/stream", function() return sse.stream(function(client)
  local _ <close> = sse.defer(function() sse.log.info "closed" end)
  client:send "one"
  sse.sleep "10ms"
  while true do pcall(function() while true do end end) end
end) end)
]], "GET /stream", function(router)
      local source = eventsource.open(router.port, "/stream", { reconnect = false })
      assert.equal("one", source:next().data)
      assert.equal("complete", source:wait_ending())
      router:wait_log "closed"
    end)
  end)

  it("is a filter, which denies, and neither its publisher nor other filters suffer", function()
    local router = expect_stopped([[
sse.filter("endless", function(event, _) if event.data == "bad" then while true do end end return true end)
sse.filter("good", function(_, _) return true end)
sse.get("/endless/:n", function(req) return sse.subscribe { "news", filter = { "endless", req.params.n } } end)
sse.get("/good/:n", function(req) return sse.subscribe { "news", filter = { "good", req.params.n } } end)
sse.post("/news", function(req) sse.publish("news", req.body) return "published" end)
]], "filter", function(router)
      local bad, good = {}, {}
      for index = 1, 4 do
        bad[index] = eventsource.open(router.port, "/endless/" .. index):wait_open()
        good[index] = eventsource.open(router.port, "/good/" .. index):wait_open()
      end
      local before = loop.now()
      assert.equal("published", http.post(router.port, "/news", "bad").body)
      -- One filter's budget, not one for each of its groups.
      assert.is_true(loop.now() - before < 3 * milliseconds / 1000)
      http.post(router.port, "/news", "fine")
      for index = 1, 4 do
        assert.equal("fine", bad[index]:next().data)
        assert.equal("bad", good[index]:next().data)
        assert.equal("fine", good[index]:next().data)
      end
    end)
    assert.not_matches("POST", router:log())
  end)

  it("is a filter that judges what a new subscriber may hear", function()
    expect_stopped([[
for i = 1, 50 do sse.publish("news", tostring(i)) end
sse.filter("endless", function() while true do end end)
sse.get("/news", function() return sse.subscribe { "news", filter = "endless", history = 10 } end)
]], "filter", function(router)
      local before = loop.now()
      eventsource.open(router.port, "/news"):wait_open()
      assert.is_true(loop.now() - before < 3 * milliseconds / 1000)
    end)
  end)

  it("is a handler of sse.on", function()
    for _, name in ipairs { "subscribe", "unsubscribe", "error" } do
      local router = expect_stopped(([[
sse.on(%q, function() sse.log.info "told" while true do end end)
sse.get("/news", sse.channel "news")
sse.get("/raise", function() error "raised" end)
]]):format(name), name, function(router)
        http.get(router.port, "/raise")
        eventsource.open(router.port, "/news"):wait_open():close()
        router:wait_log "told"
      end)
      router:stop()
    end
  end)

  it("is what a shutdown runs", function()
    local router = start 'require "sse".on("shutdown", function() while true do end end)'
    router:stop()
    router:wait_log(MESSAGE)
  end)

  it("is __gc when the state closes", function()
    local router = start "kept = setmetatable({}, { __gc = function() while true do end end })"
    router:stop()
    router:wait_log(MESSAGE)
  end)

  it("is __close when a client leaves", function()
    expect_stopped([[
sse.get("/stream", function() return sse.stream(function(client)
  local _ <close> = sse.defer(function() while true do end end)
  local _ <close> = sse.defer(function() sse.log.info "closed" end)
  client:send "one"
  sse.sleep "1h"
end) end)
]], "sse.stream", function(router)
      local source = eventsource.open(router.port, "/stream")
      source:next()
      source:close()
      router:wait_log "closed"
    end)
  end)

  it("is the loading of the script, which has ten times as long", function()
    local result = server.run { "--budget", "50ms", "-e", "\npcall(function() while true do end end)" }
    assert.equal(1, result.status)
    assert.matches("%(command line%):2: the script took longer than its time budget", result.stderr)
    result = server.run { "--budget", BUDGET, "--check", "-e",
      "local sse = require 'sse' local t = sse.now() repeat until sse.now() > t + 0.3" }
    assert.equal(0, result.status, result.stderr)
  end)
end)

describe("the budget", function()
  after_each(server.stop_all)

  it("is not spent by waiting", function()
    local router = start [[
local sse = require "sse"
sse.get("/", function() for _ = 1, 8 do sse.sleep "20ms" end return "done" end)
]]
    assert.equal("done", http.get(router.port, "/").body)
  end)

  it("begins anew with each turn", function()
    local router = start [[
local sse = require "sse"
local function work() local t = sse.now() repeat until sse.now() > t + 0.02 end
sse.get("/", function() for _ = 1, 10 do work() sse.sleep(0) end return "done" end)
]]
    assert.equal("done", http.get(router.port, "/").body)
  end)

  it("may be none", function()
    local router = start([[
local sse = require "sse"
sse.get("/", function() local t = sse.now() repeat until sse.now() > t + 0.3 return "done" end)
]], { args = { "--budget", "0" } })
    assert.equal("done", http.get(router.port, "/").body)
  end)

  it("leaves clean-up its time", function()
    local router = start [[
local sse = require "sse"
sse.get("/", function()
  local _ <close> = sse.defer(function() for _ = 1, 1000 do end sse.log.info "cleaned up" end)
  while true do end
end)
]]
    assert.equal(500, http.get(router.port, "/").status)
    router:wait_log "cleaned up"
  end)
end)
