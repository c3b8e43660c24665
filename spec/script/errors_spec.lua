-- Errors of a script: never fatal, always told with the script's own place.

local eventsource = require "spec.support.eventsource"
local http = require "spec.support.http"
local server = require "spec.support.server"

local preamble = 'local sse = require "sse" sse.get("/", function() return "alive" end)\n'

local function start(text, options)
  return server.start(preamble .. text, options)
end

local function expect_alive(router)
  assert.equal("alive", http.get(router.port, "/").body)
end

--- The lines of the log from the one that matches to the end of its traceback.
local function logged(router, pattern)
  router:wait_log(pattern)
  local text = router:log()
  return text:sub((assert(text:find(pattern))))
end

describe("an error in a handler", function()
  local router

  setup(function()
    -- Lua takes its time to fill a stack in a build for a sanitizer.
    router = start([[
local function deep(value) error(value) end
sse.get("/text", function() deep "went wrong" end)
sse.get("/level0", function() error("without a place", 0) end)
sse.get("/number", function() error(42) end)
sse.get("/nil", function() error() end)
sse.get("/table", function() error { code = 7 } end)
sse.get("/boolean", function() error(false) end)
sse.get("/tostring", function() error(setmetatable({}, { __tostring = function() return "a nice text" end })) end)
sse.get("/tostring-raises", function()
  error(setmetatable({}, { __tostring = function() error "not even that" end }))
end)
sse.get("/tostring-number", function() error(setmetatable({}, { __tostring = function() return 42 end })) end)
sse.get("/bytes", function() error("bytes \0\1\27[31m\xff", 0) end)
sse.get("/lines", function() error("one\ntwo 2026-01-01T00:00:00.000Z info forged", 0) end)
sse.get("/long", function() error(("x"):rep(100000), 0) end)
sse.get("/index", function() local t = nil; return t.field end)
sse.get("/call", function() return nothing() end)
sse.get("/arithmetic", function() return 1 + {} end)
sse.get("/overflow", function() local function f() return 1 + f() end return f() end)
sse.get("/nested", function() local t = {} for _ = 1, 200000 do t = { t } end return t end)
sse.get("/own-option", function() sse.publish("x", { dta = 1 }) end)
sse.get("/library", function() string.rep() end)
sse.get("/after-wait", function() sse.sleep(0) error "later" end)
sse.get("/within-coroutine", function() coroutine.wrap(function() error "inside" end)() end)
sse.get("/close", function() local _ <close> = sse.defer(function() error "in close" end) return "answered" end)
sse.get("/close-and-error", function()
  local _ <close> = sse.defer(function() error "in close too" end)
  error "first"
end)
sse.get("/close-sees", function()
  local _ <close> = sse.defer(function(_, e) sse.log.info("saw " .. tostring(e.code)) end)
  error { code = 7 }
end)
sse.get("/caught", function()
  local ok, e = pcall(error, { code = 7 })
  local ok2, e2 = xpcall(error, function(m) return "handled " .. m end, "x")
  return { ok, e.code, ok2, e2 }
end)
]])
  end)
  teardown(server.stop_all)

  local function expect(path, ...)
    local response = http.get(router.port, path)
    assert.same({ 500, "Internal Server Error\n", "text/plain; charset=utf-8" },
      { response.status, response.body, response.headers["content-type"] }, path)
    local text = logged(router, "GET " .. path:gsub("%-", "%%-") .. ": ")
    for _, expected in ipairs { ... } do
      assert.matches(expected, text)
    end
    expect_alive(router)
  end

  it("is told with its place and a traceback", function()
    expect("/text", "^GET /text: %S*script.lua:2: went wrong\n%s*stack traceback:\n", "script.lua:2: in ",
      "script.lua:3: in ")
  end)

  it("may be any value", function()
    expect("/level0", "^GET /level0: without a place\n")
    expect("/number", "^GET /number: 42\n")
    expect("/nil", "^GET /nil: %(error object is a nil value%)\n")
    expect("/table", "^GET /table: %(error object is a table value%)\n")
    expect("/boolean", "^GET /boolean: %(error object is a boolean value%)\n")
    expect("/tostring", "^GET /tostring: a nice text\n")
    expect("/tostring-raises", "^GET /tostring%-raises: %(error object is a table value%)\n")
    expect("/tostring-number", "^GET /tostring%-number: %(error object is a table value%)\n")
  end)

  it("cannot forge the log or colour a terminal", function()
    expect("/bytes", "^GET /bytes: bytes ")
    assert.not_matches("\27", router:log())
    expect("/lines", "one\n    two 2026")
  end)

  it("may be long", function()
    expect("/long", "^GET /long: xxxxxx")
  end)

  it("may be Lua's own", function()
    expect("/index", "script.lua:%d+: attempt to index a nil value %(local 't'%)")
    expect("/call", "script.lua:%d+: attempt to call a nil value %(global 'nothing'%)")
    expect("/arithmetic", "script.lua:%d+: attempt to perform arithmetic on a table value")
    expect("/overflow", "stack overflow")
    expect("/nested", "nested deeper than %d+ tables")
  end)

  it("may be raised by the library, at the script's line", function()
    expect("/own-option", "^GET /own%-option: %S*script.lua:%d+: an event has no field 'dta'")
    expect("/library", "bad argument #1 to 'rep'")
  end)

  it("may come later, or from within a coroutine", function()
    expect("/after-wait", "script.lua:%d+: later\n")
    expect("/within-coroutine", "script.lua:%d+: inside\n")
  end)

  it("in a clean-up comes too late for the answer but is told", function()
    expect("/close", "script.lua:%d+: in close\n")
    expect("/close-and-error", "script.lua:%d+: first\n")
    router:wait_log "in close too"
  end)

  it("is what the clean-up sees", function()
    expect("/close-sees", "table value")
    router:wait_log "saw 7"
  end)

  it("may be caught", function()
    assert.same({ false, 7, false, "handled x" }, http.get(router.port, "/caught"):json())
  end)

  it("does not stop the connection", function()
    local connection = http.connect(router.port)
    for _ = 1, 3 do
      connection:request("GET", "/text")
      assert.equal(500, connection:receive_response().status)
    end
    connection:request("HEAD", "/text")
    assert.equal(500, connection:receive_response({ method = "HEAD" }).status)
    connection:request("GET", "/")
    assert.equal("alive", connection:receive_response().body)
  end)

  it("never shows a token of the query", function()
    http.get(router.port, "/text?token=verysecret")
    router:wait_log "GET /text:"
    assert.not_matches("verysecret", router:log())
  end)
end)

describe("an error elsewhere", function()
  after_each(server.stop_all)

  it("in a timer is told, and the timer goes on", function()
    local router = start [[
local count = 0
sse.every("5ms", function() count = count + 1 sse.log.info("turn", count) error("turn failed " .. count) end)
sse.after(0, function() error "after failed" end)
]]
    router:wait_log "timer: %S*script.lua:3: turn failed 3\n?"
    router:wait_log "timer: %S*script.lua:4: after failed"
    router:wait_log "turn 4"
    expect_alive(router)
  end)

  it("in sse.spawn is told", function()
    local router = start [[
sse.spawn(function() sse.sleep(0) error "spawned" end)
sse.get("/spawn", function() sse.spawn(function() error "at once" end) return "goes on" end)
]]
    router:wait_log "sse.spawn: %S*script.lua:2: spawned"
    assert.equal("goes on", http.get(router.port, "/spawn").body)
    router:wait_log "sse.spawn: %S*script.lua:3: at once"
  end)

  it("in a stream ends it, after what it sent", function()
    local router = start [[
sse.get("/stream", function() return sse.stream(function(client) client:send "one" error "stream failed" end) end)
]]
    local source = eventsource.open(router.port, "/stream", { reconnect = false })
    assert.equal("one", source:next().data)
    assert.equal("complete", source:wait_ending())
    router:wait_log "GET /stream: %S*script.lua:2: stream failed"
    expect_alive(router)
  end)

  it("in a filter denies, and is told", function()
    local router = start [[
sse.filter("picky", function(event) if event.data == "bad" then error "filter failed" end return true end)
sse.get("/news", function() return sse.subscribe { "news", filter = "picky" } end)
sse.post("/news", function(req) return 200, { id = sse.publish("news", req.body) } end)
]]
    local source = eventsource.open(router.port, "/news"):wait_open()
    for _, data in ipairs { "a", "bad", "b" } do
      assert.equal(200, http.post(router.port, "/news", data).status)
    end
    assert.equal("a", source:next().data)
    assert.equal("b", source:next().data)
    router:wait_log "filter: %S*script.lua:2: filter failed"
  end)

  it("in the main chunk's waiting part does not end the program", function()
    local router = start 'sse.spawn(function() error "while loading" end)'
    router:wait_log "while loading"
    expect_alive(router)
  end)

  it("in __gc is told", function()
    local router = start [[
sse.get("/gc", function()
  setmetatable({}, { __gc = function() error "finalizer failed" end })
  collectgarbage() collectgarbage()
  return "collected"
end)
]]
    assert.equal("collected", http.get(router.port, "/gc").body)
    router:wait_log "__gc: %S*script.lua:3: finalizer failed"
  end)
end)

describe("a mistake in a call with `return`, which takes its own line away,", function()
  after_each(server.stop_all)

  it("is told with the line of the function", function()
    local router = start [[
sse.get("/handler",
  function() return sse.subscribe {} end)
sse.get("/published", function(req)
  return sse.publish("a", { dta = 1 })
end)
sse.get("/guarded",
  function() return sse.publish("a", { dta = 1 }) end,
  function() end)
sse.get("/inner", function()
  local wrapped = coroutine.wrap(function() return sse.subscribe {} end)
  wrapped()
end)
sse.get("/stream", function() return sse.stream(
  function(client) return client:send { dta = 1 } end)
end)
sse.every("50ms",
  function() return sse.publish("a", 5) end)
sse.spawn(function() sse.sleep(0)
  return sse.sleep "x"
end)
]]
    http.get(router.port, "/handler")
    router:wait_log "GET /handler: %S*script.lua:3: sse.subscribe: no channels"
    http.get(router.port, "/published")
    router:wait_log "GET /published: %S*script.lua:5: an event has no field 'dta'"
    http.get(router.port, "/guarded")
    router:wait_log "GET /guarded: %S*script.lua:8: an event has no field 'dta'"
    http.get(router.port, "/inner")
    router:wait_log "GET /inner: %S*script.lua:12: %S*script.lua:12: sse.subscribe: no channels"
    eventsource.open(router.port, "/stream", { reconnect = false }):wait_ending()
    router:wait_log "GET /stream: %S*script.lua:15: an event has no field 'dta'"
    router:wait_log "timer: %S*script.lua:18: an event must be a table or a string"
    router:wait_log "sse.spawn: %S*script.lua:19: sse.sleep: argument 1"
  end)
end)

describe("sse.on \"error\"", function()
  after_each(server.stop_all)

  it("hears of errors with their place", function()
    local router = start [[
sse.on("error", function(text) sse.log.info("heard: " .. text:match "^[^\n]*") end)
sse.get("/raise", function() error "raised" end)
sse.after(0, function() error "timer failed" end)
sse.get("/stream", function() return sse.stream(function() error "stream failed" end) end)
]]
    router:wait_log "heard: timer: .*script.lua:4: timer failed"
    http.get(router.port, "/raise")
    router:wait_log "heard: GET /raise: .*script.lua:3: raised"
    eventsource.open(router.port, "/stream", { reconnect = false }):wait_ending()
    router:wait_log "heard: GET /stream: .*stream failed"
  end)

  it("may wait, publish, and have several handlers", function()
    local router = start [[
sse.on("error", function(text) sse.sleep "5ms" sse.publish("errors", { data = text:match "^[^\n]*" }) end)
sse.on("error", function() sse.log.info "second" end)
sse.get("/errors", sse.channel "errors")
sse.get("/raise", function() error "raised" end)
]]
    local source = eventsource.open(router.port, "/errors"):wait_open()
    http.get(router.port, "/raise")
    assert.matches("GET /raise: .*raised", source:next().data)
    router:wait_log "second"
  end)

  it("does not hear of its own errors", function()
    local router = start [[
local count = 0
sse.on("error", function() count = count + 1 error "at once" end)
sse.on("error", function() count = count + 1 sse.sleep "1ms" error "later" end)
sse.on("error", function() count = count + 1 coroutine.yield() end)
sse.get("/raise", function() error "raised" end)
sse.get("/count", function() return { count = count } end)
]]
    http.get(router.port, "/raise")
    router:wait_log "handler of sse.on \"error\": .*at once"
    router:wait_log "handler of sse.on \"error\": .*later"
    for _ = 1, 20 do
      assert.equal(3, http.get(router.port, "/count"):json().count)
    end
  end)

  it("hears of a guard's, a filter's and another handler's errors", function()
    local router = start [[
sse.on("error", function(text) sse.log.info("heard: " .. text:match "^[^\n]*") end)
sse.on("subscribe", function() error "told of a subscriber" end)
sse.filter("f", function() error "filter failed" end)
sse.get("/guarded", function() error "guard failed" end, function() end)
sse.get("/news", function() return sse.subscribe { "news", filter = "f" } end)
sse.post("/news", function() sse.publish("news", "x") end)
]]
    http.get(router.port, "/guarded")
    router:wait_log "heard: GET /guarded: .*guard failed"
    eventsource.open(router.port, "/news"):wait_open()
    router:wait_log "heard: handler of sse.on \"subscribe\": .*told of a subscriber"
    http.post(router.port, "/news")
    router:wait_log "heard: filter: .*filter failed"
  end)
end)

describe("a coroutine of the script's own", function()
  local router

  setup(function()
    router = start [[
sse.get("/generator", function()
  local list = {}
  for value in coroutine.wrap(function() for i = 1, 3 do coroutine.yield(i) end end) do list[#list + 1] = value end
  return list
end)
sse.get("/exchange", function()
  local co = coroutine.create(function(a, b)
    local c, d = coroutine.yield(a + b, a * b)
    return c .. d
  end)
  local _, sum, product = coroutine.resume(co, 2, 3)
  local ok, text = coroutine.resume(co, "x", "y")
  local again, why = coroutine.resume(co)
  return sse.array { sum, product, ok, text, again, why, coroutine.status(co), coroutine.isyieldable() }
end)
sse.get("/close", function()
  local closed = 0
  local function suspended(fn)
    local co = coroutine.create(function() local _ <close> = sse.defer(fn) coroutine.yield() end)
    coroutine.resume(co)
    return co
  end
  local co = suspended(function() closed = closed + 1 end)
  local ok = coroutine.close(co)
  local failed, why = coroutine.close(suspended(function() error("x", 0) end))
  return { closed, ok, coroutine.status(co), failed, why, coroutine.close(coroutine.create(print)) }
end)
sse.get("/wrap-closes", function()
  local closed = 0
  local wrapped = coroutine.wrap(function()
    local _ <close> = sse.defer(function() closed = closed + 1 end)
    error "in it"
  end)
  local ok, message = pcall(wrapped)
  return sse.array { closed, ok, message }
end)
sse.get("/errors", function()
  local messages = {}
  for _, fn in ipairs {
    function() coroutine.resume() end,
    function() coroutine.close() end,
    function() coroutine.wrap() end,
    function() coroutine.close(coroutine.running()) end,
    function() coroutine.wrap(function() end)(coroutine.wrap(1)) end,
    function() local w = coroutine.wrap(function() end) w() w() end,
    function() setmetatable(1, {}) end,
    function() setmetatable({}, 1) end,
    function() setmetatable(setmetatable({}, { __metatable = 1 }), {}) end,
    function() xpcall(print) end,
  } do
    messages[#messages + 1] = select(2, pcall(fn))
  end
  return messages
end)
sse.get("/yield", function() coroutine.yield(1) return "never" end)
sse.get("/yield-late", function() sse.sleep(0) coroutine.yield() end)
sse.get("/sleep-inside", function() coroutine.wrap(function() sse.sleep "1ms" end)() end)
sse.get("/sleep-below-c", function() ("x"):gsub("x", function() sse.sleep "1ms" end) end)
sse.get("/sleep-below-c-caught", function()
  local list = {}
  for i = 1, 5 do
    list[i] = pcall(string.gsub, "x", "x", function() sse.sleep "1ms" end)
  end
  sse.sleep "20ms"
  return list
end)
sse.get("/sleep-in-pcall", function()
  local ok, value = pcall(function() sse.sleep "1ms" return "slept" end)
  local ok2, value2 = xpcall(function() sse.sleep "1ms" return "slept too" end, debug.traceback)
  return { ok, value, ok2, value2 }
end)
sse.get("/sleep-in-iterator", function()
  local list = {}
  for i in function(_, i) sse.sleep(0) return i < 3 and i + 1 or nil end, nil, 0 do list[#list + 1] = i end
  return list
end)
sse.get("/sleep-in-metamethod", function()
  return setmetatable({}, { __index = function(_, key) sse.sleep(0) return "slept for " .. key end }).x
end)
sse.get("/traceback", function()
  return select(2, xpcall(function() error "here" end, debug.traceback))
end)
sse.get("/resume-main", function()
  return { coroutine.resume(coroutine.running()) }
end)
sse.get("/deep", function()
  local depth = 0
  local function nest() depth = depth + 1 assert(coroutine.resume(coroutine.create(nest))) end
  local ok, message = pcall(nest)
  return sse.array { ok, message, depth > 10 }
end)
sse.get("/spread", function()
  local many = {}
  for i = 1, 300 do many[i] = i end
  local co = coroutine.wrap(function(...) return select("#", coroutine.yield(...)), ... end)
  local first = select("#", co(table.unpack(many)))
  local second = select("#", co(table.unpack(many)))
  local third
  sse.spawn(function(...) third = select("#", ...) end, table.unpack(many))
  return { first, second, third }
end)
local kept = {}
sse.get("/abandoned", function()
  for i = 1, 100 do
    local co = coroutine.create(function() coroutine.yield() end)
    coroutine.resume(co)
    kept[i % 10] = co
  end
  collectgarbage()
  return "left"
end)
]]
  end)
  teardown(server.stop_all)

  local function json(path)
    return http.get(router.port, path):json()
  end

  local function expect_error(path, message)
    assert.equal(500, http.get(router.port, path).status, path)
    router:wait_log("GET " .. path:gsub("%-", "%%-") .. ": .*" .. message)
    expect_alive(router)
  end

  it("works in handlers as everywhere", function()
    assert.same({ 1, 2, 3 }, json "/generator")
    assert.same({ 5, 6, true, "xy", false, "cannot resume dead coroutine", "dead", true }, json "/exchange")
    assert.same({ 1, true, "dead", false, "x", true }, json "/close")
    local closed = json "/wrap-closes"
    assert.same({ 1, false }, { closed[1], closed[2] })
    assert.matches("script.lua:%d+: in it$", closed[3])
    assert.equal("left", http.get(router.port, "/abandoned").body)
    assert.same({ 300, 301, 300 }, json "/spread")
  end)

  it("has Lua's own messages for mistakes", function()
    local expected = {
      "bad argument #1 to 'resume' %(coroutine expected, got no value%)",
      "bad argument #1 to 'close' %(coroutine expected, got no value%)",
      "bad argument #1 to 'wrap' %(function expected, got no value%)",
      "cannot close a running coroutine",
      "bad argument #1 to 'wrap' %(function expected, got number%)",
      "script.lua:%d+: cannot resume dead coroutine",
      "bad argument #1 to 'setmetatable' %(table expected, got number%)",
      "bad argument #2 to 'setmetatable' %(nil or table expected, got number%)",
      "cannot change a protected metatable",
      "bad argument #2 to 'xpcall' %(function expected, got no value%)",
    }
    for index, message in ipairs(json "/errors") do
      assert.matches(expected[index], message)
      assert.matches("^%S*script.lua:%d+: ", message)
    end
  end)

  it("yields to its resumer alone", function()
    expect_error("/yield", "coroutine.yield was called outside of a coroutine of the script's own")
    expect_error("/yield-late", "coroutine.yield was called outside of a coroutine of the script's own")
  end)

  it("cannot wait, and is told so", function()
    local message = "script.lua:%d+: sse.sleep cannot wait here"
    expect_error("/sleep-inside", message)
    expect_error("/sleep-below-c", message)
    assert.same({ false, false, false, false, false }, json "/sleep-below-c-caught")
  end)

  it("is not needed for waiting in pcall, iterators and metamethods", function()
    assert.same({ true, "slept", true, "slept too" }, json "/sleep-in-pcall")
    assert.same({ 1, 2, 3 }, json "/sleep-in-iterator")
    assert.equal("slept for x", http.get(router.port, "/sleep-in-metamethod").body)
  end)

  it("has a traceback without levels of the router's", function()
    local text = http.get(router.port, "/traceback").body
    assert.matches("^%S*script.lua:%d+: here\nstack traceback:\n\t%[C%]: in function 'error'\n\t%S*script.lua", text)
  end)

  it("may nest until Lua says no", function()
    assert.same({ false, "cannot resume non-suspended coroutine" }, json "/resume-main")
    local ok, message, deep = table.unpack(json "/deep")
    assert.same({ false, true }, { ok, deep })
    assert.matches("C stack overflow", message)
    expect_alive(router)
  end)
end)

describe("handlers that wait", function()
  after_each(server.stop_all)

  it("do not block each other", function()
    local router = start [[
local waiting, woken = 0, {}
sse.get("/wait/:name", function(req)
  waiting = waiting + 1
  sse.log.info("waiting", waiting)
  while not woken[req.params.name] do sse.sleep "2ms" end
  return req.params.name
end)
sse.post("/wake/:name", function(req) woken[req.params.name] = true end)
]]
    local connections = {}
    for _, name in ipairs { "a", "b", "c" } do
      connections[name] = http.connect(router.port)
      connections[name]:request("GET", "/wait/" .. name)
    end
    router:wait_log "waiting 3"
    for _, name in ipairs { "b", "c", "a" } do
      http.post(router.port, "/wake/" .. name)
      assert.equal(name, connections[name]:receive_response().body)
    end
  end)

  it("answer in the order of a connection's requests", function()
    local router = start [[
sse.get("/slow", function() sse.sleep "30ms" return "slow" end)
sse.get("/fast", function() return "fast" end)
]]
    local connection = http.connect(router.port)
    connection:request("GET", "/slow")
    connection:request("GET", "/fast")
    assert.equal("slow", connection:receive_response().body)
    assert.equal("fast", connection:receive_response().body)
  end)

  it("may be hundreds", function()
    local router = start 'sse.get("/slow", function(req) sse.sleep "50ms" return req.query.n end)'
    local connections = {}
    for n = 1, 200 do
      connections[n] = http.connect(router.port)
      connections[n]:request("GET", "/slow?n=" .. n)
    end
    for n = 1, 200 do
      assert.equal(tostring(n), connections[n]:receive_response().body)
    end
  end)

  it("are left alone when their client leaves", function()
    local router = start [[
sse.get("/slow", function()
  local _ <close> = sse.defer(function() sse.log.info "closed" end)
  sse.log.info "begun"
  sse.sleep "30ms"
  sse.log.info "ended"
  return "nobody hears"
end)
]]
    local connection = http.connect(router.port)
    connection:request("GET", "/slow")
    router:wait_log "begun"
    connection:reset()
    router:wait_log "ended"
    router:wait_log "closed"
    expect_alive(router)
  end)
end)
