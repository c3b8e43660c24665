local eventsource = require "spec.support.eventsource"
local files = require "spec.support.files"
local http = require "spec.support.http"
local loop = require "spec.support.loop"
local server = require "spec.support.server"

--- A script of that version. `more` is code of the test's own.
local function script(version, more)
  return ([[
    local sse = require "sse"
    local VERSION = %d
    local numbers = sse.channel("numbers", { history = 100000 })
    local kept = sse.state("kept", { loads = 0, list = sse.array {} })
    kept.loads = kept.loads + 1
    sse.publisher "/publish/:channel"
    sse.filter("parity", function(event, parity) return (event.data.n + VERSION) %% 2 == parity end)
    sse.get("/numbers", numbers)
    sse.get("/parity", function() return sse.subscribe { "numbers", filter = { "parity", 0 } } end)
    sse.get("/version", function() return { version = VERSION, kept = kept } end)
    sse.get("/slow", function() sse.sleep(0.5) return { version = VERSION } end)
    sse.get("/own", function()
      return sse.stream(function(client)
        client:send("version " .. VERSION)
        sse.sleep "1h"
      end)
    end)
    sse.post("/reload", function() sse.reload() return 204 end)
    %s
  ]]):format(version, more or "")
end

describe("reload", function()
  after_each(server.stop_all)

  local function version(router)
    return http.get(router.port, "/version"):json().version
  end

  local function reload(router, text)
    router:rewrite(text)
    local seen = #router.process.stderr
    router:kill "sighup"
    router.process:wait_line("stderr", "reload", nil, seen + 1)
  end

  local function publish(router, n)
    assert.equal(201, http.post(router.port, "/publish/numbers", { n = n }).status)
  end

  it("by SIGHUP switches to the new script and keeps streams, logs and ids", function()
    local router = server.start(script(1))
    local client = eventsource.open(router.port, "/numbers", { reconnect = false })
    client:wait_open()
    publish(router, 1)
    reload(router, script(2))
    assert.equal(2, version(router))
    publish(router, 2)
    local first, second = client:next(), client:next()
    assert.equal(first.id:match "^[^-]+", second.id:match "^[^-]+")
    local late = eventsource.open(router.port, "/numbers", { last_event_id = first.id })
    assert.equal(second.id, late:next().id)
    assert.equal("open", client:state())
  end)

  it("goes on with the old script when the new one fails, and shows the place", function()
    local router = server.start(script(1))
    reload(router, script(2, "local x = nil + 1"))
    assert.matches("attempt to perform arithmetic on a nil value", router:log(), 1, true)
    assert.matches("the script that was running goes on", router:log(), 1, true)
    assert.equal(1, version(router))
    reload(router, "this is no Lua")
    assert.equal(1, version(router))
    reload(router, script(3))
    assert.equal(3, version(router))
  end)

  it("keeps what sse.state holds", function()
    local router = server.start(script(1))
    for round = 2, 4 do
      reload(router, script(round))
    end
    local kept = http.get(router.port, "/version"):json().kept
    assert.equal(4, kept.loads)
    assert.matches('"list":%[%]', http.get(router.port, "/version").body)
  end)

  it("lets streams with a named filter go on with its new function", function()
    local router = server.start(script(1))
    local client = eventsource.open(router.port, "/parity", { reconnect = false })
    client:wait_open()
    publish(router, 1)
    publish(router, 2)
    reload(router, script(2))
    publish(router, 3)
    publish(router, 4)
    assert.equal(1, client:next_json().n)
    assert.equal(4, client:next_json().n)
  end)

  it("ends streams that run script code, with a retry, and they come back through the new script", function()
    local router = server.start(script(1))
    local client = eventsource.open(router.port, "/own", { reconnect_after = 0.05 })
    assert.equal("version 1", client:next().data)
    reload(router, script(2))
    assert.equal("version 2", client:next().data)
    assert.is_true(client.retries[#client.retries] >= 1000)
    assert.equal("complete", client:wait_ending(1))
  end)

  it("ends streams whose route is gone or has changed, and no others", function()
    local with_route = [[ sse.get("/more", function() return sse.subscribe { "numbers", history = 1 } end) ]]
    local with_other = [[ sse.get("/more", function() return sse.subscribe { "numbers", history = 2 } end) ]]
    local router = server.start(script(1, with_route))
    local same = eventsource.open(router.port, "/numbers", { reconnect = false })
    local changes = eventsource.open(router.port, "/more", { reconnect = false })
    same:wait_open()
    changes:wait_open()
    reload(router, script(1, "-- another line\n" .. with_route))
    publish(router, 1)
    assert.equal(1, changes:next_json().n)
    reload(router, script(1, with_other))
    changes:wait_closed()
    publish(router, 2)
    same:take(2)
    assert.equal("open", same:state())
  end)

  it("answers requests that wait by the script that got them", function()
    local router = server.start(script(1))
    local connection = http.connect(router.port)
    connection:request("GET", "/slow")
    connection:flush()
    loop.eventually(function() return version(router) == 1 end, 10, "the router")
    reload(router, script(2))
    assert.equal(1, connection:receive_response():json().version)
    assert.equal(2, http.get(router.port, "/slow"):json().version)
  end)

  it("is done by sse.reload and, with --watch, by saving the script or a module of it", function()
    local router = server.start([[
      local sse = require "sse"
      local part = require "part"
      sse.get("/version", function() return { version = part } end)
      sse.post("/reload", function() sse.reload() return 204 end)
    ]], { args = { "--watch" }, files = { ["part.lua"] = "return 1" } })
    files.write(router.directory .. "/part.lua", "return 22")
    loop.eventually(function() return version(router) == 22 end, 10, "the module to be read again")
    http.post(router.port, "/reload")
    router:wait_log "reloaded the script"
    assert.equal(22, version(router))
  end)

  it("loses and doubles nothing for 1000 streams and a publisher across 20 reloads", function()
    local more = [[
      local fast = sse.channel("fast", { history = 100000 })
      sse.get("/fast", fast)
      local n = kept.n or 0
      sse.every("2ms", function()
        n = n + 1
        kept.n = n
        fast:publish { id = n, data = { n = n } }
        if n % 25 == 0 then numbers:publish { id = n, data = { n = n } } end
      end)
    ]]
    local router = server.start(script(1, more))
    local swarm = eventsource.many(router.port, "/numbers", 1000, {
      order = function(event) return math.tointeger(event.id) end,
    })
    local running = eventsource.open(router.port, "/fast", { reconnect = false })
    swarm:wait_open_all()
    for round = 2, 21 do
      reload(router, script(round, more))
    end
    local last = http.get(router.port, "/version"):json().kept.n
    swarm:wait_events(1, 30)
    local late = eventsource.open(router.port, "/fast?last_event_id=earliest")
    for n = 1, last do
      assert.equal(n, late:next_json().n)
    end
    for n = running:next_json().n + 1, last do
      assert.equal(n, running:next_json().n)
    end
    assert.equal(1000, swarm.opened)
    assert.equal(0, swarm.ended)
    swarm:close_all()
  end)

  it("does not grow over 200 reloads", function()
    local router = server.start(script(1))
    local text = script(2)
    local function many()
      for _ = 1, 100 do
        reload(router, text)
      end
      loop.eventually(function() return version(router) == 2 end, 10, "the router")
      return router:memory().proportional
    end
    local first = many()
    local second = many()
    assert.is_true(second < first * 1.1 + 1000000, ("grew from %d to %d bytes"):format(first, second))
  end)
end)
