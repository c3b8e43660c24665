-- Channels that keep the latest event of each key.

local http = require "spec.support.http"
local json = require "cjson"
local loop = require "spec.support.loop"
local server = require "spec.support.server"
local support = require "spec.durable.support"

local channels = [[
  local stock = sse.channel("stock", { key = "symbol", history = 5, max_bytes = "64M" })
  sse.channel("ruled", { key = function(event) return event.event .. "/" .. event.data.n end })
  sse.post("/drop/:key", function(req)
    local id, subscribers, durable, duplicate = stock:delete(req.params.key)
    return { id = id, subscribers = subscribers, durable = durable, duplicate = duplicate }
  end)
  sse.post("/own-drop/:key", function(req)
    stock:delete(req.params.key, { event = "gone", data = "bye " .. req.params.key, id = "own" })
    return 204
  end)
  sse.post("/ticks", function(req)
    for n = 1, tonumber(req.query.count) do
      sse.spawn(function()
        stock:publish { data = { n = n, symbol = "s" .. n % 10, pad = ("x"):rep(tonumber(req.query.size)) } }
      end)
    end
    return 204
  end)
  sse.get("/stock", stock)
]]

local function start(durable)
  return support.start(channels, durable and {} or { database = false })
end

--- Publishes `symbol = number` pairs in this order.
local function publish(router, ...)
  local events = {}
  for index = 1, select("#", ...), 2 do
    local symbol, n = select(index, ...)
    events[#events + 1] = { data = { n = n, symbol = symbol } }
  end
  return support.publish(router, "stock", events)
end

--- What comes from a start until now, as "symbol=number" and "-symbol" for one that was deleted.
local function read(router, id, query)
  local reader = support.open(router, (query or "channels=stock") .. ",mark", id)
  local events, reset = support.until_now(router, reader)
  local texts = {}
  for index, event in ipairs(events) do
    local data = json.decode(event.data)
    texts[index] = event.event == "delete" and "-" .. data.key or ("%s=%d"):format(data.symbol, data.n)
  end
  return table.concat(texts, " "), reset
end

local function drop(router, key)
  local answer = http.post(router.port, "/drop/" .. key, "")
  assert.equal(200, answer.status, answer.body)
  return answer:json()
end

for _, durable in ipairs { false, true } do
  describe("a keyed channel " .. (durable and "on disk" or "in memory"), function()
    after_each(server.stop_all)

    it("gives new subscribers the latest of each key, then the changes", function()
      local router = start(durable)
      publish(router, "a", 1, "b", 2, "a", 3, "c", 4, "b", 5)
      assert.equal("a=3 c=4 b=5", (read(router, "earliest")))
      local reader = require("spec.support.eventsource").open(router.port, "/stock", { reconnect = false })
      assert.same({ 3, 4, 5 }, support.numbers(reader:take(3)))
      publish(router, "c", 6)
      assert.same({ 6 }, support.numbers(reader:take(1)))
      publish(router, "c", 7)
      assert.same({ 7 }, support.numbers(reader:take(1)))
      reader:expect_silence(0.05)
      assert.equal("c=7", (read(router, "last=1")))
      assert.equal("", (read(router, "latest")))
      assert.equal(4, support.stats(router).superseded)
    end)

    it("lets who comes back skip what was superseded meanwhile", function()
      local router = start(durable)
      local answers = publish(router, "a", 1, "b", 2, "a", 3, "c", 4, "b", 5)
      for at, expected in pairs { "a=3 c=4 b=5", "a=3 c=4 b=5", "c=4 b=5", "b=5", "" } do
        local text, reset = read(router, answers[at].id)
        assert.equal(expected, text)
        assert.is_nil(reset)
      end
    end)

    it("has keys of the event, of a field, of a function", function()
      local router = start(durable)
      support.publish(router, "stock", { { data = "text", key = "t" }, { data = "more", key = "t" } })
      support.publish(router, "ruled", {
        { event = "x", data = { n = 1 } },
        { event = "y", data = { n = 1 } },
        { event = "x", data = { n = 1, second = 1 } },
      })
      local reader = support.open(router, "channels=stock,ruled&start=earliest")
      local events = reader:take(3)
      assert.equal("more", events[1].data)
      assert.equal("y", events[2].event)
      assert.equal(1, json.decode(events[3].data).second)
    end)

    it("tells running and returning readers of a key that was deleted, and forgets it", function()
      local router = start(durable)
      local reader = support.open(router, "channels=stock"):wait_open()
      local answers = publish(router, "a", 1, "b", 2)
      reader:take(2)
      local gone = drop(router, "a")
      assert.is_string(gone.id)
      assert.same({ 1, durable }, { gone.subscribers, gone.durable })
      local event = reader:next()
      assert.same({ "delete", "a", gone.id }, { event.event, json.decode(event.data).key, event.id })
      assert.same({}, drop(router, "a"))
      assert.same({}, drop(router, "never"))
      assert.equal("b=2 -a", (read(router, answers[1].id)))
      assert.equal("", (read(router, gone.id)))
      publish(router, "a", 3)
      assert.equal("b=2 a=3", (read(router, answers[1].id)))
      assert.equal(204, http.post(router.port, "/own-drop/b", "").status)
      reader:take(1)
      event = reader:next()
      assert.same({ "gone", "bye b", "own" }, { event.event, event.data, event.id })
    end)

    it("keeps as many deletions as its history, and tells who missed others", function()
      local router = start(durable)
      local first = publish(router, "z", 0)[1].id
      for n = 1, 9 do
        publish(router, "k" .. n, n)
      end
      local before = publish(router, "y", 10)[1].id
      for n = 1, 9 do
        drop(router, "k" .. n)
      end
      assert.equal(4, support.stats(router).tombstones_dropped)
      local text, reset = read(router, before)
      assert.equal("evicted", reset.reason)
      assert.equal("z=0 y=10 -k5 -k6 -k7 -k8 -k9", text)
      text, reset = read(router, first)
      assert.equal("evicted", reset.reason)
      assert.equal("z=0 y=10 -k5 -k6 -k7 -k8 -k9", text)
      assert.is_nil(select(2, read(router, "earliest")))
    end)

    it("lets a slow reader skip what is superseded, and never lag", function()
      local router = start(durable)
      local reader = support.open(router, "channels=stock", nil, { receive_buffer = 4096 }):wait_open()
      reader:pause()
      local count = 3000
      local ticks = http.post(router.port, "/ticks?size=5000&count=" .. count, "", nil, { seconds = 30 })
      assert.equal(204, ticks.status)
      loop.eventually(function()
        return support.stats(router).published >= count
      end, 30, "all to be published")
      reader:resume()
      local latest, last, taken = {}, 0, 0
      while last < count do
        local n = support.numbers({ reader:next(30) })[1]
        assert.is_true(n > last, ("%d after %d"):format(n, last))
        last, taken = n, taken + 1
        latest[n % 10] = n
      end
      for n = count - 9, count do
        assert.equal(n, latest[n % 10])
      end
      assert.is_true(taken < count / 2, ("%d events came"):format(taken))
      assert.equal("open", reader:state())
      assert.equal(0, support.stats(router).lagged)
    end)
  end)
end

describe("a keyed channel on disk", function()
  after_each(server.stop_all)

  for _, how in ipairs { "stop", "kill" } do
    it("is the same after a " .. how, function()
      local router = start(true)
      local answers = publish(router, "a", 1, "b", 2, "a", 3, "c", 4)
      drop(router, "b")
      router = support.restart(router, how)
      assert.equal("a=3 c=4 -b", (read(router, "earliest")))
      assert.equal("c=4 -b", (read(router, answers[3].id)))
      assert.same({}, drop(router, "b"))
      publish(router, "c", 5, "b", 6)
      assert.equal("a=3 c=5 b=6", (read(router, "earliest")))
      router = support.restart(router, how)
      assert.equal("a=3 c=5 b=6", (read(router, "earliest")))
    end)
  end

  it("keeps keys that memory has not: more than are put back at a start", function()
    local router = start(true)
    local events = {}
    for n = 1, 3000 do
      events[n] = { data = { n = n, symbol = "s" .. n } }
    end
    support.publish(router, "stock", events)
    router = support.restart(router, "kill")
    assert.same(support.range(1, 3000), (support.numbers_from(router, "stock", "earliest")))
    assert.is_string(drop(router, "s7").id)
    assert.same({}, drop(router, "s7"))
    publish(router, "s8", 3001)
    local reader = support.open(router, "channels=stock,mark", "earliest")
    local numbers = support.numbers((support.until_now(router, reader)))
    assert.same(support.range(9, 3000), table.move(numbers, 7, 2998, 1, {}))
    assert.equal(3001, numbers[#numbers])
    assert.equal(3000, #numbers)
    router = support.restart(router)
    assert.is_true(router:running())
    assert.equal(3000, #support.numbers_from(router, "stock", "last=5000"))
  end)
end)
