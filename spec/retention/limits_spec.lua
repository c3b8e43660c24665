-- What logs keep: by count, age and bytes, of a channel and of all together, in memory and on disk.

local files = require "spec.support.files"
local http = require "spec.support.http"
local loop = require "spec.support.loop"
local server = require "spec.support.server"
local support = require "spec.durable.support"

local range = support.range

--- Runs the same spec with the logs in memory and on disk.
local function both(name, fn)
  it(name .. ", in memory", function()
    fn(function(more, options)
      options = options or {}
      options.database = false
      return support.start(more, options)
    end, false)
  end)
  it(name .. ", on disk", function()
    fn(support.start, true)
  end)
end

local function expect_numbers(router, channel, first, last)
  assert.same(range(first, last), (support.numbers_from(router, channel, "earliest")))
end

describe("a log", function()
  after_each(server.stop_all)

  both("keeps as many events as asked for", function(start, durable)
    local router = start [[
      sse.channel("one", { history = 1 })
      sse.channel("ten", { history = 10 })
      sse.channel("long", { history = 1500 })
    ]]
    for channel, history in pairs { one = 1, ten = 10, long = 1500, undeclared = 100 } do
      support.fill(router, channel, 1, 2000)
      expect_numbers(router, channel, 2001 - history, 2000)
    end
    if durable then
      assert.equal(8000 - 1611, support.stats(router).evicted_stored)
      router = support.restart(router)
      for channel, history in pairs { one = 1, ten = 10, long = 1500, undeclared = 100 } do
        expect_numbers(router, channel, 2001 - history, 2000)
      end
    else
      assert.equal(8000 - 1611, support.stats(router).evicted_history)
    end
  end)

  both("keeps events as long as asked for, and no longer", function(start, durable)
    local router = start [[
      sse.channel("short", { max_age = "600ms" })
      sse.channel("long", { max_age = "1h" })
    ]]
    local ids = support.fill(router, "short", 1, 5)
    support.fill(router, "long", 1, 5)
    expect_numbers(router, "short", 1, 5)
    loop.eventually(function()
      return #support.numbers_from(router, "short", "earliest") == 0
    end, nil, "the events to go")
    support.fill(router, "short", 6, 7)
    local numbers, reset = support.numbers_from(router, "short", ids[2])
    assert.same({ 6, 7 }, numbers)
    assert.equal("evicted", reset.reason)
    expect_numbers(router, "long", 1, 5)
    assert.equal(5, support.stats(router).evicted_age)
    if durable then
      support.wait_stat(router, "evicted_stored", 5)
      router = support.restart(router)
      expect_numbers(router, "long", 1, 5)
    end
  end)

  it("on disk lets old events go while nobody publishes, and while the router is down", function()
    local router = support.start [[sse.channel("short", { max_age = "1500ms" })]]
    support.fill(router, "short", 1, 5)
    support.wait_stat(router, "evicted_stored", 5)
    support.fill(router, "short", 6, 10)
    router:stop()
    loop.holds(function()
      return true
    end, 1.6, "time goes by")
    router = support.again(router)
    expect_numbers(router, "short", 1, 0)
    assert.equal(5, support.stats(router).evicted_stored)
  end)

  both("keeps as many bytes as asked for", function(start)
    local router = start [[sse.channel("small", { history = 10000, max_bytes = "20k", max_stored = "20k" })]]
    support.fill(router, "small", 1, 500, 200)
    local numbers = support.numbers_from(router, "small", "earliest")
    assert.equal(500, numbers[#numbers])
    assert.is_true(#numbers > 40 and #numbers < 110, tostring(#numbers))
    assert.same(range(numbers[1], 500), numbers)
    support.fill(router, "small", 501, 501, 30000)
    assert.is_true(#support.numbers_from(router, "small", "earliest") <= 1)
    support.fill(router, "small", 502, 503)
    numbers = support.numbers_from(router, "small", "earliest")
    assert.equal(503, numbers[#numbers])
    assert.is_true(#numbers <= 3)
  end)

  it("on disk may be larger than in memory, and smaller", function()
    local router = support.start [[
      sse.channel("deep", { history = 10000, max_bytes = "10k" })
      sse.channel("flat", { history = 10000, max_stored = "10k" })
    ]]
    support.fill(router, "deep", 1, 1000, 100)
    expect_numbers(router, "deep", 1, 1000)
    support.fill(router, "flat", 1, 1000, 100)
    expect_numbers(router, "flat", 1, 1000)
    assert.is_true(support.stats(router).evicted_stored > 900)
    router = support.restart(router)
    expect_numbers(router, "deep", 1, 1000)
    local numbers = support.numbers_from(router, "flat", "earliest")
    assert.is_true(#numbers > 50 and #numbers < 100, tostring(#numbers))
    assert.same(range(numbers[1], 1000), numbers)
  end)

  it("on disk changes with the script's options, and leaves what others have alone", function()
    local router = support.start [[sse.channel("long", { history = 3000 })]]
    support.fill(router, "long", 1, 2500)
    support.fill(router, "other", 1, 50)
    router = support.restart(router, "stop", [[sse.channel("long", { history = 20 })]])
    expect_numbers(router, "long", 2481, 2500)
    expect_numbers(router, "other", 1, 50)
  end)

  it("does not let the file grow for ever", function()
    local router = support.start()
    support.fill(router, "a", 1, 3000, 1000)
    support.restart(router, "stop"):stop()
    local before = #files.read(router.database)
    for _ = 1, 3 do
      router = support.again(router)
      support.fill(router, "a", 1, 3000, 1000)
      router:stop()
    end
    local after = #files.read(router.database)
    assert.is_true(after < before * 1.5 + 100000, ("%d bytes, then %d"):format(before, after))
  end)
end)

describe("all logs together", function()
  after_each(server.stop_all)

  it("stay within their limit: the oldest of the biggest go first", function()
    local router = support.start([[
      sse.channel("small", { history = 100000 })
      sse.channel("big", { history = 100000 })
      sse.channel("huge", { history = 100000 })
    ]], { database = false, args = { "--max-logs", "400k" } })
    support.fill(router, "small", 1, 50, 100)
    support.fill(router, "big", 1, 300, 200)
    support.fill(router, "huge", 1, 2000, 200)
    assert.is_true(support.stats(router).log_bytes <= 400 * 1024)
    expect_numbers(router, "small", 1, 50)
    expect_numbers(router, "big", 1, 300)
    local numbers = support.numbers_from(router, "huge", "earliest")
    assert.same(range(numbers[1], 2000), numbers)
    assert.is_true(numbers[1] > 1000)
    support.fill(router, "big", 301, 5000, 200)
    expect_numbers(router, "small", 1, 50)
    assert.is_true(support.stats(router).log_bytes <= 400 * 1024)
    assert.is_true(support.stats(router).evicted_total > 5000)
    assert.equal(0, support.stats(router).evicted_history)
  end)

  it("lose nothing that is on disk", function()
    local router = support.start([[sse.channel("a", { history = 5000 }) sse.channel("b", { history = 5000 })]],
      { args = { "--max-logs", "100k" } })
    support.fill(router, "a", 1, 1500, 100)
    support.fill(router, "b", 1501, 3000, 100)
    assert.is_true(support.stats(router).log_bytes <= 100 * 1024)
    expect_numbers(router, "a,b", 1, 3000)
    support.fill(router, "rooms.1", 1, 3, 1000)
    support.fill(router, "b", 3001, 4000, 100)
    expect_numbers(router, "rooms.1", 1, 3)
  end)

  it("hold what publishers at full speed leave, whoever reads or does not", function()
    local router = support.start([[
      sse.post("/flood", function(req)
        for n = 1, 200 do
          for channel = 1, 20 do
            sse.publish("c" .. channel, { data = { n = n, pad = ("x"):rep(5000) } })
          end
        end
        return 204
      end)]], { database = false, args = { "--max-logs", "4M" } })
    local stuck = {}
    for index = 1, 20 do
      stuck[index] = support.open(router, "channels=c" .. index, nil, { receive_buffer = 4096 }):wait_open()
      stuck[index]:pause()
    end
    http.post(router.port, "/flood", "", nil, { seconds = 30 })
    local before = router:memory().resident
    for _ = 1, 5 do
      assert.equal(204, http.post(router.port, "/flood", "", nil, { seconds = 30 }).status)
    end
    local grown = router:memory().resident - before
    assert.is_true(grown < 60e6, ("grew by %d of %d bytes that were published"):format(grown, 5 * 4000 * 5000))
    assert.is_true(support.stats(router).log_bytes <= 4 * 1024 * 1024)
  end)

  it("hold what relaxed publishers leave to the disk", function()
    local router = support.start([[
      local quick = sse.channel("quick", { durability = "relaxed", history = 50 })
      sse.post("/flood", function(req)
        for n = 1, 500 do
          quick:publish { data = { n = n, pad = ("x"):rep(100000) } }
        end
        return 204
      end)]])
    http.post(router.port, "/flood", "", nil, { seconds = 30 })
    local before = router:memory().resident
    for _ = 1, 4 do
      assert.equal(204, http.post(router.port, "/flood", "", nil, { seconds = 60 }).status)
    end
    local grown = router:memory().resident - before
    local most = 150e6 * server.memory_scale
    assert.is_true(grown < most, ("grew by %d of 200 million bytes that were published"):format(grown))
  end)
end)

describe("a channel that nobody uses", function()
  after_each(server.stop_all)

  it("goes when it has no history and no subscribers", function()
    local router = support.start(nil, { database = false, args = { "--max-logs", "100k" } })
    local function channels()
      return support.stats(router).channels
    end
    assert.equal(1, channels())
    local readers = {}
    for index = 1, 20 do
      readers[index] = support.open(router, "channels=room" .. index):wait_open()
    end
    assert.equal(21, channels())
    for _, reader in ipairs(readers) do
      reader:close()
    end
    loop.eventually(function()
      return channels() == 1
    end, nil, "the rooms to go")
    for index = 1, 300 do
      support.fill(router, "room" .. index, 1, 1, 900)
    end
    assert.is_true(channels() < 120, tostring(channels()))
    assert.is_true(support.stats(router).log_bytes <= 100 * 1024)
  end)

  it("tells who comes back of what it lost before it went", function()
    local router = support.start(nil, { database = false, args = { "--max-logs", "100k" } })
    local ids = support.fill(router, "room", 1, 5, 1000)
    local kept = support.fill(router, "kept", 1, 1)[1]
    for index = 1, 200 do
      support.fill(router, "filler" .. index, 1, 1, 900)
    end
    loop.eventually(function()
      return #support.numbers_from(router, "room", "earliest") == 0
    end, nil, "the room to be empty")
    local numbers, reset = support.numbers_from(router, "room", ids[2])
    assert.same({}, numbers)
    assert.equal("evicted", reset.reason)
    -- Who had all there was, and who never was there, miss nothing.
    assert.is_nil(select(2, support.numbers_from(router, "room", kept)))
    assert.is_nil(select(2, support.numbers_from(router, "never", ids[2])))
  end)
end)
