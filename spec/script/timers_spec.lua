-- sse.every, sse.after, sse.sleep and sse.spawn.

local http = require "spec.support.http"
local loop = require "spec.support.loop"
local server = require "spec.support.server"

after_each(server.stop_all)

local function start(text, options)
  return server.start('local sse = require "sse"\n' .. text, options)
end

--- A script's list of notes, at /notes.
local notes = [[
local notes = sse.array {}
local function note(text) notes[#notes + 1] = text end
sse.get("/notes", function() return notes end)
]]

describe("sse.every", function()
  it("calls again and again, at its interval", function()
    local router = start [[
local since, count = sse.now(), 0
sse.every("20ms", function()
  count = count + 1
  sse.log.info(("turn %d after %.3f"):format(count, sse.now() - since))
end)
]]
    local late = tonumber(router:wait_log "turn 5 after ([%d.]+)")
    -- Never before its time; a busy machine may be late.
    assert.is_true(late >= 0.099 and late < loop.limit(2), late)
  end)

  it("never overlaps itself", function()
    local router = start [[
local running, turns = 0, 0
sse.every("2ms", function()
  running, turns = running + 1, turns + 1
  if running > 1 then sse.log.error "overlap" end
  sse.sleep "15ms"
  running = running - 1
  if turns == 5 then sse.log.info "five turns" end
end)
]]
    router:wait_log "five turns"
    assert.not_matches("overlap", router:log())
  end)

  it("stops for good", function()
    local router = start(notes .. [[
local timer = sse.every("1ms", function() note "ticked" end)
sse.post("/stop", function() timer:stop() timer:stop() note "stopped" end)
]])
    repeat
      local list = http.get(router.port, "/notes"):json()
    until list[3]
    http.post(router.port, "/stop")
    local count = #http.get(router.port, "/notes"):json()
    for _ = 1, 20 do
      local list = http.get(router.port, "/notes"):json()
      assert.same({ count, "stopped" }, { #list, list[#list] })
    end
  end)

  it("stops from inside, before and after a wait", function()
    local router = start(notes .. [[
local at_once, later, failing
at_once = sse.every("1ms", function() at_once:stop() note "at once" end)
later = sse.every("1ms", function() sse.sleep "1ms" later:stop() sse.sleep "1ms" note "later" end)
failing = sse.every("1ms", function() failing:stop() note "failing" error "failed" end)
sse.after("60ms", function() sse.log.info "over" end)
]])
    router:wait_log "over"
    local list = http.get(router.port, "/notes"):json()
    table.sort(list)
    assert.same({ "at once", "failing", "later" }, list)
  end)

  it("may be stopped while its function waits, which goes on", function()
    local router = start(notes .. [[
local timer = sse.every("1ms", function() note "begun" sse.sleep "30ms" note "ended" sse.log.info "ended" end)
sse.after("15ms", function() timer:stop() end)
sse.after("80ms", function() sse.log.info "over" end)
]])
    router:wait_log "over"
    assert.same({ "begun", "ended" }, http.get(router.port, "/notes"):json())
  end)

  it("goes on without anyone who holds the timer", function()
    local router = start [[
do sse.every("5ms", function() sse.log.info "ticked" collectgarbage() end) end
collectgarbage()
sse.after("30ms", function() sse.log.info "over" end)
]]
    router:wait_log "over"
    local _, count = router:log():gsub("ticked", "")
    assert.is_true(count >= 2, count)
  end)

  it("may be made and stopped in thousands", function()
    local router = start [[
local timers, ticks = {}, 0
for i = 1, 5000 do timers[i] = sse.every("10ms", function() ticks = ticks + 1 end) end
sse.post("/stop", function() for _, timer in ipairs(timers) do timer:stop() end timers = {} collectgarbage() end)
sse.get("/ticks", function() return { ticks = ticks } end)
]]
    repeat until http.get(router.port, "/ticks"):json().ticks >= 10000
    http.post(router.port, "/stop")
    local ticks = http.get(router.port, "/ticks"):json().ticks
    for _ = 1, 20 do
      assert.equal(ticks, http.get(router.port, "/ticks"):json().ticks)
    end
  end)
end)

describe("sse.after", function()
  it("calls once, in the order of times", function()
    local router = start(notes .. [[
sse.after("40ms", function() note "40" sse.log.info "over" end)
sse.after("10ms", function() note "10" end)
sse.after(0, function() note "0" end)
sse.after(0.02, function() note "20" end)
note "loaded"
]])
    router:wait_log "over"
    assert.same({ "loaded", "0", "10", "20", "40" }, http.get(router.port, "/notes"):json())
  end)

  it("may be called off", function()
    local router = start(notes .. [[
local one = sse.after("10ms", function() note "one" end)
sse.after("5ms", function() one:stop() end)
local two
two = sse.after("15ms", function() two:stop() note "two" end)
sse.after("30ms", function() two:stop() sse.log.info "over" end)
]])
    router:wait_log "over"
    assert.same({ "two" }, http.get(router.port, "/notes"):json())
  end)

  it("may be called thousands of times", function()
    -- With a full collection after each entry the cost of one grows with the number of all.
    local collects = (os.getenv "SSE_ROUTER_ARGS" or ""):find("--debug-gc", 1, true)
    local router = start(("local left = %d"):format(collects and 2000 or 20000) .. [[

for i = 1, left do
  sse.after(i % 50 / 1000, function()
    left = left - 1
    if left == 0 then sse.log.info "all" end
  end)
end
]])
    router:wait_log "all"
  end)

  it("takes what it is made of with it", function()
    local router = start [[
local count = 0
sse.get("/memory", function()
  for i = 1, 2000 do sse.after(0, function() count = count + 1 end) end
  sse.sleep "5ms"
  collectgarbage() collectgarbage()
  return { count = count, bytes = collectgarbage "count" * 1024 // 1 }
end)
]]
    http.get(router.port, "/memory")
    local first = http.get(router.port, "/memory"):json().bytes
    local last
    for _ = 1, 5 do
      last = http.get(router.port, "/memory"):json().bytes
    end
    assert.is_true(last < first * 1.5, ("%d and then %d bytes"):format(first, last))
  end)
end)

describe("sse.sleep", function()
  it("waits as long as it is told, in every form", function()
    local router = start [[
sse.get("/sleep", function()
  local spent = {}
  for index, duration in ipairs { 0, 0.01, "10ms", "0.01s" } do
    local since = sse.now()
    sse.sleep(duration)
    spent[index] = sse.now() - since
  end
  return spent
end)
]]
    local spent = http.get(router.port, "/sleep"):json()
    assert.is_true(spent[1] < loop.limit(1))
    for index = 2, 4 do
      assert.is_true(spent[index] >= 0.009 and spent[index] < loop.limit(1), spent[index])
    end
  end)

  it("lets others go first", function()
    local router = start(notes .. [[
sse.spawn(function() note "a1" sse.sleep(0) note "a2" end)
sse.spawn(function() note "b1" sse.sleep(0) note "b2" sse.log.info "over" end)
]])
    router:wait_log "over"
    assert.same({ "a1", "b1", "a2", "b2" }, http.get(router.port, "/notes"):json())
  end)

  it("cannot be called where nothing can wait", function()
    local result = server.run { "-e", 'local sse = require "sse"\nsse.sleep(1)' }
    assert.equal(1, result.status)
    assert.matches("%(command line%):2: sse.sleep cannot wait here", result.stderr)
    local router = start [[
sse.filter("sleepy", function() sse.sleep(0) return true end)
sse.get("/news", function() return sse.subscribe { "news", filter = "sleepy" } end)
sse.post("/news", function() sse.publish("news", "x") return "published" end)
]]
    require "spec.support.eventsource".open(router.port, "/news"):wait_open()
    assert.equal("published", http.post(router.port, "/news").body)
    router:wait_log "filter: %S*script.lua:2: sse.sleep cannot wait here"
  end)

  it("ends with the program, and clean-up runs", function()
    local router = start [[
sse.spawn(function()
  local _ <close> = sse.defer(function() sse.log.info "spawn closed" end)
  sse.sleep "1h"
end)
sse.every("1ms", function()
  local _ <close> = sse.defer(function() sse.log.info "timer closed" end)
  sse.sleep "1h"
end)
sse.after("10ms", function() sse.log.info "ready" end)
]]
    router:wait_log "ready"
    router:stop()
    router:wait_log "spawn closed"
    router:wait_log "timer closed"
  end)
end)

describe("sse.spawn", function()
  it("runs at once, up to the first wait, and hands arguments over", function()
    local router = start(notes .. [[
sse.spawn(function(a, b, ...)
  note(("got %s %s %d"):format(a, tostring(b), select("#", ...)))
  sse.sleep(0)
  note "after the wait"
  sse.log.info "over"
end, "x", nil, 1, nil)
note "behind"
]])
    router:wait_log "over"
    assert.same({ "got x nil 2", "behind", "after the wait" }, http.get(router.port, "/notes"):json())
  end)

  it("may be nested, in thousands", function()
    local router = start [[
local left = 3000
local function finish() left = left - 1 if left == 0 then sse.log.info "all" end end
for _ = 1, 1000 do
  sse.spawn(function()
    sse.spawn(function() sse.sleep(0) sse.spawn(finish) end)
    sse.sleep "1ms"
    finish()
    sse.spawn(finish)
  end)
end
]]
    router:wait_log "all"
  end)

  it("of a spawn of a spawn ends in Lua's error, not in a crash", function()
    local router = start [[
sse.get("/", function() return "alive" end)
local function nest() sse.spawn(nest) end
sse.get("/nest", nest)
]]
    http.get(router.port, "/nest")
    assert.equal("alive", http.get(router.port, "/").body)
    router:wait_log "stack overflow"
  end)
end)

describe("sse.now", function()
  it("is the time in seconds, with fractions", function()
    local router = start [[
sse.get("/now", function()
  local before, times = sse.now(), {}
  for i = 1, 1000 do times[i] = sse.now() end
  return { now = before, fraction = times[1000] % 1 ~= 0 or times[1] % 1 ~= 0, later = times[1000] >= before }
end)
]]
    local answer = http.get(router.port, "/now"):json()
    assert.is_true(math.abs(answer.now - os.time()) < loop.limit(2))
    assert.same({ true, true }, { answer.fraction, answer.later })
  end)
end)

describe("very many that sleep for a moment", function()
  it("leave turns for requests", function()
    local router = start [[
for _ = 1, 2000 do
  sse.spawn(function() while true do sse.sleep "1ms" end end)
end
sse.get("/", function() return "here" end)
]]
    for _ = 1, 5 do
      assert.equal("here", http.get(router.port, "/").body)
    end
  end)
end)

describe("timers whose functions take longer than their interval", function()
  for threads = 0, 1 do
    it(("leave turns for requests, with %d threads"):format(threads), function()
      local router = start([[
for _ = 1, 2 do
  sse.every("1ms", function()
    local from = os.clock()
    while os.clock() - from < 0.03 do end
  end)
end
sse.get("/", function() return "here" end)
]], { threads = threads })
      for _ = 1, 5 do
        assert.equal("here", http.get(router.port, "/").body)
      end
    end)
  end
end)
