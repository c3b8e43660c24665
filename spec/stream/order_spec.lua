-- Every subscriber gets the events of all its channels, once each and in the order they were published,
-- whatever the number of threads.

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

local function ids_of(events)
  local ids = {}
  for index, event in ipairs(events) do
    ids[index] = event.id
  end
  return ids
end

describe("events of a stream", function()
  after_each(server.stop_all)

  for _, threads in ipairs { 0, 1, 2, 4 } do
    it(("come in order over several channels, with %d threads"):format(threads), function()
      local router = feeds.start(nil, { threads = threads })
      local all, some = open(router, "channels=a,b,c"), open(router, "channels=c,a")
      local one = open(router, "channels=b")
      feeds.burst(router, "a,b,c", 300)
      local ids = feeds.publish(router, { { channel = "b", data = "end" }, { channel = "a", data = "end" } })
      local events = all:take(302)
      assert.same(feeds.range(1, 300), feeds.numbers({ table.unpack(events, 1, 300) }))
      assert.same(ids, ids_of { events[301], events[302] })
      local expected = {}
      for n = 1, 300 do
        if n % 3 ~= 1 then
          expected[#expected + 1] = n
        end
      end
      assert.same(expected, feeds.numbers(some:take(200)))
      assert.equal(ids[2], some:next().id)
      assert.same(feeds.range(1, 300, 3), feeds.numbers(one:take(100)))
      assert.equal(ids[1], one:next().id)
    end)
  end

  it("are all there when one loop publishes more than the log keeps", function()
    local router = feeds.start [[ sse.channel("small", { history = 10 }) ]]
    local readers = {}
    for index = 1, 20 do
      readers[index] = open(router, index % 2 == 0 and "channels=small" or "channels=small,other")
    end
    feeds.burst(router, "small", 5000)
    for _, reader in ipairs(readers) do
      assert.same(feeds.range(1, 5000), feeds.numbers(reader:take(5000)))
    end
  end)

  it("are all there when one loop publishes less than the log keeps", function()
    local router = feeds.start [[ sse.channel("large", { history = 10000 }) ]]
    local reader = open(router, "channels=large")
    feeds.burst(router, "large", 5000)
    assert.same(feeds.range(1, 5000), feeds.numbers(reader:take(5000)))
    local late = open(router, "channels=large&start=earliest")
    assert.same(feeds.range(1, 5000), feeds.numbers(late:take(5000)))
  end)

  for _, threads in ipairs { 0, 1 } do
    it(("are all there when one loop publishes more than queues hold, with %d threads"):format(threads), function()
      local router = feeds.start([[ sse.channel("a", { history = 30000 }) ]], { threads = threads })
      local last = 0
      local reader = eventsource.open(router.port, "/stream?channels=a,b", {
        reconnect = false,
        on_event = function(event)
          local n = feeds.numbers({ event })[1]
          assert.equal(last + 1, n)
          last = n
        end,
      }):wait_open()
      feeds.burst(router, "a", 25000)
      loop.wait_until(function()
        return last == 25000
      end, nil, "25000 events")
      assert.equal("open", reader:state())
    end)
  end

  it("are whole at every size, for quick and slow readers", function()
    local router = feeds.start([[ sse.channel("a", { max_bytes = "32M" }) ]], { args = { "--max-body", "2M" } })
    local quick, slow = open(router, "channels=a"), open(router, "channels=a", { receive_buffer = 4096 })
    slow:pause()
    local sizes = { 1, 4095, 4096, 65400, 65500, 65536, 65537, 131072, 1000000, 1048576 }
    local events = {}
    for index, size in ipairs(sizes) do
      events[2 * index - 1] = { channel = "a", data = (("abcdefg\n"):rep(size // 8 + 1)):sub(1, size) }
      events[2 * index] = { channel = "a", data = "small " .. index }
    end
    for _, event in ipairs(events) do
      feeds.publish(router, { event })
    end
    slow:resume()
    for _, reader in ipairs { quick, slow } do
      for index, event in ipairs(reader:take(#events)) do
        assert.is_true(events[index].data == event.data, "event " .. index)
      end
    end
  end)

  it("are sent joined: a burst arrives in far fewer portions than events", function()
    local router = feeds.start()
    local connection = http.connect(router.port)
    connection:request("GET", "/stream?channels=a")
    connection:wait_bytes(1)
    local whole = open(router, "channels=a")
    feeds.burst(router, "a", 1000)
    whole:take(1000)
    feeds.publish(router, { { channel = "a", data = "the end" } })
    loop.wait_until(function()
      return connection.arrived[#connection.arrived]:find "the end"
    end, nil, "the last event")
    assert.is_true(#connection.arrived < 200, #connection.arrived .. " portions")
  end)

  it("reach a subscriber that joins in the middle of a burst from where it joined on", function()
    local router = feeds.start [[
      sse.channel("a", { history = 20000 })
      sse.post("/long", function()
        for n = 1, 10000 do
          sse.publish("a", { data = { n = n } })
          if n % 100 == 0 then sse.sleep(0) end
        end
        return 204
      end)
    ]]
    local publisher = http.connect(router.port)
    local first = open(router, "channels=a")
    publisher:request("POST", "/long")
    first:next()
    local joined = {}
    for index = 1, 30 do
      joined[index] = eventsource.open(router.port, "/stream?channels=a")
      first:next()
    end
    assert.equal(204, publisher:receive_response({ seconds = 20 }).status)
    feeds.publish(router, { { channel = "a", data = { n = 10001 } } })
    for _, reader in ipairs(joined) do
      local n = feeds.numbers { reader:next() }[1]
      assert.same(feeds.range(n + 1, 10001), feeds.numbers(reader:take(10001 - n)))
    end
  end)

  it("are those of the names asked for, and keep their order", function()
    local router = feeds.start()
    local named, all = open(router, "channels=a,b&events=add,message"), open(router, "channels=a,b")
    feeds.publish(router, {
      { channel = "a", event = "add", data = 1 },
      { channel = "a", event = "remove", data = 2 },
      { channel = "b", data = 3 },
      { channel = "b", event = "adds", data = 4 },
      { channel = "a", event = "message", data = 5 },
      { channel = "b", event = "add", data = 6 },
    })
    local seen = {}
    for index, event in ipairs(named:take(4)) do
      seen[index] = event.event .. " " .. event.data
    end
    assert.same({ "add 1", "message 3", "message 5", "add 6" }, seen)
    assert.equal(6, #all:take(6))
    assert.equal(0, named:pending())
  end)

  it("are those that a filter lets through, for each of its arguments", function()
    local router = feeds.start()
    local readers = {}
    for rest = 0, 4 do
      local query = "channels=a&step=5&rest=" .. rest
      readers[rest] = { open(router, query), open(router, query) }
    end
    feeds.burst(router, "a", 1000)
    for rest = 0, 4 do
      for _, reader in ipairs(readers[rest]) do
        assert.same(feeds.range(rest == 0 and 5 or rest, 1000, 5), feeds.numbers(reader:take(200)))
      end
    end
  end)

  it("are those of each of more groups than one word has bits, live and resumed", function()
    local router = feeds.start [[ sse.channel("a", { history = 1000 }) ]]
    local readers = {}
    for step = 1, 150 do
      readers[step] = open(router, "channels=a&step=" .. step)
    end
    feeds.burst(router, "a", 300)
    local function check(step, reader)
      local expected = feeds.range(step, 300, step)
      assert.same(expected, feeds.numbers(reader:take(#expected)))
    end
    for step = 1, 150 do
      check(step, readers[step])
      if step % 2 == 0 then
        readers[step]:close()
      end
    end
    -- Others take the places of those that have gone; what was retained is judged anew.
    for step = 151, 220 do
      check(step, open(router, "channels=a&start=earliest&step=" .. step))
    end
    for step = 2, 150, 30 do
      check(step, open(router, "channels=a&start=earliest&step=" .. step))
    end
    feeds.burst(router, "a", 300, 301)
    for step = 1, 149, 2 do
      local first = 300 // step * step + step
      local expected = feeds.range(first, 600, step)
      assert.same(expected, feeds.numbers(readers[step]:take(#expected)))
    end
  end)

  it("pass a filter that fails for nobody, and the others all the same", function()
    local router = feeds.start [[
      sse.filter("fails", function(event)
        if event.data.n == 2 then error "cannot say" end
        return true
      end)
      sse.get("/fails", function() return sse.subscribe { "a", filter = "fails" } end)
    ]]
    local strict = eventsource.open(router.port, "/fails", { reconnect = false }):wait_open()
    local all = open(router, "channels=a")
    feeds.burst(router, "a", 3)
    assert.same({ 1, 3 }, feeds.numbers(strict:take(2)))
    assert.same({ 1, 2, 3 }, feeds.numbers(all:take(3)))
    router:wait_log "cannot say"
  end)

  it("are independent in two streams of one client", function()
    local router = feeds.start()
    local first, second = open(router, "channels=a"), open(router, "channels=a,b")
    feeds.burst(router, "a,b", 10)
    assert.same(feeds.range(2, 10, 2), feeds.numbers(first:take(5)))
    first:close()
    feeds.burst(router, "a,b", 10, 11)
    assert.same(feeds.range(1, 20), feeds.numbers(second:take(20)))
  end)

  it("name a channel twice and still come once", function()
    local router = feeds.start()
    local reader = open(router, "channels=a,a,b,a")
    feeds.burst(router, "a,b", 6)
    assert.same(feeds.range(1, 6), feeds.numbers(reader:take(6)))
    assert.equal(1, feeds.subscribers(router, "a"))
  end)
end)
