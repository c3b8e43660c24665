-- Readers that take their time, or nothing at all.

local json = require "cjson"
local eventsource = require "spec.support.eventsource"
local feeds = require "spec.stream.feeds"
local http = require "spec.support.http"
local loop = require "spec.support.loop"
local proxy = require "spec.support.proxy"
local server = require "spec.support.server"

local channels = [[
  sse.channel("short", { history = 20 })
  sse.channel("skip", { history = 20, on_lag = "skip" })
  sse.channel("long", { history = 100000, max_bytes = "64M" })
  sse.channel("none", { history = 0 })
]]

local event_size = 20000

--- A reader that has a small window and takes nothing.
local function open_stuck(router, query, options)
  options = options or {}
  options.receive_buffer = 4096
  if options.reconnect == nil then
    options.reconnect = false
  end
  local reader = eventsource.open(router.port, "/stream?" .. query, options):wait_open()
  reader:pause()
  return reader
end

--- More than the kernel buffers for one connection.
local function flood(router, channel, count, from)
  feeds.burst(router, channel, count or 500, from, event_size)
end

local function check_counts_up(numbers, first)
  for index = 2, #numbers do
    assert.equal(numbers[index - 1] + 1, numbers[index])
  end
  assert.equal(first, numbers[1])
end

describe("a reader that lags", function()
  after_each(server.stop_all)

  it("is disconnected, and gets all that its log still has when it comes back", function()
    local router = feeds.start(channels)
    local stuck = open_stuck(router, "channels=short,long", { reconnect = true, retry = 0.01 })
    flood(router, "short")
    feeds.wait_subscribers(router, "short", 0)
    local line = router:wait_log ".*lagged.*"
    assert.matches("short", line)
    assert.matches("127%.0%.0%.1", line)
    stuck:resume()
    stuck:wait_open(nil, 2)
    assert.equal("truncated", stuck.endings[1])
    local before = {}
    local event = stuck:next()
    while event.event ~= "reset" do
      before[#before + 1] = feeds.numbers({ event })[1]
      event = stuck:next()
    end
    assert.same(feeds.range(1, #before), before)
    local info = json.decode(event.data)
    assert.equal("evicted", info.reason)
    assert.same(feeds.range(481, 500), feeds.numbers(stuck:take(20)))
  end)

  it("is moved to the newest event where the channel says so, and is told", function()
    local router = feeds.start(channels)
    local stuck = open_stuck(router, "channels=skip")
    flood(router, "skip")
    stuck:resume()
    local numbers, event = {}, stuck:next()
    while event.event ~= "reset" do
      numbers[#numbers + 1] = feeds.numbers({ event })[1]
      event = stuck:next()
    end
    assert.same(feeds.range(1, #numbers), numbers)
    local info = json.decode(event.data)
    assert.equal("lagged", info.reason)
    local next_one = stuck:next()
    assert.equal(info.oldest, next_one.id)
    -- The newest at that moment: on a busy machine the flood may still have been under way.
    local newest = feeds.numbers({ next_one })[1]
    assert.is_true(newest > #numbers + 1)
    while newest < 500 do
      event = stuck:next()
      local number = event.event ~= "reset" and feeds.numbers({ event })[1] or newest
      assert.is_true(number >= newest)
      newest = number
    end
    feeds.publish(router, { { channel = "skip", data = { n = 501 } } })
    assert.equal(501, feeds.numbers({ stuck:next() })[1])
    assert.equal(1, feeds.subscribers(router, "skip"))
    router:wait_log "skipped to the newest"
  end)

  it("misses nothing of other channels where one of them skips", function()
    local router = feeds.start(channels)
    local stuck = open_stuck(router, "channels=skip,long")
    flood(router, "skip,long", 600)
    stuck:resume()
    local skipped, complete, resets, last = {}, {}, 0, 0
    while last < 599 do
      local event = stuck:next()
      if event.event == "reset" then
        resets = resets + 1
        assert.equal("lagged", json.decode(event.data).reason)
      else
        local n = feeds.numbers({ event })[1]
        assert.is_true(n > last, ("%d after %d"):format(n, last))
        last = n
        table.insert(n % 2 == 0 and skipped or complete, n)
      end
    end
    assert.is_true(resets > 0)
    assert.same(feeds.range(1, 599, 2), complete)
    assert.is_true(#skipped < 300)
    -- The burst ends with an event of the channel that skips: its newest comes, too.
    assert.equal(600, feeds.numbers({ stuck:next() })[1])
    feeds.publish(router, { { channel = "skip", data = { n = 601 } }, { channel = "long", data = { n = 602 } } })
    assert.same({ 601, 602 }, feeds.numbers(stuck:take(2)))
  end)

  it("is only one of several: others of its channel miss nothing", function()
    local router = feeds.start(channels)
    local stuck = open_stuck(router, "channels=short")
    local seen = {}
    local reader = eventsource.open(router.port, "/stream?channels=short", {
      reconnect = false,
      on_event = function(event)
        seen[#seen + 1] = feeds.numbers({ event })[1]
      end,
    }):wait_open()
    for n = 1, 500, 10 do
      flood(router, "short", 10, n)
      loop.wait_until(function()
        return #seen == n + 9
      end, nil, "ten more events")
    end
    check_counts_up(seen, 1)
    assert.equal("open", reader:state())
    feeds.wait_subscribers(router, "short", 1)
    assert.equal("open", stuck:state())
  end)

  it("does so also where nothing is kept", function()
    local router = feeds.start(channels)
    local stuck = open_stuck(router, "channels=none")
    flood(router, "none")
    feeds.wait_subscribers(router, "none", 0)
    stuck:resume()
    assert.equal("truncated", stuck:wait_ending())
    check_counts_up(feeds.numbers(stuck:take(stuck:pending())), 1)
  end)

  it("loses nothing while its log keeps what it has not read", function()
    local router = feeds.start(channels)
    local stuck = open_stuck(router, "channels=long")
    flood(router, "long")
    local pending = loop.now()
    stuck:resume()
    check_counts_up(feeds.numbers(stuck:take(500)), 1)
    assert.is_true(loop.now() - pending < loop.limit())
    feeds.burst(router, "long", 3, 501)
    assert.same({ 501, 502, 503 }, feeds.numbers(stuck:take(3)))
  end)
end)

describe("a reader that takes nothing", function()
  after_each(server.stop_all)

  it("is dropped after the stall timeout, but only if something waits for it", function()
    local router = feeds.start(channels, { args = { "--stall-timeout", "300ms" } })
    local idle = open_stuck(router, "channels=a")
    local stuck = open_stuck(router, "channels=long")
    flood(router, "long")
    router:wait_log "took nothing"
    feeds.wait_subscribers(router, "long", 0)
    stuck:resume()
    stuck:wait_ending()
    idle:resume()
    feeds.burst(router, "a", 2)
    assert.same({ 1, 2 }, feeds.numbers(idle:take(2)))
  end)

  it("is dropped also when it does not take what the stream begins with", function()
    local router = feeds.start([[
      sse.channel("snapshot", { on_reset = function() return { data = ("x"):rep(1000000) } end })
    ]], { args = { "--stall-timeout", "300ms" } })
    local stuck = http.connect(router.port, { receive_buffer = 4096, paused = true })
    stuck:request("GET", "/stream?channels=snapshot", { ["Last-Event-ID"] = "unknown" })
    router:wait_log "took nothing"
    feeds.wait_subscribers(router, "snapshot", 0)
  end)

  it("is not dropped as long as it takes a little now and then", function()
    local router = feeds.start(channels, { args = { "--stall-timeout", "1s" } })
    local wire = proxy.start(router.port, { window = 4096 })
    local reader = eventsource.open(wire.port, "/stream?channels=long", { reconnect = false }):wait_open()
    wire:freeze()
    flood(router, "long")
    for _ = 1, 6 do
      local before = wire.bytes.down
      wire:thaw()
      loop.wait_until(function()
        return wire.bytes.down - before > 500000
      end, nil, "some bytes")
      wire:freeze()
      loop.holds(function()
        return wire.live == 1
      end, 0.25, "the stream goes on")
    end
    wire:thaw()
    check_counts_up(feeds.numbers(reader:take(500)), 1)
  end)

  it("holds its own coroutine and nobody else's", function()
    local router = feeds.start [[
      local sent = {}
      sse.get("/own/:who", function(req)
        local who = req.params.who
        return sse.stream(function(client)
          for n = 1, 500 do
            client:send { data = { n = n, pad = ("x"):rep(20000) } }
            sent[who] = n
          end
        end)
      end)
      sse.get("/sent/:who", function(req) return { sent = sent[req.params.who] or 0 } end)
    ]]
    local stuck = eventsource.open(router.port, "/own/stuck", { reconnect = false, receive_buffer = 4096 }):wait_open()
    stuck:pause()
    local quick = eventsource.open(router.port, "/own/quick", { reconnect = false })
    check_counts_up(feeds.numbers(quick:take(500)), 1)
    assert.equal("complete", quick:wait_ending())
    local sent = http.get(router.port, "/sent/stuck"):json().sent
    assert.is_true(sent < 500, sent .. " events were sent")
    stuck:resume()
    check_counts_up(feeds.numbers(stuck:take(500)), 1)
    assert.equal("complete", stuck:wait_ending())
  end)

  it("for 10 s disturbs nobody, and the process does not grow", function()
    local router = feeds.start(channels .. [[
      sse.get("/own", function()
        return sse.stream(function(client)
          local n = 0
          while true do n = n + 1 client:send { data = { n = n, pad = ("x"):rep(20000) } } end
        end)
      end)
    ]], { threads = 2 })
    local stuck = {
      open_stuck(router, "channels=short"),
      open_stuck(router, "channels=skip"),
      open_stuck(router, "channels=short,skip"),
      eventsource.open(router.port, "/own", { receive_buffer = 4096, paused = true }),
    }
    local longest, last, seen = {}, {}, {}
    local readers = {}
    for index, query in ipairs { "channels=short,skip,a", "channels=short", "channels=skip", "channels=a" } do
      seen[index], longest[index] = 0, 0
      readers[index] = eventsource.open(router.port, "/stream?" .. query, {
        reconnect = false,
        on_event = function()
          local now = loop.now()
          longest[index] = math.max(longest[index], now - (last[index] or now))
          last[index], seen[index] = now, seen[index] + 1
        end,
      }):wait_open()
    end
    local from, round, before = loop.now(), 0, nil
    while loop.now() - from < 10 do
      round = round + 1
      feeds.burst(router, "short,skip,a", 6, round * 6, event_size)
      loop.wait_until(function()
        return seen[1] == round * 6 and seen[2] == round * 2 and seen[3] == round * 2 and seen[4] == round * 2
      end, nil, "everybody's events")
      if round == 50 then
        before = feeds.memory(router)
      end
    end
    assert.is_true(round > 60, round .. " rounds")
    for index = 1, #readers do
      assert.equal("open", readers[index]:state())
      assert.is_true(longest[index] < 3, ("%g s without an event"):format(longest[index]))
    end
    if before then
      local grown = feeds.memory(router) - before
      assert.is_true(grown < 4 * 2 ^ 20, ("%d bytes more than after 50 rounds"):format(grown))
    end
    -- It is still there where its channels skip, and goes on.
    stuck[2]:resume()
    assert.equal("lagged", json.decode(stuck[2]:next_named("reset").data).reason)
    stuck[2]:next()
    stuck[1]:resume()
    assert.equal("truncated", stuck[1]:wait_ending())
  end)
end)
