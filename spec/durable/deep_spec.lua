-- Resumes that reach further back than memory does: the store has the rest.

local eventsource = require "spec.support.eventsource"
local http = require "spec.support.http"
local loop = require "spec.support.loop"
local proxy = require "spec.support.proxy"
local server = require "spec.support.server"
local support = require "spec.durable.support"

local range = support.range

--- Fills channels in turn with the numbers `first` to `last`, a few at a time, and gives their ids.
local function fill_in_turn(router, channels, first, last)
  local ids, index = {}, 0
  for from = first, last, 7 do
    index = index % #channels + 1
    local to = math.min(last, from + 6)
    table.move(support.fill(router, channels[index], from, to), from, to, from, ids)
  end
  return ids
end

describe("a resume deeper than memory", function()
  after_each(server.stop_all)

  it("gets everything once and in order, and then what comes", function()
    local router = support.start [[sse.channel("long", { history = 5000 })]]
    local ids = support.fill(router, "long", 1, 3000)
    for _, at in ipairs { 1, 255, 256, 257, 1999, 2000, 2001, 2999 } do
      local numbers, reset = support.numbers_from(router, "long", ids[at])
      assert.same(range(at + 1, 3000), numbers)
      assert.is_nil(reset)
    end
    local reader = support.open(router, "channels=long", "earliest"):wait_open()
    support.fill(router, "long", 3001, 3100)
    local events = {}
    while #events < 3100 do
      local event = reader:next()
      events[#events + 1] = event
    end
    assert.same(range(1, 3100), support.numbers(events))
    reader:expect_silence(0.1)
  end)

  it("follows the grammar of starting points", function()
    local router = support.start [[sse.channel("long", { history = 5000 })]]
    support.fill(router, "long", 1, 1500)
    loop.holds(function()
      return true
    end, 1.1, "time goes by")
    support.fill(router, "long", 1501, 3000)
    assert.same(range(501, 3000), (support.numbers_from(router, "long", "last=2500")))
    assert.same(range(1, 3000), (support.numbers_from(router, "long", "since=1h")))
    assert.same(range(1, 3000), (support.numbers_from(router, "long", "last=1000000")))
    assert.same({}, (support.numbers_from(router, "long", "latest")))
    assert.same(range(2990, 3000), (support.numbers_from(router, "long", "last=11")))
    local recent = support.numbers_from(router, "long", "since=1s")
    assert.is_true(#recent > 0 and recent[1] >= 1501, tostring(recent[1]))
    assert.same(range(recent[1], 3000), recent)
  end)

  it("lets filters and names leave out what they do in memory", function()
    local router = support.start [[sse.channel("long", { history = 5000 })]]
    local events = {}
    for n = 1, 3000 do
      events[n] = { data = { n = n }, event = n % 2 == 0 and "even" or "odd" }
    end
    local ids = support.publish(router, "long", events)
    for _, at in ipairs { 1, 1000, 2500 } do
      assert.same(range(at + 1 + (-at - 1) % 3, 3000, 3), (support.numbers_from(router, "long", ids[at].id, "&step=3")))
      assert.same(range(at + 1 + (-at - 1) % 2, 3000, 2),
        (support.numbers_from(router, "long", ids[at].id, "&events=even,now")))
    end
    assert.same(range(3, 3000, 3), (support.numbers_from(router, "long", "last=1000", "&step=3")))
  end)

  it("merges several channels, in memory alone or not, in the order of publishing", function()
    local router = support.start [[
      sse.channel("long", { history = 5000 })
      sse.channel("short", { history = 300 })
      sse.channel("volatile", { history = 5000, durable = false })
    ]]
    local ids = fill_in_turn(router, { "long", "long", "long", "long", "long", "short", "volatile" }, 1, 4000)
    for _, at in ipairs { 1900, 2500, 3999 } do
      local numbers, reset = support.numbers_from(router, "short,long,volatile", ids[at])
      assert.same(range(at + 1, 4000), numbers)
      assert.is_nil(reset)
    end
    for _, count in ipairs { 1, 300, 1100, 2000 } do
      assert.same(range(4001 - count, 4000), (support.numbers_from(router, "short,long,volatile", "last=" .. count)))
    end
    local _, reset = support.numbers_from(router, "short,long,volatile", ids[1])
    assert.equal("evicted", reset.reason)
  end)

  it("finds the last ones also where one channel has many and another few", function()
    local router = support.start [[sse.channel("long", { history = 5000 })]]
    support.fill(router, "rare", 1, 5)
    support.fill(router, "long", 6, 2000)
    support.fill(router, "rare", 2001, 2001)
    support.fill(router, "long", 2002, 2100)
    for _, count in ipairs { 3, 100, 101, 1500, 2096, 2099 } do
      assert.same(range(2101 - count, 2100), (support.numbers_from(router, "rare,long", "last=" .. count)))
    end
  end)

  it("goes on by an own id that only the disk has", function()
    local router = support.start [[sse.channel("long", { history = 5000 })]]
    local events = {}
    for n = 1, 2500 do
      events[n] = { data = { n = n }, id = "row " .. n }
    end
    support.publish(router, "long", events)
    assert.same(range(8, 2500), (support.numbers_from(router, "long", "row 7")))
    router = support.restart(router, "kill")
    assert.same(range(8, 2500), (support.numbers_from(router, "long", "row 7")))
  end)

  it("misses nothing while publishers go on and its reader is slow", function()
    local router = support.start [[sse.channel("long", { history = 20000 })]]
    support.fill(router, "long", 1, 3000, 200)
    local wire = proxy.start(router.port, { window = 8192 })
    local reader = eventsource.open(wire.port, "/stream?channels=long&start=earliest", { receive_buffer = 8192 })
    local last = 3000
    while reader.received < 2500 do
      support.fill(router, "long", last + 1, last + 50, 200)
      last = last + 50
    end
    assert.same(range(1, last), support.numbers(reader:take(last, 60)))
    reader:expect_silence(0.1)
  end)

  it("ends when the disk loses what its reader needs next, which is told when it comes back", function()
    local router = support.start [[sse.channel("long", { history = 3000 })]]
    support.fill(router, "long", 1, 3000, 300)
    local wire = proxy.start(router.port, { window = 4096 })
    local reader = eventsource.open(wire.port, "/stream?channels=long&start=earliest",
      { receive_buffer = 4096, retry = 0.05 })
    reader:next()
    wire:freeze()
    support.fill(router, "long", 3001, 7000, 300)
    wire:thaw()
    local line = router:wait_log "a reader of long at 127.0.0.1 lagged by %d+ events: disconnected"
    assert.is_string(line)
    local reset = reader:next_named("reset", 30)
    assert.equal("evicted", require("cjson").decode(reset.data).reason)
    local numbers, count = {}, 0
    while numbers[count] ~= 7000 do
      count = count + 1
      numbers[count] = support.numbers({ reader:next(30) })[1]
    end
    assert.same(range(numbers[1], 7000), numbers)
    assert.is_true(numbers[1] >= 4001)
    support.wait_stat(router, "lagged", 1)
  end)

  it("is counted as a subscriber, and leaves without a trace", function()
    local router = support.start [[
      local long = sse.channel("long", { history = 5000 })
      sse.get("/subscribers", function() return { count = long.subscribers } end)
      local gone = 0
      sse.on("unsubscribe", function() gone = gone + 1 end)
      sse.get("/gone", function() return { count = gone } end)
    ]]
    support.fill(router, "long", 1, 3000, 1000)
    local function count(path)
      return http.get(router.port, path):json().count
    end
    local readers = {}
    for index = 1, 5 do
      readers[index] = support.open(router, "channels=long", "earliest", { paused = true, receive_buffer = 4096 })
    end
    loop.eventually(function()
      return count "/subscribers" == 5
    end, nil, "five subscribers")
    for _, reader in ipairs(readers) do
      reader:close()
    end
    loop.eventually(function()
      return count "/subscribers" == 0 and count "/gone" == 5
    end, nil, "all to have left")
  end)

  it("holds little memory for readers that stop", function()
    local router = support.start [[sse.channel("long", { history = 20000 })]]
    support.fill(router, "long", 1, 15000, 2000)
    local before = router:memory().resident
    local readers = {}
    for index = 1, 20 do
      readers[index] = support.open(router, "channels=long", "earliest", { paused = true, receive_buffer = 4096 })
    end
    support.fill(router, "long", 15001, 15100, 2000)
    local grown = router:memory().resident - before
    assert.is_true(grown < 60e6, ("grew by %d bytes"):format(grown))
    for _, reader in ipairs(readers) do
      reader:close()
    end
  end)
end)
