-- What a client hears first whose stream cannot go on where it was, and how a script changes that.

local eventsource = require "spec.support.eventsource"
local http = require "spec.support.http"
local json = require "cjson"
local loop = require "spec.support.loop"
local server = require "spec.support.server"

local script = [[
  local sse = require "sse"
  sse.channel("usual", { history = 3 })
  sse.channel("named", { history = 3, on_reset = "start-over" })
  sse.channel("silent", { history = 3, on_reset = false })
  sse.channel("skip", { history = 3, on_lag = "skip", on_reset = "jumped" })
  sse.channel("snapshot", { history = 3, on_reset = function(req, info)
    return {
      { event = "snapshot", data = { path = req.path, reason = info.reason, requested = info.requested } },
      { event = "snapshot", data = { oldest = info.oldest, latest = info.latest }, id = info.latest },
    }
  end })
  sse.channel("text", { history = 3, on_reset = function() return "just text" end })
  sse.channel("one", { history = 3, on_reset = function() return { event = "one", data = "event" } end })
  sse.channel("nothing", { history = 3, on_reset = function() end })
  sse.channel("broken", { history = 3, on_reset = function() error "no snapshot today" end })
  sse.channel("odd", { history = 3, on_reset = function() return { { event = "a\nb" } } end })
  sse.post("/fill/:channel", function(req)
    for n = 1, 10 do
      sse.publish(req.params.channel, { data = { n = n, pad = ("x"):rep(tonumber(req.query.size or 0)) } })
    end
    return 204
  end)
  sse.get("/stream", function(req)
    return sse.subscribe { channels = sse.split(req.query.channels), retry = "3s",
      first = req.query.first and { { event = "first", data = "hello" } } }
  end)
  sse.get("/own", function() return sse.subscribe { "usual", "snapshot", on_reset = "own" } end)
  sse.get("/quiet", function() return sse.subscribe { "usual", on_reset = false } end)
  sse.get("/stats", function() return sse.stats() end)
]]

describe("a reset", function()
  local router

  before_each(function()
    router = server.start(script)
  end)

  after_each(server.stop_all)

  --- The events of a stream that asks for an unknown id, up to the first of its three numbers.
  local function before_numbers(path)
    local reader = eventsource.open(router.port, path, { last_event_id = "what?", reconnect = false })
    local events = {}
    local event = reader:next()
    while not event.data:find '"n":8' do
      events[#events + 1] = event
      event = reader:next()
    end
    reader:take(2)
    reader:expect_silence(0.02)
    reader:close()
    return events, reader
  end

  local function fill(channel, size)
    assert.equal(204, http.post(router.port, ("/fill/%s?size=%d"):format(channel, size or 0), "").status)
  end

  it("comes before anything else, and says what is there", function()
    fill "usual"
    local events, reader = before_numbers "/stream?channels=usual&first=1"
    assert.same({ "reset", "first" }, { events[1].event, events[2].event })
    assert.equal(2, #events)
    local info = json.decode(events[1].data)
    local epoch = info.oldest:match "^(%w+)%-8$"
    assert.same({ reason = "unknown", requested = "what?", oldest = epoch .. "-8", latest = epoch .. "-10" }, info)
    assert.equal("what?", events[1].id, "a reset has no id of its own")
    assert.same({ 3000 }, reader.retries)
  end)

  it("says null where nothing is", function()
    local reader = eventsource.open(router.port, "/stream?channels=usual", { last_event_id = "x", reconnect = false })
    local info = json.decode(reader:next().data)
    assert.same({ json.null, json.null }, { info.oldest, info.latest })
  end)

  it("shows ids of any bytes without harm", function()
    for id, shown in pairs { ['"quoted" \\ id'] = '"quoted" \\ id', ["caf\xe9"] = "caf?", ["ünï"] = "ünï" } do
      local connection = http.connect(router.port)
      connection:request("GET", "/stream?channels=usual", { ["Last-Event-ID"] = id })
      loop.wait_until(function()
        return connection:unread():find "latest"
      end, nil, "the reset")
      local text = connection:unread():match "data: ([^\n]*)\n"
      assert.equal(shown, json.decode(text).requested)
      connection:close()
    end
  end)

  it("has the name that its channel gives, or none", function()
    fill "named"
    local events = before_numbers "/stream?channels=named"
    assert.equal("start-over", events[1].event)
    assert.equal("unknown", json.decode(events[1].data).reason)
    fill "silent"
    assert.same({}, (before_numbers "/stream?channels=silent"))
  end)

  it("may be replaced by what the script has instead", function()
    fill "snapshot"
    local events = before_numbers "/stream?channels=snapshot"
    assert.equal(2, #events)
    assert.same({ path = "/stream", reason = "unknown", requested = "what?" }, json.decode(events[1].data))
    local info = json.decode(events[2].data)
    assert.equal(info.latest, events[2].id)
    assert.is_truthy(info.oldest:find "%-8$")
    fill "text"
    assert.same({ "message", "just text" }, { before_numbers("/stream?channels=text")[1].event,
      before_numbers("/stream?channels=text")[1].data })
    fill "one"
    assert.same({ "one", "event" }, { before_numbers("/stream?channels=one")[1].event,
      before_numbers("/stream?channels=one")[1].data })
    fill "nothing"
    assert.same({}, (before_numbers "/stream?channels=nothing"))
  end)

  it("is the usual one when the script's own fails, since a browser never recovers from a 500", function()
    for count, channel in ipairs { "broken", "odd" } do
      fill(channel)
      local events = before_numbers("/stream?channels=" .. channel)
      assert.equal("reset", events[1].event)
      assert.equal("unknown", json.decode(events[1].data).reason)
      assert.equal(count, http.get(router.port, "/stats"):json().script_errors)
    end
    router:wait_log "on_reset.*no snapshot today"
  end)

  it("may be the subscription's own", function()
    fill "usual"
    assert.equal("own", before_numbers("/own")[1].event)
    assert.same({}, (before_numbers "/quiet"))
  end)

  it("has the name that its channel gives also when a slow reader is moved on", function()
    local reader = eventsource.open(router.port, "/stream?channels=skip", { reconnect = false, receive_buffer = 4096 })
    reader:wait_open():pause()
    for _ = 1, 50 do
      fill("skip", 20000)
    end
    reader:resume()
    local event = reader:next_named "jumped"
    assert.equal("lagged", json.decode(event.data).reason)
    local line = router:wait_log "(a reader of skip at 127.0.0.1 lagged by %d+ events: skipped to the newest)"
    assert.is_string(line)
  end)

  it("is refused as an option when it makes no sense", function()
    for _, value in ipairs { "true", "1", '""', '"a\\nb"', "{}" } do
      local result = server.run { "--check", "-e", ('require "sse".channel("a", { on_reset = %s })'):format(value) }
      assert.equal(1, result.status)
      assert.is_truthy(result.stderr:find("must be an event's name, false, or a function", 1, true), result.stderr)
    end
  end)
end)

describe("a lag", function()
  after_each(server.stop_all)

  it("is counted, in all and for its channel", function()
    local router = server.start [[
      local sse = require "sse"
      local short, other = sse.channel("short", { history = 5 }), sse.channel("other", { history = 5 })
      sse.get("/short", short)
      sse.post("/flood", function()
        for n = 1, 500 do short:publish(("x"):rep(20000)) end
        return 204
      end)
      sse.get("/counts", function()
        return { all = sse.stats().lagged, short = short.lagged, other = other.lagged }
      end)
    ]]
    local readers = {}
    for index = 1, 3 do
      readers[index] = eventsource.open(router.port, "/short", { reconnect = false, receive_buffer = 4096 }):wait_open()
      readers[index]:pause()
    end
    http.post(router.port, "/flood", "", nil, { seconds = 30 })
    loop.eventually(function()
      return http.get(router.port, "/counts"):json().all == 3
    end, nil, "three lags")
    assert.same({ all = 3, short = 3, other = 0 }, http.get(router.port, "/counts"):json())
    local _, lines = router:log():gsub("a reader of short at 127.0.0.1 lagged by %d+ events: disconnected", "")
    assert.equal(3, lines)
  end)
end)
