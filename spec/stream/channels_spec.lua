-- Channels that come, close and go, with and without readers.

local eventsource = require "spec.support.eventsource"
local feeds = require "spec.stream.feeds"
local http = require "spec.support.http"
local loop = require "spec.support.loop"
local server = require "spec.support.server"

local function open(router, query, options)
  options = options or {}
  options.reconnect = false
  return eventsource.open(router.port, "/stream?" .. query, options):wait_open()
end

local function stats(router)
  return http.get(router.port, "/stats"):json()
end

local function wait_channels(router, count)
  local found
  local deadline = loop.now() + loop.limit()
  repeat
    found = stats(router).channels
  until found == count or loop.now() > deadline
  assert.equal(count, found)
end

local closing = [[
  sse.channel("a", { history = 1000, max_bytes = "64M" })
  sse.post("/close/:channel", function(req)
    local channel = sse.channel(req.params.channel, { history = 1000, max_bytes = "64M" })
    if req.query.last then channel:publish { data = { n = tonumber(req.query.last) } } end
    channel:close()
    return 204
  end)
]]

local function close(router, channel, last)
  local answer = http.post(router.port, "/close/" .. channel .. (last and "?last=" .. last or ""))
  assert.equal(204, answer.status, answer.body)
end

describe("publishing", function()
  after_each(server.stop_all)

  it("to a channel that nobody listens to is kept for those who come later", function()
    local router = feeds.start [[
      sse.post("/tell", function(req) return { sse.publish("quiet", { data = 1 }) } end)
    ]]
    assert.equal(0, http.post(router.port, "/tell"):json()[2])
    local late = open(router, "channels=quiet&start=earliest")
    assert.equal("1", late:next().data)
    assert.equal(1, http.post(router.port, "/tell"):json()[2])
    assert.equal("1", late:next().data)
  end)

  it("while a filter runs does not disturb the order", function()
    local router = feeds.start [[
      sse.filter("talks", function(event)
        sse.publish("b", { data = { n = 100 + event.data.n } })
        return true
      end)
      sse.get("/talks", function() return sse.subscribe { "a", filter = "talks" } end)
    ]]
    local judged = eventsource.open(router.port, "/talks", { reconnect = false }):wait_open()
    local both = open(router, "channels=a,b")
    feeds.burst(router, "a", 3)
    assert.same({ 1, 2, 3 }, feeds.numbers(judged:take(3)))
    local events = both:take(6)
    local last = 0
    for _, event in ipairs(events) do
      local sequence = tonumber(event.id:match "%-(%d+)$")
      assert.is_true(sequence > last, "ids grow")
      last = sequence
    end
    local numbers = feeds.numbers(events)
    table.sort(numbers)
    assert.same({ 1, 2, 3, 101, 102, 103 }, numbers)
  end)

  it("while a filter runs into its own channel does not run on for ever", function()
    local router = feeds.start [[
      sse.filter("echoes", function(event)
        if event.data.n < 3 then sse.publish("a", { data = { n = event.data.n + 1 } }) end
        return true
      end)
      sse.get("/echoes", function() return sse.subscribe { "a", filter = "echoes" } end)
    ]]
    local judged = eventsource.open(router.port, "/echoes", { reconnect = false }):wait_open()
    local all = open(router, "channels=a")
    feeds.burst(router, "a", 1)
    for _, reader in ipairs { judged, all } do
      local numbers = feeds.numbers(reader:take(3))
      table.sort(numbers)
      assert.same({ 1, 2, 3 }, numbers)
    end
  end)
end)

describe("closing a channel", function()
  after_each(server.stop_all)

  it("ends its streams after all that was published, and no other", function()
    local router = feeds.start(closing)
    local one, two, other = open(router, "channels=a"), open(router, "channels=b,a"), open(router, "channels=b")
    feeds.burst(router, "a", 5)
    close(router, "a", 6)
    assert.same(feeds.range(1, 6), feeds.numbers(one:take(6)))
    assert.same(feeds.range(1, 6), feeds.numbers(two:take(6)))
    assert.equal("complete", one:wait_ending())
    assert.equal("complete", two:wait_ending())
    feeds.burst(router, "b", 1, 7)
    assert.same({ 7 }, feeds.numbers { other:next() })
    assert.equal(1, feeds.subscribers(router, "b"))
    assert.equal(0, feeds.subscribers(router, "a"))
  end)

  it("ends slow readers' streams as well, once they have got everything", function()
    local router = feeds.start(closing)
    local slow = open(router, "channels=a", { receive_buffer = 4096 })
    local multiple = open(router, "channels=b,a", { receive_buffer = 4096 })
    slow:pause()
    multiple:pause()
    feeds.burst(router, "a", 300, 1, 20000)
    close(router, "a", 301)
    for _, reader in ipairs { slow, multiple } do
      reader:resume()
      assert.same(feeds.range(1, 301), feeds.numbers(reader:take(301)))
      assert.equal("complete", reader:wait_ending())
    end
    feeds.wait_subscribers(router, "a", 0)
  end)

  it("lets its events be resumed for a while, and a channel of that name go on", function()
    local router = feeds.start(closing)
    local reader = open(router, "channels=a")
    feeds.burst(router, "a", 3)
    local ids = { reader:next().id, reader:next().id }
    close(router, "a")
    local again = eventsource.open(router.port, "/stream?channels=a", { reconnect = false, last_event_id = ids[1] })
    assert.same({ 2, 3 }, feeds.numbers(again:take(2)))
    feeds.burst(router, "a", 1, 4)
    assert.same({ 4 }, feeds.numbers { again:next() })
  end)

  it("makes the script's own handle useless, whichever of them was used to close it", function()
    local router = feeds.start [[
      sse.get("/twice", function()
        local one, other = sse.channel "twice", sse.channel "twice"
        one:close()
        local results = sse.array {}
        for index, channel in ipairs { one, other } do
          results[index] = channel.closed and "closed" or select(2, pcall(channel.publish, channel, "x"))
        end
        collectgarbage()
        other:close()
        local fresh = sse.channel "twice"
        results[3] = fresh.closed and "closed" or "open"
        fresh:close()
        return results
      end)
    ]]
    for _ = 1, 3 do
      assert.same({ "closed", "closed", "open" }, http.get(router.port, "/twice"):json())
    end
  end)

  it("while readers connect leaves none of them behind", function()
    local router = feeds.start(closing)
    for round = 1, 10 do
      local name = "room-" .. round
      local readers = {}
      for index = 1, 20 do
        readers[index] = eventsource.open(router.port, "/stream?channels=" .. name, { reconnect = false })
      end
      local closer = http.connect(router.port)
      closer:request("POST", "/close/" .. name)
      assert.equal(204, closer:receive_response().status)
      -- Who came later has a channel of its own; its end comes with the next closing.
      for _, reader in ipairs(readers) do
        loop.wait_until(function()
          return reader.opened == 1
        end, nil, "a stream to open")
      end
      close(router, name)
      for _, reader in ipairs(readers) do
        assert.equal("complete", reader:wait_ending())
      end
    end
    wait_channels(router, 1)
  end)
end)

describe("many channels", function()
  after_each(server.stop_all)

  it("of which 20 000 are made by readers go when these do", function()
    local router = feeds.start(nil, { threads = 2 })
    local readers = {}
    for index = 1, 20 do
      local names = {}
      for n = 1, 1000 do
        names[n] = ("c%05d"):format((index - 1) * 1000 + n)
      end
      readers[index] = open(router, "channels=" .. table.concat(names, ","))
    end
    assert.equal(20000, stats(router).channels)
    feeds.publish(router, { { channel = "c00001", data = 1 }, { channel = "c19999", data = 2 } })
    assert.equal("1", readers[1]:next().data)
    assert.equal("2", readers[20]:next().data)
    for _, reader in ipairs(readers) do
      reader:close()
    end
    -- Two of them have an event to keep.
    wait_channels(router, 2)
  end)

  it("of which 20 000 are made by publishing keep their events within the limit of all logs", function()
    local router = feeds.start([[
      sse.post("/spread", function(req)
        for n = 1, 20000 do sse.publish("d" .. n, { data = { n = n, pad = ("x"):rep(100) } }) end
        return 204
      end)
    ]], { threads = 1, args = { "--max-logs", "1M" } })
    assert.equal(204, http.post(router.port, "/spread", nil, nil, { seconds = 30 }).status)
    local after = stats(router)
    assert.is_true(after.log_bytes <= 2 ^ 20, after.log_bytes .. " bytes of logs")
    assert.is_true(after.channels < 20000, after.channels .. " channels are left")
    assert.equal(after.channels, 20000 - after.evicted_total)
    local reader = open(router, "channels=d20000,d19999&start=earliest")
    assert.same({ 19999, 20000 }, feeds.numbers(reader:take(2)))
  end)

  it("are refused beyond the limit, with those that are there unharmed", function()
    local router = feeds.start(nil, { args = { "--max-channels", "5" } })
    local reader = open(router, "channels=a,b,c")
    for _ = 1, 3 do
      assert.equal(500, http.get(router.port, "/stream?channels=d,e,f,g").status)
      assert.equal(3, stats(router).channels)
    end
    router:wait_log "the limit of 5 channels is reached"
    feeds.burst(router, "a,b,c", 6)
    assert.same(feeds.range(1, 6), feeds.numbers(reader:take(6)))
    assert.equal(5, (open(router, "channels=d,e"):wait_open() and stats(router).channels))
  end)
end)
